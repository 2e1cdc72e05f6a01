/* Planners of normalisation: kernels/plan/norm.cl on CPUs, kernels/plan/norm_gpu.cl elsewhere.
 *
 * Merged kinds are the unmerged ones in sequence: partial sums, their combination, and a pass that applies
 * them. The passes read a block of x from cache if it fits. On devices other than CPUs, where a launch
 * costs more than the work of a small map, merged kinds take two launches or one.
 */
#include "ocl_norm.h"

#include "ocl_pointwise.h"
#include "ocl_quads.h"
#include "ocl_reduce.h"

static int64_t images_per_group(const p2p_op *op, const ocl_view *view) {
    return op->images ? op->images : view->images;
}

static int64_t groups_of(const p2p_op *op, const ocl_view *view) {
    return view->images / images_per_group(op, view);
}

/* ---- Devices other than CPUs ----------------------------------------------------------------------- */

enum { QUADS = 2 };       /* log2 of the quads per position: all of them, for any number of channels */
enum { MOST_PARTS = 64 }; /* partial results that every work-group merges redundantly */
enum { FEWEST_ITEMS = 64 };

/* Whether one launch computes both the statistics (or sums) of a group of images and the results that
 * depend on them. */
static bool is_whole(const ocl_target *target, const p2p_op *op, const ocl_view *view) {
    return !target->cpu && op->merged && ocl_sum_is_whole(view, images_per_group(op, view));
}

/* Whether the second of two launches merges the partial results; otherwise a launch of its own merges them.
 * The bits are the same. */
static bool merges_parts(const ocl_target *target, const p2p_op *op, const ocl_view *view) {
    return !target->cpu && op->merged && target->group_limit >= FEWEST_ITEMS &&
           images_per_group(op, view) * view->chunks <= MOST_PARTS;
}

/* A launch of `images` x blocks x `chunks` work-groups, each with `terms` positions to sum, and its leading
 * arguments: SUMMED, or, without `channels`, SUMMED less the channels. */
static ocl_launch *add_groups(const ocl_target *target, ocl_plan *plan, const ocl_view *view,
                              const char *kernel, int64_t terms, int64_t chunks, int64_t images,
                              bool channels) {
    const int64_t items = ocl_sum_items(terms, QUADS);
    ocl_launch *launch = ocl_launch_add_quads(target, plan, "norm_gpu.cl", kernel);
    ocl_launch_groups(target, launch, items, chunks, view->blocks, images);
    if (channels) {
        ocl_arg_summed(launch, view, QUADS, items);
    } else { /* GRADIENTS contains the channels */
        ocl_arg_int(launch, view->positions);
        ocl_arg_int(launch, QUADS);
        ocl_arg_int(launch, items);
    }
    return launch;
}

static ocl_launch *add_walk(const ocl_target *target, ocl_plan *plan, const ocl_view *view,
                            const char *kernel, bool alone) {
    ocl_launch *launch = ocl_launch_add_quads(target, plan, "norm_gpu.cl", kernel);
    ocl_walk_quads(target, launch, view, QUADS, alone);
    return launch;
}

static int64_t leaves_of_parts(const p2p_op *op, const ocl_view *view) {
    return ocl_sum_items(images_per_group(op, view) * view->chunks, QUADS);
}

/* The arguments PARTS of norm_gpu.cl. */
static void arg_parts(ocl_launch *launch, const p2p_op *op, const ocl_view *view) {
    ocl_arg_int(launch, images_per_group(op, view));
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view->chunk);
    ocl_arg_int(launch, view->chunks);
}

/* The arguments OUTPUTS of norm_gpu.cl, which norm_combine of norm.cl has too; `running` is -1 for none. */
static void arg_outputs(ocl_launch *launch, const p2p_op *op, int stats, int running) {
    ocl_arg_operand(launch, stats);
    if (running >= 0) {
        ocl_arg_optional(launch, op, running, stats);
    } else {
        ocl_arg_operand(launch, stats);
        ocl_arg_int(launch, 0);
    }
    ocl_arg_float(launch, op->momentum);
}

