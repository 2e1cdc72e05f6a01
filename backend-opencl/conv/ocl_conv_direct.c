/* Planner of direct convolutions for CPU devices: kernels/conv/conv_direct_tile.cl (forward and data
 * gradient) and conv_direct_repack.cl (filters in other layouts). Filter gradients are planned in
 * ocl_conv_direct_filter.c.
 *
 * Tiles are chosen by a cost estimate from the shape, fitted to measurements; nothing is timed here. The
 * choice affects speed only.
 */
#include "ocl_conv_direct.h"

#include "ocl_conv_direct_filter.h"
#include "ocl_conv_shared.h"
#include "ocl_conv_stream.h"

#include <stdio.h>
#include <string.h>

enum {
    SPREAD_OUTPUTS = 8,   /* output channels up to which the phases of a data gradient share a vector */
    SPREAD_PHASES = 16,   /* and phases up to which they do */
    UNIT_ITEMS = 8,       /* work-items per thread for load balance, if there are enough groups */
    UNIT_ITEMS_LEAST = 4, /* the same if tiles have to be divided for it */
    TILES = 8,            /* per work-item, at most */
    SUMS = 32,            /* tiles x groups x phases per work-item, at most */
    PACK_TILES = 32,      /* of a work-item that packs its filters itself */
    PACK_TILES_LEAST = 8, /* least number of tiles that amortises packing */
    PACK_SUMS = 128,
    PACK_PHASES = 4,         /* phases up to which a work-item packs its filters itself */
    PACK_BYTES = 64 << 10,   /* of packed filters in a work-item */
    PATCH_BYTES = 160 << 10, /* of patches in a work-item */
    TAPS_OF_CHUNK = 16,      /* taps x channel blocks during which sums stay in registers */
    MOST_VECS = 4,           /* of output channels in a tile */
    TILE_VARIANTS = 4,       /* candidates of the tuner beside the planner's own tile */
};

/* A tile of positions, and the vectors of output channels computed for each of them. */
typedef struct {
    int64_t images, rows, columns, vecs;
} register_tile;

/* The meaning of lanes: output channels; input channels, for few outputs; phases, for few outputs of a
 * strided data gradient. */
typedef enum { PLAIN, DOT, SPREAD } lane_form;

static const char *const form_names[] = {[PLAIN] = "plain", [DOT] = "dot", [SPREAD] = "spread"};

/* A convolution in the terms of conv_direct_tile.cl. */
typedef struct {
    lane_form form;
    bool bf16;
    int src, filter, bias, dst; /* positions in p2p_op.t[] */
    bool flip;                  /* reversed taps, in phases */
    int64_t taps_h, taps_w, step_in, step_out, pad_top, pad_left;
    int64_t reach_h, reach_w; /* rows and columns of src under one position */
    int64_t rows, columns;    /* positions of one phase of one image */
    int64_t first_h, first_w; /* the pixel of dst at position 0 */
    int64_t filter_blocks;    /* of output channels, in the filter as the kernel reads it */
    int64_t spread;           /* lanes of a phase, in that form */
    int64_t spread_step;
    register_tile tile;
    int64_t chunk, max_tiles, max_sums; /* compile-time limits of the kernel */
    int64_t tiles_h, tiles_w, tiles;
    int64_t tiles_each, groups_each, phases_each;
} direct_shape;

/* ---- Tiles ----------------------------------------------------------------------------------------- */

/* Time of one tap and input channel of a tile, in half cycles. Two multiplications and two loads are issued
 * per cycle; about twelve sums must be in flight to hide their latency; the second-level cache delivers a
 * vector of filters every two and a half cycles. */
static int64_t tap_cost(const ocl_target *target, const register_tile *tile) {
    const int64_t positions = tile->images * tile->rows * tile->columns;
    const int64_t vectors = tile->vecs * ocl_conv_registers(target);
    return ocl_max(ocl_max(positions * vectors, positions + vectors), ocl_max(12, 5 * tile->vecs));
}

static int64_t patch_rows(const direct_shape *s, const register_tile *tile) {
    return tile->images * ((tile->rows - 1) * s->step_in + s->reach_h);
}

static int64_t patch_vectors(const direct_shape *s, const register_tile *tile) {
    return patch_rows(s, tile) * ((tile->columns - 1) * s->step_in + s->reach_w);
}

static int64_t element_bytes(const direct_shape *s) {
    return s->bf16 ? (int64_t)sizeof(uint16_t) : (int64_t)sizeof(float);
}

