/* Runs a program and makes one of its system calls fail, or kills it there. The calls of all threads are
 * counted together, per class, from the first that the dynamic linker does not make. Linux, x86-64 and
 * AArch64.
 *
 * Allocations and the calls of backends are not system calls: see malloc_faults.h and P2P_LOSE_DEVICE_AT.
 */
#ifndef TORTURE_TRACE_H
#define TORTURE_TRACE_H

#include "calls.h"

#include <stddef.h>

enum { TRACE_PATH_BYTES = 512 };

typedef struct {
    call_class call;
    bool changes_files;
    char path[TRACE_PATH_BYTES]; /* the file, relative to the current folder if it is below it; "" if there is
                                    none */
} traced_call;

typedef struct {
    traced_call *calls;
    size_t count, capacity;
} trace_log;

void trace_log_free(trace_log *log);

/* The nth call of its class has the fault. */
typedef struct {
    const fault *what; /* NULL: none */
    uint64_t nth;      /* from 1 */
    /* In the current folder: the names between which FAULT_MOVE renames, and what FAULT_REPLACE puts in place
     * of the first. */
    const char *folder, *moved, *other;
} trace_plan;

typedef struct {
    bool hung;     /* it was killed after TRACE_SECONDS */
    int code;      /* the exit code, or 128 + the number of the signal that ended it */
    bool signaled; /* ended by a signal, of which FAULT_KILL's is one */
    bool injected;
    traced_call where; /* of the first fault */
} trace_outcome;

enum { TRACE_SECONDS = 60 };

typedef struct {
    const char *const *arguments;   /* NULL-terminated; [0] is the program's path */
    const char *out, *err;          /* files for stdout and stderr, replaced */
    const char *const *environment; /* "NAME=VALUE", added; NULL-terminated or NULL */
    bool only_below; /* counts only calls on files below the current folder: other calls may be a sanitizer's
                      */
} trace_command;

/* Whether a process may trace another on this machine; some containers forbid it. */
bool trace_is_possible(void);

/* Runs the program untraced. */
void run_plainly(const trace_command *command, trace_outcome *outcome);

/* Runs it under the plan; adds every counted call to `log` unless it is NULL. */
void run_traced(const trace_command *command, const trace_plan *plan, trace_outcome *outcome, trace_log *log);

/* Prints the message and exits with code 2: the machine or this program failed, not the one under test. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
