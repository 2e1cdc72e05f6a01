/* Planner of Winograd convolutions for GPUs: kernels/conv/conv_gpu_winograd.cl transforms,
 * kernels/conv/conv_gpu_winograd_products.cl computes one matrix product per point.
 *
 * All intermediate arrays are in scratch memory, processed in passes over rows of tiles if one pass would
 * need too much. The filter is transformed in every operation: a transformed copy would have only one
 * reader, except in the discriminator, whose filters change between its uses. Each pass of a filter
 * gradient continues the sums of the previous one, so no bit depends on the number of passes. The parts
 * into which the depth of a filter gradient is divided, to have enough work-groups, depend on the shape
 * alone.
 */
#include "ocl_conv_gpu_winograd.h"

#include "ocl_conv_shared.h"
#include "ocl_gpu_tile.h"
#include "ocl_winograd.h"

#include <stdio.h>

enum {
    PASS_BYTES = 64 << 20, /* of a pass's arrays */
    PASSES_AT_ONCE = 4,    /* the device's largest buffer must hold the arrays of so many passes */
    MOST_PASSES = 256,     /* of an operation: each has kernels of its own */
    ENOUGH_GROUPS = 256,   /* of a filter gradient, counted in tiles of 64 x 64 */
    LEAST_STEPS = 8        /* of 16 tiles, in each part of a filter gradient */
};

typedef struct {
    ocl_winograd w;
    int64_t points;
    int64_t rows, tiles;      /* of a pass: rows of tiles, and tiles */
    int64_t in_rows, columns; /* input rows; output columns, or channels of dy in whole blocks */
    int64_t parts;            /* of a filter gradient's depth */
    ocl_point_arrays inputs, filters, gradients, sums;
    uint64_t floats; /* of scratch memory */
} gpu_winograd_shape;

/* ---- Shape ----------------------------------------------------------------------------------------- */

static gpu_winograd_shape shape_of(const p2p_op *op) {
    gpu_winograd_shape s = {.w = ocl_winograd_of(op, ocl_winograd_outputs(op), 1), .parts = 1};
    s.points = ocl_winograd_points(&s.w);
    s.in_rows = s.w.row_blocks * OCL_LANES;
    s.columns = s.w.vectors * OCL_LANES;
    return s;
}

/* Divides the rows of tiles into equal passes, whose arrays of input rows and columns take up to
 * PASS_BYTES. */
static p2p_status divide_rows(const ocl_target *target, const p2p_op *op, gpu_winograd_shape *s) {
    if (s->in_rows + s->columns > OCL_WINOGRAD_MAX_SCRATCH_FLOATS / s->w.tiles_w)
        return ocl_refuse(target, op, "a row of tiles takes more than 1 GiB of scratch memory");
    const int64_t rows = op->t[s->w.dst].n * s->w.tiles_h;
    const int64_t row_bytes = s->points * (s->in_rows + s->columns) * s->w.tiles_w * (int64_t)sizeof(float);
    const int64_t room = ocl_min(PASS_BYTES, (int64_t)(target->max_alloc_bytes / PASSES_AT_ONCE));
    s->rows = ocl_min(rows, ocl_max(p2p_divide_up(rows, MOST_PASSES), room / row_bytes));
    s->rows = p2p_divide_up(rows, p2p_divide_up(rows, s->rows));
    s->tiles = s->rows * s->w.tiles_w;
    return P2P_OK;
}

/* One line between the arrays of two points avoids conflicts of memory banks. */
static ocl_point_arrays reserve(gpu_winograd_shape *s, int64_t floats) {
    const ocl_point_arrays arrays = {s->floats, (uint64_t)(floats + OCL_LANES)};
    s->floats += arrays.distance * (uint64_t)s->points;
    return arrays;
}

static p2p_status set_scratch(const ocl_target *target, const p2p_op *op, const gpu_winograd_shape *s,
                              ocl_plan *plan) {
    if (s->floats > OCL_WINOGRAD_MAX_SCRATCH_FLOATS || s->floats * sizeof(float) > target->max_alloc_bytes)
        return ocl_refuse(target, op, "%.0f MiB of scratch memory", (double)s->floats / (1 << 18));
    plan->answer.scratch_bytes = (size_t)s->floats * sizeof(float);
    return P2P_OK;
}

