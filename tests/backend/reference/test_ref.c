/* The reference backend against the formulas of p2p_op.h, implemented again here, and against finite
 * differences. Linear kinds run on small integers, for which double precision is exact and results must be
 * equal.
 */
#include "device/device.h"
#include "p2p_philox.h"
#include "ref_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

static void restamp(p2p_tensor *t);

/* ---- Linear kinds, exactly ---------------------------------------------------------------------------- */

static double relu(double x) {
    return x > 0 ? x : 0;
}

/* An extent that the filter just fits into, or up to 6 elements more; often the padding is larger. */
static int64_t padded_extent(int64_t taps, int64_t padding) {
    int64_t least = taps > padding ? taps - padding : 1;
    return least + run_below(7);
}

/* Convolution descriptors of random geometry and storage, as x, w, y in their forward roles. */
static p2p_op random_conv(p2p_kind kind, int x, int w, int y, int bias, int64_t bias_channels) {
    p2p_op op = {.kind = kind,
                 .stride = 1 + run_below(3),
                 .pad_top = run_below(3),
                 .pad_left = run_below(3),
                 .pad_bottom = run_below(3),
                 .pad_right = run_below(3)};
    int64_t r = 1 + run_below(4), s = 1 + run_below(4);
    int64_t h = padded_extent(r, op.pad_top + op.pad_bottom),
            v = padded_extent(s, op.pad_left + op.pad_right);
    int64_t n = 1 + run_below(2), c = 1 + run_below(5), k = 1 + run_below(5);
    op.t[x] = p2p_tensor_activation(P2P_TYPE_f64, n, c, h, v);
    op.t[w] = p2p_tensor_filter(P2P_TYPE_f64, k, c, r, s);
    op.t[y] = p2p_tensor_activation(P2P_TYPE_f64, n, k, (h + op.pad_top + op.pad_bottom - r) / op.stride + 1,
                                    (v + op.pad_left + op.pad_right - s) / op.stride + 1);
    restamp(&op.t[x]), restamp(&op.t[w]), restamp(&op.t[y]);
    op.t[w].layout =
        (p2p_layout[]){P2P_LAYOUT_plain, P2P_LAYOUT_ckrs, P2P_LAYOUT_kcrs_t, P2P_LAYOUT_krsc}[run_below(4)];
    op.t[w].block = op.t[w].layout == P2P_LAYOUT_plain ? 0 : 4;
    op.t[w].c0 = op.t[w].cp = 0;
    if (bias >= 0 && run_below(2)) op.t[bias] = p2p_tensor_vector(P2P_TYPE_f64, bias_channels == 0 ? k : c);
    if (bias >= 0 && run_below(2)) op.act = P2P_ACT_relu;
    return op;
}

/* A convolution with its operands' positions in their forward roles. */
typedef struct {
    const run *r;
    int x, w, y;
} conv_view;

/* Whether output position (i, j) meets input position (h, v) at tap (r, s). */
static bool meets(const p2p_op *op, int64_t i, int64_t j, int64_t r, int64_t s, int64_t h, int64_t v) {
    return h == i * op->stride - op->pad_top + r && v == j * op->stride - op->pad_left + s;
}

/* Visit all (k, c, r, s, n, i, j, h, v) that meet, in plain loops, and add the products to `sum`, which has
 * the shape of the operand `target`. */
static void add_products(const conv_view *view, int target, double *sum) {
    const run *q = view->r;
    const p2p_tensor *x = &q->op.t[view->x], *w = &q->op.t[view->w], *y = &q->op.t[view->y];
    for (int64_t n = 0; n < x->n; n++)
        for (int64_t pair = 0; pair < y->c * x->c; pair++)
            for (int64_t tap = 0; tap < w->h * w->w; tap++)
                for (int64_t out = 0; out < y->h * y->w; out++)
                    for (int64_t in = 0; in < x->h * x->w; in++) {
                        int64_t k = pair / x->c, c = pair % x->c, r = tap / w->w, s = tap % w->w;
                        int64_t i = out / y->w, j = out % y->w, h = in / x->w, v = in % x->w;
                        if (!meets(&q->op, i, j, r, s, h, v)) continue;
                        if (target == view->y)
                            sum[((n * y->c + k) * y->h + i) * y->w + j] +=
                                run_at(q, view->w, k, c, r, s) * run_at(q, view->x, n, c, h, v);
                        else if (target == view->x)
                            sum[((n * x->c + c) * x->h + h) * x->w + v] +=
                                run_at(q, view->w, k, c, r, s) * run_at(q, view->y, n, k, i, j);
                        else
                            sum[((k * x->c + c) * w->h + r) * w->w + s] +=
                                run_at(q, view->x, n, c, h, v) * run_at(q, view->y, n, k, i, j);
                    }
}

static void check_conv(p2p_op op, int x, int w, int y, int bias, int target) {
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        op.accumulate = accumulate ? 1u << target : 0;
        run r = run_of(&op);
        const p2p_tensor *t = &op.t[target];
        int64_t count = p2p_tensor_elements(t);
        double *expected = calloc((size_t)count, sizeof *expected);
        add_products(&(conv_view){&r, x, w, y}, target, expected);
        for (int64_t e = 0; e < count; e++) {
            if (bias >= 0 && r.v[bias] != NULL) expected[e] += r.v[bias][e / (t->h * t->w) % t->c];
            if (op.act == P2P_ACT_relu) expected[e] = relu(expected[e]);
            if (accumulate) expected[e] += r.v[target][e];
        }
        run_go(&r);
        for (int64_t e = 0; e < count; e++) assert_true(r.v[target][e] == expected[e]);
        free(expected);
        run_free(&r);
    }
}

