/* See pairs_work.h. sys_parallel_on begins jobs in order, so every job before one that failed has begun, and
 * is finished: the first failure does not depend on the threads. */
#include "pairs_work.h"

#include "host/sys.h"
#include "host/text.h"
#include "run/progress.h"

#include <stdint.h>

typedef struct {
    const pairs_work *work;
    sys_monitor *monitor; /* protects what follows */
    pairs_work_result *result;
    progress *progress;
    size_t failed; /* the first job that failed; SIZE_MAX: none */
    p2p_failure failure;
} shared_work;

bool pairs_is_bad_picture(p2p_status status) {
    return status == P2P_INPUT || status == P2P_UNREADABLE;
}

static bool may_begin(shared_work *shared, size_t index) {
    sys_monitor_enter(shared->monitor);
    const bool begin = index < shared->failed;
    sys_monitor_leave(shared->monitor);
    return begin;
}

static p2p_status stopped(const shared_work *shared) {
    const bool makes = shared->work->makes;
    p2p_fail(P2P_STOPPED, "stopped by %s after %zu of %zu pictures%s", sys_stop_name(), shared->result->done,
             shared->work->count, makes ? ", which are complete" : "");
    return makes ? p2p_hint(P2P_STOPPED, "the same command makes the rest") : P2P_STOPPED;
}

/* Under the lock. The thread's message is that of the failure. */
static void note_failure(shared_work *shared, size_t index, p2p_status status) {
    if (pairs_is_bad_picture(status) && shared->work->skip_bad) {
        shared->result->skipped++;
        progress_line(shared->progress, "left out: %s", p2p_message());
    } else if (index < shared->failed) {
        shared->failed = index;
        p2p_failure_take(&shared->failure, status);
    }
}

static void run_job(void *context, int number) {
    shared_work *shared = context;
    const size_t index = (size_t)number;
    if (!may_begin(shared, index)) return;
    p2p_status status = sys_stop_check();
    if (status == P2P_OK) status = shared->work->job(shared->work->context, index);
    sys_monitor_enter(shared->monitor);
    if (status != P2P_OK)
        note_failure(shared, index, status);
    else
        progress_pictures(shared->progress, (int64_t)++shared->result->done);
    sys_monitor_leave(shared->monitor);
}

p2p_status pairs_work_run(const pairs_work *work, pairs_work_result *result) {
    shared_work shared = {.work = work, .result = result, .failed = SIZE_MAX};
    *result = (pairs_work_result){0};
    if (work->count > INT32_MAX)
        return p2p_fail(P2P_INPUT, "%zu pictures; at most %d are accepted", work->count, (int)INT32_MAX);
    P2P_TRY(sys_monitor_create(&shared.monitor));
    shared.progress = progress_create(stderr, (int64_t)work->count, 0, 0);
    sys_stop_listen("picture");
    sys_parallel_on(work->workers > 0 ? work->workers : sys_processors(), run_job, &shared, (int)work->count);
    progress_destroy(shared.progress);
    sys_monitor_destroy(shared.monitor);
    if (shared.failed == SIZE_MAX) return P2P_OK;
    return shared.failure.status == P2P_STOPPED ? stopped(&shared) : p2p_failure_give(&shared.failure);
}
