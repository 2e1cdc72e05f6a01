/* See cuda_standstill.h. */
#include "cuda_standstill.h"

#include "library/cuda_library.h"

#include <stdlib.h>

enum { WAITS = 64 };

typedef struct {
    CUevent before, after;
    bool busy;
} timed_wait;

struct cuda_standstill {
    timed_wait waits[WAITS];
    int next;
    bool begun; /* waits[next] has its first event */
    double seconds;
};

/* ---- Opening and closing --------------------------------------------------------------------------- */

static p2p_status create_events(p2p_be_device *device, timed_wait *wait) {
    CUDA_TRY(&device->queue, cuEventCreate, &wait->before, CU_EVENT_DEFAULT);
    CUDA_TRY(&device->queue, cuEventCreate, &wait->after, CU_EVENT_DEFAULT);
    return P2P_OK;
}

p2p_status cuda_standstill_open(p2p_be_device *device) {
    if (device->standstill) return P2P_OK;
    device->standstill = calloc(1, sizeof *device->standstill);
    if (!device->standstill)
        return cuda_host->fail(P2P_OUT_OF_MEMORY, "%s: no host memory to measure waits", device->queue.name);
    for (int i = 0; i < WAITS; i++) P2P_TRY(create_events(device, &device->standstill->waits[i]));
    return P2P_OK;
}

static void destroy_events(p2p_be_device *device) {
    if (!cuda_enter_release(&device->queue)) return;
    for (int i = 0; i < WAITS; i++) {
        const timed_wait *wait = &device->standstill->waits[i];
        if (wait->before) CUDA_RELEASE(&device->queue, cuEventDestroy, wait->before);
        if (wait->after) CUDA_RELEASE(&device->queue, cuEventDestroy, wait->after);
    }
}

void cuda_standstill_close(p2p_be_device *device) {
    if (!device->standstill) return;
    destroy_events(device);
    free(device->standstill);
    device->standstill = NULL;
}

/* ---- Waits ----------------------------------------------------------------------------------------- */

/* Adds the wait if it has ended. */
static void collect(cuda_standstill *all, timed_wait *wait) {
    float milliseconds = 0;
    if (!wait->busy || cuda_driver.cuEventQuery(wait->after) != CUDA_SUCCESS) return;
    if (cuda_driver.cuEventElapsedTime(&milliseconds, wait->before, wait->after) == CUDA_SUCCESS)
        all->seconds += 1e-3 * (double)milliseconds;
    wait->busy = false;
}

p2p_status cuda_standstill_begin(p2p_be_device *device) {
    cuda_standstill *all = device->standstill;
    if (!all) return P2P_OK;
    collect(all, &all->waits[all->next]);
    all->begun = !all->waits[all->next].busy;
    if (all->begun)
        CUDA_TRY(&device->queue, cuEventRecord, all->waits[all->next].before, device->queue.stream);
    return P2P_OK;
}

p2p_status cuda_standstill_end(p2p_be_device *device) {
    cuda_standstill *all = device->standstill;
    if (!all || !all->begun) return P2P_OK;
    timed_wait *wait = &all->waits[all->next];
    all->next = (all->next + 1) % WAITS;
    all->begun = false;
    CUDA_TRY(&device->queue, cuEventRecord, wait->after, device->queue.stream);
    wait->busy = true;
    return P2P_OK;
}

double cuda_standstill_seconds(p2p_be_device *device) {
    cuda_standstill *all = device->standstill;
    if (!all) return 0;
    for (int i = 0; i < WAITS; i++) collect(all, &all->waits[i]);
    return all->seconds;
}
