/* Reading and writing choices as text, and their place in the cache. See p2p_tune.h. */
#include "p2p_tune.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS_TEXT = 64, LARGEST_TEXT = 4 << 20 };

static const char kept_as[] = "tune"; /* the kind of the cache's entry */

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

/* Letters, digits, '_', '-', ':'. */
static bool is_name(const char *name) {
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("_-:", *name)) return false;
    return true;
}

static bool parse_seconds(const char **text, double *seconds) {
    char *end;
    *seconds = strtod(*text, &end);
    if (end == *text || *end != '\t' || !isfinite(*seconds) || *seconds <= 0) return false;
    *text = end + 1;
    return true;
}

bool p2p_tune_text_find(const char *text, const char *descriptor, p2p_choice *choice) {
    char name[P2P_CHOICE_NAME] = "";
    size_t length;
    const char *line = find_line(text, descriptor, &length);
    const size_t name_length = line ? strcspn(line, "\t") : 0;
    *choice = (p2p_choice){0};
    if (!line || name_length >= sizeof name || name_length >= length) return false;
    memcpy(name, line, name_length);
    name[name_length] = '\0';
    memcpy(choice->name, name, sizeof name);
    const char *rest = line + name_length + 1;
    return is_name(name) && parse_seconds(&rest, &choice->seconds) &&
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

char *p2p_tune_text_replace(const char *text, const char *descriptor, const p2p_choice *choice) {
    const size_t added = sizeof choice->name + NUMBERS_TEXT + strlen(descriptor) + 3;
    char *replaced = malloc(strlen(text) + 1 + added);
    if (!replaced) return NULL;
    char *end = copy_others(replaced, text, descriptor);
    snprintf(end, added, "%s\t%.6g\t%.6g\t%s\n", choice->name, choice->seconds, choice->default_seconds,
             descriptor);
    return replaced;
}

/* ---- The cache ------------------------------------------------------------------------------------- */

char *p2p_tune_kept_read(const p2p_host *host, const p2p_key_part *key, int parts) {
    void *value = NULL;
    size_t size = 0;
    char *text = NULL;
    const bool found = host->cache_get(kept_as, key, parts, &value, &size) && size <= LARGEST_TEXT;
    text = calloc(1, (found ? size : 0) + 1);
    if (text && found) memcpy(text, value, size);
    free(value);
    return text;
}

char *p2p_tune_kept_put(const p2p_host *host, const p2p_key_part *key, int parts, const char *descriptor,
                        const p2p_choice *choice) {
    char *before = p2p_tune_kept_read(host, key, parts);
    char *text = before ? p2p_tune_text_replace(before, descriptor, choice) : NULL;
    free(before);
    if (text && strlen(text) <= LARGEST_TEXT) host->cache_put(kept_as, key, parts, text, strlen(text));
    return text;
}
