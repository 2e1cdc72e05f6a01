/* Winograd convolutions for CPU devices: the planner, and the estimate of where they are faster.
 *
 * They need fewer multiplications than direct convolutions and more memory traffic, and have slightly
 * larger rounding errors (backend/check/op_budget.h has both bounds). Kernels and grids may depend on
 * the number of threads; bits depend on the descriptor and the device's vector width alone. math=bf16 uses
 * F(3x3, 2x2) only. It uses no OpenCL object.
 */
#ifndef OCL_CONV_WINOGRAD_H
#define OCL_CONV_WINOGRAD_H

#include "plan/ocl_plan.h"

/* Plans a validated convolution of 4x4 taps and stride 1 or 2 in the storages of ocl_plan_conv_direct.
 * Returns P2P_UNSUPPORTED, with a reason, for any other. */
p2p_status ocl_plan_conv_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Whether it is estimated to be faster than the direct family; false for taps and strides that the planner
 * refuses. The estimate is fitted to measurements: nothing is timed here. */
bool ocl_conv_winograd_pays(const ocl_target *target, const p2p_op *op);

#endif
