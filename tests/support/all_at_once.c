/* A thread per job. See all_at_once.h. */
#include "all_at_once.h"

#include <pthread.h>
#include <stdlib.h>

enum { MOST_JOBS = 64 };

typedef struct {
    p2p_job job;
    void *context;
    int index;
} thread_job;

static void *run_thread(void *argument) {
    const thread_job *mine = argument;
    mine->job(mine->context, mine->index);
    return NULL;
}

void all_at_once(p2p_job job, void *context, int count) {
    pthread_t threads[MOST_JOBS];
    thread_job jobs[MOST_JOBS];
    if (count > MOST_JOBS) abort();
    for (int i = 0; i < count; i++) {
        jobs[i] = (thread_job){job, context, i};
        if (pthread_create(&threads[i], NULL, run_thread, &jobs[i]) != 0) abort();
    }
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}
