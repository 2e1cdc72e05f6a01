/* See run_models.h. */
#include "run_models.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "host/text.h"
#include "model_file.h"
#include "p2p_printable.h"
#include "run_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Epochs ------------------------------------------------------------------------------------------- */

static int compare_epochs(const void *left, const void *right) {
    const int64_t a = run_epoch_of_name(*(char *const *)left), b = run_epoch_of_name(*(char *const *)right);
    return a < b ? -1 : a > b;
}

/* The generators of epochs, in order of their numbers. */
static p2p_status list_epochs(const char *folder, sys_names *names) {
    *names = (sys_names){0};
    bool exists;
    P2P_TRY(sys_path_is_folder(folder, &exists));
    if (!exists) return P2P_OK;
    P2P_TRY(sys_folder_walk(names, folder, run_is_epoch_name));
    if (names->count > 0) qsort(names->names, names->count, sizeof *names->names, compare_epochs);
    return P2P_OK;
}

/* "1 to 3, 5", truncated to `size`. */
static void epochs_text(const sys_names *names, char *text, size_t size) {
    text[0] = '\0';
    for (size_t i = 0; i < names->count; i++) {
        char range[64];
        size_t last = i;
        const int64_t first = run_epoch_of_name(names->names[i]);
        while (last + 1 < names->count &&
               run_epoch_of_name(names->names[last + 1]) == first + (int64_t)(last + 1 - i))
            last++;
        if (last > i)
            snprintf(range, sizeof range, "%" PRId64 " to %" PRId64, first,
                     run_epoch_of_name(names->names[last]));
        else
            snprintf(range, sizeof range, "%" PRId64, first);
        p2p_list_append(text, size, range);
        i = last;
    }
}

static p2p_status no_epoch(const char *folder, const sys_names *names, int64_t epoch) {
    char there[256];
    if (names->count == 0)
        return p2p_fail(P2P_INPUT, "--epoch %" PRId64 ": %s holds no epoch's generator", epoch, folder);
    epochs_text(names, there, sizeof there);
    return p2p_fail(P2P_INPUT, "--epoch %" PRId64 " is not in %s: there are %s", epoch, folder, there);
}

/* ---- Whose files -------------------------------------------------------------------------------------- */

/* The training of a folder: as config.json names it, in best/ best.json, else that of the generator beside
 * it. Not known without them, as in a folder of copied files. */
typedef struct {
    bool known;
    char run[MODEL_FILE_RUN_BYTES]; /* "": of an older version */
} folder_run;

/* Take the training from a JSON file, if it exists and is intact. */
static p2p_status take_json_run(const char *folder, const char *name, folder_run *found) {
    char *path;
    json_t *object = NULL;
    bool exists;
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = sys_path_exists(path, &exists);
    if (status == P2P_OK && exists) status = json_file_read_sealed(path, &object);
    free(path);
    if (status != P2P_OK) return status == P2P_INPUT ? P2P_OK : status;
    const char *run = json_string_value(json_object_get(object, "run"));
    found->known = object != NULL;
    snprintf(found->run, sizeof found->run, "%s", run && model_file_is_run(run) ? run : "");
    json_decref(object);
    return P2P_OK;
}

static p2p_status take_model_run(const char *folder, folder_run *found) {
    char *path;
    bool exists;
    model_file_identity identity = {.foreign = true};
    P2P_TRY(sys_path_join(&path, folder, RUN_GENERATOR));
    p2p_status status = sys_path_exists(path, &exists);
    if (status == P2P_OK && exists) status = model_file_identify(path, &identity);
    free(path);
    if (status != P2P_OK) return status == P2P_INPUT ? P2P_OK : status;
    found->known = !identity.foreign;
    snprintf(found->run, sizeof found->run, "%s", identity.run);
    return P2P_OK;
}

static p2p_status run_of_folder(const char *folder, folder_run *found) {
    *found = (folder_run){0};
    P2P_TRY(take_json_run(folder, RUN_CONFIG, found));
    if (!found->known) P2P_TRY(take_json_run(folder, RUN_BEST_NUMBERS, found));
    return found->known ? P2P_OK : take_model_run(folder, found);
}

static bool is_own(const folder_run *folder, const model_file_identity *identity) {
    return !folder->known || (!identity->foreign && strcmp(identity->run, folder->run) == 0);
}

/* ---- The folder ---------------------------------------------------------------------------------------- */

/* Where an option looks for a model. */
typedef struct {
    const char *option, *given;
    folder_run run;
    char *epochs; /* the folder; owned */
    sys_names names;
} search;

static p2p_status search_begin(search *s, const char *option, const char *given) {
    *s = (search){.option = option, .given = given};
    P2P_TRY(sys_path_join(&s->epochs, given, RUN_EPOCHS));
    P2P_TRY(list_epochs(s->epochs, &s->names));
    return run_of_folder(given, &s->run);
}

static void search_end(search *s) {
    sys_names_free(&s->names);
    free(s->epochs);
}

static p2p_status lacks(const search *s, const char *name) {
    p2p_fail(P2P_INPUT, "--%s %s: the folder has no %s", s->option, s->given, name);
    return p2p_hint(P2P_INPUT, "give a model's file, or the folder of a training");
}

static p2p_status check_owner(const search *s, const char *path, model_file_identity *identity) {
    P2P_TRY(model_file_identify(path, identity));
    if (is_own(&s->run, identity)) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s belongs to another training than its folder", path);
    return p2p_hint(P2P_INPUT, "--%s %s uses it all the same", s->option, path);
}

/* Report a newer state of the training than the model has: the file was put back, or a process was killed
 * before it wrote its models. */
