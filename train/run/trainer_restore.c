/* The state of a training's folder when it is resumed. See trainer_folder.h.
 *
 * A process may have ended between any two files. After this every file has the state of the checkpoint, as if the
 * training had ended when the checkpoint was complete; what is newer is computed again to the same bits. Each change
 * is made whatever the changes before it were, so this may be interrupted too. All files are known to be the
 * training's own (trainer_check_owner).
 */
#include "trainer_folder.h"

#include "host/sys.h"
#include "trainer_save.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What was changed, for the report. */
typedef struct {
    int removed;
    bool models;
} changes;

/* ---- Files of later epochs and steps ------------------------------------------------------------------- */

static bool epoch_is_newer(const trainer *t, const char *name) {
    return run_epoch_of_name(name) > t->at.epoch;
}

/* The picture at a training's end, of a step, is of its last step. */
static bool sample_is_newer(const trainer *t, const char *name) {
    int64_t epoch, step;
    run_sample_of_name(name, &epoch, &step);
    return epoch > t->at.epoch || step > t->at.step;
}

static p2p_status remove_newer(const trainer *t, const char *folder, bool (*wanted)(const char *),
                               bool (*is_newer)(const trainer *, const char *), changes *made) {
    sys_names names;
    if (sys_path_kind_of(folder) != SYS_PATH_FOLDER) return P2P_OK;
    p2p_status status = sys_folder_walk(&names, folder, wanted);
    for (size_t i = 0; status == P2P_OK && i < names.count; i++) {
        char *path;
        if (!is_newer(t, names.names[i])) continue;
        status = sys_path_join(&path, folder, names.names[i]);
        if (status == P2P_OK) status = sys_file_remove(path);
        free(path);
        made->removed++;
    }
    sys_names_free(&names);
    return status;
}

/* ---- The models beside the checkpoint ------------------------------------------------------------------ */

static bool has_state(const trainer *t, const char *path, bool is_generator) {
    model_file_identity found;
    return trainer_owner_of_model(t, path, &found) == OWNED && found.is_generator == is_generator &&
           found.step == t->at.step && found.epoch == t->at.epoch;
}

static p2p_status restore_models(const trainer *t, changes *made) {
    if (has_state(t, t->paths.generator, true) && has_state(t, t->paths.discriminator, false)) return P2P_OK;
    made->models = true;
    return trainer_save_models(t);
}

/* ---- The best models ----------------------------------------------------------------------------------- */

static const char *const best_names[] = {RUN_GENERATOR, RUN_DISCRIMINATOR, RUN_BEST_NUMBERS};
enum { BEST_NAMES = sizeof best_names / sizeof best_names[0] };

/* The epoch of a file of best/; 0 if there is none or it is damaged. */
static int64_t best_epoch_of(const trainer *t, const char *path) {
    model_file_identity model;
    int64_t epoch;
    if (sys_path_kind_of(path) != SYS_PATH_FILE) return 0;
    const size_t length = strlen(path), name = sizeof RUN_BEST_NUMBERS - 1;
    if (strcmp(path + length - name, RUN_BEST_NUMBERS) == 0)
        return trainer_owner_of_numbers(t, path, &epoch) == OWNED ? epoch : 0;
    return trainer_owner_of_model(t, path, &model) == OWNED ? model.epoch : 0;
}

/* Remove a file if it exists. */
static p2p_status drop(const char *path, changes *made) {
    if (sys_path_kind_of(path) == SYS_PATH_ABSENT) return P2P_OK;
    made->removed++;
    return sys_file_remove(path);
}

/* Bring one file of best/ to the checkpoint's best epoch. *lacks: it can't be. */
static p2p_status restore_best_file(const trainer *t, const char *path, const char *kept, bool *lacks,
                                    changes *made) {
    const int64_t wanted = t->at.best_epoch;
    if (wanted > 0 && best_epoch_of(t, path) == wanted) return P2P_OK;
    if (wanted > 0 && best_epoch_of(t, kept) == wanted) return sys_file_move(kept, path);
    *lacks = wanted > 0;
    return drop(path, made);
}

/* Empty OUT/checkpoints/best. */
static p2p_status forget_kept_best(const trainer *t) {
    changes uncounted = {0};
    if (sys_path_kind_of(t->paths.kept_best) != SYS_PATH_FOLDER) return P2P_OK;
    for (int i = 0; i < BEST_NAMES; i++) {
        char *kept;
        P2P_TRY(sys_path_join(&kept, t->paths.kept_best, best_names[i]));
        p2p_status status = drop(kept, &uncounted);
        free(kept);
        P2P_TRY(status);
    }
    return sys_folder_remove(t->paths.kept_best);
}

