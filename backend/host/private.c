/* Which users can change a file or a folder. See p2p_file.h and private.h.
 *
 * If others can write to a folder above, they can rename this one and put another in its place. So all
 * folders above are looked at, both those that the path names and those of what it leads to; of a link that
 * leads to a link, the folders between are not. Owners and groups of folders above are trusted, as on
 * machines whose software and projects belong to accounts and groups of their own. */
#define _XOPEN_SOURCE 700 /* S_ISVTX, getpwuid_r, getgrgid_r, realpath */

#include "private.h"

#include "p2p_file.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char written_by_others[] = "other users can write to it (chmod go-w changes that)";

/* Whether the group is the user's primary one, has the user's name and lists no other member. Most systems
 * give each user a group of the user's name, and a umask of 002: what the user makes can be written by that
 * group. False if the lists of users and groups can't be read. */
static bool is_own_group(gid_t id) {
    enum { TEXT_BYTES = 4096 };
    char user_text[TEXT_BYTES], group_text[TEXT_BYTES];
    struct passwd user, *known = NULL;
    struct group group, *found = NULL;
    if (getpwuid_r(geteuid(), &user, user_text, sizeof user_text, &known) != 0 || !known) return false;
    if (getgrgid_r(id, &group, group_text, sizeof group_text, &found) != 0 || !found) return false;
    if (user.pw_gid != id || strcmp(user.pw_name, group.gr_name) != 0) return false;
    for (char *const *member = group.gr_mem; *member; member++)
        if (strcmp(*member, user.pw_name) != 0) return false;
    return true;
}

const char *p2p_others_reason(const struct stat *about) {
    if (about->st_uid != geteuid() && about->st_uid != 0) return "it belongs to another user";
    if (about->st_mode & S_IWOTH) return written_by_others;
    return (about->st_mode & S_IWGRP) && !is_own_group(about->st_gid) ? written_by_others : NULL;
}

static bool is_open(const struct stat *about) {
    return !S_ISLNK(about->st_mode) && (about->st_mode & S_IWOTH);
}

/* Why any user can replace the file or what the folder contains; NULL if not. In a folder with the sticky
 * bit, such as /tmp, any user can make a folder, but each can replace only what is theirs. `in_sticky`: it
 * lies in such a folder. */
static const char *replaced_reason(const struct stat *about, bool in_sticky) {
    if (in_sticky && about->st_uid != geteuid() && about->st_uid != 0) return "it belongs to another user";
    const bool is_sticky = S_ISDIR(about->st_mode) && (about->st_mode & S_ISVTX);
    return is_open(about) && !is_sticky ? written_by_others : NULL;
}

/* Looks at the parts of an absolute path, each a longer beginning of it, up to the first that does not exist.
 * *part receives the one that any user can replace, with the reason as the result; NULL: none. `whole`:
 * the whole path too, not only the folders above it. */
static const char *find_replaced(const char *path, bool whole, char part[PATH_MAX]) {
    const size_t length = strlen(path);
    struct stat about;
    bool in_sticky = false;
    for (size_t end = 1; end <= length; end++) {
        const bool last = end == length;
        if ((!last && path[end] != '/' && end > 1) || (last && !whole)) continue;
        memcpy(part, path, end);
        part[end] = '\0';
        if (lstat(part, &about) != 0) return errno == ENOENT || errno == ENOTDIR ? NULL : strerror(errno);
        const char *reason = replaced_reason(&about, in_sticky);
        if (reason) return reason;
        in_sticky = is_open(&about);
    }
    return NULL;
}

/* The absolute path without a slash at its end. False if it is too long. */
static bool make_absolute(const char *path, char absolute[PATH_MAX]) {
    size_t used = 0;
    if (path[0] != '/') {
        if (!getcwd(absolute, PATH_MAX)) return false;
        used = strlen(absolute);
        absolute[used++] = '/';
    }
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (used + length >= PATH_MAX) return false;
    memcpy(absolute + used, path, length);
    absolute[used + length] = '\0';
    return true;
}

/* Sets `real` to what the path, or the longest beginning of it that exists, leads to. *whole: the path. */
static bool resolve(const char *absolute, char real[PATH_MAX], bool *whole) {
    char part[PATH_MAX];
    memcpy(part, absolute, strlen(absolute) + 1);
    *whole = true;
    while (!realpath(part, real)) {
        char *slash = strrchr(part, '/');
        if ((errno != ENOENT && errno != ENOTDIR) || !slash || slash == part) return false;
        *slash = '\0';
        *whole = false;
    }
    return true;
}

static p2p_status refuse(const char *path, const char *part, const char *reason) {
    if (strcmp(path, part) == 0) return p2p_fail(P2P_IO, "%s is not used, because %s", path, reason);
    return p2p_fail(P2P_IO, "%s is not used, because of %s: %s", path, part, reason);
}

/* `whole`: whether the path itself is looked at too. */
static p2p_status check_parts(const char *path, bool whole) {
    char absolute[PATH_MAX], real[PATH_MAX], part[PATH_MAX] = "";
    bool exists;
    if (!make_absolute(path, absolute)) return p2p_fail(P2P_IO, "can't use %s: the path is too long", path);
    const char *reason = find_replaced(absolute, whole, part);
    if (reason) return refuse(path, part, reason);
    if (!resolve(absolute, real, &exists)) return P2P_OK; /* nothing is there, or it can't be looked at */
    reason = find_replaced(real, whole || !exists, part);
    return reason ? refuse(path, part, reason) : P2P_OK;
}

p2p_status p2p_path_check_private(const char *path) {
    return check_parts(path, true);
}

p2p_status p2p_folder_check_private(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? check_parts(path, false)
                   : p2p_fail(P2P_IO, "can't use the folder %s: %s", path, strerror(errno));
    if (!S_ISDIR(about.st_mode)) return p2p_fail(P2P_IO, "can't use the folder %s: it is not a folder", path);
    const char *reason = p2p_others_reason(&about);
    if (reason) return p2p_fail(P2P_IO, "the folder %s is not used, because %s", path, reason);
    return check_parts(path, false);
}
