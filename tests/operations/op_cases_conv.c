/* The convolutions of the table: every distinct layer of the full networks, then edge cases of extents,
 * channels, filters, strides, padding and batch. Each shape is used with all three kinds. Biases and
 * activations alternate from case to case, so that each is tested with many shapes without the full product.
 */
#include "op_tables.h"

#include <stddef.h>

/* A visit of shapes. `shapes`, the number of shapes so far, selects bias and activation. */
typedef struct {
    op_visit *visit;
    void *context;
    int shapes;
    int period; /* 1, or 3: only every third shape is visited */
} conv_walk;

double op_conv_macs(const op_conv_shape *shape) {
    const op_case item = op_case_conv(P2P_KIND_conv_fwd, shape);
    return p2p_op_flops(&item.op) / 2;
}

static void visit_layer(conv_walk *walk, p2p_kind kind, int turn, const op_conv_shape *shape) {
    static const struct {
        bool bias;
        p2p_act act;
        double slope;
    } options[] = {
        {false, P2P_ACT_none, 0}, {true, P2P_ACT_none, 0},  {false, P2P_ACT_lrelu, 0.25},
        {true, P2P_ACT_relu, 0},  {true, P2P_ACT_tanh, 0},  {true, P2P_ACT_lrelu, 0.2},
        {false, P2P_ACT_relu, 0}, {false, P2P_ACT_tanh, 0},
    };
    enum { COUNT = sizeof options / sizeof options[0] };
    turn %= COUNT;
    op_case item = op_case_conv(kind, shape);
    if (options[turn].bias) op_case_set_bias(&item);
    op_case_set_act(&item, options[turn].act, options[turn].slope);
    item.op.images = turn < COUNT / 2; /* per image, or per batch */
    walk->visit(walk->context, &item);
}

/* Visits one shape with all three kinds. */
static void visit_shape(conv_walk *walk, const op_conv_shape *shape) {
    /* Each kind is tested with all options, shifted between the two kinds. */
    const int turn = walk->shapes++;
    if (turn % walk->period != 0) return;
    visit_layer(walk, P2P_KIND_conv_fwd, turn, shape);
    visit_layer(walk, P2P_KIND_conv_bwd_data, turn + 3, shape);
    op_case item = op_case_conv(P2P_KIND_conv_bwd_filter, shape);
    walk->visit(walk->context, &item);
}

static op_conv_shape square(int64_t n, int64_t c, int64_t k, int64_t size, int64_t taps, int64_t stride,
                            int64_t pad) {
    return (op_conv_shape){n, c, size, size, k, taps, taps, stride, pad, pad, pad, pad};
}

/* ---- Layers of the networks --------------------------------------------------------------------------- */

/* The layers of the 256x256 U-Net and the 70x70 PatchGAN with 64 filters. A transposed convolution is listed
 * as the convolution that it transposes. Equal layers are listed once. */
static const struct {
    int64_t c, k, size, stride;
} layers[] = {
    {3, 64, 256, 2},    {64, 128, 128, 2}, {128, 256, 64, 2},  {256, 512, 32, 2}, /* e1 to e4, D2, D3 */
    {512, 512, 16, 2},  {512, 512, 8, 2},  {512, 512, 4, 2},   {512, 512, 2, 2},  /* e5 to e8, d1 */
    {512, 1024, 4, 2},  {512, 1024, 8, 2}, {512, 1024, 16, 2},                    /* d2 to d4 */
    {256, 1024, 32, 2}, {128, 512, 64, 2}, {64, 256, 128, 2},  {3, 128, 256, 2},  /* d5 to d8 */
    {6, 64, 256, 2},    {256, 512, 32, 1}, {512, 1, 31, 1},                       /* D1, D4, D5 */
};

/* The multiply-adds that the reference computes in a fraction of a second. */
static const double small_macs = 1.5e6;

/* Reduces a shape to `most_macs`: first the extents, down to 8 at least, then the channels, down to 32 at
 * least. */
static op_conv_shape shrink(op_conv_shape shape, double most_macs) {
    while (op_conv_macs(&shape) > most_macs && shape.h >= 16) shape.h = shape.w = shape.h / 2;
    while (op_conv_macs(&shape) > most_macs && (shape.c >= 64 || shape.k >= 64)) {
        if (shape.c >= shape.k) {
            shape.c /= 2;
        } else {
            shape.k /= 2;
        }
    }
    return shape;
}

