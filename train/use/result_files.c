/* See result_files.h. */
#include "result_files.h"

#include "host/folder_lock.h"
#include "host/sys.h"
#include "p2p_file.h"

#include <stdlib.h>
#include <string.h>

p2p_status result_name(const char *folder, const char *relative, const char *suffix, char **result) {
    const char *base = sys_base_name(relative), *dot = strrchr(base, '.');
    const size_t stem = dot && dot > base ? (size_t)(dot - relative) : strlen(relative);
    char *name = malloc(stem + 1 + strlen(suffix) + 1);
    if (!name) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a name in %s", folder);
    memcpy(name, relative, stem);
    name[stem] = '.';
    strcpy(name + stem + 1, suffix);
    p2p_status status = sys_path_join(result, folder, name);
    free(name);
    return status;
}

static int compare_results(const void *left, const void *right) {
    return strcmp(((const result_file *)left)->result, ((const result_file *)right)->result);
}

static p2p_status check_distinct(result_file *sorted, size_t count) {
    qsort(sorted, count, sizeof *sorted, compare_results);
    for (size_t i = 1; i < count; i++) {
        const result_file *a = &sorted[i - 1], *b = &sorted[i];
        if (strcmp(a->result, b->result) == 0)
            return p2p_fail(P2P_USAGE, "%s and %s would both be written to %s", a->source, b->source,
                            a->result);
    }
    return P2P_OK;
}

static p2p_status hint_of(p2p_status status) {
    return p2p_hint(status, "--force overwrites");
}

static p2p_status check_one(const result_file *file, bool force) {
    sys_path_kind kind;
    P2P_TRY(sys_path_kind_of(file->result, &kind));
    if (kind == SYS_PATH_ABSENT) return P2P_OK;
    bool same = false;
    if (file->source) P2P_TRY(sys_path_same(file->source, file->result, &same));
    if (same) return p2p_fail(P2P_USAGE, "%s would be overwritten by its own translation", file->source);
    return force ? P2P_OK : hint_of(p2p_fail(P2P_USAGE, "%s exists already", file->result));
}

p2p_status result_save(const char *result, const image *picture, bool force) {
    if (force) return image_save(result, picture);
    P2P_TRY(image_save_check(result, image_format_of(picture)));
    const p2p_status status = image_save_new(result, picture);
    return status == P2P_USAGE ? hint_of(status) : status;
}

/* Whether both names are in one folder. */
static bool same_folder(const char *a, const char *b) {
    const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
    const size_t length_a = slash_a ? (size_t)(slash_a - a) : 0,
                 length_b = slash_b ? (size_t)(slash_b - b) : 0;
    return length_a == length_b && strncmp(a, b, length_a) == 0;
}

static p2p_status check_folder(const char *out, const char *result) {
    P2P_TRY(result_folder_check(out, result));
    return folder_lock_check_below(out, result);
}

p2p_status result_files_check(const char *out, const result_file *files, size_t count, bool force) {
    result_file *sorted = malloc((count + 1) * sizeof *sorted);
    if (!sorted) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", count);
    if (count > 0) memcpy(sorted, files, count * sizeof *sorted);
    p2p_status status = check_distinct(sorted, count);
    free(sorted);
    for (size_t i = 0; i < count && status == P2P_OK; i++) {
        if (i == 0 || !same_folder(files[i - 1].result, files[i].result))
            status = check_folder(out, files[i].result);
        if (status == P2P_OK) status = check_one(&files[i], force);
    }
    return status;
}

static p2p_status sweep_folder_of(const char *result) {
    const char *slash = strrchr(result, '/');
    char *folder = slash ? strndup(result, (size_t)(slash - result) + 1) : strdup(".");
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    p2p_status status = p2p_atomic_sweep(folder);
    free(folder);
    return status;
}

p2p_status result_files_sweep(const result_file *files, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !same_folder(files[i - 1].result, files[i].result))
            P2P_TRY(sweep_folder_of(files[i].result));
    return P2P_OK;
}

typedef p2p_status folder_action(const char *out, const char *folder);

/* Do it with the folder of the file `result`, unless that is the current one or the root. */
static p2p_status with_folder(const char *out, const char *result, folder_action *act) {
    const char *slash = strrchr(result, '/');
    if (!slash || slash == result) return P2P_OK;
    char *folder = strndup(result, (size_t)(slash - result));
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    p2p_status status = act(out, folder);
    free(folder);
    return status;
}

static p2p_status make_folder(const char *out, const char *folder) {
    P2P_TRY(sys_folder_check_links(out, folder));
    return sys_folder_make(folder);
}

p2p_status result_folder_check(const char *out, const char *result) {
    return with_folder(out, result, sys_folder_check_links);
}

p2p_status result_folder_make(const char *out, const char *result) {
    return with_folder(out, result, make_folder);
}
