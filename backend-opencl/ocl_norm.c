/* Planners of normalisation: kernels/norm.cl.
 *
 * Merged kinds are the unmerged ones one after the other: partial sums, their combination, and a pass that
 * applies them. The three launches read a block of x from cache where it fits.
 */
#include "ocl_plan.h"

static int64_t images_per_group(const p2p_op *op, const ocl_view *view) {
    return op->images ? op->images : view->images;
}

/* ---- Forward ------------------------------------------------------------------------------------------ */

/* Statistics of x into operand `stats`; running statistics move where they are present. */
static p2p_status add_stats(const ocl_target *target, const p2p_op *op, int x, int stats, int running,
                            ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, x, false, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_want_plain(target, op, stats));
    ocl_plan_partials(plan, &view, 2);
    ocl_launch *launch = ocl_launch_add(target, plan, "norm.cl", "norm_partial");
    ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
    ocl_arg_view(launch, &view);
    ocl_arg_viewed(launch, op, &view, x);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view.chunks);

    launch = ocl_launch_add(target, plan, "norm.cl", "norm_combine");
    ocl_launch_grid(target, launch, view.blocks, 1, 1);
    ocl_arg_scratch(launch, 0);
    ocl_arg_operand(launch, stats);
    if (running >= 0) {
        ocl_arg_optional(launch, op, running, stats);
    } else {
        ocl_arg_operand(launch, stats);
        ocl_arg_int(launch, 0);
    }
    ocl_arg_float(launch, op->momentum);
    ocl_arg_int(launch, view.positions);
    ocl_arg_int(launch, view.chunk);
    ocl_arg_int(launch, view.chunks);
    ocl_arg_int(launch, view.images / images_per_group(op, &view));
    ocl_arg_int(launch, images_per_group(op, &view));
    ocl_arg_int(launch, view.valid);
    return P2P_OK;
}

/* Running statistics move by finished ones. */
static void add_running(const ocl_target *target, const p2p_op *op, const ocl_view *view, ocl_plan *plan) {
    ocl_launch *launch = ocl_launch_add(target, plan, "norm.cl", "norm_running");
    ocl_launch_grid(target, launch, view->blocks, 1, 1);
    ocl_arg_operand(launch, P2P_AT_norm_apply_stats);
    ocl_arg_operand(launch, P2P_AT_norm_apply_running);
    ocl_arg_float(launch, op->momentum);
    ocl_arg_int(launch, view->images / images_per_group(op, view));
    ocl_arg_int(launch, view->valid);
}

p2p_status ocl_plan_norm_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return add_stats(target, op, P2P_AT_norm_stats_x, P2P_AT_norm_stats_stats, -1, plan);
}

/* SOURCES of norm.cl. */
static void arg_sources(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int statistics,
                        bool from_running, int scale, int shift) {
    ocl_arg_operand(launch, statistics);
    ocl_arg_int(launch, from_running);
    ocl_arg_int(launch, images_per_group(op, view));
    ocl_arg_int(launch, view->valid);
    ocl_arg_float(launch, op->eps);
    const bool affine = p2p_tensor_present(&op->t[scale]);
    ocl_arg_int(launch, affine);
    ocl_arg_operand(launch, affine ? scale : statistics); /* absent: anything in their place */
    ocl_arg_operand(launch, affine ? shift : statistics);
}

/* `step`, or anything in its place, and DROPOUT. */
static void arg_mask(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int step, int substitute) {
    ocl_arg_operand(launch, p2p_tensor_present(&op->t[step]) ? step : substitute);
    ocl_arg_dropout(launch, op, view);
}

static void arg_acts(ocl_launch *launch, const p2p_op *op) {
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    ocl_arg_int(launch, op->act2);
    ocl_arg_float(launch, op->slope2);
}

