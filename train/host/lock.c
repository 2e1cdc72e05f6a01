/* Locks over fcntl and /proc. See lock.h. The text is one JSON object:
 *
 *     {"pid": 4711, "host": "name", "boot": "...", "start": 123456, "since": "2026-01-31 23:59:59 UTC",
 *      "pids": "pid:[4026531836]", "machine": "...", "device": 2049, "inode": 131}
 *
 * `boot` is the identity of the kernel's run and `start` the process's start in ticks since then; together
 * with the number and the namespace of numbers, `pids`, they identify a process even after its number was
 * used again. `machine` is a hash of the machine's identity. `device` and `inode` are those of the file
 * itself, so that a copy of it is recognised. Locks of older versions lack the last four. */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "lock.h"

#include "json_text.h"
#include "p2p_checksum.h"
#include "p2p_file.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024, NAME_BYTES = 256 };

struct sys_lock {
    int descriptor;
    int folder; /* of the file: its folder may be renamed */
    char *path;
};

/* A process, as the file describes it. Texts are "" and numbers 0 if they are unknown. */
typedef struct {
    int64_t pid, start;
    char host[NAME_BYTES], boot[64], since[64];
    char pids[64], machine[P2P_CHECKSUM_DIGITS + 1];
    int64_t device, inode;
} holder;

/* ---- Processes ---------------------------------------------------------------------------------------- */

/* The start of a process in ticks since the machine's start; 0 if there is no such process, or if it has
 * ended and its parent has not read its exit code. It is field 22 of the line; the second field is a name in
 * parentheses, which may contain anything, and the third the state. */
static int64_t start_of(int64_t pid) {
    char path[64], line[1024];
    long long start = 0;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    const size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *field = strrchr(line, ')');
    if (field && (strncmp(field, ") Z", 3) == 0 || strncmp(field, ") X", 3) == 0)) return 0;
    for (int i = 2; field && i < 22; i++) field = strchr(field + 1, ' ');
    return field && sscanf(field, " %lld", &start) == 1 ? start : 0;
}

/* The first word of a file; "" if it can't be read. */
static void read_word(const char *path, char word[64]) {
    word[0] = '\0';
    FILE *file = fopen(path, "re");
    if (!file) return;
    if (fscanf(file, "%63s", word) != 1) word[0] = '\0';
    fclose(file);
}

/* A checksum, so that the file does not show the identity (machine-id(5)); it is no protection. */
static void read_machine(char machine[P2P_CHECKSUM_DIGITS + 1]) {
    char word[64];
    read_word("/etc/machine-id", word);
    machine[0] = '\0';
    if (!word[0]) return;
    const p2p_checksum hash = p2p_checksum_of(word, strlen(word));
    p2p_checksum_text(&hash, machine);
}

/* The namespace of process numbers, such as that of a container. */
static void read_pids(char pids[64]) {
    const ssize_t length = readlink("/proc/self/ns/pid", pids, 63);
    pids[length > 0 ? length : 0] = '\0';
}

/* The process, and the lock's open file. */
static void describe_self(holder *self, int descriptor) {
    struct stat file;
    const time_t now = time(NULL);
    struct tm parts;
    *self = (holder){.pid = getpid()};
    self->start = start_of(self->pid);
    if (gethostname(self->host, sizeof self->host) != 0) self->host[0] = '\0';
    self->host[sizeof self->host - 1] = '\0';
    read_word("/proc/sys/kernel/random/boot_id", self->boot);
    read_machine(self->machine);
    read_pids(self->pids);
    if (fstat(descriptor, &file) == 0) {
        self->device = (int64_t)file.st_dev;
        self->inode = (int64_t)file.st_ino;
    }
    if (gmtime_r(&now, &parts)) strftime(self->since, sizeof self->since, "%Y-%m-%d %H:%M:%S UTC", &parts);
}

/* ---- The text ----------------------------------------------------------------------------------------- */

/* Copy a text of printable ASCII; anything else is unknown, so that the file can't forge a terminal's lines.
 */
static void copy_plain(char *to, size_t size, const char *from) {
    to[0] = '\0';
    if (!from || strlen(from) >= size) return;
    for (const char *c = from; *c; c++)
        if (*c < ' ' || *c > '~') return;
    memcpy(to, from, strlen(from) + 1);
}

