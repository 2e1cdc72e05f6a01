/* Atomic writes over POSIX, and the temporary files that they need. See p2p_file.h.
 *
 * A temporary file is in the folder of its target, because a rename is atomic only within a file system. All
 * calls name it relative to that folder's descriptor, so that only the target's own path has to be within the
 * system's limits. The writer holds a lock on it (flock) until it has been renamed: a temporary file that is
 * not locked was left by a killed process, on whatever machine that ran.
 */
#define _GNU_SOURCE /* renameat2 */
#include "p2p_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- Names -------------------------------------------------------------------------------------------- */

/* ".p2p-PID-RANDOM.tmp": the process in decimal, 64 random bits in 16 hexadecimal digits. The length does not
 * depend on the target's, so that a target's name may have as many bytes as the system allows. */
static const char prefix[] = ".p2p-", suffix[] = ".tmp";
enum { RANDOM_DIGITS = 16, NAME_BYTES = 64 };

/* Need not be unpredictable: a name that is taken is refused by O_EXCL, and the next one is tried. */
static uint64_t random_bits(void) {
    static atomic_uint_least64_t calls;
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) == (ssize_t)sizeof bits) return bits;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec) + atomic_fetch_add(&calls, 1);
}

static void make_name(char name[NAME_BYTES]) {
    snprintf(name, NAME_BYTES, "%s%ld-%016" PRIx64 "%s", prefix, (long)getpid(), random_bits(), suffix);
}

/* Whether a name is one of make_name(). */
static bool is_temporary(const char *name) {
    static const char decimal[] = "0123456789", hexadecimal[] = "0123456789abcdef";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return false;
    name += sizeof prefix - 1;
    const size_t process = strspn(name, decimal);
    if (process == 0 || name[process] != '-') return false;
    name += process + 1;
    return strspn(name, hexadecimal) == RANDOM_DIGITS && strcmp(name + RANDOM_DIGITS, suffix) == 0;
}

/* ---- Temporary files ---------------------------------------------------------------------------------- */

/* Locks a file that was just made. False if p2p_atomic_sweep of another process took it for a file of a
 * killed process in between. File systems without locks are left alone: p2p_atomic_sweep removes nothing
 * there. */
static bool lock(int descriptor) {
    struct stat about;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
    return fstat(descriptor, &about) != 0 || about.st_nlink > 0;
}

/* Makes and locks a file of a new name in a folder. Returns its descriptor; -1 with errno set if there is
 * none. */
static int make_temporary(int folder, mode_t permissions, char name[NAME_BYTES]) {
    enum { ATTEMPTS = 100 };
    for (int i = 0; i < ATTEMPTS; i++) {
        make_name(name);
        const int descriptor =
            openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, permissions);
        if (descriptor < 0 && errno != EEXIST && errno != EINTR) return -1;
        if (descriptor < 0) continue;
        if (lock(descriptor)) return descriptor;
        close(descriptor);
    }
    errno = EEXIST;
    return -1;
}

/* Whether a temporary file that can't be opened is left alone: a link, another user's file, a socket, or gone
 * already. */
static bool is_left_alone(int error) {
    return error == ELOOP || error == EACCES || error == EPERM || error == ENXIO || error == ENOENT;
}

