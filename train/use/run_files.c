/* See run_files.h. */
#include "run_files.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "host/text.h"
#include "model_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void run_epoch_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch) {
    snprintf(name, RUN_EPOCH_NAME_BYTES, "%03" PRId64 "-" RUN_GENERATOR, epoch);
}

int64_t run_epoch_of_name(const char *name) {
    int64_t epoch;
    int length = 0;
    if (sscanf(name, "%9" SCNd64 "-" RUN_GENERATOR "%n", &epoch, &length) != 1) return 0;
    return length > 0 && name[length] == '\0' && epoch > 0 ? epoch : 0;
}

bool run_is_epoch_name(const char *name) {
    return run_epoch_of_name(name) > 0;
}

void run_epoch_sample_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch) {
    snprintf(name, RUN_EPOCH_NAME_BYTES, "epoch-%04" PRId64 ".png", epoch);
}

void run_step_sample_name(char name[RUN_EPOCH_NAME_BYTES], int64_t step) {
    snprintf(name, RUN_EPOCH_NAME_BYTES, "step-%06" PRId64 ".png", step);
}

void run_sample_of_name(const char *name, int64_t *epoch, int64_t *step) {
    int length = 0;
    *epoch = *step = 0;
    if (sscanf(name, "epoch-%10" SCNd64 ".png%n", epoch, &length) != 1 || length == 0) {
        *epoch = 0;
        if (sscanf(name, "step-%10" SCNd64 ".png%n", step, &length) != 1) *step = 0;
    }
    if (length == 0 || name[length] != '\0') *epoch = *step = 0;
}

bool run_is_sample_name(const char *name) {
    int64_t epoch, step;
    run_sample_of_name(name, &epoch, &step);
    return epoch > 0 || step > 0;
}

bool run_is_best_name(const char *name) {
    return strcmp(name, RUN_GENERATOR) == 0 || strcmp(name, RUN_DISCRIMINATOR) == 0 ||
           strcmp(name, RUN_BEST_NUMBERS) == 0;
}

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
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < names->count && length < size; i++) {
        size_t last = i;
        const int64_t first = run_epoch_of_name(names->names[i]);
        while (last + 1 < names->count &&
               run_epoch_of_name(names->names[last + 1]) == first + (int64_t)(last + 1 - i))
            last++;
        length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, i > 0 ? ", " : "", first);
        if (last > i && length < size)
            length += (size_t)snprintf(text + length, size - length, " to %" PRId64,
                                       run_epoch_of_name(names->names[last]));
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

/* The training of a folder: as config.json names it, else that of the generator beside it. Not known without
 * both, as in a folder of copied files. */
typedef struct {
    bool known;
    char run[MODEL_FILE_RUN_BYTES]; /* "": of an older version */
} folder_run;

/* *config is NULL if it is absent or damaged. */
static p2p_status read_config(const char *path, json_t **config) {
    bool exists;
    *config = NULL;
    P2P_TRY(sys_path_exists(path, &exists));
    if (!exists) return P2P_OK;
    const p2p_status status = json_file_read_sealed(path, config);
    return status == P2P_INPUT ? P2P_OK : status;
}

static p2p_status run_of_folder(const char *model, const char *beside_path, folder_run *found) {
    char *path;
    model_file_identity identity;
    *found = (folder_run){0};
    P2P_TRY(sys_path_join(&path, model, RUN_CONFIG));
    json_t *config;
    p2p_status status = read_config(path, &config);
    free(path);
    P2P_TRY(status);
    const char *run = json_string_value(json_object_get(config, "run"));
    found->known = config != NULL;
    snprintf(found->run, sizeof found->run, "%s", run && model_file_is_run(run) ? run : "");
    json_decref(config);
    bool exists;
    P2P_TRY(sys_path_exists(beside_path, &exists));
    if (found->known || !exists) return P2P_OK;
    status = model_file_identify(beside_path, &identity);
    if (status == P2P_INPUT) return P2P_OK;
    P2P_TRY(status);
    found->known = !identity.foreign;
    snprintf(found->run, sizeof found->run, "%s", identity.run);
    return P2P_OK;
}

static bool is_own(const folder_run *folder, const model_file_identity *identity) {
    return !folder->known || (!identity->foreign && strcmp(identity->run, folder->run) == 0);
}

static void report_foreign(const char *path) {
    text_print_line("not used, because it belongs to another training than its folder: ", path, stderr);
}

