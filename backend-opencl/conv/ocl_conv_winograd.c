/* Planner of Winograd convolutions for CPU devices: kernels/conv/conv_winograd_input.cl and
 * conv_winograd_products.cl, and for filter gradients conv_winograd_filter.cl.
 *
 * F(OUTPUTS, TAPS) of winograd.clh: TAPS are those of one phase of the stride. Passes over the rows of
 * tiles transform the input, then multiply; a pass is so small that the output of one launch is still in a
 * cache when the next reads it. The filter is transformed piece by piece where it is multiplied, and never
 * stored: no derived filter is requested. A filter gradient's passes are added, so its bits depend on their
 * number, which depends on the shape alone; no other choice affects bits.
 *
 * In bf16 the kernels are the same, with transforms in float32. Only F(3x3, 2x2) is used: its factors of 1
 * and 1/2 lose no precision beyond the rounding to bf16. So a filter with stride 1 is cut into four of 2x2
 * taps.
 */
#include "ocl_conv_winograd.h"

#include "ocl_conv_shared.h"
#include "ocl_winograd.h"

#include <stdio.h>

enum {
    VECTOR_BYTES = OCL_LANES * sizeof(float),
    PASS_BYTES = 16 << 20,      /* of a pass's inputs and sums; each pass transforms the filter */
    SUMS_BYTES = 600 << 10,     /* of a work-item's sums */
    CHUNK_BYTES = 160 << 10,    /* of the filters that a work-item transforms at a time */
    MOST_PASSES = 256,          /* of an operation: each has kernels of its own */
    GRADIENT_BYTES = 450 << 10, /* read by a work-item of a filter gradient */
    UNIT_ITEMS = 4,             /* work-items of the products per thread, if there are enough tiles */
    BF16_OUTPUTS = 3,           /* of a tile, in each direction */
    BF16_PARTS = 2              /* of a filter with stride 1, in each direction */
};

/* A convolution in the terms of the kernels. */
typedef struct {
    ocl_winograd w;
    bool bf16;
    int64_t words;   /* of a block of 16 input rows of a tile */
    int64_t columns; /* of tiles; in a bf16 filter gradient, whose words hold pairs of tiles, of such pairs */
    int64_t vecs, groups, tile;
    int64_t rows, tiles;        /* of a pass: rows of tiles, and tiles rounded up */
    int64_t tiles_each, shares; /* tiles per work-item of the products, and work-items per pass */
    int64_t chunk;              /* blocks of 16 input rows whose filters are transformed at a time */
    ocl_point_arrays inputs, gradients;
    uint64_t sums;   /* of the products: floats from the start of scratch memory */
    uint64_t floats; /* of scratch memory */
} winograd_shape;

static winograd_shape shape_of(const p2p_op *op) {
    const bool bf16 = op->math == P2P_MATH_bf16, gradient = op->kind == P2P_KIND_conv_bwd_filter;
    const bool cut = bf16 && ocl_stride(op) == 1;
    winograd_shape s = {
        .w = ocl_winograd_of(op, bf16 ? BF16_OUTPUTS : ocl_winograd_outputs(op), cut ? BF16_PARTS : 1),
        .bf16 = bf16,
        .words = bf16 && !gradient ? OCL_LANES / 2 : OCL_LANES};
    s.columns = bf16 && gradient ? p2p_divide_up(s.w.tiles_w, 2) : s.w.tiles_w;
    return s;
}

/* ---- Tiles and passes ------------------------------------------------------------------------------ */

/* The size of a register tile for `tiles` tiles: time is proportional to the multiplications or the loads,
 * whichever are more, and about twelve sums must be in flight. */
static int64_t choose_tile(const ocl_target *target, int64_t tiles, int64_t vecs) {
    int64_t best = 1, least = INT64_MAX;
    for (int64_t tile = ocl_conv_sums(target, OCL_SUMS_MOST) / vecs; tile >= 1; tile--) {
        const int64_t cost = p2p_divide_up(tiles, tile) * ocl_max(ocl_max(tile * vecs, tile + vecs), 12);
        if (cost >= least) continue;
        least = cost;
        best = tile;
    }
    return best;
}