/* *complete is false if the file has no complete text: its writer was killed before, or has only just begun.
 * A number that no process can have does not complete it either: a person may paste a command with it, and
 * "kill -1" ends all processes. */
static p2p_status read_holder(int descriptor, const char *path, holder *found, bool *complete) {
    char text[TEXT_BYTES];
    const char *host = NULL, *boot = NULL, *since = NULL, *pids = NULL, *machine = NULL;
    json_int_t pid = 0, start = 0, device = 0, inode = 0;
    json_t *object;
    *found = (holder){0};
    *complete = false;
    const ssize_t size = pread(descriptor, text, sizeof text, 0);
    if (size < 0) return p2p_fail(P2P_IO, "can't read the lock %s: %s", path, strerror(errno));
    P2P_TRY(json_text_parse(path, text, (size_t)size, JSON_REJECT_DUPLICATES, &object, NULL));
    *complete = object &&
                json_unpack(object, "{s:I, s:I, s:s, s:s, s:s, s?s, s?s, s?I, s?I}", "pid", &pid, "start",
                            &start, "host", &host, "boot", &boot, "since", &since, "pids", &pids, "machine",
                            &machine, "device", &device, "inode", &inode) == 0 &&
                pid > 0 && start >= 0;
    if (*complete) {
        *found = (holder){.pid = pid, .start = start, .device = device, .inode = inode};
        copy_plain(found->host, sizeof found->host, host);
        copy_plain(found->boot, sizeof found->boot, boot);
        copy_plain(found->since, sizeof found->since, since);
        copy_plain(found->pids, sizeof found->pids, pids);
        copy_plain(found->machine, sizeof found->machine, machine);
    }
    json_decref(object);
    return P2P_OK;
}

static p2p_status write_self(const sys_lock *lock) {
    holder self;
    describe_self(&self, lock->descriptor);
    json_t *object = json_pack("{s:I, s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I}", "pid", (json_int_t)self.pid,
                               "host", self.host, "boot", self.boot, "start", (json_int_t)self.start, "since",
                               self.since, "pids", self.pids, "machine", self.machine, "device",
                               (json_int_t)self.device, "inode", (json_int_t)self.inode);
    char *text;
    const p2p_status status = json_text_make(lock->path, object, JSON_ENSURE_ASCII, &text);
    json_decref(object);
    P2P_TRY(status);
    const ssize_t size = (ssize_t)strlen(text);
    const bool written =
        ftruncate(lock->descriptor, 0) == 0 && pwrite(lock->descriptor, text, (size_t)size, 0) == size;
    const int reason = errno;
    free(text);
    return written ? P2P_OK : p2p_fail(P2P_IO, "can't write %s: %s", lock->path, strerror(reason));
}

/* ---- Refusals ----------------------------------------------------------------------------------------- */

/* `here`: a person can end the process by its number. */
static p2p_status refuse_living(const char *what, const holder *other, bool here) {
    if (other->pid == 0) {
        p2p_fail(P2P_USAGE, "%s is in use: another process is writing to it", what);
        return p2p_hint(P2P_USAGE, "wait until it has ended, or choose another folder");
    }
    p2p_fail(P2P_USAGE, "%s is in use: process %lld on %s is writing to it since %s", what,
             (long long)other->pid, other->host, other->since);
    if (!here)
        return p2p_hint(P2P_USAGE,
                        "wait until it has ended, or stop it where it runs: on that machine, or in "
                        "its container");
    return p2p_hint(P2P_USAGE, "wait until it has ended, or stop it: kill %lld", (long long)other->pid);
}

static p2p_status refuse_unknown(const char *what, const char *path, const holder *other,
                                 const char *reason) {
    if (other->pid == 0) {
        p2p_fail(P2P_USAGE, "%s may be in use: %s names no process, and %s", what, path, reason);
        return p2p_hint(P2P_USAGE, "if no process writes there, remove %s", path);
    }
    p2p_fail(P2P_USAGE, "%s may be in use: process %lld on %s began to write to it at %s, and %s", what,
             (long long)other->pid, other->host, other->since, reason);
    return p2p_hint(P2P_USAGE, "if that process has ended, remove %s", path);
}

