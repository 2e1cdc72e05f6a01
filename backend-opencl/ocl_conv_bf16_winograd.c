/* Plans Winograd convolutions in bf16 for CPU devices: kernels/bf16_winograd.cl, forward and data gradient.
 *
 * F(3x3, 2x2) alone: its transforms have factors of 1 and 1/2, and lose nothing that rounding to bf16 leaves.
 * A filter with stride 2 falls into phases of 2x2 taps, one with stride 1 is cut into four of them. Nothing
 * here depends on the number of threads but how the work is shared out, and no bit depends on that.
 */
#include "ocl_conv_bf16.h"

#include <stdio.h>

enum {
    FILTER_TAPS = 4, /* of a filter, in each direction */
    TAPS = 2,
    OUTPUTS = 3,
    POINTS = OUTPUTS + TAPS - 1,
    SQUARE = POINTS * POINTS,
    MAX_STRIDE = 2,
    WORD_BYTES = sizeof(float),
    SUMS_BYTES = 288 << 10,      /* of a work-item, in the second-level cache */
    CHUNK_BYTES = 80 << 10,      /* of transformed filters in a work-item */
    UNIT_ITEMS = 4,              /* work-items for each thread, where tiles allow */
    MAX_SCRATCH_FLOATS = 1 << 28 /* whatever the shape */
};

/* A convolution in the terms of the kernels. */
typedef struct {
    int src, filter, bias, dst; /* positions in p2p_op.t[] */
    bool flip, turn;
    int64_t step_in, step_out, parts;
    int64_t src_h, src_w; /* the pixel of src under the first position */
    int64_t dst_h, dst_w; /* the pixel of dst at the first position of phase 0 */
    int64_t tiles_h, tiles_w;
    int64_t row_blocks, vectors; /* input rows / 16, output vectors */
    int64_t vecs, groups;
    int64_t tile, tiles_each, shares, chunk;
} winograd_shape;

static winograd_shape shape_of(const p2p_op *op) {
    const bool flip = op->kind == P2P_KIND_conv_bwd_data;
    const int64_t stride = ocl_stride(op), reach = FILTER_TAPS / stride - 1;
    winograd_shape s = {.src = flip ? P2P_AT_conv_bwd_data_dy : P2P_AT_conv_fwd_x,
                        .filter = flip ? P2P_AT_conv_bwd_data_w : P2P_AT_conv_fwd_w,
                        .bias = flip ? P2P_AT_conv_bwd_data_bias : P2P_AT_conv_fwd_bias,
                        .dst = flip ? P2P_AT_conv_bwd_data_dx : P2P_AT_conv_fwd_y,
                        .flip = flip,
                        .step_in = flip ? 1 : stride,
                        .step_out = flip ? stride : 1,
                        .parts = stride == 1 ? FILTER_TAPS / TAPS : 1,
                        .src_h = -op->pad_top,
                        .src_w = -op->pad_left};
    const p2p_tensor *src = &op->t[s.src], *dst = &op->t[s.dst];
    s.turn = (op->t[s.filter].layout == P2P_LAYOUT_ckrs) == flip;
    int64_t positions_h = dst->h, positions_w = dst->w;
    if (flip) {
        /* Counted from the corner of the padded image; positions that lie in the padding altogether are left
         * out. */
        const int64_t skipped_h = op->pad_top / stride, skipped_w = op->pad_left / stride;
        positions_h = (dst->h - 1 + op->pad_top) / stride + 1 - skipped_h;
        positions_w = (dst->w - 1 + op->pad_left) / stride + 1 - skipped_w;
        s.dst_h = skipped_h * stride - op->pad_top;
        s.dst_w = skipped_w * stride - op->pad_left;
        s.src_h = skipped_h - reach;
        s.src_w = skipped_w - reach;
    }
    s.tiles_h = ocl_divide_up(positions_h, OUTPUTS);
    s.tiles_w = ocl_divide_up(positions_w, OUTPUTS);
    s.row_blocks = ocl_blocks(src->c) * s.step_in * s.step_in * s.parts * s.parts;
    s.vectors = ocl_blocks(dst->c) * s.step_out * s.step_out;
    s.vecs = s.vectors > 1 ? 2 : 1;
    s.groups = ocl_divide_up(s.vectors, s.vecs);
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
    s->chunk = ocl_min(s->row_blocks, ocl_max(1, CHUNK_BYTES / block_bytes));
}

/* Words from one point of the transformed input to the next: a line more than there are, so that those of all
 * points don't meet in the same sets of a cache. */
static int64_t point_words(const winograd_shape *s) {
    return s->row_blocks * s->shares * s->tiles_each * (OCL_LANES / 2) + OCL_LANES;
}

