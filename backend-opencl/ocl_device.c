/* A device: context, queue, buffers. Operations are ocl_op.c's.
 *
 * Transfers never block: the host waits only where ocl_queue.c says so. Once a device is lost nothing of it
 * is called again: some drivers hang then.
 */
#include "ocl_program.h"
#include "ocl_queue.h"
#include "ocl_selftest.h"
#include "ocl_tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Opening and closing ------------------------------------------------------------------------------ */

/* The environment variable P2P_OPENCL_CONV sends all convolutions to one family. OCL_CONV_FAMILIES where
 * there is none of that name. */
static ocl_conv_family family_asked_for(void) {
    const char *text = getenv("P2P_OPENCL_CONV");
    if (text == NULL || text[0] == '\0') return OCL_CONV_AUTO;
    int f = OCL_CONV_AUTO;
    while (f < OCL_CONV_FAMILIES && strcmp(text, ocl_conv_family_name((ocl_conv_family)f)) != 0) f++;
    return (ocl_conv_family)f;
}

/* The environment variable P2P_OPENCL_TREAT_AS=gpu: what a GPU would run, by its choices, can be tested on a
 * CPU. */
static bool treated_as_gpu(void) {
    const char *text = getenv("P2P_OPENCL_TREAT_AS");
    return text && strcmp(text, "gpu") == 0;
}

static p2p_status check_treatment(void) {
    const char *text = getenv("P2P_OPENCL_TREAT_AS");
    if (text == NULL || text[0] == '\0' || treated_as_gpu()) return P2P_OK;
    return ocl_host->fail(P2P_USAGE, "P2P_OPENCL_TREAT_AS is '%s', but must be gpu", text);
}

bool ocl_acts_as_cpu(const p2p_device_info *info) {
    const ocl_conv_family family = family_asked_for();
    return info->type == P2P_DEVICE_CPU && !treated_as_gpu() && family != OCL_CONV_GPU &&
           family != OCL_CONV_GPU_WINOGRAD;
}

/* The environment variable P2P_OPENCL_WINOGRAD switches the choice of Winograd's families off, or makes it
 * wherever they suit. */
static p2p_status choose_winograd(ocl_winograd_use *use) {
    static const char *const uses[OCL_WINOGRAD_USES] = {"auto", "off", "always"};
    const char *text = getenv("P2P_OPENCL_WINOGRAD");
    *use = OCL_WINOGRAD_AUTO;
    if (text == NULL || text[0] == '\0') return P2P_OK;
    for (int u = 0; u < OCL_WINOGRAD_USES; u++)
        if (strcmp(text, uses[u]) == 0) {
            *use = (ocl_winograd_use)u;
            return P2P_OK;
        }
    return ocl_host->fail(P2P_USAGE, "P2P_OPENCL_WINOGRAD is '%s', but must be auto, off or always", text);
}

static p2p_status forced_family(ocl_conv_family *family) {
    *family = family_asked_for();
    if (*family != OCL_CONV_FAMILIES) return P2P_OK;
    return ocl_host->fail(
        P2P_USAGE, "P2P_OPENCL_CONV is '%s', but must be auto, direct, winograd, gpu, gpu_winograd or gemm",
        getenv("P2P_OPENCL_CONV"));
}

/* The environment variable P2P_OPENCL_VARIANT is a variant of that family, or '#' and the number of one in
 * the list for each shape. */
static p2p_status forced_variant(p2p_be_device *device) {
    const char *text = getenv("P2P_OPENCL_VARIANT");
    if (text == NULL || text[0] == '\0') return P2P_OK;
    if (device->target.family == OCL_CONV_AUTO || strlen(text) >= sizeof device->forced_variant)
        return ocl_host->fail(P2P_USAGE,
                              "P2P_OPENCL_VARIANT is '%s', but must be a variant of the family that "
                              "P2P_OPENCL_CONV names, or '#' and a number",
                              text);
    strcpy(device->forced_variant, text);
    device->target.variant = device->forced_variant;
    return P2P_OK;
}