/* Bring best/ to the best epoch of t->at, from the kept files if need be. */
static p2p_status restore_best(trainer *t, changes *made) {
    bool lacks = false;
    if (t->at.best_epoch > 0) P2P_TRY(sys_folder_make(t->paths.best));
    for (int i = 0; i < BEST_NAMES; i++) {
        char *path, *kept = NULL;
        P2P_TRY(sys_path_join(&path, t->paths.best, best_names[i]));
        p2p_status status = sys_path_join(&kept, t->paths.kept_best, best_names[i]);
        if (status == P2P_OK) status = restore_best_file(t, path, kept, &lacks, made);
        free(path);
        free(kept);
        P2P_TRY(status);
    }
    P2P_TRY(forget_kept_best(t));
    P2P_TRY(sys_folder_remove(t->paths.best));
    t->checkpoint_best = lacks ? 0 : t->at.best_epoch;
    if (lacks)
        fprintf(stderr,
                "%s lacks models of epoch %" PRId64 ", whose validation L1 of %.4f is the smallest so far; a smaller "
                "one writes them again\n",
                t->paths.best, t->at.best_epoch, t->at.best_l1);
    return P2P_OK;
}

p2p_status trainer_keep_best(trainer *t) {
    if (t->checkpoint_best == 0 || t->at.best_epoch != t->checkpoint_best) return P2P_OK;
    P2P_TRY(sys_folder_make(t->paths.kept_best));
    for (int i = 0; i < BEST_NAMES; i++) {
        char *path, *kept = NULL;
        P2P_TRY(sys_path_join(&path, t->paths.best, best_names[i]));
        p2p_status status = sys_path_join(&kept, t->paths.kept_best, best_names[i]);
        if (status == P2P_OK && sys_path_kind_of(path) != SYS_PATH_ABSENT) status = sys_file_move(path, kept);
        free(path);
        free(kept);
        P2P_TRY(status);
    }
    return P2P_OK;
}

p2p_status trainer_settle_best(trainer *t) {
    changes uncounted = {0};
    if (sys_path_kind_of(t->paths.kept_best) == SYS_PATH_FOLDER) return restore_best(t, &uncounted);
    t->checkpoint_best = t->at.best_epoch;
    return P2P_OK;
}

/* ---- The whole folder ---------------------------------------------------------------------------------- */

static bool epoch_is_there(const trainer *t, int64_t epoch) {
    char name[RUN_EPOCH_NAME_BYTES], *path;
    run_epoch_name(name, epoch);
    if (sys_path_join(&path, t->paths.epochs, name) != P2P_OK) return true;
    const bool there = sys_path_kind_of(path) != SYS_PATH_ABSENT;
    free(path);
    return there;
}

/* Report generators of epochs that --keep-epochs removed for newer ones, which were removed now. */
static void report_lacking_epochs(const trainer *t) {
    const int64_t every = t->all->save_every, keep = t->all->keep_epochs;
    int64_t lacking = 0, last = t->at.epoch - t->at.epoch % every;
    if (keep == 0 || settings_given(t->all, "save-every") || settings_given(t->all, "keep-epochs")) return;
    for (int64_t i = 0, epoch = last; epoch > 0 && i < keep; i++, epoch -= every)
        lacking += !epoch_is_there(t, epoch);
    if (lacking > 0)
        fprintf(stderr, "%s lacks the generators of %" PRId64 " epochs up to epoch %" PRId64 "\n", t->paths.epochs,
                lacking, last);
}

static void report_changes(const trainer *t, const changes *made) {
    if (made->models)
        fprintf(stderr, "%s and %s had another state than the checkpoint and were written again\n",
                t->paths.generator, RUN_DISCRIMINATOR);
    if (made->removed > 0)
        fprintf(stderr, "%d files of later steps than step %" PRId64 " were removed\n", made->removed, t->at.step);
}

p2p_status trainer_restore(trainer *t) {
    changes made = {0};
    P2P_TRY(checkpoint_prune(t->paths.checkpoints, t->kept_run));
    if (t->resumed_from) P2P_TRY(restore_models(t, &made));
    P2P_TRY(restore_best(t, &made));
    P2P_TRY(remove_newer(t, t->paths.epochs, run_is_epoch_name, epoch_is_newer, &made));
    P2P_TRY(remove_newer(t, t->paths.samples, run_is_sample_name, sample_is_newer, &made));
    if (!t->resumed_from) P2P_TRY(drop(t->paths.metrics, &made));
    report_changes(t, &made);
    report_lacking_epochs(t);
    return P2P_OK;
}
