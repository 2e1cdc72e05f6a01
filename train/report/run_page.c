/* See run_page.h. */
#include "run_page.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "host/text.h"
#include "image/image.h"
#include "json_text.h"
#include "model_file.h"
#include "options/options.h"
#include "use/run_files.h"

#include <stdlib.h>
#include <string.h>

/* ---- Pictures ----------------------------------------------------------------------------------------- */

static int compare_numbers(const void *left, const void *right) {
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void sort_numbers(int64_t *numbers, size_t count) {
    if (count > 0) qsort(numbers, count, sizeof *numbers, compare_numbers);
}

static p2p_status take_numbers(run_shown *run, const sys_names *names) {
    run->epochs = calloc(names->count + 1, sizeof *run->epochs);
    run->steps = calloc(names->count + 1, sizeof *run->steps);
    if (!run->epochs || !run->steps) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the list of pictures");
    for (size_t i = 0; i < names->count; i++) {
        int64_t epoch, step;
        run_sample_of_name(names->names[i], &epoch, &step);
        if (epoch > 0) run->epochs[run->epoch_count++] = epoch;
        if (step > 0) run->steps[run->step_count++] = step;
    }
    sort_numbers(run->epochs, run->epoch_count);
    sort_numbers(run->steps, run->step_count);
    return P2P_OK;
}

/* A picture that is damaged or can't be read counts as the training's own; a browser shows the damage. */
static p2p_status is_own_sample(const char *folder, const char *name, const char *identity, bool *own) {
    char label[IMAGE_LABEL_BYTES], *path;
    P2P_TRY(sys_path_join(&path, folder, name));
    const p2p_status status = image_label(path, label);
    free(path);
    const bool unknown = status == P2P_INPUT || status == P2P_UNREADABLE;
    *own = unknown || (status == P2P_OK && strcmp(label, identity) == 0);
    return unknown ? P2P_OK : status;
}

/* Remove the names of other trainings' pictures, and count them. */
static p2p_status leave_out_others(run_shown *run, const char *folder, sys_names *names,
                                   const char *identity) {
    size_t own_count = 0;
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < names->count; i++) {
        bool own = true;
        char *name = names->names[i];
        if (status == P2P_OK) status = is_own_sample(folder, name, identity, &own);
        if (!own && run->others++ == 0) snprintf(run->other, sizeof run->other, "%s", name);
        if (own)
            names->names[own_count++] = name;
        else
            free(name);
    }
    names->count = own_count;
    return status;
}

static void report_others(const run_shown *run, const char *samples) {
    if (run->others > 0)
        text_line(stderr, "%s: %s belongs to another training than its folder, and is not shown", samples,
                  run->other);
    if (run->others > 1) fprintf(stderr, "likewise %zu others\n", run->others - 1);
}

p2p_status run_shown_find_samples(run_shown *run, const char *samples, const char *identity) {
    sys_names names;
    bool exists;
    P2P_TRY(sys_path_is_folder(samples, &exists));
    if (!exists) return P2P_OK;
    p2p_status status = sys_folder_walk(&names, samples, run_is_sample_name);
    if (status == P2P_OK && identity) status = leave_out_others(run, samples, &names, identity);
    if (status == P2P_OK) status = take_numbers(run, &names);
    sys_names_free(&names);
    return status;
}

/* ---- A training's files ------------------------------------------------------------------------------- */

/* P2P_INPUT if the log and config.json name two trainings. A log whose first line is damaged or absent is
 * taken for that of config.json. */
static p2p_status check_identity(const run_shown *run, const char *folder, char identity[HISTORY_RUN_BYTES]) {
    const char *text = json_string_value(json_object_get(run->config, "run"));
    if (!text) text = "";
    if (!run->config || strcmp(text, identity) == 0) return P2P_OK;
    if (model_file_run_is_damaged(identity, text)) {
        p2p_warn("%s: the first line of " RUN_METRICS ", which names the training, is damaged or missing",
                 folder);
        snprintf(identity, HISTORY_RUN_BYTES, "%s", text);
        return P2P_OK;
    }
    p2p_fail(P2P_INPUT, "%s: " RUN_METRICS " and " RUN_CONFIG " belong to two trainings", folder);
    return p2p_hint(P2P_INPUT, "move the file that does not belong there to another folder");
}