static ocl_point_arrays reserve(winograd_shape *s, int64_t floats) {
    /* One line between the arrays of two points, so that they do not map to the same cache sets. */
    const ocl_point_arrays arrays = {s->floats, (uint64_t)(floats + OCL_LANES)};
    s->floats += arrays.distance * (uint64_t)ocl_winograd_points(&s->w);
    return arrays;
}

/* Divides the rows of tiles into equal passes of about `bytes` of arrays, `tile_bytes` for each tile. */
static void divide_rows(const ocl_target *target, const p2p_op *op, winograd_shape *s, int64_t bytes,
                        int64_t tile_bytes) {
    const int64_t rows = op->t[s->w.dst].n * s->w.tiles_h;
    s->vecs = s->w.vectors > 1 && ocl_conv_sums(target, OCL_SUMS_MOST) >= 6 ? 2 : 1;
    s->groups = p2p_divide_up(s->w.vectors, s->vecs);
    s->rows = ocl_max(p2p_divide_up(rows, MOST_PASSES), bytes / (tile_bytes * s->columns));
    s->rows = ocl_min(s->rows, rows);
    s->rows = p2p_divide_up(rows, p2p_divide_up(rows, s->rows));
}

static p2p_status set_scratch(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                              const winograd_shape *s) {
    if (s->floats > OCL_WINOGRAD_MAX_SCRATCH_FLOATS)
        return ocl_refuse(target, op, "more than 1 GiB of scratch memory");
    plan->answer.scratch_bytes = (size_t)s->floats * sizeof(float);
    return P2P_OK;
}

/* Repeats all launches for every pass, and sets the plan's name. */
static void finish(const p2p_op *op, ocl_plan *plan, const winograd_shape *s) {
    ocl_winograd_repeat(plan, op, &s->w, s->rows, 0);
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "winograd%s F(%d,%d) %dx%d in %d",
             s->bf16 ? " bf16" : "", (int)s->w.outputs, (int)s->w.taps, (int)s->tile, (int)s->vecs,
             plan->repeats);
}

/* Chooses the tiles of a forward convolution or data gradient, the chunks of its filter, and the layout of
 * scratch memory. */
static void lay_out(const ocl_target *target, winograd_shape *s) {
    const int64_t all = s->rows * s->columns, sum_bytes = ocl_winograd_points(&s->w) * s->vecs * VECTOR_BYTES;
    s->tile = choose_tile(target, all, s->vecs);
    s->tiles = p2p_divide_up(all, s->tile) * s->tile;
    int64_t shares = p2p_divide_up(s->tiles * sum_bytes, SUMS_BYTES);
    while (shares * s->groups < UNIT_ITEMS * target->compute_units && shares * s->tile < s->tiles) shares++;
    s->tiles_each = p2p_divide_up(p2p_divide_up(s->tiles, shares), s->tile) * s->tile;
    s->shares = p2p_divide_up(s->tiles, s->tiles_each);
    s->chunk = ocl_max(1, CHUNK_BYTES / (OCL_LANES * sum_bytes));
    s->chunk = ocl_min(s->chunk, s->w.row_blocks);
    s->inputs = reserve(s, s->w.row_blocks * s->tiles * s->words);
    s->sums = s->floats;
    s->floats += (uint64_t)(s->groups * s->shares * ocl_winograd_points(&s->w) *
                            (s->tiles_each * s->vecs + 1) * OCL_LANES);
}

/* ---- Launches -------------------------------------------------------------------------------------- */

static ocl_launch *add_transform(const ocl_target *target, ocl_plan *plan, const winograd_shape *s,
                                 const char *source, const char *kernel, int64_t x, int64_t y) {
    ocl_launch *launch = ocl_conv_launch_cpu(target, plan, "winograd.clh", kernel, x, y, 1);
    if (s->bf16) {
        launch->source[3] = "bf16.clh";
        ocl_bf16_options(target, launch);
        if (s->words == OCL_LANES) ocl_launch_option(launch, "TILE_PAIRS");
    }
    launch->source[s->bf16 ? 4 : 3] = source;
    ocl_winograd_options(launch, &s->w);
    return launch;
}

