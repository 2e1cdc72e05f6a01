/* Planners of the reductions: kernels/plan/reduce.cl on CPUs, kernels/plan/reduce_gpu.cl elsewhere. Partial
 * sums go to scratch memory; on devices other than CPUs a small sum needs none and takes one launch. */
#include "ocl_reduce.h"

#include "ocl_quads.h"

/* Positions of all images and blocks up to which one work-group computes the whole loss. */
enum { WHOLE_LOSS = 4096 };

/* One vector of partial sums per row, block, chunk and image. */
void ocl_plan_partials(ocl_plan *plan, const ocl_view *view, int rows) {
    plan->answer.scratch_bytes =
        (size_t)(view->images * view->chunks * view->blocks * rows) * OCL_LANES * sizeof(float);
}

static ocl_launch *add_combine(const ocl_target *target, ocl_plan *plan, const ocl_view *view,
                               const ocl_combination *c) {
    const int64_t groups = view->images / c->images, count = c->images * view->chunks;
    if (!target->cpu) {
        const int shift = c->rows == 2 ? 2 : ocl_quad_shift(view);
        const int64_t items = ocl_sum_items(count, shift);
        ocl_launch *launch = ocl_launch_add_quads(target, plan, "reduce_gpu.cl", "combine_sums");
        ocl_launch_groups(target, launch, items, 1, view->blocks, 1);
        ocl_arg_summed(launch, view, shift, items);
        ocl_arg_scratch(launch, 0);
        ocl_arg_int(launch, c->rows);
        ocl_arg_int(launch, count);
        ocl_arg_int(launch, groups);
        return launch;
    }
    ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", "combine_sums");
    ocl_launch_grid(target, launch, view->blocks, 1, 1);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, c->rows);
    ocl_arg_int(launch, view->chunks);
    ocl_arg_int(launch, groups);
    ocl_arg_int(launch, c->images);
    ocl_arg_int(launch, view->valid);
    return launch;
}

void ocl_launch_combine(const ocl_target *target, ocl_plan *plan, const p2p_op *op, const ocl_view *view,
                        const ocl_combination *c) {
    ocl_launch *launch = add_combine(target, plan, view, c);
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

/* For devices other than CPUs: the launch over dy. With `whole` it is the only launch. */
static void add_bias_part(const ocl_target *target, const p2p_op *op, const ocl_view *view, bool whole,
                          ocl_plan *plan) {
    const int shift = ocl_quad_shift(view);
    const int64_t chunk = whole ? view->positions : view->chunk, chunks = whole ? 1 : view->chunks;
    const int64_t items = ocl_sum_items(ocl_min(chunk, view->positions), shift);
    ocl_launch *launch = ocl_launch_add_quads(target, plan, "reduce_gpu.cl", "bias_part");
    ocl_launch_groups(target, launch, items, chunks, view->blocks, whole ? 1 : view->images);
    ocl_arg_summed(launch, view, shift, items);
    ocl_arg_viewed(launch, op, view, P2P_AT_bias_grad_dy);
    ocl_arg_int(launch, whole ? view->images : 1);
    ocl_arg_int(launch, chunk);
    ocl_arg_int(launch, chunks);
    if (whole) {
        ocl_arg_operand(launch, P2P_AT_bias_grad_db); /* placeholder: no partial results are written */
        ocl_arg_optional(launch, op, P2P_AT_bias_grad_db, 0);
    } else {
        ocl_arg_scratch(launch, 0);
        ocl_arg_operand(launch, P2P_AT_bias_grad_db);
        ocl_arg_int(launch, 0);
    }
}

p2p_status ocl_plan_bias_grad(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, P2P_AT_bias_grad_dy, false, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_require_plain(target, op, P2P_AT_bias_grad_db));
    if (!target->cpu && ocl_sum_is_whole(&view, view.images)) {
        add_bias_part(target, op, &view, true, plan);
        return P2P_OK;
    }
    ocl_plan_partials(plan, &view, 1);
    if (!target->cpu) {
        add_bias_part(target, op, &view, false, plan);
    } else {
        ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", "bias_partial");
        ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
        ocl_arg_view(launch, &view);
        ocl_arg_viewed(launch, op, &view, P2P_AT_bias_grad_dy);
        ocl_arg_scratch(launch, 0);
        ocl_arg_int(launch, view.chunks);
    }
    const ocl_combination combination = {
        .rows = 1, .images = view.images, .sums = -1, .total0 = P2P_AT_bias_grad_db, .total1 = -1};
    ocl_launch_combine(target, plan, op, &view, &combination);
    return P2P_OK;
}

/* ---- Losses ---------------------------------------------------------------------------------------- */

/* Kernels and operands of a loss. */
typedef struct {
    const char *kernel, *gpu_kernel;
    int x, target, dx, loss; /* operands; target -1: one label for all, a field of the descriptor */
} loss_kind;

