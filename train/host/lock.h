/* A lock on a folder that one process at a time may write to: a file with the holder's process, host and
 * start.
 *
 * On one machine the kernel decides: the holder has a lock of the open file (fcntl), which ends with its
 * process, so the file of a killed process blocks no process. On file systems that pass locks on, as NFS
 * does, the same holds between machines. The text names the holder in messages. It decides where the kernel
 * can't: a lock of another machine may be held without being seen here, so it is refused until a person
 * removes the file. A copy of the file, in a copied folder, is free on the same file system; on another
 * one it is refused while the process runs. The hint of a refusal has a command that ends the holder only if
 * its number is sure to be that of this process here. Programs that only read take no lock. */
#ifndef P2P_LOCK_H
#define P2P_LOCK_H

#include "p2p_status.h"

typedef struct sys_lock sys_lock;

/* Take the lock at `path`, whose folder must exist. P2P_USAGE if another process has it, or may have it: the
 * message names `what` is locked, and the process, its host and since when. P2P_IO if the file can't be
 * written. Until it is released, paths that begin with the folder of `path` lead to that folder, also if it
 * is renamed or another is put in its place (p2p_folder_anchor). The caller releases *lock. */
p2p_status sys_lock_take(sys_lock **lock, const char *path, const char *what);

/* P2P_OK if sys_lock_take would succeed now, else its failure. Changes nothing; an absent file is free. */
p2p_status sys_lock_check(const char *path, const char *what);

/* The same for a file of this user's; others are taken for absent. For folders that the user did not name, in
 * which anybody may have put one. */
p2p_status sys_lock_check_own(const char *path, const char *what);

/* Where the folder of a lock is. */
typedef enum {
    SYS_LOCK_HERE,  /* where it was taken */
    SYS_LOCK_MOVED, /* at another path, because the folder or one above it was renamed */
    SYS_LOCK_LOST   /* removed, or at a path that can't be found out */
} sys_lock_place;

/* Find the folder of a lock again: a person may rename or remove it while the lock is held. Where it is still
 * in its place and the lock's file alone was removed, the file is made and locked again, which fails as
 * sys_lock_take does. *moved is the new path of a moved folder, else NULL; the caller frees it. A folder that
 * can't be looked at counts as being in its place. */
p2p_status sys_lock_find(sys_lock *lock, const char *what, sys_lock_place *place, char **moved);

/* Remove the file, wherever its folder is now, and release the lock. NULL is ignored. */
void sys_lock_release(sys_lock *lock);

#endif