static p2p_status read_config(run_shown *run, const char *folder) {
    char *path;
    bool exists;
    P2P_TRY(sys_path_join(&path, folder, RUN_CONFIG));
    p2p_status status = sys_path_exists(path, &exists);
    if (status == P2P_OK && exists) status = json_file_read_sealed(path, &run->config);
    free(path);
    return status;
}

static p2p_status read_log(run_shown *run, const char *folder, const history_watch *watch,
                           char identity[HISTORY_RUN_BYTES]) {
    char *path;
    bool exists;
    P2P_TRY(history_create(&run->past));
    P2P_TRY(sys_path_join(&path, folder, RUN_METRICS));
    p2p_status status = sys_path_exists(path, &exists);
    if (status == P2P_OK && !exists) {
        p2p_fail(P2P_INPUT, "%s: no training to report: there is no " RUN_METRICS, folder);
        status = p2p_hint(P2P_INPUT, "name the folder that was --out of p2p train");
    }
    if (status == P2P_OK) status = history_read(run->past, path, watch, identity);
    free(path);
    if (identity[0] && !model_file_is_run(identity)) identity[0] = '\0';
    return status;
}

p2p_status run_shown_read(run_shown *run, const char *folder, const history_watch *watch,
                          char identity[HISTORY_RUN_BYTES]) {
    char *samples;
    *run = (run_shown){.name = folder, .link = ""};
    identity[0] = '\0';
    P2P_TRY(read_log(run, folder, watch, identity));
    P2P_TRY(read_config(run, folder));
    P2P_TRY(check_identity(run, folder, identity));
    P2P_TRY(sys_path_join(&samples, folder, RUN_SAMPLES));
    const bool known = run->config || identity[0];
    const p2p_status status = run_shown_find_samples(run, samples, known ? identity : NULL);
    if (status == P2P_OK) report_others(run, samples);
    free(samples);
    return status;
}

void run_shown_free(run_shown *run) {
    history_destroy(run->past);
    json_decref(run->config);
    free(run->epochs);
    free(run->steps);
    *run = (run_shown){0};
}

/* ---- The length --------------------------------------------------------------------------------------- */

enum { MOST_PARTS = 1000000 /* of a batch; three such numbers have a product */ };

/* A number from 1 to `most`; `otherwise` for what is none. */
static int64_t count_in(const json_t *object, const char *name, int64_t most, int64_t otherwise) {
    const json_t *value = json_object_get(object, name);
    const int64_t count = json_integer_value(value); /* 0 for what is no number */
    return count > 0 && count <= most ? count : otherwise;
}

/* The steps of a whole epoch, with the devices of config.json; 0: not known. */
static int64_t epoch_steps(const run_shown *run) {
    const json_t *origin = json_object_get(run->config, "origin");
    const int64_t pairs = count_in(json_object_get(origin, "training"), "pairs", INT32_MAX, 0);
    const int64_t all = count_in(run->config, "batch", MOST_PARTS, 1) *
                        count_in(run->config, "grad_accumulate", MOST_PARTS, 1) *
                        count_in(origin, "devices", MOST_PARTS, 1);
    return (pairs + all - 1) / all;
}

static int64_t epochs_wanted(const run_shown *run) {
    const char *policy = json_string_value(json_object_get(run->config, "lr_policy"));
    const bool linear = policy && strcmp(policy, "linear") == 0;
    const int64_t epochs = count_in(run->config, "epochs", INT32_MAX, 0);
    return epochs + (epochs > 0 && linear ? count_in(run->config, "epochs_decay", INT32_MAX, 0) : 0);
}

/* The steps of the whole training, which --epochs and --steps limit; 0: not known. Other devices may have
 * made the epochs that have ended. */
