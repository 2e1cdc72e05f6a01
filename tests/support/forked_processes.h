/* The processes of a run, forked from a test: their p2p_processes is over shared memory. */
#ifndef FORKED_PROCESSES_H
#define FORKED_PROCESSES_H

#include "p2p_processes.h"
#include "p2p_status.h"

#include <stdio.h>

enum { FORKED_MOST = 6 };

/* Calls body(processes, context) in `size` forked processes, of which each has its rank, and ends them with
 * what it returns. Returns the number of those that did not end with 0. */
int forked_run(int size, int (*body)(const p2p_processes *processes, void *context), void *context);

/* Zeroed memory that forked processes and their parent share. Never freed. */
void *forked_memory(size_t bytes);

/* Fails a forked process, which has no cmocka. In a function of `processes` that returns an exit code. */
#define FORKED_CHECK(condition)                                                                              \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: rank %d: %s; the last message: %s\n", __FILE__, __LINE__,                \
                    processes->rank, #condition, p2p_message());                                             \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)

#endif