static int64_t patch_bytes(const direct_shape *s) {
    return patch_vectors(s, &s->tile) * OCL_LANES * element_bytes(s);
}

/* Time of all sums with such tiles, in half cycles, for one block of input channels: the taps, their
 * overhead, and the patches, which SHARED_BY groups of output channels share. */
static double tile_cost(const ocl_target *target, const p2p_op *op, const direct_shape *s,
                        const register_tile *tile) {
    enum { SUMMING = 120, VECTOR_COPY = 3, ROW_COPY = 32, SHARED_BY = 4 };
    const int64_t phases = s->step_out * s->step_out, groups = p2p_divide_up(s->filter_blocks, tile->vecs);
    const int64_t taps = p2p_divide_up(s->taps_h, s->step_out) * p2p_divide_up(s->taps_w, s->step_out);
    const int64_t channels = ocl_min(op->t[s->src].c, OCL_LANES);
    const double sums =
        (double)(phases * groups) * ((double)(taps * channels) * (double)tap_cost(target, tile) + SUMMING);
    const double copies = (double)p2p_divide_up(groups, SHARED_BY) *
                          (double)(patch_vectors(s, tile) * ocl_conv_registers(target) * VECTOR_COPY +
                                   patch_rows(s, tile) * ROW_COPY);
    return (sums + copies) * (double)p2p_divide_up(op->t[s->dst].n, tile->images) *
           (double)p2p_divide_up(s->rows, tile->rows) * (double)p2p_divide_up(s->columns, tile->columns);
}

typedef struct {
    register_tile tile;
    double cost;
} costed_tile;

/* Inserts a tile into the sorted list of the `most` cheapest; equal costs keep their order. */
static void rank_tile(costed_tile *best, int *count, int most, const register_tile *tile, double cost) {
    int at = *count;
    while (at > 0 && cost < best[at - 1].cost) at--;
    if (at == most) return;
    if (*count < most) ++*count;
    for (int i = *count - 1; i > at; i--) best[i] = best[i - 1];
    best[at] = (costed_tile){*tile, cost};
}

/* Lists the at most `most` tiles with the least estimated time among those with up to `sums` accumulators.
 * Among equals the one with the fewest vectors comes first, then the one with the longest row. Rows of 8
 * positions by 2 vectors run at full speed; small maps get squares, several images or more vectors. Returns
 * their number. */
static int rank_tiles(const ocl_target *target, const p2p_op *op, const direct_shape *s, int64_t sums,
                      costed_tile *best, int most) {
    static const int64_t widths[] = {16, 12, 8, 6, 4, 3, 2, 1};
    int count = 0;
    for (int64_t vecs = 1; vecs <= MOST_VECS && vecs < 2 * s->filter_blocks; vecs *= 2)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int64_t h = 4; h >= 1; h /= 2)
                for (int64_t n = 1; n <= 16; n *= 2) {
                    const register_tile tile = {n, h, widths[w], vecs};
                    if (n * h * widths[w] * vecs > sums || (widths[w] == 12 && vecs == 1)) continue;
                    rank_tile(best, &count, most, &tile, tile_cost(target, op, s, &tile));
                }
    return count;
}

static bool same_tile(const register_tile *a, const register_tile *b) {
    return a->images == b->images && a->rows == b->rows && a->columns == b->columns && a->vecs == b->vecs;
}

/* The target's variant, or the tile with the least estimated time. */
static p2p_status choose_tile(const ocl_target *target, const p2p_op *op, direct_shape *s) {
    costed_tile best = {{1, 1, 1, 1}, 0};
    int64_t n[4];
    if (!ocl_has_variant(target)) {
        rank_tiles(target, op, s, ocl_conv_sums(target, OCL_SUMS_USUAL), &best, 1);
        s->tile = best.tile;
        return P2P_OK;
    }
    if (!ocl_variant_numbers(target->variant, n, 4) || n[0] * n[1] > OCL_CONV_MOST_SUMS ||
        n[2] * n[3] > OCL_CONV_MOST_SUMS ||
        n[0] * n[1] * n[2] * n[3] > ocl_conv_sums(target, OCL_SUMS_MOST) || n[3] > MOST_VECS)
        return ocl_refuse(target, op, "'%s' is not a tile of at most %d sums", target->variant,
                          (int)ocl_conv_sums(target, OCL_SUMS_MOST));
    s->tile = (register_tile){n[0], n[1], n[2], n[3]};
    return P2P_OK;
}

