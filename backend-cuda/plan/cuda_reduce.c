/* Planners of bias gradients and losses: kernels/reduce.cu. */
#include "cuda_reduce.h"

#include "cuda_slabs.h"

p2p_status cuda_plan_bias_grad(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    enum { DY = P2P_AT_bias_grad_dy, DB = P2P_AT_bias_grad_db };
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, DY, &view));
    P2P_TRY(cuda_require_plain(target, op, DB));
    cuda_slabs slabs = cuda_slabs_of(&view, 1);
    if (slabs.whole) slabs = cuda_slabs_whole(&slabs);
    cuda_launch *launch = cuda_launch_slabs(plan, &slabs, "reduce", CUDA_VIEW_KERNEL(&view, "bias_grad"));
    cuda_arg_view(launch, op, DY);
    cuda_arg_merge(plan, launch, slabs.whole ? 0 : cuda_slabs_numbers(&slabs, 1), slabs.slabs);
    cuda_arg_operand(launch, DB);
    cuda_arg_flags(launch, op, DB);
    return P2P_OK;
}

/* ---- Losses -------------------------------------------------------------------------------------------- */

enum {
    LEAST_PACKS = 16 * CUDA_THREADS, /* of a block */
    MOST_SUMS = 4096                 /* that one block adds */
};

/* Operands of a loss; `target` is -1 if one label holds for all elements. */
typedef struct {
    const char *f32, *bf16;
    int x, target, loss, dx;
} loss_kind;

static p2p_status plan_loss(const cuda_target *target, const p2p_op *op, const loss_kind *kind,
                            cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, kind->x, &view));
    if (kind->target >= 0) P2P_TRY(cuda_view_check(target, op, &view, kind->target));
    P2P_TRY(cuda_view_check(target, op, &view, kind->dx));
    P2P_TRY(cuda_require_plain(target, op, kind->loss));
    const int64_t items = view.positions * view.packs;
    const int64_t chunk = cuda_max(LEAST_PACKS, p2p_divide_up(items, MOST_SUMS));
    const int64_t blocks = p2p_divide_up(items, chunk);
    cuda_launch *launch =
        cuda_launch_walk(plan, &view, "reduce", cuda_view_kernel(&view, kind->f32, kind->bf16));
    launch->grid[0] = (unsigned)blocks;
    cuda_arg_int(launch, chunk);
    cuda_arg_view(launch, op, kind->x);
    cuda_arg_view(launch, op, kind->target >= 0 ? kind->target : kind->x);
    cuda_arg_float(launch, (double)op->target);
    cuda_arg_merge(plan, launch, blocks == 1 ? 0 : blocks, 1);
    cuda_arg_operand(launch, kind->loss);
    cuda_arg_flags(launch, op, kind->loss);
    cuda_arg_float(launch, op->loss_scale);
    cuda_arg_view(launch, op, kind->dx);
    cuda_arg_flags(launch, op, kind->dx);
    cuda_arg_float(launch, op->grad_scale);
    return P2P_OK;
}

#define LOSS_KIND(name, labels)                                                                              \
    {                                                                                                        \
        .f32 = "loss_" #name "_f32", .bf16 = "loss_" #name "_bf16", .x = P2P_AT_loss_##name##_x,             \
        .target = (labels), .loss = P2P_AT_loss_##name##_loss, .dx = P2P_AT_loss_##name##_dx                 \
    }

p2p_status cuda_plan_loss_bce(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    return plan_loss(target, op, &(loss_kind)LOSS_KIND(bce, -1), plan);
}

p2p_status cuda_plan_loss_mse(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    return plan_loss(target, op, &(loss_kind)LOSS_KIND(mse, -1), plan);
}

p2p_status cuda_plan_loss_l1(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    return plan_loss(target, op, &(loss_kind)LOSS_KIND(l1, P2P_AT_loss_l1_target), plan);
}
