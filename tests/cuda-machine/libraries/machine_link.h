/* The driver double as the doubles of libraries reach it: opened when it is first needed, because the real
 * libraries load, and plan, where no driver is.
 */
#ifndef MACHINE_LINK_H
#define MACHINE_LINK_H

#include "../machine.h"

/* X(function): of machine.h, without its prefix. */
#define MACHINE_LIST(X)                                                                                      \
    X(refuse)                                                                                                \
    X(current_device)                                                                                        \
    X(use_context)                                                                                           \
    X(stream_device)                                                                                         \
    X(device_card)                                                                                           \
    X(device_error) X(memory) X(find) X(enqueue) X(enqueue_when) X(should_fail) X(count) X(draw) X(spend)

typedef struct {
#define X(function) __typeof__(&machine_##function) function;
    MACHINE_LIST(X)
#undef X
    __typeof__(&cuCtxGetCurrent) get_context;
    __typeof__(&cuDeviceGetPCIBusId) bus_id;
} machine_functions;

/* Filled by machine_load. */
extern machine_functions machine;

/* Opens libcuda.so.1 once; false if there is none, or if it is not the double. Any thread. */
bool machine_load(void);

/* An address of device memory as the driver API has it. */
static inline CUdeviceptr machine_address(const void *pointer) {
    return (CUdeviceptr)(uintptr_t)pointer;
}

/* Whether a planted error has the name of one of the driver's. */
bool machine_is_drivers(const char *error);

/* False after P2P_MACHINE_COMPUTE=kernels: the doubles fill their outputs with machine_fill instead, so that
 * the kernels of large networks are counted soon. */
bool machine_computes(void);
/* Writes arbitrary numbers of [-1, 1), always the same. */
void machine_fill(void *to, bool bf16, int64_t count);

/* The calling thread's note of what is wrong, "CALL: TEXT", with the call that machine_call_begin named last.
 */
void machine_call_begin(const char *call);
void machine_note(const char *format, ...) MACHINE_PRINTF(1, 2);
void machine_note_clear(void);
const char *machine_last_note(void); /* "" if there is none */
/* The same, and reports it as a violation of a rule of the machine if there is one: the caller is wrong.
 * Without a machine, planning continues with the error. */
void machine_note_misuse(const char *format, ...) MACHINE_PRINTF(1, 2);

/* The status of a call after a note, or a misuse: (status, format, ...). */
#define MACHINE_NOTED(status, ...)  (machine_note(__VA_ARGS__), (status))
#define MACHINE_MISUSE(status, ...) (machine_note_misuse(__VA_ARGS__), (status))

#endif
