/* Planners of the element-wise kinds: one launch each, without scratch memory. */
#ifndef OCL_POINTWISE_H
#define OCL_POINTWISE_H

#include "ocl_plan.h"

p2p_status ocl_plan_prepare(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_act_fwd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_act_bwd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_dropout(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_axpby(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_adam(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* A copy between tensors of equal storage. */
p2p_status ocl_plan_vector_copy(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* The arguments DROPOUT of common.clh. Without dropout all but the width are zero. */
void ocl_arg_dropout(ocl_launch *launch, const p2p_op *op, const ocl_view *view);

#endif