/* ---- Selection ---------------------------------------------------------------------------------------- */

static p2p_status check_epoch_owner(const folder_run *folder, const char *path) {
    model_file_identity identity;
    P2P_TRY(model_file_identify(path, &identity));
    if (is_own(folder, &identity)) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s belongs to another training than its folder", path);
    return p2p_hint(P2P_INPUT, "--model %s uses it all the same", path);
}

static p2p_status find_epoch(const folder_run *run, const char *folder, const sys_names *names, int64_t epoch,
                             char **path) {
    for (size_t i = 0; i < names->count; i++) {
        if (run_epoch_of_name(names->names[i]) != epoch) continue;
        P2P_TRY(sys_path_join(path, folder, names->names[i]));
        p2p_status status = check_epoch_owner(run, *path);
        if (status == P2P_OK) return P2P_OK;
        free(*path);
        *path = NULL;
        return status;
    }
    return no_epoch(folder, names, epoch);
}

/* A generator that may be selected, and the steps of its training. Owns the path; NULL: none. */
typedef struct {
    char *path;
    int64_t step;
} candidate;

/* Make `path` the candidate if it is the folder's own. Takes the path. A damaged file is a failure, because
 * another one must not be taken for it. */
static p2p_status consider(const folder_run *run, char *path, candidate *found) {
    model_file_identity identity = {0};
    const p2p_status status = model_file_identify(path, &identity);
    if (status == P2P_OK && is_own(run, &identity)) {
        *found = (candidate){.path = path, .step = identity.step};
        return P2P_OK;
    }
    if (status == P2P_OK) report_foreign(path);
    free(path);
    return status;
}

/* The folder's own generator of the last epoch. */
static p2p_status last_epoch(const folder_run *run, const char *folder, const sys_names *names,
                             candidate *found) {
    for (size_t i = names->count; i > 0 && !found->path; i--) {
        char *path;
        P2P_TRY(sys_path_join(&path, folder, names->names[i - 1]));
        P2P_TRY(consider(run, path, found));
    }
    return P2P_OK;
}

/* The one with more steps of the generator beside the last checkpoint and that of the last epoch. Either may
 * be the newer one. */
static p2p_status find_newest(const folder_run *run, char *beside_path, const char *model, const char *folder,
                              const sys_names *names, char **path) {
    candidate beside = {0}, epoch = {0};
    sys_path_kind kind;
    p2p_status status = sys_path_kind_of(beside_path, &kind);
    if (status == P2P_OK && kind != SYS_PATH_ABSENT)
        status = consider(run, beside_path, &beside);
    else
        free(beside_path);
    if (status == P2P_OK) status = last_epoch(run, folder, names, &epoch);
    if (status != P2P_OK) {
        free(beside.path);
        return status;
    }
    const bool epoch_is_newer = epoch.path && (!beside.path || epoch.step > beside.step);
    *path = epoch_is_newer ? epoch.path : beside.path;
    free(epoch_is_newer ? beside.path : epoch.path);
    if (*path) return P2P_OK;
    return p2p_fail(P2P_INPUT, "--model %s: the folder holds no " RUN_GENERATOR, model);
}

p2p_status run_find_generator(const char *model, int64_t epoch, char **path) {
    *path = NULL;
    bool is_folder;
    P2P_TRY(sys_path_is_folder(model, &is_folder));
    if (!is_folder) {
        if (epoch > 0)
            return p2p_fail(P2P_USAGE,
                            "--epoch %" PRId64 " selects from a training's folder, and --model %s is not one",
                            epoch, model);
        return sys_path_join(path, "", model);
    }
    char *folder, *beside_path;
    sys_names names = {0};
    folder_run run;
    P2P_TRY(sys_path_join(&folder, model, RUN_EPOCHS));
    p2p_status status = sys_path_join(&beside_path, model, RUN_GENERATOR);
    if (status == P2P_OK) status = list_epochs(folder, &names);
    if (status == P2P_OK) status = run_of_folder(model, beside_path, &run);
    if (status == P2P_OK && epoch == 0)
        status = find_newest(&run, beside_path, model, folder, &names, path);
    else
        free(beside_path);
    if (status == P2P_OK && epoch > 0) status = find_epoch(&run, folder, &names, epoch, path);
    sys_names_free(&names);
    free(folder);
    return status;
}
