/* Plans Winograd convolutions for CPU devices: kernels/winograd_input.cl and winograd_products.cl, and for
 * filter gradients winograd_filter.cl.
 *
 * F(OUTPUTS, TAPS) of winograd.clh: TAPS are those of one phase of the stride. Passes over the rows of tiles
 * transform the input, then multiply, each so small that what one launch writes is still in a cache when the
 * next reads it. The filter is transformed piece by piece where it is multiplied, and never stored: no
 * derived filter is asked for. A filter gradient's passes add up, so its bits depend on their number, which
 * follows from the shape; nothing else depends on these choices.
 */
#include "ocl_conv_winograd.h"

#include "ocl_conv_cpu.h"

#include <stdio.h>

enum {
    TAPS = 4,       /* of a filter, in each direction */
    MAX_STRIDE = 2, /* which divides TAPS */
    VECTOR_BYTES = OCL_LANES * sizeof(float),
    PASS_BYTES = 16 << 20,       /* of a pass's inputs and sums; each pass transforms the filter */
    SUMS_BYTES = 600 << 10,      /* of a work-item's sums, */
    CHUNK_BYTES = 160 << 10,     /* and of the filters that it transforms at a time */
    MOST_PASSES = 256,           /* of an operation: each has kernels of its own */
    GRADIENT_BYTES = 900 << 10,  /* of what a work-item of a filter gradient goes through */
    UNIT_ITEMS = 4,              /* work-items of the products for each thread, where tiles allow */
    MAX_SCRATCH_FLOATS = 1 << 28 /* whatever the shape */
};

/* A part of the scratch memory: an array for each point. */
typedef struct {
    uint64_t at;       /* floats from the start */
    uint64_t distance; /* from one point's array to the next, in floats */
} point_arrays;

/* A convolution in the terms of the kernels; for a filter gradient dst is dy. */
typedef struct {
    int src, filter, bias, dst; /* positions in p2p_op.t[] */
    bool flip, turn;
    int64_t step_in, step_out, outputs, taps;
    int64_t src_h, src_w; /* the pixel of src under the first position */
    int64_t dst_h, dst_w; /* the pixel of dst at the first position of phase 0 */
    int64_t tiles_h, tiles_w;
    int64_t row_blocks, vectors; /* input rows / 16, output vectors */
    int64_t vecs, groups, tile;
    int64_t rows, tiles;        /* of a pass: rows of tiles, and tiles rounded up */
    int64_t tiles_each, shares; /* of a work-item of the products, and how many shares of a pass that makes */
    int64_t chunk;              /* blocks of 16 input rows whose filters are transformed at a time */
    point_arrays inputs, gradients;
    uint64_t sums;   /* of the products: floats from the start of scratch memory */
    uint64_t floats; /* of scratch memory */
} winograd_shape;

/* ---- What is supported -------------------------------------------------------------------------------- */

/* The filter's position in p2p_op.t[]. */
static int filter_of(const p2p_op *op) {
    return op->kind == P2P_KIND_conv_bwd_filter ? P2P_AT_conv_bwd_filter_dw
           : op->kind == P2P_KIND_conv_bwd_data ? P2P_AT_conv_bwd_data_w
                                                : P2P_AT_conv_fwd_w;
}

static bool has_taps(const p2p_op *op) {
    const p2p_tensor *w = &op->t[filter_of(op)];
    return w->h == TAPS && w->w == TAPS && ocl_stride(op) <= MAX_STRIDE;
}

static p2p_status check_filter(const ocl_target *target, const p2p_op *op) {
    const p2p_tensor *w = &op->t[filter_of(op)];
    P2P_TRY(ocl_conv_check_filter(target, op, filter_of(op), op->kind != P2P_KIND_conv_bwd_filter));
    if (has_taps(op)) return P2P_OK;
    return ocl_refuse(target, op, "%lld x %lld taps with stride %lld; Winograd takes 4 x 4 with 1 or 2",
                      (long long)w->h, (long long)w->w, (long long)ocl_stride(op));
}

/* ---- Shape -------------------------------------------------------------------------------------------- */

