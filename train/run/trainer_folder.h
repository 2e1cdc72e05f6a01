/* The folder of a training as a whole: its names, its lock, whose files are in it, and the state that they
 * have. Private to trainer*.c.
 */
#ifndef P2P_TRAINER_FOLDER_H
#define P2P_TRAINER_FOLDER_H

#include "trainer_setup.h"

/* ---- Names and lock: trainer_folder.c ----------------------------------------------------------------- */

p2p_status trainer_paths_make(trainer_paths *paths, const char *out);
void trainer_paths_free(trainer_paths *paths);

/* Take the lock of an existing folder; trainer_close releases it. P2P_USAGE if another process trains there.
 */
p2p_status trainer_lock(trainer *t);

/* Call before files are written. If a person renamed the folder while the training ran, its files are written
 * where it is now, a line is printed on stderr, and *moved is true: nothing may be written into another
 * training's folder that took its place. P2P_IO if it was removed; P2P_USAGE if another process has taken its
 * lock, which a person removed. Fails as trainer_check_links. */
p2p_status trainer_follow_folder(trainer *t, bool *moved);
/* The same before the last checkpoint of a training that ends early. A removed folder is made again, unless
 * a training's files are at its path. */
p2p_status trainer_follow_or_make_folder(trainer *t);

/* P2P_USAGE if one of the folders in that of the training is another user's link. */
p2p_status trainer_check_links(const trainer_paths *paths);

/* P2P_USAGE if --out has any of the names that a training writes, or if another process has its lock. A new
 * training starts only where no file can be mixed with its own; other files may lie there. */
p2p_status trainer_refuse_existing(const trainer *t);

/* Remove partially written files of a process that was killed. Needs the lock. */
p2p_status trainer_sweep(const trainer_paths *paths);

/* ---- What to continue: trainer_resume.c ---------------------------------------------------------------- */

/* Take the lock, then settings, position, choices and origin of the newest checkpoint, or of config.json if
 * there is none yet. P2P_INPUT if there is neither, if models are there without a checkpoint, or if the files
 * do not belong together. */
p2p_status trainer_find_resume(trainer *t);

/* The file that recorded t->kept. */
const char *trainer_origin_file(const trainer *t);

/* Add a hint to the failure to read a checkpoint: the checkpoint before it, to which there is no silent
 * fallback. */
p2p_status trainer_hint_older(const trainer *t, p2p_status status);

/* ---- Whose files: trainer_owned.c --------------------------------------------------------------------- */

/* Whether a file is of the training t->kept_run, was damaged, or belongs to another one. A file that can't be
 * read, for lack of memory too, is a failure; it does not count as damaged. */
typedef enum { OWNED, OWNED_DAMAGED, OWNED_BY_OTHERS } ownership;
p2p_status trainer_owner_of_model(const trainer *t, const char *path, model_file_identity *identity,
                                  ownership *owner);
/* The same after all of the file was read, so that damage of its tensors is found too. */
p2p_status trainer_verify_model(const trainer *t, const char *path, model_file_identity *identity,
                                ownership *owner);
/* Sets a damaged file aside, with a warning: for files that the checkpoint can't restore. */
p2p_status trainer_set_aside(const char *path);
p2p_status trainer_owner_of_sample(const trainer *t, const char *path, ownership *owner);
/* *epoch is that of best.json; 0 if it is damaged. */
p2p_status trainer_owner_of_numbers(const trainer *t, const char *path, int64_t *epoch, ownership *owner);

/* Call handle(t, path, context) for each file of a folder whose name is `wanted`, until one fails. An absent
 * folder has none. */
typedef p2p_status trainer_file_handler(const trainer *t, const char *path, void *context);
p2p_status trainer_each_file(const trainer *t, const char *folder, bool (*wanted)(const char *),
                             trainer_file_handler *handle, void *context);

/* P2P_INPUT, with the file's name, if a file under one of a training's names belongs to another training. */
p2p_status trainer_check_owner(const trainer *t);

/* ---- The state: trainer_restore.c --------------------------------------------------------------------- */

/* Restore the state t->at of the folder, which was loaded from the newest checkpoint: write models that have
 * another state, and remove what is newer. Without a checkpoint remove everything, because the training
 * starts again. Reports on stderr what was changed, and what can't be restored. */
p2p_status trainer_restore(trainer *t);

/* ---- The best: trainer_best.c ------------------------------------------------------------------------- */

/* The best models of the last checkpoint are kept in OUT/checkpoints/best while OUT/best has newer ones. Call
 * the first before newer ones are written; the second after a checkpoint was, when only those of t->at are
 * wanted. */
p2p_status trainer_keep_best(trainer *t);
p2p_status trainer_settle_best(trainer *t);
/* Restore OUT/best to the best epoch of t->at, from the kept files if necessary. Adds the removed files to
 * *removed. Reports on stderr what can't be restored. */
p2p_status trainer_restore_best(trainer *t, int *removed);

#endif
