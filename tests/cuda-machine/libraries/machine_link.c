/* Opens the driver double. See machine_link.h. */
#include "machine_link.h"
#include "../../support/float_bits.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
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
        if (bf16)
            ((uint16_t *)to)[i] = (uint16_t)(bits_of_float(value) >> 16);
        else
            ((float *)to)[i] = value;
    }
}

static _Thread_local char note[400];
static _Thread_local const char *running = "no call";

void machine_call_begin(const char *call) {
    running = call;
}

static void write_note(const char *format, va_list arguments) {
    const int length = snprintf(note, sizeof note, "%s: ", running);
    vsnprintf(note + length, sizeof note - (size_t)length, format, arguments);
}

void machine_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_note(format, arguments);
    va_end(arguments);
}

void machine_note_misuse(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_note(format, arguments);
    va_end(arguments);
    if (machine_load()) machine.refuse("%s", note);
}

void machine_note_clear(void) {
    note[0] = '\0';
}

const char *machine_last_note(void) {
    return note;
}
