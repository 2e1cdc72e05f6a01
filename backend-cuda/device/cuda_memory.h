/* Buffers, and pinned memory of the host: functions of the device table (p2p_backend.h). */
#ifndef CUDA_MEMORY_H
#define CUDA_MEMORY_H

#include "cuda_device.h"

p2p_status cuda_buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **created);
void cuda_buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer);
p2p_status cuda_memory_left(p2p_be_device *device, bool joined, size_t *free_bytes, size_t *reserve);
p2p_status cuda_host_alloc(p2p_be_device *device, size_t bytes, void **memory);
void cuda_host_free(p2p_be_device *device, void *memory);

/* Allocates memory of the device. The message of P2P_OUT_OF_MEMORY has the bytes requested, those in use,
 * those free, and those that would fit. `what` names the purpose. */
p2p_status cuda_memory_alloc(p2p_be_device *device, size_t bytes, const char *what, CUdeviceptr *address);

/* The same, and fills it with zeros for all later commands of the queue. */
p2p_status cuda_memory_alloc_zeros(p2p_be_device *device, size_t bytes, const char *what,
                                   CUdeviceptr *address);
/* Waits for the device before, because cuMemFree waits without a limit. */
void cuda_memory_free(p2p_be_device *device, CUdeviceptr address);

static inline CUdeviceptr cuda_address(p2p_binding binding) {
    return binding.buffer ? binding.buffer->address + binding.offset : 0;
}

#endif
