/* Which folders of modules and which files in them are trusted. */
#ifndef P2P_MODULE_TRUST_H
#define P2P_MODULE_TRUST_H

#include "p2p_status.h"

typedef enum {
    P2P_TRUST_NAMED,     /* a folder of P2P_MODULE_PATH */
    P2P_TRUST_INSTALLED, /* the folder that was chosen when the program was built */
    P2P_TRUST_PROGRAM    /* the folder of the program */
} p2p_trust;

/* The rule for an open folder, which is `otherwise` if the folder is not that of the program. `program`: the
 * program's path. In a program with raised privileges P2P_TRUST_NAMED holds everywhere. */
p2p_trust p2p_trust_of(int folder, const char *program, p2p_trust otherwise);

/* P2P_INPUT or P2P_IO, with the reason, if the open folder is not trusted. `path` is its path. */
p2p_status p2p_trust_check_folder(p2p_trust trust, int folder, const char *path);

/* The same for an open file in an open folder that is trusted. Anything but a regular file is refused. */
p2p_status p2p_trust_check_file(p2p_trust trust, int folder, int file, const char *path, const char *program);

#endif
