/* Files and folders: atomic writes, and opening of regular files without blocking.
 *
 * Below train/ these are the only uses of the operating system's file functions. Messages contain the path
 * and the system's reason. A link or a pipe that another user has put in the place of a file neither
 * redirects a write nor blocks. Directory traversal and the terminal are in train/. */
#ifndef P2P_FILE_H
#define P2P_FILE_H

#include "p2p_status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A file being written atomically. Bytes written to `stream` go to a hidden temporary file in the folder of
 * `path`, with a name of its own, ".p2p-PID-RANDOM.tmp", so that any number of processes may write to one
 * path. A zeroed structure is a file that is not open. */
typedef struct {
    FILE *stream;
    char *path, *temporary; /* `temporary` is relative to the folder */
    int folder;             /* descriptor of the folder of `path`, if `path` is not NULL */
} p2p_atomic_file;

/* P2P_IO if the temporary file cannot be created, or `path` is longer than the system allows, a folder, a
 * pipe or a device. A symbolic link at `path` is replaced, not followed. After a failure no file is open. */
p2p_status p2p_atomic_open(p2p_atomic_file *file, const char *path);
/* Flushes the file to disk, renames it to `path` and flushes the folder. Earlier failures of the stream are
 * reported here. If writing or renaming fails, the temporary file is removed and an existing file at `path`
 * is unchanged. */
p2p_status p2p_atomic_commit(p2p_atomic_file *file);
/* The same, but replaces nothing: P2P_USAGE, with the path, if there is anything at `path` by now, written by
 * another process for example. */
p2p_status p2p_atomic_commit_new(p2p_atomic_file *file);
/* Closes and removes the temporary file. No effect on a file that is not open. */
void p2p_atomic_abandon(p2p_atomic_file *file);

/* Writes a file that other processes see complete or not at all, even if several processes write it at once.
 * Not flushed to disk: after a power failure its contents are undefined, so readers must verify them. */
p2p_status p2p_file_publish(const char *path, const void *bytes, size_t size);

/* Creates the folder and its missing parents with these permissions, less the process's umask. Succeeds if
 * the folder exists. */
p2p_status p2p_folder_make(const char *path, unsigned permissions);

/* Creates the folder, but not its parents: P2P_IO if they are missing. */
p2p_status p2p_folder_make_one(const char *path, unsigned permissions);

/* From now on a path that is `path` or begins with it leads to the open folder, whatever is at `path`:
 * another process may rename the folder, or put another in its place. There is one such folder at a time; the
 * path is copied, the descriptor is borrowed. For p2p_folder_base, which all functions of this file use, and
 * those of train/ that take paths. */
p2p_status p2p_folder_anchor(const char *path, int folder);
/* Ends that if the anchor is this descriptor, which may be closed afterwards. No other thread may use paths
 * in the folder then. */
void p2p_folder_anchor_end(int folder);
/* The descriptor to which *path is relative, for openat and its like: that of the anchor, with *path set to
 * the part below it, or AT_FDCWD. */
int p2p_folder_base(const char **path);

/* P2P_IO if anyone but this user and root can write to the folder, or if any user can put another folder in
 * its place: a folder above it can be written by all and has no sticky bit, or lies in one that has it and
 * belongs to another user. The user's own primary group, of the same name and without other listed members,
 * may write to it. An absent folder is allowed if those above are. */
p2p_status p2p_folder_check_private(const char *path);

/* P2P_IO if any user can replace the file, or what is in the folder: the rule for folders above, applied to
 * the path itself too. Its owner and group are trusted. For what a person has named: libraries that others
 * have installed, caches of drivers. */
p2p_status p2p_path_check_private(const char *path);

/* P2P_INPUT, with the reason, unless the descriptor is that of a regular file or a folder that no user but
 * this one and root owns and can write to. The user's own primary group, as above, may write to it.
 * `path` is for the message. */
p2p_status p2p_descriptor_check_private(int descriptor, const char *path);

/* Removes the temporary files of atomic writes that killed processes left in a folder. Files that are being
 * written and files of other names stay. Succeeds if the folder does not exist. */
p2p_status p2p_atomic_sweep(const char *folder);

/* Opens a regular file for reading; *size receives its size in bytes. P2P_UNREADABLE, with the reason, if it
 * can't be opened, and for anything else, such as a folder or a pipe. The caller closes *stream with
 * fclose(). */
p2p_status p2p_file_open(const char *path, FILE **stream, uint64_t *size);

/* Likewise, but P2P_UNREADABLE also for a symbolic link and for a file that anyone but this user and root can
 * write. */
p2p_status p2p_file_open_private(const char *path, FILE **stream, uint64_t *size);

/* Opens a regular file for appending, and creates it if it does not exist. P2P_IO for anything else: a
 * symbolic link, a file with a second name (hard link), a pipe, a folder. The caller closes *stream. */
p2p_status p2p_file_append(const char *path, FILE **stream);

#endif
