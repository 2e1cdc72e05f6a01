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

/* Appends the launch for the moments of parts. Returns where they are in scratch memory. */
static uint64_t add_parts(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, cuda_plan *plan) {
    enum { X = P2P_AT_norm_stats_x, NUMBERS = 2 };
    _Static_assert((int)X == (int)P2P_AT_norm_apply_x, "both kinds begin with x");
    const uint64_t partial = cuda_scratch(plan, cuda_slabs_bytes(slabs, NUMBERS));
    cuda_launch *launch = cuda_launch_slabs(plan, slabs, "norm_fwd", CUDA_VIEW_KERNEL(view, "norm_part"));
    cuda_arg_view(launch, op, X);
    cuda_arg_scratch(launch, partial);
    return partial;
}

/* The arguments OUTPUTS of norm_fwd.cu; -1 for no running statistics. */
static void arg_outputs(cuda_launch *launch, const p2p_op *op, int stats, int running) {
    cuda_arg_operand(launch, stats);
    cuda_arg_operand(launch, running);
    cuda_arg_float(launch, op->momentum);
}

/* Appends the launches for the statistics of x. */
static void add_stats(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, int stats,
                      int running, cuda_plan *plan) {
    enum { LANES = 4 }; /* partial results are float in any case */
    const uint64_t partial = add_parts(op, view, slabs, plan);
    cuda_launch *launch = cuda_launch_items(plan, "norm_fwd", "norm_combine", slabs->slabs * CUDA_THREADS);
    cuda_arg_int(launch, slabs->span);
    cuda_arg_int(launch, slabs->channels);
    cuda_arg_int(launch, slabs->shift + (slabs->lanes > LANES));
    cuda_arg_int(launch, slabs->slabs);
    cuda_arg_int(launch, slabs->groups);
    cuda_arg_scratch(launch, partial);
    cuda_arg_int(launch, slabs->part);
    cuda_arg_int(launch, slabs->parts);
    arg_outputs(launch, op, stats, running);
}

p2p_status cuda_plan_norm_stats(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, P2P_AT_norm_stats_x, &view));
    P2P_TRY(cuda_require_plain(target, op, P2P_AT_norm_stats_stats));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    add_stats(op, &view, &slabs, P2P_AT_norm_stats_stats, -1, plan);
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

/* Where mean and variance come from, as in norm_fwd.cu. */
typedef enum { FROM_STATS, FROM_RUNNING, FROM_PARTS } source;

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
    arg_outputs(launch, op, STATS, RUNNING);
    arg_results(launch, op, view);
}

/* The launch that normalises. `running` is updated, or read with FROM_RUNNING; `partial` is for FROM_PARTS.
 */
static void add_apply(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, source from,
                      int running, uint64_t partial, cuda_plan *plan) {
    const cuda_slabs walk = cuda_slabs_walk(slabs);
    cuda_launch *launch = cuda_launch_slabs(plan, &walk, "norm_fwd", CUDA_VIEW_KERNEL(view, "norm_apply"));
    cuda_arg_view(launch, op, X);
    cuda_arg_int(launch, from);
    if (from == FROM_PARTS)
        cuda_arg_scratch(launch, partial);
    else
        cuda_arg_operand(launch, -1);
    cuda_arg_int(launch, slabs->part);
    cuda_arg_int(launch, slabs->parts);
    cuda_arg_int(launch, slabs->groups);
    arg_outputs(launch, op, STATS, running);
    arg_results(launch, op, view);
}