static winograd_shape roles_of(const p2p_op *op) {
    switch (op->kind) {
    case P2P_KIND_conv_bwd_data:
        return (winograd_shape){.src = P2P_AT_conv_bwd_data_dy,
                                .bias = P2P_AT_conv_bwd_data_bias,
                                .dst = P2P_AT_conv_bwd_data_dx};
    case P2P_KIND_conv_bwd_filter:
        return (winograd_shape){
            .src = P2P_AT_conv_bwd_filter_x, .bias = -1, .dst = P2P_AT_conv_bwd_filter_dy};
    default:
        return (winograd_shape){
            .src = P2P_AT_conv_fwd_x, .bias = P2P_AT_conv_fwd_bias, .dst = P2P_AT_conv_fwd_y};
    }
}

static winograd_shape shape_of(const p2p_op *op) {
    const bool flip = op->kind == P2P_KIND_conv_bwd_data;
    const int64_t stride = ocl_stride(op);
    winograd_shape s = roles_of(op);
    s.filter = filter_of(op);
    s.flip = flip;
    s.step_in = flip ? 1 : stride;
    s.step_out = flip ? stride : 1;
    s.taps = TAPS / stride;
    s.src_h = -op->pad_top;
    s.src_w = -op->pad_left;
    const p2p_tensor *src = &op->t[s.src], *dst = &op->t[s.dst];
    s.turn = (op->t[s.filter].layout == P2P_LAYOUT_ckrs) == flip;
    int64_t positions_h = dst->h, positions_w = dst->w;
    if (flip) {
        /* Counted from the corner of the padded image, position i of every phase sees the rows i - (taps - 1)
         * to i of dy. Positions that lie in the padding altogether are left out. */
        const int64_t skipped_h = op->pad_top / stride, skipped_w = op->pad_left / stride;
        positions_h = (dst->h - 1 + op->pad_top) / stride + 1 - skipped_h;
        positions_w = (dst->w - 1 + op->pad_left) / stride + 1 - skipped_w;
        s.dst_h = skipped_h * stride - op->pad_top;
        s.dst_w = skipped_w * stride - op->pad_left;
        s.src_h = skipped_h - (s.taps - 1);
        s.src_w = skipped_w - (s.taps - 1);
    }
    s.outputs = stride == 1 || flip ? 3 : 4;
    s.tiles_h = ocl_divide_up(positions_h, s.outputs);
    s.tiles_w = ocl_divide_up(positions_w, s.outputs);
    s.row_blocks = ocl_blocks(src->c) * s.step_in * s.step_in;
    s.vectors = ocl_blocks(dst->c) * s.step_out * s.step_out;
    return s;
}

static int64_t points(const winograd_shape *s) {
    return (s->outputs + s->taps - 1) * (s->outputs + s->taps - 1);
}

/* ---- Tiles and passes --------------------------------------------------------------------------------- */

/* Sums of 16 floats that stay in registers beside the operands: of 32 registers of that width, else of 16
 * narrower ones. */
static int64_t accumulators(const ocl_target *target) {
    return target->vector_width >= 16 ? 24 : target->vector_width >= 8 ? 6 : 3;
}

/* The tiles of a register tile for `tiles` of them: time goes with multiplications or with loads, whichever
 * are more, and some twelve sums must be on their way. */
static int64_t choose_tile(const ocl_target *target, int64_t tiles, int64_t vecs) {
    int64_t best = 1, least = INT64_MAX;
    for (int64_t tile = accumulators(target) / vecs; tile >= 1; tile--) {
        const int64_t cost = ocl_divide_up(tiles, tile) * ocl_max(ocl_max(tile * vecs, tile + vecs), 12);
        if (cost >= least) continue;
        least = cost;
        best = tile;
    }
    return best;
}

static point_arrays reserve(winograd_shape *s, int64_t floats) {
    /* A line between arrays, so that those of all points don't meet in the same sets of a cache. */
    const point_arrays arrays = {s->floats, (uint64_t)(floats + OCL_LANES)};
    s->floats += arrays.distance * (uint64_t)points(s);
    return arrays;
}

