/* The rule for a single file or folder that only this user and root may change. Paths: p2p_file.h. */
#ifndef P2P_PRIVATE_H
#define P2P_PRIVATE_H

#include <sys/stat.h>

/* Why a user other than this one and root can change the file or folder; NULL if none can. The user's
 * own primary group, of the same name and without other listed members, may write to it. */
const char *p2p_others_reason(const struct stat *about);

#endif