static p2p_status refuse_copy(const char *what, const char *path, const holder *other) {
    p2p_fail(
        P2P_USAGE,
        "%s may be in use: %s names process %lld, which still runs, perhaps in another folder of which this "
        "is a copy",
        what, path, (long long)other->pid);
    return p2p_hint(P2P_USAGE, "if %s is a copy, remove %s; otherwise wait until the process has ended", what,
                    path);
}

/* Whether the text describes this machine since its last start, as another process would. */
static bool is_same_boot(const holder *a, const holder *b) {
    return a->boot[0] != '\0' && strcmp(a->boot, b->boot) == 0;
}

/* Clones of a machine may have one name, others one identity. */
static bool is_same_machine(const holder *a, const holder *b) {
    const bool known = a->machine[0] != '\0' && b->machine[0] != '\0';
    return strcmp(a->host, b->host) == 0 && (!known || strcmp(a->machine, b->machine) == 0);
}

/* Whether the process runs on this machine, where numbers mean what they mean here. A text without a
 * namespace, of an older version, is taken for one of this. */
static bool is_alive(const holder *self, const holder *other) {
    const bool elsewhere = other->pids[0] != '\0' && strcmp(self->pids, other->pids) != 0;
    return is_same_boot(self, other) && !elsewhere && other->start != 0 &&
           start_of(other->pid) == other->start;
}

static bool is_same_file(const holder *self, const holder *other) {
    return other->inode != 0 && other->inode == self->inode && other->device == self->device;
}

/* Whether it runs and writes to this folder, known so well that its number may be given to `kill`. */
static bool is_surely_here(const holder *self, const holder *other) {
    return is_alive(self, other) && other->pids[0] != '\0' && strcmp(self->host, other->host) == 0 &&
           is_same_file(self, other);
}

/* The kernel found no lock of a process that lives. If it can lock the file, another number on one file
 * system shows that this is a copy. Another file system may be the same one, mounted at two places, where
 * neither shows the other's locks. */
static p2p_status check_living_holder(const char *path, const char *what, const holder *self,
                                      const holder *other, bool locked) {
    if (is_same_file(self, other)) return refuse_living(what, other, is_surely_here(self, other));
    const bool copied = locked && other->inode != 0 && other->device == self->device;
    return copied ? P2P_OK : refuse_copy(what, path, other);
}

/* Decide by the text after the kernel found no holder. `locked`: the kernel can lock files there. */
static p2p_status check_holder(int descriptor, const char *path, const char *what, bool locked) {
    holder self, other;
    bool complete;
    P2P_TRY(read_holder(descriptor, path, &other, &complete));
    describe_self(&self, descriptor);
    if (complete && is_alive(&self, &other)) return check_living_holder(path, what, &self, &other, locked);
    if (!locked)
        return refuse_unknown(what, path, &other, "the file system can't show whether one still runs");
    if (!complete || is_same_boot(&self, &other) || is_same_machine(&self, &other))
        return P2P_OK; /* ended, or before a restart */
    return refuse_unknown(what, path, &other, "can't be seen from here");
}

static p2p_status refuse_conflict(int descriptor, const char *path, const char *what) {
    holder self, other;
    bool complete;
    P2P_TRY(read_holder(descriptor, path, &other, &complete));
    describe_self(&self, descriptor);
    return refuse_living(what, &other, is_surely_here(&self, &other));
}

/* ---- Taking and releasing ------------------------------------------------------------------------------ */

typedef enum { KERNEL_FREE, KERNEL_HELD, KERNEL_UNABLE } kernel_answer;

/* Take the lock of the open file, or with F_OFD_GETLK only look whether it could be taken. */
static kernel_answer kernel_lock(int descriptor, int command) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result;
    do result = fcntl(descriptor, command, &whole);
    while (result != 0 && errno == EINTR);
    if (result != 0) return errno == EAGAIN || errno == EACCES ? KERNEL_HELD : KERNEL_UNABLE;
    return command == F_OFD_GETLK && whole.l_type != F_UNLCK ? KERNEL_HELD : KERNEL_FREE;
}

