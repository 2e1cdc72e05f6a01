/* Kernels of the reference backend except normalisation: naive loops in double precision over logical
 * indices.
 *
 * Clarity precedes speed, with one exception: the rows of convolutions, without the positions outside the
 * image, are computed once, before the first run, instead of for each pair of planes.
 */
#include "ref.h"

#include <math.h>

static int64_t count_of(const p2p_ref_run *run, int operand) {
    return p2p_tensor_elements(&run->op->t[operand]);
}

/* ---- Data --------------------------------------------------------------------------------------------- */

static void copy(const p2p_ref_run *run) {
    const double *x = run->values[P2P_AT_copy_x];
    double *y = run->values[P2P_AT_copy_y];
    for (int64_t e = 0, count = count_of(run, P2P_AT_copy_y); e < count; e++) y[e] += x[e];
}

static void prepare(const p2p_ref_run *run) {
    const double *x = run->values[P2P_AT_prepare_x];
    double *y = run->values[P2P_AT_prepare_y];
    for (int64_t e = 0, count = count_of(run, P2P_AT_prepare_y); e < count; e++)
        y[e] += x[e] * run->op->alpha + run->op->offset;
}

/* ---- Convolutions ------------------------------------------------------------------------------------- */

/* Output positions i in [first, end) along an axis, for which i*stride - pad + tap is in [0, in). */
typedef struct {
    int64_t first, end;
} span;

static span inside(int64_t tap, int64_t pad, int64_t stride, int64_t in, int64_t out) {
    int64_t missing = pad - tap, last = in - 1 + pad - tap;
    span found = {missing > 0 ? (missing + stride - 1) / stride : 0, last < 0 ? 0 : last / stride + 1};
    if (found.end > out) found.end = out;
    return found;
}

/* Tensors and elements in their roles of the forward convolution. */
typedef struct {
    const p2p_tensor *tx, *tw, *ty;
    double *x, *w, *y;
    int64_t stride, pad_top, pad_left;
    const p2p_ref_row *rows;
    int64_t row_count;
} conv;

static conv conv_of(const p2p_op *op, int x, int w, int y) {
    return (conv){.tx = &op->t[x],
                  .tw = &op->t[w],
                  .ty = &op->t[y],
                  .stride = op->stride != 0 ? op->stride : 1,
                  .pad_top = op->pad_top,
                  .pad_left = op->pad_left};
}

/* Appends the rows of the filter element (r, s) to rows, unless that is NULL, and returns how many there are
 * then. */
static int64_t add_rows(const conv *v, int64_t r, int64_t s, p2p_ref_row *rows, int64_t count) {
    span lines = inside(r, v->pad_top, v->stride, v->tx->h, v->ty->h);
    span columns = inside(s, v->pad_left, v->stride, v->tx->w, v->ty->w);
    int64_t column = columns.first * v->stride - v->pad_left + s;
    if (columns.end <= columns.first) return count;
    for (int64_t i = lines.first; i < lines.end; i++, count++) {
        int64_t h = i * v->stride - v->pad_top + r;
        if (rows != NULL)
            rows[count] = (p2p_ref_row){.x = h * v->tx->w + column,
                                        .w = r * v->tw->w + s,
                                        .y = i * v->ty->w + columns.first,
                                        .count = columns.end - columns.first};
    }
    return count;
}

int64_t p2p_ref_rows(const p2p_op *op, p2p_ref_row *rows) {
    conv v;
    int64_t count = 0;
    if (op->kind == P2P_KIND_conv_fwd)
        v = conv_of(op, P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y);
    else if (op->kind == P2P_KIND_conv_bwd_data)
        v = conv_of(op, P2P_AT_conv_bwd_data_dx, P2P_AT_conv_bwd_data_w, P2P_AT_conv_bwd_data_dy);
    else if (op->kind == P2P_KIND_conv_bwd_filter)
        v = conv_of(op, P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dw, P2P_AT_conv_bwd_filter_dy);
    else
        return 0;
    for (int64_t r = 0; r < v.tw->h; r++)
        for (int64_t s = 0; s < v.tw->w; s++) count = add_rows(&v, r, s, rows, count);
    return count;
}

