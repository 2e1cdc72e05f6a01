/* Planners of the kinds that are sums: kernels/reduce.cl. Partial sums go to scratch memory. */
#include "ocl_plan.h"

/* Reserve one vector of partial sums per row, block, chunk and image. */
void ocl_plan_partials(ocl_plan *plan, const ocl_view *view, int rows) {
    plan->answer.scratch_bytes =
        (size_t)(view->images * view->chunks * view->blocks * rows) * OCL_LANES * sizeof(float);
}

void ocl_launch_combine(const ocl_target *target, ocl_plan *plan, const p2p_op *op, const ocl_view *view,
                        const ocl_combination *c) {
    ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", "combine_sums");
    ocl_launch_grid(target, launch, view->blocks, 1, 1);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, c->rows);
    ocl_arg_int(launch, view->chunks);
    ocl_arg_int(launch, view->images / c->images);
    ocl_arg_int(launch, c->images);
    ocl_arg_int(launch, view->valid);
    const int outputs[] = {c->sums, c->total0, c->total1};
    for (int i = 0; i < 3; i++) {
        if (outputs[i] >= 0) {
            ocl_arg_optional(launch, op, outputs[i], 0);
        } else {
            ocl_arg_operand(launch, 0);
            ocl_arg_int(launch, 0);
        }
    }
}

p2p_status ocl_plan_bias_grad(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, P2P_AT_bias_grad_dy, false, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_want_plain(target, op, P2P_AT_bias_grad_db));
    ocl_plan_partials(plan, &view, 1);
    ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", "bias_partial");
    ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
    ocl_arg_view(launch, &view);
    ocl_arg_viewed(launch, op, &view, P2P_AT_bias_grad_dy);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view.chunks);
    const ocl_combination combination = {
        .rows = 1, .images = view.images, .sums = -1, .total0 = P2P_AT_bias_grad_db, .total1 = -1};
    ocl_launch_combine(target, plan, op, &view, &combination);
    return P2P_OK;
}

static void add_loss_total(const ocl_target *target, ocl_plan *plan, const p2p_op *op, const ocl_view *view,
                           int loss) {
    ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", "loss_total");
    ocl_launch_grid(target, launch, 1, 1, 1);
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, (uint64_t)(view->images * view->chunks * view->blocks));
    ocl_arg_operand(launch, loss);
    ocl_arg_int(launch, ocl_accumulates(op, loss));
    ocl_arg_float(launch, op->loss_scale);
}

/* loss_bce and loss_mse have the same operands and fields, and so have their kernels. */
static p2p_status plan_label_loss(const ocl_target *target, const p2p_op *op, const char *kernel,
                                  ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, P2P_AT_loss_bce_x, false, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_view_check(target, op, &view, P2P_AT_loss_bce_dx));
    P2P_TRY(ocl_want_plain(target, op, P2P_AT_loss_bce_loss));
    ocl_plan_partials(plan, &view, 1);
    ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", kernel);
    ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
    ocl_arg_view(launch, &view);
    ocl_arg_viewed(launch, op, &view, P2P_AT_loss_bce_x);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view.chunks);
    ocl_arg_viewed_optional(launch, op, &view, P2P_AT_loss_bce_dx, P2P_AT_loss_bce_x);
    ocl_arg_int(launch, op->target);
    ocl_arg_float(launch, op->grad_scale);
    add_loss_total(target, plan, op, &view, P2P_AT_loss_bce_loss);
    return P2P_OK;
}

p2p_status ocl_plan_loss_bce(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return plan_label_loss(target, op, "bce_partial", plan);
}

p2p_status ocl_plan_loss_mse(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return plan_label_loss(target, op, "mse_partial", plan);
}

p2p_status ocl_plan_loss_l1(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, P2P_AT_loss_l1_x, false, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_view_check(target, op, &view, P2P_AT_loss_l1_target));
    P2P_TRY(ocl_view_check(target, op, &view, P2P_AT_loss_l1_dx));
    P2P_TRY(ocl_want_plain(target, op, P2P_AT_loss_l1_loss));
    ocl_plan_partials(plan, &view, 1);
    ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", "l1_partial");
    ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
    ocl_arg_view(launch, &view);
    ocl_arg_viewed(launch, op, &view, P2P_AT_loss_l1_x);
    ocl_arg_viewed(launch, op, &view, P2P_AT_loss_l1_target);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view.chunks);
    ocl_arg_viewed_optional(launch, op, &view, P2P_AT_loss_l1_dx, P2P_AT_loss_l1_x);
    ocl_arg_float(launch, op->grad_scale);
    add_loss_total(target, plan, op, &view, P2P_AT_loss_l1_loss);
    return P2P_OK;
}
