/* Names of the files that a command is about to write, and the checks that come before any work: no two
 * results under one name, nothing that exists is overwritten unasked, nothing that is read is overwritten at
 * all.
 */
#ifndef P2P_RESULT_FILES_H
#define P2P_RESULT_FILES_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>

/* "folder/any/where/name.suffix" for a picture at any/where/name.jpg of what is read; the caller frees it. */
p2p_status result_name(const char *folder, const char *relative, const char *suffix, char **result);

typedef struct {
    const char *source; /* what is read for it; NULL for none */
    const char *result;
} result_file;

/* P2P_USAGE names the first that fails, with the sources. Without `force` nothing may exist. */
p2p_status result_files_check(const result_file *files, size_t count, bool force);

/* Make the folder that `result` lies in. */
p2p_status result_folder_make(const char *result);

#endif
