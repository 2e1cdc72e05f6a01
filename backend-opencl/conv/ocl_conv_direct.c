/* Planner of direct convolutions for CPU devices: kernels/conv/conv_direct_tile.cl (forward and data
 * gradient), conv_direct_filter.cl (filter gradient), conv_direct_repack.cl (filters in other layouts).
 *
 * Tiles are chosen by a cost estimate from the shape, fitted to measurements; nothing is timed here. The
 * choice affects speed only, with one exception: the number of parts into which a filter gradient is
 * divided, which depends on the shape and the device's vector width alone.
 */
#include "ocl_conv_direct.h"

#include "ocl_conv_shared.h"
#include "ocl_conv_stream.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_STRIDE = 1024,
    FEW_OUTPUTS = 3,      /* output channels up to which lanes run along the input channels */
    MAX_FEW_TAPS = 8,     /* columns of taps in such a filter gradient: its sums are registers */
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
    ROWS_BYTES = 128 << 10,  /* of the rows that a filter gradient processes at a time */
    PARTS_BYTES = 16 << 20,  /* of a filter gradient's parts together */
    FILTER_ITEMS = 32,       /* work-items of a filter gradient below which it is summed in parts */
    TAPS_OF_CHUNK = 16,      /* taps x channel blocks during which sums stay in registers */
    MOST_SUMS = 24,          /* vectors of sums that fit beside the operands in 32 registers */
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
} conv_shape;

static void reserve_scratch(ocl_plan *plan, int64_t floats) {
    plan->answer.scratch_bytes = (size_t)floats * sizeof(float);
}

/* ---- Tiles ----------------------------------------------------------------------------------------- */

/* Registers per vector of 16 floats. */
static int64_t registers(const ocl_target *target) {
    return target->vector_width >= 16 ? 1 : target->vector_width >= 8 ? 2 : 4;
}

/* Accumulators of 16 floats that fit in registers beside the operands: there are 32 registers if they are
 * 16 floats wide, else 16. */
static int64_t accumulators(const ocl_target *target) {
    return registers(target) == 1 ? 16 : registers(target) == 2 ? 6 : 3;
}

/* The most accumulators of a variant. Few compilers keep so many in registers, but some do. */
static int64_t most_sums(const ocl_target *target) {
    return registers(target) == 1 ? MOST_SUMS : accumulators(target);
}

/* Time of one tap and input channel of a tile, in half cycles. Two multiplications and two loads are issued
 * per cycle; about twelve sums must be in flight to hide their latency; the second-level cache delivers a
 * vector of filters every two and a half cycles. */
static int64_t tap_cost(const ocl_target *target, const register_tile *tile) {
    const int64_t positions = tile->images * tile->rows * tile->columns;
    const int64_t vectors = tile->vecs * registers(target);
    return ocl_max(ocl_max(positions * vectors, positions + vectors), ocl_max(12, 5 * tile->vecs));
}

static int64_t patch_rows(const conv_shape *s, const register_tile *tile) {
    return tile->images * ((tile->rows - 1) * s->step_in + s->reach_h);
}

static int64_t patch_vectors(const conv_shape *s, const register_tile *tile) {
    return patch_rows(s, tile) * ((tile->columns - 1) * s->step_in + s->reach_w);
}

static int64_t element_bytes(const conv_shape *s) {
    return s->bf16 ? (int64_t)sizeof(uint16_t) : (int64_t)sizeof(float);
}

static int64_t patch_bytes(const conv_shape *s) {
    return patch_vectors(s, &s->tile) * OCL_LANES * element_bytes(s);
}

/* Time of all sums with such tiles, in half cycles, for one block of input channels: the taps, their
 * overhead, and the patches, which SHARED_BY groups of output channels share. */
