/* Arbitrary bytes, such as the names of files, as text for a terminal and for JSON.
 *
 * A byte that is not allowed there is escaped as \xNN, two hexadecimal digits. Bytes are interpreted as
 * UTF-8; no other encoding is guessed.
 */
#ifndef P2P_TEXT_H
#define P2P_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Print the bytes. Control characters, except line ends, and bytes that are not UTF-8 are escaped, so that a
 * name can neither move the cursor nor clear the screen. */
void text_print(const char *bytes, FILE *stream);

/* Print a line: the label unchanged, then the bytes as text_print does. */
void text_print_line(const char *label, const char *bytes, FILE *stream);

/* A JSON string of arbitrary bytes. If all are UTF-8 and none look escaped, the string is the bytes.
 * Otherwise bytes that are not UTF-8 and all backslashes are escaped, so that text_from_json restores the
 * bytes exactly. NULL if memory runs out. */
json_t *text_to_json(const char *bytes);

/* The bytes of a string of text_to_json, truncated to `size`. */
void text_from_json(const json_t *string, char *bytes, size_t size);

/* A duration as "1:02:03" or "4:05". */
void text_duration(double seconds, char *text, size_t size);

#endif
