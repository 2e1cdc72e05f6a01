/* Bytes that need not be text, such as the names of files, where text is needed: on a terminal and in JSON.
 *
 * A byte that can't stand there is written as \xNN, two hexadecimal digits. Which bytes those are is decided
 * by UTF-8 alone; no other encoding is guessed.
 */
#ifndef P2P_TEXT_H
#define P2P_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Print with control characters (line ends excepted) and bytes that aren't UTF-8 escaped, so that a name can
 * neither move the cursor nor clear the screen. */
void text_print(const char *bytes, FILE *stream);

/* A whole line: the label as it is, then the bytes as text_print prints them. */
void text_print_line(const char *label, const char *bytes, FILE *stream);

/* A JSON string of any bytes: themselves where they are UTF-8, else escaped, and then every backslash too, so
 * that text_from_json gives back exactly what it was. NULL when memory fails. */
json_t *text_to_json(const char *bytes);

/* The bytes of such a string, cut off where `size` is too small. */
void text_from_json(const json_t *string, char *bytes, size_t size);

/* "1:02:03" or "4:05". */
void text_duration(double seconds, char *text, size_t size);

#endif
