/* See earlier_results.h. */
#include "earlier_results.h"

#include "host/json_file.h"
#include "host/text.h"
#include "image/image.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>

/* ---- What was recorded -------------------------------------------------------------------------------- */

static p2p_status add_recorded(const json_t *measured, sys_names *recorded) {
    char name[PATH_MAX], *result;
    const json_t *text = json_object_get(measured, "name");
    if (!json_is_string(text)) return P2P_OK;
    text_from_json(text, name, sizeof name);
    P2P_TRY(result_name("", name, "png", &result));
    return sys_names_add(recorded, result);
}

/* The pictures of the earlier test, as paths below their folders. None if its metrics can't be read. */
static p2p_status read_record(const char *metrics, sys_names *recorded) {
    json_t *object;
    const p2p_status read = json_file_read_sealed(metrics, &object);
    if (read == P2P_OUT_OF_MEMORY) return read;
    if (read != P2P_OK) return P2P_OK;
    const json_t *images = json_object_get(object, "images");
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < json_array_size(images) && status == P2P_OK; i++)
        status = add_recorded(json_array_get(images, i), recorded);
    json_decref(object);
    sys_names_sort(recorded);
    return status;
}

/* ---- Existing files ------------------------------------------------------------------------------------ */

static bool is_picture(const char *relative) {
    return image_is_listed(relative) || image_is_unread(relative) || image_is_thumbnail(relative);
}

typedef struct {
    const earlier_question *question;
    bool force;
    sys_names results, recorded; /* sorted */
    sys_names *paths;
} search;

static p2p_status refuse(const char *path, bool recorded) {
    p2p_fail(P2P_USAGE, "%s is no picture of this test, but would be compared with its pictures", path);
    return recorded ? p2p_hint(P2P_USAGE, "--force removes the pictures of the earlier test")
                    : p2p_hint(P2P_USAGE, "remove it, or choose another --out");
}

static p2p_status look_at(search *work, const char *folder, const char *name) {
    char *path;
    P2P_TRY(sys_path_join(&path, folder, name));
    if (sys_names_have(&work->results, path)) {
        free(path);
        return P2P_OK;
    }
    const bool recorded = sys_names_have(&work->recorded, name);
    if (recorded && work->force) return sys_names_add(work->paths, path);
    const p2p_status status = refuse(path, recorded);
    free(path);
    return status;
}

static p2p_status search_folder(search *work, const char *folder) {
    sys_names names;
    bool exists;
    P2P_TRY(sys_path_is_folder(folder, &exists));
    if (!exists) return P2P_OK;
    P2P_TRY(sys_folder_walk(&names, folder, is_picture));
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < names.count && status == P2P_OK; i++)
        status = look_at(work, folder, names.names[i]);
    sys_names_free(&names);
    return status;
}

static p2p_status search_all(search *work) {
    const earlier_question *question = work->question;
    for (size_t i = 0; i < question->count; i++) {
        char *path;
        P2P_TRY(sys_path_join(&path, "", question->files[i].result));
        P2P_TRY(sys_names_add(&work->results, path));
    }
    sys_names_sort(&work->results);
    P2P_TRY(read_record(question->metrics, &work->recorded));
    for (size_t i = 0; i < question->folder_count; i++) P2P_TRY(search_folder(work, question->folders[i]));
    return P2P_OK;
}

p2p_status earlier_results_find(const earlier_question *question, bool force, sys_names *paths) {
    search work = {.question = question, .force = force, .paths = paths};
    *paths = (sys_names){0};
    p2p_status status = search_all(&work);
    sys_names_free(&work.results);
    sys_names_free(&work.recorded);
    if (status != P2P_OK) sys_names_free(paths);
    return status;
}
