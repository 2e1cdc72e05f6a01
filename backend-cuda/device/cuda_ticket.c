/* Tickets and bounded waits. See cuda_ticket.h. */
#include "cuda_ticket.h"

#include "cuda_pause.h"
#include "cuda_standstill.h"

#include <stdio.h>
#include <threads.h>
#include <time.h>

/* ---- Waiting --------------------------------------------------------------------------------------- */

static cuda_hang find_hang(p2p_be_device *device) {
    cuda_hang hang = {.device = device};
    if (device->watch.find) device->watch.find(device->watch.context, &hang);
    return hang;
}

static p2p_status report_hang(const p2p_be_device *device, const cuda_hang *hang, cuda_queue *lost) {
    static const char hung[] = "%s: the device was lost%s: it has not finished its work within %g s%s";
    const double seconds = device->environment.timeout;
    if (!hang->device) {
        const p2p_status status = cuda_host->fail(P2P_DEVICE_LOST, "%s within %g s", hang->text, seconds);
        snprintf(lost->loss, sizeof lost->loss, "%s", cuda_host->message());
        return status;
    }
    snprintf(lost->loss, sizeof lost->loss, hung, lost->name, " by an earlier command", seconds, hang->text);
    return cuda_host->fail(P2P_DEVICE_LOST, hung, lost->name, "", seconds, hang->text);
}

static p2p_status fail_hung(p2p_be_device *device, const cuda_hang *hang) {
    cuda_queue *lost = hang->device ? &hang->device->queue : &device->queue;
    const p2p_status status = report_hang(device, hang, lost);
    if (device->watch.abort) device->watch.abort(device->watch.context);
    lost->lost = true;
    return cuda_host->hint(
        status, "if it is only slow, raise the limit with --device-timeout SECONDS or the environment "
                "variable P2P_CUDA_TIMEOUT=SECONDS; 0 is no limit");
}

static once_flag made_lock = ONCE_FLAG_INIT;
static mtx_t hang_lock; /* several threads may reach the limit together: the first reports */

static void make_lock(void) {
    (void)mtx_init(&hang_lock, mtx_plain);
}

static p2p_status check_hang_locked(p2p_be_device *device, double waited) {
    const cuda_hang hang = find_hang(device);
    P2P_TRY(cuda_enter(&device->queue)); /* it may be broken by now, and the context another device's */
    if (hang.by_others && waited <= device->environment.timeout + CUDA_OTHERS_SECONDS) return P2P_OK;
    return fail_hung(device, &hang);
}

/* At the time limit. P2P_OK: it is not over yet. */
static p2p_status check_hang(p2p_be_device *device, double waited) {
    call_once(&made_lock, make_lock);
    mtx_lock(&hang_lock);
    const p2p_status status = check_hang_locked(device, waited);
    mtx_unlock(&hang_lock);
    return status;
}

