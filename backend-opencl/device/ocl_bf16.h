/* Use of bf16 by a device, and a test of its instructions. */
#ifndef OCL_BF16_H
#define OCL_BF16_H

#include "ocl_device.h"

/* Returns how the device uses bf16. Sets info->activation_bf16, from info->activation, and info->no_bf16:
 * the reason if there is no bf16, else "". */
ocl_bf16 ocl_bf16_find(p2p_device_info *info, const ocl_environment *environment, int vector_width);

/* Computes a few products in bf16, in the first call for a device. Returns P2P_FAILED if they are wrong. */
p2p_status ocl_bf16_test(p2p_be_device *device);

#endif
