/* Work that only multiplies and adds, for the device's peak: peak_create of p2p_backend.h. In float32 it is
 * kernels/peak.cu, in tf32 and bf16 a product by cuBLAS: tensor cores are used by libraries alone. */
#ifndef CUDA_PEAK_H
#define CUDA_PEAK_H

#include "cuda_device.h"

p2p_status cuda_peak_create(p2p_be_device *device, p2p_math math, int steps, p2p_binding counts, int capacity,
                            p2p_be_op **created, double *multiply_adds);

#endif
