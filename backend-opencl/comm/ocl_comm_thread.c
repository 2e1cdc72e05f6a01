/* The thread of a communicator: takes one collective after the other, waits for the contributions, and ends
 * the events of all replicas, with an error if one replica failed.
 */
#include "ocl_comm_internal.h"

#include "device/ocl_error.h"

#include <stdio.h>

/* Waits until all contributions are complete. */
static cl_int wait_for_contributions(const p2p_be_comm *comm, const ocl_comm_job *job, const char **what,
                                     int *lane) {
    *what = "a command before a collective";
    for (int r = 0; r < comm->count; r++) {
        *lane = r;
        cl_event after = job->parts[r].after;
        const cl_int code = after ? ocl_comm_wait(comm, r, after) : CL_SUCCESS;
        if (code != CL_SUCCESS) return code;
    }
    return CL_SUCCESS;
}

static void describe(const p2p_be_comm *comm, const char *what, int lane, cl_int code, char *text,
                     size_t size) {
    const char *name = comm->lanes[lane].device->info.name;
    if (comm->exchange_failed)
        snprintf(text, size, "%s: %s: %s", name, what, ocl_host->message());
    else
        snprintf(text, size, "%s: %s failed with %s (%d)", name, what, ocl_error_name(code), code);
}

/* Marks all devices before the events end on which their queues wait. */
static void note_failure(const p2p_be_comm *comm, const char *what, int lane, cl_int code) {
    for (int r = 0; r < comm->count; r++) {
        p2p_be_device *device = comm->lanes[r].device;
        if (atomic_load(&device->collective_failed)) continue;
        describe(comm, what, lane, code, device->collective_failure, sizeof device->collective_failure);
        atomic_store(&device->collective_failed, true);
    }
}

/* The events of a failed job are completed, too: some drivers abort if a user event fails. Its results are
 * undefined, and no wait for them succeeds. */
static void end_job(const p2p_be_comm *comm, const ocl_comm_job *job) {
    for (int r = 0; r < comm->count; r++) {
        ocl_comm_part *part = &job->parts[r];
        if (part->after) clReleaseEvent(part->after);
        clSetUserEventStatus(part->done, CL_COMPLETE);
        clReleaseEvent(part->done);
        part->after = part->done = NULL;
    }
}

/* Of a communicator that has failed, jobs are only ended: the other processes would take the exchange of one
 * for that of the job that failed. */
static void run_job(p2p_be_comm *comm, const ocl_comm_job *job) {
    const char *what;
    int lane;
    cl_int code = CL_SUCCESS;
    if (!comm->failed) code = wait_for_contributions(comm, job, &what, &lane);
    if (!comm->failed && code == CL_SUCCESS) code = ocl_comm_transfer(comm, job, &what, &lane);
    if (code != CL_SUCCESS) note_failure(comm, what, lane, code);
    comm->failed = comm->failed || code != CL_SUCCESS;
    end_job(comm, job);
}

/* The next job; NULL when the communicator is closed and all are done. */
static ocl_comm_job *next_job(p2p_be_comm *comm) {
    ocl_comm_job *job = NULL;
    pthread_mutex_lock(&comm->lock);
    while (comm->ended == comm->begun && !comm->stopping) pthread_cond_wait(&comm->changed, &comm->lock);
    if (comm->ended < comm->begun) job = &comm->jobs[comm->ended % OCL_COMM_JOBS];
    pthread_mutex_unlock(&comm->lock);
    return job;
}

void *ocl_comm_serve(void *context) {
    p2p_be_comm *comm = context;
    const ocl_comm_job *job;
    while ((job = next_job(comm)) != NULL) {
        run_job(comm, job);
        pthread_mutex_lock(&comm->lock);
        comm->ended++;
        pthread_cond_broadcast(&comm->changed);
        pthread_mutex_unlock(&comm->lock);
    }
    return NULL;
}
