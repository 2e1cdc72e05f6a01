/* The device's peak rate: a kernel that only multiplies and adds. */
#ifndef OCL_PEAK_H
#define OCL_PEAK_H

#include "ocl_device.h"

/* peak_create of p2p_backend.h. */
p2p_status ocl_peak_create(p2p_be_device *device, p2p_math math, int steps, p2p_binding counts, int capacity,
                           p2p_be_op **created, double *multiply_adds);

#endif