void op_cases_layers(const op_tier *tier, op_visit *visit, void *context) {
    conv_walk walk = {.visit = visit, .context = context, .period = tier->sparse ? 3 : 1};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        op_conv_shape shape = square(1, layers[i].c, layers[i].k, layers[i].size, 4, layers[i].stride, 1);
        if (!tier->full_size) shape = shrink(shape, tier->macs > 0 ? tier->macs : small_macs);
        visit_shape(&walk, &shape);
    }
}

/* ---- Edges -------------------------------------------------------------------------------------------- */

/* Extents around multiples of tile sizes, each with another as the second extent, with the networks' filters
 * and a common 3x3 filter. Fewer: each extent with one of the three. */
static void visit_extents(conv_walk *walk, bool fewer) {
    static const int64_t extents[] = {1, 31, 32, 33, 63, 64, 65};
    enum { COUNT = sizeof extents / sizeof extents[0] };
    for (int i = 0; i < COUNT; i++) {
        int64_t h = extents[i], w = extents[(i * 3 + 2) % COUNT];
        const op_conv_shape shapes[] = {{1, 17, h + 1, w + 1, 6, 4, 4, 2, 1, 1, 1, 1},
                                        {1, 3, h, w, 17, 3, 3, 1, 1, 1, 1, 1},
                                        {1, 6, h + 1, w + 1, 16, 4, 4, 1, 1, 1, 1, 1}};
        for (int j = 0; j < 3; j++) {
            if (!fewer || i % 3 == j) visit_shape(walk, &shapes[j]);
        }
    }
}

/* Every pair of numbers of channels. Fewer: two pairs for each number. */
static void visit_channels(conv_walk *walk, bool fewer) {
    static const int64_t channels[] = {1, 3, 6, 15, 16, 17, 48, 64};
    enum { COUNT = sizeof channels / sizeof channels[0] };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            bool strided = (i + j) % 2 == 0;
            op_conv_shape shape = strided ? square(1, channels[i], channels[j], 6, 4, 2, 1)
                                          : square(1, channels[i], channels[j], 5, 3, 1, 1);
            if (!fewer || (i * 3 + j) % COUNT < 2) visit_shape(walk, &shape);
        }
    }
}

/* Every filter and stride with every padding smaller than the filter: all phases of strided gradients, rows
 * and columns outside of all taps, extents that are not multiples of the stride. Fewer: one padding each. */
static void visit_geometry(conv_walk *walk, bool fewer) {
    static const int64_t filters[] = {1, 3, 4, 5};
    for (int i = 0; i < 4; i++) {
        for (int64_t stride = 1; stride <= 3; stride++) {
            for (int64_t pad = 0; pad <= 2 && pad < filters[i]; pad++) {
                op_conv_shape shape = {2, 5, 9, 10, 18, filters[i], filters[i], stride, pad, pad, pad, pad};
                bool chosen = filters[i] == 1 || pad == (filters[i] + stride) % 3;
                if (!fewer || chosen) visit_shape(walk, &shape);
            }
        }
    }
}

