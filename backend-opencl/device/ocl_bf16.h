/* What a device does in bf16, and a test of it. */
#ifndef OCL_BF16_H
#define OCL_BF16_H

#include "ocl_device.h"

/* What the device does in bf16. Sets info->activation_bf16, from info->activation, and info->no_bf16: without
 * bf16 the reason, else "". */
ocl_bf16 ocl_bf16_find(p2p_device_info *info, const ocl_environment *environment, int vector_width);

/* Computes a few numbers in bf16, in the first call for a device. P2P_FAILED where they are wrong. */
p2p_status ocl_bf16_test(p2p_be_device *device);

#endif
