/* Listing and describing devices. See cuda_list.h. */
#include "cuda_list.h"

#include "plan/cuda_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_CAPABILITY = 70,       /* of any kernel or library */
    LEAST_CAPABILITY_13 = 75,    /* CUDA 13 has no compiler for earlier ones */
    TENSOR_CORES_TF32_BF16 = 80, /* the first capability that multiplies in both */
    DNN_WITHOUT_VOLTA = 91100,   /* cuDNN 9.11 */
    VOLTA = 75                   /* capabilities below it */
};

/* Host memory of the libraries: code and tables of cuDNN and cuBLAS, and the driver's own. An estimate. */
static const size_t DRIVER_BYTES = (size_t)1 << 30;

/* ---- Listing --------------------------------------------------------------------------------------- */

int cuda_device_attribute(CUdevice device, CUdevice_attribute what) {
    int value = 0;
    return cuda_driver.cuDeviceGetAttribute(&value, what, device) == CUDA_SUCCESS ? value : 0;
}

int cuda_device_capability(CUdevice device) {
    return 10 * cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
           cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
}

static int64_t place_of(CUdevice device) {
    return (int64_t)cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID) << 32 |
           (int64_t)cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID) << 16 |
           (int64_t)cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID);
}

/* By insertion: parts of one device keep the driver's order. */
static void sort_by_place(cuda_list *list) {
    for (int i = 1; i < list->count; i++)
        for (int j = i; j > 0 && place_of(list->device[j - 1]) > place_of(list->device[j]); j--) {
            const CUdevice later = list->device[j - 1];
            list->device[j - 1] = list->device[j];
            list->device[j] = later;
        }
}

static p2p_status find_all(cuda_list *list) {
    int count = 0;
    P2P_TRY(cuda_check(NULL, cuda_driver.cuDeviceGetCount(&count), "cuDeviceGetCount"));
    for (int i = 0; i < count && list->count < CUDA_MOST_DEVICES; i++)
        P2P_TRY(cuda_check(NULL, cuda_driver.cuDeviceGet(&list->device[list->count++], i), "cuDeviceGet"));
    if (!getenv("CUDA_VISIBLE_DEVICES") && !getenv("CUDA_DEVICE_ORDER")) sort_by_place(list);
    return P2P_OK;
}

p2p_status cuda_devices_find(cuda_list *list, p2p_obstacle *obstacle) {
    *list = (cuda_list){0};
    P2P_TRY(cuda_driver_load(obstacle));
    P2P_TRY(find_all(list));
    if (list->count > 0) return cuda_libraries_load(obstacle);
    obstacle->kind = P2P_OBSTACLE_NO_DEVICE;
    return cuda_host->fail(P2P_NO_DEVICE, "the driver lists no device");
}

p2p_status cuda_device_find(int index, CUdevice *device) {
    cuda_list list;
    p2p_obstacle obstacle;
    P2P_TRY(cuda_devices_find(&list, &obstacle));
    if (index < 0 || index >= list.count)
        return cuda_host->fail(P2P_NO_DEVICE, "there is no CUDA device %d; %d were found", index, list.count);
    *device = list.device[index];
    return P2P_OK;
}

/* ---- Describing ------------------------------------------------------------------------------------ */

/* A device that is divided (Multi-Instance GPU) is listed by its parts, whose names show it. */
static bool is_part(const char *name) {
    return strstr(name, " MIG ") != NULL;
}

void cuda_device_uuid(CUdevice device, char text[64]) {
    CUuuid id;
    char name[256] = "";
    size_t used = 0;
    cuda_driver.cuDeviceGetName(name, sizeof name, device);
    used += (size_t)snprintf(text, 64, "%s", is_part(name) ? "MIG" : "GPU");
    if (cuda_driver.cuDeviceGetUuid(&id, device) != CUDA_SUCCESS) {
        snprintf(text, 64, "unknown");
        return;
    }
    for (int i = 0; i < 16; i++)
        used += (size_t)snprintf(text + used, 64 - used, "%s%02x",
                                 i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                 (unsigned)(unsigned char)id.bytes[i]);
}

static const char *mode_name(int mode) {
    return mode == CU_COMPUTEMODE_DEFAULT             ? "default"
           : mode == CU_COMPUTEMODE_EXCLUSIVE_PROCESS ? "exclusive to one process"
           : mode == CU_COMPUTEMODE_PROHIBITED        ? "prohibited"
                                                      : "unknown";
}

