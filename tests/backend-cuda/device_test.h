/* What the tests of CUDA devices share. */
#ifndef DEVICE_TEST_H
#define DEVICE_TEST_H

#include "device/cuda_device.h"
#include "device/device_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/test_expect.h"

static inline p2p_device *open_device(const char *address) {
    p2p_device *device = NULL;
    OK(p2p_device_open(address, &device));
    return device;
}

static inline p2p_buffer *create_buffer(p2p_device *device, size_t bytes) {
    p2p_buffer *buffer = NULL;
    OK(p2p_buffer_create(device, bytes, &buffer));
    return buffer;
}

#endif
