/* Absolute paths, whether they exist or not. See sys.h. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "p2p_file.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Append a name that does not exist to the real path of its folder. Takes ownership of `folder`. */
static p2p_status append_absent(char *folder, const char *name, char **real) {
    if (strcmp(name, ".") == 0) {
        *real = folder;
        return P2P_OK;
    }
    if (strcmp(name, "..") == 0) {
        char *slash = strrchr(folder, '/');
        slash[slash == folder] = '\0'; /* the folder above "/" is "/" */
        *real = folder;
        return P2P_OK;
    }
    p2p_status status = sys_path_join(real, folder, name);
    free(folder);
    return status;
}

p2p_status sys_path_real(char **real, const char *path) {
    *real = realpath(path, NULL);
    if (*real != NULL) return P2P_OK;
    /* The parent of "." is ".": without this check, a removed current folder would recurse without end. */
    const bool nowhere = strcmp(path, ".") == 0;
    if (nowhere || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP))
        return p2p_fail(P2P_UNREADABLE, "can't look up %s: %s", path, strerror(errno));
    char *above = strdup(path), *folder;
    if (above == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    size_t length = strlen(above);
    while (length > 1 && above[length - 1] == '/') above[--length] = '\0';
    char *slash = strrchr(above, '/');
    const char *name = slash == NULL ? above : slash + 1, *parent = slash == NULL ? "." : above;
    if (slash == above) parent = "/";
    if (slash != NULL) *slash = '\0';
    p2p_status status = sys_path_real(&folder, parent);
    if (status == P2P_OK) status = append_absent(folder, name, real);
    free(above);
    return status;
}

/* Takes ownership of `folder` and `real`. */
static p2p_status compare_real(char *folder, char *real, const char *name, const char *path) {
    const size_t length = strlen(folder);
    const char *rest = strncmp(real, folder, length) == 0 ? real + length : "";
    const bool same = strcmp(rest + strspn(rest, "/"), name) == 0;
    free(folder);
    free(real);
    if (same) return P2P_OK;
    return p2p_fail(P2P_USAGE, "%s is a symbolic link, or lies behind one", path);
}

p2p_status sys_path_no_links(const char *folder, const char *name) {
    char *path, *real_folder, *real;
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = sys_path_real(&real_folder, folder);
    if (status == P2P_OK) {
        status = sys_path_real(&real, path);
        if (status == P2P_OK)
            status = compare_real(real_folder, real, name, path);
        else
            free(real_folder);
    }
    free(path);
    return status;
}

static p2p_status check_link(const char *path) {
    struct stat found;
    const char *relative = path;
    const int base = p2p_folder_base(&relative);
    if (fstatat(base, relative, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return P2P_OK;
        return p2p_fail(P2P_UNREADABLE, "can't find out what %s is: %s", path, strerror(errno));
    }
    if (!S_ISLNK(found.st_mode) || found.st_uid == geteuid() || found.st_uid == 0) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s is a symbolic link that another user (number %lu) has made", path,
             (unsigned long)found.st_uid);
    return p2p_hint(P2P_USAGE, "remove it, or make it yourself: it decides where files are written");
}

p2p_status sys_folder_check_links(const char *named, const char *folder) {
    p2p_status status = P2P_OK;
    size_t at = strlen(named);
    char *partial = strdup(folder);
    if (partial == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    while (at > 0 && named[at - 1] == '/') at--;
    while (at < strlen(folder) && status == P2P_OK) {
        at += strspn(folder + at, "/");
        at += strcspn(folder + at, "/");
        partial[at] = '\0';
        status = check_link(partial);
        partial[at] = folder[at];
    }
    free(partial);
    return status;
}

p2p_status sys_path_inside(const char *path, const char *folder, bool *inside) {
    char *inner, *outer = NULL;
    *inside = false;
    P2P_TRY(sys_path_real(&inner, path));
    p2p_status status = sys_path_real(&outer, folder);
    if (status == P2P_OK) {
        const size_t length = strlen(outer);
        *inside = strncmp(inner, outer, length) == 0 &&
                  (inner[length] == '/' || inner[length] == '\0' || length == 1);
    }
    free(outer);
    free(inner);
    return status;
}