p2p_status cuda_plan_norm_apply(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, X, &view));
    for (int i = Y; i <= Y2; i++) P2P_TRY(cuda_view_check(target, op, &view, i));
    for (int i = STATS; i <= RUNNING; i++) P2P_TRY(cuda_require_plain(target, op, i));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    if (!op->merged) {
        add_apply(op, &view, &slabs, op->use_running ? FROM_RUNNING : FROM_STATS, RUNNING, 0, plan);
    } else if (slabs.whole) {
        add_whole_apply(op, &view, &slabs, plan);
    } else if (cuda_slabs_few(&slabs)) {
        const uint64_t partial = add_parts(op, &view, &slabs, plan);
        add_apply(op, &view, &slabs, FROM_PARTS, RUNNING, partial, plan);
    } else {
        add_stats(op, &view, &slabs, STATS, RUNNING, plan);
        add_apply(op, &view, &slabs, FROM_STATS, -1, 0, plan);
    }
    return P2P_OK;
}

/* ---- Backward ------------------------------------------------------------------------------------------ */

/* norm_bwd_stats and norm_bwd_apply begin with the same operands. */
_Static_assert((int)P2P_AT_norm_bwd_stats_step == (int)P2P_AT_norm_bwd_apply_step &&
                   (int)P2P_AT_norm_bwd_stats_sums == (int)P2P_AT_norm_bwd_apply_sums &&
                   (int)P2P_AT_norm_bwd_stats_dy2 == (int)P2P_AT_norm_bwd_apply_dy2,
               "the backward kinds share their operands");

enum {
    BWD_X = P2P_AT_norm_bwd_stats_x,
    BWD_STATS = P2P_AT_norm_bwd_stats_stats,
    BWD_SCALE = P2P_AT_norm_bwd_stats_scale,
    BWD_SHIFT = P2P_AT_norm_bwd_stats_shift,
    BWD_DY = P2P_AT_norm_bwd_stats_dy,
    BWD_DY2 = P2P_AT_norm_bwd_stats_dy2,
    BWD_STEP = P2P_AT_norm_bwd_stats_step,
    BWD_SUMS = P2P_AT_norm_bwd_stats_sums,
    DX = P2P_AT_norm_bwd_apply_dx,
    DSCALE = P2P_AT_norm_bwd_apply_dscale,
    DSHIFT = P2P_AT_norm_bwd_apply_dshift
};

static p2p_status bwd_view(const cuda_target *target, const p2p_op *op, cuda_view *view) {
    P2P_TRY(cuda_view_of(target, op, BWD_X, view));
    P2P_TRY(cuda_view_check(target, op, view, BWD_DY));
    P2P_TRY(cuda_view_check(target, op, view, BWD_DY2));
    for (int i = BWD_STATS; i <= BWD_SHIFT; i++) P2P_TRY(cuda_require_plain(target, op, i));
    return cuda_require_plain(target, op, BWD_SUMS);
}

/* The arguments GRADIENTS of norm_bwd.cu. */
static void arg_gradients(cuda_launch *launch, const p2p_op *op, const cuda_view *view) {
    cuda_arg_view(launch, op, BWD_X);
    cuda_arg_operand(launch, BWD_STATS);
    arg_affine(launch, op, BWD_SCALE, BWD_SHIFT);
    cuda_arg_dropout(launch, op, view, BWD_STEP);
    cuda_arg_view(launch, op, BWD_DY);
    cuda_arg_view(launch, op, BWD_DY2);
    cuda_arg_int(launch, p2p_tensor_present(&op->t[BWD_DY2]));
    arg_acts(launch, op);
}

/* Appends the launch for the sums of parts. Returns where they are in scratch memory. */
static uint64_t add_bwd_parts(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs,
                              cuda_plan *plan) {
    const uint64_t partial = cuda_scratch(plan, cuda_slabs_bytes(slabs, 2));
    cuda_launch *launch = cuda_launch_slabs(plan, slabs, "norm_bwd", CUDA_VIEW_KERNEL(view, "norm_bwd_part"));
    arg_gradients(launch, op, view);
    cuda_arg_scratch(launch, partial);
    return partial;
}

