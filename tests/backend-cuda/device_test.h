/* What the tests of CUDA devices share. */
#ifndef DEVICE_TEST_H
#define DEVICE_TEST_H

#include "device/cuda_device.h"
#include "device/device_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/test_device.h"

#endif