static p2p_status note_newer_checkpoint(const search *s, const char *path, int64_t step) {
    char *folder;
    bool exists;
    int64_t newest = 0;
    sys_names names = {0};
    P2P_TRY(sys_path_join(&folder, s->given, RUN_CHECKPOINTS));
    p2p_status status = sys_path_is_folder(folder, &exists);
    if (status == P2P_OK && exists) status = sys_folder_walk(&names, folder, run_is_checkpoint_name);
    free(folder);
    for (size_t i = 0; i < names.count; i++) {
        const int64_t found = run_step_of_checkpoint(names.names[i]);
        if (found > newest) newest = found;
    }
    sys_names_free(&names);
    if (status == P2P_OK && newest > step)
        text_line(stderr,
                  "%s is of step %" PRId64 ", but there is a checkpoint of step %" PRId64
                  ": p2p train --resume writes the models of the newest intact one",
                  path, step, newest);
    if (status == P2P_OUT_OF_MEMORY) return status;
    if (status != P2P_OK) p2p_warn("it is not known whether there are newer checkpoints: %s", p2p_message());
    return P2P_OK;
}

/* ---- Selection ---------------------------------------------------------------------------------------- */

static p2p_status find_epoch(const search *s, int64_t epoch, char **path) {
    model_file_identity identity;
    for (size_t i = 0; i < s->names.count; i++) {
        if (run_epoch_of_name(s->names.names[i]) != epoch) continue;
        P2P_TRY(sys_path_join(path, s->epochs, s->names.names[i]));
        return check_owner(s, *path, &identity);
    }
    return no_epoch(s->epochs, &s->names, epoch);
}

/* A generator that may be selected, and the steps of its training. Owns the path; NULL: none. */
typedef struct {
    char *path;
    int64_t step;
} candidate;

/* Make `path` the candidate if it is the folder's own. Takes the path. A damaged file is a failure, because
 * another one must not be taken for it. */
static p2p_status consider(const search *s, char *path, candidate *found) {
    model_file_identity identity = {0};
    const p2p_status status = model_file_identify(path, &identity);
    if (status == P2P_OK && is_own(&s->run, &identity)) {
        *found = (candidate){.path = path, .step = identity.step};
        return P2P_OK;
    }
    if (status == P2P_OK)
        text_print_line("not used, because it belongs to another training than its folder: ", path, stderr);
    free(path);
    return status;
}

/* The folder's own generator beside the last checkpoint. */
static p2p_status consider_beside(const search *s, candidate *found) {
    char *path;
    sys_path_kind kind;
    P2P_TRY(sys_path_join(&path, s->given, RUN_GENERATOR));
    const p2p_status status = sys_path_kind_of(path, &kind);
    if (status == P2P_OK && kind != SYS_PATH_ABSENT) return consider(s, path, found);
    free(path);
    return status;
}

/* The folder's own generator of the last epoch. */
static p2p_status consider_epochs(const search *s, candidate *found) {
    for (size_t i = s->names.count; i > 0 && !found->path; i--) {
        char *path;
        P2P_TRY(sys_path_join(&path, s->epochs, s->names.names[i - 1]));
        P2P_TRY(consider(s, path, found));
    }
    return P2P_OK;
}

/* The one with more steps: either may be the newer one. */
static p2p_status find_newest(const search *s, char **path) {
    candidate beside = {0}, epoch = {0};
    p2p_status status = consider_beside(s, &beside);
    if (status == P2P_OK) status = consider_epochs(s, &epoch);
    const bool epoch_is_newer = epoch.path && (!beside.path || epoch.step > beside.step);
    const candidate *newest = epoch_is_newer ? &epoch : &beside;
    free(epoch_is_newer ? beside.path : epoch.path);
    *path = newest->path;
    P2P_TRY(status);
    return *path ? note_newer_checkpoint(s, *path, newest->step) : lacks(s, RUN_GENERATOR);
}

static p2p_status find_beside(const search *s, const char *name, char **path) {
    model_file_identity identity;
    sys_path_kind kind;
    P2P_TRY(sys_path_join(path, s->given, name));
    P2P_TRY(sys_path_kind_of(*path, &kind));
    if (kind == SYS_PATH_ABSENT) return lacks(s, name);
    P2P_TRY(check_owner(s, *path, &identity));
    return note_newer_checkpoint(s, *path, identity.step);
}

/* Release the path after a failure. */
static p2p_status found(p2p_status status, char **path) {
    if (status == P2P_OK) return P2P_OK;
    free(*path);
    *path = NULL;
    return status;
}

p2p_status run_find_generator(const char *option, const char *given, int64_t epoch, char **path) {
    bool is_folder;
    search s;
    *path = NULL;
    P2P_TRY(sys_path_is_folder(given, &is_folder));
    if (!is_folder && epoch > 0)
        return p2p_fail(P2P_USAGE,
                        "--epoch %" PRId64 " selects from a training's folder, and --%s %s is not one", epoch,
                        option, given);
    if (!is_folder) return sys_path_join(path, "", given);
    p2p_status status = search_begin(&s, option, given);
    if (status == P2P_OK) status = epoch > 0 ? find_epoch(&s, epoch, path) : find_newest(&s, path);
    search_end(&s);
    return found(status, path);
}

p2p_status run_find_discriminator(const char *option, const char *given, char **path) {
    bool is_folder;
    search s;
    *path = NULL;
    P2P_TRY(sys_path_is_folder(given, &is_folder));
    if (!is_folder) return sys_path_join(path, "", given);
    p2p_status status = search_begin(&s, option, given);
    if (status == P2P_OK) status = find_beside(&s, RUN_DISCRIMINATOR, path);
    search_end(&s);
    return found(status, path);
}
