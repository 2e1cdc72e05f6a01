/* Winograd convolutions for CPU devices: the planner, and for which shapes they are worth it.
 *
 * They need fewer multiplications than direct convolutions and more memory traffic, and round a little more
 * (error_budget.h of the tests has both bounds). Chooses kernels and grids from the descriptor and the width
 * of the device's vectors alone, so the same shape always gives the same bits, whatever the number of
 * threads. In bf16 (math=bf16) likewise, with F(3x3, 2x2) alone. Pure: no OpenCL object is used.
 */
#ifndef OCL_CONV_WINOGRAD_H
#define OCL_CONV_WINOGRAD_H

#include "plan/ocl_plan.h"

/* Plan a validated convolution of 4x4 taps and stride 1 or 2 in the storages that ocl_plan_conv_direct takes.
 * P2P_UNSUPPORTED, with a reason, for any other. */
p2p_status ocl_plan_conv_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Whether it probably takes less time than the direct family; false for taps and strides that the planner
 * refuses. Arithmetic fitted to measurements: nothing is timed here. */
bool ocl_conv_winograd_pays(const ocl_target *target, const p2p_op *op);

#endif
