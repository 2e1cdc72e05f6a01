/* One picture that `p2p pairs` makes: its sources, its memory, and the making itself. */
#ifndef P2P_PAIRS_TASK_H
#define P2P_PAIRS_TASK_H

#include "pairs_operation.h"

enum { PAIRS_SOURCES = 2 };

typedef struct {
    char *sources[PAIRS_SOURCES]; /* paths of A and B, or of one picture and NULL; owned */
    char *name, *result;          /* the result's path below OUT, and as it is opened; owned */
    image_facts facts[PAIRS_SOURCES];
    image_format format; /* of the result */
    uint64_t bytes;      /* of memory, at most */
    uint32_t item;       /* a hash of the name */
} pairs_task;

void pairs_task_free(pairs_task *task); /* no effect on {0} */

/* Read the headers of the sources, and decide format and memory. P2P_INPUT, with the path in the message, for
 * a picture that can't be used. */
p2p_status pairs_task_measure(const settings *all, const pairs_operation *operation, pairs_task *task);

/* Load the sources of a measured task, make the result and write it into the folder `out`. Takes its memory
 * first. */
p2p_status pairs_task_run(const settings *all, const pairs_operation *operation, const char *out,
                          const pairs_task *task);

#endif
