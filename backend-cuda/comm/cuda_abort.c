/* Aborts in a thread. See cuda_abort.h. */
#include "cuda_abort.h"

#include "device/cuda_ticket.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    atomic_bool ended;
    atomic_int users; /* the thread, and whoever waits */
    int count;
    cuda_abort_one all[];
} job;

static void release(job *work) {
    if (atomic_fetch_sub(&work->users, 1) == 1) free(work);
}

static void *run(void *data) {
    job *work = data;
    for (int i = 0; i < work->count; i++)
        if (cuda_driver.cuCtxSetCurrent(work->all[i].context) == CUDA_SUCCESS)
            cuda_nccl.ncclCommAbort(work->all[i].nccl);
    atomic_store(&work->ended, true);
    release(work);
    return NULL;
}

static job *create(const cuda_abort_one *all, int count) {
    job *work = malloc(sizeof *work + (size_t)count * sizeof *all);
    if (!work) return NULL;
    atomic_init(&work->ended, false);
    atomic_init(&work->users, 2);
    work->count = count;
    memcpy(work->all, all, (size_t)count * sizeof *all);
    return work;
}

/* The job with a thread that runs it; NULL if there is no thread or memory. */
static job *begin(const cuda_abort_one *all, int count) {
    pthread_t thread;
    job *work = create(all, count);
    if (work && pthread_create(&thread, NULL, run, work) != 0) {
        free(work);
        return NULL;
    }
    if (work) pthread_detach(thread);
    return work;
}

bool cuda_abort_all(const cuda_abort_one *all, int count) {
    double waited = 0;
    if (count == 0) return true;
    job *work = begin(all, count);
    if (!work) return false;
    while (!atomic_load(&work->ended) && waited < CUDA_ABORT_SECONDS) waited += cuda_pause_after(waited);
    const bool ended = atomic_load(&work->ended);
    release(work);
    return ended;
}
