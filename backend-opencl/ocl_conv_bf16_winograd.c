/* Plans Winograd convolutions in bf16 for CPU devices: kernels/bf16_winograd.cl, forward and data gradient.
 *
 * F(3x3, 2x2) alone: its transforms have factors of 1 and 1/2, and lose nothing that rounding to bf16 leaves.
 * A filter with stride 2 falls into phases of 2x2 taps, one with stride 1 is cut into four of them. Nothing
 * here depends on the number of threads but how the work is shared out, and no bit depends on that.
 */
#include "ocl_conv_bf16.h"
#include "ocl_winograd.h"

#include <stdio.h>

enum {
    TAPS = 2,
    OUTPUTS = 3,
    POINTS = OUTPUTS + TAPS - 1,
    SQUARE = POINTS * POINTS,
    WORD_BYTES = sizeof(float),
    SUMS_BYTES = 288 << 10, /* of a work-item, in the second-level cache */
    CHUNK_BYTES = 80 << 10, /* of transformed filters in a work-item */
    UNIT_ITEMS = 4          /* work-items for each thread, where tiles allow */
};

/* A convolution in the terms of the kernels. */
typedef struct {
    ocl_winograd w;
    int64_t vecs, groups;
    int64_t tile, tiles_each, shares, chunk;
} winograd_shape;

static winograd_shape shape_of(const p2p_op *op) {
    winograd_shape s = {.w =
                            ocl_winograd_of(op, OUTPUTS, ocl_stride(op) == 1 ? OCL_WINOGRAD_TAPS / TAPS : 1)};
    s.vecs = s.w.vectors > 1 ? 2 : 1;
    s.groups = ocl_divide_up(s.w.vectors, s.vecs);
    return s;
}

/* Sums that stay in registers beside the operands. */
static int64_t accumulators(const ocl_target *target) {
    return target->vector_width >= 16 ? 24 : target->vector_width >= 8 ? 6 : 3;
}

/* Tiles for each work-item, and of these for the registers: few remain over, and every thread has some. */
static void share_tiles(const ocl_target *target, winograd_shape *s, int64_t tiles) {
    const int64_t most = ocl_max(1, accumulators(target) / s->vecs);
    const int64_t room = ocl_max(most, SUMS_BYTES / (SQUARE * s->vecs * OCL_LANES * WORD_BYTES));
    s->shares = ocl_divide_up(tiles, room);
    while (s->shares * s->groups < UNIT_ITEMS * target->compute_units && s->shares * most < tiles)
        s->shares++;
    const int64_t each = ocl_divide_up(tiles, s->shares);
    s->tile = ocl_divide_up(each, ocl_divide_up(each, most));
    s->tiles_each = ocl_divide_up(each, s->tile) * s->tile;
    s->shares = ocl_divide_up(tiles, s->tiles_each);
    const int64_t block_bytes = SQUARE * 8 * s->vecs * OCL_LANES * WORD_BYTES;
    s->chunk = ocl_min(s->w.row_blocks, ocl_max(1, CHUNK_BYTES / block_bytes));
}

/* Words from one point of the transformed input to the next: a line more than there are, so that those of all
 * points don't meet in the same sets of a cache. */
static int64_t point_words(const winograd_shape *s) {
    return s->w.row_blocks * s->shares * s->tiles_each * (OCL_LANES / 2) + OCL_LANES;
}

static ocl_launch *add_launch(const ocl_target *target, ocl_plan *plan, const winograd_shape *s,
                              const char *source, const char *kernel, int64_t x, int64_t y) {
    ocl_launch *launch = ocl_conv_launch_add(target, plan, "winograd.clh", kernel, x, y, 1);
    launch->source[3] = "bf16.clh";
    launch->source[4] = source;
    ocl_bf16_options(target, launch);
    ocl_winograd_options(launch, &s->w);
    if (s->w.flip) ocl_launch_option(launch, "FLIP");
    return launch;
}