static void convolutions_follow_their_formulas(void **state) {
    (void)state;
    for (int round = 0; round < 100; round++) {
        enum { fx = P2P_AT_conv_fwd_x, fw = P2P_AT_conv_fwd_w, fy = P2P_AT_conv_fwd_y };
        enum { dx = P2P_AT_conv_bwd_data_dx, dw = P2P_AT_conv_bwd_data_w, dy = P2P_AT_conv_bwd_data_dy };
        enum {
            gx = P2P_AT_conv_bwd_filter_x,
            gw = P2P_AT_conv_bwd_filter_dw,
            gy = P2P_AT_conv_bwd_filter_dy
        };
        p2p_op op = random_conv(P2P_KIND_conv_fwd, fx, fw, fy, P2P_AT_conv_fwd_bias, 0);
        check_conv(op, fx, fw, fy, P2P_AT_conv_fwd_bias, fy);
        op = random_conv(P2P_KIND_conv_bwd_data, dx, dw, dy, P2P_AT_conv_bwd_data_bias, 1);
        check_conv(op, dx, dw, dy, P2P_AT_conv_bwd_data_bias, dx);
        op = random_conv(P2P_KIND_conv_bwd_filter, gx, gw, gy, -1, 0);
        check_conv(op, gx, gw, gy, -1, gw);
    }
}

/* One product per result, so every expected number is exact: 1 + 1/256 and 3 + 1/128 lie between two numbers
 * of bf16 and are rounded to the even ones, 1 and 3; 1 + 3/256 is rounded to 1 + 1/64. */
static void bf16_rounds_factors_and_nothing_else(void **state) {
    (void)state;
    const double tie_down = 1 + 0x1p-8, tie_up = -(1 + 3 * 0x1p-8), up = -(1 + 0x1p-6), three = 3 + 0x1p-7;
    run r = run_text("conv_fwd x=f64:plain:1x1x1x2 w=f64:plain:1x1x1x1 bias=f64:plain:1x1x1x1 "
                     "y+=f64:plain:1x1x1x2 math=bf16");
    r.v[P2P_AT_conv_fwd_x][0] = tie_down, r.v[P2P_AT_conv_fwd_x][1] = tie_up;
    r.v[P2P_AT_conv_fwd_w][0] = three, r.v[P2P_AT_conv_fwd_bias][0] = 0x1p-20;
    r.v[P2P_AT_conv_fwd_y][0] = r.v[P2P_AT_conv_fwd_y][1] = 0x1p-21;
    run_go(&r);
    assert_true(r.v[P2P_AT_conv_fwd_y][0] == 3 + 0x1p-20 + 0x1p-21);
    assert_true(r.v[P2P_AT_conv_fwd_y][1] == 3 * up + 0x1p-20 + 0x1p-21);
    run_free(&r);
    r = run_text("conv_bwd_data dy=f64:plain:1x1x1x2 w=f64:plain:1x1x1x1 dx=f64:plain:1x1x1x2 math=bf16");
    r.v[P2P_AT_conv_bwd_data_dy][0] = tie_down, r.v[P2P_AT_conv_bwd_data_dy][1] = tie_up;
    r.v[P2P_AT_conv_bwd_data_w][0] = three;
    run_go(&r);
    assert_true(r.v[P2P_AT_conv_bwd_data_dx][0] == 3 && r.v[P2P_AT_conv_bwd_data_dx][1] == 3 * up);
    run_free(&r);
    r = run_text("conv_bwd_filter x=f64:plain:1x1x1x1 dy=f64:plain:1x1x1x1 dw+=f64:plain:1x1x1x1 math=bf16");
    r.v[P2P_AT_conv_bwd_filter_x][0] = three, r.v[P2P_AT_conv_bwd_filter_dy][0] = tie_up;
    r.v[P2P_AT_conv_bwd_filter_dw][0] = 0x1p-20;
    run_go(&r);
    assert_true(r.v[P2P_AT_conv_bwd_filter_dw][0] == 3 * up + 0x1p-20);
    run_free(&r);
}

static void gemm_follows_its_formula(void **state) {
    (void)state;
    for (int round = 0; round < 64; round++) {
        int64_t m = 1 + run_below(5), n = 1 + run_below(5), k = 1 + run_below(5);
        p2p_op op = {.kind = P2P_KIND_gemm,
                     .alpha = -3,
                     .transpose_a = round & 1,
                     .transpose_b = round >> 1 & 1,
                     .accumulate = round >> 2 & 1 ? 1u << P2P_AT_gemm_y : 0};
        op.t[P2P_AT_gemm_a] = p2p_tensor_matrix(P2P_TYPE_f32, op.transpose_a ? k : m, op.transpose_a ? m : k);
        op.t[P2P_AT_gemm_b] = p2p_tensor_matrix(P2P_TYPE_f64, op.transpose_b ? n : k, op.transpose_b ? k : n);
        op.t[P2P_AT_gemm_y] = p2p_tensor_matrix(P2P_TYPE_f32, m, n);
        run r = run_of(&op), before = run_of(&op);
        memcpy(before.v[P2P_AT_gemm_y], r.v[P2P_AT_gemm_y], (size_t)(m * n) * sizeof(double));
        run_go(&r);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = op.accumulate ? before.v[P2P_AT_gemm_y][i * n + j] : 0;
                for (int64_t d = 0; d < k; d++)
                    sum += -3 * (op.transpose_a ? run_at(&r, 0, 0, d, 0, i) : run_at(&r, 0, 0, i, 0, d)) *
                           (op.transpose_b ? run_at(&r, 1, 0, j, 0, d) : run_at(&r, 1, 0, d, 0, j));
                assert_true(run_at(&r, P2P_AT_gemm_y, 0, i, 0, j) == sum);
            }
        run_free(&r), run_free(&before);
    }
}

