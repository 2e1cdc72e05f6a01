/* Measures a device's peak with work of the backend that only multiplies and adds: a kernel or a matrix
 * product. Returns work and seconds; the caller provides the clock and evaluates them. Memory rates are
 * measured in transfer.c, operations of networks by p2p_plan_profile. */
#include "device.h"

#include <math.h>
#include <stdlib.h>

enum {
    FIRST_STEPS = 8,
    MOST_REPEATS = 64,
    CAPACITY = 1 << 19 /* work-items: enough for every core of a large GPU */
};

typedef struct {
    p2p_device *device;
    p2p_math math;
    p2p_buffer *counts;
    p2p_operation *kernel;
    double multiply_adds; /* of one execution of the kernel */
    int repeats;          /* executions in a run */
    double (*clock)(void);
} peak;

static p2p_status run(const peak *p, double *seconds) {
    double begin;
    P2P_TRY(p2p_device_time_begin(p->device, p->clock, &begin));
    for (int i = 0; i < p->repeats; i++) P2P_TRY(p2p_operation_run(p->kernel));
    return p2p_device_time_end(p->device, p->clock, begin, seconds);
}

/* Times the second run, because the first may compile the kernel. */
static p2p_status try_steps(peak *p, int steps, double *seconds) {
    p2p_operation_destroy(p->kernel);
    P2P_TRY(p2p_operation_create_peak(p->device, p->math, steps, (p2p_place){p->counts, 0}, CAPACITY,
                                      &p->kernel, &p->multiply_adds));
    P2P_TRY(run(p, seconds));
    return run(p, seconds);
}

static p2p_status lengthen(peak *p) {
    double seconds = 0;
    for (int steps = FIRST_STEPS; steps <= P2P_PEAK_STEPS && seconds < P2P_PEAK_SECONDS; steps *= 2)
        P2P_TRY(try_steps(p, steps, &seconds));
    if (seconds > 0 && seconds < P2P_PEAK_SECONDS)
        p->repeats = (int)fmin(ceil(P2P_PEAK_SECONDS / seconds), MOST_REPEATS);
    return P2P_OK;
}

static p2p_status check_counts(const peak *p, float *counts) {
    double sum = 0;
    P2P_TRY(p2p_buffer_read(p->device, (p2p_place){p->counts, 0}, counts, CAPACITY * sizeof *counts));
    P2P_TRY(p2p_device_finish(p->device));
    for (int i = 0; i < CAPACITY; i++) sum += counts[i];
    if (sum == p->multiply_adds) return P2P_OK;
    return p2p_fail(P2P_FAILED, "%s: the kernel that measures the peak made %.9g of %.9g multiply-adds",
                    p2p_device_address(p->device), sum, p->multiply_adds);
}

static p2p_status check(const peak *p) {
    float *counts = malloc(CAPACITY * sizeof *counts);
    if (!counts) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for the counts of a peak");
    p2p_status status = check_counts(p, counts);
    if (status != P2P_OK)
        (void)p2p_device_finish(p->device); /* a pending read must not access freed memory */
    free(counts);
    return status;
}

static p2p_status time_runs(peak *p, int count, double *seconds) {
    P2P_TRY(p2p_buffer_create(p->device, CAPACITY * sizeof(float), &p->counts));
    P2P_TRY(lengthen(p));
    for (int i = 0; i < count; i++) P2P_TRY(run(p, &seconds[i]));
    return check(p);
}

p2p_status p2p_device_time_peak(p2p_device *device, p2p_math math, double (*clock)(void), int count,
                                double *flops, double *seconds) {
    peak p = {.device = device, .math = math, .repeats = 1, .clock = clock};
    p2p_status status = time_runs(&p, count, seconds);
    *flops = 2 * p.multiply_adds * p.repeats;
    p2p_operation_destroy(p.kernel);
    p2p_buffer_destroy(p.counts);
    return status;
}