/* ---- Forward --------------------------------------------------------------------------------------- */

/* The launch for partial statistics of x. */
static void add_stats_parts(const ocl_target *target, const p2p_op *op, const ocl_view *view, int x,
                            ocl_plan *plan) {
    ocl_plan_partials(plan, view, 2);
    ocl_launch *launch;
    if (target->cpu) {
        launch = ocl_launch_add(target, plan, "norm.cl", "norm_partial");
        ocl_launch_grid(target, launch, view->chunks, view->blocks, view->images);
        ocl_arg_view(launch, view);
    } else {
        launch = add_groups(target, plan, view, "norm_part", ocl_min(view->chunk, view->positions),
                            view->chunks, view->images, true);
    }
    ocl_arg_viewed(launch, op, view, x);
    ocl_arg_scratch(launch, 0);
    if (!target->cpu) ocl_arg_int(launch, view->chunk);
    ocl_arg_int(launch, view->chunks);
}

/* Launches for the statistics of x into operand `stats`. Running statistics are updated if present. */
static p2p_status add_stats(const ocl_target *target, const p2p_op *op, int x, int stats, int running,
                            ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, x, false, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_require_plain(target, op, stats));
    add_stats_parts(target, op, &view, x, plan);
    if (!target->cpu) {
        ocl_launch *launch = add_groups(target, plan, &view, "norm_combine",
                                        images_per_group(op, &view) * view.chunks, 1, 1, true);
        arg_parts(launch, op, &view);
        ocl_arg_int(launch, groups_of(op, &view));
        arg_outputs(launch, op, stats, running);
        return P2P_OK;
    }
    ocl_launch *launch = ocl_launch_add(target, plan, "norm.cl", "norm_combine");
    ocl_launch_grid(target, launch, view.blocks, 1, 1);
    ocl_arg_scratch(launch, 0);
    arg_outputs(launch, op, stats, running);
    ocl_arg_int(launch, view.positions);
    ocl_arg_int(launch, view.chunk);
    ocl_arg_int(launch, view.chunks);
    ocl_arg_int(launch, groups_of(op, &view));
    ocl_arg_int(launch, images_per_group(op, &view));
    ocl_arg_int(launch, view.valid);
    return P2P_OK;
}

/* A launch that updates the running statistics from finished statistics. */
static void add_running(const ocl_target *target, const p2p_op *op, const ocl_view *view, ocl_plan *plan) {
    ocl_launch *launch = ocl_launch_add(target, plan, "norm.cl", "norm_running");
    ocl_launch_grid(target, launch, view->blocks, 1, 1);
    ocl_arg_operand(launch, P2P_AT_norm_apply_stats);
    ocl_arg_operand(launch, P2P_AT_norm_apply_running);
    ocl_arg_float(launch, op->momentum);
    ocl_arg_int(launch, groups_of(op, view));
    ocl_arg_int(launch, view->valid);
}

p2p_status ocl_plan_norm_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return add_stats(target, op, P2P_AT_norm_stats_x, P2P_AT_norm_stats_stats, -1, plan);
}

/* The arguments AFFINE of norm_gpu.cl, which are also the last of SOURCES of norm.cl; `substitute` stands
 * in for absent operands. */
static void arg_affine(ocl_launch *launch, const p2p_op *op, int scale, int shift, int substitute) {
    ocl_arg_float(launch, op->eps);
    const bool affine = p2p_tensor_present(&op->t[scale]);
    ocl_arg_int(launch, affine);
    ocl_arg_operand(launch, affine ? scale : substitute);
    ocl_arg_operand(launch, affine ? shift : substitute);
}

/* The arguments SOURCES of norm.cl, or SOURCES and AFFINE of norm_gpu.cl. */
static void arg_sources(ocl_launch *launch, const p2p_op *op, const ocl_view *view, int statistics,
                        bool from_running, int scale, int shift) {
    ocl_arg_operand(launch, statistics);
    ocl_arg_int(launch, from_running);
    ocl_arg_int(launch, images_per_group(op, view));
    ocl_arg_int(launch, view->valid);
    arg_affine(launch, op, scale, shift, statistics);
}

