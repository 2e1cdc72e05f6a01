/* Arbitrary bytes, such as the names of files, as lines of text and in JSON. What is escaped in printed text,
 * and how, is in p2p_printable.h. Bytes are interpreted as UTF-8; no other encoding is guessed.
 */
#ifndef P2P_TEXT_H
#define P2P_TEXT_H

#include "p2p_status.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Print a line that may contain names or messages from outside: escaped, with a line end, and flushed. */
void text_line(FILE *stream, const char *format, ...) P2P_PRINTF(2, 3);

/* Print a line: the label unchanged, then the bytes with escapes. */
void text_print_line(const char *label, const char *bytes, FILE *stream);

/* The bytes as a word of a command to paste into a shell, quoted where necessary. All its bytes are
 * printable; if those of `word` are not, the word is of the form $'...', which bash, zsh and ksh read. The
 * caller frees it; NULL if memory runs out. */
char *text_shell_word(const char *word);

/* A JSON string of arbitrary bytes. If all are UTF-8 and none look escaped, the string is the bytes.
 * Otherwise bytes that are not UTF-8 and all backslashes are escaped, so that text_from_json restores the
 * bytes exactly. NULL if memory runs out. */
json_t *text_to_json(const char *bytes);

/* The bytes of a string of text_to_json, truncated to `size`. */
void text_from_json(const json_t *string, char *bytes, size_t size);

/* A duration as "1:02:03" or "4:05". */
void text_duration(double seconds, char *text, size_t size);

#endif