/* Runs `text` with and without accumulation and checks y against old + f(x). */
static void check_pointwise(const char *text, int x, int y, double (*f)(const run *r, double x)) {
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        p2p_op op;
        OK(p2p_op_parse(text, &op));
        op.accumulate = accumulate ? 1u << y : 0;
        run r = run_of(&op), before = run_of(&op);
        int64_t count = p2p_tensor_elements(&op.t[y]);
        memcpy(before.v[y], r.v[y], (size_t)count * sizeof(double));
        run_go(&r);
        for (int64_t e = 0; e < count; e++)
            assert_true(r.v[y][e] == (accumulate ? before.v[y][e] : 0) + f(&r, r.v[x][e]));
        run_free(&r), run_free(&before);
    }
}

static double is_x(const run *r, double x) {
    (void)r;
    return x;
}

static double is_linear(const run *r, double x) {
    return r->op.alpha * x + r->op.offset;
}

static double is_act(const run *r, double x) {
    return p2p_act_value(r->op.act, r->op.slope, x);
}

static void pointwise_kinds_follow_their_formulas(void **state) {
    (void)state;
    check_pointwise("copy x=f32:nchwc4:2x5@3/9x4x5 y=bf16:nhwc8:2x5x4x5", P2P_AT_copy_x, P2P_AT_copy_y, is_x);
    check_pointwise("copy x=f32:plain:5x3x2x2 y=f32:kcrs_t4:5x3x2x2", P2P_AT_copy_x, P2P_AT_copy_y, is_x);
    check_pointwise("axpby x=f64:nhwc:2x5x4x5 y=f32:nchwc4:2x5x4x5 alpha=0.5", P2P_AT_axpby_x, P2P_AT_axpby_y,
                    is_linear);
    check_pointwise("act_fwd x=f32:plain:2x5x4x5 y=f32:nchwc4:2x5x4x5 act=lrelu slope=0.25", P2P_AT_act_fwd_x,
                    P2P_AT_act_fwd_y, is_act);
}

static void prepare_scales_bytes(void **state) {
    (void)state;
    run r = run_text("prepare x=u8:nhwc:1x3@3/6x1x2 y=f64:plain:1x3x1x2 alpha=0.0078125 offset=-1");
    memcpy(r.v[P2P_AT_prepare_x], (double[]){0, 255, 128, 64, 1, 2}, 6 * sizeof(double));
    run_go(&r);
    const double expected[] = {-1, 0.9921875, 0, -0.5, -0.9921875, -0.984375};
    assert_memory_equal(r.v[P2P_AT_prepare_y], expected, sizeof expected);
    run_free(&r);
}

static void channel_sums_and_biases(void **state) {
    (void)state;
    run bias = run_text("axpby x=f32:plain:1x3x1x1 y+=f32:nchwc16:2x3x2x2 alpha=2");
    double before[24];
    memcpy(before, bias.v[1], sizeof before);
    run_go(&bias);
    for (int e = 0; e < 24; e++) assert_true(bias.v[1][e] == before[e] + 2 * bias.v[0][e / 4 % 3]);
    run_free(&bias);
    run sum = run_text("bias_grad dy=f32:nchwc16:2x3x2x2 db+=f32:plain:1x3x1x1");
    double expected[3];
    memcpy(expected, sum.v[1], sizeof expected);
    for (int e = 0; e < 24; e++) expected[e / 4 % 3] += sum.v[0][e];
    run_go(&sum);
    assert_memory_equal(sum.v[1], expected, sizeof expected);
    run_free(&sum);
}

/* ---- Normalisation ------------------------------------------------------------------------------------ */

#define SHAPE  "f64:plain:4x3x2x3 "
#define VECTOR "f64:plain:1x3x1x1 "

static void statistics_are_count_mean_and_deviations(void **state) {
    (void)state;
    run r = run_text("norm_stats x=f64:nchwc4:2x1@2/5x1x2 stats=f64:plain:1x3x1x1");
    memcpy(r.v[0], (double[]){1, 2, 3, 6}, 4 * sizeof(double));
    run_go(&r);
    const double expected[] = {4, 3, 14};
    assert_memory_equal(r.v[1], expected, sizeof expected);
    run_free(&r);
}

/* Each group normalises to mean 0 and variance 1 (eps aside), then scale and shift apply. */
static void normalising_normalises(void **state) {
    (void)state;
    run r = run_text("norm_apply x=" SHAPE "stats=f64:plain:2x3x1x3 scale=" VECTOR "shift=" VECTOR "y=" SHAPE
                     "y2=" SHAPE "act2=relu images=2 merged=1 eps=1e-12");
    run_normal(&r, P2P_AT_norm_apply_x, 5, 3);
    run_go(&r);
    for (int64_t g = 0; g < 2; g++)
        for (int64_t c = 0; c < 3; c++) {
            double mean = 0, square = 0;
            for (int64_t e = 0; e < 12; e++) {
                double y = run_at(&r, P2P_AT_norm_apply_y, 2 * g + e / 6, c, e / 3 % 2, e % 3);
                assert_true(run_at(&r, P2P_AT_norm_apply_y2, 2 * g + e / 6, c, e / 3 % 2, e % 3) == relu(y));
                mean += y / 12;
                square += y * y / 12;
            }
            double scale = r.v[P2P_AT_norm_apply_scale][c], shift = r.v[P2P_AT_norm_apply_shift][c];
            run_assert_near(mean, shift, 1e-10);
            run_assert_near(square - mean * mean, scale * scale, 1e-10);
        }
    run_free(&r);
}

