/* See translate_places.h. */
#include "translate_places.h"

#include <stdlib.h>
#include <string.h>

/* Whether `path` lies below `folder`, at any depth. Both are real paths. */
static bool is_below(const char *path, const char *folder) {
    const size_t length = strlen(folder);
    if (strcmp(folder, "/") == 0) return path[1] != '\0';
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

p2p_status translate_places_open(translate_places *places, const char *out) {
    *places = (translate_places){.named = out};
    return sys_path_real(&places->out, out);
}

void translate_places_close(translate_places *places) {
    free(places->out);
    sys_names_free(&places->folders);
    *places = (translate_places){0};
}

/* ---- Folders of pictures ------------------------------------------------------------------------------ */

static p2p_status same_folder(const translate_places *places, const char *folder) {
    p2p_fail(P2P_USAGE,
             "--out %s is the folder %s of the pictures: a later run would take the results for pictures",
             places->named, folder);
    return p2p_hint(P2P_USAGE, "choose a folder elsewhere, or one inside it, whose pictures are left out");
}

/* Drop the names that lie below places->out. */
static p2p_status drop_results(const translate_places *places, const char *folder, sys_names *names,
                               size_t *dropped) {
    size_t kept = 0;
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < names->count; i++) {
        char *path = NULL, *real = NULL;
        if (status == P2P_OK) status = sys_path_join(&path, folder, names->names[i]);
        if (status == P2P_OK) status = sys_path_real(&real, path);
        if (status == P2P_OK && is_below(real, places->out))
            free(names->names[i]);
        else
            names->names[kept++] = names->names[i];
        free(path);
        free(real);
    }
    *dropped = names->count - kept;
    names->count = kept;
    return status;
}

p2p_status translate_places_add(translate_places *places, const char *folder, sys_names *names,
                                size_t *dropped) {
    char *real;
    *dropped = 0;
    P2P_TRY(sys_path_real(&real, folder));
    p2p_status status = P2P_OK;
    if (strcmp(real, places->out) == 0)
        status = same_folder(places, folder);
    else if (!is_below(real, places->out))
        status = drop_results(places, folder, names, dropped);
    if (status == P2P_OK) return sys_names_add(&places->folders, real);
    free(real);
    return status;
}

bool translate_places_nested(const translate_places *places) {
    for (size_t i = 0; i < places->folders.count; i++)
        if (is_below(places->out, places->folders.names[i])) return true;
    return false;
}

/* ---- Results ------------------------------------------------------------------------------------------ */

/* The pictures' real paths in byte order, and which picture each belongs to. */
typedef struct {
    char *real;
    const char *named;
} real_source;

static int compare_sources(const void *left, const void *right) {
    return strcmp(((const real_source *)left)->real, ((const real_source *)right)->real);
}

/* Whether both paths have one folder, and one name up to the last dot. */
static bool same_but_suffix(const char *a, const char *b) {
    const char *a_base = strrchr(a, '/') + 1, *b_base = strrchr(b, '/') + 1;
    const char *a_dot = strrchr(a_base, '.'), *b_dot = strrchr(b_base, '.');
    const size_t a_stem = a_dot && a_dot > a_base ? (size_t)(a_dot - a) : strlen(a);
    const size_t b_stem = b_dot && b_dot > b_base ? (size_t)(b_dot - b) : strlen(b);
    return a_stem == b_stem && strncmp(a, b, a_stem) == 0;
}

static p2p_status inside(const translate_places *places, const translate_pair *pair, const char *result) {
    for (size_t i = 0; i < places->folders.count; i++) {
        const char *folder = places->folders.names[i];
        if (!is_below(result, folder) || is_below(places->out, folder)) continue;
        p2p_fail(P2P_USAGE,
                 "%s would be written into %s, a folder of pictures: a later run would take it for one",
                 pair->result, folder);
        return p2p_hint(P2P_USAGE, "choose another folder for --out");
    }
    return P2P_OK;
}

static p2p_status check_pair(const translate_places *places, const translate_pair *pair,
                             const real_source *sources, size_t count, const char *source,
                             const char *result) {
    const real_source key = {.real = (char *)result};
    const real_source *same = bsearch(&key, sources, count, sizeof *sources, compare_sources);
    if (same && strcmp(result, source) == 0)
        return p2p_fail(P2P_USAGE, "%s would be overwritten by its own translation", pair->source);
    if (same)
        return p2p_fail(P2P_USAGE, "%s would be overwritten by the translation of %s", same->named,
                        pair->source);
    P2P_TRY(inside(places, pair, result));
    if (!same_but_suffix(source, result)) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s would lie beside its picture %s: a later run would take it for one", pair->result,
             pair->source);
    return p2p_hint(P2P_USAGE, "choose another folder for --out");
}

static p2p_status check_all(const translate_places *places, const translate_pair *pairs,
                            const real_source *sources, size_t count) {
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < count && status == P2P_OK; i++) {
        char *source = NULL, *result = NULL;
        status = sys_path_real(&source, pairs[i].source);
        if (status == P2P_OK) status = sys_path_real(&result, pairs[i].result);
        if (status == P2P_OK) status = check_pair(places, &pairs[i], sources, count, source, result);
        free(source);
        free(result);
    }
    return status;
}

p2p_status translate_places_check(const translate_places *places, const translate_pair *pairs, size_t count) {
    real_source *sources = calloc(count + 1, sizeof *sources);
    if (!sources) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", count);
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < count && status == P2P_OK; i++) {
        sources[i].named = pairs[i].source;
        status = sys_path_real(&sources[i].real, pairs[i].source);
    }
    if (status == P2P_OK) {
        qsort(sources, count, sizeof *sources, compare_sources);
        status = check_all(places, pairs, sources, count);
    }
    for (size_t i = 0; i < count; i++) free(sources[i].real);
    free(sources);
    return status;
}
