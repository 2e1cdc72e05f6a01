/* Lines of the doctor's output and report: escaped, and without the path of the user's home folder.
 */
#ifndef P2P_DOCTOR_TEXT_H
#define P2P_DOCTOR_TEXT_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A text that grows. A zeroed structure is not open. */
typedef struct {
    FILE *stream;
    char *bytes; /* valid after doctor_text_finish */
    size_t size;
} doctor_text;

p2p_status doctor_text_open(doctor_text *text);
/* Completes `bytes`. P2P_OUT_OF_MEMORY if something is missing. */
p2p_status doctor_text_finish(doctor_text *text);
void doctor_text_free(doctor_text *text);

/* Prints a line, in which the home folder is "~" wherever it begins a path. The home folder is that of HOME,
 * by name and without links. */
void doctor_line(FILE *stream, const char *format, ...) P2P_PRINTF(2, 3);

/* The text with every path in `home` shown as ~; "" and "/" are not homes. The caller frees it; NULL if
 * memory runs out. */
char *doctor_hide_home(const char *text, const char *home);

#endif
