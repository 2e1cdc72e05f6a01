/* Events. An event stands for the point of the stream at which it was recorded last; recording it again
 * doesn't change what earlier waits mean. */
#include "driver.h"

#include <stdlib.h>
#include <time.h>

struct CUevent_st {
    CUcontext context;
    int device;
    unsigned flags;
    driver_record *record; /* NULL: never recorded */
    CUstream stream;       /* of the record */
    CUevent next;
};

static CUevent events;

static CUresult check_event(CUevent handle) {
    CUevent event = events;
    while (event && event != handle) event = event->next;
    if (!event) return driver_refuse(CUDA_ERROR_INVALID_HANDLE, "the event is not alive");
    return CUDA_SUCCESS;
}

int driver_live_events(int device) {
    int count = 0;
    for (CUevent event = events; event; event = event->next) count += event->device == device;
    return count;
}

static void free_event(CUevent event) {
    CUevent *link = &events;
    while (*link != event) link = &(*link)->next;
    *link = event->next;
    driver_drop_record(event->record);
    free(event);
}

void driver_release_events(int device) {
    for (CUevent event = events, next; event; event = next) {
        next = event->next;
        if (event->device == device) free_event(event);
    }
}

CUresult CUDAAPI cuEventCreate(CUevent *event, unsigned flags) {
    int device;
    CUresult result = driver_enter("cuEventCreate", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    if (flags & ~(unsigned)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING))
        return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE, "flags %u", flags));
    CUevent made = calloc(1, sizeof *made);
    if (!made) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    *made =
        (struct CUevent_st){.context = driver_current(), .device = device, .flags = flags, .next = events};
    events = made;
    *event = made;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuEventDestroy(CUevent event) {
    CUresult result = driver_enter("cuEventDestroy_v2", DRIVER_ENDS, NULL);
    if (result != CUDA_SUCCESS) return result;
    result = check_event(event);
    if (result == CUDA_SUCCESS) free_event(event);
    return driver_leave(result);
}

CUresult CUDAAPI cuEventRecord(CUevent event, CUstream stream) {
    int device;
    CUresult result = driver_enter("cuEventRecord", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_event(event)) != CUDA_SUCCESS) return driver_leave(result);
    if ((result = driver_check_stream(stream)) != CUDA_SUCCESS) return driver_leave(result);
    if (event->device != device)
        return driver_leave(driver_refuse(
            CUDA_ERROR_INVALID_HANDLE, "the event is of device %d, the stream of %d", event->device, device));
    driver_command *command = driver_new_command(stream, DRIVER_RECORD, "cuEventRecord");
    driver_drop_record(event->record);
    event->record = command->record = driver_new_record();
    event->record->users++;
    driver_give(command);
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
    CUresult result = driver_enter("cuStreamWaitEvent", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_event(event)) != CUDA_SUCCESS) return driver_leave(result);
    if ((result = driver_check_stream(stream)) != CUDA_SUCCESS) return driver_leave(result);
    if (flags) return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE, "flags %u", flags));
    if (!event->record)
        return driver_leave(
            driver_refuse(CUDA_SUCCESS, "the event was never recorded: nothing is waited for"));
    driver_command *command = driver_new_command(stream, DRIVER_WAIT, "cuStreamWaitEvent");
    command->record = event->record;
    event->record->users++;
    driver_give(command);
    return driver_leave(CUDA_SUCCESS);
}

/* What the host may rely on once the event's point has been reached. */
static CUresult reached(CUevent event) {
    driver_clock_join(&driver_host_clock, &event->record->clock);
    driver_prune_history();
    return driver_result(event->device);
}

/* An event may be asked about with any context current, as in CUDA: waiting uses no context. */
CUresult CUDAAPI cuEventQuery(CUevent event) {
    CUresult result = driver_enter("cuEventQuery", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_event(event)) != CUDA_SUCCESS) return driver_leave(result);
    if (!event->record) return driver_leave(CUDA_SUCCESS);
    if (!event->record->done) driver_step();
    return driver_leave(event->record->done ? reached(event) : CUDA_ERROR_NOT_READY);
}

CUresult CUDAAPI cuEventSynchronize(CUevent event) {
    CUresult result = driver_enter("cuEventSynchronize", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_event(event)) != CUDA_SUCCESS) return driver_leave(result);
    if (!event->record) return driver_leave(CUDA_SUCCESS);
    driver_wait_record(event->record, event->device);
    return driver_leave(reached(event));
}

/* Milliseconds of the machine's clock, which advances by what commands move, always the same. The version of
 * CUDA 12.8 and later, cuEventElapsedTime_v2, is missing on purpose: older drivers don't have it. */
#undef cuEventElapsedTime
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to);
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
    CUresult result = driver_enter("cuEventElapsedTime", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_event(from)) != CUDA_SUCCESS) return driver_leave(result);
    if ((result = check_event(to)) != CUDA_SUCCESS) return driver_leave(result);
    if ((from->flags | to->flags) & CU_EVENT_DISABLE_TIMING || !from->record || !to->record ||
        from->device != to->device)
        return driver_leave(driver_refuse(CUDA_ERROR_INVALID_HANDLE,
                                          "an event without timing, not recorded, or of another device"));
    if (!from->record->done || !to->record->done) return driver_leave(CUDA_ERROR_NOT_READY);
    *milliseconds = (float)((double)(to->record->time - from->record->time) * 1e-6);
    return driver_leave(CUDA_SUCCESS);
}
