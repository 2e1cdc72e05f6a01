/* What a session makes on each of its devices once: buffers, operations, host memory and recordings of runs.
 *
 * Most of a start is compiling, so the replicas are prepared at the same time, a job for each, in the threads
 * of the caller's `parallel`. A job uses its replica's device and part of each plan, and reads the rest of
 * the session, which nothing changes meanwhile. Sessions are planned in session.c.
 */
#include "session.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- Jobs --------------------------------------------------------------------------------------------- */

typedef struct {
    const p2p_session *session;
    session_work work;
    void *context;
    p2p_failure *failures; /* per replica */
    pthread_mutex_t lock;  /* of first_failed */
    int first_failed;      /* the first replica that has failed so far; replica_count: none */
} replica_jobs;

static bool is_after_failure(replica_jobs *jobs, int replica) {
    pthread_mutex_lock(&jobs->lock);
    const bool after = jobs->first_failed < replica;
    pthread_mutex_unlock(&jobs->lock);
    return after;
}

/* Messages are local to a thread, so a failure is stored where the caller finds it. */
static void run_job(void *context, int replica) {
    replica_jobs *jobs = context;
    if (is_after_failure(jobs, replica)) return;
    const p2p_status status = jobs->work(jobs->context, replica);
    if (status == P2P_OK) return;
    p2p_failure_take(&jobs->failures[replica], status);
    pthread_mutex_lock(&jobs->lock);
    if (replica < jobs->first_failed) jobs->first_failed = replica;
    pthread_mutex_unlock(&jobs->lock);
}

/* One thread at a time may use a device. */
static bool has_own_devices(const p2p_session *session) {
    for (int i = 0; i < session->replica_count; i++)
        for (int j = 0; j < i; j++)
            if (session->replicas[i].device == session->replicas[j].device) return false;
    return true;
}

static void run_jobs(replica_jobs *jobs) {
    const p2p_session *session = jobs->session;
    const int count = session->replica_count;
    if (session->options.parallel && count > 1 && has_own_devices(session))
        session->options.parallel(run_job, jobs, count);
    else
        for (int r = 0; r < count; r++) run_job(jobs, r);
}

p2p_status session_each_replica(const p2p_session *session, session_work work, void *context) {
    replica_jobs jobs = {
        .session = session, .work = work, .context = context, .first_failed = session->replica_count};
    jobs.failures = calloc((size_t)session->replica_count, sizeof *jobs.failures);
    if (!jobs.failures) return plan_no_memory("a session");
    if (pthread_mutex_init(&jobs.lock, NULL) != 0) {
        free(jobs.failures);
        return plan_no_memory("a lock");
    }
    run_jobs(&jobs);
    const bool failed = jobs.first_failed < session->replica_count;
    const p2p_status status = failed ? p2p_failure_give(&jobs.failures[jobs.first_failed]) : P2P_OK;
    pthread_mutex_destroy(&jobs.lock);
    free(jobs.failures);
    return status;
}

/* ---- Operations --------------------------------------------------------------------------------------- */

typedef struct {
    p2p_session *session;
    p2p_progress call; /* by one thread at a time */
    void *context;
    int done, total;
    pthread_mutex_t lock; /* of `done` and of calls */
} preparation;

static void progress_step(preparation *p) {
    pthread_mutex_lock(&p->lock);
    p->done++;
    if (p->call) p->call(p->context, p->done, p->total);
    pthread_mutex_unlock(&p->lock);
}

static p2p_status create_refresh(preparation *p, int replica) {
    p2p_session *session = p->session;
    p2p_operation **refresh = calloc((size_t)session->refresh_count + 1, sizeof(p2p_operation *));
    if (!refresh) return plan_no_memory("a session");
    session->replicas[replica].refresh = refresh;
    const plan_address scratch = {session->space_bytes[PLAN_SPACE_arena] > 0 ? PLAN_SPACE_arena : -1, 0};
    for (int i = 0; i < session->refresh_count; i++) {
        const session_refresh *copy = &session->refreshes[i];
        P2P_TRY(session_operation(session, replica, &copy->op, copy->at, scratch, &refresh[i]));
        progress_step(p);
    }
    return P2P_OK;
}

static p2p_status create_operations(preparation *p, plan_part *part) {
    for (int s = 0; s < part->step_count; s++) {
        plan_step *step = &part->steps[s];
        if (!step->collective)
            P2P_TRY(session_operation(p->session, part->replica, &step->op, step->at, step->scratch,
                                      &step->operation));
        progress_step(p);
    }
    return P2P_OK;
}

static p2p_status allocate_replica(void *context, int replica) {
    const preparation *p = context;
    return session_memory_allocate(p->session, replica);
}

static p2p_status prepare_replica(void *context, int replica) {
    preparation *p = context;
    const p2p_session *session = p->session;
    P2P_TRY(create_refresh(p, replica));
    for (int i = 0; i < session->plan_count; i++) {
        plan_part *part = &session->plans[i]->parts[replica];
        P2P_TRY(create_operations(p, part));
        P2P_TRY(plan_prepare_part(part));
    }
    return P2P_OK;
}

static int count_operations(const p2p_session *session) {
    int count = session->replica_count * session->refresh_count;
    for (int i = 0; i < session->plan_count; i++)
        for (int r = 0; r < session->replica_count; r++) count += session->plans[i]->parts[r].step_count;
    return count;
}

/* First the communicator, whose library needs a fixed amount of memory, then the memory of all replicas: a
 * lack of it is found before anything is compiled. */
static p2p_status prepare_all(preparation *p) {
    P2P_TRY(session_prepare_collectives(p->session));
    P2P_TRY(session_each_replica(p->session, allocate_replica, p));
    P2P_TRY(session_allocate_running(p->session));
    for (int i = 0; i < p->session->plan_count; i++) P2P_TRY(plan_prepare_runs(p->session->plans[i]));
    if (pthread_mutex_init(&p->lock, NULL) != 0) return plan_no_memory("a lock");
    const p2p_status status = session_each_replica(p->session, prepare_replica, p);
    pthread_mutex_destroy(&p->lock);
    return status;
}

p2p_status p2p_session_allocate(p2p_session *session, p2p_progress progress, void *context) {
    if (session->allocated) return p2p_fail(P2P_INVALID, "the session's memory is allocated already");
    if (session->broken) return p2p_fail(P2P_INVALID, "a plan of the session failed");
    session->allocated = true;
    preparation p = {
        .session = session, .call = progress, .context = context, .total = count_operations(session)};
    const p2p_status status = prepare_all(&p);
    session->broken = status != P2P_OK;
    return status;
}
