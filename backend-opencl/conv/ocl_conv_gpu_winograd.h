/* Winograd convolutions for GPUs: the planner, its variants, and the estimate of where they are faster.
 *
 * They need fewer multiplications than the tiles of ocl_conv_gpu.c and more memory traffic, and have
 * slightly larger rounding errors (backend/check/op_budget.h has both bounds). No bit depends on the
 * variant or the number of passes.
 */
#ifndef OCL_CONV_GPU_WINOGRAD_H
#define OCL_CONV_GPU_WINOGRAD_H

#include "plan/ocl_plan.h"

/* Plans a validated convolution of 4x4 taps and stride 1 or 2. Returns P2P_UNSUPPORTED, with a reason, for
 * any other, for storages that the gpu family does not support, and if the scratch memory exceeds the
 * device's largest buffer. */
p2p_status ocl_plan_conv_gpu_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Lists tiles of the products, "64x64", largest first. Returns their number. */
int ocl_conv_gpu_winograd_variants(const ocl_target *target, const p2p_op *op,
                                   ocl_variant_name names[OCL_MOST_VARIANTS]);

/* Whether it is estimated to be faster than the tiles on the untransformed convolution; false for taps and
 * strides that the planner refuses. The estimate uses the shape alone: nothing is timed.
 * P2P_OPENCL_WINOGRAD overrides it. */
bool ocl_conv_gpu_winograd_pays(const ocl_target *target, const p2p_op *op);

#endif