/* ---- Forward and data gradient --------------------------------------------------------------------- */

/* The convolution of the descriptor, in the plain form. */
static direct_shape shape_of(const p2p_op *op) {
    const bool flip = op->kind == P2P_KIND_conv_bwd_data;
    direct_shape s = {.form = PLAIN,
                      .src = flip ? P2P_AT_conv_bwd_data_dy : P2P_AT_conv_fwd_x,
                      .filter = flip ? P2P_AT_conv_bwd_data_w : P2P_AT_conv_fwd_w,
                      .bias = flip ? P2P_AT_conv_bwd_data_bias : P2P_AT_conv_fwd_bias,
                      .dst = flip ? P2P_AT_conv_bwd_data_dx : P2P_AT_conv_fwd_y,
                      .bf16 = op->math == P2P_MATH_bf16,
                      .flip = flip,
                      .step_in = flip ? 1 : ocl_stride(op),
                      .step_out = flip ? ocl_stride(op) : 1,
                      .pad_top = op->pad_top,
                      .pad_left = op->pad_left};
    const p2p_tensor *w = &op->t[s.filter], *dst = &op->t[s.dst];
    s.taps_h = w->h;
    s.taps_w = w->w;
    /* Unless the stride divides the padding, some phases begin one row later than others. */
    s.reach_h = p2p_divide_up(s.taps_h, s.step_out) + (s.pad_top % s.step_out != 0);
    s.reach_w = p2p_divide_up(s.taps_w, s.step_out) + (s.pad_left % s.step_out != 0);
    s.rows = p2p_divide_up(dst->h, s.step_out);
    s.columns = p2p_divide_up(dst->w, s.step_out);
    s.filter_blocks = ocl_blocks(dst->c);
    return s;
}

/* Few output channels, forward: one vector of input channels for each. */
static void make_dot(const ocl_target *target, const p2p_op *op, direct_shape *s) {
    s->form = DOT;
    s->filter_blocks = op->t[s->dst].c;
    s->tile = (register_tile){1, 1, 1, s->filter_blocks};
    while (s->tile.columns < 8 && 2 * s->tile.columns * s->tile.vecs <= ocl_conv_sums(target, OCL_SUMS_USUAL))
        s->tile.columns *= 2;
    while (2 * s->tile.rows * s->tile.columns * s->tile.vecs <= ocl_conv_sums(target, OCL_SUMS_USUAL))
        s->tile.rows *= 2;
}

/* Few output channels, data gradient. Counted from the corner of the padded image, position i of every
 * phase reads the same rows of dy, i - (taps - 1) to i, so the phases are lanes of one convolution. */
static void make_spread(const p2p_op *op, direct_shape *s) {
    const p2p_tensor *dst = &op->t[s->dst];
    const int64_t stride = s->step_out, skipped_h = s->pad_top / stride, skipped_w = s->pad_left / stride;
    s->form = SPREAD;
    s->spread = dst->c <= SPREAD_OUTPUTS / 2 ? SPREAD_OUTPUTS / 2 : SPREAD_OUTPUTS;
    s->spread_step = stride;
    s->flip = false;
    s->step_out = 1;
    s->taps_h = s->reach_h = p2p_divide_up(s->taps_h, stride);
    s->taps_w = s->reach_w = p2p_divide_up(s->taps_w, stride);
    s->rows = (dst->h - 1 + s->pad_top) / stride + 1 - skipped_h;
    s->columns = (dst->w - 1 + s->pad_left) / stride + 1 - skipped_w;
    s->first_h = skipped_h * stride - s->pad_top;
    s->first_w = skipped_w * stride - s->pad_left;
    s->pad_top = s->taps_h - 1 - skipped_h;
    s->pad_left = s->taps_w - 1 - skipped_w;
    s->filter_blocks = p2p_divide_up(stride * stride * s->spread, OCL_LANES);
}

static void count_tiles(const p2p_op *op, direct_shape *s) {
    s->tiles_h = p2p_divide_up(s->rows, s->tile.rows);
    s->tiles_w = p2p_divide_up(s->columns, s->tile.columns);
    s->tiles = p2p_divide_up(op->t[s->dst].n, s->tile.images) * s->tiles_h * s->tiles_w;
}

/* Bytes of one channel block of packed filters. */
static int64_t packed_bytes(const direct_shape *s) {
    return s->tile.vecs * s->taps_h * s->taps_w * OCL_LANES * OCL_LANES * element_bytes(s);
}

