/* The order of transfers and commands. See cuda_overlap.h. */
#include "cuda_device.h"

static bool meet(const cuda_transferred *one, const cuda_range *range) {
    return range->begin < one->end && one->begin < range->end;
}

static bool contains(const cuda_transferred *one, const cuda_range *range) {
    return one->begin <= range->begin && range->end <= one->end;
}

/* ---- Opening and closing --------------------------------------------------------------------------- */

p2p_status cuda_overlap_open(p2p_be_device *device) {
    cuda_overlap *overlap = &device->overlap;
    CUDA_TRY(&device->queue, cuStreamCreate, &overlap->stream, CU_STREAM_NON_BLOCKING);
    CUDA_TRY(&device->queue, cuEventCreate, &overlap->fork, CU_EVENT_DISABLE_TIMING);
    for (int i = 0; i < CUDA_OVERLAPS; i++) {
        CUDA_TRY(&device->queue, cuEventCreate, &overlap->range[i].used, CU_EVENT_DISABLE_TIMING);
        CUDA_TRY(&device->queue, cuEventCreate, &overlap->range[i].copied, CU_EVENT_DISABLE_TIMING);
    }
    return P2P_OK;
}

void cuda_overlap_close(p2p_be_device *device) {
    cuda_overlap *overlap = &device->overlap;
    for (int i = 0; i < CUDA_OVERLAPS; i++) {
        if (overlap->range[i].used) CUDA_RELEASE(&device->queue, cuEventDestroy, overlap->range[i].used);
        if (overlap->range[i].copied) CUDA_RELEASE(&device->queue, cuEventDestroy, overlap->range[i].copied);
    }
    if (overlap->fork) CUDA_RELEASE(&device->queue, cuEventDestroy, overlap->fork);
    if (overlap->stream) CUDA_RELEASE(&device->queue, cuStreamDestroy, overlap->stream);
}

void cuda_overlap_forget(p2p_be_device *device) {
    device->overlap.count = device->overlap.next = 0;
}

/* ---- Commands of the queue ------------------------------------------------------------------------- */

/* The queue waits for the range's transfer. */
static p2p_status join(p2p_be_device *device, cuda_transferred *one) {
    if (!one->is_copying) return P2P_OK;
    CUDA_TRY(&device->queue, cuStreamWaitEvent, device->queue.stream, one->copied, CU_EVENT_WAIT_DEFAULT);
    one->is_copying = false;
    return P2P_OK;
}

p2p_status cuda_overlap_before(p2p_be_device *device, const cuda_range *ranges, int count) {
    cuda_overlap *overlap = &device->overlap;
    for (int i = 0; i < overlap->count; i++)
        for (int j = 0; j < count; j++)
            if (meet(&overlap->range[i], &ranges[j]) && (overlap->range[i].copy_writes || ranges[j].writes))
                P2P_TRY(join(device, &overlap->range[i]));
    return P2P_OK;
}

static bool meets_any(const cuda_transferred *one, const cuda_range *ranges, int count) {
    for (int j = 0; j < count; j++)
        if (meet(one, &ranges[j])) return true;
    return false;
}

p2p_status cuda_overlap_after(p2p_be_device *device, const cuda_range *ranges, int count) {
    cuda_overlap *overlap = &device->overlap;
    for (int i = 0; i < overlap->count; i++) {
        cuda_transferred *one = &overlap->range[i];
        if (!meets_any(one, ranges, count)) continue;
        CUDA_TRY(&device->queue, cuEventRecord, one->used, device->queue.stream);
        one->is_used = true;
    }
    return P2P_OK;
}

/* ---- Transfers ------------------------------------------------------------------------------------- */

/* The stream waits for all commands of the queue. */
static p2p_status fork(p2p_be_device *device) {
    cuda_overlap *overlap = &device->overlap;
    CUDA_TRY(&device->queue, cuEventRecord, overlap->fork, device->queue.stream);
    CUDA_TRY(&device->queue, cuStreamWaitEvent, overlap->stream, overlap->fork, CU_EVENT_WAIT_DEFAULT);
    return P2P_OK;
}

static cuda_transferred *find(cuda_overlap *overlap, const cuda_range *range) {
    for (int i = 0; i < overlap->count; i++)
        if (contains(&overlap->range[i], range)) return &overlap->range[i];
    return NULL;
}

/* Since a range was recorded, every command that uses it is. */
p2p_status cuda_overlap_begin(p2p_be_device *device, const cuda_range *range) {
    cuda_overlap *overlap = &device->overlap;
    cuda_transferred *known = find(overlap, range);
    if (!known) return fork(device);
    if (!known->is_used) return P2P_OK;
    CUDA_TRY(&device->queue, cuStreamWaitEvent, overlap->stream, known->used, CU_EVENT_WAIT_DEFAULT);
    known->is_used = false;
    return P2P_OK;
}

/* Makes room for a range, for which the queue waits if it is being transferred. */
static p2p_status remember(p2p_be_device *device, const cuda_range *range, cuda_transferred **made) {
    cuda_overlap *overlap = &device->overlap;
    cuda_transferred *one = &overlap->range[overlap->next];
    overlap->next = (overlap->next + 1) % CUDA_OVERLAPS;
    if (overlap->count < CUDA_OVERLAPS)
        overlap->count++;
    else
        P2P_TRY(join(device, one));
    one->begin = range->begin;
    one->end = range->end;
    one->is_used = one->is_copying = false;
    *made = one;
    return P2P_OK;
}

p2p_status cuda_overlap_end(p2p_be_device *device, const cuda_range *range) {
    cuda_transferred *one = find(&device->overlap, range);
    if (!one) P2P_TRY(remember(device, range, &one));
    CUDA_TRY(&device->queue, cuEventRecord, one->copied, device->overlap.stream);
    one->copy_writes = range->writes || (one->is_copying && one->copy_writes);
    one->is_copying = true;
    return P2P_OK;
}