/* The environment variable P2P_OPENCL_VECTOR_WIDTH replaces what the device says of itself: so the tiles that
 * one CPU gets can be tested on another, and on a simulator. */
static p2p_status forced_vector_width(int *width) {
    static const char *const widths[] = {"1", "2", "4", "8", "16"};
    const char *text = getenv("P2P_OPENCL_VECTOR_WIDTH");
    if (text == NULL || text[0] == '\0') return P2P_OK;
    for (int i = 0; i < 5; i++)
        if (strcmp(text, widths[i]) == 0) {
            *width = 1 << i;
            return P2P_OK;
        }
    return ocl_host->fail(P2P_USAGE, "P2P_OPENCL_VECTOR_WIDTH is '%s', but must be 1, 2, 4, 8 or 16", text);
}

/* Is `word` one of the device's extensions? */
static bool has_extension(cl_device_id id, const char *word) {
    size_t size = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS) return false;
    char *list = calloc(size + 1, 1);
    if (!list) return false;
    clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, size, list, NULL);
    bool found = false;
    const size_t length = strlen(word);
    for (const char *at = strstr(list, word); at && !found; at = strstr(at + length, word))
        found = (at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0');
    free(list);
    return found;
}

/* Sub-groups of 16 that a kernel may ask for: cl_intel_subgroups and cl_intel_required_subgroup_size. */
static bool has_subgroups(cl_device_id id) {
    enum { SUB_GROUP_SIZES_INTEL = 0x4108, MOST_SIZES = 16 };
    size_t sizes[MOST_SIZES] = {0}, bytes = 0;
    if (!has_extension(id, "cl_intel_subgroups") || !has_extension(id, "cl_intel_required_subgroup_size") ||
        clGetDeviceInfo(id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) != CL_SUCCESS)
        return false;
    for (size_t i = 0; i < bytes / sizeof sizes[0]; i++)
        if (sizes[i] == OCL_LANES) return true;
    return false;
}

