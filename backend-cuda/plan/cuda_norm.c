/* Planners of normalisations: kernels/norm_fwd.cu and kernels/norm_bwd.cu. */
#include "cuda_norm.h"

#include "cuda_slabs.h"

static int64_t groups_of(const p2p_op *op, const cuda_view *view) {
    return op->images ? view->images / op->images : 1;
}

/* The arguments AFFINE of norm.cuh. */
static void arg_affine(cuda_launch *launch, const p2p_op *op, int scale, int shift) {
    cuda_arg_float(launch, op->eps);
    cuda_arg_operand(launch, scale);
    cuda_arg_operand(launch, shift);
}

static void arg_acts(cuda_launch *launch, const p2p_op *op) {
    cuda_arg_int(launch, op->act);
    cuda_arg_float(launch, op->slope);
    cuda_arg_int(launch, op->act2);
    cuda_arg_float(launch, op->slope2);
}

/* Groups of images that one block has one after the other: all, if they update the same numbers. */
static int64_t in_order(const cuda_slabs *slabs, bool ordered) {
    return ordered ? slabs->groups : 1;
}

/* The launch of a kernel whose blocks have `each` whole groups. */
static cuda_launch *add_whole(cuda_plan *plan, const cuda_slabs *slabs, int64_t each, const char *source,
                              const char *kernel) {
    cuda_slabs whole = cuda_slabs_whole(slabs);
    whole.groups = slabs->groups / each;
    return cuda_launch_slabs(plan, &whole, source, kernel);
}

/* ---- Statistics ---------------------------------------------------------------------------------------- */

/* Appends the launch for the statistics of x. */
static void add_stats(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, int stats,
                      cuda_plan *plan) {
    enum { X = P2P_AT_norm_stats_x };
    _Static_assert((int)X == (int)P2P_AT_norm_apply_x, "both kinds begin with x");
    cuda_launch *launch = cuda_launch_slabs(plan, slabs, "norm_fwd", CUDA_VIEW_KERNEL(view, "norm_stats"));
    cuda_arg_view(launch, op, X);
    cuda_arg_merge(plan, launch, cuda_slabs_numbers(slabs, 2), slabs->groups * slabs->slabs);
    cuda_arg_operand(launch, stats);
}

p2p_status cuda_plan_norm_stats(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, P2P_AT_norm_stats_x, &view));
    P2P_TRY(cuda_require_plain(target, op, P2P_AT_norm_stats_stats));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    add_stats(op, &view, &slabs, P2P_AT_norm_stats_stats, plan);
    return P2P_OK;
}

/* ---- Forward ------------------------------------------------------------------------------------------- */

enum {
    X = P2P_AT_norm_apply_x,
    STATS = P2P_AT_norm_apply_stats,
    SCALE = P2P_AT_norm_apply_scale,
    SHIFT = P2P_AT_norm_apply_shift,
    RUNNING = P2P_AT_norm_apply_running,
    STEP = P2P_AT_norm_apply_step,
    Y = P2P_AT_norm_apply_y,
    Y2 = P2P_AT_norm_apply_y2
};

/* The arguments OUTPUTS of norm_fwd.cu. */
static void arg_outputs(cuda_launch *launch, const p2p_op *op) {
    cuda_arg_operand(launch, STATS);
    cuda_arg_operand(launch, RUNNING);
    cuda_arg_float(launch, op->momentum);
}

/* The arguments AFFINE and RESULTS of norm_fwd.cu. */
static void arg_results(cuda_launch *launch, const p2p_op *op, const cuda_view *view) {
    arg_affine(launch, op, SCALE, SHIFT);
    cuda_arg_dropout(launch, op, view, STEP);
    for (int i = Y; i <= Y2; i++) {
        cuda_arg_view(launch, op, i);
        cuda_arg_flags(launch, op, i);
    }
    arg_acts(launch, op);
}

static void add_whole_apply(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs,
                            cuda_plan *plan) {
    const int64_t each = in_order(slabs, p2p_tensor_present(&op->t[RUNNING]));
    cuda_launch *launch = add_whole(plan, slabs, each, "norm_fwd", CUDA_VIEW_KERNEL(view, "norm_whole"));
    cuda_arg_view(launch, op, X);
    cuda_arg_int(launch, each);
    arg_outputs(launch, op);
    arg_results(launch, op, view);
}

/* Appends the launch that normalises with finished statistics. */
static void add_apply(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, cuda_plan *plan) {
    const cuda_slabs walk = cuda_slabs_walk(slabs);
    cuda_launch *launch = cuda_launch_slabs(plan, &walk, "norm_fwd", CUDA_VIEW_KERNEL(view, "norm_apply"));
    cuda_arg_view(launch, op, X);
    cuda_arg_int(launch, op->use_running);
    cuda_arg_int(launch, slabs->groups);
    arg_outputs(launch, op);
    arg_results(launch, op, view);
}

p2p_status cuda_plan_norm_apply(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, X, &view));
    for (int i = Y; i <= Y2; i++) P2P_TRY(cuda_view_check(target, op, &view, i));
    for (int i = STATS; i <= RUNNING; i++) P2P_TRY(cuda_require_plain(target, op, i));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    if (op->merged && slabs.whole) {
        add_whole_apply(op, &view, &slabs, plan);
    } else {
        if (op->merged) add_stats(op, &view, &slabs, STATS, plan);
        add_apply(op, &view, &slabs, plan);
    }
    return P2P_OK;
}

