/* OUT/best, and the copy that is kept for the last checkpoint. See trainer_folder.h. Files are moved one by
 * one, and each has its epoch, so a process may end between any two of them. */
#include "trainer_folder.h"

#include "host/sys.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const best_names[] = {RUN_GENERATOR, RUN_DISCRIMINATOR, RUN_BEST_NUMBERS};
enum { BEST_NAMES = sizeof best_names / sizeof best_names[0] };

/* The epoch of a file of best/; 0 if there is none or it is damaged. */
static p2p_status best_epoch_of(const trainer *t, const char *path, int64_t *epoch, bool *damaged) {
    model_file_identity model = {0};
    ownership owner;
    sys_path_kind kind;
    *epoch = 0;
    *damaged = false;
    P2P_TRY(sys_path_kind_of(path, &kind));
    if (kind != SYS_PATH_FILE) return P2P_OK;
    const size_t length = strlen(path), name = sizeof RUN_BEST_NUMBERS - 1;
    if (strcmp(path + length - name, RUN_BEST_NUMBERS) == 0) {
        P2P_TRY(trainer_owner_of_numbers(t, path, epoch, &owner));
    } else {
        P2P_TRY(trainer_verify_model(t, path, &model, &owner));
        *epoch = model.epoch;
    }
    *damaged = owner == OWNED_DAMAGED;
    if (owner != OWNED) *epoch = 0;
    return P2P_OK;
}

/* Remove a file if it exists. */
static p2p_status remove_counted(const char *path, int *removed) {
    bool exists;
    P2P_TRY(sys_path_exists(path, &exists));
    if (!exists) return P2P_OK;
    ++*removed;
    return sys_file_remove(path);
}

/* Restore one file of best/ to the checkpoint's best epoch. *lacks is set if that is impossible. */
static p2p_status restore_best_file(const trainer *t, const char *path, const char *kept, bool *lacks,
                                    int *removed) {
    const int64_t wanted = t->at.best_epoch;
    int64_t epoch, kept_epoch;
    bool damaged, kept_damaged;
    P2P_TRY(best_epoch_of(t, path, &epoch, &damaged));
    if (wanted > 0 && epoch == wanted) return P2P_OK;
    P2P_TRY(best_epoch_of(t, kept, &kept_epoch, &kept_damaged));
    if (wanted > 0 && kept_epoch == wanted) return sys_file_rename(kept, path);
    *lacks = wanted > 0;
    return damaged ? trainer_set_aside(path) : remove_counted(path, removed);
}

/* Empty OUT/checkpoints/best. */
static p2p_status clear_kept_best(const trainer *t) {
    int uncounted = 0;
    bool exists;
    P2P_TRY(sys_path_is_folder(t->paths.kept_best, &exists));
    if (!exists) return P2P_OK;
    for (int i = 0; i < BEST_NAMES; i++) {
        char *kept;
        P2P_TRY(sys_path_join(&kept, t->paths.kept_best, best_names[i]));
        p2p_status status = remove_counted(kept, &uncounted);
        free(kept);
        P2P_TRY(status);
    }
    return sys_folder_remove(t->paths.kept_best);
}

p2p_status trainer_restore_best(trainer *t, int *removed) {
    bool lacks = false;
    if (t->at.best_epoch > 0) P2P_TRY(sys_folder_make_one(t->paths.best));
    for (int i = 0; i < BEST_NAMES; i++) {
        char *path, *kept = NULL;
        P2P_TRY(sys_path_join(&path, t->paths.best, best_names[i]));
        p2p_status status = sys_path_join(&kept, t->paths.kept_best, best_names[i]);
        if (status == P2P_OK) status = restore_best_file(t, path, kept, &lacks, removed);
        free(path);
        free(kept);
        P2P_TRY(status);
    }
    P2P_TRY(clear_kept_best(t));
    P2P_TRY(sys_folder_remove(t->paths.best));
    t->checkpoint_best = lacks ? 0 : t->at.best_epoch;
    if (lacks)
        fprintf(stderr,
                "%s lacks files of epoch %" PRId64
                ", whose validation L1 of %.4f is the smallest so far; a smaller "
                "one writes all of them again\n",
                t->paths.best, t->at.best_epoch, t->at.best_l1);
    return P2P_OK;
}

p2p_status trainer_keep_best(trainer *t) {
    if (t->checkpoint_best == 0 || t->at.best_epoch != t->checkpoint_best) return P2P_OK;
    P2P_TRY(sys_folder_make_one(t->paths.kept_best));
    for (int i = 0; i < BEST_NAMES; i++) {
        char *path, *kept = NULL;
        P2P_TRY(sys_path_join(&path, t->paths.best, best_names[i]));
        p2p_status status = sys_path_join(&kept, t->paths.kept_best, best_names[i]);
        bool exists = false, is_kept = false;
        if (status == P2P_OK) status = sys_path_exists(path, &exists);
        if (status == P2P_OK) status = sys_path_exists(kept, &is_kept);
        /* After a failure this is repeated: then the file at `path` may be a newer one. */
        if (status == P2P_OK && exists && !is_kept) status = sys_file_rename(path, kept);
        free(path);
        free(kept);
        P2P_TRY(status);
    }
    return P2P_OK;
}

p2p_status trainer_settle_best(trainer *t) {
    int uncounted = 0;
    bool exists;
    P2P_TRY(sys_path_is_folder(t->paths.kept_best, &exists));
    if (exists) return trainer_restore_best(t, &uncounted);
    t->checkpoint_best = t->at.best_epoch;
    return P2P_OK;
}
