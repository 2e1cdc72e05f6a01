/* See translate_list.h. The result of a file argument has the file's base name, that of a file in a folder
 * argument its path below the folder. */
#include "translate_list.h"

#include "host/file_suffix.h"
#include "host/sys.h"
#include "host/text.h"
#include "image/image_limits.h"
#include "image/pad.h"
#include "image/picture_list.h"
#include "result_files.h"
#include "translate_places.h"

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

static void report_dropped(const translator *t, size_t dropped) {
    char prefix[96];
    snprintf(prefix, sizeof prefix, "left out: %zu picture%s in the folder of the results, ", dropped,
             dropped == 1 ? "" : "s");
    if (dropped > 0) text_print_line(prefix, t->all->out, stderr);
}

static p2p_status add_folder(const translator *t, translate_list *list, translate_places *places,
                             const char *folder) {
    sys_names names;
    unread_pictures unread;
    size_t dropped = 0;
    P2P_TRY(picture_list(&names, &unread, folder, NULL));
    p2p_status status = translate_places_add(places, folder, &names, &dropped);
    if (status == P2P_OK) report_dropped(t, dropped);
    if (status == P2P_OK && names.count == 0)
        status = picture_list_empty(&unread, folder);
    else
        unread_pictures_print(&unread, folder);
    unread_pictures_free(&unread);
    for (size_t i = 0; i < names.count && status == P2P_OK; i++)
        status = add_picture(t, list, folder, names.names[i], names.names[i]);
    sys_names_free(&names);
    return status;
}

/* ---- --out -------------------------------------------------------------------------------------------- */

/* A name with a suffix is that of a file, so that x.tif never becomes a folder. *is_folder is set to whether
 * --out can only be a folder: it is one, or has the form of one. */
static p2p_status check_out(const char *out, bool one_picture, bool *is_folder) {
    const size_t length = strlen(out);
    sys_path_kind kind;
    P2P_TRY(sys_path_kind_of(out, &kind));
    *is_folder = (length > 0 && out[length - 1] == '/') || kind == SYS_PATH_FOLDER;
    if (*is_folder) return P2P_OK;
    const bool absent = kind == SYS_PATH_ABSENT;
    if (image_suffix_known(out) ? one_picture : absent && !file_suffix_of(out)[0]) return P2P_OK;
    if (!one_picture)
        p2p_fail(P2P_USAGE, "--out %s: for several pictures it must be a folder", out);
    else
        p2p_fail(P2P_USAGE, "--out %s: pictures are written as " IMAGE_SUFFIXES_WRITTEN, out);
    return absent ? p2p_hint(P2P_USAGE, "--out %s/ makes a folder of that name", out) : P2P_USAGE;
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

static p2p_status add_arguments(const translator *t, translate_list *list, translate_places *places) {
    const char *const *arguments = t->all->arguments;
    for (int i = 0; arguments[i]; i++) {
        bool folder;
        P2P_TRY(sys_path_is_folder(arguments[i], &folder));
        P2P_TRY(folder ? add_folder(t, list, places, arguments[i])
                       : add_picture(t, list, "", arguments[i], sys_base_name(arguments[i])));
    }
    return P2P_OK;
}

static p2p_status check_places(const translate_list *list, const translate_places *places) {
    translate_pair *pairs = calloc(list->count + 1, sizeof *pairs);
    if (!pairs) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", list->count);
    for (size_t i = 0; i < list->count; i++)
        pairs[i] = (translate_pair){list->jobs[i].source, list->jobs[i].result};
    const p2p_status status = translate_places_check(places, pairs, list->count);
    free(pairs);
    return status;
}

static p2p_status list_pictures(const translator *t, translate_list *list) {
    const char *out = t->all->out, *const *arguments = t->all->arguments;
    bool folder_in, folder_out;
    P2P_TRY(sys_path_is_folder(arguments[0], &folder_in));
    const bool one_picture = !arguments[1] && !folder_in;
    P2P_TRY(check_out(out, one_picture, &folder_out));
    if (one_picture && !folder_out && image_suffix_known(out)) return add_only_picture(t, list);
    translate_places places;
    p2p_status status = translate_places_open(&places, out);
    if (status == P2P_OK) status = add_arguments(t, list, &places);
    if (status == P2P_OK) status = check_places(list, &places);
    list->nested = status == P2P_OK && translate_places_nested(&places);
    translate_places_close(&places);
    return status;
}

/* ---- Checking ----------------------------------------------------------------------------------------- */

p2p_status translate_list_check_results(const translator *t, const translate_list *list) {
    result_file *files = calloc(list->count + 1, sizeof *files);
    if (!files) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", list->count);
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < list->count && status == P2P_OK; i++) {
        files[i] = (result_file){list->jobs[i].source, list->jobs[i].result};
        status = image_save_check(list->jobs[i].result, t->format.target);
    }
    if (status == P2P_OK) status = result_files_check(t->all->out, files, list->count, t->all->force);
    if (status == P2P_OK) status = result_files_sweep(files, list->count);
    free(files);
    return status;
}

/* The most host memory of a picture that is loaded, scaled and padded. */
static uint64_t reading_bytes(const translator *t, const image_facts *facts, const translate_job *job) {
    const image_format input = t->format.input;
    const image_header scaled = {job->scaled_width, job->scaled_height, input.channels, input.bits};
    const image_header padded = {job->width, job->height, input.channels, input.bits};
    const uint64_t loading = image_load_bytes(facts, input) + image_pixels_bytes(&scaled, input);
    const uint64_t padding = image_pixels_bytes(&scaled, input) + image_pixels_bytes(&padded, input);
    return loading > padding ? loading : padding;
}

