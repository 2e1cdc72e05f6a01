/* Convolutions for GPUs on tiles in local memory: the planner and its variants. */
#ifndef OCL_CONV_GPU_H
#define OCL_CONV_GPU_H

#include "plan/ocl_plan.h"

/* Plans a validated convolution of any shape: activations in nchwc16, float32 or, on devices that store
 * bf16, bf16; filters in ckrs16; plain biases. Returns P2P_UNSUPPORTED, with a reason, for other storage,
 * for extents beyond 31 bits, and for devices without local memory. */
p2p_status ocl_plan_conv_gpu(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Lists "thin" for small maps, "sg8x2" for sub-groups, tiles, "64x64", then other numbers of parts for the
 * planner's own tile, "64x64k4". Returns their number. */
int ocl_conv_gpu_variants(const ocl_target *target, const p2p_op *op,
                          ocl_variant_name names[OCL_MOST_VARIANTS]);

#endif
