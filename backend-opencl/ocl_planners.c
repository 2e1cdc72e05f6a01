/* The table of planners. See ocl_planners.h. */
#include "ocl_planners.h"

#include "conv/ocl_conv.h"
#include "plan/ocl_copy.h"
#include "plan/ocl_norm.h"
#include "plan/ocl_plan_gemm.h"
#include "plan/ocl_pointwise.h"
#include "plan/ocl_reduce.h"

#include <stdio.h>
#include <string.h>

static const ocl_planner planners[P2P_KIND_COUNT] = {
    [P2P_KIND_copy] = ocl_plan_copy,
    [P2P_KIND_prepare] = ocl_plan_prepare,
    [P2P_KIND_conv_fwd] = ocl_plan_conv,
    [P2P_KIND_conv_bwd_data] = ocl_plan_conv,
    [P2P_KIND_conv_bwd_filter] = ocl_plan_conv,
    [P2P_KIND_gemm] = ocl_plan_gemm,
    [P2P_KIND_norm_stats] = ocl_plan_norm_stats,
    [P2P_KIND_norm_apply] = ocl_plan_norm_apply,
    [P2P_KIND_norm_bwd_stats] = ocl_plan_norm_bwd_stats,
    [P2P_KIND_norm_bwd_apply] = ocl_plan_norm_bwd_apply,
    [P2P_KIND_act_fwd] = ocl_plan_act_fwd,
    [P2P_KIND_act_bwd] = ocl_plan_act_bwd,
    [P2P_KIND_dropout] = ocl_plan_dropout,
    [P2P_KIND_axpby] = ocl_plan_axpby,
    [P2P_KIND_bias_grad] = ocl_plan_bias_grad,
    [P2P_KIND_loss_bce] = ocl_plan_loss_bce,
    [P2P_KIND_loss_mse] = ocl_plan_loss_mse,
    [P2P_KIND_loss_l1] = ocl_plan_loss_l1,
    [P2P_KIND_adam] = ocl_plan_adam,
};

p2p_status ocl_plan_op(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    memset(plan, 0, sizeof *plan);
    if (!planners[op->kind])
        return target->host->fail(P2P_UNSUPPORTED, "opencl: %s: a communicator does this, not a device",
                                  p2p_kind_name(op->kind));
    if (op->math == P2P_MATH_tf32)
        return target->host->fail(P2P_UNSUPPORTED, "opencl: OpenCL C has no products in tf32");
    P2P_TRY(planners[op->kind](target, op, plan));
    if (plan->answer.kernel[0] == '\0') /* planners without choices set no name */
        snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "%s",
                 plan->launch_count == 1 ? plan->launch[0].kernel : p2p_kind_name(op->kind));
    return P2P_OK;
}
