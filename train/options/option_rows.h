/* The rows of the table of options. Private to option_rows.c, which has the table, and options*.c, which read
 * it. */
#ifndef P2P_OPTION_ROWS_H
#define P2P_OPTION_ROWS_H

#include "options.h"

#include <stddef.h>

/* KIND_HEADING is not an option: --help prints its name above the rows that follow. */
typedef enum {
    KIND_FLAG,
    KIND_TEXT,
    KIND_CHOICE,
    KIND_COUNT,
    KIND_COUNTS, /* bench: also a list of ascending ones, separated by commas */
    KIND_BYTES,  /* a whole number, with K, M, G or T for 2^10, 2^20, 2^30 or 2^40 */
    KIND_SEED,
    KIND_REAL,
    KIND_HEADING
} option_kind;

/* Whether an option is recorded in config.json and in checkpoints. */
typedef enum {
    NOT_KEPT, /* where and how to run: not recorded */
    KEPT,     /* recorded; may change when a training is resumed */
    BINDING   /* recorded; determines the result, so it must not change when a training is resumed */
} option_keeping;

typedef struct {
    const char *name;
    char letter;
    option_kind kind;
    size_t offset;
    unsigned commands;
    option_keeping keeping;
    double low, high;     /* of numbers: allowed range, inclusive */
    const char *fallback; /* default as text; NULL: none */
    const char *argument; /* the value's name in --help; for KIND_CHOICE the choices, separated by | */
    const char *help;
} option_row;

extern const option_row option_rows[];
extern const int option_row_count; /* at most SETTINGS_MAX_ROWS */

/* Commands in which an option that is not given has no effect, or a default of another origin, so that --help
 * does not print its fallback. */
typedef struct {
    const char *option;
    unsigned commands;
} fallback_exception;

extern const fallback_exception fallback_exceptions[];
extern const int fallback_exception_count;

/* Commands for which an option has a help text of their own. */
typedef struct {
    const char *option;
    unsigned commands;
    const char *help;
} help_exception;

extern const help_exception help_exceptions[];
extern const int help_exception_count;

/* What an option writes in these commands: a file whose suffix, if it has one, is one of the list; NULL: a
 * folder. */
typedef struct {
    const char *option;
    unsigned commands;
    const char *suffixes;
} written_row;

extern const written_row written_rows[];
extern const int written_row_count;

/* The value of an option in the published trainings. PyTorch's value is the option's fallback, which is also
 * the value without --preset; `tensorflow` replaces it with --preset tensorflow. An option without a fallback
 * has a computed default, equal for both, which `computed` describes. */
typedef struct {
    const char *option, *tensorflow, *computed;
} preset_row;

extern const preset_row preset_rows[];
extern const int preset_row_count;

#endif
