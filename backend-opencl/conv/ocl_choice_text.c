/* Reading and writing choices as text. See ocl_choice_text.h. */
#include "ocl_choice_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS_TEXT = 64 };

/* Where the line about a convolution begins, and how long it is without its end. */
static const char *find_line(const char *text, const char *descriptor, size_t *length) {
    const size_t wanted = strlen(descriptor);
    while (*text) {
        *length = strcspn(text, "\n");
        if (*length > wanted && text[*length - wanted - 1] == '\t' &&
            memcmp(text + *length - wanted, descriptor, wanted) == 0)
            return text;
        text += *length + (text[*length] == '\n');
    }
    return NULL;
}

static bool parse_seconds(const char **text, double *seconds) {
    char *end;
    *seconds = strtod(*text, &end);
    if (end == *text || *end != '\t' || !isfinite(*seconds) || *seconds <= 0) return false;
    *text = end + 1;
    return true;
}

bool ocl_choice_text_find(const char *text, const char *descriptor, ocl_choice *choice) {
    char name[P2P_CHOICE_NAME];
    size_t length;
    const char *line = find_line(text, descriptor, &length);
    const size_t name_length = line ? strcspn(line, "\t") : 0;
    *choice = (ocl_choice){0};
    if (!line || name_length >= sizeof name || name_length >= length) return false;
    memcpy(name, line, name_length);
    name[name_length] = '\0';
    const char *rest = line + name_length + 1;
    return ocl_conv_way_parse(name, &choice->way) && parse_seconds(&rest, &choice->seconds) &&
           parse_seconds(&rest, &choice->default_seconds) && rest == line + length - strlen(descriptor);
}

/* Copy all lines but those of the descriptor, each with an end, which a damaged last one lacks. Returns the
 * end. */
static char *copy_others(char *to, const char *text, const char *descriptor) {
    while (*text) {
        size_t length, before;
        const char *line = find_line(text, descriptor, &length);
        before = line ? (size_t)(line - text) : strlen(text);
        memcpy(to, text, before);
        to += before;
        if (before > 0 && to[-1] != '\n') *to++ = '\n';
        text = line ? line + length + (line[length] == '\n') : text + before;
    }
    return to;
}

char *ocl_choice_text_replace(const char *text, const char *descriptor, const ocl_choice *choice) {
    char name[P2P_CHOICE_NAME];
    const size_t added = sizeof name + NUMBERS_TEXT + strlen(descriptor) + 3;
    char *replaced = malloc(strlen(text) + 1 + added);
    if (!replaced) return NULL;
    ocl_conv_way_print(&choice->way, name);
    char *end = copy_others(replaced, text, descriptor);
    snprintf(end, added, "%s\t%.6g\t%.6g\t%s\n", name, choice->seconds, choice->default_seconds, descriptor);
    return replaced;
}
