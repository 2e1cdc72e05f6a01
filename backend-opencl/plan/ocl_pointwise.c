/* Planners of the element-wise kinds: kernels/plan/pointwise.cl on CPUs, kernels/plan/pointwise_gpu.cl
 * elsewhere; the kernels differ only in their traversal. Each is one launch without scratch memory. */
#include "ocl_pointwise.h"

#include "ocl_quads.h"

static ocl_launch *add_pointwise(const ocl_target *target, ocl_plan *plan, const ocl_view *view,
                                 const char *kernel) {
    if (!target->cpu) {
        ocl_launch *launch = ocl_launch_add_quads(target, plan, "pointwise_gpu.cl", kernel);
        ocl_walk_quads(target, launch, view, ocl_quad_shift(view), false);
        return launch;
    }
    ocl_launch *launch = ocl_launch_add(target, plan, "pointwise.cl", kernel);
    ocl_launch_grid(target, launch, view->chunks, view->blocks, view->images);
    ocl_arg_view(launch, view);
    return launch;
}

/* Plans a kind whose operands are all viewed; `output` is the last of them. */
static p2p_status plan_viewed(const ocl_target *target, const p2p_op *op, int output, const char *kernel,
                              ocl_plan *plan, ocl_launch **launch) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, 0, true, 0, &view));
    for (int i = 1; i <= output; i++) P2P_TRY(ocl_view_check(target, op, &view, i));
    *launch = add_pointwise(target, plan, &view, kernel);
    for (int i = 0; i <= output; i++) ocl_arg_viewed(*launch, op, &view, i);
    ocl_arg_int(*launch, p2p_op_accumulates(op, output));
    return P2P_OK;
}

p2p_status ocl_plan_act_fwd(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_launch *launch;
    P2P_TRY(plan_viewed(target, op, P2P_AT_act_fwd_y, "act_fwd", plan, &launch));
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    return P2P_OK;
}

p2p_status ocl_plan_act_bwd(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_launch *launch;
    P2P_TRY(plan_viewed(target, op, P2P_AT_act_bwd_dx, "act_bwd", plan, &launch));
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    return P2P_OK;
}

p2p_status ocl_plan_axpby(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const p2p_tensor *x = &op->t[P2P_AT_axpby_x], *y = &op->t[P2P_AT_axpby_y];
    ocl_launch *launch;
    /* A plain vector and an activation of one position have the same shape in different layouts. */
    if (p2p_tensor_same_shape(x, y) && x->layout == y->layout) {
        P2P_TRY(plan_viewed(target, op, P2P_AT_axpby_y, "axpby", plan, &launch));
    } else {
        ocl_view view;
        P2P_TRY(ocl_require_plain(target, op, P2P_AT_axpby_x));
        P2P_TRY(ocl_view_of(target, op, P2P_AT_axpby_y, false, 0, &view));
        launch = add_pointwise(target, plan, &view, "axpby_vector");
        ocl_arg_operand(launch, P2P_AT_axpby_x);
        ocl_arg_viewed(launch, op, &view, P2P_AT_axpby_y);
        ocl_arg_int(launch, p2p_op_accumulates(op, P2P_AT_axpby_y));
    }
    ocl_arg_float(launch, op->alpha);
    return P2P_OK;
}

p2p_status ocl_plan_vector_copy(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_launch *launch;
    P2P_TRY(plan_viewed(target, op, P2P_AT_copy_y, "axpby", plan, &launch));
    ocl_arg_float(launch, 1);
    return P2P_OK;
}

void ocl_arg_dropout(ocl_launch *launch, const p2p_op *op, const ocl_view *view) {
    ocl_arg_int(launch, (int32_t)(uint32_t)op->layer);
    ocl_arg_int(launch, (int32_t)(uint32_t)(op->dropout * 4294967296.0));
    ocl_arg_float(launch, 1 / (1 - op->dropout));
    ocl_arg_int(launch, view->width);
}

p2p_status ocl_plan_dropout(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, P2P_AT_dropout_x, false, 0, &view));
    P2P_TRY(ocl_view_check(target, op, &view, P2P_AT_dropout_y));
    ocl_launch *launch = add_pointwise(target, plan, &view, "dropout");
    ocl_arg_viewed(launch, op, &view, P2P_AT_dropout_x);
    ocl_arg_operand(launch, P2P_AT_dropout_step);
    ocl_arg_viewed(launch, op, &view, P2P_AT_dropout_y);
    ocl_arg_int(launch, p2p_op_accumulates(op, P2P_AT_dropout_y));
    ocl_arg_dropout(launch, op, &view);
    return P2P_OK;
}

p2p_status ocl_plan_prepare(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    p2p_tensor whole = p2p_tensor_whole(&op->t[P2P_AT_prepare_x]);
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, P2P_AT_prepare_y, false, 0, &view));
    ocl_launch *launch =
        add_pointwise(target, plan, &view, whole.type == P2P_TYPE_u16 ? "prepare_16" : "prepare");
    ocl_arg_activation(launch, op, P2P_AT_prepare_x);
    ocl_arg_int(launch, whole.c);
    ocl_arg_viewed(launch, op, &view, P2P_AT_prepare_y);
    ocl_arg_int(launch, p2p_op_accumulates(op, P2P_AT_prepare_y));
    ocl_arg_float(launch, op->alpha);
    ocl_arg_float(launch, op->offset);
    return P2P_OK;
}

p2p_status ocl_plan_adam(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    if (p2p_tensor_present(&op->t[P2P_AT_adam_copy]))
        return target->host->fail(P2P_UNSUPPORTED, "opencl: adam writes no copy in another type");
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, P2P_AT_adam_p, true, 0, &view));
    for (int i = P2P_AT_adam_g; i <= P2P_AT_adam_v; i++) P2P_TRY(ocl_view_check(target, op, &view, i));
    ocl_launch *launch = add_pointwise(target, plan, &view, "adam");
    for (int i = P2P_AT_adam_p; i <= P2P_AT_adam_step; i++) ocl_arg_operand(launch, i);
    ocl_arg_float(launch, op->beta1);
    ocl_arg_float(launch, 1 - op->beta1);
    ocl_arg_float(launch, op->beta2);
    ocl_arg_float(launch, 1 - op->beta2);
    ocl_arg_float(launch, op->eps);
    return P2P_OK;
}
