/* See run_files.h. */
#include "run_files.h"

#include "host/sys.h"
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

/* ---- Selection ---------------------------------------------------------------------------------------- */

static int compare_epochs(const void *left, const void *right) {
    const int64_t a = run_epoch_of_name(*(char *const *)left), b = run_epoch_of_name(*(char *const *)right);
    return a < b ? -1 : a > b;
}

/* The generators of epochs, in order of their numbers. */
static p2p_status list_epochs(const char *folder, sys_names *names) {
    *names = (sys_names){0};
    if (sys_path_kind_of(folder) != SYS_PATH_FOLDER) return P2P_OK;
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

static p2p_status find_epoch(const char *folder, const sys_names *names, int64_t epoch, char **path) {
    for (size_t i = 0; i < names->count; i++)
        if (run_epoch_of_name(names->names[i]) == epoch) return sys_path_join(path, folder, names->names[i]);
    return no_epoch(folder, names, epoch);
}

/* The number of training steps in a generator's file. */
static p2p_status steps_of(const char *path, int64_t *steps) {
    safetensors_file *file;
    pix2pix *model;
    model_file_info info;
    P2P_TRY(model_file_open(path, &file, &model, &info));
    *steps = info.step;
    pix2pix_destroy(model);
    safetensors_close(file);
    return P2P_OK;
}

/* The one with more steps of the generator beside the last checkpoint and that of the last epoch. Either may
 * be the newer one. Owns both paths; *newer is one of them, and the other is freed. */
static p2p_status newer_of(char *path, char *epoch_path, char **newer) {
    int64_t steps = 0, epoch_steps = 0;
    p2p_status status = steps_of(path, &steps);
    if (status == P2P_OK) status = steps_of(epoch_path, &epoch_steps);
    const bool epoch_is_newer = epoch_steps > steps;
    *newer = status != P2P_OK ? NULL : epoch_is_newer ? epoch_path : path;
    if (*newer != path) free(path);
    if (*newer != epoch_path) free(epoch_path);
    return status;
}

static p2p_status find_newest(const char *model, const char *folder, const sys_names *names, char **path) {
    char *epoch_path = NULL;
    P2P_TRY(sys_path_join(path, model, RUN_GENERATOR));
    const bool there = sys_path_kind_of(*path) != SYS_PATH_ABSENT;
    if (there && names->count == 0) return P2P_OK;
    if (names->count > 0) {
        p2p_status status = sys_path_join(&epoch_path, folder, names->names[names->count - 1]);
        if (status == P2P_OK && there) return newer_of(*path, epoch_path, path);
        if (status == P2P_OK) {
            free(*path);
            *path = epoch_path;
            return P2P_OK;
        }
    }
    free(*path);
    *path = NULL;
    return p2p_fail(P2P_INPUT, "--model %s: the folder holds no " RUN_GENERATOR, model);
}

p2p_status run_find_generator(const char *model, int64_t epoch, char **path) {
    *path = NULL;
    if (sys_path_kind_of(model) != SYS_PATH_FOLDER) {
        if (epoch > 0)
            return p2p_fail(P2P_USAGE,
                            "--epoch %" PRId64 " selects from a training's folder, and --model %s is not one",
                            epoch, model);
        return sys_path_join(path, "", model);
    }
    char *folder;
    sys_names names = {0};
    P2P_TRY(sys_path_join(&folder, model, RUN_EPOCHS));
    p2p_status status = list_epochs(folder, &names);
    if (status == P2P_OK)
        status =
            epoch > 0 ? find_epoch(folder, &names, epoch, path) : find_newest(model, folder, &names, path);
    sys_names_free(&names);
    free(folder);
    return status;
}
