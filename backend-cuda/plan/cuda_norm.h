/* Planners of normalisations. Merged kinds take one launch for small maps, two for larger ones, three for the
 * largest; norm_stats and norm_bwd_stats take two, and the others one. */
#ifndef CUDA_NORM_H
#define CUDA_NORM_H

#include "cuda_plan.h"

p2p_status cuda_plan_norm_stats(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_norm_apply(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_norm_bwd_stats(const cuda_target *target, const p2p_op *op, cuda_plan *plan);
p2p_status cuda_plan_norm_bwd_apply(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

#endif