/* Two groups of one channel with values 1 3 and 10 30: means 2 and 20, unbiased variances 2 and 200. */
static void running_statistics_move_in_group_order(void **state) {
    (void)state;
    run r =
        run_text("norm_apply x=f64:plain:2x1x1x2 stats=f64:plain:2x3x1x1 scale=f64:plain:1x1x1x1 "
                 "shift=f64:plain:1x1x1x1 running=f64:plain:1x2x1x1 y=f64:plain:2x1x1x2 images=1 merged=1 "
                 "eps=1e-5 momentum=0.5");
    memcpy(r.v[P2P_AT_norm_apply_x], (double[]){1, 3, 10, 30}, 4 * sizeof(double));
    memcpy(r.v[P2P_AT_norm_apply_running], (double[]){0, 1}, 2 * sizeof(double));
    run_go(&r);
    run_assert_near(r.v[P2P_AT_norm_apply_running][0], 10.5, 1e-15);
    run_assert_near(r.v[P2P_AT_norm_apply_running][1], 100.75, 1e-15);
    run_free(&r);

    run evaluation =
        run_text("norm_apply x=f64:plain:1x1x1x2 scale=f64:plain:1x1x1x1 shift=f64:plain:1x1x1x1 "
                 "running=f64:plain:1x2x1x1 y=f64:plain:1x1x1x2 use_running=1 eps=1 momentum=0.5");
    evaluation.v[P2P_AT_norm_apply_scale][0] = 2;
    evaluation.v[P2P_AT_norm_apply_shift][0] = 1;
    memcpy(evaluation.v[P2P_AT_norm_apply_x], (double[]){4, 7}, 2 * sizeof(double));
    memcpy(evaluation.v[P2P_AT_norm_apply_running], (double[]){4, 8}, 2 * sizeof(double));
    run_go(&evaluation);
    assert_true(evaluation.v[P2P_AT_norm_apply_y][0] == 1 && evaluation.v[P2P_AT_norm_apply_y][1] == 3);
    run_free(&evaluation);
}

#define GROUPS_AND_ACTS "act=tanh act2=lrelu images=2 layer=5 slope2=0.3 eps=0.001 dropout=0.4"
#define NORM_OPERANDS   "x=" SHAPE "stats=f64:plain:2x3x1x3 scale=" VECTOR "shift=" VECTOR

/* sum(y * dy + y2 * dy2), as a function of x, scale and shift. */
static double normalised_loss(const run *forward, const double *dy, const double *dy2) {
    run r = run_of(&forward->op);
    for (int i = 0; i < P2P_AT_norm_apply_y; i++)
        if (r.v[i] != NULL)
            memcpy(r.v[i], forward->v[i], (size_t)p2p_tensor_elements(&r.op.t[i]) * sizeof(double));
    run_go(&r);
    double loss = 0;
    for (int64_t e = 0; e < p2p_tensor_elements(&r.op.t[P2P_AT_norm_apply_y]); e++)
        loss += r.v[P2P_AT_norm_apply_y][e] * dy[e] + r.v[P2P_AT_norm_apply_y2][e] * dy2[e];
    run_free(&r);
    return loss;
}

static void check_slopes(run *forward, int operand, const double *gradient, const double *dy,
                         const double *dy2) {
    const double step = 1e-5;
    for (int64_t e = 0; e < p2p_tensor_elements(&forward->op.t[operand]); e++) {
        double *value = &forward->v[operand][e], middle = *value;
        *value = middle + step;
        double above = normalised_loss(forward, dy, dy2);
        *value = middle - step;
        double under = normalised_loss(forward, dy, dy2);
        *value = middle;
        run_assert_near(gradient[e], (above - under) / (2 * step), 1e-6);
    }
}

static void copy_operand(run *to, int i, const run *from, int j) {
    memcpy(to->v[i], from->v[j], (size_t)p2p_tensor_elements(&to->op.t[i]) * sizeof(double));
}

/* Run `text` with scale 1 and shift 0, and again without them: all results have the same bits. */
static void check_bare(const char *text, int scale) {
    run with = run_text(text);
    for (int c = 0; c < 3; c++) with.v[scale][c] = 1, with.v[scale + 1][c] = 0;
    p2p_op op = with.op;
    op.t[scale] = op.t[scale + 1] = (p2p_tensor){0};
    run without = run_of(&op);
    for (int i = 0; i < P2P_MAX_OPERANDS; i++)
        if (without.v[i] != NULL) copy_operand(&without, i, &with, i);
    run_go(&with), run_go(&without);
    for (int i = 0; i < P2P_MAX_OPERANDS; i++)
        if (without.v[i] != NULL)
            assert_memory_equal(without.v[i], with.v[i],
                                (size_t)p2p_tensor_elements(&op.t[i]) * sizeof(double));
    run_free(&with), run_free(&without);
}

static void absent_scale_and_shift_are_1_and_0(void **state) {
    (void)state;
    check_bare("norm_apply " NORM_OPERANDS "y=" SHAPE "images=2 merged=1 eps=0.001", P2P_AT_norm_apply_scale);
    check_bare("norm_bwd_stats " NORM_OPERANDS "dy=" SHAPE
               "sums=f64:plain:2x2x1x3 act=relu images=2 eps=0.001",
               P2P_AT_norm_bwd_stats_scale);
    check_bare("norm_bwd_apply " NORM_OPERANDS "dy=" SHAPE "sums=f64:plain:2x2x1x3 dx=" SHAPE
               "images=2 merged=1 act=relu eps=0.001",
               P2P_AT_norm_bwd_apply_scale);
}