/* O_NOFOLLOW and O_NONBLOCK: a link or a pipe planted there neither redirects nor blocks. */
static int open_existing(const char *path) {
    return open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static p2p_status fail_opening(const char *path) {
    return p2p_fail(P2P_IO, "can't open the lock %s: %s", path, strerror(errno));
}

static p2p_status check_regular(int descriptor, const char *path) {
    struct stat about;
    if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode)) return P2P_OK;
    return p2p_fail(P2P_IO, "can't open the lock %s: it is not a file", path);
}

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the path still leads to the open file, which another process may have removed in the meantime. */
static bool is_at_path(int descriptor, const char *path) {
    struct stat opened, there;
    return fstat(descriptor, &opened) == 0 && lstat(path, &there) == 0 && is_same(&opened, &there);
}

/* The same, by the name in the lock's folder, wherever that is. */
static p2p_status look_in_folder(const sys_lock *lock, bool *there) {
    struct stat opened, found;
    *there = false;
    if (fstat(lock->descriptor, &opened) != 0) return fail_opening(lock->path);
    if (fstatat(lock->folder, sys_base_name(lock->path), &found, AT_SYMLINK_NOFOLLOW) == 0)
        *there = is_same(&opened, &found);
    else if (errno != ENOENT)
        return fail_opening(lock->path);
    return P2P_OK;
}

/* One attempt. *again: the file has vanished between two calls, because its holder ended. */
static p2p_status try_once(int *descriptor, const char *path, const char *what, bool *again) {
    *again = false;
    *descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    const bool created = *descriptor >= 0;
    if (!created && errno == EEXIST) *descriptor = open_existing(path);
    if (*descriptor < 0 && errno == ENOENT && !created) *again = true;
    if (*descriptor < 0) return fail_opening(path);
    P2P_TRY(check_regular(*descriptor, path));
    const kernel_answer answer = kernel_lock(*descriptor, F_OFD_SETLK);
    *again = answer != KERNEL_UNABLE && !is_at_path(*descriptor, path);
    if (answer == KERNEL_HELD) return refuse_conflict(*descriptor, path, what);
    return created || *again ? P2P_OK : check_holder(*descriptor, path, what, answer == KERNEL_FREE);
}

static p2p_status open_locked(int *descriptor, const char *path, const char *what) {
    enum { TRIES = 100 };
    p2p_status status = P2P_OK;
    for (int i = 0; i < TRIES; i++) {
        bool again;
        status = try_once(descriptor, path, what, &again);
        if (status == P2P_OK && !again) return P2P_OK;
        if (*descriptor >= 0) close(*descriptor);
        *descriptor = -1;
        if (!again) return status;
    }
    return status != P2P_OK ? status
                            : p2p_fail(P2P_IO, "can't take the lock %s: it is removed again and again", path);
}

/* The folder of the lock's file. The caller frees it; NULL if memory runs out. */
static char *folder_of(const sys_lock *lock) {
    const size_t length = (size_t)(sys_base_name(lock->path) - lock->path);
    return length > 0 ? strndup(lock->path, length) : strdup(".");
}

static p2p_status open_folder(sys_lock *lock) {
    char *folder = folder_of(lock);
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the lock %s", lock->path);
    lock->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    return lock->folder < 0 ? fail_opening(lock->path) : P2P_OK;
}

/* Lets paths in the lock's folder lead to that folder, whatever becomes of its own path. */
static p2p_status anchor(const sys_lock *lock) {
    char *folder = folder_of(lock);
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the lock %s", lock->path);
    const p2p_status status = p2p_folder_anchor(folder, lock->folder);
    free(folder);
    return status;
}

static p2p_status take(sys_lock *lock, const char *path, const char *what) {
    *lock = (sys_lock){.descriptor = -1, .folder = -1, .path = strdup(path)};
    if (!lock->path) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the lock %s", path);
    P2P_TRY(open_folder(lock));
    P2P_TRY(open_locked(&lock->descriptor, path, what));
    P2P_TRY(write_self(lock));
    return anchor(lock);
}

p2p_status sys_lock_take(sys_lock **lock, const char *path, const char *what) {
    *lock = malloc(sizeof **lock);
    if (!*lock) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the lock %s", path);
    const p2p_status status = take(*lock, path, what);
    if (status == P2P_OK) return P2P_OK;
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    sys_lock_release(*lock);
    *lock = NULL;
    return p2p_failure_give(&failure);
}