/* Combines the rows of a pair of planes, one after the other. */
typedef void (*plane_kernel)(const conv *v, double *x, double *w, double *y);

static void plane_forward(const conv *v, double *x, double *w, double *y) {
    const int64_t stride = v->stride;
    for (int64_t r = 0; r < v->row_count; r++) {
        const p2p_ref_row *row = &v->rows[r];
        const double *from = x + row->x, factor = w[row->w];
        double *to = y + row->y;
        for (int64_t j = 0, at = 0; j < row->count; j++, at += stride) to[j] += factor * from[at];
    }
}

static void plane_data(const conv *v, double *x, double *w, double *y) {
    const int64_t stride = v->stride;
    for (int64_t r = 0; r < v->row_count; r++) {
        const p2p_ref_row *row = &v->rows[r];
        const double *from = y + row->y, factor = w[row->w];
        double *to = x + row->x;
        for (int64_t j = 0, at = 0; j < row->count; j++, at += stride) to[at] += factor * from[j];
    }
}

static void plane_filter(const conv *v, double *x, double *w, double *y) {
    const int64_t stride = v->stride;
    for (int64_t r = 0; r < v->row_count; r++) {
        const p2p_ref_row *row = &v->rows[r];
        const double *from = x + row->x, *factors = y + row->y;
        double sum = w[row->w];
        for (int64_t j = 0, at = 0; j < row->count; j++, at += stride) sum += from[at] * factors[j];
        w[row->w] = sum;
    }
}

/* Visits every combination of x, w and y of the convolution exactly once. */
static void walk_conv(const conv *v, plane_kernel kernel) {
    int64_t channels = v->tx->c, filters = v->ty->c;
    int64_t x_plane = v->tx->h * v->tx->w, y_plane = v->ty->h * v->ty->w, taps = v->tw->h * v->tw->w;
    for (int64_t n = 0; n < v->tx->n; n++)
        for (int64_t k = 0; k < filters; k++)
            for (int64_t c = 0; c < channels; c++)
                kernel(v, v->x + (n * channels + c) * x_plane, v->w + (k * channels + c) * taps,
                       v->y + (n * filters + k) * y_plane);
}

static conv conv_in(const p2p_ref_run *run, int x, int w, int y) {
    conv v = conv_of(run->op, x, w, y);
    v.x = run->values[x];
    v.w = run->values[w];
    v.y = run->values[y];
    v.rows = run->rows;
    v.row_count = run->row_count;
    return v;
}

static void clear_work(const p2p_ref_run *run, int operand) {
    for (int64_t e = 0, count = count_of(run, operand); e < count; e++) run->work[e] = 0;
}

/* output += act(work + bias), with one bias per channel. */
static void finish_conv(const p2p_ref_run *run, int output, const double *bias) {
    const p2p_tensor *t = &run->op->t[output];
    int64_t plane = t->h * t->w;
    for (int64_t e = 0, count = p2p_tensor_elements(t); e < count; e++) {
        double sum = run->work[e] + (bias != NULL ? bias[e / plane % t->c] : 0);
        run->values[output][e] += p2p_act_value(run->op->act, run->op->slope, sum);
    }
}

static void conv_fwd(const p2p_ref_run *run) {
    conv v = conv_in(run, P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y);
    v.y = run->work;
    clear_work(run, P2P_AT_conv_fwd_y);
    walk_conv(&v, plane_forward);
    finish_conv(run, P2P_AT_conv_fwd_y, run->values[P2P_AT_conv_fwd_bias]);
}

static void conv_bwd_data(const p2p_ref_run *run) {
    conv v = conv_in(run, P2P_AT_conv_bwd_data_dx, P2P_AT_conv_bwd_data_w, P2P_AT_conv_bwd_data_dy);
    v.x = run->work;
    clear_work(run, P2P_AT_conv_bwd_data_dx);
    walk_conv(&v, plane_data);
    finish_conv(run, P2P_AT_conv_bwd_data_dx, run->values[P2P_AT_conv_bwd_data_bias]);
}

