/* Finding and describing devices. See ocl_find.h. */
#include "ocl_find.h"

#include "ocl_bf16.h"
#include "ocl_error.h"
#include "ocl_place.h"
#include "ocl_pocl.h"

#include <stdio.h>
#include <string.h>

enum { MAX_PLATFORMS = 32, VERSION_NEEDED = 102 };

/* ---- Finding --------------------------------------------------------------------------------------- */

static void platform_name(cl_platform_id platform, char *name, size_t size) {
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, size, name, NULL) != CL_SUCCESS)
        snprintf(name, size, "?");
    name[size - 1] = '\0';
}

static bool is_pocl(cl_platform_id platform) {
    char name[64];
    platform_name(platform, name, sizeof name);
    return strcmp(name, ocl_pocl_platform) == 0;
}

/* Why a platform has no device. The last platform's reason is the message if there is no device at all. */
static void explain_platform(cl_platform_id platform, cl_int code) {
    char name[64], obstacle[OCL_POCL_REASON] = "";
    platform_name(platform, name, sizeof name);
    if (is_pocl(platform)) ocl_pocl_obstacle(obstacle, sizeof obstacle);
    ocl_host->fail(P2P_NO_DEVICE, "the OpenCL driver %s has no device: %s (%d)%s%s", name,
                   ocl_error_name(code), code, obstacle[0] ? ": " : "", obstacle);
    if (obstacle[0]) ocl_host->hint(P2P_NO_DEVICE, "set POCL_CACHE_DIR to a folder that can be written");
    ocl_host->log("OpenCL: %s has no device: %s (%d)", name, ocl_error_name(code), code);
}

static p2p_status fail_without_platform(cl_int code, p2p_obstacle *obstacle) {
    *obstacle = (p2p_obstacle){.kind = P2P_OBSTACLE_NO_DRIVER,
                               .what = "OpenCL driver",
                               .looked = "/etc/OpenCL/vendors, or in the folder that OCL_ICD_VENDORS names"};
    p2p_status status = ocl_host->fail(P2P_NO_DEVICE, "%s (%d)", ocl_error_name(code), code);
    return ocl_host->hint(status, "install your device's OpenCL driver; for a CPU, Debian has "
                                  "pocl-opencl-icd");
}

/* Appends the devices of a platform. False if its query fails or it has none. */
static bool find_in_platform(cl_platform_id platform, ocl_found found[OCL_MOST_DEVICES], int *count) {
    cl_device_id devices[OCL_MOST_DEVICES];
    cl_uint device_count = 0;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, OCL_MOST_DEVICES, devices, &device_count);
    if (code == CL_SUCCESS && device_count == 0) code = CL_DEVICE_NOT_FOUND;
    if (code != CL_SUCCESS) return explain_platform(platform, code), false;
    for (cl_uint d = 0; d < device_count && d < OCL_MOST_DEVICES && *count < OCL_MOST_DEVICES; d++)
        found[(*count)++] = (ocl_found){platform, devices[d]};
    return true;
}

p2p_status ocl_devices_find(ocl_found found[OCL_MOST_DEVICES], int *count, p2p_obstacle *obstacle) {
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint platform_count = 0;
    *count = 0;
    ocl_pocl_prepare();
    cl_int code = clGetPlatformIDs(MAX_PLATFORMS, platforms, &platform_count);
    if (code == CL_SUCCESS && platform_count == 0) code = -1001;
    if (code != CL_SUCCESS) return fail_without_platform(code, obstacle);
    if (platform_count > MAX_PLATFORMS) platform_count = MAX_PLATFORMS;
    for (cl_uint p = 0; p < platform_count; p++)
        if (find_in_platform(platforms[p], found, count) && is_pocl(platforms[p])) ocl_pocl_found();
    if (*count > 0) return P2P_OK;
    obstacle->kind = P2P_OBSTACLE_NO_DEVICE;
    return P2P_NO_DEVICE;
}

p2p_status ocl_device_find(int index, ocl_found *found) {
    ocl_found all[OCL_MOST_DEVICES];
    int count = 0;
    p2p_obstacle obstacle;
    P2P_TRY(ocl_devices_find(all, &count, &obstacle));
    if (index < 0 || index >= count)
        return ocl_host->fail(P2P_NO_DEVICE, "there is no OpenCL device %d; %d were found", index, count);
    *found = all[index];
    return P2P_OK;
}

/* ---- Describing ------------------------------------------------------------------------------------ */

static void device_text(cl_device_id device, cl_device_info what, char *text, size_t size) {
    if (clGetDeviceInfo(device, what, size, text, NULL) != CL_SUCCESS) snprintf(text, size, "?");
    text[size - 1] = '\0';
}

/* What PoCL 3.1 takes of the host while it compiles all kernels of a training: 260 to 307 MB measured, of
 * which LLVM has most. With its kernels compiled it takes 100 MB. Others are assumed to be alike. */
static const size_t DRIVER_BYTES = (size_t)290 << 20;

/* Zero if the query fails. */
#define DEVICE_NUMBER(type, device, what, into)                                                              \
    do {                                                                                                     \
        type number_ = 0;                                                                                    \
        if (clGetDeviceInfo(device, what, sizeof number_, &number_, NULL) != CL_SUCCESS) number_ = 0;        \
        into = number_;                                                                                      \
    } while (0)

