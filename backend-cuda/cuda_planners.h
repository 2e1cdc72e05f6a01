/* Planning of any operation: the planner of its kind. */
#ifndef CUDA_PLANNERS_H
#define CUDA_PLANNERS_H

#include "plan/cuda_target.h"

/* Fills *plan from a validated descriptor. Returns P2P_UNSUPPORTED with the reason if the device does not
 * support it. Pure: equal arguments have equal results until conv/ chooses another algorithm. */
p2p_status cuda_plan_op(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

#endif