/* `step` (or `substitute` if absent) and the arguments DROPOUT. */
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

enum {
    X = P2P_AT_norm_apply_x,
    STATS = P2P_AT_norm_apply_stats,
    RUNNING = P2P_AT_norm_apply_running,
    Y = P2P_AT_norm_apply_y,
    Y2 = P2P_AT_norm_apply_y2
};

/* The arguments RESULTS of norm_gpu.cl, which are also the last of norm_apply of norm.cl. */
static void arg_results(ocl_launch *launch, const p2p_op *op, const ocl_view *view) {
    arg_mask(launch, op, view, P2P_AT_norm_apply_step, X);
    ocl_arg_viewed_optional(launch, op, view, Y, X);
    ocl_arg_viewed_optional(launch, op, view, Y2, Y);
    arg_acts(launch, op);
}

/* Groups of images that one work-group handles in sequence: all of them if they update the same result. */
static int64_t groups_in_order(const p2p_op *op, const ocl_view *view, bool ordered) {
    return ordered ? groups_of(op, view) : 1;
}

/* The only launch for small maps: statistics and results. */
static void add_whole_apply(const ocl_target *target, const p2p_op *op, const ocl_view *view,
                            ocl_plan *plan) {
    const int64_t each = groups_in_order(op, view, p2p_tensor_present(&op->t[RUNNING]));
    ocl_launch *launch =
        add_groups(target, plan, view, "norm_whole", view->positions, 1, groups_of(op, view) / each, true);
    ocl_arg_viewed(launch, op, view, X);
    ocl_arg_int(launch, images_per_group(op, view));
    ocl_arg_int(launch, each);
    arg_outputs(launch, op, STATS, RUNNING);
    arg_affine(launch, op, P2P_AT_norm_apply_scale, P2P_AT_norm_apply_shift, STATS);
    arg_results(launch, op, view);
}

/* The second of two launches: merges partial statistics and normalises. */
static void add_apply_parts(const ocl_target *target, const p2p_op *op, const ocl_view *view,
                            ocl_plan *plan) {
    ocl_launch *launch = add_walk(target, plan, view, "norm_apply_parts", true);
    ocl_arg_viewed(launch, op, view, X);
    ocl_arg_int(launch, view->valid);
    ocl_arg_int(launch, leaves_of_parts(op, view));
    arg_parts(launch, op, view);
    ocl_arg_int(launch, groups_of(op, view));
    arg_outputs(launch, op, STATS, RUNNING);
    arg_affine(launch, op, P2P_AT_norm_apply_scale, P2P_AT_norm_apply_shift, STATS);
    arg_results(launch, op, view);
}

/* The launch that normalises with finished statistics. `moves`: it also updates the running statistics. */
static void add_apply(const ocl_target *target, const p2p_op *op, const ocl_view *view, bool moves,
                      ocl_plan *plan) {
    const int statistics = op->use_running ? RUNNING : STATS;
    ocl_launch *launch;
    if (target->cpu) {
        if (moves) add_running(target, op, view, plan);
        launch = ocl_launch_add(target, plan, "norm.cl", "norm_apply");
        ocl_launch_grid(target, launch, view->chunks, view->blocks, view->images);
        ocl_arg_view(launch, view);
    } else {
        launch = add_walk(target, plan, view, "norm_apply", false);
    }
    ocl_arg_viewed(launch, op, view, X);
    arg_sources(launch, op, view, statistics, op->use_running, P2P_AT_norm_apply_scale,
                P2P_AT_norm_apply_shift);
    if (!target->cpu) {
        ocl_arg_int(launch, groups_of(op, view));
        ocl_arg_operand(launch, moves ? RUNNING : statistics);
        ocl_arg_int(launch, moves);
        ocl_arg_float(launch, op->momentum);
    }
    arg_results(launch, op, view);
}

