/* See doctor_text.h. */
#include "doctor_text.h"

#include "host/sys.h"
#include "host/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

p2p_status doctor_text_open(doctor_text *text) {
    *text = (doctor_text){0};
    text->stream = open_memstream(&text->bytes, &text->size);
    return text->stream ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the report");
}

p2p_status doctor_text_finish(doctor_text *text) {
    const bool complete = !ferror(text->stream);
    const bool closed = fclose(text->stream) == 0;
    text->stream = NULL;
    return complete && closed ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the report");
}

void doctor_text_free(doctor_text *text) {
    if (text->stream) fclose(text->stream);
    free(text->bytes);
    *text = (doctor_text){0};
}

/* ---- The home folder ---------------------------------------------------------------------------------- */

/* Whether a path ends or continues with a folder after the home folder's name: /home/al is not in
 * /home/alice. */
static bool ends_name(char next) {
    return next == '\0' || !(isalnum((unsigned char)next) || (next & 0x80) || strchr("._-", next));
}

char *doctor_hide_home(const char *text, const char *home) {
    size_t length = strlen(home);
    while (length > 0 && home[length - 1] == '/') length--;
    char *hidden = malloc(strlen(text) + 1), *to = hidden;
    if (!hidden) return NULL;
    for (const char *at = text; *at;) {
        if (length > 0 && strncmp(at, home, length) == 0 && ends_name(at[length])) {
            *to++ = '~';
            at += length;
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
    return hidden;
}

/* Hides HOME as it is named and as it is without links. NULL if memory runs out. */
static char *hide(const char *text) {
    const char *home = getenv("HOME");
    char *real = NULL;
    if (!home || home[0] != '/') return strdup(text);
    char *once = doctor_hide_home(text, home);
    if (!once || sys_path_real(&real, home) != P2P_OK) return once;
    char *twice = doctor_hide_home(once, real);
    free(real);
    free(once);
    return twice;
}

/* A line for which there is no memory is replaced by a remark. */
void doctor_line(FILE *stream, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, format, args);
    char *line = length >= 0 ? malloc((size_t)length + 1) : NULL;
    if (line) vsnprintf(line, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    char *hidden = line ? hide(line) : NULL;
    text_line(stream, "%s", hidden ? hidden : "(no memory for this line)");
    free(line);
    free(hidden);
}
