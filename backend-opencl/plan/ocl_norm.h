/* Planners of normalisation. */
#ifndef OCL_NORM_H
#define OCL_NORM_H

#include "ocl_plan.h"

p2p_status ocl_plan_norm_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_norm_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_norm_bwd_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_norm_bwd_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

#endif
