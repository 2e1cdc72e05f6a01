/* Winograd convolutions for GPUs: the planner, its variants, and for which shapes they are worth it.
 *
 * They need fewer multiplications than the tiles of ocl_conv_gpu.c and more memory traffic, and round a
 * little more (error_budget.h of the tests has both bounds). No bit depends on the variant or the number of
 * passes.
 */
#ifndef OCL_CONV_GPU_WINOGRAD_H
#define OCL_CONV_GPU_WINOGRAD_H

#include "plan/ocl_plan.h"

/* Plan a validated convolution of 4x4 taps and stride 1 or 2. P2P_UNSUPPORTED, with a reason, for any other,
 * for storages that the GPU family doesn't take, and for more scratch memory than the device gives in one
 * piece. */
p2p_status ocl_plan_conv_gpu_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Tiles of the products, "64x64", cheapest by count first. Returns how many. */
int ocl_conv_gpu_winograd_variants(const ocl_target *target, const p2p_op *op,
                                   ocl_variant_name names[OCL_MOST_VARIANTS]);

/* Whether it probably takes less time than the tiles on the untransformed convolution; false for taps and
 * strides that the planner refuses. Counts of the shape alone: nothing is timed here.
 * P2P_OPENCL_WINOGRAD overrides it. */
bool ocl_conv_gpu_winograd_pays(const ocl_target *target, const p2p_op *op);

#endif
