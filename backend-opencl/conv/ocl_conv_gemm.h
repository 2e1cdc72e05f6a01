/* Convolutions through the matrix library: the planner. */
#ifndef OCL_CONV_GEMM_H
#define OCL_CONV_GEMM_H

#include "plan/ocl_plan.h"

/* Plans a validated convolution with a float32 filter in any layout. Returns P2P_UNSUPPORTED, with a
 * reason, if the im2col matrix of an image has more than 2^31 elements or the library cannot run. */
p2p_status ocl_plan_conv_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

#endif
