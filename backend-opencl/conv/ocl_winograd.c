/* The geometry of Winograd convolutions. A convolution with stride 2 is four with stride 1, its phases:
 * phases of src forward and in the filter gradient, of dst in the data gradient.
 */
#include "ocl_winograd.h"

#include "ocl_conv_shared.h"

enum { LEAST_CHANNELS = 16, LEAST_EXTENT = 8 };

/* The filter's position in p2p_op.t[]. */
static int filter_of(const p2p_op *op) {
    return op->kind == P2P_KIND_conv_bwd_filter ? P2P_AT_conv_bwd_filter_dw
           : op->kind == P2P_KIND_conv_bwd_data ? P2P_AT_conv_bwd_data_w
                                                : P2P_AT_conv_fwd_w;
}

static ocl_winograd roles_of(const p2p_op *op) {
    switch (op->kind) {
    case P2P_KIND_conv_bwd_data:
        return (ocl_winograd){.src = P2P_AT_conv_bwd_data_dy,
                              .bias = P2P_AT_conv_bwd_data_bias,
                              .dst = P2P_AT_conv_bwd_data_dx};
    case P2P_KIND_conv_bwd_filter:
        return (ocl_winograd){.src = P2P_AT_conv_bwd_filter_x, .bias = -1, .dst = P2P_AT_conv_bwd_filter_dy};
    default:
        return (ocl_winograd){
            .src = P2P_AT_conv_fwd_x, .bias = P2P_AT_conv_fwd_bias, .dst = P2P_AT_conv_fwd_y};
    }
}

/* Whether the filter has 4x4 taps and the stride is 1 or 2. */
static bool has_taps(const p2p_op *op) {
    const p2p_tensor *w = &op->t[filter_of(op)];
    return w->h == OCL_WINOGRAD_TAPS && w->w == OCL_WINOGRAD_TAPS &&
           ocl_stride(op) <= OCL_WINOGRAD_MAX_STRIDE;
}

static p2p_status check_activation(const ocl_target *target, const p2p_op *op, int operand) {
    ocl_view view;
    if (target->cpu) return ocl_conv_check_activation(target, op, operand);
    P2P_TRY(ocl_view_of(target, op, operand, false, 0, &view));
    return ocl_conv_check_extents(target, op, operand);
}

p2p_status ocl_winograd_check(const ocl_target *target, const p2p_op *op) {
    const ocl_winograd roles = roles_of(op);
    const p2p_tensor *w = &op->t[filter_of(op)];
    P2P_TRY(check_activation(target, op, roles.src));
    P2P_TRY(check_activation(target, op, roles.dst));
    P2P_TRY(ocl_conv_check_filter(target, op, filter_of(op), op->kind != P2P_KIND_conv_bwd_filter));
    if (roles.bias >= 0) P2P_TRY(ocl_require_plain(target, op, roles.bias));
    if (has_taps(op)) return P2P_OK;
    return ocl_refuse(target, op, "%lld x %lld taps with stride %lld; Winograd takes 4 x 4 with 1 or 2",
                      (long long)w->h, (long long)w->w, (long long)ocl_stride(op));
}

int64_t ocl_winograd_outputs(const p2p_op *op) {
    return ocl_stride(op) == 1 || op->kind == P2P_KIND_conv_bwd_data ? 3 : 4;
}

