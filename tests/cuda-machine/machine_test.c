#include "machine_test.h"

#include <stdio.h>

CUcontext contexts[2];

void assert_not_refused(void) {
    if (machine_refusals()) fail_msg("refused: %s", machine_last_refusal());
}

int setup_contexts(void **state) {
    (void)state;
    OK(cuInit(0));
    for (int i = 0; i < 2; i++) OK(cuDevicePrimaryCtxRetain(&contexts[i], i));
    OK(cuCtxSetCurrent(contexts[0]));
    return 0;
}

int release_contexts(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) OK(cuDevicePrimaryCtxRelease(i));
    assert_not_refused();
    return 0;
}

void recover(void) {
    assert_int_not_equal(machine_device_error(0), CUDA_SUCCESS);
    OK(cuDevicePrimaryCtxRelease(0));
    OK(cuDevicePrimaryCtxRetain(&contexts[0], 0));
    OK(cuCtxSetCurrent(contexts[0]));
    assert_not_refused();
}

CUstream new_stream(void) {
    CUstream stream;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

CUevent new_event(unsigned flags) {
    CUevent event;
    OK(cuEventCreate(&event, flags));
    return event;
}

CUdeviceptr new_memory(size_t bytes) {
    CUdeviceptr address;
    OK(cuMemAlloc(&address, bytes));
    return address;
}

CUdeviceptr new_copy(const void *from, size_t bytes) {
    CUdeviceptr address = new_memory(bytes);
    memcpy(machine_memory(address), from, bytes);
    return address;
}

void read_memory(CUdeviceptr from, void *to, size_t bytes) {
    const void *host = machine_memory(from);
    assert_non_null(host);
    memcpy(to, host, bytes);
}

unsigned char *new_pinned(size_t bytes) {
    void *memory;
    OK(cuMemHostAlloc(&memory, bytes, 0));
    return memory;
}

CUmodule load_kernel(const char *before, int params, const char *body) {
    char text[8192];
    int used = snprintf(text, sizeof text,
                        ".version 8.0\n.target sm_70\n.address_size 64\n%s\n.visible .entry k(", before);
    for (int i = 0; i < params; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s.param .u64 p%d", i ? ", " : "", i);
    used += snprintf(text + used, sizeof text - (size_t)used,
                     ")\n{\n.reg .b32 %%r<40>;\n.reg .b32 %%b<8>;\n.reg .b64 %%x<40>;\n.reg .b16 "
                     "%%h<8>;\n.reg .pred %%p<8>;\n"
                     "mov.u32 %%r0, %%tid.x;\n%s\nret;\n}\n",
                     body);
    assert_true((size_t)used < sizeof text);
    CUmodule module = NULL;
    const CUresult result = cuModuleLoadData(&module, text);
    if (result != CUDA_SUCCESS) fail_msg("the kernel is refused: %s", machine_last_refusal());
    return module;
}

CUfunction get_kernel(CUmodule module) {
    CUfunction function;
    OK(cuModuleGetFunction(&function, module, "k"));
    return function;
}

CUresult run_kernel(CUmodule module, shape s, const CUdeviceptr *params, int count) {
    CUstream stream = new_stream();
    void *pointers[8];
    for (int i = 0; i < count; i++) pointers[i] = (void *)(uintptr_t)&params[i];
    OK(cuLaunchKernel(get_kernel(module), s.grid, 1, 1, s.block, 1, 1, s.shared, stream, pointers, NULL));
    const CUresult result = cuStreamSynchronize(stream);
    if (result == CUDA_SUCCESS) OK(cuStreamDestroy(stream));
    return result;
}
