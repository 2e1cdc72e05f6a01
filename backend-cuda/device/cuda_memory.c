/* Memory and transfers. See cuda_memory.h. */
#include "cuda_memory.h"

#include "cuda_pinned.h"
#include "cuda_ticket.h"

#include <stdlib.h>
#include <string.h>

/* ---- Memory of the device -------------------------------------------------------------------------- */

static double mebibytes(size_t bytes) {
    return (double)bytes / (1 << 20);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The driver gives whole pages of 2 MiB. */
static size_t whole_pages(size_t bytes) {
    const size_t page = (size_t)2 << 20;
    return bytes / page * page;
}

static p2p_status fail_allocation(p2p_be_device *device, size_t bytes, const char *what) {
    size_t free_bytes = 0, total = 0;
    const char *name = device->queue.name;
    if (cuda_driver.cuMemGetInfo(&free_bytes, &total) != CUDA_SUCCESS) free_bytes = total = 0;
    const size_t own = smaller(device->allocated_bytes, total);
    const size_t others = total - own - smaller(free_bytes, total - own);
    const p2p_status status = cuda_host->fail(
        P2P_OUT_OF_MEMORY,
        "%s: no memory for %s of %.1f MiB: %.1f MiB are free of %.1f MiB; %.1f MiB are in use by "
        "buffers here, %.1f MiB by libraries and other processes",
        name, what, mebibytes(bytes), mebibytes(free_bytes), mebibytes(total), mebibytes(own),
        mebibytes(others));
    return cuda_host->hint(status,
                           "%.1f MiB would fit; a smaller batch or smaller images need less memory, and "
                           "`nvidia-smi` lists other processes on the device",
                           mebibytes(whole_pages(free_bytes)));
}

/* What cuDNN and cuBLAS load when they first execute, and as much again for NCCL's channels: an estimate. Of
 * a small card less, so that something is left. */
static size_t reserve_of(size_t total, bool joined) {
    enum { RESERVE_PART = 16 };
    const size_t one = smaller((size_t)512 << 20, total / RESERVE_PART);
    return joined ? 2 * one : one;
}

p2p_status cuda_memory_left(p2p_be_device *device, bool joined, size_t *free_bytes, size_t *reserve) {
    size_t total = 0;
    P2P_TRY(cuda_enter(&device->queue));
    CUDA_TRY(&device->queue, cuMemGetInfo, free_bytes, &total);
    *free_bytes += device->allocated_bytes;
    *reserve = reserve_of(total, joined);
    return P2P_OK;
}

p2p_status cuda_memory_alloc(p2p_be_device *device, size_t bytes, const char *what, CUdeviceptr *address) {
    *address = 0;
    const CUresult code = cuda_driver.cuMemAlloc(address, bytes > 0 ? bytes : 1);
    if (code == CUDA_ERROR_OUT_OF_MEMORY) return fail_allocation(device, bytes, what);
    return cuda_check(&device->queue, code, "cuMemAlloc");
}

p2p_status cuda_memory_alloc_zeros(p2p_be_device *device, size_t bytes, const char *what,
                                   CUdeviceptr *address) {
    P2P_TRY(cuda_memory_alloc(device, bytes, what, address));
    const CUresult code = cuda_driver.cuMemsetD8Async(*address, 0, bytes, device->queue.stream);
    const p2p_status status = cuda_check(&device->queue, code, "cuMemsetD8Async");
    if (status == P2P_OK) return P2P_OK;
    CUDA_RELEASE(&device->queue, cuMemFree, *address);
    *address = 0;
    return status;
}

void cuda_memory_free(p2p_be_device *device, CUdeviceptr address) {
    if (!cuda_enter_release(&device->queue)) return;
    (void)cuda_drain_all(device);
    cuda_overlap_forget(device);
    CUDA_RELEASE(&device->queue, cuMemFree, address);
}

p2p_status cuda_buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **created) {
    *created = NULL;
    P2P_TRY(cuda_enter(&device->queue));
    p2p_be_buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a buffer's record");
    buffer->bytes = bytes;
    const p2p_status status = cuda_memory_alloc_zeros(device, bytes, "a buffer", &buffer->address);
    if (status != P2P_OK) {
        free(buffer);
        return status;
    }
    device->allocated_bytes += bytes;
    *created = buffer;
    return P2P_OK;
}

void cuda_buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    cuda_memory_free(device, buffer->address);
    device->allocated_bytes -= buffer->bytes;
    free(buffer);
}

/* ---- Pinned memory --------------------------------------------------------------------------------- */

p2p_status cuda_host_alloc(p2p_be_device *device, size_t bytes, void **memory) {
    *memory = NULL;
    P2P_TRY(cuda_enter(&device->queue));
    const CUresult code = cuda_driver.cuMemHostAlloc(memory, bytes > 0 ? bytes : 1, CU_MEMHOSTALLOC_PORTABLE);
    if (code == CUDA_ERROR_OUT_OF_MEMORY)
        return cuda_host->fail(P2P_OUT_OF_MEMORY, "%s: no pinned memory of the host of %.1f MiB",
                               device->queue.name, mebibytes(bytes));
    P2P_TRY(cuda_check(&device->queue, code, "cuMemHostAlloc"));
    if (!cuda_pinned_add(*memory, bytes)) {
        CUDA_RELEASE(&device->queue, cuMemFreeHost, *memory);
        *memory = NULL;
        return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for the record of pinned memory");
    }
    memset(*memory, 0, bytes);
    return P2P_OK;
}

void cuda_host_free(p2p_be_device *device, void *memory) {
    cuda_pinned_remove(memory);
    if (!cuda_enter_release(&device->queue)) return;
    (void)cuda_drain_all(device);
    CUDA_RELEASE(&device->queue, cuMemFreeHost, memory);
}