/* Appends the launches for the sums of each group, and for their totals. */
static void add_bwd_sums(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, int dscale,
                         int dshift, cuda_plan *plan) {
    const cuda_combination c = {.partial = add_bwd_parts(op, view, slabs, plan),
                                .numbers = 2,
                                .sums = BWD_SUMS,
                                .total0 = dshift,
                                .total1 = dscale};
    cuda_launch_combine(plan, op, slabs, &c);
}

p2p_status cuda_plan_norm_bwd_stats(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    enum { DSCALE_OUT = P2P_AT_norm_bwd_stats_dscale, DSHIFT_OUT = P2P_AT_norm_bwd_stats_dshift };
    cuda_view view;
    P2P_TRY(bwd_view(target, op, &view));
    P2P_TRY(cuda_require_plain(target, op, DSCALE_OUT));
    P2P_TRY(cuda_require_plain(target, op, DSHIFT_OUT));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    add_bwd_sums(op, &view, &slabs, DSCALE_OUT, DSHIFT_OUT, plan);
    return P2P_OK;
}

/* The arguments BWD_OUTPUTS of norm_bwd.cu, and dx. Without `totals`, dscale and dshift are not written. */
static void arg_bwd_outputs(cuda_launch *launch, const p2p_op *op, bool totals) {
    cuda_arg_operand(launch, BWD_SUMS);
    for (int i = DSCALE; i <= DSHIFT; i++) {
        cuda_arg_operand(launch, totals ? i : -1);
        cuda_arg_flags(launch, op, i);
    }
    cuda_arg_view(launch, op, DX);
    cuda_arg_flags(launch, op, DX);
}

static void add_whole_bwd(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, cuda_plan *plan) {
    const bool ordered = p2p_tensor_present(&op->t[DSCALE]) || p2p_tensor_present(&op->t[DSHIFT]);
    const int64_t each = in_order(slabs, ordered);
    cuda_launch *launch = add_whole(plan, slabs, each, "norm_bwd", CUDA_VIEW_KERNEL(view, "norm_bwd_whole"));
    arg_gradients(launch, op, view);
    cuda_arg_int(launch, each);
    arg_bwd_outputs(launch, op, true);
}

/* The launch that computes dx from finished sums, or, with `parts`, from partial results, which it also
 * merges to the sums and totals. */
static void add_bwd_apply(const p2p_op *op, const cuda_view *view, const cuda_slabs *slabs, bool parts,
                          uint64_t partial, cuda_plan *plan) {
    const cuda_slabs walk = cuda_slabs_walk(slabs);
    cuda_launch *launch =
        cuda_launch_slabs(plan, &walk, "norm_bwd", CUDA_VIEW_KERNEL(view, "norm_bwd_apply"));
    arg_gradients(launch, op, view);
    if (parts)
        cuda_arg_scratch(launch, partial);
    else
        cuda_arg_operand(launch, -1);
    cuda_arg_int(launch, parts ? slabs->parts : 0);
    cuda_arg_int(launch, slabs->groups);
    arg_bwd_outputs(launch, op, parts);
}

p2p_status cuda_plan_norm_bwd_apply(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(bwd_view(target, op, &view));
    P2P_TRY(cuda_view_check(target, op, &view, DX));
    for (int i = DSCALE; i <= DSHIFT; i++) P2P_TRY(cuda_require_plain(target, op, i));
    const cuda_slabs slabs = cuda_slabs_of(&view, groups_of(op, &view));
    if (op->merged && slabs.whole) {
        add_whole_bwd(op, &view, &slabs, plan);
    } else if (op->merged && cuda_slabs_few(&slabs)) {
        const uint64_t partial = add_bwd_parts(op, &view, &slabs, plan);
        add_bwd_apply(op, &view, &slabs, true, partial, plan);
    } else {
        if (op->merged) add_bwd_sums(op, &view, &slabs, DSCALE, DSHIFT, plan);
        add_bwd_apply(op, &view, &slabs, false, 0, plan);
    }
    return P2P_OK;
}
