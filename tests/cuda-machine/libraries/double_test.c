/* Helpers of the tests of doubles. See double_test.h. */
#include "double_test.h"

#include "../../support/float_bits.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MEMORY = 65536 };
test_device test_devices[TEST_DEVICES];
static struct {
    CUdeviceptr address;
    int device;
} memory[MOST_MEMORY];
static int memory_count;

int test_open(void **state) {
    (void)state;
    OK(cuInit(0));
    for (int i = 0; i < TEST_DEVICES; i++) {
        OK(cuDevicePrimaryCtxRetain(&test_devices[i].context, i));
        test_enter(i);
        OK(cuStreamCreate(&test_devices[i].stream, CU_STREAM_NON_BLOCKING));
        OK(cuStreamCreate(&test_devices[i].other, CU_STREAM_NON_BLOCKING));
    }
    test_enter(0);
    return 0;
}

int test_close(void **state) {
    (void)state;
    test_release();
    for (int i = 0; i < TEST_DEVICES; i++) {
        test_enter(i);
        OK(cuStreamDestroy(test_devices[i].stream));
        OK(cuStreamDestroy(test_devices[i].other));
        OK(cuDevicePrimaryCtxRelease(i));
    }
    assert_string_equal(machine_refusals() > 0 ? machine_last_refusal() : "", "");
    return 0;
}

void test_enter(int device) {
    OK(cuCtxSetCurrent(test_devices[device].context));
}

void test_release(void) {
    while (memory_count > 0) {
        test_enter(memory[--memory_count].device);
        OK(cuMemFree(memory[memory_count].address));
    }
    test_enter(0);
}

CUdeviceptr test_memory(size_t bytes) {
    assert_true(memory_count < MOST_MEMORY);
    CUdeviceptr address;
    OK(cuMemAlloc(&address, bytes));
    memory[memory_count].address = address;
    memory[memory_count++].device = machine_current_device();
    return address;
}

float test_bf16(float value) {
    const uint32_t bits = bits_of_float(value);
    return float_of_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

CUdeviceptr test_floats(const float *values, size_t count, bool bf16) {
    const CUdeviceptr address = test_memory(count * (bf16 ? 2 : 4));
    void *to = machine_memory(address);
    for (size_t i = 0; i < count; i++) {
        if (bf16)
            ((uint16_t *)to)[i] = (uint16_t)(bits_of_float(test_bf16(values[i])) >> 16);
        else
            ((float *)to)[i] = values[i];
    }
    return address;
}

void test_read(int device, CUdeviceptr from, float *values, size_t count, bool bf16) {
    test_enter(device);
    OK(cuStreamSynchronize(test_devices[device].stream));
    OK(cuStreamSynchronize(test_devices[device].other));
    const void *at = machine_memory(from);
    for (size_t i = 0; i < count; i++)
        values[i] = bf16 ? float_of_bf16(((const uint16_t *)at)[i]) : ((const float *)at)[i];
}

void test_fill(float *values, size_t count, uint32_t seed) {
    uint32_t state = seed * 2654435761u + 12345;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)state / 2147483648.0f;
    }
}
