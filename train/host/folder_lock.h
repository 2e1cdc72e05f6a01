/* The lock of a folder that a command fills with results: one command at a time writes there, whichever it
 * is. Results of two commands would be mixed, since each checks first what is there and writes later. */
#ifndef P2P_FOLDER_LOCK_H
#define P2P_FOLDER_LOCK_H

#include "lock.h"

/* The name of the lock's file in the folder. */
#define FOLDER_LOCK "run.lock"

/* The name of the file that shows that a folder with a lock is a training's, which writes into folders of its
 * own only: results may lie in others there. */
#define FOLDER_TRAINING "config.json"

/* Make the folder if it is absent, and lock it. Fails as sys_lock_take does: P2P_USAGE, with the process that
 * has it, if the folder is locked, or if a folder above is locked by a command of this user's that fills it
 * with results, which may lie in this folder; and as file_suffix_check_folder does, if it would be made under
 * a file's name. Check afterwards what the folder holds: another command may have written there until now.
 * The caller releases *lock after its last file, with sys_lock_release. */
p2p_status folder_lock_take(sys_lock **lock, const char *folder);

/* P2P_OK if no command has the folder, or one above, now. Fails as sys_path_is_folder and sys_lock_check do.
 * Changes nothing. */
p2p_status folder_lock_check(const char *folder);

/* Check the folders from `out` down to the folder of the file `result` in it, without `out` itself: P2P_USAGE
 * if another command has locked one. */
p2p_status folder_lock_check_below(const char *out, const char *result);

#endif
