/* Escaping of text from outside. See p2p_printable.h. */
#include "p2p_printable.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- Characters --------------------------------------------------------------------------------------- */

/* By the table of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t p2p_utf8_length(const char *text) {
    const uint8_t *at = (const uint8_t *)text;
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

/* The code point of a valid character. */
static uint32_t decode(const char *text, size_t length) {
    const uint8_t *at = (const uint8_t *)text;
    static const uint8_t lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = at[0] & lead[length];
    for (size_t i = 1; i < length; i++) code = code << 6 | (at[i] & 0x3f);
    return code;
}

/* Ranges of characters that are not shown, or that change how others are shown: controls (C0, DEL, C1), line
 * and paragraph separators, and of Unicode's category Cf and of the fillers those that are invisible. */
static const struct {
    uint32_t first, last;
} unprintable[] = {
    {0x0000, 0x001f},   {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f}, {0x061c, 0x061c},
    {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f}, {0x2028, 0x202e},
    {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0}, {0xfff0, 0xfffb},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

size_t p2p_printable_length(const char *at) {
    const size_t length = p2p_utf8_length(at);
    if (length == 0) return 0;
    const uint32_t code = decode(at, length);
    for (size_t i = 0; i < sizeof unprintable / sizeof unprintable[0]; i++)
        if (code >= unprintable[i].first && code <= unprintable[i].last) return 0;
    return length;
}

bool p2p_is_printable(const char *text) {
    for (size_t length; *text != '\0'; text += length)
        if ((length = p2p_printable_length(text)) == 0) return false;
    return true;
}

/* ---- Lines -------------------------------------------------------------------------------------------- */

/* Needs no memory, because lines may report that it ran out. A line of usual length is written in one piece,
 * so that those of several processes are not mixed. */
typedef struct {
    FILE *stream;
    size_t used;
    char bytes[4096];
} line_buffer;

static void put(line_buffer *line, const char *bytes, size_t size) {
    while (size > 0) {
        const size_t room = sizeof line->bytes - line->used, part = size < room ? size : room;
        memcpy(line->bytes + line->used, bytes, part);
        line->used += part;
        bytes += part;
        size -= part;
        if (line->used < sizeof line->bytes) continue;
        fwrite(line->bytes, 1, line->used, line->stream);
        line->used = 0;
    }
}

static void put_escaped(line_buffer *line, const char *text) {
    while (*text != '\0') {
        const size_t length = p2p_printable_length(text);
        char escape[sizeof "\\xNN"];
        if (length > 0) {
            put(line, text, length);
            text += length;
        } else {
            put(line, escape, (size_t)snprintf(escape, sizeof escape, "\\x%02x", (unsigned)(uint8_t)*text++));
        }
    }
}

static void print_escaped(FILE *stream, const char *label, const char *text, const char *end) {
    line_buffer line = {.stream = stream};
    put(&line, label, strlen(label));
    put_escaped(&line, text);
    put(&line, end, strlen(end));
    fwrite(line.bytes, 1, line.used, stream);
}

void p2p_print_line_v(FILE *stream, const char *label, const char *format, va_list args) {
    char few[512], *text = few;
    va_list again;
    va_copy(again, args);
    const int length = vsnprintf(few, sizeof few, format, args);
    if (length >= (int)sizeof few && (text = malloc((size_t)length + 1)) != NULL)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    if (length >= 0) print_escaped(stream, label, text ? text : few, text ? "\n" : " [...]\n");
    fflush(stream);
    if (text != few) free(text);
}

void p2p_print_line(FILE *stream, const char *label, const char *format, ...) {
    va_list args;
    va_start(args, format);
    p2p_print_line_v(stream, label, format, args);
    va_end(args);
}

void p2p_list_append(char *text, size_t size, const char *item) {
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", item);
}