static void add_input(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const winograd_shape *s) {
    const p2p_tensor *src = &op->t[s->w.src];
    ocl_launch *launch = add_launch(target, plan, s, "winograd_input.cl", "winograd_input",
                                    src->n * s->w.tiles_h, ocl_blocks(src->c));
    ocl_conv_arg_activation(launch, op, s->w.src);
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, (uint64_t)point_words(s));
    ocl_arg_int(launch, s->shares * s->tiles_each);
    ocl_arg_int(launch, s->w.src_h);
    ocl_arg_int(launch, s->w.src_w);
    ocl_arg_int(launch, src->n);
    ocl_arg_int(launch, s->w.tiles_h);
    ocl_arg_int(launch, s->w.tiles_w);
    ocl_arg_int(launch, 0); /* the first row: all in one pass */
}

static void add_products(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                         const winograd_shape *s) {
    ocl_launch *launch =
        add_launch(target, plan, s, "bf16_winograd.cl", "bf16_winograd_products", s->shares, s->groups);
    ocl_launch_option(launch, "VECS=%d", (int)s->vecs);
    ocl_launch_option(launch, "TILE=%d", (int)s->tile);
    ocl_launch_option(launch, "TILES=%d", (int)s->tiles_each);
    ocl_launch_option(launch, "CHUNK=%d", (int)s->chunk);
    if (s->w.turn) ocl_launch_option(launch, "TURN");
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, (uint64_t)point_words(s));
    ocl_arg_operand(launch, s->w.filter);
    ocl_arg_int(launch, s->w.row_blocks);
    ocl_arg_int(launch, s->shares * s->tiles_each);
    ocl_arg_optional(launch, op, s->w.bias, s->w.filter);
    ocl_conv_arg_activation(launch, op, s->w.dst);
    ocl_arg_int(launch, s->w.dst_h);
    ocl_arg_int(launch, s->w.dst_w);
    ocl_arg_int(launch, op->t[s->w.dst].n);
    ocl_arg_int(launch, s->w.tiles_h);
    ocl_arg_int(launch, s->w.tiles_w);
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    ocl_arg_int(launch, ocl_accumulates(op, s->w.dst));
}

p2p_status ocl_plan_bf16_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    if (op->kind == P2P_KIND_conv_bwd_filter)
        return ocl_refuse(target, op, "Winograd in bf16 has no filter gradient");
    P2P_TRY(ocl_winograd_check(target, op));
    winograd_shape s = shape_of(op);
    share_tiles(target, &s, op->t[s.w.dst].n * s.w.tiles_h * s.w.tiles_w);
    if (point_words(&s) > OCL_WINOGRAD_MAX_SCRATCH_FLOATS / SQUARE)
        return ocl_refuse(target, op, "more than 1 GiB of scratch memory");
    plan->answer.scratch_bytes = (size_t)(SQUARE * point_words(&s)) * sizeof(float);
    add_input(target, op, plan, &s);
    add_products(target, op, plan, &s);
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "winograd bf16 F(3,2) %dx%d of %d", (int)s.tile,
             (int)s.vecs, (int)s.tiles_each);
    return P2P_OK;
}

/* ---- Choice ------------------------------------------------------------------------------------------- */

/* Cycles: of a vector of pairs multiplied and added, of a vector of filters transformed (twice that where it
 * is turned as well), of a vector of input or output transformed. Measured on a Zen 5. */
static const double multiply_cost = 0.53, filter_cost = 4, transform_cost = 8;

bool ocl_bf16_winograd_pays(const ocl_target *target, const p2p_op *op) {
    if (op->kind == P2P_KIND_conv_bwd_filter || !ocl_winograd_suits(op)) return false;
    winograd_shape s = shape_of(op);
    const int64_t images = ocl_winograd_images(op, &s.w), tiles = images * s.w.tiles_h * s.w.tiles_w;
    share_tiles(target, &s, tiles);
    const double pairs = (double)(s.w.row_blocks * 8 * s.w.vectors * SQUARE);
    const double cost = pairs * (double)tiles * multiply_cost +
                        pairs * (double)s.shares * filter_cost * (s.w.turn ? 2 : 1) +
                        (double)((s.w.row_blocks + s.w.vectors) * tiles * SQUARE) * transform_cost;
    const double flops = p2p_op_flops(op) * (double)images / (double)op->t[s.w.dst].n;
    return cost < flops / (4 * OCL_LANES) * multiply_cost;
}
