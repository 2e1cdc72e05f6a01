/* Planner of direct convolutions of small maps on CPU devices: kernels/conv/conv_stream.cl.
 *
 * The number of positions, channels and images in registers affects speed only. One exception affects bits:
 * the number of sums into which a result of the forward convolution is split, which depends on the shape of
 * one image.
 */
#include "ocl_conv_stream.h"

#include "ocl_conv_shared.h"

#include <stdio.h>

enum {
    MOST_POSITIONS = 16, /* of the smaller side of an image */
    MOST_PIXELS = 64,    /* of the larger side */
    MOST_TAPS = 16,
    LEAST_FILTER = 1 << 18, /* elements: a megabyte, the size of an inner cache */
    LEAST_ITEMS = 8,
    IMAGES = 8,     /* per work-item, at most */
    AHEAD_TAPS = 16 /* prefetch distance of filters, in used taps of 1 KiB */
};

/* A convolution in the terms of the kernels: x is the side that the taps cover. */
typedef struct {
    const char *kernel;
    int x, filter, bias, y; /* positions in p2p_op.t[] */
    int64_t positions, taps;
} stream_shape;

static stream_shape shape_of(const p2p_op *op) {
    stream_shape s;
    switch (op->kind) {
    case P2P_KIND_conv_bwd_data:
        s = (stream_shape){.kernel = "conv_stream_data",
                           .x = P2P_AT_conv_bwd_data_dx,
                           .filter = P2P_AT_conv_bwd_data_w,
                           .bias = P2P_AT_conv_bwd_data_bias,
                           .y = P2P_AT_conv_bwd_data_dy};
        break;
    case P2P_KIND_conv_bwd_filter:
        s = (stream_shape){.kernel = "conv_stream_filter",
                           .x = P2P_AT_conv_bwd_filter_x,
                           .filter = P2P_AT_conv_bwd_filter_dw,
                           .bias = -1,
                           .y = P2P_AT_conv_bwd_filter_dy};
        break;
    default:
        s = (stream_shape){.kernel = "conv_stream_forward",
                           .x = P2P_AT_conv_fwd_x,
                           .filter = P2P_AT_conv_fwd_w,
                           .bias = P2P_AT_conv_fwd_bias,
                           .y = P2P_AT_conv_fwd_y};
    }
    s.positions = op->t[s.y].h * op->t[s.y].w;
    s.taps = op->t[s.filter].h * op->t[s.filter].w;
    return s;
}

static bool fits(const p2p_op *op, const stream_shape *s) {
    const p2p_tensor *x = &op->t[s->x], *y = &op->t[s->y], *w = &op->t[s->filter];
    return s->positions <= MOST_POSITIONS && x->h * x->w <= MOST_PIXELS && s->taps <= MOST_TAPS &&
           x->c % OCL_LANES == 0 && y->c % OCL_LANES == 0 && w->layout == P2P_LAYOUT_ckrs;
}

static ocl_launch *add_launch(const ocl_target *target, const p2p_op *op, ocl_plan *plan,
                              const stream_shape *s, int64_t images, int64_t blocks, int64_t shares) {
    const p2p_tensor *x = &op->t[s->x], *y = &op->t[s->y], *w = &op->t[s->filter];
    ocl_launch *launch = ocl_conv_launch_cpu(target, plan, "conv_stream.cl", s->kernel, blocks, shares, 1);
    ocl_launch_option(launch, "X_H=%d", (int)x->h);
    ocl_launch_option(launch, "X_W=%d", (int)x->w);
    ocl_launch_option(launch, "Y_H=%d", (int)y->h);
    ocl_launch_option(launch, "Y_W=%d", (int)y->w);
    ocl_launch_option(launch, "TAPS_H=%d", (int)w->h);
    ocl_launch_option(launch, "TAPS_W=%d", (int)w->w);
    ocl_launch_option(launch, "STRIDE=%d", (int)ocl_stride(op));
    ocl_launch_option(launch, "PAD_TOP=%d", (int)op->pad_top);
    ocl_launch_option(launch, "PAD_LEFT=%d", (int)op->pad_left);
    ocl_launch_option(launch, "IMAGES=%d", (int)images);
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "%s %dx%d", s->kernel, (int)y->h, (int)y->w);
    return launch;
}

static bool meets(int64_t stride, int64_t pad, int64_t tap, int64_t x_extent, int64_t y_extent) {
    for (int64_t i = 0; i < y_extent; i++)
        if (stride * i + tap - pad >= 0 && stride * i + tap - pad < x_extent) return true;
    return false;
}

/* The number of taps that meet a pixel, and so are read. */
static int64_t used_taps(const p2p_op *op, const stream_shape *s) {
    const p2p_tensor *x = &op->t[s->x], *y = &op->t[s->y], *w = &op->t[s->filter];
    int64_t rows = 0, columns = 0;
    for (int64_t r = 0; r < w->h; r++) rows += meets(ocl_stride(op), op->pad_top, r, x->h, y->h);
    for (int64_t c = 0; c < w->w; c++) columns += meets(ocl_stride(op), op->pad_left, c, x->w, y->w);
    return ocl_max(1, rows * columns);
}