/* ---- Backward ------------------------------------------------------------------------------------------ */

enum {
    DX = P2P_AT_norm_bwd_apply_dx,
    DSCALE = P2P_AT_norm_bwd_apply_dscale,
    DSHIFT = P2P_AT_norm_bwd_apply_dshift
};

static p2p_status bwd_view(const cuda_target *target, const p2p_op *op, cuda_view *view) {
    P2P_TRY(cuda_view_of(target, op, P2P_NORM_BWD_X, view));
    P2P_TRY(cuda_view_check(target, op, view, P2P_NORM_BWD_DY));
    P2P_TRY(cuda_view_check(target, op, view, P2P_NORM_BWD_DY2));
    for (int i = P2P_NORM_BWD_STATS; i <= P2P_NORM_BWD_SHIFT; i++) P2P_TRY(cuda_require_plain(target, op, i));
    return cuda_require_plain(target, op, P2P_NORM_BWD_SUMS);
}

/* The arguments GRADIENTS of norm_bwd.cu. */
static void arg_gradients(cuda_launch *launch, const p2p_op *op, const cuda_view *view) {
    cuda_arg_view(launch, op, P2P_NORM_BWD_X);
    cuda_arg_operand(launch, P2P_NORM_BWD_STATS);
    arg_affine(launch, op, P2P_NORM_BWD_SCALE, P2P_NORM_BWD_SHIFT);
    cuda_arg_dropout(launch, op, view, P2P_NORM_BWD_STEP);
    cuda_arg_view(launch, op, P2P_NORM_BWD_DY);
    cuda_arg_view(launch, op, P2P_NORM_BWD_DY2);
    cuda_arg_int(launch, p2p_tensor_present(&op->t[P2P_NORM_BWD_DY2]));
    arg_acts(launch, op);
}

/* The arguments BWD_OUTPUTS of norm_bwd.cu. */
static void arg_bwd_outputs(cuda_launch *launch, const p2p_op *op, int dscale, int dshift) {
    cuda_arg_operand(launch, P2P_NORM_BWD_SUMS);
    cuda_arg_operand(launch, dscale);
    cuda_arg_flags(launch, op, dscale);
    cuda_arg_operand(launch, dshift);
    cuda_arg_flags(launch, op, dshift);
}

/* Appends the launch for the sums of each group, and for their totals. */
static void add_bwd_stats(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, int dscale,
                          int dshift, cuda_plan *plan) {
    cuda_launch *launch =
        cuda_launch_slabs(plan, slabs, "norm_bwd", CUDA_VIEW_KERNEL(view, "norm_bwd_stats"));
    arg_gradients(launch, op, view);
    cuda_arg_merge(plan, launch, cuda_slabs_numbers(slabs, 2), (slabs->groups + 1) * slabs->slabs);
    cuda_arg_int(launch, slabs->groups);
    arg_bwd_outputs(launch, op, dscale, dshift);
}

p2p_status cuda_plan_norm_bwd_stats(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    enum { DSCALE_OUT = P2P_AT_norm_bwd_stats_dscale, DSHIFT_OUT = P2P_AT_norm_bwd_stats_dshift };
    cuda_view view;
    P2P_TRY(bwd_view(target, op, &view));
    P2P_TRY(cuda_require_plain(target, op, DSCALE_OUT));
    P2P_TRY(cuda_require_plain(target, op, DSHIFT_OUT));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    add_bwd_stats(op, &view, &slabs, DSCALE_OUT, DSHIFT_OUT, plan);
    return P2P_OK;
}

static void arg_dx(cuda_launch *launch, const p2p_op *op) {
    cuda_arg_view(launch, op, DX);
    cuda_arg_flags(launch, op, DX);
}

static void add_whole_bwd(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, cuda_plan *plan) {
    const bool ordered = p2p_tensor_present(&op->t[DSCALE]) || p2p_tensor_present(&op->t[DSHIFT]);
    const int64_t each = in_order(slabs, ordered);
    cuda_launch *launch = add_whole(plan, slabs, each, "norm_bwd", CUDA_VIEW_KERNEL(view, "norm_bwd_whole"));
    arg_gradients(launch, op, view);
    cuda_arg_int(launch, each);
    arg_bwd_outputs(launch, op, DSCALE, DSHIFT);
    arg_dx(launch, op);
}

/* Appends the launch that computes dx from finished sums. */
static void add_bwd_apply(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, cuda_plan *plan) {
    const cuda_slabs walk = cuda_slabs_walk(slabs);
    cuda_launch *launch =
        cuda_launch_slabs(plan, &walk, "norm_bwd", CUDA_VIEW_KERNEL(view, "norm_bwd_apply"));
    arg_gradients(launch, op, view);
    cuda_arg_operand(launch, P2P_NORM_BWD_SUMS);
    arg_dx(launch, op);
}

p2p_status cuda_plan_norm_bwd_apply(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(bwd_view(target, op, &view));
    P2P_TRY(cuda_view_check(target, op, &view, DX));
    for (int i = DSCALE; i <= DSHIFT; i++) P2P_TRY(cuda_require_plain(target, op, i));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    if (op->merged && slabs.whole) {
        add_whole_bwd(op, &view, &slabs, plan);
    } else {
        if (op->merged) add_bwd_stats(op, &view, &slabs, DSCALE, DSHIFT, plan);
        add_bwd_apply(op, &view, &slabs, plan);
    }
    return P2P_OK;
}
