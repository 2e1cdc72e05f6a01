/* The state of a training's folder when it is resumed. See trainer_folder.h.
 *
 * A process may have ended between any two files. After this every file has the state of the checkpoint, as
 * if the training had ended when the checkpoint was complete; what is newer is computed again to the same
 * bits. Each change is made whatever the changes before it were, so this may be interrupted too. All files
 * are known to be the training's own (trainer_check_owner).
 */
#include "trainer_folder.h"

#include "host/sys.h"
#include "host/text.h"
#include "trainer_save.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <stdlib.h>

/* What was changed, for the report. */
typedef struct {
    int removed;
    bool models;
} changes;

/* ---- Files of later epochs and steps ------------------------------------------------------------------- */

/* Handlers of trainer_each_file; `made`: changes. */

static p2p_status remove_file(const char *path, void *made) {
    ((changes *)made)->removed++;
    return sys_file_remove(path);
}

static p2p_status remove_newer_epoch(const trainer *t, const char *path, void *made) {
    return run_epoch_of_name(sys_base_name(path)) > t->at.epoch ? remove_file(path, made) : P2P_OK;
}

/* The picture at a training's end, of a step, is of its last step. */
static p2p_status remove_newer_sample(const trainer *t, const char *path, void *made) {
    int64_t epoch, step;
    run_sample_of_name(sys_base_name(path), &epoch, &step);
    return epoch > t->at.epoch || step > t->at.step ? remove_file(path, made) : P2P_OK;
}

/* ---- The models beside the checkpoint ------------------------------------------------------------------ */

static p2p_status has_state(const trainer *t, const char *path, bool is_generator, bool *has) {
    model_file_identity found;
    ownership owner;
    P2P_TRY(sys_path_exists(path, has));
    if (!*has) return P2P_OK;
    P2P_TRY(trainer_verify_model(t, path, &found, &owner));
    *has = owner == OWNED && found.is_generator == is_generator && found.step == t->at.step &&
           found.epoch == t->at.epoch;
    return P2P_OK;
}

static p2p_status restore_models(const trainer *t, changes *made) {
    bool first, second;
    P2P_TRY(has_state(t, t->paths.generator, true, &first));
    P2P_TRY(has_state(t, t->paths.discriminator, false, &second));
    if (first && second) return P2P_OK;
    made->models = true;
    return trainer_save_models(t);
}

/* ---- Damaged models of epochs -------------------------------------------------------------------------- */

static p2p_status set_aside_if_damaged(const trainer *t, const char *path, void *none) {
    (void)none;
    model_file_identity found;
    ownership owner;
    P2P_TRY(trainer_verify_model(t, path, &found, &owner));
    return owner == OWNED_DAMAGED ? trainer_set_aside(path) : P2P_OK;
}

/* ---- The whole folder ---------------------------------------------------------------------------------- */

static void report_changes(const trainer *t, const changes *made) {
    if (made->models)
        text_line(stderr,
                  "%s or %s was absent, damaged or of another state than the checkpoint: both were written "
                  "again",
                  t->paths.generator, RUN_DISCRIMINATOR);
    if (made->removed > 0)
        fprintf(stderr, "%d files of later steps than step %" PRId64 " were removed\n", made->removed,
                t->at.step);
}

/* Report the files that an ended epoch has with any settings, if they are absent: they can't be written
 * again. */
static p2p_status report_absent(const trainer *t) {
    char name[RUN_EPOCH_NAME_BYTES], *path;
    bool exists;
    if (t->at.epoch == 0) return P2P_OK;
    run_epoch_sample_name(name, t->at.epoch);
    P2P_TRY(sys_path_join(&path, t->paths.samples, name));
    p2p_status status = sys_path_exists(path, &exists);
    if (status == P2P_OK && !exists)
        text_line(stderr, "there is no %s, the picture of the last epoch; it can't be drawn again", path);
    free(path);
    if (status != P2P_OK || settings_given(t->all, "save-every") || t->at.epoch < t->all->save_every)
        return status;
    P2P_TRY(sys_path_is_folder(t->paths.epochs, &exists));
    if (!exists)
        text_line(stderr, "there is no %s: the models of epochs can't be written again", t->paths.epochs);
    return P2P_OK;
}

p2p_status trainer_restore(trainer *t) {
    changes made = {0};
    P2P_TRY(checkpoint_prune(t->paths.checkpoints, t->kept_run));
    if (t->resumed_from) P2P_TRY(restore_models(t, &made));
    P2P_TRY(trainer_restore_best(t, &made.removed));
    t->checkpoint_epoch = t->at.epoch;
    P2P_TRY(trainer_each_file(t, t->paths.epochs, run_is_epoch_name, remove_newer_epoch, &made));
    P2P_TRY(trainer_remove_old_epochs(t));
    P2P_TRY(trainer_each_file(t, t->paths.epochs, run_is_epoch_name, set_aside_if_damaged, NULL));
    P2P_TRY(trainer_each_file(t, t->paths.samples, run_is_sample_name, remove_newer_sample, &made));
    P2P_TRY(trainer_remove_old_samples(t));
    if (!t->resumed_from) P2P_TRY(sys_file_remove(t->paths.metrics));
    report_changes(t, &made);
    P2P_TRY(report_absent(t));
    return P2P_OK;
}