p2p_status sys_lock_check(const char *path, const char *what) {
    const int descriptor = open_existing(path);
    if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) return P2P_OK;
    if (descriptor < 0) return fail_opening(path);
    p2p_status status = check_regular(descriptor, path);
    const kernel_answer answer = status == P2P_OK ? kernel_lock(descriptor, F_OFD_GETLK) : KERNEL_UNABLE;
    if (status == P2P_OK)
        status = answer == KERNEL_HELD ? refuse_conflict(descriptor, path, what)
                                       : check_holder(descriptor, path, what, answer == KERNEL_FREE);
    close(descriptor);
    return status;
}

p2p_status sys_lock_check_own(const char *path, const char *what) {
    struct stat about;
    const bool own = lstat(path, &about) == 0 && about.st_uid == geteuid() && S_ISREG(about.st_mode);
    return own ? sys_lock_check(path, what) : P2P_OK;
}

/* ---- A folder that was renamed ------------------------------------------------------------------------- */

/* The path that /proc has for the folder; NULL if it leads elsewhere, as for a removed folder. */
static char *path_of_folder(int folder) {
    char link[64], path[PATH_MAX];
    struct stat held, there;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    const ssize_t length = readlink(link, path, sizeof path);
    if (length <= 0 || (size_t)length >= sizeof path) return NULL;
    path[length] = '\0';
    const bool found = fstat(folder, &held) == 0 && stat(path, &there) == 0 && is_same(&held, &there);
    return found ? strdup(path) : NULL;
}

/* Whether the path of the lock's folder leads to another folder, or to nothing. */
static bool is_elsewhere(const sys_lock *lock) {
    struct stat held, there;
    char *folder = folder_of(lock);
    if (!folder || fstat(lock->folder, &held) != 0) {
        free(folder);
        return false;
    }
    const bool looked = stat(folder, &there) == 0;
    const bool absent = !looked && (errno == ENOENT || errno == ENOTDIR);
    free(folder);
    return looked ? !is_same(&held, &there) : absent;
}

/* Make and lock a file again that was removed from its folder. */
static p2p_status take_again(sys_lock *lock, const char *what) {
    sys_lock *again;
    P2P_TRY(sys_lock_take(&again, lock->path, what));
    const sys_lock before = *lock;
    *lock = *again;
    *again = before;
    sys_lock_release(again); /* its file is gone, so nothing is removed */
    return P2P_OK;
}

static p2p_status follow(sys_lock *lock, char **moved) {
    *moved = path_of_folder(lock->folder);
    if (!*moved) return P2P_OK;
    const char *name = sys_base_name(lock->path);
    const size_t size = strlen(*moved) + strlen(name) + 2;
    char *path = malloc(size);
    if (!path) {
        free(*moved);
        *moved = NULL;
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the lock %s", lock->path);
    }
    snprintf(path, size, "%s/%s", *moved, name);
    free(lock->path);
    lock->path = path;
    return anchor(lock);
}

p2p_status sys_lock_find(sys_lock *lock, const char *what, sys_lock_place *place, char **moved) {
    *moved = NULL;
    *place = SYS_LOCK_HERE;
    if (is_elsewhere(lock)) {
        P2P_TRY(follow(lock, moved));
        *place = *moved ? SYS_LOCK_MOVED : SYS_LOCK_LOST;
    }
    bool there = true;
    p2p_status status = *place == SYS_LOCK_LOST ? P2P_OK : look_in_folder(lock, &there);
    if (status == P2P_OK && !there) status = take_again(lock, what);
    if (status == P2P_OK) return P2P_OK;
    free(*moved);
    *moved = NULL;
    return status;
}

void sys_lock_release(sys_lock *lock) {
    if (!lock) return;
    bool there;
    if (lock->descriptor >= 0 && look_in_folder(lock, &there) == P2P_OK && there)
        unlinkat(lock->folder, sys_base_name(lock->path), 0);
    if (lock->descriptor >= 0) close(lock->descriptor);
    p2p_folder_anchor_end(lock->folder);
    if (lock->folder >= 0) close(lock->folder);
    free(lock->path);
    free(lock);
}
