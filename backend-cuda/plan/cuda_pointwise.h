/* Planners of the element-wise kinds: one launch each, without scratch memory. */
#ifndef CUDA_POINTWISE_H
#define CUDA_POINTWISE_H

#include "cuda_plan.h"

p2p_status cuda_plan_prepare(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_act_fwd(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_act_bwd(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_dropout(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_axpby(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_adam(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

/* Appends y (+)= act(x + bias) for the activation `y` of the operation, with the act and slope of `op`.
 * `bias` is an operand, or -1. x is the operand itself, or, with from_scratch, a whole tensor of y's type and
 * shape, as y is stored, at `scratch` in the scratch memory. */
typedef struct {
    int bias, y;
    bool from_scratch;
    uint64_t scratch;
} cuda_bias_act;
p2p_status cuda_launch_bias_act(const cuda_target *target, const p2p_op *op, const cuda_bias_act *what,
                                cuda_plan *plan);

/* Appends y (+)= alpha x if both are stored by the same traversal, whole, in f32 or bf16 each: returns false
 * otherwise, and changes nothing. */
bool cuda_launch_flat(const p2p_op *op, int x, int y, double alpha, cuda_plan *plan);

#endif
