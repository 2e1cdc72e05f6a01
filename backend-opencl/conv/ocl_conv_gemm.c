/* Planner of convolutions through the matrix library: im2col, one product, and col2im.
 *
 * It computes 1x1 convolutions and every shape that no other family supports, in any filter layout. Images
 * are processed in passes of equal size, so that the im2col rows stay below a fixed size. With P output
 * positions of a pass, K and C channels and T taps, in float32:
 *   forward          y[P][K]   = rows(x)[P][T C] * w[T C][K]
 *   data gradient    rows[P][T C] = dy[P][K] * w[T C][K]', then the rows are gathered into dx
 *   filter gradient  dw[T C][K] (+)= rows(x)[P][T C]' * dy[P][K]
 */
#include "ocl_conv_gemm.h"

#include "plan/ocl_copy.h"
#include "plan/ocl_plan_gemm.h"

#include <string.h>

enum { MOST_ROW_FLOATS = 1 << 23, CPU_POSITIONS = 64 };

/* The operands in their roles of the forward convolution, and the start of each part of scratch memory. */
typedef struct {
    int x, w, bias, y; /* bias -1: the kind has none */
    int64_t taps, c, k, pass_images;
    int64_t pass_rows;             /* P */
    uint64_t filter, rows, pixels; /* floats */
    size_t scratch_bytes;
} gemm_shape;

static gemm_shape roles_of(const p2p_op *op) {
    switch (op->kind) {
    case P2P_KIND_conv_fwd:
        return (gemm_shape){.x = P2P_AT_conv_fwd_x,
                            .w = P2P_AT_conv_fwd_w,
                            .bias = P2P_AT_conv_fwd_bias,
                            .y = P2P_AT_conv_fwd_y};
    case P2P_KIND_conv_bwd_data:
        return (gemm_shape){.x = P2P_AT_conv_bwd_data_dx,
                            .w = P2P_AT_conv_bwd_data_w,
                            .bias = P2P_AT_conv_bwd_data_bias,
                            .y = P2P_AT_conv_bwd_data_dy};
    default:
        return (gemm_shape){.x = P2P_AT_conv_bwd_filter_x,
                            .w = P2P_AT_conv_bwd_filter_dw,
                            .bias = -1,
                            .y = P2P_AT_conv_bwd_filter_dy};
    }
}

static uint64_t reserve(gemm_shape *s, int64_t floats) {
    uint64_t at = s->scratch_bytes / sizeof(float);
    s->scratch_bytes += (size_t)p2p_divide_up(floats, OCL_LANES) * OCL_LANES * sizeof(float);
    return at;
}

static p2p_status measure(const ocl_target *target, const p2p_op *op, gemm_shape *s) {
    const p2p_tensor *w = &op->t[s->w], *y = &op->t[s->y];
    ocl_view view;
    P2P_TRY(ocl_view_of(target, op, s->x, false, 0, &view));
    P2P_TRY(ocl_view_check(target, op, &view, s->y));
    if (s->bias >= 0) P2P_TRY(ocl_require_plain(target, op, s->bias));
    if (w->type != P2P_TYPE_f32) return ocl_refuse(target, op, "the filter is not f32");
    s->taps = w->h * w->w, s->c = w->c, s->k = w->n;
    int64_t positions = y->h * y->w;
    if (s->taps * s->c > INT32_MAX || s->taps * s->c * s->k > INT32_MAX ||
        positions > INT32_MAX / (s->taps * s->c) || positions > INT32_MAX / s->k)
        return ocl_refuse(target, op, "one image's matrix of taps has more than 2^31 elements");
    /* CLBlast chooses its kernel, and so the bits, by the size of a matrix. */
    s->pass_images =
        ocl_min(op->images ? op->images : y->n, ocl_max(1, MOST_ROW_FLOATS / (positions * s->taps * s->c)));
    while (y->n % s->pass_images != 0) s->pass_images--;
    s->pass_rows = s->pass_images * positions;
    s->filter = reserve(s, s->taps * s->c * s->k);
    s->rows = reserve(s, s->pass_rows * s->taps * s->c);
    s->pixels = reserve(s, s->pass_rows * s->k);
    return P2P_OK;
}

/* ---- Launches -------------------------------------------------------------------------------------- */

/* The arguments GEOMETRY of conv_gemm.cl: between `in` (x's side) and `out`, with the filter's taps or with
 * one. */
static void arg_geometry(ocl_launch *launch, const p2p_op *op, const gemm_shape *s, bool one_tap) {
    const p2p_tensor *in = &op->t[one_tap ? s->y : s->x], *out = &op->t[s->y], *w = &op->t[s->w];
    ocl_arg_int(launch, in->h);
    ocl_arg_int(launch, in->w);
    ocl_arg_int(launch, out->h);
    ocl_arg_int(launch, out->w);
    ocl_arg_int(launch, one_tap ? 1 : w->h);
    ocl_arg_int(launch, one_tap ? 1 : w->w);
    ocl_arg_int(launch, one_tap || op->stride == 0 ? 1 : op->stride);
    ocl_arg_int(launch, one_tap ? 0 : op->pad_top);
    ocl_arg_int(launch, one_tap ? 0 : op->pad_left);
    ocl_arg_repeat(launch, s->pass_images);
}

