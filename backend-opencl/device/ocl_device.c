/* Opening and closing a device. No OpenCL function is called for a lost device, because some drivers hang
 * then.
 */
#include "ocl_device.h"

#include "ocl_bf16.h"
#include "ocl_error.h"
#include "ocl_find.h"
#include "ocl_gemm.h"
#include "ocl_pocl.h"
#include "ocl_program.h"
#include "ocl_program_cache.h"
#include "ocl_queue.h"
#include "ocl_standstill.h"

#include <stdlib.h>
#include <string.h>

/* Whether `word` is one of the device's extensions. */
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

/* Whether kernels can require sub-groups of 16: cl_intel_subgroups and cl_intel_required_subgroup_size. */
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

/* Applies the P2P_OPENCL_ variables to the target. */
static void apply_environment(p2p_be_device *device) {
    const ocl_environment *environment = &device->environment;
    ocl_target *target = &device->target;
    if (environment->vector_width > 0) target->vector_width = environment->vector_width;
    target->family = environment->family;
    target->variant = environment->variant[0] ? environment->variant : NULL;
    target->winograd = environment->winograd;
    target->cpu = ocl_environment_acts_as_cpu(environment, device->info.type);
}

static void read_target(p2p_be_device *device) {
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
    target->host = ocl_host;
    target->vector_width = width > 0 ? (int)width : 1;
    target->compute_units = device->info.compute_units > 0 ? device->info.compute_units : 1;
    target->group_limit = target->device_group_limit = group > 0 ? group : 1;
    target->local_bytes = (size_t)local;
    target->subgroups = has_subgroups(device->id);
    target->registers = target->subgroups ? OCL_INTEL_REGISTERS : OCL_USUAL_REGISTERS;
    if (target->subgroups && group <= OCL_OLD_INTEL_GROUP)
        target->gradient_registers = OCL_OLD_INTEL_GRADIENT_REGISTERS;
    target->max_alloc_bytes = device->info.max_alloc_bytes;
    target->gemm.scratch_size = ocl_gemm_scratch_size;
    target->gemm.context = device;
    target->gemm.alignment = align_bits / 8 > OCL_ALIGNMENT ? align_bits / 8 : OCL_ALIGNMENT;
    target->bf16 = ocl_bf16_find(&device->info, &device->environment, target->vector_width);
    apply_environment(device);
}

static p2p_status check_usable(const p2p_be_device *device, int index) {
    if (device->info.unusable[0] != '\0')
        return ocl_host->fail(P2P_NO_DEVICE, "OpenCL device %d, %s: %s", index, device->info.name,
                              device->info.unusable);
    if (device->environment.problem[0] != '\0')
        return ocl_host->fail(P2P_USAGE, "%s", device->environment.problem);
    return P2P_OK;
}

static p2p_status create_context(p2p_be_device *device, cl_platform_id platform) {
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    cl_int code = CL_SUCCESS;
    device->context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    P2P_TRY(ocl_check(device, code, "clCreateContext"));
    device->queue = clCreateCommandQueue(device->context, device->id, 0, &code);
    return ocl_check(device, code, "clCreateCommandQueue");
}

p2p_status ocl_device_open(int index, p2p_be_device **opened) {
    ocl_found found;
    *opened = NULL;
    P2P_TRY(ocl_device_find(index, &found));
    p2p_be_device *device = calloc(1, sizeof *device);
    if (device == NULL) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a device's record");
    device->id = found.device;
    device->environment = ocl_environment_read();
    ocl_device_describe(&found, &device->environment, &device->info);
    p2p_status status = check_usable(device, index);
    if (status == P2P_OK) {
        read_target(device);
        ocl_queue_open(device);
        ocl_program_cache_choose(device, found.platform);
        if (ocl_pocl_is_driver(device->info.driver)) ocl_pocl_watch();
        status = create_context(device, found.platform);
    }
    if (status != P2P_OK) {
        ocl_device_close(device);
        return status;
    }
    *opened = device;
    return P2P_OK;
}

void ocl_device_close(p2p_be_device *device) {
    if (!device->lost) {
        if (device->queue) clFinish(device->queue);
        if (device->unrecorded > 0) ocl_pocl_record(device->info.driver);
        ocl_standstill_close(device);
        ocl_queue_close(device);
        ocl_gemm_close(device);
        ocl_programs_release(device);
        if (device->queue) clReleaseCommandQueue(device->queue);
        if (device->context) clReleaseContext(device->context);
    }
    free(device);
}