static void conv_bwd_filter(const p2p_ref_run *run) {
    conv v = conv_in(run, P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dw, P2P_AT_conv_bwd_filter_dy);
    walk_conv(&v, plane_filter);
}

static void gemm(const p2p_ref_run *run) {
    const p2p_op *op = run->op;
    const p2p_tensor *ta = &op->t[P2P_AT_gemm_a], *tb = &op->t[P2P_AT_gemm_b], *ty = &op->t[P2P_AT_gemm_y];
    const double *a = run->values[P2P_AT_gemm_a], *b = run->values[P2P_AT_gemm_b];
    int64_t depth = op->transpose_a ? ta->c : ta->w;
    for (int64_t i = 0; i < ty->c; i++)
        for (int64_t j = 0; j < ty->w; j++) {
            double sum = 0;
            for (int64_t k = 0; k < depth; k++)
                sum += a[op->transpose_a ? k * ta->w + i : i * ta->w + k] *
                       b[op->transpose_b ? j * tb->w + k : k * tb->w + j];
            run->values[P2P_AT_gemm_y][i * ty->w + j] += op->alpha * sum;
        }
}

/* ---- Pointwise ---------------------------------------------------------------------------------------- */

static void act_fwd(const p2p_ref_run *run) {
    const double *x = run->values[P2P_AT_act_fwd_x];
    double *y = run->values[P2P_AT_act_fwd_y];
    for (int64_t e = 0, count = count_of(run, P2P_AT_act_fwd_y); e < count; e++)
        y[e] += p2p_act_value(run->op->act, run->op->slope, x[e]);
}

static void act_bwd(const p2p_ref_run *run) {
    const double *y = run->values[P2P_AT_act_bwd_y], *dy = run->values[P2P_AT_act_bwd_dy];
    double *dx = run->values[P2P_AT_act_bwd_dx];
    for (int64_t e = 0, count = count_of(run, P2P_AT_act_bwd_dx); e < count; e++)
        dx[e] += p2p_act_slope(run->op->act, run->op->slope, y[e]) * dy[e];
}

static void dropout(const p2p_ref_run *run) {
    const p2p_tensor *t = &run->op->t[P2P_AT_dropout_x];
    const double *x = run->values[P2P_AT_dropout_x];
    double *y = run->values[P2P_AT_dropout_y];
    for (int64_t e = 0, count = p2p_tensor_elements(t); e < count; e++) {
        int64_t w = e % t->w, h = e / t->w % t->h, c = e / (t->w * t->h) % t->c, n = e / (t->w * t->h * t->c);
        y[e] += x[e] * p2p_ref_mask(run, n, c, h, w);
    }
}

static void axpby(const p2p_ref_run *run) {
    const p2p_tensor *tx = &run->op->t[P2P_AT_axpby_x], *ty = &run->op->t[P2P_AT_axpby_y];
    const double *x = run->values[P2P_AT_axpby_x];
    bool per_channel = !p2p_tensor_same_shape(tx, ty);
    int64_t plane = ty->h * ty->w;
    for (int64_t e = 0, count = p2p_tensor_elements(ty); e < count; e++)
        run->values[P2P_AT_axpby_y][e] += run->op->alpha * x[per_channel ? e / plane % ty->c : e];
}

/* ---- Reductions and losses ---------------------------------------------------------------------------- */

static void bias_grad(const p2p_ref_run *run) {
    const p2p_tensor *t = &run->op->t[P2P_AT_bias_grad_dy];
    const double *dy = run->values[P2P_AT_bias_grad_dy];
    int64_t plane = t->h * t->w;
    for (int64_t e = 0, count = p2p_tensor_elements(t); e < count; e++)
        run->values[P2P_AT_bias_grad_db][e / plane % t->c] += dy[e];
}

