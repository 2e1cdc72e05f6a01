/* Escaping of bytes; see text.h. */
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The length of the character at `at` in bytes, by the table of RFC 3629: no overlong forms, no surrogates,
 * nothing above U+10FFFF. 0 if there is no valid character. */
static size_t utf8_length(const uint8_t *at) {
    if (at[0] < 0x80) return at[0] != 0;
    size_t more = at[0] >= 0xc2 && at[0] <= 0xdf   ? 1
                  : at[0] >= 0xe0 && at[0] <= 0xef ? 2
                  : at[0] >= 0xf0 && at[0] <= 0xf4 ? 3
                                                   : 0;
    for (size_t i = 1; i <= more; i++)
        if ((at[i] & 0xc0) != 0x80) return 0; /* also at the end of the text */
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f)) return 0;
    if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)) return 0;
    return more == 0 ? 0 : more + 1;
}

/* C0, DEL and C1 (U+0080 to U+009F). */
static bool is_control(const uint8_t *at) {
    return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
}

void text_print(const char *bytes, FILE *stream) {
    for (const uint8_t *at = (const uint8_t *)bytes; *at != 0;) {
        size_t length = utf8_length(at);
        if (*at == '\n' || (length > 0 && !is_control(at))) {
            fwrite(at, 1, length, stream);
            at += length;
        } else {
            fprintf(stream, "\\x%02x", *at++);
        }
    }
}

void text_print_line(const char *label, const char *bytes, FILE *stream) {
    fputs(label, stream);
    text_print(bytes, stream);
    fputc('\n', stream);
}

static bool is_plain(const char *bytes) {
    for (const uint8_t *at = (const uint8_t *)bytes; *at != 0;) {
        size_t length = utf8_length(at);
        if (length == 0) return false;
        at += length;
    }
    return strstr(bytes, "\\x") == NULL;
}

json_t *text_to_json(const char *bytes) {
    if (is_plain(bytes)) return json_string(bytes);
    char *escaped = malloc(4 * strlen(bytes) + 1), *to = escaped;
    if (escaped == NULL) return NULL;
    for (const uint8_t *at = (const uint8_t *)bytes; *at != 0;) {
        size_t length = *at == '\\' ? 0 : utf8_length(at);
        memcpy(to, at, length);
        to += length;
        if (length == 0) to += sprintf(to, "\\x%02x", *at);
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