/* Launch of im2col: rows of taps of x or, with one_tap, the pixels of y, to scratch memory. */
static void add_im2col(const ocl_target *target, const p2p_op *op, const gemm_shape *s, bool one_tap,
                       ocl_plan *plan) {
    const p2p_tensor *from = &op->t[one_tap ? s->y : s->x], *out = &op->t[s->y];
    int64_t chunk = target->cpu ? CPU_POSITIONS : 1;
    ocl_launch *launch = ocl_launch_add(target, plan, "conv_gemm.cl", "im2col");
    ocl_launch_grid(target, launch, p2p_divide_up(out->h * out->w, chunk),
                    p2p_divide_up(from->c, OCL_LANES) * (one_tap ? 1 : s->taps), s->pass_images);
    ocl_arg_activation(launch, op, one_tap ? s->y : s->x);
    ocl_arg_scratch(launch, one_tap ? s->pixels : s->rows);
    arg_geometry(launch, op, s, one_tap);
    ocl_arg_int(launch, from->c);
    ocl_arg_int(launch, chunk);
}

/* Launch of the reverse, col2im, with bias and activation. */
static void add_col2im(const ocl_target *target, const p2p_op *op, const gemm_shape *s, bool one_tap,
                       ocl_plan *plan) {
    const int output = one_tap ? s->y : s->x;
    const p2p_tensor *to = &op->t[output];
    int64_t chunk = target->cpu ? CPU_POSITIONS : 1;
    ocl_launch *launch = ocl_launch_add(target, plan, "conv_gemm.cl", "col2im");
    ocl_launch_grid(target, launch, p2p_divide_up(to->h * to->w, chunk), p2p_divide_up(to->c, OCL_LANES),
                    s->pass_images);
    ocl_arg_scratch(launch, one_tap ? s->pixels : s->rows);
    ocl_arg_activation(launch, op, output);
    arg_geometry(launch, op, s, one_tap);
    ocl_arg_int(launch, to->c);
    ocl_arg_int(launch, chunk);
    ocl_arg_optional(launch, op, s->bias, output);
    ocl_arg_int(launch, p2p_op_accumulates(op, output));
    ocl_arg_int(launch, op->act);
    ocl_arg_float(launch, op->slope);
}

/* The filter as a matrix [tap][c][k] in scratch memory. */
static ocl_plane_side filter_matrix(const gemm_shape *s) {
    return (ocl_plane_side){
        .operand = -1,
        .scratch = s->filter,
        .planes = {.n_block = 1, .c_block = 1, .n_outer = 1, .c_outer = s->k, .step = s->c * s->k}};
}

static void add_filter_unpack(const ocl_target *target, const p2p_op *op, const gemm_shape *s,
                              ocl_plan *plan) {
    ocl_plane_copy copy = {.x = ocl_plane_side_of(op, s->w),
                           .y = filter_matrix(s),
                           .positions = s->taps,
                           .n_real = s->k,
                           .c_real = s->c,
                           .n_stored = s->k,
                           .c_stored = s->c};
    ocl_launch_plane_copy(target, plan, &copy);
}

static void add_filter_pack(const ocl_target *target, const p2p_op *op, const gemm_shape *s, ocl_plan *plan) {
    ocl_plane_copy copy = ocl_plane_copy_into(op, s->w);
    copy.x = filter_matrix(s);
    ocl_launch_plane_copy(target, plan, &copy);
}

/* ---- The planner ----------------------------------------------------------------------------------- */

static ocl_matrix in_scratch(uint64_t offset, int64_t row_distance) {
    return (ocl_matrix){.operand = -1, .offset = offset, .row_distance = (uint64_t)row_distance};
}

static ocl_gemm product_of(const p2p_op *op, const gemm_shape *s) {
    const int64_t row = s->taps * s->c;
    const ocl_matrix rows = in_scratch(s->rows, row), pixels = in_scratch(s->pixels, s->k),
                     filter = in_scratch(s->filter, s->k);
    switch (op->kind) {
    case P2P_KIND_conv_fwd:
        return (ocl_gemm){
            .m = s->pass_rows, .n = s->k, .k = row, .alpha = 1, .a = rows, .b = filter, .y = pixels};
    case P2P_KIND_conv_bwd_data:
        return (ocl_gemm){.m = s->pass_rows,
                          .n = row,
                          .k = s->k,
                          .transpose_b = true,
                          .alpha = 1,
                          .a = pixels,
                          .b = filter,
                          .y = rows};
    default:
        return (ocl_gemm){.m = row,
                          .n = s->k,
                          .k = s->pass_rows,
                          .transpose_a = true,
                          .alpha = 1,
                          .beta = 1,
                          .beta_first_zero = true,
                          .a = rows,
                          .b = pixels,
                          .y = filter};
    }
}

p2p_status ocl_plan_conv_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    gemm_shape s = roles_of(op);
    P2P_TRY(measure(target, op, &s));
    ocl_gemm product = product_of(op, &s);
    P2P_TRY(ocl_gemm_reserve(target, op, &product, &s.scratch_bytes));
    strcpy(plan->answer.kernel, "conv_gemm");
    plan->answer.scratch_bytes = s.scratch_bytes;
    if (op->kind != P2P_KIND_conv_bwd_filter) add_filter_unpack(target, op, &s, plan);
    plan->body_first = plan->launch_count;
    if (op->kind != P2P_KIND_conv_bwd_data) add_im2col(target, op, &s, false, plan);
    if (op->kind != P2P_KIND_conv_fwd) add_im2col(target, op, &s, true, plan);
    ocl_launch_gemm(plan, &product);
    if (op->kind == P2P_KIND_conv_fwd) add_col2im(target, op, &s, true, plan);
    if (op->kind == P2P_KIND_conv_bwd_data) add_col2im(target, op, &s, false, plan);
    plan->body_count = plan->launch_count - plan->body_first;
    plan->repeats = (int)(op->t[s.y].n / s.pass_images);
    if (op->kind == P2P_KIND_conv_bwd_filter) add_filter_pack(target, op, &s, plan);
    return P2P_OK;
}
