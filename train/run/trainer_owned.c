/* Whose the files in a training's folder are. See trainer_folder.h. Files of older versions have no identity,
 * which equals that of an older training. */
#include "trainer_folder.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "image/image.h"
#include "report/event_file.h"
#include "report/run_page.h"
#include "use/run_files.h"

#include <stdlib.h>
#include <string.h>

/* A file is damaged if its contents are; one that can't be read, for lack of memory too, is a failure. */

static ownership owner_of(const trainer *t, const char *run) {
    return strcmp(run, t->kept_run) == 0 ? OWNED : OWNED_BY_OTHERS;
}

/* `read` is the result of reading the identity. */
static p2p_status owner_of_read(const trainer *t, p2p_status read, const model_file_identity *identity,
                                ownership *owner) {
    *owner = OWNED_DAMAGED;
    if (read == P2P_INPUT) return P2P_OK;
    P2P_TRY(read);
    *owner = identity->foreign ? OWNED_BY_OTHERS : owner_of(t, identity->run);
    return P2P_OK;
}

p2p_status trainer_owner_of_model(const trainer *t, const char *path, model_file_identity *identity,
                                  ownership *owner) {
    return owner_of_read(t, model_file_identify(path, identity), identity, owner);
}

p2p_status trainer_verify_model(const trainer *t, const char *path, model_file_identity *identity,
                                ownership *owner) {
    return owner_of_read(t, model_file_verify(path, identity), identity, owner);
}

p2p_status trainer_set_aside(const char *path) {
    char *aside;
    P2P_TRY(sys_file_set_aside(&aside, path));
    p2p_warn("%s is damaged and was renamed to %s", path, aside);
    free(aside);
    return P2P_OK;
}

p2p_status trainer_owner_of_sample(const trainer *t, const char *path, ownership *owner) {
    char label[IMAGE_LABEL_BYTES];
    *owner = OWNED_DAMAGED;
    const p2p_status status = image_label(path, label);
    if (status == P2P_INPUT) return P2P_OK;
    P2P_TRY(status);
    *owner = owner_of(t, label);
    return P2P_OK;
}

p2p_status trainer_owner_of_numbers(const trainer *t, const char *path, int64_t *epoch, ownership *owner) {
    json_t *object;
    *owner = OWNED_DAMAGED;
    *epoch = 0;
    const p2p_status status = json_file_read_sealed(path, &object);
    if (status == P2P_INPUT) return P2P_OK;
    P2P_TRY(status);
    const char *run = json_string_value(json_object_get(object, "run"));
    *owner = owner_of(t, run ? run : "");
    *epoch = json_integer_value(json_object_get(object, "epoch"));
    json_decref(object);
    return P2P_OK;
}

/* ---- The check before a training is resumed ------------------------------------------------------------ */

static p2p_status refuse(const char *path) {
    p2p_fail(P2P_INPUT, "%s belongs to another training than its folder", path);
    return p2p_hint(P2P_INPUT, "move it to another folder; it is neither used nor overwritten");
}

/* The checks are handlers of trainer_each_file, without a context. */

static p2p_status check_model(const trainer *t, const char *path, void *none) {
    (void)none;
    model_file_identity identity;
    ownership owner;
    bool exists;
    P2P_TRY(sys_path_exists(path, &exists));
    if (!exists) return P2P_OK;
    P2P_TRY(trainer_owner_of_model(t, path, &identity, &owner));
    return owner == OWNED_BY_OTHERS ? refuse(path) : P2P_OK;
}

static p2p_status check_sample(const trainer *t, const char *path, void *none) {
    (void)none;
    ownership owner;
    P2P_TRY(trainer_owner_of_sample(t, path, &owner));
    return owner == OWNED_BY_OTHERS ? refuse(path) : P2P_OK;
}

p2p_status trainer_each_file(const trainer *t, const char *folder, bool (*wanted)(const char *),
                             trainer_file_handler *handle, void *context) {
    sys_names names;
    bool exists;
    P2P_TRY(sys_path_is_folder(folder, &exists));
    if (!exists) return P2P_OK;
    p2p_status status = sys_folder_walk(&names, folder, wanted);
    for (size_t i = 0; status == P2P_OK && i < names.count; i++) {
        char *path;
        status = sys_path_join(&path, folder, names.names[i]);
        if (status == P2P_OK) status = handle(t, path, context);
        free(path);
    }
    sys_names_free(&names);
    return status;
}

static p2p_status check_best_file(const trainer *t, const char *path, void *none) {
    const size_t length = strlen(path), suffix = sizeof ".json" - 1;
    ownership owner;
    int64_t epoch;
    if (length < suffix || strcmp(path + length - suffix, ".json") != 0) return check_model(t, path, none);
    P2P_TRY(trainer_owner_of_numbers(t, path, &epoch, &owner));
    return owner == OWNED_BY_OTHERS ? refuse(path) : P2P_OK;
}

/* A file that is not a page of p2p, or can't be read, is a person's: the training leaves it there and
 * continues without a report. */
static p2p_status check_report(const trainer *t, const char *path) {
    char run[PAGE_RUN_BYTES];
    const bool known = page_run(path, RUN_PAGE, run) == P2P_OK;
    return known && !run_page_is_of(run, t->kept_run) ? refuse(path) : P2P_OK;
}

/* Files of older versions, and those of a training without an identity, are not known. */
static bool is_event_name(const char *name) {
    const char *run;
    return event_file_run(name, &run);
}

static p2p_status check_events(const trainer *t, const char *path, void *none) {
    (void)none;
    const char *run;
    const bool other =
        event_file_run(sys_base_name(path), &run) && strncmp(run, t->kept_run, MODEL_FILE_RUN_BYTES - 1) != 0;
    return other ? refuse(path) : P2P_OK;
}

p2p_status trainer_check_owner(const trainer *t) {
    const trainer_paths *paths = &t->paths;
    P2P_TRY(check_model(t, paths->generator, NULL));
    P2P_TRY(check_model(t, paths->discriminator, NULL));
    P2P_TRY(metrics_check_run(paths->metrics, t->kept_run));
    P2P_TRY(check_report(t, paths->report));
    P2P_TRY(trainer_each_file(t, paths->epochs, run_is_epoch_name, check_model, NULL));
    P2P_TRY(trainer_each_file(t, paths->samples, run_is_sample_name, check_sample, NULL));
    P2P_TRY(trainer_each_file(t, paths->tensorboard, is_event_name, check_events, NULL));
    P2P_TRY(trainer_each_file(t, paths->best, run_is_best_name, check_best_file, NULL));
    return trainer_each_file(t, paths->kept_best, run_is_best_name, check_best_file, NULL);
}
