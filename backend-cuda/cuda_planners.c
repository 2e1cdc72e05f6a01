/* The table of planners. See cuda_planners.h. */
#include "cuda_planners.h"

#include "plan/cuda_copy.h"
#include "plan/cuda_norm.h"
#include "plan/cuda_plan_conv.h"
#include "plan/cuda_plan_gemm.h"
#include "plan/cuda_pointwise.h"
#include "plan/cuda_reduce.h"

#include <stdio.h>
#include <string.h>

static const cuda_planner planners[P2P_KIND_COUNT] = {
    [P2P_KIND_copy] = cuda_plan_copy,
    [P2P_KIND_prepare] = cuda_plan_prepare,
    [P2P_KIND_conv_fwd] = cuda_plan_conv,
    [P2P_KIND_conv_bwd_data] = cuda_plan_conv,
    [P2P_KIND_conv_bwd_filter] = cuda_plan_conv,
    [P2P_KIND_gemm] = cuda_plan_gemm,
    [P2P_KIND_norm_stats] = cuda_plan_norm_stats,
    [P2P_KIND_norm_apply] = cuda_plan_norm_apply,
    [P2P_KIND_norm_bwd_stats] = cuda_plan_norm_bwd_stats,
    [P2P_KIND_norm_bwd_apply] = cuda_plan_norm_bwd_apply,
    [P2P_KIND_act_fwd] = cuda_plan_act_fwd,
    [P2P_KIND_act_bwd] = cuda_plan_act_bwd,
    [P2P_KIND_dropout] = cuda_plan_dropout,
    [P2P_KIND_axpby] = cuda_plan_axpby,
    [P2P_KIND_bias_grad] = cuda_plan_bias_grad,
    [P2P_KIND_loss_bce] = cuda_plan_loss_bce,
    [P2P_KIND_loss_mse] = cuda_plan_loss_mse,
    [P2P_KIND_loss_l1] = cuda_plan_loss_l1,
    [P2P_KIND_adam] = cuda_plan_adam,
};

/* The only kernel's name, or the kind's. */
static const char *name_of(const p2p_op *op, const cuda_plan *plan) {
    const bool kernel = plan->step_count == 1 && plan->step[0].kind == CUDA_STEP_KERNEL;
    return kernel ? plan->step[0].launch.kernel : p2p_kind_name(op->kind);
}

p2p_status cuda_plan_op(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    memset(plan, 0, sizeof *plan);
    if (!planners[op->kind]) return cuda_refuse(target, op, "a communicator does this, not a device");
    P2P_TRY(planners[op->kind](target, op, plan));
    if (plan->answer.kernel[0] == '\0') /* planners without choices set no name */
        snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "%s", name_of(op, plan));
    return P2P_OK;
}
