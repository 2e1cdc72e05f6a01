/* See calls.h. */
#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

static const struct {
    const char *name, *meaning;
} classes[CALL_COUNT] = {
#define X(name, text, meaning) [CALL_##name] = {text, meaning},
    CALL_CLASSES(X)
#undef X
};

const char *call_name(call_class call) {
    return call < CALL_COUNT ? classes[call].name : "none";
}

const char *call_meaning(call_class call) {
    return call < CALL_COUNT ? classes[call].meaning : "none";
}

call_class call_named(const char *name) {
    for (int i = 0; i < CALL_COUNT; i++)
        if (strcmp(classes[i].name, name) == 0) return (call_class)i;
    return CALL_NONE;
}

bool call_class_is_memory(call_class call) {
    return call == CALL_MAP || call == CALL_THREAD || call == CALL_MALLOC || call == CALL_DEVICE;
}

/* ---- Faults ------------------------------------------------------------------------------------------- */

#define ERROR(call, code)                                                                                    \
    { CALL_##call, #code, FAULT_ERROR, code, false }
#define LASTING(call, code)                                                                                  \
    { CALL_##call, #code "+", FAULT_ERROR, code, true }

/* ENOENT and ELOOP are left out where no program can detect them: a stat() or an unlink() that does not find
 * an existing file. brk() is left out because its failure is not an error code; malloc()
 * covers it. */
const fault faults[] = {
    ERROR(OPEN, EACCES),
    ERROR(OPEN, EMFILE),
    ERROR(OPEN, ENFILE),
    ERROR(OPEN, EIO),
    ERROR(OPEN, ENOSPC),
    ERROR(OPEN, EDQUOT),
    ERROR(OPEN, EROFS),
    ERROR(OPEN, ENOENT),
    ERROR(OPEN, ELOOP),
    ERROR(OPEN, ENOMEM),
    ERROR(OPEN, EINTR),
    LASTING(OPEN, EMFILE),
    LASTING(OPEN, EIO),
    ERROR(READ, EIO),
    ERROR(READ, EINTR),
    ERROR(READ, ESTALE),
    {CALL_READ, "short", FAULT_SHORT, 0, false},
    LASTING(READ, EIO),
    ERROR(WRITE, ENOSPC),
    ERROR(WRITE, EIO),
    ERROR(WRITE, EDQUOT),
    ERROR(WRITE, EFBIG),
    ERROR(WRITE, EINTR),
    {CALL_WRITE, "short", FAULT_SHORT, 0, false},
    LASTING(WRITE, ENOSPC),
    LASTING(WRITE, EIO),
    {CALL_WRITE, "torn", FAULT_TORN, 0, false},
    ERROR(SYNC, EIO),
    ERROR(SYNC, ENOSPC),
    ERROR(SYNC, EDQUOT),
    ERROR(SYNC, EINTR),
    ERROR(SYNC, EROFS),
    LASTING(SYNC, EIO),
    ERROR(CLOSE, EIO),
    ERROR(CLOSE, ENOSPC),
    ERROR(CLOSE, EDQUOT),
    ERROR(CLOSE, EINTR),
    ERROR(STAT, EACCES),
    ERROR(STAT, EIO),
    ERROR(STAT, ENOMEM),
    LASTING(STAT, EIO),
    ERROR(LIST, EIO),
    LASTING(LIST, EIO),
    ERROR(SEEK, EIO),
    ERROR(TRUNCATE, EIO),
    ERROR(TRUNCATE, ENOSPC),
    ERROR(TRUNCATE, EINTR),
    ERROR(RENAME, EACCES),
    ERROR(RENAME, EIO),
    ERROR(RENAME, ENOSPC),
    ERROR(RENAME, EDQUOT),
    ERROR(RENAME, EROFS),
    LASTING(RENAME, EIO),
    ERROR(UNLINK, EACCES),
    ERROR(UNLINK, EIO),
    ERROR(UNLINK, EROFS),
    ERROR(UNLINK, EBUSY),
    LASTING(UNLINK, EIO),
    ERROR(MKDIR, EACCES),
    ERROR(MKDIR, EIO),
    ERROR(MKDIR, ENOSPC),
    ERROR(MKDIR, EDQUOT),
    ERROR(MKDIR, EROFS),
    LASTING(MKDIR, EIO),
    ERROR(LOCK, ENOLCK),
    ERROR(LOCK, EINTR),
    ERROR(LOCK, EIO),
    ERROR(MAP, ENOMEM),
    LASTING(MAP, ENOMEM),
    ERROR(THREAD, EAGAIN),
    LASTING(THREAD, EAGAIN),
    {CALL_ANY, "KILL", FAULT_KILL, 0, false},
    {CALL_ANY, "KILLS", FAULT_KILLS, 0, false},
    {CALL_ANY, "MOVE", FAULT_MOVE, 0, false},
    {CALL_ANY, "REPLACE", FAULT_REPLACE, 0, false},
    {CALL_MALLOC, "NULL", FAULT_NULL, 0, false},
    {CALL_MALLOC, "NULL+", FAULT_NULL, 0, true},
    {CALL_DEVICE, "LOST", FAULT_LOST, 0, true},
};
const int fault_count = sizeof faults / sizeof *faults;

const fault *fault_named(call_class call, const char *name) {
    for (int i = 0; i < fault_count; i++)
        if (faults[i].call == call && strcmp(faults[i].name, name) == 0) return &faults[i];
    return NULL;
}

/* ---- System calls ------------------------------------------------------------------------------------- */

/* Calls that this kernel or processor does not have are left out. */
static const struct {
    long number;
    call_class call;
    file_place place;
} numbers[] = {
#ifdef SYS_open
    {SYS_open, CALL_OPEN, FILE_PATH},
    {SYS_creat, CALL_OPEN, FILE_PATH},
    {SYS_stat, CALL_STAT, FILE_PATH},
    {SYS_lstat, CALL_STAT, FILE_PATH},
    {SYS_access, CALL_STAT, FILE_PATH},
    {SYS_readlink, CALL_STAT, FILE_PATH},
    {SYS_rename, CALL_RENAME, FILE_SECOND_PATH},
    {SYS_link, CALL_RENAME, FILE_SECOND_PATH},
    {SYS_symlink, CALL_RENAME, FILE_SECOND_PATH},
    {SYS_unlink, CALL_UNLINK, FILE_PATH},
    {SYS_rmdir, CALL_UNLINK, FILE_PATH},
    {SYS_mkdir, CALL_MKDIR, FILE_PATH},
    {SYS_getdents, CALL_LIST, FILE_DESCRIPTOR},
    {SYS_fork, CALL_THREAD, FILE_NONE},
    {SYS_vfork, CALL_THREAD, FILE_NONE},
#endif
#ifdef SYS_newfstatat
    {SYS_newfstatat, CALL_STAT, FILE_PATH_AT},
#endif
#ifdef SYS_renameat
    {SYS_renameat, CALL_RENAME, FILE_SECOND_PATH_AT},
#endif
    {SYS_openat, CALL_OPEN, FILE_PATH_AT},
    {SYS_openat2, CALL_OPEN, FILE_PATH_AT},
    {SYS_read, CALL_READ, FILE_DESCRIPTOR},
    {SYS_pread64, CALL_READ, FILE_DESCRIPTOR},
    {SYS_readv, CALL_READ, FILE_DESCRIPTOR},
    {SYS_preadv, CALL_READ, FILE_DESCRIPTOR},
    {SYS_write, CALL_WRITE, FILE_DESCRIPTOR},
    {SYS_pwrite64, CALL_WRITE, FILE_DESCRIPTOR},
    {SYS_writev, CALL_WRITE, FILE_DESCRIPTOR},
    {SYS_pwritev, CALL_WRITE, FILE_DESCRIPTOR},
    {SYS_copy_file_range, CALL_WRITE, FILE_DESCRIPTOR},
    {SYS_sendfile, CALL_WRITE, FILE_DESCRIPTOR},
    {SYS_fsync, CALL_SYNC, FILE_DESCRIPTOR},
    {SYS_fdatasync, CALL_SYNC, FILE_DESCRIPTOR},
    {SYS_syncfs, CALL_SYNC, FILE_DESCRIPTOR},
    {SYS_close, CALL_CLOSE, FILE_DESCRIPTOR},
    {SYS_fstat, CALL_STAT, FILE_DESCRIPTOR},
    {SYS_statx, CALL_STAT, FILE_PATH_AT},
    {SYS_faccessat, CALL_STAT, FILE_PATH_AT},
    {SYS_faccessat2, CALL_STAT, FILE_PATH_AT},
    {SYS_readlinkat, CALL_STAT, FILE_PATH_AT},
    {SYS_statfs, CALL_STAT, FILE_PATH},
    {SYS_fstatfs, CALL_STAT, FILE_DESCRIPTOR},
    {SYS_getdents64, CALL_LIST, FILE_DESCRIPTOR},
    {SYS_lseek, CALL_SEEK, FILE_DESCRIPTOR},
    {SYS_ftruncate, CALL_TRUNCATE, FILE_DESCRIPTOR},
    {SYS_truncate, CALL_TRUNCATE, FILE_PATH},
    {SYS_fallocate, CALL_TRUNCATE, FILE_DESCRIPTOR},
    {SYS_renameat2, CALL_RENAME, FILE_SECOND_PATH_AT},
    {SYS_linkat, CALL_RENAME, FILE_SECOND_PATH_AT},
    {SYS_unlinkat, CALL_UNLINK, FILE_PATH_AT},
    {SYS_mkdirat, CALL_MKDIR, FILE_PATH_AT},
    {SYS_flock, CALL_LOCK, FILE_DESCRIPTOR},
    {SYS_fcntl, CALL_LOCK, FILE_DESCRIPTOR},
    {SYS_mmap, CALL_MAP, FILE_NONE},
    {SYS_mremap, CALL_MAP, FILE_NONE},
    {SYS_mprotect, CALL_MAP, FILE_NONE},
    {SYS_clone, CALL_THREAD, FILE_NONE},
    {SYS_clone3, CALL_THREAD, FILE_NONE},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static int row_of(uint64_t number) {
    for (int i = 0; i < NUMBERS; i++)
        if ((uint64_t)numbers[i].number == number) return i;
    return -1;
}

/* Of the calls of fcntl only those that lock can fail in use. */
static bool is_locking(uint64_t command) {
    return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

call_class call_of_number(uint64_t number, const uint64_t arguments[6]) {
    const int row = row_of(number);
    if (row < 0) return CALL_NONE;
    if (number == SYS_fcntl && !is_locking(arguments[1])) return CALL_NONE;
    return numbers[row].call;
}

file_place call_file_place(uint64_t number) {
    const int row = row_of(number);
    return row < 0 ? FILE_NONE : numbers[row].place;
}

static bool open_changes(uint64_t flags) {
    return (flags & (O_CREAT | O_TRUNC)) != 0;
}

bool call_changes_files(uint64_t number, const uint64_t arguments[6]) {
    switch (call_of_number(number, arguments)) {
    case CALL_WRITE:
    case CALL_TRUNCATE:
    case CALL_RENAME:
    case CALL_UNLINK:
    case CALL_MKDIR:
        return true;
    case CALL_OPEN:
        return number != SYS_openat || open_changes(arguments[2]);
    default:
        return false;
    }
}