/* The most host memory of a picture that is translated alone: it is read, then run, and its result may be
 * enlarged. */
static uint64_t picture_bytes(const translator *t, const translate_job *job) {
    const image_header result = {job->picture_width, job->picture_height, t->format.target.channels,
                                 t->format.target.bits};
    const uint64_t running = evaluate_bytes(job->width, job->height, &t->format) +
                             (t->all->keep_size ? image_pixels_bytes(&result, t->format.target) : 0);
    return job->reading_bytes > running ? job->reading_bytes : running;
}

static p2p_status measure(const translator *t, const picture_scale *scale, translate_job *job) {
    image_facts facts;
    P2P_TRY(image_inspect(job->source, &facts));
    job->picture_width = job->scaled_width = facts.header.width;
    job->picture_height = job->scaled_height = facts.header.height;
    P2P_TRY(picture_scale_size(scale, t, job->source, &job->scaled_width, &job->scaled_height));
    job->width = pad_side(job->scaled_width, translator_unit(t));
    job->height = pad_side(job->scaled_height, translator_unit(t));
    job->reading_bytes = reading_bytes(t, &facts, job);
    return image_memory_check(picture_bytes(t, job), job->source);
}

/* By padded size, then by name. */
static int compare_jobs(const void *left, const void *right) {
    const translate_job *a = left, *b = right;
    if (a->height != b->height) return a->height < b->height ? -1 : 1;
    if (a->width != b->width) return a->width < b->width ? -1 : 1;
    return strcmp(a->source, b->source);
}

bool translate_skips(const translator *t, p2p_status status) {
    const bool bad = status == P2P_INPUT || status == P2P_UNREADABLE || status == P2P_IO;
    if (!bad || strcmp(t->all->on_bad_image, "skip") != 0) return false;
    text_print_line("left out: ", p2p_message(), stderr);
    return true;
}

static void free_job(translate_job *job) {
    free(job->source);
    free(job->result);
}

static p2p_status check_left(const translate_list *list) {
    return list->count > 0 ? P2P_OK : p2p_fail(P2P_INPUT, "no usable picture is left");
}

static p2p_status measure_all(const translator *t, const picture_scale *scale, translate_list *list) {
    const size_t count = list->count;
    p2p_status status = P2P_OK;
    list->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (status == P2P_OK) status = measure(t, scale, &list->jobs[i]);
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

/* ---- Memory ------------------------------------------------------------------------------------------- */

static int64_t pixels_of(const translate_job *job) {
    return (int64_t)job->width * job->height;
}

/* Whether a job needs more memory than another in one respect. */
typedef bool job_order(const translate_job *job, const translate_job *other);

static bool is_larger(const translate_job *job, const translate_job *other) {
    const int64_t more = pixels_of(job) - pixels_of(other);
    return more != 0 ? more > 0 : job->reading_bytes > other->reading_bytes;
}

static bool reads_more(const translate_job *job, const translate_job *other) {
    return job->reading_bytes != other->reading_bytes ? job->reading_bytes > other->reading_bytes
                                                      : pixels_of(job) > pixels_of(other);
}

/* The index of the first job in the order. */
static size_t most_of(const translate_list *list, job_order *order) {
    size_t most = 0;
    for (size_t i = 1; i < list->count; i++)
        if (order(&list->jobs[i], &list->jobs[most])) most = i;
    return most;
}

static p2p_status refuse_large(const translate_job *job, const memory_fit *fit) {
    if (setup_memory_hopeless(fit)) return setup_memory_refuse(fit);
    p2p_fail(P2P_INPUT, "%s is too large: %s", job->source, fit->text);
    return p2p_hint(P2P_INPUT, "%s; make the picture smaller, or leave it out with --on-bad-image skip",
                    fit->proposal);
}

static void remove_job(translate_list *list, size_t index) {
    free_job(&list->jobs[index]);
    list->count--;
    memmove(&list->jobs[index], &list->jobs[index + 1], (list->count - index) * sizeof *list->jobs);
    list->skipped++;
}

/* Refuse or remove pictures in the order, until one fits. Equal ones are measured once. */
static p2p_status fit_most(translator *t, translate_list *list, job_order *order) {
    memory_fit fit = {0};
    translate_job last = {0};
    while (list->count > 0) {
        const size_t most = most_of(list, order);
        const translate_job *job = &list->jobs[most];
        t->picture_bytes = job->reading_bytes;
        if (job->width != last.width || job->height != last.height ||
            job->reading_bytes != last.reading_bytes)
            P2P_TRY(translator_fit_picture(t, job->width, job->height, &fit));
        last = *job;
        if (fit.fits) break;
        const p2p_status status = refuse_large(job, &fit);
        if (!translate_skips(t, status)) return status;
        remove_job(list, most);
    }
    return P2P_OK;
}

/* If the largest picture fits, and the one whose reading takes the most, all others do, each alone. */
p2p_status translate_list_fit(translator *t, translate_list *list) {
    P2P_TRY(fit_most(t, list, is_larger));
    P2P_TRY(fit_most(t, list, reads_more));
    t->picture_bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->jobs[i].reading_bytes > t->picture_bytes) t->picture_bytes = list->jobs[i].reading_bytes;
    return check_left(list);
}

p2p_status translate_list_make(const translator *t, const picture_scale *scale, translate_list *list) {
    *list = (translate_list){0};
    P2P_TRY(list_pictures(t, list));
    P2P_TRY(translate_list_check_results(t, list));
    P2P_TRY(measure_all(t, scale, list));
    return check_left(list);
}

void translate_list_free(translate_list *list) {
    for (size_t i = 0; i < list->count; i++) free_job(&list->jobs[i]);
    free(list->jobs);
    *list = (translate_list){0};
}
