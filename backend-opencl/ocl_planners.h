/* The table of planners: the plan of every kind of operation. */
#ifndef OCL_PLANNERS_H
#define OCL_PLANNERS_H

#include "plan/ocl_target.h"

/* Plans a validated descriptor. Returns P2P_UNSUPPORTED, with a reason, if the backend cannot execute it. */
p2p_status ocl_plan_op(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

#endif