p2p_status ocl_plan_norm_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_view view, sums;
    P2P_TRY(ocl_view_of(target, op, X, false, 0, &view));
    P2P_TRY(ocl_view_of(target, op, X, false, OCL_REDUCE_CHUNK, &sums));
    P2P_TRY(ocl_view_check(target, op, &view, Y));
    P2P_TRY(ocl_view_check(target, op, &view, Y2));
    for (int i = STATS; i <= RUNNING; i++) P2P_TRY(ocl_require_plain(target, op, i));
    if (is_whole(target, op, &sums)) {
        add_whole_apply(target, op, &sums, plan);
    } else if (merges_parts(target, op, &sums)) {
        add_stats_parts(target, op, &sums, X, plan);
        add_apply_parts(target, op, &sums, plan);
    } else {
        if (op->merged) P2P_TRY(add_stats(target, op, X, STATS, RUNNING, plan));
        add_apply(target, op, &view, !op->merged && !op->use_running && p2p_tensor_present(&op->t[RUNNING]),
                  plan);
    }
    return P2P_OK;
}

/* ---- Backward -------------------------------------------------------------------------------------- */

static p2p_status bwd_view(const ocl_target *target, const p2p_op *op, int64_t chunk, ocl_view *view) {
    P2P_TRY(ocl_view_of(target, op, P2P_NORM_BWD_X, false, chunk, view));
    P2P_TRY(ocl_view_check(target, op, view, P2P_NORM_BWD_DY));
    P2P_TRY(ocl_view_check(target, op, view, P2P_NORM_BWD_DY2));
    for (int i = P2P_NORM_BWD_STATS; i <= P2P_NORM_BWD_SHIFT; i++) P2P_TRY(ocl_require_plain(target, op, i));
    return ocl_require_plain(target, op, P2P_NORM_BWD_SUMS);
}

/* The arguments GRADIENTS of norm_gpu.cl; those of norm.cl begin with VIEW. */
static void arg_gradients(ocl_launch *launch, const p2p_op *op, const ocl_view *view) {
    ocl_arg_viewed(launch, op, view, P2P_NORM_BWD_X);
    arg_sources(launch, op, view, P2P_NORM_BWD_STATS, false, P2P_NORM_BWD_SCALE, P2P_NORM_BWD_SHIFT);
    arg_mask(launch, op, view, P2P_NORM_BWD_STEP, P2P_NORM_BWD_X);
    ocl_arg_viewed(launch, op, view, P2P_NORM_BWD_DY);
    ocl_arg_viewed_optional(launch, op, view, P2P_NORM_BWD_DY2, P2P_NORM_BWD_DY);
    arg_acts(launch, op);
}

/* The launch for partial sums. */
static void add_bwd_parts(const ocl_target *target, const p2p_op *op, const ocl_view *view, ocl_plan *plan) {
    ocl_plan_partials(plan, view, 2);
    ocl_launch *launch;
    if (target->cpu) {
        launch = ocl_launch_add(target, plan, "norm.cl", "norm_bwd_partial");
        ocl_launch_grid(target, launch, view->chunks, view->blocks, view->images);
        ocl_arg_view(launch, view);
    } else {
        launch = add_groups(target, plan, view, "norm_bwd_part", ocl_min(view->chunk, view->positions),
                            view->chunks, view->images, false);
    }
    arg_gradients(launch, op, view);
    ocl_arg_scratch(launch, 0);
    if (!target->cpu) ocl_arg_int(launch, view->chunk);
    ocl_arg_int(launch, view->chunks);
}

/* Launches for the sums of each group and for their totals in dscale and dshift, if present. */
static p2p_status add_bwd_sums(const ocl_target *target, const p2p_op *op, int dscale, int dshift,
                               ocl_plan *plan) {
    ocl_view view;
    P2P_TRY(bwd_view(target, op, OCL_REDUCE_CHUNK, &view));
    P2P_TRY(ocl_require_plain(target, op, dscale));
    P2P_TRY(ocl_require_plain(target, op, dshift));
    add_bwd_parts(target, op, &view, plan);
    const ocl_combination combination = {.rows = 2,
                                         .images = images_per_group(op, &view),
                                         .sums = P2P_NORM_BWD_SUMS,
                                         .total0 = dshift,
                                         .total1 = dscale};
    ocl_launch_combine(target, plan, op, &view, &combination);
    return P2P_OK;
}