static void norm_gradients_are_slopes(void **state) {
    (void)state;
    run forward = run_text("norm_apply " NORM_OPERANDS "step=u32:plain:1x1x1x14 y=" SHAPE "y2=" SHAPE
                           "merged=1 " GROUPS_AND_ACTS);
    run_normal(&forward, P2P_AT_norm_apply_x, 1, 2);
    run_normal(&forward, P2P_AT_norm_apply_scale, 1, 0.5);
    run_normal(&forward, P2P_AT_norm_apply_shift, 0, 0.5);
    run_go(&forward);
    run merged = run_text("norm_bwd_apply " NORM_OPERANDS "dy=" SHAPE "dy2=" SHAPE "step=u32:plain:1x1x1x14 "
                          "sums=f64:plain:2x2x1x3 dx=" SHAPE "dscale=" VECTOR "dshift=" VECTOR
                          "merged=1 " GROUPS_AND_ACTS);
    for (int i = P2P_AT_norm_apply_x; i <= P2P_AT_norm_apply_shift; i++)
        copy_operand(&merged, i, &forward, i);
    run_go(&merged);
    const double *dy = merged.v[P2P_AT_norm_bwd_apply_dy], *dy2 = merged.v[P2P_AT_norm_bwd_apply_dy2];
    check_slopes(&forward, P2P_AT_norm_apply_x, merged.v[P2P_AT_norm_bwd_apply_dx], dy, dy2);
    check_slopes(&forward, P2P_AT_norm_apply_scale, merged.v[P2P_AT_norm_bwd_apply_dscale], dy, dy2);
    check_slopes(&forward, P2P_AT_norm_apply_shift, merged.v[P2P_AT_norm_bwd_apply_dshift], dy, dy2);

    run sums = run_text("norm_bwd_stats " NORM_OPERANDS "dy=" SHAPE "dy2=" SHAPE "step=u32:plain:1x1x1x14 "
                        "sums=f64:plain:2x2x1x3 dscale+=" VECTOR "dshift=" VECTOR GROUPS_AND_ACTS);
    run apply = run_text("norm_bwd_apply " NORM_OPERANDS "dy=" SHAPE "dy2=" SHAPE "step=u32:plain:1x1x1x14 "
                         "sums=f64:plain:2x2x1x3 dx=" SHAPE GROUPS_AND_ACTS);
    for (int i = 0; i < P2P_AT_norm_bwd_apply_step; i++)
        copy_operand(&sums, i, &merged, i), copy_operand(&apply, i, &merged, i);
    double old[3];
    memcpy(old, sums.v[P2P_AT_norm_bwd_stats_dscale], sizeof old);
    run_go(&sums);
    copy_operand(&apply, P2P_AT_norm_bwd_apply_sums, &sums, P2P_AT_norm_bwd_stats_sums);
    run_go(&apply);
    assert_memory_equal(apply.v[P2P_AT_norm_bwd_apply_dx], merged.v[P2P_AT_norm_bwd_apply_dx],
                        72 * sizeof(double));
    for (int c = 0; c < 3; c++) {
        run_assert_near(sums.v[P2P_AT_norm_bwd_stats_dscale][c],
                        old[c] + merged.v[P2P_AT_norm_bwd_apply_dscale][c], 1e-14);
        assert_true(sums.v[P2P_AT_norm_bwd_stats_dshift][c] == merged.v[P2P_AT_norm_bwd_apply_dshift][c]);
    }
    run_free(&forward), run_free(&merged), run_free(&sums), run_free(&apply);
}

static void one_element_has_no_gradient(void **state) {
    (void)state;
    run r =
        run_text("norm_bwd_apply x=f64:plain:1x3x1x1 stats=f64:plain:1x3x1x3 scale=" VECTOR "shift=" VECTOR
                 "dy=f64:plain:1x3x1x1 sums=f64:plain:1x2x1x3 dx=f64:plain:1x3x1x1 merged=1 eps=1e-05");
    run_normal(&r, P2P_AT_norm_bwd_apply_x, 0, 1);
    for (int c = 0; c < 3; c++) {
        r.v[P2P_AT_norm_bwd_apply_stats][c] = 1;
        r.v[P2P_AT_norm_bwd_apply_stats][3 + c] = r.v[P2P_AT_norm_bwd_apply_x][c] + 1e-9;
        r.v[P2P_AT_norm_bwd_apply_stats][6 + c] = 0;
    }
    run_go(&r);
    for (int c = 0; c < 3; c++) assert_true(r.v[P2P_AT_norm_bwd_apply_dx][c] == 0);
    run_free(&r);
}

/* ---- Dropout, losses, update -------------------------------------------------------------------------- */

static void dropout_masks_by_logical_position(void **state) {
    (void)state;
    run r = run_text("dropout x=f64:nchwc4:3x5@6/12x4x4 step=u32:plain:1x1x1x13 y=f64:nhwc:3x5x4x4 layer=77 "
                     "dropout=0.25");
    int kept = 0;
    run_go(&r);
    for (uint32_t e = 0; e < 3 * 5 * 16; e++) {
        bool keep =
            p2p_dropout_keeps(0.25, 123, 456, 77, 7, 1000 + 3 * (e / 80), e / 16 % 5, e / 4 % 4, e % 4);
        assert_true(r.v[P2P_AT_dropout_y][e] == (keep ? r.v[P2P_AT_dropout_x][e] / 0.75 : 0));
        kept += keep;
    }
    assert_in_range(kept, 150, 210);
    run_free(&r);
}