/* Whether a work-item packs the filters that it uses, so that they are read from memory only once. Not with
 * too many phases or taps. */
static bool packs_itself(const direct_shape *s) {
    return s->step_out * s->step_out <= PACK_PHASES && packed_bytes(s) <= PACK_BYTES &&
           PACK_TILES * patch_bytes(s) <= PATCH_BYTES;
}

static int64_t item_count(const direct_shape *s) {
    return p2p_divide_up(s->tiles, s->tiles_each) *
           p2p_divide_up(p2p_divide_up(s->filter_blocks, s->tile.vecs), s->groups_each) *
           p2p_divide_up(s->step_out * s->step_out, s->phases_each);
}

/* Divides the work: first many tiles per work-item, so that each filter is reused often while it is cached,
 * then many groups of output channels, so that each patch is reused; fewer if there would be too few
 * work-items. */
static void share_work(const ocl_target *target, direct_shape *s, bool pack) {
    const int64_t groups = p2p_divide_up(s->filter_blocks, s->tile.vecs), units = target->compute_units;
    s->phases_each = ocl_min(s->step_out * s->step_out, s->max_sums);
    s->tiles_each = ocl_min(s->max_tiles, s->max_sums / s->phases_each);
    s->tiles_each = p2p_divide_up(s->tiles, p2p_divide_up(s->tiles, s->tiles_each));
    s->groups_each = ocl_min(groups, s->max_sums / (s->phases_each * s->tiles_each));
    while (s->groups_each > 1 && item_count(s) < UNIT_ITEMS * units)
        s->groups_each = p2p_divide_up(s->groups_each, 2);
    while (s->tiles_each > (pack ? PACK_TILES_LEAST : 1) && item_count(s) < UNIT_ITEMS_LEAST * units)
        s->tiles_each = p2p_divide_up(s->tiles_each, 2);
}

static void add_tile_options(ocl_launch *launch, const direct_shape *s, bool turn) {
    ocl_launch_option(launch, "STEP_IN=%d", (int)s->step_in);
    ocl_launch_option(launch, "STEP_OUT=%d", (int)s->step_out);
    ocl_launch_option(launch, "REACH_H=%d", (int)s->reach_h);
    ocl_launch_option(launch, "REACH_W=%d", (int)s->reach_w);
    ocl_launch_option(launch, "TILE_N=%d", (int)s->tile.images);
    ocl_launch_option(launch, "TILE_H=%d", (int)s->tile.rows);
    ocl_launch_option(launch, "TILE_W=%d", (int)s->tile.columns);
    ocl_launch_option(launch, "VECS=%d", (int)s->tile.vecs);
    ocl_launch_option(launch, "CHUNK=%d", (int)s->chunk);
    ocl_launch_option(launch, "MAX_TILES=%d", (int)s->max_tiles);
    ocl_launch_option(launch, "MAX_SUMS=%d", (int)s->max_sums);
    if (turn) ocl_launch_option(launch, "TURN");
    if (turn || s->bf16) ocl_launch_option(launch, "TAPS=%d", (int)(s->taps_h * s->taps_w));
    if (s->form == DOT) ocl_launch_option(launch, "DOT");
    if (s->spread) ocl_launch_option(launch, "SPREAD=%d", (int)s->spread);
    if (s->spread) ocl_launch_option(launch, "SPREAD_STEP=%d", (int)s->spread_step);
}