/* Options that the input transform does not have. */
static void option_outputs(ocl_launch *launch, const winograd_shape *s) {
    ocl_launch_option(launch, "VECS=%d", (int)s->vecs);
    if (s->w.flip) ocl_launch_option(launch, "FLIP");
    if (s->w.turn) ocl_launch_option(launch, "TURN");
}

static void add_input(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const winograd_shape *s) {
    ocl_launch *launch = add_transform(target, plan, s, "conv_winograd_input.cl", "conv_winograd_input",
                                       s->rows, ocl_blocks(op->t[s->w.src].c));
    ocl_winograd_arg_input(launch, op, &s->w, &s->inputs, s->tiles);
    ocl_winograd_arg_rows(launch, op, &s->w, s->columns, s->rows);
}

static void add_products(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                         const winograd_shape *s) {
    ocl_launch *launch = add_transform(target, plan, s, "conv_winograd_products.cl", "conv_winograd_products",
                                       s->shares, s->groups);
    option_outputs(launch, s);
    ocl_launch_option(launch, "TILE=%d", (int)s->tile);
    ocl_launch_option(launch, "CHUNK=%d", (int)s->chunk);
    ocl_winograd_arg_arrays(launch, &s->inputs);
    ocl_arg_operand(launch, s->w.filter);
    ocl_arg_scratch(launch, s->sums);
    ocl_arg_int(launch, s->w.row_blocks);
    ocl_arg_int(launch, ocl_blocks(op->t[s->w.dst].c));
    ocl_arg_int(launch, s->tiles);
    ocl_arg_int(launch, s->tiles_each);
    ocl_arg_optional(launch, op, s->w.bias, s->w.filter);
    ocl_conv_arg_activation(launch, op, s->w.dst);
    ocl_arg_int(launch, s->w.dst_h);
    ocl_arg_int(launch, s->w.dst_w);
    ocl_winograd_arg_rows(launch, op, &s->w, s->columns, s->rows);
    ocl_arg_int(launch, s->rows);
    ocl_winograd_arg_result(launch, op, &s->w);
}

static p2p_status plan_forward(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    winograd_shape s = shape_of(op);
    divide_rows(target, op, &s, PASS_BYTES,
                ocl_winograd_points(&s.w) * (s.w.row_blocks * s.words / OCL_LANES + s.w.vectors) *
                    VECTOR_BYTES);
    lay_out(target, &s);
    P2P_TRY(set_scratch(target, op, plan, &s));
    add_input(target, op, plan, &s);
    add_products(target, op, plan, &s);
    finish(op, plan, &s);
    return P2P_OK;
}

/* ---- Filter gradient ------------------------------------------------------------------------------- */

static void add_gradient(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                         const winograd_shape *s) {
    ocl_launch *launch = add_transform(target, plan, s, "conv_winograd_filter.cl", "conv_winograd_gradient",
                                       s->rows, s->groups);
    option_outputs(launch, s);
    ocl_launch_option(launch, "ROWS=%d", (int)s->tile);
    ocl_conv_arg_activation(launch, op, s->w.dst);
    ocl_winograd_arg_arrays(launch, &s->gradients);
    ocl_arg_int(launch, s->tiles);
    ocl_winograd_arg_rows(launch, op, &s->w, s->columns, s->rows);
}

static void add_filter_sums(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                            const winograd_shape *s) {
    ocl_launch *launch = add_transform(target, plan, s, "conv_winograd_filter.cl",
                                       "conv_winograd_filter_sums", s->w.row_blocks, s->groups);
    option_outputs(launch, s);
    ocl_launch_option(launch, "ROWS=%d", (int)s->tile);
    ocl_winograd_arg_arrays(launch, &s->inputs);
    ocl_winograd_arg_arrays(launch, &s->gradients);
    ocl_arg_int(launch, s->tiles);
    ocl_arg_operand(launch, s->w.filter);
    ocl_arg_int(launch, s->w.vectors);
    ocl_arg_int(launch, p2p_op_accumulates(op, s->w.filter));
    ocl_arg_repeat(launch, 1);
    ocl_winograd_arg_rows(launch, op, &s->w, s->columns, s->rows);
}

