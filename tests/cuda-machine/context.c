/* Contexts: the primary context of each device, current per thread. */
#include "driver.h"

#include <string.h>

static struct CUctx_st contexts[DRIVER_DEVICES];
static _Thread_local CUcontext current;

CUcontext driver_context(int device) {
    return &contexts[device];
}

CUcontext driver_current(void) {
    return current && current->alive ? current : NULL;
}

void machine_use_context(CUcontext context) {
    current = context;
}

int machine_current_device(void) {
    driver_lock();
    const CUcontext context = driver_current();
    const int device = context ? context->device : -1;
    driver_unlock();
    return device;
}

CUresult machine_device_error(int device) {
    driver_lock();
    const CUresult error = driver_get_device(device) ? contexts[device].error : CUDA_ERROR_INVALID_DEVICE;
    driver_unlock();
    return error;
}

CUresult driver_result(int device) {
    if (contexts[device].error != CUDA_SUCCESS) contexts[device].reported = true;
    return contexts[device].error;
}

void machine_lose_device(int device, CUresult error, const char *why) {
    driver_lock();
    CUcontext context = driver_get_device(device) ? &contexts[device] : NULL;
    if (context && context->error == CUDA_SUCCESS) {
        context->error = error;
        context->reported = false;
        snprintf(context->why, sizeof context->why, "%s", why);
        fprintf(stderr, "cuda machine: device %d is lost: %s\n", device, context->why);
        driver_drop_pending(device);
    }
    driver_unlock();
}

static CUresult enter_device(const char *call, CUdevice device) {
    CUresult result = driver_enter(call, DRIVER_INITIALIZED, NULL);
    if (result != CUDA_SUCCESS) return result;
    if (driver_get_device(device)) return CUDA_SUCCESS;
    return driver_leave(driver_refuse(CUDA_ERROR_INVALID_DEVICE, "no device %d", device));
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    CUresult result = enter_device("cuDevicePrimaryCtxRetain", device);
    if (result != CUDA_SUCCESS) return result;
    const driver_device *card = driver_get_device(device);
    machine_count("contexts", "retained", 1);
    if (card->mode == DRIVER_MODE_PROHIBITED || (card->mode == DRIVER_MODE_EXCLUSIVE && card->busy))
        return driver_leave(CUDA_ERROR_DEVICE_UNAVAILABLE);
    CUcontext own = &contexts[device];
    if (!own->alive) *own = (struct CUctx_st){.device = device, .alive = true};
    own->retained++;
    *context = own;
    return driver_leave(CUDA_SUCCESS);
}

/* Ends the context; objects still in it are reported as leaks. */
static void end_context(CUcontext context) {
    const int device = context->device;
    size_t bytes;
    const int allocations = driver_live_allocations(device, &bytes), streams = driver_live_streams(device),
              modules = driver_live_modules(device), events = driver_live_events(device);
    if (context->error == CUDA_SUCCESS && (allocations || streams || modules || events))
        driver_refuse(CUDA_SUCCESS,
                      "the context of device %d ends with %d allocations (%zu bytes), %d streams, %d events "
                      "and %d modules",
                      device, allocations, bytes, streams, events, modules);
    driver_release_streams(device);
    driver_release_events(device);
    driver_release_modules(device);
    driver_release_memory(device);
    context->alive = false;
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice device) {
    CUresult result = enter_device("cuDevicePrimaryCtxRelease_v2", device);
    if (result != CUDA_SUCCESS) return result;
    CUcontext context = &contexts[device];
    if (!context->alive)
        return driver_leave(driver_refuse(CUDA_ERROR_INVALID_CONTEXT, "device %d has no context", device));
    if (--context->retained == 0) end_context(context);
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
    CUresult result = enter_device("cuDevicePrimaryCtxGetState", device);
    if (result != CUDA_SUCCESS) return result;
    if (flags) *flags = 0;
    if (active) *active = contexts[device].alive;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext context) {
    CUresult result = driver_enter("cuCtxSetCurrent", DRIVER_SELECTS, NULL);
    if (result != CUDA_SUCCESS) return result;
    const CUcontext before = current;
    bool known = context == NULL;
    for (int i = 0; i < DRIVER_DEVICES; i++) known |= context == &contexts[i] && context->alive;
    if (!known) return driver_leave(driver_refuse(CUDA_ERROR_INVALID_CONTEXT, "the context is not alive"));
    current = context;
    result = driver_plant("cuCtxSetCurrent", true);
    if (result != CUDA_SUCCESS) current = before;
    return driver_leave(result);
}

CUresult CUDAAPI cuCtxGetCurrent(CUcontext *context) {
    CUresult result = driver_enter("cuCtxGetCurrent", DRIVER_INITIALIZED, NULL);
    if (result != CUDA_SUCCESS) return result;
    *context = driver_current();
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxGetDevice(CUdevice *device) {
    int current_device;
    CUresult result = driver_enter("cuCtxGetDevice", DRIVER_ENDS, &current_device);
    if (result != CUDA_SUCCESS) return result;
    *device = current_device;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuCtxSynchronize(void) {
    int device;
    CUresult result = driver_enter("cuCtxSynchronize", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    for (CUstream stream = driver_streams; stream; stream = stream->next)
        if (stream->device == device) driver_drain(stream);
    return driver_leave(driver_result(device));
}