/* Divides the rows of tiles into equal passes of about `bytes` of arrays, `tile_bytes` for each tile. */
static void divide_rows(const ocl_target *target, const p2p_op *op, winograd_shape *s, int64_t bytes,
                        int64_t tile_bytes) {
    const int64_t rows = op->t[s->dst].n * s->tiles_h;
    s->vecs = s->vectors > 1 && accumulators(target) >= 6 ? 2 : 1;
    s->groups = ocl_divide_up(s->vectors, s->vecs);
    s->rows = ocl_max(ocl_divide_up(rows, MOST_PASSES), bytes / (tile_bytes * s->tiles_w));
    s->rows = ocl_min(s->rows, rows);
    s->rows = ocl_divide_up(rows, ocl_divide_up(rows, s->rows));
}

static p2p_status set_scratch(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                              const winograd_shape *s) {
    if (s->floats > MAX_SCRATCH_FLOATS) return ocl_refuse(target, op, "more than 1 GiB of scratch memory");
    plan->answer.scratch_bytes = (size_t)s->floats * sizeof(float);
    return P2P_OK;
}

/* All launches from `body` on are repeated for every pass. */
static void finish(const p2p_op *op, ocl_plan *plan, const winograd_shape *s, int body) {
    plan->body_first = body;
    plan->body_count = plan->launch_count - body;
    plan->repeats = (int)ocl_divide_up(op->t[s->dst].n * s->tiles_h, s->rows);
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "winograd F(%d,%d) %dx%d in %d",
             (int)s->outputs, (int)s->taps, (int)s->tile, (int)s->vecs, plan->repeats);
}

/* The tiles of a forward convolution or data gradient, the chunks of its filter, and the scratch memory. */
static void lay_out(const ocl_target *target, winograd_shape *s) {
    const int64_t all = s->rows * s->tiles_w, sum_bytes = points(s) * s->vecs * VECTOR_BYTES;
    s->tile = choose_tile(target, all, s->vecs);
    s->tiles = ocl_divide_up(all, s->tile) * s->tile;
    int64_t shares = ocl_divide_up(s->tiles * sum_bytes, SUMS_BYTES);
    while (shares * s->groups < UNIT_ITEMS * target->compute_units && shares * s->tile < s->tiles) shares++;
    s->tiles_each = ocl_divide_up(ocl_divide_up(s->tiles, shares), s->tile) * s->tile;
    s->shares = ocl_divide_up(s->tiles, s->tiles_each);
    s->chunk = 1;
    while (2 * s->chunk <= s->row_blocks && 2 * s->chunk * OCL_LANES * sum_bytes <= CHUNK_BYTES)
        s->chunk *= 2;
    s->inputs = reserve(s, s->row_blocks * s->tiles * OCL_LANES);
    s->sums = s->floats;
    s->floats += (uint64_t)(s->groups * s->shares * points(s) * (s->tiles_each * s->vecs + 1) * OCL_LANES);
}

/* ---- Launches ----------------------------------------------------------------------------------------- */

static void arg_arrays(ocl_launch *launch, const point_arrays *arrays) {
    ocl_arg_scratch(launch, arrays->at);
    ocl_arg_ulong(launch, arrays->distance);
}

static ocl_launch *add_transform(const ocl_target *target, ocl_plan *plan, const winograd_shape *s,
                                 const char *source, const char *kernel, int64_t x, int64_t y) {
    ocl_launch *launch = ocl_conv_launch_add(target, plan, "winograd.clh", kernel, x, y, 1);
    launch->source[3] = source;
    ocl_launch_option(launch, "OUTPUTS=%d", (int)s->outputs);
    ocl_launch_option(launch, "TAPS=%d", (int)s->taps);
    ocl_launch_option(launch, "STEP_IN=%d", (int)s->step_in);
    ocl_launch_option(launch, "STEP_OUT=%d", (int)s->step_out);
    return launch;
}

