/* Devices and buffers: a failure fails the test. Include it after cmocka. */
#ifndef P2P_TEST_DEVICE_H
#define P2P_TEST_DEVICE_H

#include "device/device.h"
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