static void add_loss_total(const ocl_target *target, ocl_plan *plan, const p2p_op *op, const ocl_view *view,
                           int loss) {
    const int64_t count = view->images * view->chunks * view->blocks;
    ocl_launch *launch;
    if (target->cpu) {
        launch = ocl_launch_add(target, plan, "reduce.cl", "loss_total");
        ocl_launch_grid(target, launch, 1, 1, 1);
    } else {
        const int64_t items = ocl_sum_items(count, 0);
        launch = ocl_launch_add_quads(target, plan, "reduce_gpu.cl", "loss_total");
        ocl_launch_groups(target, launch, items, 1, 1, 1);
        ocl_arg_int(launch, items);
    }
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, (uint64_t)count);
    ocl_arg_operand(launch, loss);
    ocl_arg_int(launch, p2p_op_accumulates(op, loss));
    ocl_arg_float(launch, op->loss_scale);
}

static void arg_labels(ocl_launch *launch, const p2p_op *op, const ocl_view *view, const loss_kind *kind) {
    if (kind->target >= 0)
        ocl_arg_viewed(launch, op, view, kind->target);
    else
        ocl_arg_int(launch, op->target);
}

static void plan_loss_on_cpu(const ocl_target *target, const p2p_op *op, const ocl_view *view,
                             const loss_kind *kind, ocl_plan *plan) {
    ocl_plan_partials(plan, view, 1);
    ocl_launch *launch = ocl_launch_add(target, plan, "reduce.cl", kind->kernel);
    ocl_launch_grid(target, launch, view->chunks, view->blocks, view->images);
    ocl_arg_view(launch, view);
    ocl_arg_viewed(launch, op, view, kind->x);
    if (kind->target >= 0) arg_labels(launch, op, view, kind);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view->chunks);
    ocl_arg_viewed_optional(launch, op, view, kind->dx, kind->x);
    if (kind->target < 0) arg_labels(launch, op, view, kind);
    ocl_arg_float(launch, op->grad_scale);
    add_loss_total(target, plan, op, view, kind->loss);
}

static void plan_loss_elsewhere(const ocl_target *target, const p2p_op *op, const ocl_view *view,
                                const loss_kind *kind, ocl_plan *plan) {
    const int shift = ocl_quad_shift(view);
    const bool whole = view->images * view->blocks * view->positions <= WHOLE_LOSS;
    const int64_t chunk = whole ? view->positions : view->chunk, chunks = whole ? 1 : view->chunks;
    const int64_t items = ocl_sum_items(ocl_min(chunk, view->positions), shift);
    if (!whole)
        plan->answer.scratch_bytes = (size_t)(view->images * view->chunks * view->blocks) * sizeof(float);
    ocl_launch *launch = ocl_launch_add_quads(target, plan, "reduce_gpu.cl", kind->gpu_kernel);
    ocl_launch_groups(target, launch, items, chunks, whole ? 1 : view->blocks, whole ? 1 : view->images);
    ocl_arg_summed(launch, view, shift, items);
    ocl_arg_viewed(launch, op, view, kind->x);
    arg_labels(launch, op, view, kind);
    ocl_arg_int(launch, whole ? view->images : 1);
    ocl_arg_int(launch, whole ? view->blocks : 1);
    ocl_arg_int(launch, chunk);
    ocl_arg_int(launch, chunks);
    ocl_arg_int(launch, whole);
    if (whole)
        ocl_arg_operand(launch, kind->loss); /* placeholder: no partial results are written */
    else
        ocl_arg_scratch(launch, 0);
    ocl_arg_operand(launch, kind->loss);
    ocl_arg_int(launch, p2p_op_accumulates(op, kind->loss));
    ocl_arg_float(launch, op->loss_scale);
    ocl_arg_viewed_optional(launch, op, view, kind->dx, kind->x);
    ocl_arg_float(launch, op->grad_scale);
    if (!whole) add_loss_total(target, plan, op, view, kind->loss);
}

static p2p_status plan_loss(const ocl_target *target, const p2p_op *op, const loss_kind *kind,
                            ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, kind->x, false, OCL_REDUCE_CHUNK, &view));
    if (kind->target >= 0) P2P_TRY(ocl_view_check(target, op, &view, kind->target));
    P2P_TRY(ocl_view_check(target, op, &view, kind->dx));
    P2P_TRY(ocl_require_plain(target, op, kind->loss));
    (target->cpu ? plan_loss_on_cpu : plan_loss_elsewhere)(target, op, &view, kind, plan);
    return P2P_OK;
}

#define LOSS_KIND(name, labels)                                                                              \
    {                                                                                                        \
        .kernel = #name "_partial", .gpu_kernel = #name "_part", .x = P2P_AT_loss_##name##_x,                \
        .target = (labels), .dx = P2P_AT_loss_##name##_dx, .loss = P2P_AT_loss_##name##_loss                 \
    }

p2p_status ocl_plan_loss_bce(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return plan_loss(target, op, &(loss_kind)LOSS_KIND(bce, -1), plan);
}

p2p_status ocl_plan_loss_mse(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return plan_loss(target, op, &(loss_kind)LOSS_KIND(mse, -1), plan);
}

p2p_status ocl_plan_loss_l1(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return plan_loss(target, op, &(loss_kind)LOSS_KIND(l1, P2P_AT_loss_l1_target), plan);
}
