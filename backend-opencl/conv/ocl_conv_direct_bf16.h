/* Direct filter gradients in bf16 for CPU devices: the planner. */
#ifndef OCL_CONV_DIRECT_BF16_H
#define OCL_CONV_DIRECT_BF16_H

#include "plan/ocl_plan.h"

/* Plans a validated conv_bwd_filter with math=bf16, in the storages of ocl_plan_conv_direct. Unless the
 * direct family is requested by name, returns P2P_UNSUPPORTED, with the reason, for shapes that gain
 * nothing from bf16: few channels, or sums of few terms. */
p2p_status ocl_plan_conv_direct_bf16(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

#endif
