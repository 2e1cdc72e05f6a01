/* Opens the driver double. See machine_link.h. */
#include "machine_link.h"

#include <dlfcn.h>
#include <pthread.h>

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
               look_up(library, "cuCtxSetCurrent", &machine.set_context) &&
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

void machine_report(const char *text) {
    if (machine_load()) machine.refuse("%s", text);
}
