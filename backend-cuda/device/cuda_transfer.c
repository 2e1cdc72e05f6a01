/* Transfers. See cuda_transfer.h. */
#include "cuda_transfer.h"

#include "cuda_memory.h"
#include "cuda_pinned.h"
#include "cuda_ticket.h"

#include <string.h>

/* Bytes up to which a transfer is a command of the queue: the events of its own stream would take longer. */
static const size_t small = 64 << 10;

/* ---- Staging memory -------------------------------------------------------------------------------- */

p2p_status cuda_stages_open(p2p_be_device *device) {
    for (int i = 0; i < CUDA_STAGES; i++) {
        cuda_stage *stage = &device->stage[i];
        CUDA_TRY(&device->queue, cuEventCreate, &stage->done, CU_EVENT_DISABLE_TIMING);
        CUDA_TRY(&device->queue, cuMemHostAlloc, (void **)&stage->bytes, CUDA_STAGE_BYTES,
                 CU_MEMHOSTALLOC_PORTABLE);
    }
    return P2P_OK;
}

void cuda_stages_close(p2p_be_device *device) {
    for (int i = 0; i < CUDA_STAGES; i++) {
        if (device->stage[i].done) CUDA_RELEASE(&device->queue, cuEventDestroy, device->stage[i].done);
        if (device->stage[i].bytes) CUDA_RELEASE(&device->queue, cuMemFreeHost, device->stage[i].bytes);
    }
}

/* The next part, free for another transfer. */
static p2p_status take_stage(p2p_be_device *device, cuda_stage **taken) {
    cuda_stage *stage = &device->stage[device->next_stage];
    if (stage->busy) P2P_TRY(cuda_wait_event(device, stage->done));
    stage->busy = false;
    device->next_stage = (device->next_stage + 1) % CUDA_STAGES;
    *taken = stage;
    return P2P_OK;
}

/* The transfer of the part was enqueued. */
static p2p_status mark_stage(p2p_be_device *device, CUstream stream, cuda_stage *stage) {
    CUDA_TRY(&device->queue, cuEventRecord, stage->done, stream);
    stage->busy = true;
    return P2P_OK;
}

/* ---- One direction each ---------------------------------------------------------------------------- */

/* A transfer: its memory, and the stream in which it runs. */
typedef struct {
    CUstream stream;
    CUdeviceptr address;
    unsigned char *host; /* not modified by a write */
    size_t bytes;
} transfer;

static size_t part_at(const transfer *t, size_t at) {
    return t->bytes - at < CUDA_STAGE_BYTES ? t->bytes - at : CUDA_STAGE_BYTES;
}

static p2p_status write_staged(p2p_be_device *device, const transfer *t) {
    cuda_stage *stage = NULL;
    for (size_t at = 0; at < t->bytes; at += CUDA_STAGE_BYTES) {
        P2P_TRY(take_stage(device, &stage));
        memcpy(stage->bytes, t->host + at, part_at(t, at));
        CUDA_TRY(&device->queue, cuMemcpyHtoDAsync, t->address + at, stage->bytes, part_at(t, at), t->stream);
        P2P_TRY(mark_stage(device, t->stream, stage));
    }
    return P2P_OK;
}

static p2p_status read_staged(p2p_be_device *device, const transfer *t) {
    cuda_stage *stage = NULL;
    for (size_t at = 0; at < t->bytes; at += CUDA_STAGE_BYTES) {
        P2P_TRY(take_stage(device, &stage));
        CUDA_TRY(&device->queue, cuMemcpyDtoHAsync, stage->bytes, t->address + at, part_at(t, at), t->stream);
        P2P_TRY(mark_stage(device, t->stream, stage));
        P2P_TRY(cuda_wait_event(device, stage->done));
        memcpy(t->host + at, stage->bytes, part_at(t, at));
    }
    return P2P_OK;
}

static p2p_status write(p2p_be_device *device, const transfer *t) {
    if (!cuda_pinned_has(t->host, t->bytes)) return write_staged(device, t);
    CUDA_TRY(&device->queue, cuMemcpyHtoDAsync, t->address, t->host, t->bytes, t->stream);
    return P2P_OK;
}

static p2p_status read(p2p_be_device *device, const transfer *t) {
    if (!cuda_pinned_has(t->host, t->bytes)) return read_staged(device, t);
    CUDA_TRY(&device->queue, cuMemcpyDtoHAsync, t->host, t->address, t->bytes, t->stream);
    return P2P_OK;
}

/* ---- Either direction ------------------------------------------------------------------------------ */

static p2p_status run(p2p_be_device *device, p2p_binding binding, void *host, size_t bytes, bool writes) {
    P2P_TRY(cuda_enter(&device->queue));
    if (bytes == 0) return P2P_OK;
    const bool beside = bytes > small;
    const cuda_range range = {cuda_address(binding), cuda_address(binding) + bytes, writes};
    const transfer t = {beside ? device->overlap.stream : device->queue.stream, range.begin, host, bytes};
    P2P_TRY(beside ? cuda_overlap_begin(device, &range) : cuda_overlap_before(device, &range, 1));
    P2P_TRY(writes ? write(device, &t) : read(device, &t));
    return beside ? cuda_overlap_end(device, &range) : cuda_overlap_after(device, &range, 1);
}

p2p_status cuda_buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    return run(device, to, (void *)from, bytes, true);
}

p2p_status cuda_buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    return run(device, from, to, bytes, false);
}

p2p_status cuda_buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    P2P_TRY(cuda_enter(&device->queue));
    if (bytes == 0) return P2P_OK;
    const CUdeviceptr source = cuda_address(from), target = cuda_address(to);
    const cuda_range ranges[] = {{source, source + bytes, false}, {target, target + bytes, true}};
    P2P_TRY(cuda_overlap_before(device, ranges, 2));
    CUDA_TRY(&device->queue, cuMemcpyDtoDAsync, target, source, bytes, device->queue.stream);
    return cuda_overlap_after(device, ranges, 2);
}
