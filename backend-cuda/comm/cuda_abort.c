/* Aborts in threads. See cuda_abort.h. */
#include "cuda_abort.h"

#include "device/cuda_ticket.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct cuda_abort {
    CUcontext context;
    ncclComm_t nccl;
    atomic_bool ended;
    atomic_int users; /* the thread, and whoever waits */
};

static void release(cuda_abort *job) {
    if (atomic_fetch_sub(&job->users, 1) == 1) free(job);
}

static void *run(void *data) {
    cuda_abort *job = data;
    if (cuda_driver.cuCtxSetCurrent(job->context) == CUDA_SUCCESS) cuda_nccl.ncclCommAbort(job->nccl);
    atomic_store(&job->ended, true);
    release(job);
    return NULL;
}

static bool start(cuda_abort *job) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, job) != 0) return false;
    pthread_detach(thread);
    return true;
}

cuda_abort *cuda_abort_begin(CUcontext context, ncclComm_t nccl) {
    cuda_abort *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->context = context;
    job->nccl = nccl;
    atomic_init(&job->ended, false);
    atomic_init(&job->users, 2);
    if (start(job)) return job;
    free(job);
    return NULL;
}

bool cuda_abort_finish(cuda_abort *job, double *waited) {
    if (!job) return false;
    while (!atomic_load(&job->ended) && *waited < CUDA_ABORT_SECONDS) *waited += cuda_pause_after(*waited);
    const bool ended = atomic_load(&job->ended);
    release(job);
    return ended;
}
