/* See result_files.h. */
#include "result_files.h"

#include "host/sys.h"

#include <stdlib.h>
#include <string.h>

p2p_status result_name(const char *folder, const char *relative, const char *suffix, char **result) {
    const char *slash = strrchr(relative, '/'), *base = slash ? slash + 1 : relative;
    const char *dot = strrchr(base, '.');
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

static p2p_status check_one(const result_file *file, bool force) {
    if (sys_path_kind_of(file->result) == SYS_PATH_ABSENT) return P2P_OK;
    if (file->source && sys_path_same(file->source, file->result))
        return p2p_fail(P2P_USAGE, "%s would be overwritten by its own translation", file->source);
    if (force) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s exists already", file->result);
    return p2p_hint(P2P_USAGE, "--force overwrites");
}

p2p_status result_files_check(const result_file *files, size_t count, bool force) {
    result_file *sorted = malloc((count + 1) * sizeof *sorted);
    if (!sorted) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", count);
    if (count > 0) memcpy(sorted, files, count * sizeof *sorted);
    p2p_status status = check_distinct(sorted, count);
    free(sorted);
    for (size_t i = 0; i < count && status == P2P_OK; i++) status = check_one(&files[i], force);
    return status;
}

p2p_status result_folder_make(const char *result) {
    const char *slash = strrchr(result, '/');
    if (!slash || slash == result) return P2P_OK;
    char *folder = strdup(result);
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    folder[slash - result] = '\0';
    p2p_status status = sys_folder_make(folder);
    free(folder);
    return status;
}
