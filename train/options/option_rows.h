/* The row of the table of options, as option_rows.c fills it and options.c reads it. Private to the two. */
#ifndef P2P_OPTION_ROWS_H
#define P2P_OPTION_ROWS_H

#include "options.h"

#include <stddef.h>

/* KIND_HEADING is no option: --help puts its name above the rows that follow. */
typedef enum {
    KIND_FLAG,
    KIND_TEXT,
    KIND_CHOICE,
    KIND_COUNT,
    KIND_SEED,
    KIND_REAL,
    KIND_HEADING
} option_kind;

/* What an option means for a kept configuration. */
typedef enum {
    NOT_KEPT, /* where and how to run: may change freely and is not written down */
    KEPT,     /* written down; may change when a training is resumed */
    BINDING   /* written down; determines the result, so a resumed training can't change it */
} option_keeping;

typedef struct {
    const char *name;
    char letter;
    option_kind kind;
    size_t offset;
    unsigned commands;
    option_keeping keeping;
    double low, high;     /* KIND_COUNT, KIND_REAL: allowed range */
    const char *fallback; /* default as text; NULL for none */
    const char *argument; /* what --help calls the value; for KIND_CHOICE the choices, separated by | */
    const char *help;
} option_row;

extern const option_row option_rows[];
extern const int option_row_count; /* at most SETTINGS_MAX_ROWS */

/* What the published trainings say about an option. PyTorch's value is the option's fallback, and so what
 * counts without --preset; `tensorflow` stands in its place with --preset tensorflow. An option without a
 * fallback has a default that is computed, the same one for both, and described by `computed`. */
typedef struct {
    const char *option, *tensorflow, *computed;
} preset_row;

extern const preset_row preset_rows[];
extern const int preset_row_count;

#endif
