/* What the tests of the libraries' doubles share: devices with streams, and memory that the test fills. */
#ifndef DOUBLE_TEST_H
#define DOUBLE_TEST_H

#include "../machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../support/test_clock.h"
#include "../assert_refused.h"

enum { TEST_DEVICES = 4 };

/* A device's context and two streams. */
typedef struct {
    CUcontext context;
    CUstream stream, other;
} test_device;
extern test_device test_devices[TEST_DEVICES];

/* Group setup and teardown: the machine has TEST_DEVICES devices; at the end nothing was refused that was not
 * meant. */
int test_open(void **state);
int test_close(void **state);

/* Makes the device's context current. */
void test_enter(int device);
/* Memory of the current device, which lives until test_release or the group's end. */
CUdeviceptr test_memory(size_t bytes);
/* Frees all memory; device 0 is then current. Nothing may be under way. */
void test_release(void);
/* The same with values; bf16 rounds them. */
CUdeviceptr test_floats(const float *values, size_t count, bool bf16);
/* Waits for the device's streams and reads. */
void test_read(int device, CUdeviceptr from, float *values, size_t count, bool bf16);
/* Numbers between -1 and 1 that depend on the seed. */
void test_fill(float *values, size_t count, uint32_t seed);
float test_bf16(float value);

/* Whether threads that misuse something at once continue: until that is refused, which on a busy machine may
 * take many turns, or for so long that it never will be. `begun` is the test_clock() of their first turn. */
static inline bool test_unrefused(double begun) {
    return machine_refusals() == 0 && test_clock() < begun + 60;
}

#define OK(call) assert_int_equal(call, 0)
#define REFUSED(call, words)                                                                                 \
    do {                                                                                                     \
        assert_int_not_equal(call, 0);                                                                       \
        assert_refused(words);                                                                               \
    } while (0)

static inline void *test_pointer(CUdeviceptr address) {
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

#endif
