/* The planner of conv_fwd, conv_bwd_data and conv_bwd_filter: cuDNN, or a matrix product for 1x1 filters. */
#ifndef CUDA_PLAN_CONV_H
#define CUDA_PLAN_CONV_H

#include "cuda_target.h"

/* A cuda_planner. Operands are whole tensors, activations f32:nhwc8 or bf16:nhwc8 and filters krsc8 of the
 * same type; with activations in bf16, P2P_FILTER_REQUIRED asks for the filter in bf16. Channel ranges are
 * refused: cuDNN computes on packed copies of them, which the core makes as well, where it needs any.
 *
 * A bias or an activation is a kernel that follows, in place: it moves the output once in each direction,
 * where the nodes apart would move it twice. An output that is added to by such an operation is computed in
 * scratch memory. */
p2p_status cuda_plan_conv(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

/* Whether the planner makes a matrix product of a convolution, so that there is no algorithm to choose: a 1x1
 * filter, stride 1, no padding. With `images` it makes convolutions, because the algorithm of a matrix
 * product depends on the number of rows. */
bool cuda_conv_is_gemm(const p2p_op *op);

#endif