static void visit_odd_ones(conv_walk *walk) {
    static const op_conv_shape shapes[] = {
        /* asymmetric padding */
        {1, 4, 8, 9, 16, 4, 4, 2, 1, 0, 2, 1},
        {1, 4, 8, 9, 16, 3, 3, 1, 0, 2, 1, 0},
        {2, 16, 7, 6, 3, 5, 5, 3, 4, 0, 0, 3},
        {1, 3, 5, 5, 3, 4, 4, 1, 3, 3, 3, 3},
        /* filters that are not square, and extents of 1 */
        {1, 5, 9, 11, 7, 1, 4, 1, 0, 1, 0, 2},
        {1, 5, 9, 11, 7, 3, 5, 2, 1, 2, 1, 2},
        {1, 16, 12, 1, 16, 4, 1, 2, 1, 0, 1, 0},
        {1, 16, 1, 37, 16, 1, 3, 1, 0, 1, 0, 1},
        /* inputs or outputs of 1x1 */
        {1, 32, 2, 2, 48, 4, 4, 2, 1, 1, 1, 1},
        {3, 33, 1, 1, 17, 1, 1, 1, 0, 0, 0, 0},
        {2, 16, 4, 4, 32, 4, 4, 1, 0, 0, 0, 0},
        {1, 16, 1, 1, 16, 3, 3, 1, 1, 1, 1, 1},
        /* strides larger than the filter: gradients with gaps */
        {1, 6, 10, 10, 16, 1, 1, 3, 0, 0, 0, 0},
        {1, 17, 11, 8, 5, 3, 3, 5, 1, 1, 1, 1},
        /* batches */
        {2, 16, 8, 8, 32, 4, 4, 2, 1, 1, 1, 1},
        {3, 3, 10, 10, 16, 4, 4, 2, 1, 1, 1, 1},
        {5, 17, 7, 7, 16, 4, 4, 1, 1, 1, 1, 1},
        {5, 64, 4, 4, 64, 4, 4, 2, 1, 1, 1, 1},
        /* small maps in odd batches: tiles over several images */
        {3, 16, 2, 2, 32, 4, 4, 2, 1, 1, 1, 1},
        {5, 32, 2, 2, 17, 4, 4, 2, 1, 1, 1, 1},
        {3, 20, 4, 4, 16, 4, 4, 2, 1, 1, 1, 1},
        {5, 16, 6, 6, 16, 4, 4, 2, 1, 1, 1, 1},
        {7, 16, 3, 3, 16, 3, 3, 1, 1, 1, 1, 1},
        /* long sums */
        {1, 256, 4, 4, 16, 4, 4, 2, 1, 1, 1, 1},
        {1, 16, 4, 4, 256, 4, 4, 2, 1, 1, 1, 1},
        {4, 3, 64, 64, 16, 4, 4, 2, 1, 1, 1, 1},
        /* small maps, for which reading the filter dominates */
        {3, 128, 4, 4, 128, 4, 4, 2, 1, 1, 1, 1},
        {1, 128, 8, 8, 128, 4, 4, 2, 1, 1, 1, 1},
        {9, 144, 2, 2, 128, 4, 4, 2, 1, 1, 1, 1},
        {2, 256, 4, 3, 128, 3, 3, 1, 1, 1, 1, 1},
        {2, 128, 5, 4, 144, 4, 4, 2, 0, 2, 2, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) visit_shape(walk, &shapes[i]);
}

/* More positions than a pass of a backend has, so that passes begin within an image. */
static void visit_passes(conv_walk *walk) {
    static const op_conv_shape shapes[] = {{3, 1, 210, 330, 1, 4, 4, 2, 1, 1, 1, 1},
                                           {3, 1, 121, 160, 1, 4, 4, 1, 1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) visit_shape(walk, &shapes[i]);
}

/* Each activation operand as a range of a larger tensor, as the halves of a concatenation. The second of each
 * pair ends within a block of channels. */
static void visit_ranges(conv_walk *walk, int64_t alignment) {
    const struct {
        int64_t before, after;
    } ranges[] = {{alignment, 0}, {0, 32}, {2 * alignment, 16}, {alignment, 3}};
    static const struct {
        p2p_kind kind;
        int operands[2];
    } kinds[] = {
        {P2P_KIND_conv_fwd, {P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_y}},
        {P2P_KIND_conv_bwd_data, {P2P_AT_conv_bwd_data_dy, P2P_AT_conv_bwd_data_dx}},
        {P2P_KIND_conv_bwd_filter, {P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dy}},
    };
    static const int64_t channels[][2] = {{16, 32}, {3, 16}, {17, 6}};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        op_conv_shape shape = square(2, channels[i][0], channels[i][1], 6, 4, 2, 1);
        for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
            for (size_t k = 0; k < 3; k++) {
                for (int which = 1; which <= 3; which++) { /* the first operand, the second, both */
                    op_case item = op_case_conv(kinds[k].kind, &shape);
                    for (int o = 0; o < 2; o++) {
                        if (!(which >> o & 1)) continue;
                        op_case_range(&item, kinds[k].operands[o], ranges[r].before, ranges[r].after);
                    }
                    walk->visit(walk->context, &item);
                }
            }
        }
    }
}

/* Every combination of bias and activation, for one shape. */
static void visit_options(conv_walk *walk) {
    op_conv_shape shape = square(2, 17, 18, 6, 4, 2, 1);
    for (int bias = 0; bias < 2; bias++) {
        for (int act = 0; act < P2P_ACT_COUNT; act++) {
            for (int kind = P2P_KIND_conv_fwd; kind <= P2P_KIND_conv_bwd_data; kind++) {
                op_case item = op_case_conv((p2p_kind)kind, &shape);
                if (bias) op_case_set_bias(&item);
                op_case_set_act(&item, (p2p_act)act, 0.2);
                walk->visit(walk->context, &item);
            }
        }
    }
}

void op_cases_conv(const op_tier *tier, op_visit *visit, void *context) {
    conv_walk walk = {.visit = visit, .context = context, .period = tier->sparse ? 3 : 1};
    op_cases_layers(tier, visit, context);
    visit_options(&walk);
    visit_extents(&walk, tier->fewer);
    visit_channels(&walk, tier->fewer);
    visit_geometry(&walk, tier->fewer);
    visit_odd_ones(&walk);
    if (!tier->one_pass) visit_passes(&walk);
    visit_ranges(&walk, tier->channel_alignment);
}
