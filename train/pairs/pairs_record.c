/* See pairs_record.h. Folders are compared by their real paths, and options by their values, given or not. */
#include "pairs_record.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "host/text.h"
#include "p2p.h"
#include "pairs_operation.h"

#include <stdlib.h>
#include <string.h>

/* A NULL `value` is a lack of memory. */
static p2p_status set(json_t *object, const char *name, json_t *value) {
    if (value && json_object_set_new(object, name, value) == 0) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for " PAIRS_RECORD);
}

static p2p_status add_source(json_t *sources, const char *folder) {
    char *real;
    P2P_TRY(sys_path_real(&real, folder));
    json_t *text = text_to_json(real);
    free(real);
    if (text && json_array_append_new(sources, text) == 0) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for " PAIRS_RECORD);
}

/* --size has an effect only if it is given. */
static p2p_status add_options(const pairs_record *record, const settings *all, json_t *options) {
    for (const char *const *name = record->options; *name; name++)
        if (strcmp(*name, "size") != 0 || settings_given(all, *name))
            P2P_TRY(set(options, *name, settings_value_to_json(all, *name)));
    return P2P_OK;
}

static p2p_status fill(const pairs_record *record, const settings *all, json_t *object) {
    P2P_TRY(set(object, "operation", json_string(record->operation)));
    P2P_TRY(set(object, "sources", json_array()));
    P2P_TRY(set(object, "options", json_object()));
    for (int i = 0; i < record->source_count; i++)
        P2P_TRY(add_source(json_object_get(object, "sources"), record->sources[i]));
    return add_options(record, all, json_object_get(object, "options"));
}

static p2p_status to_json(const pairs_record *record, const settings *all, json_t **object) {
    *object = json_object();
    if (!*object) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for " PAIRS_RECORD);
    p2p_status status = fill(record, all, *object);
    if (status == P2P_OK) return P2P_OK;
    json_decref(*object);
    *object = NULL;
    return status;
}

static p2p_status compare_with(const pairs_record *record, const settings *all, const char *path) {
    json_t *kept, *mine = NULL;
    P2P_TRY(json_file_read_sealed(path, &kept));
    p2p_status status = to_json(record, all, &mine);
    if (status == P2P_OK && !json_equal(kept, mine)) {
        p2p_fail(P2P_USAGE, "%s: the pictures of this folder were made from other folders, or otherwise",
                 path);
        status = p2p_hint(P2P_USAGE, "choose another folder; the same command makes what is missing here");
    }
    json_decref(kept);
    json_decref(mine);
    return status;
}

p2p_status pairs_record_compare(const pairs_record *record, const settings *all, const char *out,
                                bool *known) {
    char *path;
    P2P_TRY(sys_path_join(&path, out, PAIRS_RECORD));
    p2p_status status = sys_path_exists(path, known);
    if (status == P2P_OK && *known) status = compare_with(record, all, path);
    free(path);
    return status;
}

p2p_status pairs_record_write(const pairs_record *record, const settings *all, const char *out) {
    char *path;
    json_t *object;
    P2P_TRY(to_json(record, all, &object));
    p2p_status status = sys_path_join(&path, out, PAIRS_RECORD);
    if (status != P2P_OK) {
        json_decref(object);
        return status;
    }
    status = json_file_write_sealed(path, object, JSON_INDENT(2));
    free(path);
    return status;
}

static bool shows_pairs(const json_t *object) {
    const char *name = json_string_value(json_object_get(object, "operation"));
    const pairs_operation *operation = name ? pairs_operation_named(name) : NULL;
    const json_t *options = json_object_get(object, "options");
    const char *pairs = json_string_value(json_object_get(options, "pairs"));
    if (!operation) return false;
    if (operation->making == PAIRS_FIT) return pairs && strcmp(pairs, "side-by-side") == 0;
    return !json_is_true(json_object_get(options, "input-only"));
}

p2p_status pairs_record_shows_pairs(const char *dir, bool *pairs) {
    char *path;
    json_t *object;
    *pairs = false;
    P2P_TRY(sys_path_join(&path, dir, PAIRS_RECORD));
    p2p_status status = json_file_read_sealed(path, &object);
    free(path);
    if (status == P2P_OUT_OF_MEMORY) return status;
    if (status != P2P_OK) return P2P_OK;
    *pairs = shows_pairs(object);
    json_decref(object);
    return P2P_OK;
}
