/* Names of a command's result files, and the checks before any of them is written: names are distinct,
 * existing files are overwritten with --force only, and no result overwrites its source.
 */
#ifndef P2P_RESULT_FILES_H
#define P2P_RESULT_FILES_H

#include "image/image.h"

#include <stdbool.h>
#include <stddef.h>

/* The path of a result: `folder`/`relative`, with `suffix` in place of the suffix of `relative`. The caller
 * frees *result. */
p2p_status result_name(const char *folder, const char *relative, const char *suffix, char **result);

typedef struct {
    const char *source; /* the file that it is made from; NULL: none */
    const char *result;
} result_file;

/* P2P_USAGE if two results have the same name, if a folder on the way from `out` is another user's link
 * (result_folder_check) or locked by another command (folder_lock_check_below), if a result is its own
 * source, or, without `force`, exists. The message names the files. */
p2p_status result_files_check(const char *out, const result_file *files, size_t count, bool force);

/* Remove the temporary files that killed commands left in the folders of the results. Fails as
 * p2p_atomic_sweep does; P2P_OUT_OF_MEMORY. */
p2p_status result_files_sweep(const result_file *files, size_t count);

/* Check the folders from `out`, which a person named, down to the file `result` in it: fails as
 * sys_folder_check_links. */
p2p_status result_folder_check(const char *out, const char *result);

/* The same, then make the folder of the file, and its missing parents. P2P_IO if it can't be made. Call it
 * before each file is written: links may have been made since the last check. */
p2p_status result_folder_make(const char *out, const char *result);

/* Write a picture as image_save does. Without `force`: P2P_USAGE, as result_files_check, if the file exists,
 * because another command has written it since. */
p2p_status result_save(const char *result, const image *picture, bool force);

#endif
