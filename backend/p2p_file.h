/* Files: one that appears complete or not at all, and a regular file opened without ever blocking; folders.
 *
 * These are the only calls to the operating system's file functions below the trainer. Messages carry the
 * path and the system's own reason. Walks and the terminal belong to the trainer.
 */
#ifndef P2P_FILE_H
#define P2P_FILE_H

#include "p2p_status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A file being written. Bytes go through `stream` to a hidden temporary file beside `path` (one that a killed
 * process left is overwritten). A zeroed structure is a file that is not open. */
typedef struct {
    FILE *stream;
    char *path, *temporary;
} p2p_atomic_file;

/* P2P_IO where the temporary file can't be made or `path` is a folder. After a failure nothing is open. */
p2p_status p2p_atomic_open(p2p_atomic_file *file, const char *path);
/* Flush to the disk, rename over `path`, flush the folder. An earlier failure of the stream is reported
 * here. After a failure the file is abandoned and what was at `path` is untouched. */
p2p_status p2p_atomic_commit(p2p_atomic_file *file);
/* Remove the temporary file. A file that is not open is ignored. */
void p2p_atomic_abandon(p2p_atomic_file *file);

/* Write bytes as a file that other processes see complete or not at all, even when several write it at once.
 * Unlike an atomic file it isn't flushed to the disk: after a power failure it may hold anything, so this is
 * for files whose readers check them. */
p2p_status p2p_file_publish(const char *path, const void *bytes, size_t size);

/* Make the folder and whatever is missing above it, with these permissions (less the process's mask). A
 * folder that exists is success. */
p2p_status p2p_folder_make(const char *path, unsigned permissions);

/* Remove the temporary files that killed processes have left in a folder; nobody may be writing into it. A
 * folder that isn't there has none. */
p2p_status p2p_atomic_sweep(const char *folder);

/* Open a regular file for reading; *size is its size in bytes. P2P_INPUT with the reason for anything else,
 * folders and pipes included. The stream is the caller's to fclose(). */
p2p_status p2p_file_open(const char *path, FILE **stream, uint64_t *size);

#endif
