/* Opening of files, and folders, over POSIX. See p2p_file.h. Atomic writes are in atomic.c, paths that only
 * this user may change in private.c. For a port see
 * train/host/sys.h. */
#include "p2p_file.h"

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Folders ------------------------------------------------------------------------------------------ */

p2p_status p2p_folder_make_one(const char *path, unsigned permissions) {
    const char *relative = path;
    const int base = p2p_folder_base(&relative);
    if (mkdirat(base, relative, (mode_t)permissions) == 0) return P2P_OK;
    /* EEXIST, or another code if the folder exists on a read-only disk or without permission above it. */
    const int error = errno;
    struct stat about;
    if (fstatat(base, relative, &about, 0) == 0 && S_ISDIR(about.st_mode)) return P2P_OK;
    return p2p_fail(P2P_IO, "can't make the folder %s: %s", path, strerror(error));
}

p2p_status p2p_folder_make(const char *path, unsigned permissions) {
    if (path[0] == '\0') return p2p_fail(P2P_USAGE, "a folder's name is empty");
    char *partial = strdup(path);
    if (partial == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    p2p_status status = P2P_OK;
    for (char *slash = strchr(partial + 1, '/'); slash != NULL && status == P2P_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = p2p_folder_make_one(partial, permissions);
        *slash = '/';
    }
    if (status == P2P_OK) status = p2p_folder_make_one(partial, permissions);
    free(partial);
    return status;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

static int open_at_base(const char *path, int flags) {
    const int base = p2p_folder_base(&path);
    return openat(base, path, flags, 0666);
}

static const char *kind_refused(const struct stat *about) {
    if (S_ISREG(about->st_mode)) return NULL;
    return S_ISDIR(about->st_mode) ? "it is a folder" : "it is not a file";
}

/* Makes a stream of a descriptor, which is closed if that fails. `reason` refuses the file if it is not NULL.
 */
static p2p_status make_stream(int descriptor, const char *mode, const char *reason, p2p_status code,
                              const char *what, const char *path, FILE **stream) {
    *stream = reason ? NULL : fdopen(descriptor, mode);
    if (*stream) return P2P_OK;
    const p2p_status status =
        p2p_fail(code, "can't %s %s: %s", what, path, reason ? reason : strerror(errno));
    close(descriptor);
    return status;
}

static p2p_status open_to_read(const char *path, int flags, bool private, FILE **stream, uint64_t *size) {
    *stream = NULL;
    /* O_NONBLOCK: opening a pipe without a writer would block. It has no effect on regular files. */
    const int descriptor = open_at_base(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
    if (descriptor < 0) return p2p_fail(P2P_UNREADABLE, "can't read %s: %s", path, strerror(errno));
    struct stat about;
    const char *reason = fstat(descriptor, &about) != 0 ? strerror(errno) : kind_refused(&about);
    if (!reason && private) reason = p2p_others_reason(&about);
    P2P_TRY(make_stream(descriptor, "rb", reason, P2P_UNREADABLE, "read", path, stream));
    *size = (uint64_t)about.st_size;
    return P2P_OK;
}

p2p_status p2p_file_open(const char *path, FILE **stream, uint64_t *size) {
    return open_to_read(path, 0, false, stream, size);
}

p2p_status p2p_file_open_private(const char *path, FILE **stream, uint64_t *size) {
    return open_to_read(path, O_NOFOLLOW, true, stream, size);
}

p2p_status p2p_file_append(const char *path, FILE **stream) {
    *stream = NULL;
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    const int descriptor = open_at_base(path, flags);
    if (descriptor < 0)
        return p2p_fail(P2P_IO, "can't write %s: %s", path,
                        errno == ELOOP ? "it is a symbolic link" : strerror(errno));
    struct stat about;
    const char *reason = fstat(descriptor, &about) != 0 ? strerror(errno) : kind_refused(&about);
    if (!reason && about.st_nlink > 1) reason = "it has a second name (a hard link)";
    return make_stream(descriptor, "ab", reason, P2P_IO, "write", path, stream);
}

p2p_status p2p_descriptor_check_private(int descriptor, const char *path) {
    struct stat about;
    const char *reason = fstat(descriptor, &about) != 0 ? strerror(errno) : NULL;
    if (!reason && !S_ISDIR(about.st_mode)) reason = kind_refused(&about);
    if (!reason) reason = p2p_others_reason(&about);
    return reason ? p2p_fail(P2P_INPUT, "%s: %s", path, reason) : P2P_OK;
}