static p2p_status plan_filter_gradient(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    winograd_shape s = shape_of(op);
    divide_rows(target, op, &s, GRADIENT_BYTES, ocl_winograd_points(&s.w) * 3 * VECTOR_BYTES);
    s.tiles = s.rows * s.columns;
    s.inputs = reserve(&s, s.w.row_blocks * s.tiles * s.words);
    s.gradients = reserve(&s, s.groups * s.tiles * s.vecs * OCL_LANES);
    s.tile = OCL_LANES;
    while (s.tile > 1 && s.tile * s.vecs > ocl_min(16, ocl_conv_sums(target, OCL_SUMS_MOST))) s.tile /= 2;
    P2P_TRY(set_scratch(target, op, plan, &s));
    add_input(target, op, plan, &s);
    add_gradient(target, op, plan, &s);
    add_filter_sums(target, op, plan, &s);
    finish(op, plan, &s);
    return P2P_OK;
}

/* ---- Planning -------------------------------------------------------------------------------------- */

p2p_status ocl_plan_conv_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    P2P_TRY(ocl_winograd_check(target, op));
    return op->kind == P2P_KIND_conv_bwd_filter ? plan_filter_gradient(target, op, plan)
                                                : plan_forward(target, op, plan);
}

/* ---- Choice ---------------------------------------------------------------------------------------- */

/* Cycles per vector of 16 words, in fp32 and bf16: `multiply`, a multiply-add with vectors of 16 floats;
 * `streamed`, a vector written by a transform and read by the products through the outer caches; `filter`,
 * a vector of a transformed filter, and `turned`, one that is transposed first; `sums`, a vector of the
 * sums of filter gradients, which stay in the inner caches. Measured on a Zen 5, where all convolutions
 * multiply at 93 % of the peak, two vectors per cycle. */
typedef struct {
    double multiply, streamed, filter, turned, sums;
} vector_costs;

enum { MARGIN_PERCENT = 110 };

static const vector_costs costs[2] = {{0.54, 22, 6, 9, 6}, {0.54, 16, 4, 8, 12}};

bool ocl_conv_winograd_pays(const ocl_target *target, const p2p_op *op) {
    if (!ocl_winograd_suits(target, op)) return false;
    if (target->winograd == OCL_WINOGRAD_ALWAYS) return true;
    const winograd_shape s = shape_of(op);
    const bool gradient = op->kind == P2P_KIND_conv_bwd_filter;
    const vector_costs *c = &costs[s.bf16];
    const double multiply = c->multiply * (double)ocl_conv_registers(target);
    const double numbers = s.bf16 ? 2 : 1; /* elements per word */
    const int64_t images = ocl_winograd_images(op, &s.w);
    const double tiles = (double)(images * s.w.tiles_h * s.w.tiles_w),
                 points = (double)ocl_winograd_points(&s.w);
    const double rows = (double)(s.w.row_blocks * OCL_LANES), vectors = (double)s.w.vectors;
    const double products = points * rows * vectors * tiles / numbers;
    const double filters = points * rows * vectors / (gradient ? 1 : numbers);
    const double transformed = points * (rows / OCL_LANES + vectors) * tiles / numbers;
    const double filter = gradient ? c->sums : s.w.turn ? c->turned : c->filter;
    const double cost = products * multiply + filters * filter + transformed * c->streamed;
    const double flops = p2p_op_flops(op) * (double)images / (double)op->t[s.w.dst].n;
    const double direct_cost = flops / (2 * OCL_LANES * numbers) * multiply;
    return cost * MARGIN_PERCENT < direct_cost * 100;
}