p2p_status ocl_plan_norm_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    enum { X = P2P_AT_norm_apply_x, Y = P2P_AT_norm_apply_y, Y2 = P2P_AT_norm_apply_y2 };
    const int statistics = op->use_running ? P2P_AT_norm_apply_running : P2P_AT_norm_apply_stats;
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, X, false, 0, &view));
    P2P_TRY(ocl_view_check(target, op, &view, Y));
    P2P_TRY(ocl_view_check(target, op, &view, Y2));
    for (int i = P2P_AT_norm_apply_stats; i <= P2P_AT_norm_apply_running; i++)
        P2P_TRY(ocl_want_plain(target, op, i));
    if (op->merged)
        P2P_TRY(add_stats(target, op, X, P2P_AT_norm_apply_stats, P2P_AT_norm_apply_running, plan));
    else if (!op->use_running && p2p_tensor_present(&op->t[P2P_AT_norm_apply_running]))
        add_running(target, op, &view, plan);

    ocl_launch *launch = ocl_launch_add(target, plan, "norm.cl", "norm_apply");
    ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
    ocl_arg_view(launch, &view);
    ocl_arg_viewed(launch, op, &view, X);
    arg_sources(launch, op, &view, statistics, op->use_running, P2P_AT_norm_apply_scale,
                P2P_AT_norm_apply_shift);
    arg_mask(launch, op, &view, P2P_AT_norm_apply_step, X);
    ocl_arg_viewed_optional(launch, op, &view, Y, X);
    ocl_arg_viewed_optional(launch, op, &view, Y2, Y);
    arg_acts(launch, op);
    return P2P_OK;
}

/* ---- Backward ----------------------------------------------------------------------------------------- */

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
    BWD_SUMS = P2P_AT_norm_bwd_stats_sums
};

static p2p_status bwd_view(const ocl_target *target, const p2p_op *op, int64_t chunk, ocl_view *view) {
    P2P_TRY(ocl_view_of(target, op, BWD_X, false, chunk, view));
    P2P_TRY(ocl_view_check(target, op, view, BWD_DY));
    P2P_TRY(ocl_view_check(target, op, view, BWD_DY2));
    for (int i = BWD_STATS; i <= BWD_SHIFT; i++) P2P_TRY(ocl_want_plain(target, op, i));
    return ocl_want_plain(target, op, BWD_SUMS);
}

/* GRADIENTS of norm.cl. */
static void arg_gradients(ocl_launch *launch, const p2p_op *op, const ocl_view *view) {
    ocl_arg_view(launch, view);
    ocl_arg_viewed(launch, op, view, BWD_X);
    arg_sources(launch, op, view, BWD_STATS, false, BWD_SCALE, BWD_SHIFT);
    arg_mask(launch, op, view, BWD_STEP, BWD_X);
    ocl_arg_viewed(launch, op, view, BWD_DY);
    ocl_arg_viewed_optional(launch, op, view, BWD_DY2, BWD_DY);
    arg_acts(launch, op);
}

/* The sums of each group, and their totals in dscale and dshift where these are present. */
static p2p_status add_bwd_sums(const ocl_target *target, const p2p_op *op, int dscale, int dshift,
                               ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(bwd_view(target, op, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_want_plain(target, op, dscale));
    P2P_TRY(ocl_want_plain(target, op, dshift));
    ocl_plan_partials(plan, &view, 2);
    ocl_launch *launch = ocl_launch_add(target, plan, "norm.cl", "norm_bwd_partial");
    ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
    arg_gradients(launch, op, &view);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view.chunks);
    const ocl_combination combination = {.rows = 2,
                                         .images = images_per_group(op, &view),
                                         .sums = BWD_SUMS,
                                         .total0 = dshift,
                                         .total1 = dscale};
    ocl_launch_combine(target, plan, op, &view, &combination);
    return P2P_OK;
}

p2p_status ocl_plan_norm_bwd_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return add_bwd_sums(target, op, P2P_AT_norm_bwd_stats_dscale, P2P_AT_norm_bwd_stats_dshift, plan);
}

p2p_status ocl_plan_norm_bwd_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(bwd_view(target, op, 0, &view));
    P2P_TRY(ocl_view_check(target, op, &view, P2P_AT_norm_bwd_apply_dx));
    if (op->merged)
        P2P_TRY(add_bwd_sums(target, op, P2P_AT_norm_bwd_apply_dscale, P2P_AT_norm_bwd_apply_dshift, plan));
    ocl_launch *launch = ocl_launch_add(target, plan, "norm.cl", "norm_bwd_apply");
    ocl_launch_grid(target, launch, view.chunks, view.blocks, view.images);
    arg_gradients(launch, op, &view);
    ocl_arg_operand(launch, BWD_SUMS);
    ocl_arg_viewed(launch, op, &view, P2P_AT_norm_bwd_apply_dx);
    ocl_arg_int(launch, ocl_accumulates(op, P2P_AT_norm_bwd_apply_dx));
    return P2P_OK;
}