static int64_t total_steps(const run_shown *run) {
    const int64_t steps = count_in(run->config, "steps", INT32_MAX, 0), wanted = epochs_wanted(run);
    const int64_t each = epoch_steps(run);
    int64_t epochs, made;
    history_position(run->past, &epochs, &made);
    if (each == 0 || wanted == 0 || epochs < 0 || epochs > wanted || made > INT32_MAX) return steps;
    const int64_t by_epochs = made + (wanted - epochs) * each;
    return steps > 0 && steps < by_epochs ? steps : by_epochs;
}

/* ---- The page ----------------------------------------------------------------------------------------- */

static json_t *numbers_to_json(const int64_t *numbers, size_t count) {
    json_t *array = json_array();
    for (size_t i = 0; i < count && array; i++) {
        if (json_array_append_new(array, json_integer(numbers[i])) == 0) continue;
        json_decref(array);
        array = NULL;
    }
    return array;
}

/* The command that begins such a training. */
static json_t *command_to_json(const run_shown *run) {
    char *command = settings_begin_command(run->config, run->name);
    json_t *text = command ? page_text(command) : NULL;
    free(command);
    return text;
}

static json_t *run_to_json(const run_shown *run) {
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "name", page_text(run->name), "samples",
        page_link(run->link, RUN_SAMPLES), "sample_epochs", numbers_to_json(run->epochs, run->epoch_count),
        "sample_steps", numbers_to_json(run->steps, run->step_count), "history", history_to_json(run->past));
    object = json_text_add(object, "config", run->config != NULL, json_incref(run->config));
    const int64_t each = epoch_steps(run), total = total_steps(run);
    object = json_text_add(object, "epoch_steps", each > 0, json_integer(each));
    object = json_text_add(object, "total_steps", total > 0, json_integer(total));
    return json_text_add(object, "command", run->config != NULL, run->config ? command_to_json(run) : NULL);
}

static json_t *runs_to_json(const run_shown *runs, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count && array; i++) {
        if (json_array_append_new(array, run_to_json(&runs[i])) == 0) continue;
        json_decref(array);
        array = NULL;
    }
    return json_pack("{s:o}", "runs", array);
}

/* The last part of a path, of which slashes at the end are cut off. */
static const char *path_end(char *path) {
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/') path[--length] = '\0';
    return sys_base_name(path);
}

/* "NAME: training", with the last part of the folder's path, or of its real one for "." and the like. The
 * caller frees it. */
static p2p_status title_of(const run_shown *run, char **title) {
    static const char what[] = ": training";
    char *path;
    P2P_TRY(sys_path_join(&path, "", run->name));
    const char *name = path_end(path);
    if (strspn(name, ".") == strlen(name)) {
        free(path);
        P2P_TRY(sys_path_real(&path, run->name));
        name = path_end(path);
    }
    const size_t room = strlen(name) + sizeof what;
    *title = malloc(room);
    if (*title) snprintf(*title, room, "%s%s", name, what);
    free(path);
    return *title ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a page's title");
}

p2p_status run_page_make(const run_shown *runs, int count, const char *identity, char **text, size_t *size) {
    char *title = NULL;
    if (count == 1) P2P_TRY(title_of(&runs[0], &title));
    const p2p_status status = page_make(RUN_PAGE, title ? title : "Several trainings", identity,
                                        runs_to_json(runs, count), text, size);
    free(title);
    return status;
}

p2p_status run_page_write(const char *path, const run_shown *runs, int count, const char *identity) {
    char *text;
    size_t size;
    P2P_TRY(run_page_make(runs, count, identity, &text, &size));
    const p2p_status status = sys_file_write(path, text, size);
    free(text);
    return status;
}

bool run_page_is_of(const char *found, const char *identity) {
    return strcmp(found, identity) == 0 || (found[0] && model_file_run_is_damaged(found, identity));
}

p2p_status run_page_check(const char *path, const char *identity) {
    char there[PAGE_RUN_BYTES];
    bool exists;
    P2P_TRY(sys_path_exists(path, &exists));
    if (!exists) return P2P_OK;
    const p2p_status status = page_run(path, RUN_PAGE, there);
    if (status != P2P_OK && status != P2P_INPUT) return status;
    if (status == P2P_OK && run_page_is_of(there, identity)) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s exists and is not the page of this training", path);
    return p2p_hint(P2P_INPUT, "move it away, or name another file with -o");
}
