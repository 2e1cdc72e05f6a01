/* The planner of conv_fwd, conv_bwd_data and conv_bwd_filter: cuDNN, or a matrix product for 1x1 filters. */
#ifndef CUDA_PLAN_CONV_H
#define CUDA_PLAN_CONV_H

#include "cuda_target.h"

/* A cuda_planner. Activations are f32:nhwc8 or bf16:nhwc8, filters krsc8 of the same type; with activations
 * in bf16, P2P_FILTER_REQUIRED requests the filter in bf16.
 *
 * A bias or an activation is a kernel that follows, in place: it moves the output once in each direction,
 * where the nodes apart would move it twice. An output that is added to by such an operation is computed in
 * scratch memory.
 *
 * cuDNN computes on packed tensors, and copies what is not, in workspace. So an operand that is a channel
 * range is packed in scratch memory: an input by a kernel that precedes, an output by the kernel that
 * follows. */
p2p_status cuda_plan_conv(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

/* Whether the planner makes a matrix product of a convolution, so that there is no algorithm to choose: a 1x1
 * filter, stride 1, no padding. With `images` it makes convolutions, because the algorithm of a matrix
 * product depends on the number of rows. */
bool cuda_conv_is_gemm(const p2p_op *op);

#endif
