/* Transfers between buffers and the host: functions of the device table (p2p_backend.h).
 *
 * Memory of cuda_host_alloc, of any device of this module, is transferred directly; other memory passes
 * through staging memory: a write copies it there at once, a read waits. Large transfers run beside the
 * commands of the queue (cuda_overlap.h).
 */
#ifndef CUDA_TRANSFER_H
#define CUDA_TRANSFER_H

#include "cuda_device.h"

p2p_status cuda_buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes);
p2p_status cuda_buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes);
p2p_status cuda_buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes);

/* The staging memory of a device. */
p2p_status cuda_stages_open(p2p_be_device *device);
void cuda_stages_close(p2p_be_device *device);

#endif