static p2p_status read_target(p2p_be_device *device) {
    ocl_target *target = &device->target;
    size_t group = 0, items[3] = {0};
    cl_uint width = 0, dimensions = 0, align_bits = 0;
    cl_ulong local = 0;
    clGetDeviceInfo(device->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    clGetDeviceInfo(device->id, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, sizeof dimensions, &dimensions, NULL);
    if (dimensions == 3)
        clGetDeviceInfo(device->id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items, NULL);
    clGetDeviceInfo(device->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    clGetDeviceInfo(device->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL);
    clGetDeviceInfo(device->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits, NULL);
    if (dimensions == 3 && items[0] < group) group = items[0];
    device->sub_buffer_alignment = align_bits / 8 > OCL_ALIGNMENT ? align_bits / 8 : OCL_ALIGNMENT;
    target->host = ocl_host;
    target->device = device;
    target->vector_width = width > 0 ? (int)width : 1;
    target->compute_units = device->info.compute_units > 0 ? device->info.compute_units : 1;
    target->group_limit = target->device_group_limit = group > 0 ? group : 1;
    target->local_bytes = (size_t)local;
    target->subgroups = has_subgroups(device->id);
    target->max_alloc_bytes = device->info.max_alloc_bytes;
    P2P_TRY(ocl_bf16_check_switch());
    target->bf16 = ocl_bf16_find(&device->info, target->vector_width);
    P2P_TRY(forced_vector_width(&target->vector_width));
    P2P_TRY(forced_family(&target->family));
    P2P_TRY(forced_variant(device));
    P2P_TRY(choose_winograd(&target->winograd));
    P2P_TRY(check_treatment());
    target->cpu = ocl_acts_as_cpu(&device->info);
    return P2P_OK;
}

p2p_status ocl_device_open(int index, p2p_be_device **opened) {
    ocl_found found;
    *opened = NULL;
    P2P_TRY(ocl_device_find(index, &found));
    p2p_be_device *device = calloc(1, sizeof *device);
    if (device == NULL) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a device's record");
    device->id = found.device;
    ocl_device_describe(&found, &device->info);
    p2p_status status = P2P_OK;
    if (device->info.unusable[0] != '\0')
        status = ocl_host->fail(P2P_NO_DEVICE, "OpenCL device %d, %s: %s", index, device->info.name,
                                device->info.unusable);
    if (status == P2P_OK) status = read_target(device);
    if (status == P2P_OK) status = ocl_queue_open(device);
    if (status == P2P_OK) status = ocl_program_cache_choose(device, found.platform);
    if (status == P2P_OK) {
        const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                    (cl_context_properties)found.platform, 0};
        cl_int code = CL_SUCCESS;
        device->context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
        status = ocl_check(device, code, "clCreateContext");
        if (status == P2P_OK) {
            device->queue = clCreateCommandQueue(device->context, device->id, 0, &code);
            status = ocl_check(device, code, "clCreateCommandQueue");
        }
    }
    if (status != P2P_OK) {
        ocl_device_table.close(device);
        return status;
    }
    *opened = device;
    return P2P_OK;
}

static void device_close(p2p_be_device *device) {
    if (!device->lost) {
        if (device->queue) clFinish(device->queue);
        ocl_queue_close(device);
        ocl_gemm_close(device);
        ocl_programs_release(device);
        if (device->queue) clReleaseCommandQueue(device->queue);
        if (device->context) clReleaseContext(device->context);
    }
    ocl_choices_release(device);
    ocl_selftest_release(device);
    free(device);
}

p2p_status ocl_check_alive(const p2p_be_device *device) {
    if (!device->lost) return P2P_OK;
    return ocl_host->fail(P2P_DEVICE_LOST, "%s: the device was lost by an earlier command",
                          device->info.name);
}

/* ---- Buffers ------------------------------------------------------------------------------------------ */

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

/* Zeros are written at once: drivers allocate at the first use, and "does not fit" must be said now. Drivers
 * for CPUs have asked the system for memory when the command is in the queue, and no waiting would tell more:
 * there the system finds the pages, which takes a second for 2 GB, while the host compiles. */
static cl_int touch(p2p_be_device *device, cl_mem memory, size_t bytes) {
    const cl_uint zero = 0;
    cl_int code = clEnqueueFillBuffer(device->queue, memory, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS) return code;
    return device->info.type == P2P_DEVICE_CPU ? clFlush(device->queue) : clFinish(device->queue);
}

static p2p_status buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **created) {
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

static void buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    if (!device->lost) clReleaseMemObject(buffer->memory);
    device->allocated_bytes -= buffer->bytes;
    free(buffer);
}

static p2p_status buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    P2P_TRY(ocl_check_alive(device));
    return ocl_check(device,
                     clEnqueueWriteBuffer(device->queue, to.buffer->memory, CL_FALSE, to.offset, bytes, from,
                                          0, NULL, NULL),
                     "clEnqueueWriteBuffer");
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    P2P_TRY(ocl_check_alive(device));
    return ocl_check(device,
                     clEnqueueReadBuffer(device->queue, from.buffer->memory, CL_FALSE, from.offset, bytes, to,
                                         0, NULL, NULL),
                     "clEnqueueReadBuffer");
}

static p2p_status buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    P2P_TRY(ocl_check_alive(device));
    return ocl_check(device,
                     clEnqueueCopyBuffer(device->queue, from.buffer->memory, to.buffer->memory, from.offset,
                                         to.offset, bytes, 0, NULL, NULL),
                     "clEnqueueCopyBuffer");
}

const p2p_device_table ocl_device_table = {
    .close = device_close,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_write = buffer_write,
    .buffer_read = buffer_read,
    .buffer_copy = buffer_copy,
    .op_query = ocl_op_query,
    .op_create = ocl_op_create,
    .op_run = ocl_op_run,
    .op_destroy = ocl_op_destroy,
    .op_choose = ocl_op_choose,
    .op_impose = ocl_op_impose,
    .submit = ocl_queue_submit,
    .wait = ocl_queue_wait,
    .peak_create = ocl_peak_create,
};
