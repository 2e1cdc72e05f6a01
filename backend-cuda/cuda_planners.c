/* The table of planners. See cuda_planners.h. */
#include "cuda_planners.h"

#include <stdio.h>
#include <string.h>

static const cuda_planner planners[P2P_KIND_COUNT] = {0};

/* The first kernel's name, or the kind's. */
static const char *name_of(const p2p_op *op, const cuda_plan *plan) {
    const bool kernel = plan->step_count == 1 && plan->step[0].kind == CUDA_STEP_KERNEL;
    return kernel ? plan->step[0].launch.kernel : p2p_kind_name(op->kind);
}

p2p_status cuda_plan_op(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    memset(plan, 0, sizeof *plan);
    if (!planners[op->kind])
        return target->host->fail(P2P_UNSUPPORTED, "cuda: %s is not an operation of a device",
                                  p2p_kind_name(op->kind));
    P2P_TRY(planners[op->kind](target, op, plan));
    if (plan->answer.kernel[0] == '\0') /* planners without choices set no name */
        snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "%s", name_of(op, plan));
    return P2P_OK;
}
