/* Times of waits, from callbacks of two events. See ocl_standstill.h. */
#include "ocl_standstill.h"

#include "ocl_error.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { WAITS = 64 };

/* A wait. Each of the two events stores its time; the later one adds the difference. */
typedef struct {
    ocl_standstill *all;
    atomic_bool busy;
    atomic_int outstanding;
    long long reached, ended;
} timed_wait;

struct ocl_standstill {
    timed_wait waits[WAITS];
    atomic_llong nanoseconds;
    unsigned next;
};

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (long long)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void report(timed_wait *wait) {
    if (atomic_fetch_sub(&wait->outstanding, 1) > 1) return;
    if (wait->ended > wait->reached) atomic_fetch_add(&wait->all->nanoseconds, wait->ended - wait->reached);
    atomic_store(&wait->busy, false);
}

static void CL_CALLBACK note_reached(cl_event event, cl_int status, void *wait) {
    (void)event, (void)status;
    ((timed_wait *)wait)->reached = now();
    report(wait);
}

static void CL_CALLBACK note_ended(cl_event event, cl_int status, void *wait) {
    (void)event, (void)status;
    ((timed_wait *)wait)->ended = now();
    report(wait);
}

static p2p_status reserve(p2p_be_device *device) {
    if (device->standstill) return P2P_OK;
    device->standstill = calloc(1, sizeof *device->standstill);
    if (!device->standstill)
        return ocl_host->fail(P2P_OUT_OF_MEMORY, "%s: no host memory to measure its waits",
                              device->info.name);
    return P2P_OK;
}

/* A callback that can't be set has reported. */
static cl_int set_callbacks(cl_event before, cl_event event, timed_wait *wait) {
    cl_int code = clSetEventCallback(before, CL_COMPLETE, note_reached, wait);
    if (code != CL_SUCCESS) report(wait);
    const cl_int second = clSetEventCallback(event, CL_COMPLETE, note_ended, wait);
    if (second != CL_SUCCESS) report(wait);
    return code != CL_SUCCESS ? code : second;
}

p2p_status ocl_standstill_measure(p2p_be_device *device, cl_event event) {
    P2P_TRY(reserve(device));
    timed_wait *wait = &device->standstill->waits[device->standstill->next++ % WAITS];
    cl_event before;
    if (atomic_load(&wait->busy)) return P2P_OK;
    P2P_TRY(ocl_check(device, clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &before),
                      "clEnqueueMarkerWithWaitList"));
    wait->all = device->standstill;
    wait->reached = wait->ended = 0;
    atomic_store(&wait->outstanding, 2);
    atomic_store(&wait->busy, true);
    const cl_int code = set_callbacks(before, event, wait);
    clReleaseEvent(before);
    return ocl_check(device, code, "clSetEventCallback");
}

double ocl_standstill_seconds(const p2p_be_device *device) {
    return device->standstill ? 1e-9 * (double)atomic_load(&device->standstill->nanoseconds) : 0;
}

void ocl_standstill_close(p2p_be_device *device) {
    for (int i = 0; device->standstill && i < WAITS; i++)
        while (atomic_load(&device->standstill->waits[i].busy)) {
            const struct timespec pause = {.tv_nsec = 100000};
            nanosleep(&pause, NULL);
        }
    free(device->standstill);
    device->standstill = NULL;
}
