/* The lock of a folder that a command fills with results: one command at a time writes there, whichever it
 * is. Results of two commands would be mixed, since each checks first what is there and writes later. */
#ifndef P2P_FOLDER_LOCK_H
#define P2P_FOLDER_LOCK_H

#include "lock.h"

/* The name of the lock's file in the folder. */
#define FOLDER_LOCK "run.lock"

/* Make the folder if it is absent, and lock it. Fails as sys_lock_take does: P2P_USAGE, with the process that
 * has it, if the folder is locked. Check afterwards what the folder holds: another command may have written
 * there until now. The caller releases *lock after its last file, with sys_lock_release. */
p2p_status folder_lock_take(sys_lock **lock, const char *folder);

/* P2P_OK if no command has the folder now, or there is none of this name. Fails as sys_path_is_folder and
 * sys_lock_check do. Changes nothing. */
p2p_status folder_lock_check(const char *folder);

#endif
