/* See module_trust.h. A module is code of this process. Who else may be able to change it depends on the
 * folder:
 *
 * - P2P_MODULE_PATH: no user but this one and root (p2p_descriptor_check_private).
 * - The folder of the installation, which the builder of the program has chosen: its owner and group, as for
 *   all programs that others have installed (p2p_path_check_private).
 * - The folder of the program: whoever can change the program, because that changes more than a module does.
 *   Whoever can write to the folder can replace the program, so the folder is not checked: builds of
 *   colleagues, with a umask of 002, and on file systems without permissions are used. A module is refused if
 *   users can change it who can't change the program: in a folder with the sticky bit, such as /tmp, anyone
 *   can add a module, and a file may have been opened to others by itself. */
#define _GNU_SOURCE /* S_ISVTX */
#include "module_trust.h"

#include "host/private.h"
#include "p2p_file.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the folder is the one that has the program. */
static bool has_program(const struct stat *folder, const char *program) {
    char above[P2P_PATH_BYTES];
    struct stat about;
    const char *slash = strrchr(program, '/');
    const size_t length = slash ? (size_t)(slash - program) : 0;
    if (length == 0 || length >= sizeof above) return false;
    memcpy(above, program, length);
    above[length] = '\0';
    return stat(above, &about) == 0 && about.st_dev == folder->st_dev && about.st_ino == folder->st_ino;
}

p2p_trust p2p_trust_of(int folder, const char *program, p2p_trust otherwise) {
    struct stat about;
    if (getauxval(AT_SECURE) || fstat(folder, &about) != 0) return P2P_TRUST_NAMED;
    return has_program(&about, program) ? P2P_TRUST_PROGRAM : otherwise;
}

p2p_status p2p_trust_check_folder(p2p_trust trust, int folder, const char *path) {
    if (trust == P2P_TRUST_PROGRAM) return P2P_OK;
    return trust == P2P_TRUST_INSTALLED ? p2p_path_check_private(path)
                                        : p2p_descriptor_check_private(folder, path);
}

/* Why others can change the module although they can't change the program; NULL if they can't. A foreign file
 * of the group that can write to the folder is taken for a member's, who could replace the program. */
static const char *weaker_reason(const struct stat *folder, const struct stat *file,
                                 const struct stat *program) {
    const mode_t replaces = folder->st_mode & S_ISVTX ? 0 : folder->st_mode; /* who can replace the program */
    const uid_t owner = file->st_uid;
    if (p2p_others_reason(file) == NULL || ((program->st_mode | replaces) & S_IWOTH)) return NULL;
    if (file->st_mode & S_IWOTH) return "other users can write to it (chmod o-w changes that)";
    const bool known =
        owner == geteuid() || owner == 0 || owner == program->st_uid || owner == folder->st_uid;
    const bool member = (replaces & S_IWGRP) && file->st_gid == folder->st_gid;
    if (!known && !member) return "it belongs to another user";
    const bool shared = ((program->st_mode & S_IWGRP) && program->st_gid == file->st_gid) || member;
    return (file->st_mode & S_IWGRP) && !shared ? "its group can write to it (chmod g-w changes that)" : NULL;
}

static p2p_status check_beside(const struct stat *file, int folder, const char *path, const char *program) {
    struct stat of_folder, of_program;
    if (fstat(folder, &of_folder) != 0 || stat(program, &of_program) != 0)
        return p2p_fail(P2P_INPUT, "%s: the permissions of the program can't be read", path);
    const char *reason = weaker_reason(&of_folder, file, &of_program);
    return reason ? p2p_fail(P2P_INPUT, "%s: %s", path, reason) : P2P_OK;
}

p2p_status p2p_trust_check_file(p2p_trust trust, int folder, int file, const char *path,
                                const char *program) {
    struct stat about;
    if (fstat(file, &about) != 0) return p2p_fail(P2P_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode)) return p2p_fail(P2P_INPUT, "%s: it is not a file", path);
    if (trust == P2P_TRUST_PROGRAM) return check_beside(&about, folder, path, program);
    if (trust == P2P_TRUST_NAMED) return p2p_descriptor_check_private(file, path);
    struct stat named;
    P2P_TRY(p2p_path_check_private(path));
    return stat(path, &named) == 0 && named.st_dev == about.st_dev && named.st_ino == about.st_ino
               ? P2P_OK
               : p2p_fail(P2P_INPUT, "%s: another file took its place while it was read", path);
}
