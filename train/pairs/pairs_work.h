/* One job for each of many pictures, on several threads, with progress on stderr.
 *
 * What the jobs write depends on their number only, never on the thread. Ctrl-C lets each thread finish its
 * picture. The threads share the memory for pictures (image_limits.h), of which a job takes its share.
 */
#ifndef P2P_PAIRS_WORK_H
#define P2P_PAIRS_WORK_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    size_t count;
    int workers;   /* threads; 0: one for each processor */
    bool skip_bad; /* an unusable picture is counted instead of ending the work */
    bool makes;    /* each job writes a picture, which the same command does not make again */
    p2p_status (*job)(void *context, size_t index);
    void *context;
} pairs_work;

typedef struct {
    size_t done, skipped;
} pairs_work_result;

/* Whether `status` is that of a picture that can be left out. */
bool pairs_is_bad_picture(p2p_status status);

/* Run all jobs. If jobs fail, the rest is not begun, and the failure of the first of them in order is
 * returned. P2P_STOPPED if a signal has requested a stop. */
p2p_status pairs_work_run(const pairs_work *work, pairs_work_result *result);

#endif
