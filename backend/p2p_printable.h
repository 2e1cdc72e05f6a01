/* Arbitrary bytes, such as names of files and messages of drivers, as text that is safe to print.
 *
 * A text from outside can neither begin a line of its own, nor move the cursor, nor change the direction or
 * the order of what is shown. Bytes that are not printable are escaped as \xNN, two hexadecimal digits:
 * control characters (line ends included), invisible format characters such as those of bidirectional text,
 * and bytes that are not UTF-8. Translation to JSON is in train/host/text.h.
 */
#ifndef P2P_PRINTABLE_H
#define P2P_PRINTABLE_H

#include "p2p_status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The length in bytes of the UTF-8 character at `at`; 0 if there is no valid one, or at the end of the text.
 */
size_t p2p_utf8_length(const char *at);

/* The length in bytes of the printable character at `at`; 0 if the next byte has to be escaped, or at the
 * end. */
size_t p2p_printable_length(const char *at);

/* Whether nothing in the text has to be escaped. */
bool p2p_is_printable(const char *text);

/* Print a line: the label unchanged, the formatted text with escapes, a line end; and flush it. The line is
 * written at once, so that lines of several threads do not mix. Errors of the stream are left to ferror(). */
void p2p_print_line(FILE *stream, const char *label, const char *format, ...) P2P_PRINTF(3, 4);
void p2p_print_line_v(FILE *stream, const char *label, const char *format, va_list args);

/* Appends an item to a list in a text, "a, b, c", truncated to `size` bytes. An empty text has no item. */
void p2p_list_append(char *text, size_t size, const char *item);

#endif
