/* Files and folders over POSIX. See p2p_file.h. A port to another system replaces this file. */
#include "p2p_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The length of a path's folder part, including its last slash; 0 for a plain name. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* "folder/.name.tmp" for "folder/name". The temporary file is in the same folder, because a rename is atomic
 * only within a file system. */
static char *temporary_name(const char *path) {
    const size_t folder = folder_length(path), size = strlen(path) + sizeof "..tmp";
    char *name = malloc(size);
    if (name) snprintf(name, size, "%.*s.%s.tmp", (int)folder, path, path + folder);
    return name;
}

static void reset(p2p_atomic_file *file) {
    free(file->path);
    free(file->temporary);
    *file = (p2p_atomic_file){0};
}

p2p_status p2p_atomic_open(p2p_atomic_file *file, const char *path) {
    *file = (p2p_atomic_file){0};
    struct stat about;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return p2p_fail(P2P_IO, "can't write %s: it is a folder", path);
    if (path[folder_length(path)] == '\0') return p2p_fail(P2P_IO, "can't write '%s': no file name", path);

    file->path = malloc(strlen(path) + 1);
    file->temporary = temporary_name(path);
    if (!file->path || !file->temporary) {
        reset(file);
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write %s", path);
    }
    memcpy(file->path, path, strlen(path) + 1);
    file->stream = fopen(file->temporary, "wb");
    if (!file->stream) {
        p2p_status status = p2p_fail(P2P_IO, "can't write %s: %s", file->temporary, strerror(errno));
        reset(file);
        return status;
    }
    return P2P_OK;
}

/* Flushes stdio's buffer and the kernel's, and closes the stream in every case. */
static p2p_status flush_and_close(p2p_atomic_file *file) {
    errno = 0;
    bool written = !ferror(file->stream) && fflush(file->stream) == 0 && fsync(fileno(file->stream)) == 0;
    int reason = errno; /* fclose may change it */
    if (fclose(file->stream) != 0 && written) {
        written = false;
        reason = errno;
    }
    file->stream = NULL;
    if (written) return P2P_OK;
    return p2p_fail(P2P_IO, "can't write %s: %s", file->path, reason ? strerror(reason) : "write failed");
}

/* Flushes the folder, so that the rename is on disk. */
static p2p_status flush_folder(const char *path) {
    const size_t length = folder_length(path);
    char *folder = malloc(length + 2);
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write %s", path);
    snprintf(folder, length + 2, "%.*s", length ? (int)length : 1, length ? path : ".");
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems cannot flush a folder and return EINVAL, which is ignored. */
    const bool flushed = descriptor >= 0 && (fsync(descriptor) == 0 || errno == EINVAL);
    const int reason = errno;
    if (descriptor >= 0) close(descriptor);
    free(folder);
    if (flushed) return P2P_OK;
    return p2p_fail(P2P_IO, "can't flush the folder of %s: %s", path, strerror(reason));
}

p2p_status p2p_atomic_commit(p2p_atomic_file *file) {
    p2p_status status = flush_and_close(file);
    if (status == P2P_OK && rename(file->temporary, file->path) != 0)
        status = p2p_fail(P2P_IO, "can't write %s: %s", file->path, strerror(errno));
    if (status != P2P_OK) {
        p2p_atomic_abandon(file);
        return status;
    }
    status = flush_folder(file->path);
    reset(file);
    return status;
}

void p2p_atomic_abandon(p2p_atomic_file *file) {
    if (file->stream) fclose(file->stream);
    if (file->temporary) unlink(file->temporary);
    reset(file);
}

/* ---- Files without a flush ---------------------------------------------------------------------------- */

static p2p_status fail_publishing(const char *path) {
    return p2p_fail(P2P_IO, "can't write %s: %s", path, strerror(errno));
}

static bool write_all(int descriptor, const void *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t written = write(descriptor, (const char *)bytes + done, size - done);
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) done += (size_t)written;
    }
    return true;
}

p2p_status p2p_file_publish(const char *path, const void *bytes, size_t size) {
    const size_t room = strlen(path) + sizeof ".XXXXXX";
    char *temporary = malloc(room);
    if (!temporary) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write %s", path);
    snprintf(temporary, room, "%s.XXXXXX", path);
    p2p_status status = P2P_OK;
    const int descriptor = mkstemp(temporary); /* unique per writer */
    if (descriptor < 0) {
        status = fail_publishing(temporary);
        free(temporary);
        return status;
    }
    if (!write_all(descriptor, bytes, size)) status = fail_publishing(path);
    if (close(descriptor) != 0 && status == P2P_OK) status = fail_publishing(path);
    if (status == P2P_OK && rename(temporary, path) != 0) status = fail_publishing(path);
    if (status != P2P_OK) unlink(temporary);
    free(temporary);
    return status;
}

/* ---- Folders ------------------------------------------------------------------------------------------ */

static p2p_status make_one_folder(const char *path, unsigned permissions) {
    if (mkdir(path, (mode_t)permissions) == 0) return P2P_OK;
    /* EEXIST, or another code if the folder exists on a read-only disk or without permission above it. */
    const int error = errno;
    struct stat about;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) return P2P_OK;
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
        status = make_one_folder(partial, permissions);
        *slash = '/';
    }
    if (status == P2P_OK) status = make_one_folder(partial, permissions);
    free(partial);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

/* Whether a name is one of temporary_name(). */
static bool is_temporary(const char *name) {
    const size_t length = strlen(name), suffix = sizeof ".tmp" - 1;
    return name[0] == '.' && length > suffix + 1 && strcmp(name + length - suffix, ".tmp") == 0;
}

p2p_status p2p_atomic_sweep(const char *folder) {
    DIR *opened = opendir(folder);
    if (!opened && errno == ENOENT) return P2P_OK;
    if (!opened) return p2p_fail(P2P_IO, "can't open the folder %s: %s", folder, strerror(errno));
    p2p_status status = P2P_OK;
    for (const struct dirent *entry; status == P2P_OK && (entry = readdir(opened)) != NULL;) {
        if (!is_temporary(entry->d_name)) continue;
        if (unlinkat(dirfd(opened), entry->d_name, 0) != 0 && errno != ENOENT)
            status = p2p_fail(P2P_IO, "can't remove %s/%s: %s", folder, entry->d_name, strerror(errno));
    }
    closedir(opened);
    return status;
}

p2p_status p2p_file_open(const char *path, FILE **stream, uint64_t *size) {
    *stream = NULL;
    /* O_NONBLOCK: opening a pipe without a writer would block. It has no effect on regular files. */
    const int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return p2p_fail(P2P_INPUT, "can't read %s: %s", path, strerror(errno));
    struct stat about;
    const char *reason = NULL;
    if (fstat(descriptor, &about) != 0) {
        reason = strerror(errno);
    } else if (!S_ISREG(about.st_mode)) {
        reason = S_ISDIR(about.st_mode) ? "it is a folder" : "it is not a file";
    } else if (!(*stream = fdopen(descriptor, "rb"))) {
        reason = strerror(errno);
    }
    if (reason) {
        p2p_status status = p2p_fail(P2P_INPUT, "can't read %s: %s", path, reason);
        close(descriptor);
        return status;
    }
    *size = (uint64_t)about.st_size;
    return P2P_OK;
}