p2p_status ocl_plan_norm_bwd_stats(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    return add_bwd_sums(target, op, P2P_AT_norm_bwd_stats_dscale, P2P_AT_norm_bwd_stats_dshift, plan);
}

enum {
    DX = P2P_AT_norm_bwd_apply_dx,
    DSCALE = P2P_AT_norm_bwd_apply_dscale,
    DSHIFT = P2P_AT_norm_bwd_apply_dshift
};

/* The arguments BWD_OUTPUTS of norm_gpu.cl, and dx. */
static void arg_bwd_outputs(ocl_launch *launch, const p2p_op *op, const ocl_view *view) {
    ocl_arg_operand(launch, P2P_NORM_BWD_SUMS);
    ocl_arg_optional(launch, op, DSCALE, P2P_NORM_BWD_SUMS);
    ocl_arg_optional(launch, op, DSHIFT, P2P_NORM_BWD_SUMS);
    ocl_arg_viewed(launch, op, view, DX);
    ocl_arg_int(launch, p2p_op_accumulates(op, DX));
}

/* The only launch for small maps: sums and gradients. */
static void add_whole_bwd(const ocl_target *target, const p2p_op *op, const ocl_view *view, ocl_plan *plan) {
    const int64_t each =
        groups_in_order(op, view, p2p_tensor_present(&op->t[DSCALE]) || p2p_tensor_present(&op->t[DSHIFT]));
    ocl_launch *launch = add_groups(target, plan, view, "norm_bwd_whole", view->positions, 1,
                                    groups_of(op, view) / each, false);
    arg_gradients(launch, op, view);
    ocl_arg_int(launch, each);
    arg_bwd_outputs(launch, op, view);
}

/* The second of two launches: merges partial sums and computes dx. */
static void add_bwd_apply_parts(const ocl_target *target, const p2p_op *op, const ocl_view *view,
                                ocl_plan *plan) {
    ocl_launch *launch = add_walk(target, plan, view, "norm_bwd_apply_parts", true);
    arg_gradients(launch, op, view);
    ocl_arg_int(launch, leaves_of_parts(op, view));
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, view->chunks);
    ocl_arg_int(launch, groups_of(op, view));
    arg_bwd_outputs(launch, op, view);
}

/* The launch that computes dx from finished sums. */
static void add_bwd_apply(const ocl_target *target, const p2p_op *op, const ocl_view *view, ocl_plan *plan) {
    ocl_launch *launch;
    if (target->cpu) {
        launch = ocl_launch_add(target, plan, "norm.cl", "norm_bwd_apply");
        ocl_launch_grid(target, launch, view->chunks, view->blocks, view->images);
        ocl_arg_view(launch, view);
    } else {
        launch = add_walk(target, plan, view, "norm_bwd_apply", false);
    }
    arg_gradients(launch, op, view);
    ocl_arg_operand(launch, P2P_NORM_BWD_SUMS);
    ocl_arg_viewed(launch, op, view, DX);
    ocl_arg_int(launch, p2p_op_accumulates(op, DX));
}

p2p_status ocl_plan_norm_bwd_apply(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    ocl_view view, sums;
    P2P_TRY(bwd_view(target, op, 0, &view));
    P2P_TRY(bwd_view(target, op, OCL_REDUCE_CHUNK, &sums));
    P2P_TRY(ocl_view_check(target, op, &view, DX));
    if (op->merged) {
        P2P_TRY(ocl_require_plain(target, op, DSCALE));
        P2P_TRY(ocl_require_plain(target, op, DSHIFT));
    }
    if (is_whole(target, op, &sums)) {
        add_whole_bwd(target, op, &sums, plan);
    } else if (merges_parts(target, op, &sums)) {
        add_bwd_parts(target, op, &sums, plan);
        add_bwd_apply_parts(target, op, &sums, plan);
    } else {
        if (op->merged) P2P_TRY(add_bwd_sums(target, op, DSCALE, DSHIFT, plan));
        add_bwd_apply(target, op, &view, plan);
    }
    return P2P_OK;
}
