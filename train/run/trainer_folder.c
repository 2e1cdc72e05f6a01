/* Names and lock of a training's folder. See trainer_folder.h. */
#include "trainer_folder.h"

#include "host/sys.h"
#include "p2p_file.h"
#include "use/run_files.h"

#include <stdlib.h>

/* ---- Names -------------------------------------------------------------------------------------------- */

p2p_status trainer_paths_make(trainer_paths *paths, const char *out) {
    P2P_TRY(sys_path_join(&paths->folder, "", out));
    P2P_TRY(sys_path_join(&paths->config, out, RUN_CONFIG));
    P2P_TRY(sys_path_join(&paths->metrics, out, RUN_METRICS));
    P2P_TRY(sys_path_join(&paths->generator, out, RUN_GENERATOR));
    P2P_TRY(sys_path_join(&paths->discriminator, out, RUN_DISCRIMINATOR));
    P2P_TRY(sys_path_join(&paths->checkpoints, out, RUN_CHECKPOINTS));
    P2P_TRY(sys_path_join(&paths->samples, out, RUN_SAMPLES));
    P2P_TRY(sys_path_join(&paths->epochs, out, RUN_EPOCHS));
    P2P_TRY(sys_path_join(&paths->best, out, RUN_BEST));
    P2P_TRY(sys_path_join(&paths->kept_best, paths->checkpoints, RUN_BEST));
    P2P_TRY(sys_path_join(&paths->report, out, RUN_REPORT));
    P2P_TRY(sys_path_join(&paths->tensorboard, out, RUN_TENSORBOARD));
    return sys_path_join(&paths->lock, out, RUN_LOCK);
}

void trainer_paths_free(trainer_paths *paths) {
    char *owned[] = {paths->folder,        paths->config,      paths->metrics, paths->generator,
                     paths->discriminator, paths->checkpoints, paths->samples, paths->epochs,
                     paths->best,          paths->kept_best,   paths->lock,    paths->report,
                     paths->tensorboard};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    *paths = (trainer_paths){0};
}

/* ---- Lock --------------------------------------------------------------------------------------------- */

p2p_status trainer_lock(trainer *t) {
    return sys_lock_take(&t->lock, t->paths.lock, t->paths.folder);
}

static p2p_status move_to(trainer *t, char *folder) {
    trainer_paths paths = {0};
    const p2p_status status = trainer_paths_make(&paths, folder);
    if (status != P2P_OK) {
        trainer_paths_free(&paths);
        free(folder);
        return status;
    }
    progress_line(t->progress, "%s was renamed: the training continues in %s", t->paths.folder, folder);
    trainer_paths_free(&t->paths);
    t->paths = paths;
    free(t->all->out);
    t->all->out = folder; /* of the command that resumes */
    return P2P_OK;
}

static p2p_status find_folder(trainer *t, sys_lock_place *place) {
    char *folder;
    P2P_TRY(sys_lock_find(t->lock, t->paths.folder, place, &folder));
    return *place == SYS_LOCK_MOVED ? move_to(t, folder) : P2P_OK;
}

static p2p_status fail_lost(const trainer *t) {
    p2p_fail(P2P_IO, "the folder %s was removed or replaced while the training wrote to it", t->paths.folder);
    return p2p_hint(P2P_IO, "leave the folder in its place while a training runs");
}

p2p_status trainer_check_links(const trainer_paths *paths) {
    const char *const folders[] = {paths->kept_best, paths->samples, paths->epochs, paths->best,
                                   paths->tensorboard}; /* the first is in `checkpoints` */
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        P2P_TRY(sys_folder_check_links(paths->folder, folders[i]));
    return P2P_OK;
}

p2p_status trainer_follow_folder(trainer *t, bool *moved) {
    sys_lock_place place;
    P2P_TRY(find_folder(t, &place));
    *moved = place == SYS_LOCK_MOVED;
    return place == SYS_LOCK_LOST ? fail_lost(t) : trainer_check_links(&t->paths);
}

/* Sets *found to the first of a training's names that exists; NULL if there is none. */
static p2p_status find_existing(const trainer_paths *paths, const char **found) {
    const char *const names[] = {paths->config,  paths->checkpoints, paths->generator, paths->discriminator,
                                 paths->metrics, paths->samples,     paths->epochs,    paths->best,
                                 paths->report,  paths->tensorboard};
    *found = NULL;
    for (size_t i = 0; !*found && i < sizeof names / sizeof names[0]; i++) {
        bool exists;
        P2P_TRY(sys_path_exists(names[i], &exists));
        if (exists) *found = names[i];
    }
    return P2P_OK;
}

p2p_status trainer_follow_or_make_folder(trainer *t) {
    const char *found;
    sys_lock_place place;
    P2P_TRY(find_folder(t, &place));
    if (place != SYS_LOCK_LOST) return trainer_check_links(&t->paths);
    sys_lock_release(t->lock);
    t->lock = NULL;
    P2P_TRY(sys_folder_make(t->paths.folder));
    P2P_TRY(trainer_lock(t));
    P2P_TRY(find_existing(&t->paths, &found));
    return found ? fail_lost(t) : P2P_OK;
}

p2p_status trainer_refuse_existing(const trainer *t) {
    const trainer_paths *paths = &t->paths;
    if (!t->lock) P2P_TRY(sys_lock_check(paths->lock, paths->folder));
    const char *found;
    P2P_TRY(find_existing(paths, &found));
    if (!found) return P2P_OK;
    p2p_fail(P2P_USAGE, "--out %s holds a training already: there is %s", paths->folder, found);
    if (found == paths->config || found == paths->checkpoints)
        return p2p_hint(P2P_USAGE, "add --resume to continue it, or choose another folder");
    return p2p_hint(P2P_USAGE, "choose another folder; this one has nothing to continue from");
}

p2p_status trainer_sweep(const trainer_paths *paths) {
    P2P_TRY(p2p_atomic_sweep(paths->folder));
    P2P_TRY(p2p_atomic_sweep(paths->checkpoints));
    P2P_TRY(p2p_atomic_sweep(paths->epochs));
    P2P_TRY(p2p_atomic_sweep(paths->best));
    P2P_TRY(p2p_atomic_sweep(paths->kept_best));
    return p2p_atomic_sweep(paths->samples);
}