/* Removes a temporary file unless its writer still has it. Returns false, with errno, if that fails. */
static bool remove_abandoned(int folder, const char *name) {
    struct stat about;
    const int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return is_left_alone(errno);
    bool removed = fstat(descriptor, &about) == 0;
    if (removed && S_ISREG(about.st_mode) && flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        removed = unlinkat(folder, name, 0) == 0 || errno == ENOENT;
    const int reason = errno;
    close(descriptor);
    errno = reason;
    return removed;
}

static int open_path(const char *path) {
    const int base = p2p_folder_base(&path);
    return openat(base, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

p2p_status p2p_atomic_sweep(const char *path) {
    const int descriptor = open_path(path);
    if (descriptor < 0 && errno == ENOENT) return P2P_OK;
    DIR *folder = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (!folder) {
        const p2p_status failed = p2p_fail(P2P_IO, "can't open the folder %s: %s", path, strerror(errno));
        if (descriptor >= 0) close(descriptor);
        return failed;
    }
    p2p_status status = P2P_OK;
    while (status == P2P_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry && errno != 0)
            status = p2p_fail(P2P_IO, "can't read the folder %s: %s", path, strerror(errno));
        if (!entry) break;
        if (is_temporary(entry->d_name) && !remove_abandoned(dirfd(folder), entry->d_name))
            status = p2p_fail(P2P_IO, "can't remove %s/%s: %s", path, entry->d_name, strerror(errno));
    }
    closedir(folder);
    return status;
}

/* ---- Targets ------------------------------------------------------------------------------------------ */

/* The length of a path's folder part, including its last slash; 0 for a plain name. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

static const char *base_name(const char *path) {
    return path + folder_length(path);
}

static p2p_status fail_writing(const char *path, int reason) {
    return p2p_fail(P2P_IO, "can't write %s: %s", path, reason ? strerror(reason) : "write failed");
}

/* Opens the folder of a path. */
static p2p_status open_folder(const char *path, int *folder) {
    const size_t length = folder_length(path);
    char *name = length ? strndup(path, length) : strdup(".");
    if (!name) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write %s", path);
    *folder = open_path(name);
    const int reason = errno;
    free(name);
    return *folder < 0 ? fail_writing(path, reason) : P2P_OK;
}

/* Refuses a path that cannot be opened, and a target that a rename would not replace, or should
 * not: a folder, a pipe, a device. A link to a file, or to nothing, is replaced itself. */
static p2p_status check_target(int folder, const char *path) {
    struct stat about;
    const char *name = base_name(path);
    if (name[0] == '\0') return p2p_fail(P2P_IO, "can't write '%s': no file name", path);
    if (strlen(path) >= PATH_MAX) return fail_writing(path, ENAMETOOLONG);
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? P2P_OK : fail_writing(path, errno);
    if (S_ISLNK(about.st_mode) && fstatat(folder, name, &about, 0) != 0) return P2P_OK;
    if (S_ISDIR(about.st_mode)) return p2p_fail(P2P_IO, "can't write %s: it is a folder", path);
    if (!S_ISREG(about.st_mode)) return p2p_fail(P2P_IO, "can't write %s: it is not a regular file", path);
    return P2P_OK;
}

/* ---- Atomic files ------------------------------------------------------------------------------------- */

static void reset(p2p_atomic_file *file) {
    if (file->path) close(file->folder);
    free(file->path);
    free(file->temporary);
    *file = (p2p_atomic_file){0};
}

/* Makes the temporary file and its stream. The folder is open. */
static p2p_status open_stream(p2p_atomic_file *file) {
    P2P_TRY(check_target(file->folder, file->path));
    char name[NAME_BYTES];
    const int descriptor = make_temporary(file->folder, 0666, name);
    if (descriptor < 0) return fail_writing(file->path, errno);
    file->temporary = strdup(name);
    file->stream = file->temporary ? fdopen(descriptor, "wb") : NULL;
    if (file->stream) return P2P_OK;
    unlinkat(file->folder, name, 0);
    close(descriptor);
    free(file->temporary);
    file->temporary = NULL;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write %s", file->path);
}

p2p_status p2p_atomic_open(p2p_atomic_file *file, const char *path) {
    int folder;
    *file = (p2p_atomic_file){0};
    P2P_TRY(open_folder(path, &folder));
    file->folder = folder;
    file->path = strdup(path);
    if (!file->path) {
        close(folder);
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write %s", path);
    }
    const p2p_status status = open_stream(file);
    if (status != P2P_OK) reset(file);
    return status;
}

/* Flushes stdio's buffer and the kernel's. */
static p2p_status flush(const p2p_atomic_file *file) {
    errno = 0;
    const bool written =
        !ferror(file->stream) && fflush(file->stream) == 0 && fsync(fileno(file->stream)) == 0;
    return written ? P2P_OK : fail_writing(file->path, errno);
}

/* Flushes the folder, so that the rename is on disk. Some file systems cannot flush a folder and return
 * EINVAL, which is ignored. */
static p2p_status flush_folder(const p2p_atomic_file *file) {
    if (fsync(file->folder) == 0 || errno == EINVAL) return P2P_OK;
    return p2p_fail(P2P_IO, "can't flush the folder of %s: %s", file->path, strerror(errno));
}

typedef int renaming(int folder, const char *from, const char *to);

static int replace(int folder, const char *from, const char *to) {
    return renameat(folder, from, folder, to);
}

/* Fails with EEXIST if there is anything at `to`. File systems that can't rename so, such as NFS, can make a
 * second name, and those that have one name per file, such as FAT, are left with looking first. */
static int rename_to_new(int folder, const char *from, const char *to) {
    struct stat about;
    if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    if (linkat(folder, from, folder, to, 0) == 0) return (void)unlinkat(folder, from, 0), 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) return -1;
    if (fstatat(folder, to, &about, AT_SYMLINK_NOFOLLOW) == 0) return errno = EEXIST, -1;
    return errno == ENOENT ? replace(folder, from, to) : -1;
}

/* The stream is closed after the rename, because closing it releases the lock. Closing cannot lose bytes that
 * fsync has written. */
static p2p_status commit(p2p_atomic_file *file, renaming *rename_file) {
    p2p_status status = flush(file);
    if (status == P2P_OK && rename_file(file->folder, file->temporary, base_name(file->path)) != 0)
        status = errno == EEXIST ? p2p_fail(P2P_USAGE, "%s exists already", file->path)
                                 : fail_writing(file->path, errno);
    if (status != P2P_OK) {
        p2p_atomic_abandon(file);
        return status;
    }
    status = flush_folder(file);
    fclose(file->stream);
    reset(file);
    return status;
}

p2p_status p2p_atomic_commit(p2p_atomic_file *file) {
    return commit(file, replace);
}

p2p_status p2p_atomic_commit_new(p2p_atomic_file *file) {
    return commit(file, rename_to_new);
}

void p2p_atomic_abandon(p2p_atomic_file *file) {
    if (file->temporary) unlinkat(file->folder, file->temporary, 0);
    if (file->stream) fclose(file->stream);
    reset(file);
}

/* ---- Files without a flush ---------------------------------------------------------------------------- */

static bool write_all(int descriptor, const void *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t written = write(descriptor, (const char *)bytes + done, size - done);
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) done += (size_t)written;
    }
    return true;
}

static p2p_status publish_in(int folder, const char *path, const void *bytes, size_t size) {
    char name[NAME_BYTES];
    P2P_TRY(check_target(folder, path));
    const int descriptor = make_temporary(folder, 0600, name);
    if (descriptor < 0) return fail_writing(path, errno);
    p2p_status status = P2P_OK;
    if (!write_all(descriptor, bytes, size) || renameat(folder, name, folder, base_name(path)) != 0) {
        status = fail_writing(path, errno);
        unlinkat(folder, name, 0);
    }
    close(descriptor);
    return status;
}

p2p_status p2p_file_publish(const char *path, const void *bytes, size_t size) {
    int folder;
    P2P_TRY(open_folder(path, &folder));
    const p2p_status status = publish_in(folder, path, bytes, size);
    close(folder);
    return status;
}