/* What the input's transform doesn't depend on. */
static void option_outputs(ocl_launch *launch, const winograd_shape *s) {
    ocl_launch_option(launch, "VECS=%d", (int)s->vecs);
    if (s->flip) ocl_launch_option(launch, "FLIP");
    if (s->turn) ocl_launch_option(launch, "TURN");
}

/* Images, rows and columns of tiles, and the pass's first row. */
static void arg_rows(ocl_launch *launch, const p2p_op *op, const winograd_shape *s) {
    ocl_arg_int(launch, op->t[s->dst].n);
    ocl_arg_int(launch, s->tiles_h);
    ocl_arg_int(launch, s->tiles_w);
    ocl_arg_repeat(launch, s->rows);
}

static void add_input(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const winograd_shape *s) {
    ocl_launch *launch = add_transform(target, plan, s, "winograd_input.cl", "winograd_input", s->rows,
                                       ocl_blocks(op->t[s->src].c));
    ocl_conv_arg_activation(launch, op, s->src);
    arg_arrays(launch, &s->inputs);
    ocl_arg_int(launch, s->tiles);
    ocl_arg_int(launch, s->src_h);
    ocl_arg_int(launch, s->src_w);
    arg_rows(launch, op, s);
}

static void add_products(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                         const winograd_shape *s) {
    ocl_launch *launch =
        add_transform(target, plan, s, "winograd_products.cl", "winograd_products", s->shares, s->groups);
    option_outputs(launch, s);
    ocl_launch_option(launch, "TILE=%d", (int)s->tile);
    ocl_launch_option(launch, "CHUNK=%d", (int)s->chunk);
    arg_arrays(launch, &s->inputs);
    ocl_arg_operand(launch, s->filter);
    ocl_arg_scratch(launch, s->sums);
    ocl_arg_int(launch, s->row_blocks);
    ocl_arg_int(launch, ocl_blocks(op->t[s->dst].c));
    ocl_arg_int(launch, s->tiles);
    ocl_arg_int(launch, s->tiles_each);
    ocl_arg_optional(launch, op, s->bias, s->filter);
    ocl_conv_arg_activation(launch, op, s->dst);
    ocl_arg_int(launch, s->dst_h);
    ocl_arg_int(launch, s->dst_w);
    arg_rows(launch, op, s);
    ocl_arg_int(launch, s->rows);
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    ocl_arg_int(launch, ocl_accumulates(op, s->dst));
}

static p2p_status plan_forward(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    winograd_shape s = shape_of(op);
    divide_rows(target, op, &s, PASS_BYTES, points(&s) * (s.row_blocks + s.vectors) * VECTOR_BYTES);
    lay_out(target, &s);
    P2P_TRY(set_scratch(target, op, plan, &s));
    add_input(target, op, plan, &s);
    add_products(target, op, plan, &s);
    finish(op, plan, &s, 0);
    return P2P_OK;
}

/* ---- Filter gradient ---------------------------------------------------------------------------------- */

static void add_gradient(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                         const winograd_shape *s) {
    ocl_launch *launch =
        add_transform(target, plan, s, "winograd_filter.cl", "winograd_gradient", s->rows, s->groups);
    option_outputs(launch, s);
    ocl_launch_option(launch, "ROWS=%d", (int)s->tile);
    ocl_conv_arg_activation(launch, op, s->dst);
    arg_arrays(launch, &s->gradients);
    ocl_arg_int(launch, s->tiles);
    arg_rows(launch, op, s);
}

static void add_filter_sums(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                            const winograd_shape *s) {
    ocl_launch *launch = add_transform(target, plan, s, "winograd_filter.cl", "winograd_filter_sums",
                                       s->row_blocks, s->groups);
    option_outputs(launch, s);
    ocl_launch_option(launch, "ROWS=%d", (int)s->tile);
    arg_arrays(launch, &s->inputs);
    arg_arrays(launch, &s->gradients);
    ocl_arg_int(launch, s->tiles);
    ocl_arg_operand(launch, s->filter);
    ocl_arg_int(launch, s->vectors);
    ocl_arg_int(launch, ocl_accumulates(op, s->filter));
    ocl_arg_repeat(launch, 1);
    arg_rows(launch, op, s);
}

