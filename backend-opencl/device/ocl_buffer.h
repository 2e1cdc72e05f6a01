/* Buffers, and transfers between them and the host: the functions of the device table (p2p_backend.h).
 * Transfers never block.
 */
#ifndef OCL_BUFFER_H
#define OCL_BUFFER_H

#include "ocl_device.h"

p2p_status ocl_buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **created);
void ocl_buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer);
p2p_status ocl_buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes);
p2p_status ocl_buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes);
p2p_status ocl_buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes);

#endif