static p2p_device_type device_type(cl_device_id device) {
    cl_device_type type;
    DEVICE_NUMBER(cl_device_type, device, CL_DEVICE_TYPE, type);
    if (type & CL_DEVICE_TYPE_CPU) return P2P_DEVICE_CPU;
    return type & CL_DEVICE_TYPE_GPU ? P2P_DEVICE_GPU : P2P_DEVICE_OTHER;
}

/* 102 for "OpenCL 1.2 ..."; 0 if it cannot be parsed. */
static int version_number(const char *text) {
    int major = 0, minor = 0;
    if (sscanf(text, "OpenCL %d.%d", &major, &minor) != 2) return 0;
    return major * 100 + minor;
}

/* Writes the reason why p2p cannot use the device, or "". */
static void describe_obstacle(cl_device_id device, const char *version, char *text, size_t size) {
    cl_bool available, compiler, linker, little_endian;
    cl_device_fp_config single;
    DEVICE_NUMBER(cl_bool, device, CL_DEVICE_AVAILABLE, available);
    DEVICE_NUMBER(cl_bool, device, CL_DEVICE_COMPILER_AVAILABLE, compiler);
    DEVICE_NUMBER(cl_bool, device, CL_DEVICE_LINKER_AVAILABLE, linker);
    DEVICE_NUMBER(cl_bool, device, CL_DEVICE_ENDIAN_LITTLE, little_endian);
    DEVICE_NUMBER(cl_device_fp_config, device, CL_DEVICE_SINGLE_FP_CONFIG, single);
    text[0] = '\0';
    if (!available)
        snprintf(text, size, "the driver reports that the device is not available");
    else if (!compiler || !linker)
        snprintf(text, size, "the driver has no compiler for OpenCL C");
    else if (version_number(version) < VERSION_NEEDED)
        snprintf(text, size, "OpenCL 1.2 is needed, the device has: %s", version);
    else if (!little_endian)
        snprintf(text, size, "the device is big-endian");
    else if (!(single & CL_FP_INF_NAN) || !(single & CL_FP_ROUND_TO_NEAREST))
        snprintf(text, size, "the device's float arithmetic lacks NaN, infinity or rounding to nearest");
}

/* Compilers for Intel's GPUs address a buffer with 32 bits, even if the driver allows larger ones. */
size_t ocl_largest_buffer(const char *vendor, p2p_device_type type, uint64_t allowed) {
    const uint64_t addressed = type == P2P_DEVICE_GPU && strstr(vendor, "Intel") ? UINT32_MAX : SIZE_MAX;
    const uint64_t least = allowed < addressed ? allowed : addressed;
    return least > OCL_SLACK ? (size_t)least - OCL_SLACK : 0;
}

void ocl_device_describe(const ocl_found *found, const ocl_environment *environment, p2p_device_info *info) {
    cl_device_id device = found->device;
    char platform[64] = "?", vendor[64], version[96], driver[80];
    memset(info, 0, sizeof *info);
    device_text(device, CL_DEVICE_NAME, info->name, sizeof info->name);
    if (clGetPlatformInfo(found->platform, CL_PLATFORM_NAME, sizeof platform, platform, NULL) != CL_SUCCESS)
        snprintf(platform, sizeof platform, "?");
    device_text(device, CL_DEVICE_VENDOR, vendor, sizeof vendor);
    device_text(device, CL_DEVICE_VERSION, version, sizeof version);
    device_text(device, CL_DRIVER_VERSION, driver, sizeof driver);
    snprintf(info->driver, sizeof info->driver, "%s, %s, driver %s", platform, version, driver);
    ocl_place_describe(device, info->details, sizeof info->details);
    describe_obstacle(device, version, info->unusable, sizeof info->unusable);

    cl_ulong memory, largest;
    cl_bool unified;
    cl_uint units, width;
    DEVICE_NUMBER(cl_ulong, device, CL_DEVICE_GLOBAL_MEM_SIZE, memory);
    DEVICE_NUMBER(cl_ulong, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, largest);
    DEVICE_NUMBER(cl_bool, device, CL_DEVICE_HOST_UNIFIED_MEMORY, unified);
    DEVICE_NUMBER(cl_uint, device, CL_DEVICE_MAX_COMPUTE_UNITS, units);
    DEVICE_NUMBER(cl_uint, device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, width);
    info->type = device_type(device);
    info->compute_units = (int)units;
    info->memory_bytes = (size_t)memory;
    info->in_host_memory = info->type == P2P_DEVICE_CPU || unified;
    info->driver_bytes = DRIVER_BYTES;
    info->max_alloc_bytes = ocl_largest_buffer(vendor, info->type, largest);
    info->alignment = OCL_ALIGNMENT;
    info->channel_alignment = OCL_LANES;
    info->activation = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_nchwc, OCL_LANES};
    info->filter = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_ckrs, OCL_LANES};
    info->vector = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_plain, 0};
    info->gradient_bf16 = P2P_TYPE_f32;
    snprintf(info->no_tf32, sizeof info->no_tf32, "OpenCL C has no such products");
    ocl_bf16_find(info, environment, (int)width);
}
