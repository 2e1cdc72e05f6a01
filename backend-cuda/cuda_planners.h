/* The table of planners: the plan of every kind of operation. */
#ifndef CUDA_PLANNERS_H
#define CUDA_PLANNERS_H

#include "plan/cuda_target.h"

/* Plans a validated descriptor. Returns P2P_UNSUPPORTED, with a reason, if the backend cannot execute it. */
p2p_status cuda_plan_op(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

#endif