static void activation_gradients_come_from_outputs(void **state) {
    (void)state;
    static const char *const texts[] = {
        "act_bwd y=f64:plain:2x3x2x2 dy=f64:nchwc4:2x3x2x2 dx+=f64:nhwc:2x3x2x2 act=lrelu slope=0.2",
        "act_bwd y=f64:plain:2x3x2x2 dy=f64:nchwc4:2x3x2x2 dx+=f64:nhwc:2x3x2x2 act=tanh",
    };
    for (int i = 0; i < 2; i++) {
        run r = run_text(texts[i]);
        double old[24];
        memcpy(old, r.v[P2P_AT_act_bwd_dx], sizeof old);
        run_go(&r);
        for (int e = 0; e < 24; e++) {
            double y = r.v[P2P_AT_act_bwd_y][e], slope = i == 1 ? 1 - y * y : y > 0 ? 1 : 0.2;
            assert_true(r.v[P2P_AT_act_bwd_dx][e] == old[e] + slope * r.v[P2P_AT_act_bwd_dy][e]);
        }
        run_free(&r);
    }
}

static void losses_and_their_gradients(void **state) {
    (void)state;
    for (int target = 0; target < 2; target++) {
        run r = run_text(
            "loss_bce x=f64:plain:1x1x1x5 loss+=f64:plain:1x1x1x1 dx=f64:plain:1x1x1x5 loss_scale=0.5 "
            "grad_scale=3");
        r.op.target = target;
        const double x[] = {-2, -0.5, 0, 1, 3};
        memcpy(r.v[0], x, sizeof x);
        double expected = r.v[P2P_AT_loss_bce_loss][0];
        run_go(&r);
        for (int e = 0; e < 5; e++) {
            double p = 1 / (1 + exp(-x[e]));
            expected += -0.5 * log(target ? p : 1 - p);
            run_assert_near(r.v[P2P_AT_loss_bce_dx][e], 3 * (p - target), 1e-15);
        }
        run_assert_near(r.v[P2P_AT_loss_bce_loss][0], expected, 1e-14);
        memcpy(r.v[0], (double[]){-1000, 1000, 0, 0, 0}, sizeof x);
        r.op.accumulate = 0;
        run_go(&r);
        run_assert_near(r.v[P2P_AT_loss_bce_loss][0], 0.5 * (1000 + 3 * log(2)), 1e-14);
        run_free(&r);
    }
    for (int target = 0; target < 2; target++) {
        run r = run_text("loss_mse x=f64:plain:1x1x1x3 loss+=f64:plain:1x1x1x1 dx=f64:plain:1x1x1x3 "
                         "loss_scale=0.5 grad_scale=3");
        r.op.target = target;
        const double x[] = {-2, 1, 3};
        memcpy(r.v[0], x, sizeof x);
        r.v[P2P_AT_loss_mse_loss][0] = 10;
        run_go(&r);
        for (int e = 0; e < 3; e++) assert_true(r.v[P2P_AT_loss_mse_dx][e] == 6 * (x[e] - target));
        assert_true(r.v[P2P_AT_loss_mse_loss][0] == 10 + 0.5 * (target ? 9 + 0 + 4 : 4 + 1 + 9));
        run_free(&r);
    }
    run r = run_text("loss_l1 x=f64:plain:1x1x1x3 target=f64:plain:1x1x1x3 loss=f64:plain:1x1x1x1 "
                     "dx+=f64:plain:1x1x1x3 loss_scale=2 grad_scale=10");
    memcpy(r.v[0], (double[]){1, 2, 3}, 3 * sizeof(double));
    memcpy(r.v[1], (double[]){1, 4, 2.5}, 3 * sizeof(double));
    memcpy(r.v[3], (double[]){1, 1, 1}, 3 * sizeof(double));
    run_go(&r);
    assert_true(r.v[2][0] == 5);
    assert_memory_equal(r.v[3], ((double[]){1, -9, 11}), 3 * sizeof(double));
    run_free(&r);
}

/* Against the textbook form, which corrects the bias of the moments themselves. */
static void adam_equals_the_textbook_form(void **state) {
    (void)state;
    run r = run_text("adam p=f64:plain:1x1x1x4 g=f64:plain:1x1x1x4 m=f64:plain:1x1x1x4 v=f64:plain:1x1x1x4 "
                     "step=u32:plain:1x1x1x10 eps=1e-8 beta1=0.5 beta2=0.999");
    double p[4], m[4] = {0}, v[4] = {0};
    memcpy(p, r.v[P2P_AT_adam_p], sizeof p);
    memcpy(r.v[P2P_AT_adam_m], m, sizeof m);
    memcpy(r.v[P2P_AT_adam_v], v, sizeof v);
    for (int t = 1; t <= 3; t++) {
        double correction1 = 1 - pow(0.5, t), correction2 = 1 - pow(0.999, t);
        r.step->lr_corrected_f64 = 0.01 / correction1;
        r.step->root_v_correction_f64 = 1 / sqrt(correction2);
        run_normal(&r, P2P_AT_adam_g, 0, 1);
        run_go(&r);
        for (int e = 0; e < 4; e++) {
            double g = r.v[P2P_AT_adam_g][e];
            m[e] = 0.5 * m[e] + 0.5 * g;
            v[e] = 0.999 * v[e] + 0.001 * g * g;
            p[e] -= 0.01 * (m[e] / correction1) / (sqrt(v[e] / correction2) + 1e-8);
            run_assert_near(r.v[P2P_AT_adam_p][e], p[e], 1e-14);
        }
    }
    run_free(&r);
}

/* ---- Storage ------------------------------------------------------------------------------------------ */

