/* Buffers, and transfers between them and the host. See ocl_buffer.h. */
#include "ocl_buffer.h"

#include "ocl_error.h"

#include <stdlib.h>

static double mebibytes(size_t bytes) {
    return (double)bytes / (1024 * 1024);
}

static p2p_status fail_allocation(p2p_be_device *device, size_t bytes, cl_int code) {
    const p2p_device_info *info = &device->info;
    p2p_status status = ocl_host->fail(P2P_OUT_OF_MEMORY,
                                       "%s: no memory for a buffer of %.1f MiB: %s (%d); in use here: %.1f "
                                       "MiB, the device has %.1f MiB, its "
                                       "largest single buffer is %.1f MiB",
                                       info->name, mebibytes(bytes), ocl_error_name(code), code,
                                       mebibytes(device->allocated_bytes), mebibytes(info->memory_bytes),
                                       mebibytes(info->max_alloc_bytes));
    return ocl_host->hint(status, "a smaller batch or smaller images need less memory");
}

/* Fills a new buffer with zeros. Drivers allocate at the first use, and a buffer that does not fit must
 * fail at creation. Drivers for CPUs have allocated address space once the command is enqueued, so the host
 * does not wait: the system provides the pages, which takes a second for 2 GB, while the host compiles. */
static cl_int touch(p2p_be_device *device, cl_mem memory, size_t bytes) {
    const cl_uint zero = 0;
    cl_int code = clEnqueueFillBuffer(device->queue, memory, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS) return code;
    return device->info.type == P2P_DEVICE_CPU ? clFlush(device->queue) : clFinish(device->queue);
}

p2p_status ocl_buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **created) {
    *created = NULL;
    P2P_TRY(ocl_check_alive(device));
    if (bytes > device->info.max_alloc_bytes) return fail_allocation(device, bytes, CL_INVALID_BUFFER_SIZE);
    p2p_be_buffer *buffer = calloc(1, sizeof *buffer);
    if (buffer == NULL) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a buffer's record");
    size_t padded = (bytes + 3) / 4 * 4 + OCL_SLACK - 4; /* within max_alloc_bytes + OCL_SLACK */
    cl_int code = CL_SUCCESS;
    buffer->bytes = bytes;
    buffer->memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE, padded, NULL, &code);
    if (code == CL_SUCCESS) {
        code = touch(device, buffer->memory, padded);
        if (code != CL_SUCCESS) clReleaseMemObject(buffer->memory);
    }
    if (code != CL_SUCCESS) {
        free(buffer);
        return fail_allocation(device, bytes, code);
    }
    device->allocated_bytes += bytes;
    *created = buffer;
    return P2P_OK;
}

void ocl_buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    if (!device->lost) clReleaseMemObject(buffer->memory);
    device->allocated_bytes -= buffer->bytes;
    free(buffer);
}

p2p_status ocl_buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    P2P_TRY(ocl_check_alive(device));
    return ocl_check(device,
                     clEnqueueWriteBuffer(device->queue, to.buffer->memory, CL_FALSE, to.offset, bytes, from,
                                          0, NULL, NULL),
                     "clEnqueueWriteBuffer");
}

p2p_status ocl_buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    P2P_TRY(ocl_check_alive(device));
    return ocl_check(device,
                     clEnqueueReadBuffer(device->queue, from.buffer->memory, CL_FALSE, from.offset, bytes, to,
                                         0, NULL, NULL),
                     "clEnqueueReadBuffer");
}

p2p_status ocl_buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    P2P_TRY(ocl_check_alive(device));
    return ocl_check(device,
                     clEnqueueCopyBuffer(device->queue, from.buffer->memory, to.buffer->memory, from.offset,
                                         to.offset, bytes, 0, NULL, NULL),
                     "clEnqueueCopyBuffer");
}
