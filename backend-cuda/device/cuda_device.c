/* Opening and closing a device. See cuda_device.h. */
#include "cuda_device.h"

#include "cuda_gemm.h"
#include "cuda_list.h"
#include "cuda_memory.h"
#include "cuda_program.h"
#include "cuda_ticket.h"
#include "cuda_time.h"
#include "cuda_transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int attribute(const p2p_be_device *device, CUdevice_attribute what) {
    return cuda_device_attribute(device->id, what);
}

static void read_target(p2p_be_device *device) {
    const bool tensor_cores = device->info.no_tf32[0] == '\0';
    const int units = attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    device->target = (cuda_target){
        .host = cuda_host,
        .capability = cuda_device_capability(device->id),
        .multiprocessors = units > 0 ? units : 1,
        .shared_bytes = (size_t)attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
        .shared_optin = (size_t)attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
        .tf32 = tensor_cores,
        .bf16 = tensor_cores};
}

static p2p_status check_usable(const p2p_be_device *device) {
    if (device->info.unusable[0] != '\0')
        return cuda_host->fail(P2P_NO_DEVICE, "%s: %s", device->queue.name, device->info.unusable);
    if (device->environment.problem[0] != '\0')
        return cuda_host->fail(P2P_USAGE, "%s", device->environment.problem);
    return P2P_OK;
}

/* ---- The context ----------------------------------------------------------------------------------- */

static p2p_status fail_retain(p2p_be_device *device, CUresult code) {
    const bool exclusive =
        attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE) == CU_COMPUTEMODE_EXCLUSIVE_PROCESS;
    if (code == CUDA_ERROR_DEVICE_UNAVAILABLE && exclusive) {
        cuda_host->fail(P2P_NO_DEVICE,
                        "%s: another process uses it, and its compute mode is exclusive to one",
                        device->queue.name);
        return cuda_host->hint(P2P_NO_DEVICE,
                               "`nvidia-smi` lists the processes; `nvidia-smi --compute-mode=DEFAULT`, "
                               "as root, lets several use it");
    }
    if (code != CUDA_ERROR_OUT_OF_MEMORY) {
        const p2p_status status = cuda_check(&device->queue, code, "cuDevicePrimaryCtxRetain");
        const char *advice = cuda_error_of_mps(code);
        return advice ? cuda_host->hint(status, "%s", advice) : status;
    }
    cuda_host->fail(P2P_OUT_OF_MEMORY, "%s: no memory for a context, which needs some hundred MiB",
                    device->queue.name);
    return cuda_host->hint(P2P_OUT_OF_MEMORY,
                           "`nvidia-smi` lists the processes that use the device's memory");
}

static p2p_status retain_context(p2p_be_device *device) {
    CUcontext context = NULL;
    const CUresult code = cuda_driver.cuDevicePrimaryCtxRetain(&context, device->id);
    if (code != CUDA_SUCCESS) return fail_retain(device, code);
    device->retained = true;
    device->queue.context = context;
    return cuda_enter(&device->queue);
}

/* Another process may have taken the memory. */
static void log_memory(p2p_be_device *device) {
    size_t free_bytes = 0, total = 0;
    if (cuda_driver.cuMemGetInfo(&free_bytes, &total) != CUDA_SUCCESS) return;
    cuda_host->log("%s: %.1f of %.1f MiB of memory are free", device->queue.name,
                   (double)free_bytes / (1 << 20), (double)total / (1 << 20));
}

/* ---- Opening and closing --------------------------------------------------------------------------- */

static p2p_status open_parts(p2p_be_device *device) {
    P2P_TRY(check_usable(device));
    P2P_TRY(retain_context(device));
    log_memory(device);
    CUDA_TRY(&device->queue, cuStreamCreate, &device->queue.stream, CU_STREAM_NON_BLOCKING);
    P2P_TRY(cuda_tickets_open(device));
    P2P_TRY(cuda_overlap_open(device));
    P2P_TRY(cuda_stages_open(device));
    P2P_TRY(cuda_gemm_open(device));
    P2P_TRY(cuda_convs_open(&device->queue, &device->convs));
    device->target.conv = cuda_convs_library(device->convs);
    device->opened = true;
    return P2P_OK;
}

p2p_status cuda_device_open(int index, p2p_be_device **opened) {
    CUdevice id;
    *opened = NULL;
    P2P_TRY(cuda_device_find(index, &id));
    p2p_be_device *device = calloc(1, sizeof *device);
    if (!device) return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a device's record");
    device->id = id;
    device->environment = cuda_environment_read();
    cuda_device_describe(id, &device->info);
    snprintf(device->queue.name, sizeof device->queue.name, "cuda:%d, %.200s", index, device->info.name);
    read_target(device);
    const p2p_status status = open_parts(device);
    if (status != P2P_OK) {
        cuda_device_close(device);
        return status;
    }
    *opened = device;
    return P2P_OK;
}

/* The libraries before the driver's objects that they use, the context last. For a lost device only host
 * memory is released. */
void cuda_device_close(p2p_be_device *device) {
    if (!device) return;
    if (device->retained && cuda_enter_release(&device->queue) && device->opened)
        (void)cuda_drain_all(device);
    cuda_convs_close(device->convs);
    cuda_programs_close(device);
    if (device->retained && !device->queue.lost) {
        cuda_gemm_close(device);
        cuda_stages_close(device);
        cuda_overlap_close(device);
        cuda_tickets_close(device);
        cuda_time_close(device);
        if (device->queue.stream) CUDA_RELEASE(&device->queue, cuStreamDestroy, device->queue.stream);
        CUDA_RELEASE(&device->queue, cuCtxSetCurrent, NULL);
        CUDA_RELEASE(&device->queue, cuDevicePrimaryCtxRelease, device->id);
    }
    free(device);
}