/* The launch of conv_direct_tile; `repacked`: the filter is at the start of the scratch memory. */
static void add_tile_launch(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const direct_shape *s,
                            bool repacked, bool turn) {
    const int64_t phases = s->step_out * s->step_out, groups = p2p_divide_up(s->filter_blocks, s->tile.vecs);
    ocl_launch *launch = ocl_conv_launch_cpu(
        target, plan, "conv_direct_tile.cl", "conv_direct_tile", p2p_divide_up(s->tiles, s->tiles_each),
        p2p_divide_up(groups, s->groups_each), p2p_divide_up(phases, s->phases_each));
    if (s->bf16) {
        launch->source[3] = launch->source[2];
        launch->source[2] = "bf16.clh";
        ocl_bf16_options(target, launch);
    }
    add_tile_options(launch, s, turn);
    ocl_conv_arg_activation(launch, op, s->src);
    if (repacked)
        ocl_arg_scratch(launch, 0);
    else
        ocl_arg_operand(launch, s->filter);
    ocl_arg_int(launch, s->filter_blocks);
    ocl_arg_int(launch, s->taps_h);
    ocl_arg_int(launch, s->taps_w);
    ocl_arg_int(launch, s->flip);
    ocl_arg_optional(launch, op, s->bias, s->filter);
    ocl_conv_arg_activation(launch, op, s->dst);
    ocl_arg_int(launch, s->first_h);
    ocl_arg_int(launch, s->first_w);
    ocl_arg_int(launch, op->t[s->dst].n);
    ocl_arg_int(launch, s->pad_top);
    ocl_arg_int(launch, s->pad_left);
    ocl_arg_int(launch, s->tiles_h);
    ocl_arg_int(launch, s->tiles_w);
    ocl_arg_int(launch, s->tiles);
    ocl_arg_int(launch, s->tiles_each);
    ocl_arg_int(launch, s->groups_each);
    ocl_arg_int(launch, s->phases_each);
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    ocl_arg_int(launch, p2p_op_accumulates(op, s->dst));
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "conv_direct_tile %s%s%s %dx%dx%dx%d",
             form_names[s->form], turn ? "+turn" : "", s->bf16 ? " bf16" : "", (int)s->tile.images,
             (int)s->tile.rows, (int)s->tile.columns, (int)s->tile.vecs);
}

/* Launch that repacks the filter to scratch memory in the layout of the form. `channels_last`: its lanes
 * run along src's channels. */
static void add_repack(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const direct_shape *s,
                       const char *kernel, bool channels_last) {
    const p2p_tensor *w = &op->t[s->filter];
    const int64_t in_blocks = ocl_blocks(op->t[s->src].c), taps = s->taps_h * s->taps_w;
    const bool dot = s->form == DOT;
    ocl_launch *launch =
        ocl_conv_launch_cpu(target, plan, "conv_direct_repack.cl", kernel, in_blocks, s->filter_blocks, 1);
    ocl_arg_operand(launch, s->filter);
    ocl_arg_scratch(launch, 0);
    ocl_arg_int(launch, s->spread ? w->h : taps);
    if (s->spread) {
        ocl_arg_int(launch, w->w);
        ocl_arg_int(launch, s->taps_h);
        ocl_arg_int(launch, s->taps_w);
        ocl_arg_int(launch, s->spread_step);
        ocl_arg_int(launch, op->t[s->dst].c);
        ocl_arg_int(launch, s->spread);
        ocl_arg_int(launch, channels_last ? OCL_LANES : 1);
        ocl_arg_int(launch, channels_last ? 1 : OCL_LANES);
    }
    const int64_t floats = in_blocks * s->filter_blocks * taps * (dot ? OCL_LANES : OCL_LANES * OCL_LANES);
    plan->answer.scratch_bytes = (size_t)floats * sizeof(float);
}

static p2p_status choose_form(const ocl_target *target, const p2p_op *op, direct_shape *s,
                              bool channels_last) {
    const p2p_tensor *src = &op->t[s->src], *dst = &op->t[s->dst];
    const int64_t phases = s->step_out * s->step_out;
    if (!s->flip && !channels_last && dst->c <= OCL_CONV_FEW_OUTPUTS && src->c >= OCL_LANES) {
        make_dot(target, op, s);
        if (!ocl_has_variant(target)) return P2P_OK;
        return ocl_refuse(target, op, "so few output channels have one tile only");
    }
    if (s->flip && phases > 1 && phases <= SPREAD_PHASES && dst->c <= SPREAD_OUTPUTS) make_spread(op, s);
    return choose_tile(target, op, s);
}

/* Compile-time limits of the kernel: tiles, sums and channel blocks of a work-item. */
static void limit_work(direct_shape *s, bool pack) {
    const int64_t phases = s->step_out * s->step_out, taps = s->taps_h * s->taps_w;
    s->max_tiles = pack ? PACK_TILES : TILES;
    s->max_sums = pack ? PACK_SUMS : SUMS;
    while (s->max_tiles > 1 && s->max_tiles * patch_bytes(s) > PATCH_BYTES) s->max_tiles /= 2;
    s->chunk = ocl_max(1, TAPS_OF_CHUNK * phases / taps);
    while (s->chunk > 1 && (s->max_tiles * s->chunk * patch_bytes(s) > PATCH_BYTES ||
                            (pack && s->chunk * packed_bytes(s) > PACK_BYTES)))
        s->chunk /= 2;
}

static p2p_status refuse_bf16(const ocl_target *target, const p2p_op *op, const direct_shape *s) {
    if (s->form != PLAIN) return ocl_refuse(target, op, "so few channels are summed in fp32");
    return ocl_refuse(target, op, "filters with so many taps or phases are not packed into bf16");
}