/* ---- Transforms ------------------------------------------------------------------------------------ */

static ocl_launch *add_transform(const ocl_target *target, ocl_plan *plan, const gpu_winograd_shape *s,
                                 const char *kernel, int64_t x, int64_t y) {
    ocl_launch *launch = ocl_launch_add(target, plan, "winograd.clh", kernel);
    launch->source[2] = "conv_gpu_winograd.cl";
    ocl_winograd_options(launch, &s->w);
    ocl_launch_option(launch, "VECTOR=float");
    if (s->w.flip) ocl_launch_option(launch, "FLIP");
    if (s->w.turn) ocl_launch_option(launch, "TURN");
    ocl_launch_grid(target, launch, x, y, 1);
    return launch;
}

static void add_input(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                      const gpu_winograd_shape *s) {
    ocl_launch *launch =
        add_transform(target, plan, s, "conv_gpu_winograd_input", s->tiles * OCL_LANES, s->w.row_blocks);
    ocl_winograd_arg_input(launch, op, &s->w, &s->inputs, s->tiles);
    ocl_winograd_arg_rows(launch, op, &s->w, s->w.tiles_w, s->rows);
}

/* Blocks of the filter as it is stored: outer, inner. */
static void arg_filter_blocks(ocl_launch *launch, const p2p_op *op, const gpu_winograd_shape *s) {
    const int64_t src_blocks = ocl_blocks(op->t[s->w.src].c), dst_blocks = ocl_blocks(op->t[s->w.dst].c);
    ocl_arg_int(launch, s->w.turn ? src_blocks : dst_blocks);
    ocl_arg_int(launch, s->w.turn ? dst_blocks : src_blocks);
}

/* Pairs of channels in whole blocks. */
static int64_t channel_pairs(const p2p_op *op, const gpu_winograd_shape *s) {
    return ocl_blocks(op->t[s->w.src].c) * ocl_blocks(op->t[s->w.dst].c) * OCL_LANES * OCL_LANES;
}

static int64_t phases(const gpu_winograd_shape *s) {
    return s->w.step_in * s->w.step_in * s->w.step_out * s->w.step_out;
}

static void add_filter(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                       const gpu_winograd_shape *s) {
    ocl_launch *launch =
        add_transform(target, plan, s, "conv_gpu_winograd_filter", channel_pairs(op, s), phases(s));
    ocl_arg_operand(launch, s->w.filter);
    ocl_winograd_arg_arrays(launch, &s->filters);
    arg_filter_blocks(launch, op, s);
}

static void add_output(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                       const gpu_winograd_shape *s) {
    ocl_launch *launch =
        add_transform(target, plan, s, "conv_gpu_winograd_output", s->tiles * OCL_LANES, s->w.vectors);
    ocl_winograd_arg_arrays(launch, &s->sums);
    ocl_arg_optional(launch, op, s->w.bias, s->w.filter);
    ocl_conv_arg_activation(launch, op, s->w.dst);
    ocl_arg_int(launch, s->tiles);
    ocl_arg_int(launch, s->w.dst_h);
    ocl_arg_int(launch, s->w.dst_w);
    ocl_winograd_arg_rows(launch, op, &s->w, s->w.tiles_w, s->rows);
    ocl_winograd_arg_result(launch, op, &s->w);
}

static void add_gradient(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                         const gpu_winograd_shape *s) {
    ocl_launch *launch =
        add_transform(target, plan, s, "conv_gpu_winograd_gradient", s->tiles * OCL_LANES, s->w.vectors);
    ocl_conv_arg_activation(launch, op, s->w.dst);
    ocl_winograd_arg_arrays(launch, &s->gradients);
    ocl_arg_int(launch, s->tiles);
    ocl_winograd_arg_rows(launch, op, &s->w, s->w.tiles_w, s->rows);
}

static void add_filter_sums(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                            const gpu_winograd_shape *s) {
    ocl_launch *launch =
        add_transform(target, plan, s, "conv_gpu_winograd_filter_sums", channel_pairs(op, s), phases(s));
    ocl_winograd_arg_arrays(launch, &s->sums);
    ocl_arg_int(launch, s->parts);
    ocl_arg_operand(launch, s->w.filter);
    arg_filter_blocks(launch, op, s);
    ocl_arg_int(launch, p2p_op_accumulates(op, s->w.filter));
}