ocl_winograd ocl_winograd_of(const p2p_op *op, int64_t outputs, int64_t parts) {
    const bool flip = op->kind == P2P_KIND_conv_bwd_data;
    const int64_t stride = ocl_stride(op);
    ocl_winograd w = roles_of(op);
    w.filter = filter_of(op);
    w.flip = flip;
    w.step_in = flip ? 1 : stride;
    w.step_out = flip ? stride : 1;
    w.outputs = outputs;
    w.taps = OCL_WINOGRAD_TAPS / (stride * parts);
    w.parts = parts;
    w.src_h = -op->pad_top;
    w.src_w = -op->pad_left;
    const p2p_tensor *src = &op->t[w.src], *dst = &op->t[w.dst];
    w.turn = (op->t[w.filter].layout == P2P_LAYOUT_ckrs) == flip;
    int64_t positions_h = dst->h, positions_w = dst->w;
    if (flip) {
        /* Counted from the corner of the padded image, position i of every phase reads the rows i - reach
         * to i of dy. Positions that lie entirely in the padding are left out. */
        const int64_t reach = OCL_WINOGRAD_TAPS / stride - 1;
        const int64_t skipped_h = op->pad_top / stride, skipped_w = op->pad_left / stride;
        positions_h = (dst->h - 1 + op->pad_top) / stride + 1 - skipped_h;
        positions_w = (dst->w - 1 + op->pad_left) / stride + 1 - skipped_w;
        w.dst_h = skipped_h * stride - op->pad_top;
        w.dst_w = skipped_w * stride - op->pad_left;
        w.src_h = skipped_h - reach;
        w.src_w = skipped_w - reach;
    }
    w.tiles_h = p2p_divide_up(positions_h, outputs);
    w.tiles_w = p2p_divide_up(positions_w, outputs);
    w.row_blocks = ocl_blocks(src->c) * w.step_in * w.step_in * parts * parts;
    w.vectors = ocl_blocks(dst->c) * w.step_out * w.step_out;
    return w;
}

int64_t ocl_winograd_points(const ocl_winograd *w) {
    return (w->outputs + w->taps - 1) * (w->outputs + w->taps - 1);
}

bool ocl_winograd_suits(const ocl_target *target, const p2p_op *op) {
    if (target->winograd == OCL_WINOGRAD_OFF || !has_taps(op)) return false;
    const ocl_winograd roles = roles_of(op);
    const p2p_tensor *src = &op->t[roles.src], *dst = &op->t[roles.dst];
    return ocl_min(src->c, dst->c) >= LEAST_CHANNELS &&
           ocl_min(ocl_min(src->h, src->w), ocl_min(dst->h, dst->w)) >= LEAST_EXTENT;
}

int64_t ocl_winograd_images(const p2p_op *op, const ocl_winograd *w) {
    return op->images ? op->images : op->t[w->dst].n;
}

void ocl_winograd_options(ocl_launch *launch, const ocl_winograd *w) {
    ocl_launch_option(launch, "OUTPUTS=%d", (int)w->outputs);
    ocl_launch_option(launch, "TAPS=%d", (int)w->taps);
    ocl_launch_option(launch, "STEP_IN=%d", (int)w->step_in);
    ocl_launch_option(launch, "STEP_OUT=%d", (int)w->step_out);
    if (w->parts > 1) ocl_launch_option(launch, "PARTS=%d", (int)w->parts);
}

void ocl_winograd_arg_arrays(ocl_launch *launch, const ocl_point_arrays *arrays) {
    ocl_arg_scratch(launch, arrays->at);
    ocl_arg_ulong(launch, arrays->distance);
}

void ocl_winograd_arg_input(ocl_launch *launch, const p2p_op *op, const ocl_winograd *w,
                            const ocl_point_arrays *inputs, int64_t tiles) {
    ocl_conv_arg_activation(launch, op, w->src);
    ocl_winograd_arg_arrays(launch, inputs);
    ocl_arg_int(launch, tiles);
    ocl_arg_int(launch, w->src_h);
    ocl_arg_int(launch, w->src_w);
}

void ocl_winograd_arg_rows(ocl_launch *launch, const p2p_op *op, const ocl_winograd *w, int64_t columns,
                           int64_t rows) {
    ocl_arg_int(launch, op->t[w->dst].n);
    ocl_arg_int(launch, w->tiles_h);
    ocl_arg_int(launch, columns);
    ocl_arg_repeat(launch, rows);
}

void ocl_winograd_arg_result(ocl_launch *launch, const p2p_op *op, const ocl_winograd *w) {
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
    ocl_arg_int(launch, p2p_op_accumulates(op, w->dst));
}

void ocl_winograd_repeat(ocl_plan *plan, const p2p_op *op, const ocl_winograd *w, int64_t rows, int body) {
    plan->body_first = body;
    plan->body_count = plan->launch_count - body;
    plan->repeats = (int)p2p_divide_up(op->t[w->dst].n * w->tiles_h, rows);
}