/* Whether lanes run along src's channels: ckrs for a data gradient, kcrs_t forward. */
static bool has_channels_last(const p2p_op *op, const direct_shape *s) {
    return (op->t[s->filter].layout == P2P_LAYOUT_ckrs) == s->flip;
}

static p2p_status plan_tile(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    direct_shape s = shape_of(op);
    P2P_TRY(ocl_conv_check_activation(target, op, s.src));
    P2P_TRY(ocl_conv_check_activation(target, op, s.dst));
    P2P_TRY(ocl_conv_check_filter(target, op, s.filter, true));
    P2P_TRY(ocl_require_plain(target, op, s.bias));
    P2P_TRY(ocl_conv_check_stride(target, op));
    const bool channels_last = has_channels_last(op, &s);
    P2P_TRY(choose_form(target, op, &s, channels_last));
    count_tiles(op, &s);
    const bool plain = s.form == PLAIN, pack = plain && (channels_last || s.bf16) && packs_itself(&s);
    const bool turn = pack && channels_last;
    if (s.bf16 && !pack) return refuse_bf16(target, op, &s);
    limit_work(&s, pack);
    if (patch_bytes(&s) > PATCH_BYTES)
        return ocl_refuse(target, op, "a filter of %lld x %lld taps reads more than a tile's patch holds",
                          (long long)s.taps_h, (long long)s.taps_w);
    share_work(target, &s, pack);
    if (s.spread)
        add_repack(target, op, plan, &s, "conv_direct_repack_spread", channels_last);
    else if (!plain)
        add_repack(target, op, plan, &s, "conv_direct_repack_dot", channels_last);
    else if (channels_last && !turn)
        add_repack(target, op, plan, &s, "conv_direct_repack_turn", channels_last);
    add_tile_launch(target, op, plan, &s, plan->launch_count > 0, turn);
    return P2P_OK;
}

/* Whether the form for small maps is used: tiles do not stream filters. */
static bool streams(const ocl_target *target, const p2p_op *op) {
    if (op->math == P2P_MATH_bf16) return false;
    if (ocl_has_variant(target)) return strcmp(target->variant, OCL_CONV_STREAM) == 0;
    return ocl_conv_stream_pays(target, op);
}

p2p_status ocl_plan_conv_direct(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    if (streams(target, op)) return ocl_plan_conv_stream(target, op, plan);
    return op->kind == P2P_KIND_conv_bwd_filter ? ocl_plan_conv_direct_filter(target, op, plan)
                                                : plan_tile(target, op, plan);
}

/* ---- Variants -------------------------------------------------------------------------------------- */

/* `all`: include the tile that the planner would choose. */
static int list_tiles(const ocl_target *target, const p2p_op *op, bool all,
                      ocl_variant_name names[OCL_MOST_VARIANTS]) {
    direct_shape s = shape_of(op);
    costed_tile best[1 + TILE_VARIANTS];
    ocl_target free_choice = *target;
    free_choice.variant = NULL;
    if (choose_form(&free_choice, op, &s, has_channels_last(op, &s)) != P2P_OK || s.form == DOT) return 0;
    const int ranked =
        rank_tiles(target, op, &s, ocl_conv_sums(target, OCL_SUMS_MOST), best, 1 + TILE_VARIANTS);
    int count = 0;
    for (int i = 0; i < ranked && count < TILE_VARIANTS; i++) {
        const register_tile *t = &best[i].tile;
        if (!all && same_tile(t, &s.tile)) continue;
        snprintf(names[count++], sizeof names[0], "%dx%dx%dx%d", (int)t->images, (int)t->rows,
                 (int)t->columns, (int)t->vecs);
    }
    return count;
}

int ocl_conv_direct_variants(const ocl_target *target, const p2p_op *op,
                             ocl_variant_name names[OCL_MOST_VARIANTS]) {
    ocl_target free_choice = *target;
    free_choice.variant = NULL;
    const bool small = streams(&free_choice, op), gradient = op->kind == P2P_KIND_conv_bwd_filter;
    int count = 0;
    if (!gradient) count = list_tiles(target, op, small, names);
    if (gradient && op->math != P2P_MATH_bf16)
        count = ocl_conv_direct_filter_variants(target, op, small, names);
    if (!small) snprintf(names[count++], sizeof names[0], "%s", OCL_CONV_STREAM);
    return count;
}