static void arg_filter_and_bias(ocl_launch *launch, const p2p_op *op, const stream_shape *s) {
    ocl_arg_operand(launch, s->filter);
    ocl_arg_optional(launch, op, s->bias, s->filter);
}

static void arg_results(ocl_launch *launch, const p2p_op *op, int dst) {
    ocl_arg_int(launch, op->t[dst].n);
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    ocl_arg_int(launch, p2p_op_accumulates(op, dst));
}

static void plan_forward(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const stream_shape *s) {
    const int64_t room = ocl_conv_sums(target, OCL_SUMS_STREAMED), images = ocl_min(op->t[s->x].n, IMAGES);
    const int64_t chains = s->positions >= 8 ? 1 : s->positions >= 3 ? 2 : 4;
    const int64_t part = ocl_min(s->positions, ocl_max(1, room / chains));
    const int64_t at_once = part < s->positions ? 1 : ocl_max(1, room / (chains * part));
    ocl_launch *launch = add_launch(target, op, plan, s, images, ocl_blocks(op->t[s->y].c),
                                    p2p_divide_up(op->t[s->x].n, images));
    ocl_launch_option(launch, "CHAINS=%d", (int)chains);
    ocl_launch_option(launch, "PART=%d", (int)part);
    ocl_launch_option(launch, "IMAGES_AT_ONCE=%d", (int)ocl_min(images, at_once));
    ocl_launch_option(launch, "AHEAD=%d", (int)p2p_divide_up(AHEAD_TAPS, used_taps(op, s)));
    ocl_arg_activation(launch, op, s->x);
    arg_filter_and_bias(launch, op, s);
    ocl_arg_activation(launch, op, s->y);
    ocl_arg_int(launch, ocl_blocks(op->t[s->x].c));
    arg_results(launch, op, s->y);
}

static void plan_data(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const stream_shape *s) {
    const p2p_tensor *x = &op->t[s->x];
    const int64_t images = ocl_min(x->n, IMAGES);
    ocl_launch *launch =
        add_launch(target, op, plan, s, images, ocl_blocks(x->c), p2p_divide_up(x->n, images));
    ocl_launch_option(launch, "TURN");
    ocl_launch_option(launch, "PART=%d",
                      (int)ocl_min(s->positions, ocl_conv_sums(target, OCL_SUMS_STREAMED)));
    ocl_launch_option(launch, "AHEAD=%d", (int)p2p_divide_up(AHEAD_TAPS, used_taps(op, s)));
    ocl_arg_activation(launch, op, s->y);
    arg_filter_and_bias(launch, op, s);
    ocl_arg_activation(launch, op, s->x);
    ocl_arg_int(launch, ocl_blocks(op->t[s->y].c));
    ocl_arg_int(launch, ocl_blocks(x->c));
    arg_results(launch, op, s->x);
}

static void plan_filter(const ocl_target *target, const p2p_op *op, ocl_plan *plan, const stream_shape *s) {
    const int64_t n = op->t[s->x].n;
    ocl_launch *launch = add_launch(target, op, plan, s, 1, ocl_blocks(op->t[s->y].c), 1);
    ocl_launch_option(launch, "CHANNELS=%d", (int)ocl_max(1, ocl_conv_sums(target, OCL_SUMS_STREAMED) / 2));
    ocl_arg_activation(launch, op, s->x);
    ocl_arg_activation(launch, op, s->y);
    ocl_arg_operand(launch, s->filter);
    ocl_arg_int(launch, ocl_blocks(op->t[s->x].c));
    ocl_arg_int(launch, n);
    ocl_arg_int(launch, p2p_op_accumulates(op, s->filter));
}

p2p_status ocl_plan_conv_stream(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    const stream_shape s = shape_of(op);
    P2P_TRY(ocl_conv_check_activation(target, op, s.x));
    P2P_TRY(ocl_conv_check_activation(target, op, s.y));
    P2P_TRY(ocl_conv_check_filter(target, op, s.filter, false));
    if (s.bias >= 0) P2P_TRY(ocl_require_plain(target, op, s.bias));
    if (!fits(op, &s))
        return ocl_refuse(target, op, "maps, taps or channels don't fit the form for small maps");
    if (op->kind == P2P_KIND_conv_bwd_data)
        plan_data(target, op, plan, &s);
    else if (op->kind == P2P_KIND_conv_bwd_filter)
        plan_filter(target, op, plan, &s);
    else
        plan_forward(target, op, plan, &s);
    return P2P_OK;
}

bool ocl_conv_stream_pays(const ocl_target *target, const p2p_op *op) {
    const stream_shape s = shape_of(op);
    const p2p_tensor *x = &op->t[s.x], *y = &op->t[s.y];
    const int64_t items = ocl_blocks(op->kind == P2P_KIND_conv_bwd_data ? x->c : y->c);
    return target->vector_width >= OCL_LANES && fits(op, &s) && items >= LEAST_ITEMS &&
           x->c * y->c * s.taps >= LEAST_FILTER;
}

bool ocl_conv_stream_hides_products(const ocl_target *target, const p2p_op *op) {
    const stream_shape s = shape_of(op);
    const int64_t images = op->images ? op->images : op->t[s.x].n;
    return ocl_conv_stream_pays(target, op) && images * s.positions <= MOST_POSITIONS;
}