static p2p_status plan_filter_gradient(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    winograd_shape s = shape_of(op);
    divide_rows(target, op, &s, GRADIENT_BYTES, points(&s) * 3 * VECTOR_BYTES);
    s.tiles = s.rows * s.tiles_w;
    s.inputs = reserve(&s, s.row_blocks * s.tiles * OCL_LANES);
    s.gradients = reserve(&s, s.groups * s.tiles * s.vecs * OCL_LANES);
    s.tile = OCL_LANES;
    while (s.tile > 1 && s.tile * s.vecs > ocl_min(16, accumulators(target))) s.tile /= 2;
    P2P_TRY(set_scratch(target, op, plan, &s));
    add_input(target, op, plan, &s);
    add_gradient(target, op, plan, &s);
    add_filter_sums(target, op, plan, &s);
    finish(op, plan, &s, 0);
    return P2P_OK;
}

/* ---- Planning ----------------------------------------------------------------------------------------- */

p2p_status ocl_plan_conv_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const winograd_shape roles = roles_of(op);
    P2P_TRY(ocl_conv_check_activation(target, op, roles.src));
    P2P_TRY(ocl_conv_check_activation(target, op, roles.dst));
    P2P_TRY(check_filter(target, op));
    if (op->kind == P2P_KIND_conv_bwd_filter) return plan_filter_gradient(target, op, plan);
    P2P_TRY(ocl_want_plain(target, op, roles.bias));
    return plan_forward(target, op, plan);
}

/* ---- Choice ------------------------------------------------------------------------------------------- */

/* Cycles that a vector of 16 floats takes: one that a transform writes and the products read streams through
 * the outer caches; one of a transformed filter, and the sums of filter gradients, stay in the inner ones.
 * Measured on a Zen 5, where both kinds of convolution multiply at 93 % of the peak, two vectors in a cycle.
 */
enum {
    STREAMED_COST = 22,
    FILTER_COST = 6,
    TURNED_COST = 9, /* of a filter that is transposed first */
    SUMS_COST = 6,
    MARGIN_PERCENT = 110,
    LEAST_CHANNELS = 16, /* direct convolutions have forms for fewer */
    LEAST_EXTENT = 8     /* of maps, see is_small */
};

/* On a map of a few pixels gradients are exactly zero, where a tap meets nothing but padding or a
 * normalisation leaves nothing, or almost. Direct sums keep that; Winograd makes it the rounding error of its
 * neighbours, and Adam divides by its size. */
static bool is_small(const p2p_tensor *t) {
    return t->h < LEAST_EXTENT || t->w < LEAST_EXTENT;
}

bool ocl_conv_winograd_pays(const ocl_target *target, const p2p_op *op) {
    if (!has_taps(op)) return false;
    const winograd_shape s = shape_of(op);
    if (op->t[s.src].c < LEAST_CHANNELS || op->t[s.dst].c < LEAST_CHANNELS) return false;
    if (is_small(&op->t[s.src]) || is_small(&op->t[s.dst])) return false;
    const bool gradient = op->kind == P2P_KIND_conv_bwd_filter;
    const double multiply_cost = target->vector_width >= 16 ? 0.54 : target->vector_width >= 8 ? 1.08 : 2.16;
    const int64_t all_images = op->t[s.dst].n, images = op->images ? op->images : all_images;
    const double tiles = (double)(images * s.tiles_h * s.tiles_w);
    const double rows = (double)(s.row_blocks * OCL_LANES), vectors = (double)s.vectors;
    const double filters = (double)points(&s) * rows * vectors;
    const double transformed = (double)points(&s) * (rows / OCL_LANES + vectors) * tiles;
    const int filter_cost = gradient ? SUMS_COST : s.turn ? TURNED_COST : FILTER_COST;
    const double cost = filters * tiles * multiply_cost + filters * filter_cost + transformed * STREAMED_COST;
    const double flops = p2p_op_flops(op) * (double)images / (double)all_images;
    const double direct_cost = flops / (2 * OCL_LANES) * multiply_cost;
    return cost * MARGIN_PERCENT < direct_cost * 100;
}