/* ---- Products -------------------------------------------------------------------------------------- */

/* In a filter gradient rows are input rows, and tiles are summed; otherwise rows are tiles. */
static ocl_gpu_product product_of(const p2p_op *op, const gpu_winograd_shape *s) {
    const bool gradient = op->kind == P2P_KIND_conv_bwd_filter;
    return (ocl_gpu_product){gradient ? s->in_rows : s->tiles, s->columns, s->points * s->parts, false};
}

static p2p_status choose_tile(const ocl_target *target, const p2p_op *op, const ocl_gpu_product *product,
                              const ocl_gpu_tile **tile) {
    const bool named = ocl_has_variant(target);
    *tile = named ? ocl_gpu_tile_named(target, target->variant) : ocl_gpu_tile_cheapest(target, product);
    if (*tile) return P2P_OK;
    return ocl_refuse(target, op, "'%s' is not a tile for which the device has room",
                      named ? target->variant : "");
}

static p2p_status add_products(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                               const gpu_winograd_shape *s, const ocl_gpu_tile **tile) {
    const bool gradient = op->kind == P2P_KIND_conv_bwd_filter;
    const ocl_gpu_product product = product_of(op, s);
    P2P_TRY(choose_tile(target, op, &product, tile));
    ocl_launch *launch = ocl_launch_add(target, plan, "gpu_tile.clh", "conv_gpu_winograd_products");
    launch->source[2] = "conv_gpu_winograd_products.cl";
    ocl_gpu_tile_launch(target, launch, *tile, &product);
    if (!gradient) ocl_launch_option(launch, "A_SUMMED");
    if (!gradient && s->w.turn) ocl_launch_option(launch, "B_SUMMED");
    ocl_winograd_arg_arrays(launch, &s->inputs);
    ocl_winograd_arg_arrays(launch, gradient ? &s->gradients : &s->filters);
    ocl_winograd_arg_arrays(launch, &s->sums);
    ocl_arg_int(launch, product.rows);
    ocl_arg_int(launch, s->columns);
    ocl_arg_int(launch, gradient ? s->tiles : s->in_rows);
    ocl_arg_int(launch, s->parts);
    ocl_arg_repeat(launch, gradient);
    return P2P_OK;
}

/* ---- Planning -------------------------------------------------------------------------------------- */

static p2p_status plan_forward(const ocl_target *target, const p2p_op *op, gpu_winograd_shape *s,
                               ocl_plan *plan, const ocl_gpu_tile **tile) {
    P2P_TRY(divide_rows(target, op, s));
    s->filters = reserve(s, s->in_rows * s->columns);
    s->inputs = reserve(s, s->in_rows * s->tiles);
    s->sums = reserve(s, s->columns * s->tiles);
    P2P_TRY(set_scratch(target, op, s, plan));
    add_filter(target, op, plan, s);
    add_input(target, op, plan, s);
    P2P_TRY(add_products(target, op, plan, s, tile));
    add_output(target, op, plan, s);
    ocl_winograd_repeat(plan, op, &s->w, s->rows, 1);
    return P2P_OK;
}

/* Parts of a depth of `tiles`, so that a large device has enough work-groups. */
static int64_t parts_of(const gpu_winograd_shape *s) {
    enum { TILE = 64 };
    const int64_t groups = p2p_divide_up(s->in_rows, TILE) * p2p_divide_up(s->columns, TILE) * s->points;
    const int64_t most = s->tiles / (LEAST_STEPS * OCL_GPU_DEPTH);
    return ocl_max(1, ocl_min(most, p2p_divide_up(ENOUGH_GROUPS, groups)));
}

static p2p_status plan_filter_gradient(const ocl_target *target, const p2p_op *op, gpu_winograd_shape *s,
                                       ocl_plan *plan, const ocl_gpu_tile **tile) {
    P2P_TRY(divide_rows(target, op, s));
    s->parts = parts_of(s);
    s->inputs = reserve(s, s->in_rows * s->tiles);
    s->gradients = reserve(s, s->columns * s->tiles);
    s->sums = reserve(s, s->in_rows * s->columns * s->parts);
    P2P_TRY(set_scratch(target, op, s, plan));
    add_input(target, op, plan, s);
    add_gradient(target, op, plan, s);
    P2P_TRY(add_products(target, op, plan, s, tile));
    ocl_winograd_repeat(plan, op, &s->w, s->rows, 0);
    add_filter_sums(target, op, plan, s);
    return P2P_OK;
}

