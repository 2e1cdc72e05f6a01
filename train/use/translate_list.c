/* See translate_list.h. The result of a file argument has the file's base name, that of a file in a folder
 * argument its path below the folder. */
#include "translate_list.h"

#include "host/sys.h"
#include "host/text.h"
#include "image/pad.h"
#include "result_files.h"

#include <stdlib.h>
#include <string.h>

/* ---- Listing ------------------------------------------------------------------------------------------ */

/* Append a job. Takes ownership of both paths, also if it fails. */
static p2p_status add_job(translate_list *list, char *source, char *result) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        translate_job *grown = realloc(list->jobs, capacity * sizeof *grown);
        if (!grown) {
            free(source);
            free(result);
            return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of %zu pictures", capacity);
        }
        list->jobs = grown;
        list->capacity = capacity;
    }
    list->jobs[list->count++] = (translate_job){.source = source, .result = result};
    return P2P_OK;
}

/* Add the picture folder/relative. Its result is `named` below --out. */
static p2p_status add_picture(const translator *t, translate_list *list, const char *folder,
                              const char *relative, const char *named) {
    char *source = NULL, *result = NULL;
    P2P_TRY(sys_path_join(&source, folder, relative));
    const p2p_status status = result_name(t->all->out, named, t->all->format, &result);
    if (status == P2P_OK) return add_job(list, source, result);
    free(source);
    return status;
}

static p2p_status add_folder(const translator *t, translate_list *list, const char *folder) {
    sys_names names;
    P2P_TRY(sys_folder_walk(&names, folder, image_suffix_readable));
    p2p_status status = P2P_OK;
    if (names.count == 0) status = p2p_fail(P2P_INPUT, "%s holds no pictures", folder);
    for (size_t i = 0; i < names.count && status == P2P_OK; i++)
        status = add_picture(t, list, folder, names.names[i], names.names[i]);
    sys_names_free(&names);
    return status;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether --out is the path of the one result: the only argument is a file, and --out has a suffix of
 * pictures and is not an existing folder. */
static p2p_status out_is_result(const translator *t, bool *is_result) {
    const char *const *arguments = t->all->arguments;
    bool folder_in, folder_out;
    P2P_TRY(sys_path_is_folder(arguments[0], &folder_in));
    P2P_TRY(sys_path_is_folder(t->all->out, &folder_out));
    *is_result = !arguments[1] && !folder_in && image_suffix_known(t->all->out) && !folder_out;
    return P2P_OK;
}

static p2p_status add_only_picture(const translator *t, translate_list *list) {
    char *source = NULL, *result = NULL;
    if (settings_given(t->all, "format"))
        return p2p_fail(P2P_USAGE, "--format is for folders: the suffix of --out %s determines the format",
                        t->all->out);
    P2P_TRY(sys_path_join(&source, "", t->all->arguments[0]));
    const p2p_status status = sys_path_join(&result, "", t->all->out);
    if (status == P2P_OK) return add_job(list, source, result);
    free(source);
    return status;
}

static p2p_status list_pictures(const translator *t, translate_list *list) {
    const char *out = t->all->out, *const *arguments = t->all->arguments;
    bool only_result;
    sys_path_kind out_kind;
    P2P_TRY(out_is_result(t, &only_result));
    if (only_result) return add_only_picture(t, list);
    P2P_TRY(sys_path_kind_of(out, &out_kind));
    if (out_kind != SYS_PATH_FOLDER && (out_kind != SYS_PATH_ABSENT || image_suffix_known(out)))
        return p2p_fail(P2P_USAGE, "--out %s: for several pictures it must be a folder", out);
    for (int i = 0; arguments[i]; i++) {
        bool folder;
        P2P_TRY(sys_path_is_folder(arguments[i], &folder));
        P2P_TRY(folder ? add_folder(t, list, arguments[i])
                       : add_picture(t, list, "", arguments[i], base_name(arguments[i])));
    }
    return P2P_OK;
}

/* ---- Checking ----------------------------------------------------------------------------------------- */

static p2p_status check_results(const translator *t, const translate_list *list) {
    result_file *files = calloc(list->count + 1, sizeof *files);
    if (!files) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", list->count);
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < list->count && status == P2P_OK; i++) {
        files[i] = (result_file){list->jobs[i].source, list->jobs[i].result};
        status = image_save_check(list->jobs[i].result, t->format.target);
    }
    if (status == P2P_OK) status = result_files_check(files, list->count, t->all->force);
    if (status == P2P_OK) status = result_files_sweep(files, list->count);
    free(files);
    return status;
}

static p2p_status measure(const translator *t, translate_job *job) {
    image_header header;
    P2P_TRY(image_probe(job->source, &header));
    job->width = pad_side(header.width, translator_unit(t));
    job->height = pad_side(header.height, translator_unit(t));
    return P2P_OK;
}

/* By size, then by name. */
static int compare_jobs(const void *left, const void *right) {
    const translate_job *a = left, *b = right;
    if (a->height != b->height) return a->height < b->height ? -1 : 1;
    if (a->width != b->width) return a->width < b->width ? -1 : 1;
    return strcmp(a->source, b->source);
}

bool translate_skips(const translator *t, p2p_status status) {
    const bool bad = status == P2P_INPUT || status == P2P_IO;
    if (!bad || strcmp(t->all->on_bad_image, "skip") != 0) return false;
    text_print_line("left out: ", p2p_message(), stderr);
    return true;
}

static void free_job(translate_job *job) {
    free(job->source);
    free(job->result);
}

static p2p_status measure_all(const translator *t, translate_list *list) {
    const size_t count = list->count;
    p2p_status status = P2P_OK;
    list->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (status == P2P_OK) status = measure(t, &list->jobs[i]);
        const bool skipped = status != P2P_OK && translate_skips(t, status);
        list->skipped += skipped;
        if (skipped) {
            free_job(&list->jobs[i]);
            status = P2P_OK;
        } else {
            list->jobs[list->count++] = list->jobs[i];
        }
    }
    P2P_TRY(status);
    if (list->count > 0) qsort(list->jobs, list->count, sizeof *list->jobs, compare_jobs);
    return P2P_OK;
}

p2p_status translate_list_make(const translator *t, translate_list *list) {
    *list = (translate_list){0};
    P2P_TRY(list_pictures(t, list));
    P2P_TRY(check_results(t, list));
    P2P_TRY(measure_all(t, list));
    return list->count > 0 ? P2P_OK : p2p_fail(P2P_INPUT, "no usable picture is left");
}

void translate_list_free(translate_list *list) {
    for (size_t i = 0; i < list->count; i++) free_job(&list->jobs[i]);
    free(list->jobs);
    *list = (translate_list){0};
}
