/* Submissions, bounded waits, and a bounded amount of work in the queue. See ocl_queue.h. */
#include "ocl_queue.h"

#include "ocl_error.h"
#include "ocl_pocl.h"
#include "ocl_standstill.h"

#include <math.h>
#include <threads.h>

/* Lower bounds for any GPU that can train: a quarter of the rate per clock of Intel's units, a sixtieth of
 * NVIDIA's; and half the memory bandwidth of a laptop. */
static const double flops_per_unit_and_clock = 4, bytes_per_second = 16e9;
static const double unknown_clock_hz = 500e6;

/* Estimated seconds between two marks in the queue; OCL_MARKS of them may be pending. Some drivers abort
 * after fourteen seconds. */
static const double mark_interval = 1;

/* ---- Limits ---------------------------------------------------------------------------------------- */

void ocl_queue_open(p2p_be_device *device) {
    cl_uint mhz = 0;
    clGetDeviceInfo(device->id, CL_DEVICE_MAX_CLOCK_FREQUENCY, sizeof mhz, &mhz, NULL);
    const double hz = mhz > 0 ? 1e6 * mhz : unknown_clock_hz;
    device->limits =
        (ocl_queue_limits){.flops_per_second = flops_per_unit_and_clock * device->target.compute_units * hz,
                           .launch_seconds = device->environment.launch_seconds,
                           .timeout = device->environment.timeout};
}

void ocl_queue_close(p2p_be_device *device) {
    for (int i = 0; i < OCL_IN_FLIGHT; i++)
        if (device->in_flight[i]) clReleaseEvent(device->in_flight[i]);
    for (int i = 0; i < OCL_MARKS; i++)
        if (device->mark[i]) clReleaseEvent(device->mark[i]);
}