p2p_status ocl_plan_conv_gpu_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const ocl_gpu_tile *tile = NULL;
    P2P_TRY(ocl_winograd_check(target, op));
    gpu_winograd_shape s = shape_of(op);
    P2P_TRY(op->kind == P2P_KIND_conv_bwd_filter ? plan_filter_gradient(target, op, &s, plan, &tile)
                                                 : plan_forward(target, op, &s, plan, &tile));
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "gpu_winograd F(%d,%d) %dx%d in %d",
             (int)s.w.outputs, (int)s.w.taps, ocl_gpu_tile_m(tile), ocl_gpu_tile_n(tile), plan->repeats);
    return P2P_OK;
}

int ocl_conv_gpu_winograd_variants(const ocl_target *target, const p2p_op *op,
                                   ocl_variant_name names[OCL_MOST_VARIANTS]) {
    if (!ocl_winograd_suits(target, op)) return 0;
    gpu_winograd_shape s = shape_of(op);
    if (divide_rows(target, op, &s) != P2P_OK) return 0;
    if (op->kind == P2P_KIND_conv_bwd_filter) s.parts = parts_of(&s);
    const ocl_gpu_product product = product_of(op, &s);
    return ocl_gpu_tile_names(target, &product, OCL_MOST_VARIANTS, names);
}

/* ---- Choice ---------------------------------------------------------------------------------------- */

/* Floating-point operations that take a GPU as long as moving one byte: 20. Data sheets give 30 to 40 in
 * fp32, but tiles reach a smaller share of the peak rate than copies reach of the peak bandwidth. */
enum { FLOPS_PER_BYTE = 20, MARGIN_PERCENT = 110 };

/* The cost of the convolution as untransformed products, without the zeros that 4x4 taps with stride 2
 * would meet. */
static double direct_flops(const p2p_op *op, int64_t images) {
    const ocl_winograd w = ocl_winograd_of(op, 1, 1);
    const int64_t taps = OCL_WINOGRAD_TAPS * OCL_WINOGRAD_TAPS, positions = images * w.tiles_h * w.tiles_w;
    const int64_t src = ocl_blocks(op->t[w.src].c) * OCL_LANES, dst = op->t[w.dst].c;
    const int64_t out_phases = w.step_out * w.step_out;
    const bool gradient = op->kind == P2P_KIND_conv_bwd_filter;
    const ocl_gpu_product product = gradient ? (ocl_gpu_product){src * taps, dst, 1, gradient}
                                             : (ocl_gpu_product){positions, dst, out_phases, gradient};
    return 2 * ocl_gpu_product_cost(&product) * (double)(gradient ? positions : src * taps / out_phases);
}

/* Bytes that the transforms write and read, all to memory and back. */
static double transform_bytes(const gpu_winograd_shape *s) {
    const double inputs = (double)(s->in_rows * s->tiles), results = (double)(s->columns * s->tiles);
    const double filters = (double)(s->in_rows * s->columns * s->parts);
    return 2 * (double)s->points * (inputs + results + filters) * sizeof(float);
}

bool ocl_conv_gpu_winograd_pays(const ocl_target *target, const p2p_op *op) {
    if (!ocl_winograd_suits(target, op)) return false;
    if (target->winograd == OCL_WINOGRAD_ALWAYS) return true;
    gpu_winograd_shape s = shape_of(op);
    const int64_t images = ocl_winograd_images(op, &s.w);
    s.tiles = images * s.w.tiles_h * s.w.tiles_w;
    const bool gradient = op->kind == P2P_KIND_conv_bwd_filter;
    const ocl_gpu_product product = product_of(op, &s);
    const double flops = 2 * ocl_gpu_product_cost(&product) * (double)(gradient ? s.tiles : s.in_rows);
    const double cost = flops + FLOPS_PER_BYTE * transform_bytes(&s);
    return cost * MARGIN_PERCENT < direct_flops(op, images) * 100;
}
