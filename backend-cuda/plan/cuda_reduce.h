/* Planners of bias gradients and losses: one launch for small tensors, two for others. */
#ifndef CUDA_REDUCE_H
#define CUDA_REDUCE_H

#include "cuda_plan.h"

p2p_status cuda_plan_bias_grad(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_loss_bce(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_loss_mse(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_loss_l1(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

#endif
