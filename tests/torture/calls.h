/* The calls that are made to fail, in classes, and how a call of each class can fail. Tables only; trace.c
 * makes system calls fail, malloc_faults.c allocations.
 */
#ifndef TORTURE_CALLS_H
#define TORTURE_CALLS_H

#include <stdbool.h>
#include <stdint.h>

/* X(name in cases and tables, description) */
#define CALL_CLASSES(X)                                                                                      \
    X(OPEN, "open", "open a file or folder")                                                                 \
    X(READ, "read", "read a file")                                                                           \
    X(WRITE, "write", "write to a file")                                                                     \
    X(SYNC, "fsync", "flush a file or folder to disk")                                                       \
    X(CLOSE, "close", "close")                                                                               \
    X(STAT, "stat", "look for a file")                                                                       \
    X(LIST, "getdents", "list a folder")                                                                     \
    X(SEEK, "lseek", "seek")                                                                                 \
    X(TRUNCATE, "ftruncate", "set a file's length")                                                          \
    X(RENAME, "rename", "rename or link")                                                                    \
    X(UNLINK, "unlink", "remove")                                                                            \
    X(MKDIR, "mkdir", "make a folder")                                                                       \
    X(LOCK, "lock", "lock a file")                                                                           \
    X(MAP, "mmap", "map memory")                                                                             \
    X(THREAD, "clone", "start a thread")                                                                     \
    X(ANY, "any", "any of the calls above")                                                                  \
    X(MALLOC, "malloc", "allocate memory")                                                                   \
    X(DEVICE, "device", "call a backend")

typedef enum {
#define X(name, text, meaning) CALL_##name,
    CALL_CLASSES(X)
#undef X
        CALL_COUNT,
    CALL_NONE = CALL_COUNT
} call_class;

typedef enum {
    FAULT_ERROR,   /* the call has no effect and returns the error */
    FAULT_SHORT,   /* half of the bytes are transferred */
    FAULT_KILL,    /* the process is killed before the call has an effect */
    FAULT_TORN,    /* half of the bytes are written, then the process is killed */
    FAULT_NULL,    /* an allocation returns NULL */
    FAULT_LOST,    /* the device is lost, from this call of the backend on */
    FAULT_MOVE,    /* the folder of the results is renamed before the call */
    FAULT_REPLACE, /* the same, and another training's folder is put in its place */
    FAULT_KILLS /* killed at a random call, resumed, killed again, up to five times; the number is the seed */
} fault_kind;

typedef struct {
    call_class call;
    const char *name; /* "ENOSPC", "KILL" */
    fault_kind kind;
    int error;
    bool lasts; /* every later call of the class fails too; the name has a "+" */
} fault;

const char *call_name(call_class call);
const char *call_meaning(call_class call);
call_class call_named(const char *name);
/* Whether its failure is one of memory, a thread or a device and has no file. */
bool call_class_is_memory(call_class call);

/* All faults: `fault_count` of them. */
extern const fault faults[];
extern const int fault_count;
/* NULL if there is none. */
const fault *fault_named(call_class call, const char *name);

/* The class of a system call, CALL_NONE if it is not made to fail. */
call_class call_of_number(uint64_t number, const uint64_t arguments[6]);

/* Where a system call's file is named. */
typedef enum {
    FILE_NONE,          /* it has no file */
    FILE_DESCRIPTOR,    /* argument 0 */
    FILE_PATH,          /* argument 0 */
    FILE_PATH_AT,       /* argument 1, below the folder of argument 0 */
    FILE_SECOND_PATH,   /* argument 1 */
    FILE_SECOND_PATH_AT /* argument 3, below the folder of argument 2 */
} file_place;
file_place call_file_place(uint64_t number);

/* Whether the call changes files. Kills between two others leave the same state. */
bool call_changes_files(uint64_t number, const uint64_t arguments[6]);

#endif
