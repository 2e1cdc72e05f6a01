/* Planner of copy. */
#ifndef CUDA_COPY_H
#define CUDA_COPY_H

#include "cuda_plan.h"

p2p_status cuda_plan_copy(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

#endif