static double now(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A sleep counts with its requested length, so that a suspended laptop does not exceed the limit. */
double cuda_pause_after(double waited) {
    const long pause = cuda_pause(waited);
    const double least = 1e-7, most = 1e-4; /* of a yield, whatever happens to the clock */
    if (pause > 0) {
        thrd_sleep(&(struct timespec){.tv_nsec = pause}, NULL);
        return 1e-9 * (double)pause;
    }
    const double begin = now();
    thrd_yield();
    const double passed = now() - begin;
    return passed < least ? least : passed < most ? passed : most;
}

/* Queries the event until it is complete, with pauses: the driver's own wait keeps a processor busy, and
 * never ends if the device hangs. */
p2p_status cuda_wait_event(p2p_be_device *device, CUevent event) {
    double waited = 0;
    for (;;) {
        const CUresult code = cuda_driver.cuEventQuery(event);
        if (code == CUDA_SUCCESS) return P2P_OK;
        if (code != CUDA_ERROR_NOT_READY) return cuda_check(&device->queue, code, "a command of the queue");
        if (device->watch.check) P2P_TRY(device->watch.check(device->watch.context));
        if (device->environment.timeout > 0 && waited > device->environment.timeout)
            P2P_TRY(check_hang(device, waited));
        waited += cuda_pause_after(waited);
    }
}

p2p_status cuda_drain(p2p_be_device *device, CUstream stream) {
    CUDA_TRY(&device->queue, cuEventRecord, device->drained, stream);
    return cuda_wait_event(device, device->drained);
}

p2p_status cuda_drain_all(p2p_be_device *device) {
    P2P_TRY(cuda_drain(device, device->queue.stream));
    return cuda_drain(device, device->overlap.stream);
}

static p2p_status settle(p2p_be_device *device, cuda_slot *slot) {
    for (; slot->recorded > 0; slot->recorded--)
        P2P_TRY(cuda_wait_event(device, slot->event[slot->recorded - 1]));
    return P2P_OK;
}

/* ---- Tickets --------------------------------------------------------------------------------------- */

static p2p_status create_event(p2p_be_device *device, CUevent *event) {
    CUDA_TRY(&device->queue, cuEventCreate, event, CU_EVENT_DISABLE_TIMING);
    return P2P_OK;
}

p2p_status cuda_tickets_open(p2p_be_device *device) {
    for (int i = 0; i < CUDA_IN_FLIGHT; i++)
        for (int j = 0; j < CUDA_TICKET_STREAMS; j++)
            P2P_TRY(create_event(device, &device->slot[i].event[j]));
    return create_event(device, &device->drained);
}

void cuda_tickets_close(p2p_be_device *device) {
    for (int i = 0; i < CUDA_IN_FLIGHT; i++)
        for (int j = 0; j < CUDA_TICKET_STREAMS; j++)
            if (device->slot[i].event[j])
                CUDA_RELEASE(&device->queue, cuEventDestroy, device->slot[i].event[j]);
    if (device->drained) CUDA_RELEASE(&device->queue, cuEventDestroy, device->drained);
}

p2p_status cuda_ticket_issue(p2p_be_device *device, const CUstream *streams, int count, p2p_ticket *ticket) {
    cuda_slot *slot = &device->slot[(device->last_ticket + 1) % CUDA_IN_FLIGHT];
    P2P_TRY(settle(device, slot));
    for (int i = 0; i < count; i++) {
        CUDA_TRY(&device->queue, cuEventRecord, slot->event[i], streams[i]);
        slot->recorded = i + 1;
    }
    *ticket = ++device->last_ticket;
    return P2P_OK;
}

static p2p_status check_issued(const p2p_be_device *device, p2p_ticket ticket) {
    if (ticket <= device->last_ticket) return P2P_OK;
    return cuda_host->fail(P2P_INVALID, "%s: ticket %llu was never issued; the last is %llu",
                           device->queue.name, (unsigned long long)ticket,
                           (unsigned long long)device->last_ticket);
}

/* The slot of a ticket; NULL if its slot has been used again: it was waited for then. */
static cuda_slot *slot_of(p2p_be_device *device, p2p_ticket ticket) {
    if (ticket == 0 || ticket + CUDA_IN_FLIGHT <= device->last_ticket) return NULL;
    return &device->slot[ticket % CUDA_IN_FLIGHT];
}

bool cuda_ticket_is_pending(p2p_be_device *device, p2p_ticket ticket) {
    const cuda_slot *slot = slot_of(device, ticket);
    for (int i = 0; slot && i < slot->recorded; i++)
        if (cuda_driver.cuEventQuery(slot->event[i]) == CUDA_ERROR_NOT_READY) return true;
    return false;
}

p2p_status cuda_ticket_order(p2p_be_device *device, CUstream stream, p2p_ticket after) {
    P2P_TRY(check_issued(device, after));
    const cuda_slot *slot = slot_of(device, after);
    for (int i = 0; slot && i < slot->recorded; i++)
        CUDA_TRY(&device->queue, cuStreamWaitEvent, stream, slot->event[i], CU_EVENT_WAIT_DEFAULT);
    return P2P_OK;
}

p2p_status cuda_submit(p2p_be_device *device, p2p_ticket *ticket) {
    P2P_TRY(cuda_enter(&device->queue));
    const CUstream streams[] = {device->queue.stream, device->overlap.stream};
    return cuda_ticket_issue(device, streams, 2, ticket);
}

p2p_status cuda_wait(p2p_be_device *device, p2p_ticket ticket) {
    P2P_TRY(cuda_enter(&device->queue));
    P2P_TRY(check_issued(device, ticket));
    cuda_slot *slot = slot_of(device, ticket);
    if (slot) P2P_TRY(settle(device, slot));
    /* Another thread may have ended a collective whose results this one has waited for. */
    return cuda_check_alive(&device->queue);
}

p2p_status cuda_order(p2p_be_device *device, p2p_ticket after) {
    P2P_TRY(cuda_enter(&device->queue));
    P2P_TRY(cuda_standstill_begin(device));
    P2P_TRY(cuda_ticket_order(device, device->queue.stream, after));
    P2P_TRY(cuda_standstill_end(device));
    return cuda_ticket_order(device, device->overlap.stream, after);
}
