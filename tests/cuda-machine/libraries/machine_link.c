/* Opens the driver double. See machine_link.h. */
#include "machine_link.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

machine_functions machine;

static bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool look_up(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    *(void **)function = found;
    return found;
}

static void load(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    bool all = look_up(library, "cuCtxGetCurrent", &machine.get_context) &&
               look_up(library, "cuDeviceGetPCIBusId", &machine.bus_id);
#define X(function) all = all && look_up(library, "machine_" #function, &machine.function);
    MACHINE_LIST(X)
#undef X
    loaded = all;
}

bool machine_load(void) {
    pthread_once(&once, load);
    return loaded;
}

bool machine_is_drivers(const char *error) {
    return strncmp(error, "CUDA_ERROR_", 11) == 0;
}

bool machine_computes(void) {
    const char *what = getenv("P2P_MACHINE_COMPUTE");
    return !what || strcmp(what, "kernels") != 0;
}

void machine_fill(void *to, bool bf16, int64_t count) {
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        const float value = (float)(int32_t)state * 0x1p-31f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (bf16)
            ((uint16_t *)to)[i] = (uint16_t)(bits >> 16);
        else
            ((float *)to)[i] = value;
    }
}

void machine_report(const char *text) {
    if (machine_load()) machine.refuse("%s", text);
}