static ocl_launch *add_launch(const ocl_target *target, ocl_plan *plan, const winograd_shape *s,
                              const char *source, const char *kernel, int64_t x, int64_t y) {
    ocl_launch *launch = ocl_conv_launch_add(target, plan, "winograd.clh", kernel, x, y, 1);
    launch->source[3] = "bf16.clh";
    launch->source[4] = source;
    ocl_bf16_options(target, launch);
    ocl_launch_option(launch, "OUTPUTS=%d", OUTPUTS);
    ocl_launch_option(launch, "TAPS=%d", TAPS);
    ocl_launch_option(launch, "STEP_IN=%d", (int)s->step_in);
    ocl_launch_option(launch, "STEP_OUT=%d", (int)s->step_out);
    ocl_launch_option(launch, "PARTS=%d", (int)s->parts);
    if (s->flip) ocl_launch_option(launch, "FLIP");
    return launch;
}

static void add_input(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const winograd_shape *s) {
    const p2p_tensor *src = &op->t[s->src];
    ocl_launch *launch = add_launch(target, plan, s, "winograd_input.cl", "winograd_input",
                                    src->n * s->tiles_h, ocl_blocks(src->c));
    ocl_conv_arg_activation(launch, op, s->src);
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, (uint64_t)point_words(s));
    ocl_arg_int(launch, s->shares * s->tiles_each);
    ocl_arg_int(launch, s->src_h);
    ocl_arg_int(launch, s->src_w);
    ocl_arg_int(launch, src->n);
    ocl_arg_int(launch, s->tiles_h);
    ocl_arg_int(launch, s->tiles_w);
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
    if (s->turn) ocl_launch_option(launch, "TURN");
    ocl_arg_scratch(launch, 0);
    ocl_arg_ulong(launch, (uint64_t)point_words(s));
    ocl_arg_operand(launch, s->filter);
    ocl_arg_int(launch, s->row_blocks);
    ocl_arg_int(launch, s->shares * s->tiles_each);
    ocl_arg_optional(launch, op, s->bias, s->filter);
    ocl_conv_arg_activation(launch, op, s->dst);
    ocl_arg_int(launch, s->dst_h);
    ocl_arg_int(launch, s->dst_w);
    ocl_arg_int(launch, op->t[s->dst].n);
    ocl_arg_int(launch, s->tiles_h);
    ocl_arg_int(launch, s->tiles_w);
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    ocl_arg_int(launch, ocl_accumulates(op, s->dst));
}

static bool has_taps(const p2p_op *op) {
    if (op->kind == P2P_KIND_conv_bwd_filter) return false;
    const p2p_tensor *w = &op->t[shape_of(op).filter];
    return w->h == FILTER_TAPS && w->w == FILTER_TAPS && ocl_stride(op) <= MAX_STRIDE;
}

p2p_status ocl_plan_bf16_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    if (!has_taps(op))
        return ocl_refuse(target, op,
                          "Winograd in bf16 takes 4 x 4 taps with stride 1 or 2, no filter gradient");
    winograd_shape s = shape_of(op);
    P2P_TRY(ocl_conv_check_activation(target, op, s.src));
    P2P_TRY(ocl_conv_check_activation(target, op, s.dst));
    P2P_TRY(ocl_conv_check_filter(target, op, s.filter, true));
    P2P_TRY(ocl_want_plain(target, op, s.bias));
    share_tiles(target, &s, op->t[s.dst].n * s.tiles_h * s.tiles_w);
    if (point_words(&s) > MAX_SCRATCH_FLOATS / SQUARE)
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
enum { LEAST_CHANNELS = 16, LEAST_EXTENT = 8 };
static const double multiply_cost = 0.53, filter_cost = 4, transform_cost = 8;

bool ocl_bf16_winograd_pays(const ocl_target *target, const p2p_op *op) {
    if (!has_taps(op)) return false;
    winograd_shape s = shape_of(op);
    const p2p_tensor *src = &op->t[s.src], *dst = &op->t[s.dst];
    if (src->c < LEAST_CHANNELS || dst->c < LEAST_CHANNELS) return false;
    /* On smaller maps some gradients are exactly zero; see ocl_conv_winograd.c. */
    if (ocl_min(ocl_min(src->h, src->w), ocl_min(dst->h, dst->w)) < LEAST_EXTENT) return false;
    const int64_t images = op->images ? op->images : dst->n, tiles = images * s.tiles_h * s.tiles_w;
    share_tiles(target, &s, tiles);
    const double pairs = (double)(s.row_blocks * 8 * s.vectors * SQUARE);
    const double cost = pairs * (double)tiles * multiply_cost +
                        pairs * (double)s.shares * filter_cost * (s.turn ? 2 : 1) +
                        (double)((s.row_blocks + s.vectors) * tiles * SQUARE) * transform_cost;
    const double flops = p2p_op_flops(op) * (double)images / (double)dst->n;
    return cost < flops / (4 * OCL_LANES) * multiply_cost;
}
