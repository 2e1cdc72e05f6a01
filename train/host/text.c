/* Escaping of bytes; see text.h. */
#include "text.h"

#include "memory_stream.h"
#include "p2p_printable.h"
#include "sys.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Seconds for which lines on stdout and stderr wait for each other, so that they are in order where both go
 * to one place. */
static const double ORDER_TIMEOUT = 0.2;

void text_line(FILE *stream, const char *format, ...) {
    va_list args;
    if (stream == stdout) (void)sys_messages_wait(ORDER_TIMEOUT);
    va_start(args, format);
    p2p_print_line_v(stream, "", format, args);
    va_end(args);
    if (stream == stdout) (void)sys_output_wait(ORDER_TIMEOUT);
}

void text_print_line(const char *label, const char *bytes, FILE *stream) {
    p2p_print_line(stream, label, "%s", bytes);
}

/* ---- Words of a shell --------------------------------------------------------------------------------- */

/* In single quotes unless it has plain characters only. */
static void write_quoted(FILE *to, const char *word) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, to);
        return;
    }
    fputc('\'', to);
    for (; *word; word++) fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, to);
    fputc('\'', to);
}

/* As $'...', which bash, zsh and ksh read: bytes that are not printable as \NNN, three octal digits, because
 * the escapes of p2p_printable.h would be other bytes to a shell. */
static void write_escaped(FILE *to, const char *word) {
    fputs("$'", to);
    while (*word) {
        const size_t length = *word == '\'' || *word == '\\' ? 0 : p2p_printable_length(word);
        if (length > 0)
            fwrite(word, 1, length, to), word += length;
        else
            fprintf(to, "\\%03o", (unsigned)(unsigned char)*word++);
    }
    fputc('\'', to);
}

char *text_shell_word(const char *word) {
    memory_stream to;
    memory_stream_open(&to);
    if (!to.stream) return NULL;
    if (p2p_is_printable(word))
        write_quoted(to.stream, word);
    else
        write_escaped(to.stream, word);
    return memory_stream_take(&to);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static bool is_plain(const char *bytes) {
    for (const char *at = bytes; *at != '\0';) {
        size_t length = p2p_utf8_length(at);
        if (length == 0) return false;
        at += length;
    }
    return strstr(bytes, "\\x") == NULL;
}

json_t *text_to_json(const char *bytes) {
    if (is_plain(bytes)) return json_string(bytes);
    char *escaped = malloc(4 * strlen(bytes) + 1), *to = escaped;
    if (escaped == NULL) return NULL;
    for (const char *at = bytes; *at != '\0';) {
        size_t length = *at == '\\' ? 0 : p2p_utf8_length(at);
        memcpy(to, at, length);
        to += length;
        if (length == 0) to += sprintf(to, "\\x%02x", (unsigned)(uint8_t)*at);
        at += length > 0 ? length : 1;
    }
    *to = '\0';
    json_t *string = json_string(escaped);
    free(escaped);
    return string;
}

/* The value of the escape \xNN at `at`; -1 if there is none. */
static int escaped_byte(const char *at) {
    static const char digits[] = "0123456789abcdef";
    if (at[0] != '\\' || at[1] != 'x' || at[2] == '\0' || at[3] == '\0') return -1;
    const char *high = strchr(digits, at[2]), *low = strchr(digits, at[3]);
    return high && low ? (int)(high - digits) * 16 + (int)(low - digits) : -1;
}

void text_from_json(const json_t *string, char *bytes, size_t size) {
    size_t length = 0;
    for (const char *at = json_string_value(string); *at != '\0' && length + 1 < size; length++) {
        int byte = escaped_byte(at);
        bytes[length] = byte < 0 ? *at : (char)byte;
        at += byte < 0 ? 1 : 4;
    }
    bytes[length] = '\0';
}

void text_duration(double seconds, char *text, size_t size) {
    long long whole = (long long)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(text, size, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, size, "%lld:%02lld", whole / 60, whole % 60);
}
