/* Copies and fills. Those that wait for the host or use the NULL stream are refused: the program has streams
 * of its own and pinned memory. */
#include "driver.h"

#include <string.h>

typedef struct {
    CUdeviceptr to, from;
    size_t bytes;
} copy;

static void run_copy(void *data) {
    const copy *c = data;
    memmove(machine_memory(c->to), machine_memory(c->from), c->bytes);
}

typedef struct {
    CUdeviceptr to;
    size_t count;
    uint32_t value;
    int width;
} fill;

static void run_fill(void *data) {
    const fill *f = data;
    unsigned char *to = machine_memory(f->to);
    for (size_t i = 0; i < f->count; i++) memcpy(to + i * (size_t)f->width, &f->value, (size_t)f->width);
}

/* Memory of the host must be pinned, and a device's must not be given as the host's. */
static CUresult check_pinned(const void *memory, size_t bytes) {
    machine_allocation found;
    if (!machine_find((CUdeviceptr)(uintptr_t)memory, &found))
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%p is not pinned memory", memory);
    if (found.device >= 0)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%p is memory of a device, not of the host", memory);
    (void)bytes;
    return CUDA_SUCCESS;
}

static CUresult check_on_device(CUdeviceptr address, const char *what) {
    machine_allocation found;
    if (machine_find(address, &found) && found.device < 0)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%s: 0x%llx is memory of the host", what,
                             (unsigned long long)address);
    return CUDA_SUCCESS;
}

static CUresult give_copy(const char *call, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    const copy c = {to, from, bytes};
    const machine_range ranges[2] = {{"destination", to, bytes, MACHINE_WRITE},
                                     {"source", from, bytes, MACHINE_READ}};
    return machine_enqueue(stream, call, ranges, 2, bytes ? run_copy : NULL, &c, sizeof c);
}

static CUresult enter_copy(const char *call) {
    return driver_enter(call, DRIVER_WORKS, NULL);
}

CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    CUresult result = enter_copy("cuMemcpyHtoDAsync_v2");
    if (result != CUDA_SUCCESS) return result;
    if (bytes) result = check_pinned(from, bytes);
    if (bytes && result == CUDA_SUCCESS) result = check_on_device(to, "destination");
    if (result == CUDA_SUCCESS)
        result = give_copy("cuMemcpyHtoDAsync", to, (CUdeviceptr)(uintptr_t)from, bytes, stream);
    return driver_leave(result);
}

CUresult CUDAAPI cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    CUresult result = enter_copy("cuMemcpyDtoHAsync_v2");
    if (result != CUDA_SUCCESS) return result;
    if (bytes) result = check_pinned(to, bytes);
    if (bytes && result == CUDA_SUCCESS) result = check_on_device(from, "source");
    if (result == CUDA_SUCCESS)
        result = give_copy("cuMemcpyDtoHAsync", (CUdeviceptr)(uintptr_t)to, from, bytes, stream);
    return driver_leave(result);
}

CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    CUresult result = enter_copy("cuMemcpyDtoDAsync_v2");
    if (result != CUDA_SUCCESS) return result;
    if (to < from + bytes && from < to + bytes)
        result = driver_refuse(CUDA_ERROR_INVALID_VALUE, "source and destination overlap");
    if (result == CUDA_SUCCESS) result = check_on_device(to, "destination");
    if (result == CUDA_SUCCESS) result = check_on_device(from, "source");
    if (result == CUDA_SUCCESS) result = give_copy("cuMemcpyDtoDAsync", to, from, bytes, stream);
    return driver_leave(result);
}

static CUresult give_fill(const char *call, CUdeviceptr to, uint32_t value, int width, size_t count,
                          CUstream stream) {
    CUresult result = driver_enter(call, DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    const fill f = {to, count, value, width};
    const machine_range range = {"destination", to, count * (size_t)width, MACHINE_WRITE};
    if (to % (unsigned)width)
        result = driver_refuse(CUDA_ERROR_INVALID_VALUE, "0x%llx is misaligned", (unsigned long long)to);
    if (result == CUDA_SUCCESS)
        result = machine_enqueue(stream, call, &range, 1, count ? run_fill : NULL, &f, sizeof f);
    return driver_leave(result);
}

CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    return give_fill("cuMemsetD8Async", to, value, 1, count, stream);
}

CUresult CUDAAPI cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
    return give_fill("cuMemsetD16Async", to, value, 2, count, stream);
}

CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    return give_fill("cuMemsetD32Async", to, value, 4, count, stream);
}

static CUresult refuse_waiting(const char *call) {
    CUresult result = driver_enter(call, DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    return driver_leave(driver_refuse(CUDA_ERROR_NOT_SUPPORTED, "the call uses the NULL stream"));
}

CUresult CUDAAPI cuMemcpyHtoD(CUdeviceptr to, const void *from, size_t bytes) {
    (void)to, (void)from, (void)bytes;
    return refuse_waiting("cuMemcpyHtoD_v2");
}

CUresult CUDAAPI cuMemcpyDtoH(void *to, CUdeviceptr from, size_t bytes) {
    (void)to, (void)from, (void)bytes;
    return refuse_waiting("cuMemcpyDtoH_v2");
}

CUresult CUDAAPI cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    (void)to, (void)from, (void)bytes;
    return refuse_waiting("cuMemcpyDtoD_v2");
}

CUresult CUDAAPI cuMemsetD8(CUdeviceptr to, unsigned char value, size_t count) {
    (void)to, (void)value, (void)count;
    return refuse_waiting("cuMemsetD8_v2");
}
