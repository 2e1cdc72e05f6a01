/* Suffixes of names that a person gave to files and folders, compared with what will be written there. */
#ifndef P2P_FILE_SUFFIX_H
#define P2P_FILE_SUFFIX_H

#include "p2p_status.h"

/* The suffix of a path with its dot; "" if there is none. Dots in folders do not count, and one that begins a
 * name begins no suffix. */
const char *file_suffix_of(const char *path);

/* P2P_USAGE if `path` has a suffix that is none of `suffixes`: a list such as ".html .htm", compared in any
 * case. `what` names the path in the message, "--plot" for example; the hint has the list. A name without a
 * suffix is any file's. */
p2p_status file_suffix_check(const char *what, const char *path, const char *suffixes);

/* P2P_USAGE if nothing is at `path` and its suffix is that of files that p2p or a browser opens: a
 * folder would be made where a file was meant. `what` is as above. Fails as sys_path_kind_of does. */
p2p_status file_suffix_check_folder(const char *what, const char *path);

#endif