/* Stores the same logical activation in another layout, with a channel range. */
static void restamp(p2p_tensor *t) {
    t->layout = (p2p_layout[]){P2P_LAYOUT_plain, P2P_LAYOUT_nchwc, P2P_LAYOUT_nhwc}[run_below(3)];
    t->block = t->layout == P2P_LAYOUT_plain ? 0 : (int)(1 + run_below(8));
    t->c0 = run_below(5);
    t->cp = t->c0 + t->c + run_below(5);
}

/* An operation's result does not depend on how its operands are stored. */
static void storage_does_not_matter(void **state) {
    (void)state;
    static const char *const texts[] = {
        "norm_stats x=" SHAPE "stats=f64:plain:2x3x1x3 images=2",
        "norm_apply " NORM_OPERANDS "running=f64:plain:1x2x1x3 step=u32:plain:1x1x1x14 y=" SHAPE "y2+=" SHAPE
        "merged=1 momentum=0.1 " GROUPS_AND_ACTS,
        "norm_bwd_apply " NORM_OPERANDS "dy=" SHAPE "dy2=" SHAPE
        "step=u32:plain:1x1x1x14 sums=f64:plain:2x2x1x3 "
        "dx+=" SHAPE GROUPS_AND_ACTS,
        "act_bwd y=" SHAPE "dy=" SHAPE "dx=" SHAPE "act=tanh",
        "dropout x=" SHAPE "step=u32:plain:1x1x1x14 y=" SHAPE "dropout=0.5",
        "bias_grad dy=" SHAPE "db=" VECTOR,
        "loss_bce x=" SHAPE "loss=f64:plain:1x1x1x1 dx+=" SHAPE "loss_scale=0.1 grad_scale=0.3",
        "loss_mse x=" SHAPE "loss+=f64:plain:1x1x1x1 dx=" SHAPE "target=1 loss_scale=0.1 grad_scale=0.3",
        "loss_l1 x=" SHAPE "target=" SHAPE "loss=f64:plain:1x1x1x1 dx=" SHAPE "loss_scale=0.1 grad_scale=0.3",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (int round = 0; round < 5; round++) {
            run plain = run_text(texts[i]);
            p2p_op op = plain.op;
            for (int j = 0; j < P2P_MAX_OPERANDS; j++)
                if (op.t[j].n == 4 && op.t[j].h == 2) restamp(&op.t[j]);
            run other = run_of(&op);
            for (int j = 0; j < P2P_MAX_OPERANDS; j++)
                if (plain.v[j] != NULL) copy_operand(&other, j, &plain, j);
            run_go(&plain), run_go(&other);
            for (int j = 0; j < P2P_MAX_OPERANDS; j++)
                if (plain.v[j] != NULL)
                    assert_memory_equal(plain.v[j], other.v[j],
                                        (size_t)p2p_tensor_elements(&op.t[j]) * sizeof(double));
            run_free(&plain), run_free(&other);
        }
}

/* ---- Refusals, tickets, collectives ------------------------------------------------------------------- */

static void bad_requests_are_refused(void **state) {
    (void)state;
    const p2p_device_table *table = &ref_module->device;
    p2p_device_info info;
    p2p_query answer;
    p2p_be_buffer *buffer = NULL, *scratch = NULL;
    p2p_be_op *made = NULL;
    p2p_op op;
    assert_null(p2p_module_reference(P2P_BACKEND_ABI + 1, p2p_host_services()));
    REFUSED(ref_module->device_info(4, &info), P2P_NO_DEVICE, "reference:4");
    OK(p2p_op_parse("copy x=f32:plain:1x1x1x10 y=f32:plain:1x1x1x10", &op));
    OK(table->op_query(ref_device, &op, &answer));
    OK(table->buffer_create(ref_device, 64, &buffer));
    OK(table->buffer_create(ref_device, answer.scratch_bytes, &scratch));
    p2p_binding places[] = {{buffer, 0}, {buffer, 24}}, room = {scratch, 0}, *y = &places[P2P_AT_copy_y];
    REFUSED(table->op_create(ref_device, &op, places, (p2p_binding){0}, &made), P2P_INVALID,
            "scratch memory");
    REFUSED(table->op_create(ref_device, &op, places, (p2p_binding){scratch, 8}, &made), P2P_INVALID,
            "scratch");
    y->offset = 32;
    REFUSED(table->op_create(ref_device, &op, places, room, &made), P2P_INVALID, "copy.y takes 40 bytes");
    y->offset = 4;
    REFUSED(table->op_create(ref_device, &op, places, room, &made), P2P_INVALID, "offset 4 of copy.y");
    *y = (p2p_binding){0};
    REFUSED(table->op_create(ref_device, &op, places, room, &made), P2P_INVALID, "has no buffer");
    char bytes[64];
    REFUSED(table->buffer_read(ref_device, (p2p_binding){buffer, 8}, bytes, 60), P2P_INVALID,
            "a read takes 60");
    REFUSED(table->buffer_write(ref_device, (p2p_binding){buffer, 65}, bytes, 0), P2P_INVALID, "a write");
    OK(p2p_op_parse("all_reduce y=f32:plain:1x1x1x10", &op));
    REFUSED(table->op_query(ref_device, &op, &answer), P2P_UNSUPPORTED, "communicator");
    REFUSED(table->buffer_create(ref_device, SIZE_MAX, &buffer), P2P_OUT_OF_MEMORY, "does not fit");
    table->buffer_destroy(ref_device, buffer);
    table->buffer_destroy(ref_device, scratch);
}

static void tickets_grow_and_unknown_ones_are_refused(void **state) {
    (void)state;
    p2p_ticket first, second;
    OK(ref_module->device.submit(ref_device, &first));
    OK(ref_module->device.submit(ref_device, &second));
    assert_true(second > first && first > 0);
    OK(ref_module->device.wait(ref_device, 0));
    OK(ref_module->device.wait(ref_device, second));
    REFUSED(ref_module->device.wait(ref_device, second + 1), P2P_INVALID, "never submitted");
}

/* ---- Several devices ---------------------------------------------------------------------------------- */

enum { REPLICAS = 3 };

typedef struct {
    p2p_be_device *devices[REPLICAS];
    p2p_be_comm *comm;
    p2p_contribution replicas[REPLICAS];
    p2p_ticket done[REPLICAS];
} group;

static group group_open(void) {
    group g = {.comm = NULL};
    for (int i = 0; i < REPLICAS; i++) {
        OK(ref_module->device_open(i, &g.devices[i]));
        OK(ref_module->device.buffer_create(g.devices[i], 256, &g.replicas[i].binding.buffer));
        g.replicas[i].binding.offset = 16;
    }
    OK(ref_module->comm_open(g.devices, REPLICAS, REPLICAS, 0, NULL, &g.comm));
    return g;
}

static void group_close(group *g) {
    ref_module->comm.close(g->comm);
    for (int i = 0; i < REPLICAS; i++) {
        ref_module->device.buffer_destroy(g->devices[i], g->replicas[i].binding.buffer);
        ref_module->device.close(g->devices[i]);
    }
}

/* Set the values of replica i, reduce, and check that all replicas have `expected`. */
static void check_collective(const char *text, double values[REPLICAS][6], const double *expected,
                             int count) {
    p2p_op op;
    OK(p2p_op_parse(text, &op));
    OK(p2p_op_validate(&op));
    size_t bytes = (size_t)count * sizeof(double);
    group g = group_open();
    for (int i = 0; i < REPLICAS; i++) {
        OK(ref_module->device.buffer_write(g.devices[i], g.replicas[i].binding, values[i], bytes));
        OK(ref_module->device.submit(g.devices[i], &g.replicas[i].after));
    }
    OK((op.kind == P2P_KIND_broadcast ? ref_module->comm.broadcast
                                      : ref_module->comm.all_reduce)(g.comm, &op, g.replicas, g.done));
    for (int i = 0; i < REPLICAS; i++) {
        double found[6];
        assert_true(g.done[i] > g.replicas[i].after);
        OK(ref_module->device.wait(g.devices[i], g.done[i]));
        OK(ref_module->device.buffer_read(g.devices[i], g.replicas[i].binding, found, bytes));
        for (int e = 0; e < count; e++) run_assert_near(found[e], expected[e], 1e-15);
    }
    g.replicas[1].after = g.done[1] + 1;
    REFUSED(ref_module->comm.all_reduce(g.comm, &op, g.replicas, g.done), P2P_INVALID, "never submitted");
    group_close(&g);
    ref_kind_was_run[op.kind] = true;
}

static void collectives_reduce_in_replica_order(void **state) {
    (void)state;
    /* 1e16 + 1 - 1e16 is 0 in this order only. */
    double terms[REPLICAS][6] = {{1, 1e16}, {2, 1}, {4, -1e16}};
    check_collective("all_reduce y=f64:plain:1x1x1x2", terms, (double[]){7, 0}, 2);
    check_collective("broadcast y=f64:plain:1x1x1x2 root=1", terms, (double[]){2, 1}, 2);
    /* Two channels: {1 2} {} {6}, and {} {} {}; the empty ones have no mean. */
    double moments[REPLICAS][6] = {{2, 0, 1.5, NAN, 0.5, 0}, {0, 0, NAN, NAN, 0, 0}, {1, 0, 6, NAN, 0, 0}};
    moments[0][3] = moments[2][3] = 0;
    check_collective("all_reduce y=f64:plain:1x3x1x2 reduction=moments", moments,
                     (double[]){3, 0, 3, 0, 14, 0}, 6);
}

static void replicas_elsewhere_are_refused(void **state) {
    (void)state;
    p2p_be_comm *comm = NULL;
    REFUSED(ref_module->comm_open(&ref_device, 1, 2, 0, NULL, &comm), P2P_UNSUPPORTED, "several processes");
}

static void every_kind_was_run(void **state) {
    (void)state;
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++)
        if (!ref_kind_was_run[kind]) fail_msg("%s was never run", p2p_kind_name((p2p_kind)kind));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_follow_their_formulas),
        cmocka_unit_test(bf16_rounds_factors_and_nothing_else),
        cmocka_unit_test(gemm_follows_its_formula),
        cmocka_unit_test(pointwise_kinds_follow_their_formulas),
        cmocka_unit_test(prepare_scales_bytes),
        cmocka_unit_test(channel_sums_and_biases),
        cmocka_unit_test(statistics_are_count_mean_and_deviations),
        cmocka_unit_test(normalising_normalises),
        cmocka_unit_test(running_statistics_move_in_group_order),
        cmocka_unit_test(norm_gradients_are_slopes),
        cmocka_unit_test(absent_scale_and_shift_are_1_and_0),
        cmocka_unit_test(one_element_has_no_gradient),
        cmocka_unit_test(dropout_masks_by_logical_position),
        cmocka_unit_test(activation_gradients_come_from_outputs),
        cmocka_unit_test(losses_and_their_gradients),
        cmocka_unit_test(adam_equals_the_textbook_form),
        cmocka_unit_test(storage_does_not_matter),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(tickets_grow_and_unknown_ones_are_refused),
        cmocka_unit_test(collectives_reduce_in_replica_order),
        cmocka_unit_test(replicas_elsewhere_are_refused),
        cmocka_unit_test(every_kind_was_run),
    };
    return cmocka_run_group_tests(tests, ref_open_device, ref_close_device);
}
