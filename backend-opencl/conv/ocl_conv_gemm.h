/* Convolutions through the matrix library: the planner. */
#ifndef OCL_CONV_GEMM_H
#define OCL_CONV_GEMM_H

#include "plan/ocl_plan.h"

/* Plan a validated convolution with a float32 filter in any layout. P2P_UNSUPPORTED, with a reason, where the
 * matrix of an image's taps has more than 2^31 elements, or the library can't run. */
p2p_status ocl_plan_conv_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

#endif