double ocl_queue_estimate(const p2p_be_device *device, const p2p_op *op) {
    if (device->target.cpu) return 0;
    return fmax(p2p_op_flops(op) / device->limits.flops_per_second, p2p_op_bytes(op) / bytes_per_second);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

void ocl_queue_cut(const p2p_be_device *device, double seconds, const size_t groups[3], size_t pieces[3]) {
    const double wanted = fmin(ceil(seconds / device->limits.launch_seconds), (double)INT32_MAX);
    const size_t count = wanted > 1 ? (size_t)wanted : 1;
    pieces[1] = 1; /* some kernels read the grid's extent along it */
    pieces[2] = smaller(count, groups[2]);
    pieces[0] = smaller((count - 1) / pieces[2] + 1, groups[0]);
}

/* ---- Waiting --------------------------------------------------------------------------------------- */

static p2p_status fail_hung(p2p_be_device *device) {
    device->lost = true;
    const p2p_status status =
        ocl_host->fail(P2P_DEVICE_LOST, "%s: the device was lost: it has not finished its work within %g s",
                       device->info.name, device->limits.timeout);
    return ocl_host->hint(
        status, "if it is only slow, raise the limit with --device-timeout SECONDS or the environment "
                "variable P2P_OPENCL_TIMEOUT=SECONDS; 0 is no limit");
}

/* Queries the event until it is complete, with pauses that grow from 20 us to 1 ms: the blocking wait of
 * many drivers keeps a processor busy, and no driver's ends if the device hangs. Only pauses are counted,
 * so a laptop may be suspended in between; and none while the queue stands at a collective for which others
 * are awaited. */
cl_int ocl_queue_poll(const p2p_be_device *device, cl_event event, bool *hung) {
    const long longest = 1000000;
    long pause = 20000;
    double paused = 0;
    *hung = false;
    for (;;) {
        cl_int state = CL_QUEUED;
        const cl_int code =
            clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
        if (code != CL_SUCCESS || state < 0) return code != CL_SUCCESS ? code : state;
        if (state == CL_COMPLETE) return CL_SUCCESS;
        *hung = device->limits.timeout > 0 && paused > device->limits.timeout;
        if (*hung) return CL_SUCCESS;
        thrd_sleep(&(struct timespec){.tv_nsec = pause}, NULL);
        if (!atomic_load(&device->awaits_others)) paused += 1e-9 * (double)pause;
        pause = pause < longest / 2 ? 2 * pause : longest;
    }
}

static p2p_status poll_until_done(p2p_be_device *device, cl_event event) {
    bool hung;
    P2P_TRY(ocl_check(device, ocl_queue_poll(device, event, &hung), "a command of the queue"));
    return hung ? fail_hung(device) : P2P_OK;
}

/* Waits for the event in a slot, which has been flushed, and releases it. */
static p2p_status settle(p2p_be_device *device, cl_event *slot) {
    if (*slot == NULL) return P2P_OK;
    if (device->target.cpu)
        P2P_TRY(ocl_check(device, clWaitForEvents(1, slot), "a command of the queue"));
    else
        P2P_TRY(poll_until_done(device, *slot));
    clReleaseEvent(*slot);
    *slot = NULL;
    return P2P_OK;
}

/* Enqueues an event after all enqueued commands, and flushes. */
static p2p_status mark(p2p_be_device *device, cl_event *slot) {
    P2P_TRY(ocl_check(device, clEnqueueMarkerWithWaitList(device->queue, 0, NULL, slot),
                      "clEnqueueMarkerWithWaitList"));
    device->unflushed = 0;
    return ocl_check(device, clFlush(device->queue), "clFlush");
}

/* Drivers compile kernels when they first run. */
static void record_kernels(p2p_be_device *device) {
    if (device->unrecorded == 0 || !ocl_pocl_record_is_due()) return;
    device->unrecorded--;
    ocl_pocl_record(device->info.driver);
}

p2p_status ocl_queue_finish(p2p_be_device *device) {
    cl_event event = NULL;
    P2P_TRY(mark(device, &event));
    P2P_TRY(settle(device, &event));
    record_kernels(device);
    return P2P_OK;
}

p2p_status ocl_queue_add(p2p_be_device *device, double seconds) {
    device->unmarked_seconds += seconds;
    if (device->unmarked_seconds < mark_interval) return P2P_OK;
    cl_event *slot = &device->mark[device->marks++ % OCL_MARKS];
    P2P_TRY(settle(device, slot));
    device->unmarked_seconds = 0;
    return mark(device, slot);
}

/* ---- Submissions ----------------------------------------------------------------------------------- */

p2p_status ocl_queue_submit(p2p_be_device *device, p2p_ticket *ticket) {
    P2P_TRY(ocl_check_alive(device));
    cl_event *slot = &device->in_flight[(device->last_ticket + 1) % OCL_IN_FLIGHT];
    P2P_TRY(settle(device, slot));
    P2P_TRY(mark(device, slot));
    *ticket = ++device->last_ticket;
    return P2P_OK;
}

static p2p_status check_ticket(const p2p_be_device *device, p2p_ticket ticket) {
    if (ticket <= device->last_ticket) return P2P_OK;
    return ocl_host->fail(P2P_INVALID, "%s: ticket %llu was never issued; the last is %llu",
                          device->info.name, (unsigned long long)ticket,
                          (unsigned long long)device->last_ticket);
}

p2p_status ocl_queue_wait(p2p_be_device *device, p2p_ticket ticket) {
    P2P_TRY(ocl_check_alive(device));
    P2P_TRY(check_ticket(device, ticket));
    if (ticket + OCL_IN_FLIGHT <= device->last_ticket) return P2P_OK; /* submit has waited for it */
    P2P_TRY(settle(device, &device->in_flight[ticket % OCL_IN_FLIGHT]));
    P2P_TRY(ocl_check_alive(device)); /* the commands may have waited for a collective that failed */
    record_kernels(device);
    return P2P_OK;
}

/* ---- Events of others ------------------------------------------------------------------------------ */

/* The event of a ticket, unless it is known to be complete. */
static cl_event event_of(const p2p_be_device *device, p2p_ticket ticket) {
    return ticket + OCL_IN_FLIGHT <= device->last_ticket ? NULL : device->in_flight[ticket % OCL_IN_FLIGHT];
}

p2p_status ocl_queue_event(p2p_be_device *device, p2p_ticket ticket, cl_event *event) {
    P2P_TRY(ocl_check_alive(device));
    P2P_TRY(check_ticket(device, ticket));
    *event = event_of(device, ticket);
    return *event ? ocl_check(device, clRetainEvent(*event), "clRetainEvent") : P2P_OK;
}

p2p_status ocl_queue_adopt(p2p_be_device *device, cl_event event, p2p_ticket *ticket) {
    P2P_TRY(ocl_check_alive(device));
    cl_event *slot = &device->in_flight[(device->last_ticket + 1) % OCL_IN_FLIGHT];
    P2P_TRY(settle(device, slot));
    P2P_TRY(ocl_check(device, clRetainEvent(event), "clRetainEvent"));
    *slot = event;
    *ticket = ++device->last_ticket;
    return P2P_OK;
}

p2p_status ocl_queue_order(p2p_be_device *device, p2p_ticket after) {
    P2P_TRY(ocl_check_alive(device));
    P2P_TRY(check_ticket(device, after));
    cl_event event = event_of(device, after);
    if (!event) return P2P_OK;
    P2P_TRY(ocl_standstill_measure(device, event));
    return ocl_check(device, clEnqueueBarrierWithWaitList(device->queue, 1, &event, NULL),
                     "clEnqueueBarrierWithWaitList");
}