/* Does not overflow for arguments of either sign. */
static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static void loss_bce(const p2p_ref_run *run) {
    const p2p_op *op = run->op;
    const double *x = run->values[P2P_AT_loss_bce_x];
    double *dx = run->values[P2P_AT_loss_bce_dx], target = (double)op->target, sum = 0;
    for (int64_t e = 0, count = count_of(run, P2P_AT_loss_bce_x); e < count; e++) {
        sum += (x[e] > 0 ? x[e] : 0) - x[e] * target + log1p(exp(-fabs(x[e])));
        if (dx != NULL) dx[e] += op->grad_scale * (sigmoid(x[e]) - target);
    }
    *run->values[P2P_AT_loss_bce_loss] += op->loss_scale * sum;
}

static void loss_mse(const p2p_ref_run *run) {
    const p2p_op *op = run->op;
    const double *x = run->values[P2P_AT_loss_mse_x];
    double *dx = run->values[P2P_AT_loss_mse_dx], sum = 0;
    for (int64_t e = 0, count = count_of(run, P2P_AT_loss_mse_x); e < count; e++) {
        double difference = x[e] - (double)op->target;
        sum += difference * difference;
        if (dx != NULL) dx[e] += op->grad_scale * 2 * difference;
    }
    *run->values[P2P_AT_loss_mse_loss] += op->loss_scale * sum;
}

static void loss_l1(const p2p_ref_run *run) {
    const p2p_op *op = run->op;
    const double *x = run->values[P2P_AT_loss_l1_x], *target = run->values[P2P_AT_loss_l1_target];
    double *dx = run->values[P2P_AT_loss_l1_dx], sum = 0;
    for (int64_t e = 0, count = count_of(run, P2P_AT_loss_l1_x); e < count; e++) {
        double difference = x[e] - target[e];
        sum += fabs(difference);
        if (dx != NULL) dx[e] += op->grad_scale * ((difference > 0) - (difference < 0));
    }
    *run->values[P2P_AT_loss_l1_loss] += op->loss_scale * sum;
}

/* ---- Update ------------------------------------------------------------------------------------------- */

static void adam(const p2p_ref_run *run) {
    const p2p_op *op = run->op;
    const double *g = run->values[P2P_AT_adam_g];
    double *p = run->values[P2P_AT_adam_p], *m = run->values[P2P_AT_adam_m], *v = run->values[P2P_AT_adam_v];
    double *copy = p2p_tensor_present(&op->t[P2P_AT_adam_copy]) ? run->values[P2P_AT_adam_copy] : NULL;
    for (int64_t e = 0, count = count_of(run, P2P_AT_adam_p); e < count; e++) {
        m[e] = op->beta1 * m[e] + (1 - op->beta1) * g[e];
        v[e] = op->beta2 * v[e] + (1 - op->beta2) * g[e] * g[e];
        p[e] -=
            run->step->lr_corrected_f64 * m[e] / (sqrt(v[e]) * run->step->root_v_correction_f64 + op->eps);
        if (copy) copy[e] = p[e];
    }
}

const p2p_ref_kernel p2p_ref_kernels[P2P_KIND_COUNT] = {
    [P2P_KIND_copy] = copy,
    [P2P_KIND_prepare] = prepare,
    [P2P_KIND_conv_fwd] = conv_fwd,
    [P2P_KIND_conv_bwd_data] = conv_bwd_data,
    [P2P_KIND_conv_bwd_filter] = conv_bwd_filter,
    [P2P_KIND_gemm] = gemm,
    [P2P_KIND_norm_stats] = p2p_ref_norm_stats,
    [P2P_KIND_norm_apply] = p2p_ref_norm_apply,
    [P2P_KIND_norm_bwd_stats] = p2p_ref_norm_bwd_stats,
    [P2P_KIND_norm_bwd_apply] = p2p_ref_norm_bwd_apply,
    [P2P_KIND_act_fwd] = act_fwd,
    [P2P_KIND_act_bwd] = act_bwd,
    [P2P_KIND_dropout] = dropout,
    [P2P_KIND_axpby] = axpby,
    [P2P_KIND_bias_grad] = bias_grad,
    [P2P_KIND_loss_bce] = loss_bce,
    [P2P_KIND_loss_mse] = loss_mse,
    [P2P_KIND_loss_l1] = loss_l1,
    [P2P_KIND_adam] = adam,
};