static void describe_details(CUdevice device, int capability, p2p_device_info *info) {
    char place[32] = "", uuid[64];
    if (cuda_driver.cuDeviceGetPCIBusId(place, sizeof place, device) != CUDA_SUCCESS)
        strcpy(place, "unknown");
    cuda_device_uuid(device, uuid);
    snprintf(info->details, sizeof info->details,
             "PCI address %s, %s, compute capability %d.%d, %sECC %s, compute mode %s", place, uuid,
             capability / 10, capability % 10, is_part(info->name) ? "MIG instance, " : "",
             cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_ECC_ENABLED) ? "on" : "off",
             mode_name(cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE)));
}

/* Writes the reason why p2p cannot use the device, or "". */
static void describe_obstacle(CUdevice device, int capability, char *text, size_t size) {
    const int least = CUDA_VERSION >= 13000 ? LEAST_CAPABILITY_13 : LEAST_CAPABILITY;
    const int dnn = cuda_dnn_version();
    text[0] = '\0';
    if (capability < least)
        snprintf(text, size,
                 "compute capability %d.%d or newer is needed, the device has %d.%d; this backend was built "
                 "with CUDA %d.%d%s",
                 least / 10, least % 10, capability / 10, capability % 10, CUDA_VERSION / 1000,
                 CUDA_VERSION % 1000 / 10,
                 capability >= LEAST_CAPABILITY ? ", and one that was built with CUDA 12 serves the device"
                                                : "");
    else if (capability < VOLTA && dnn >= DNN_WITHOUT_VOLTA)
        snprintf(text, size,
                 "cuDNN %d.%d does not support compute capability %d.%d; cuDNN 9.8 to 9.10 for CUDA 12 do",
                 dnn / 10000, dnn % 10000 / 100, capability / 10, capability % 10);
    else if (cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE) == CU_COMPUTEMODE_PROHIBITED)
        snprintf(
            text, size,
            "its compute mode is prohibited; `nvidia-smi --compute-mode=DEFAULT`, as root, changes that");
}

static void describe_storage(int capability, p2p_device_info *info) {
    const bool tensor_cores = capability >= TENSOR_CORES_TF32_BF16;
    info->alignment = CUDA_ALIGNMENT;
    info->channel_alignment = CUDA_CHANNELS;
    info->zero_padding = true;
    info->activation = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_nhwc, CUDA_CHANNELS};
    info->activation_bf16 = info->activation;
    info->filter = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_krsc, CUDA_CHANNELS};
    info->vector = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_plain, 0};
    info->gradient_bf16 = P2P_TYPE_f32;
    info->derives_filters = true;
    info->measures_on_request = true;
    info->fast_tf32 = tensor_cores;
    if (tensor_cores) {
        info->activation_bf16.type = P2P_TYPE_bf16;
        info->gradient_bf16 = P2P_TYPE_bf16;
        return;
    }
    snprintf(info->no_bf16, sizeof info->no_bf16,
             "compute capability 8.0 or newer is needed, the device has %d.%d", capability / 10,
             capability % 10);
    memcpy(info->no_tf32, info->no_bf16, sizeof info->no_tf32);
}

void cuda_device_describe(CUdevice device, p2p_device_info *info) {
    const int capability = cuda_device_capability(device);
    memset(info, 0, sizeof *info);
    if (cuda_driver.cuDeviceGetName(info->name, sizeof info->name, device) != CUDA_SUCCESS)
        snprintf(info->name, sizeof info->name, "?");
    info->name[sizeof info->name - 1] = '\0';
    cuda_library_versions(info->driver, sizeof info->driver);
    describe_obstacle(device, capability, info->unusable, sizeof info->unusable);
    describe_details(device, capability, info);
    info->type = P2P_DEVICE_GPU;
    info->compute_units = cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    if (cuda_driver.cuDeviceTotalMem(&info->memory_bytes, device) != CUDA_SUCCESS) info->memory_bytes = 0;
    info->max_alloc_bytes = info->memory_bytes > 0 ? info->memory_bytes : SIZE_MAX / 2;
    info->in_host_memory = cuda_device_attribute(device, CU_DEVICE_ATTRIBUTE_INTEGRATED) != 0;
    info->driver_bytes = DRIVER_BYTES;
    describe_storage(capability, info);
}