static double tile_cost(const ocl_target *target, const p2p_op *op, const conv_shape *s,
                        const register_tile *tile) {
    enum { SUMMING = 120, VECTOR_COPY = 3, ROW_COPY = 32, SHARED_BY = 4 };
    const int64_t phases = s->step_out * s->step_out, groups = p2p_divide_up(s->filter_blocks, tile->vecs);
    const int64_t taps = p2p_divide_up(s->taps_h, s->step_out) * p2p_divide_up(s->taps_w, s->step_out);
    const int64_t channels = ocl_min(op->t[s->src].c, OCL_LANES);
    const double sums =
        (double)(phases * groups) * ((double)(taps * channels) * (double)tap_cost(target, tile) + SUMMING);
    const double copies =
        (double)p2p_divide_up(groups, SHARED_BY) *
        (double)(patch_vectors(s, tile) * registers(target) * VECTOR_COPY + patch_rows(s, tile) * ROW_COPY);
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
static int rank_tiles(const ocl_target *target, const p2p_op *op, const conv_shape *s, int64_t sums,
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
static p2p_status choose_tile(const ocl_target *target, const p2p_op *op, conv_shape *s) {
    costed_tile best = {{1, 1, 1, 1}, 0};
    int64_t n[4];
    if (!target->variant || !target->variant[0]) {
        rank_tiles(target, op, s, accumulators(target), &best, 1);
        s->tile = best.tile;
        return P2P_OK;
    }
    if (!ocl_variant_numbers(target->variant, n, 4) || n[0] * n[1] > MOST_SUMS || n[2] * n[3] > MOST_SUMS ||
        n[0] * n[1] * n[2] * n[3] > most_sums(target) || n[3] > MOST_VECS)
        return ocl_refuse(target, op, "'%s' is not a tile of at most %d sums", target->variant,
                          (int)most_sums(target));
    s->tile = (register_tile){n[0], n[1], n[2], n[3]};
    return P2P_OK;
}

/* ---- Forward and data gradient --------------------------------------------------------------------- */

/* The convolution of the descriptor, in the plain form. */
static conv_shape shape_of(const p2p_op *op) {
    const bool flip = op->kind == P2P_KIND_conv_bwd_data;
    conv_shape s = {.form = PLAIN,
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
static void make_dot(const ocl_target *target, const p2p_op *op, conv_shape *s) {
    s->form = DOT;
    s->filter_blocks = op->t[s->dst].c;
    s->tile = (register_tile){1, 1, 1, s->filter_blocks};
    while (s->tile.columns < 8 && 2 * s->tile.columns * s->tile.vecs <= accumulators(target))
        s->tile.columns *= 2;
    while (2 * s->tile.rows * s->tile.columns * s->tile.vecs <= accumulators(target)) s->tile.rows *= 2;
}

/* Few output channels, data gradient. Counted from the corner of the padded image, position i of every
 * phase reads the same rows of dy, i - (taps - 1) to i, so the phases are lanes of one convolution. */
static void make_spread(const p2p_op *op, conv_shape *s) {
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

static void count_tiles(const p2p_op *op, conv_shape *s) {
    s->tiles_h = p2p_divide_up(s->rows, s->tile.rows);
    s->tiles_w = p2p_divide_up(s->columns, s->tile.columns);
    s->tiles = p2p_divide_up(op->t[s->dst].n, s->tile.images) * s->tiles_h * s->tiles_w;
}

/* Bytes of one channel block of packed filters. */
static int64_t packed_bytes(const conv_shape *s) {
    return s->tile.vecs * s->taps_h * s->taps_w * OCL_LANES * OCL_LANES * element_bytes(s);
}

/* Whether a work-item packs the filters that it uses, so that they are read from memory only once. Not with
 * too many phases or taps. */
static bool packs_itself(const conv_shape *s) {
    return s->step_out * s->step_out <= PACK_PHASES && packed_bytes(s) <= PACK_BYTES &&
           PACK_TILES * patch_bytes(s) <= PATCH_BYTES;
}

static int64_t item_count(const conv_shape *s) {
    return p2p_divide_up(s->tiles, s->tiles_each) *
           p2p_divide_up(p2p_divide_up(s->filter_blocks, s->tile.vecs), s->groups_each) *
           p2p_divide_up(s->step_out * s->step_out, s->phases_each);
}

/* Divides the work: first many tiles per work-item, so that each filter is reused often while it is cached,
 * then many groups of output channels, so that each patch is reused; fewer if there would be too few
 * work-items. */
static void share_work(const ocl_target *target, conv_shape *s, bool pack) {
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

static void add_tile_options(ocl_launch *launch, const conv_shape *s, bool turn) {
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
static void add_tile_launch(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const conv_shape *s,
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
static void add_repack(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const conv_shape *s,
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
    reserve_scratch(plan, in_blocks * s->filter_blocks * taps * (dot ? OCL_LANES : OCL_LANES * OCL_LANES));
}

static p2p_status choose_form(const ocl_target *target, const p2p_op *op, conv_shape *s, bool channels_last) {
    const p2p_tensor *src = &op->t[s->src], *dst = &op->t[s->dst];
    const int64_t phases = s->step_out * s->step_out;
    if (!s->flip && !channels_last && dst->c <= FEW_OUTPUTS && src->c >= OCL_LANES) {
        make_dot(target, op, s);
        if (!target->variant || !target->variant[0]) return P2P_OK;
        return ocl_refuse(target, op, "so few output channels have one tile only");
    }
    if (s->flip && phases > 1 && phases <= SPREAD_PHASES && dst->c <= SPREAD_OUTPUTS) make_spread(op, s);
    return choose_tile(target, op, s);
}

/* Compile-time limits of the kernel: tiles, sums and channel blocks of a work-item. */
static void limit_work(conv_shape *s, bool pack) {
    const int64_t phases = s->step_out * s->step_out, taps = s->taps_h * s->taps_w;
    s->max_tiles = pack ? PACK_TILES : TILES;
    s->max_sums = pack ? PACK_SUMS : SUMS;
    while (s->max_tiles > 1 && s->max_tiles * patch_bytes(s) > PATCH_BYTES) s->max_tiles /= 2;
    s->chunk = ocl_max(1, TAPS_OF_CHUNK * phases / taps);
    while (s->chunk > 1 && (s->max_tiles * s->chunk * patch_bytes(s) > PATCH_BYTES ||
                            (pack && s->chunk * packed_bytes(s) > PACK_BYTES)))
        s->chunk /= 2;
}

static p2p_status refuse_bf16(const ocl_target *target, const p2p_op *op, const conv_shape *s) {
    if (s->form != PLAIN) return ocl_refuse(target, op, "so few channels are summed in fp32");
    return ocl_refuse(target, op, "filters with so many taps or phases are not packed into bf16");
}

/* Whether lanes run along src's channels: ckrs for a data gradient, kcrs_t forward. */
static bool has_channels_last(const p2p_op *op, const conv_shape *s) {
    return (op->t[s->filter].layout == P2P_LAYOUT_ckrs) == s->flip;
}

static p2p_status plan_tile(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    conv_shape s = shape_of(op);
    P2P_TRY(ocl_conv_check_activation(target, op, s.src));
    P2P_TRY(ocl_conv_check_activation(target, op, s.dst));
    P2P_TRY(ocl_conv_check_filter(target, op, s.filter, true));
    P2P_TRY(ocl_require_plain(target, op, s.bias));
    if (ocl_stride(op) > MAX_STRIDE)
        return ocl_refuse(target, op, "a stride of %lld is more than %d", (long long)ocl_stride(op),
                          MAX_STRIDE);
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

/* ---- Filter gradient ------------------------------------------------------------------------------- */

enum { X = P2P_AT_conv_bwd_filter_x, DY = P2P_AT_conv_bwd_filter_dy, DW = P2P_AT_conv_bwd_filter_dw };

/* Few output channels: lanes run along the input channels. There are no parts, because each work-item has
 * one row of taps. */
static void plan_few_filters(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const p2p_tensor *dw = &op->t[DW];
    ocl_launch *launch = ocl_conv_launch_cpu(target, plan, "conv_direct_filter.cl", "conv_direct_filter_few",
                                             ocl_blocks(op->t[X].c), dw->h, 1);
    ocl_launch_option(launch, "STRIDE=%d", (int)ocl_stride(op));
    ocl_launch_option(launch, "ROWS=1");
    ocl_launch_option(launch, "VECS=1");
    ocl_launch_option(launch, "TAPS_W=%d", (int)dw->w);
    ocl_launch_option(launch, "FEW=%d", FEW_OUTPUTS);
    ocl_conv_arg_activation(launch, op, X);
    ocl_conv_arg_activation(launch, op, DY);
    ocl_arg_operand(launch, DW);
    ocl_arg_int(launch, op->t[X].n);
    ocl_arg_int(launch, op->pad_top);
    ocl_arg_int(launch, op->pad_left);
    ocl_arg_int(launch, p2p_op_accumulates(op, DW));
}

/* Input channels and vectors of output channels of a register tile; few input channels are all in one
 * tile. */
static register_tile default_filter_tile(const ocl_target *target, const p2p_op *op) {
    const int64_t room = accumulators(target), dy_blocks = ocl_blocks(op->t[DY].c);
    register_tile tile = {1, 1, 1, 1}; /* rows: input channels */
    if (op->t[X].c <= ocl_min(8, room)) {
        tile.rows = op->t[X].c;
    } else {
        while (tile.rows < 8 && 2 * tile.rows <= room) tile.rows *= 2;
    }
    while (2 * tile.rows * tile.vecs <= room && tile.vecs < dy_blocks && tile.vecs < 8) tile.vecs *= 2;
    return tile;
}

/* The target's variant, or the default. Rows must divide a block of channels, or be all of them. */
static p2p_status choose_filter_tile(const ocl_target *target, const p2p_op *op, register_tile *tile) {
    int64_t n[2];
    *tile = default_filter_tile(target, op);
    if (!target->variant || !target->variant[0]) return P2P_OK;
    if (!ocl_variant_numbers(target->variant, n, 2) || n[0] * n[1] > most_sums(target) ||
        (OCL_LANES % n[0] != 0 && (n[0] != op->t[X].c || n[0] > OCL_LANES)))
        return ocl_refuse(target, op, "'%s' is not a tile of at most %d sums", target->variant,
                          (int)most_sums(target));
    tile->rows = n[0];
    tile->vecs = n[1];
    return P2P_OK;
}

/* Division of the images' rows for a tile. With several parts it determines the order of summation. */
typedef struct {
    int64_t rows, parts;
} filter_division;

static filter_division divide_rows(const p2p_op *op, const register_tile *tile, int64_t size) {
    const p2p_tensor *x = &op->t[X], *dy = &op->t[DY];
    const int64_t items = ocl_blocks(x->c) * p2p_divide_up(ocl_blocks(dy->c), tile->vecs);
    const int64_t row_bytes =
        (dy->w * tile->vecs + ocl_stride(op) * x->w) * OCL_LANES * (int64_t)sizeof(float);
    filter_division d = {ocl_min(dy->h, ocl_max(1, ROWS_BYTES / row_bytes)), 1};
    if (items >= FILTER_ITEMS) return d;
    d.parts = ocl_min(p2p_divide_up(FILTER_ITEMS, items), dy->n * dy->h);
    d.parts = ocl_max(1, ocl_min(d.parts, PARTS_BYTES / (size * (int64_t)sizeof(float))));
    d.rows = ocl_min(d.rows, ocl_max(1, dy->n * dy->h / d.parts));
    return d;
}

static bool has_few_filters(const p2p_op *op) {
    return op->t[DY].c <= FEW_OUTPUTS && op->t[X].c >= OCL_LANES && op->t[DW].w <= MAX_FEW_TAPS;
}

void ocl_conv_direct_add_parts(const ocl_target *target, const p2p_op *op, ocl_plan *plan, uint64_t at,
                               int64_t size, int64_t parts) {
    ocl_launch *launch =
        ocl_conv_launch_cpu(target, plan, "conv_direct_filter.cl", "conv_direct_add_parts", size / 256, 1, 1);
    ocl_launch_option(launch, "STRIDE=1");
    ocl_launch_option(launch, "ROWS=1");
    ocl_launch_option(launch, "VECS=1");
    ocl_arg_scratch(launch, at);
    ocl_arg_ulong(launch, (uint64_t)size);
    ocl_arg_int(launch, parts);
    ocl_arg_operand(launch, DW);
    ocl_arg_int(launch, p2p_op_accumulates(op, DW));
}

static p2p_status plan_filter(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const p2p_tensor *x = &op->t[X], *dy = &op->t[DY], *dw = &op->t[DW];
    P2P_TRY(ocl_conv_check_activation(target, op, X));
    P2P_TRY(ocl_conv_check_activation(target, op, DY));
    P2P_TRY(ocl_conv_check_filter(target, op, DW, false));
    if (ocl_stride(op) > MAX_STRIDE)
        return ocl_refuse(target, op, "a stride of %lld is more than %d", (long long)ocl_stride(op),
                          MAX_STRIDE);
    if (has_few_filters(op)) {
        if (target->variant && target->variant[0])
            return ocl_refuse(target, op, "so few output channels have one tile only");
        plan_few_filters(target, op, plan);
        return P2P_OK;
    }
    register_tile tile;
    P2P_TRY(choose_filter_tile(target, op, &tile));
    const int64_t x_blocks = ocl_blocks(x->c), groups = p2p_divide_up(ocl_blocks(dy->c), tile.vecs);
    const int64_t size = x_blocks * ocl_blocks(dy->c) * dw->h * dw->w * OCL_LANES * OCL_LANES;
    const register_tile usual = default_filter_tile(target, op); /* for one order of summation */
    const filter_division d = divide_rows(op, &usual, size);
    const int64_t rows = d.rows, parts = d.parts;
    ocl_launch *launch = ocl_conv_launch_cpu(target, plan, "conv_direct_filter.cl", "conv_direct_filter",
                                             x_blocks, groups, parts);
    ocl_launch_option(launch, "STRIDE=%d", (int)ocl_stride(op));
    ocl_launch_option(launch, "ROWS=%d", (int)tile.rows);
    ocl_launch_option(launch, "VECS=%d", (int)tile.vecs);
    ocl_conv_arg_activation(launch, op, X);
    ocl_conv_arg_activation(launch, op, DY);
    if (parts > 1)
        ocl_arg_scratch(launch, 0);
    else
        ocl_arg_operand(launch, DW);
    ocl_arg_ulong(launch, (uint64_t)size);
    ocl_arg_int(launch, dw->h);
    ocl_arg_int(launch, dw->w);
    ocl_arg_int(launch, x->n);
    ocl_arg_int(launch, op->pad_top);
    ocl_arg_int(launch, op->pad_left);
    ocl_arg_int(launch, rows);
    ocl_arg_int(launch, parts);
    ocl_arg_int(launch, parts == 1 && p2p_op_accumulates(op, DW));
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "conv_direct_filter %dx%d in %d",
             (int)tile.rows, (int)tile.vecs, (int)parts);
    if (parts == 1) return P2P_OK;
    ocl_conv_direct_add_parts(target, op, plan, 0, size, parts);
    reserve_scratch(plan, size * parts);
    return P2P_OK;
}

/* Whether the form for small maps is used: tiles do not stream filters. */
static bool streams(const ocl_target *target, const p2p_op *op) {
    if (op->math == P2P_MATH_bf16) return false;
    if (target->variant && target->variant[0]) return strcmp(target->variant, OCL_CONV_STREAM) == 0;
    return ocl_conv_stream_pays(target, op);
}

p2p_status ocl_plan_conv_direct(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    if (streams(target, op)) return ocl_plan_conv_stream(target, op, plan);
    return op->kind == P2P_KIND_conv_bwd_filter ? plan_filter(target, op, plan) : plan_tile(target, op, plan);
}

/* ---- Variants -------------------------------------------------------------------------------------- */

/* `all`: include the tile that the planner would choose. */
static int list_tiles(const ocl_target *target, const p2p_op *op, bool all,
                      ocl_variant_name names[OCL_MOST_VARIANTS]) {
    conv_shape s = shape_of(op);
    costed_tile best[1 + TILE_VARIANTS];
    ocl_target free_choice = *target;
    free_choice.variant = NULL;
    if (choose_form(&free_choice, op, &s, has_channels_last(op, &s)) != P2P_OK || s.form == DOT) return 0;
    const int ranked = rank_tiles(target, op, &s, most_sums(target), best, 1 + TILE_VARIANTS);
    int count = 0;
    for (int i = 0; i < ranked && count < TILE_VARIANTS; i++) {
        const register_tile *t = &best[i].tile;
        if (!all && same_tile(t, &s.tile)) continue;
        snprintf(names[count++], sizeof names[0], "%dx%dx%dx%d", (int)t->images, (int)t->rows,
                 (int)t->columns, (int)t->vecs);
    }
    return count;
}

/* Tiles with at least as many sums as the usual tile, up to most_sums. */
static int list_filter_tiles(const ocl_target *target, const p2p_op *op, bool all,
                             ocl_variant_name names[OCL_MOST_VARIANTS]) {
    static const register_tile tiles[] = {{1, 8, 1, 3}, {1, 4, 1, 4}, {1, 16, 1, 1}, {1, 8, 1, 2},
                                          {1, 4, 1, 1}, {1, 2, 1, 2}, {1, 2, 1, 1},  {1, 1, 1, 2}};
    const register_tile usual = default_filter_tile(target, op);
    const int64_t sums = usual.rows * usual.vecs;
    int count = 0;
    if (has_few_filters(op)) return 0;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        const register_tile *t = &tiles[i];
        if ((!all && same_tile(t, &usual)) || t->rows * t->vecs < sums ||
            t->rows * t->vecs > most_sums(target) || t->vecs > ocl_blocks(op->t[DY].c) ||
            t->rows > ocl_blocks(op->t[X].c) * OCL_LANES)
            continue;
        snprintf(names[count++], sizeof names[0], "%dx%d", (int)t->rows, (int)t->vecs);
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
    if (gradient && op->math != P2P_MATH_bf16) count = list_filter_tiles(target, op, small, names);
    if (!small) snprintf(names[count++], sizeof names[0], "%s", OCL_CONV_STREAM);
    return count;
}
