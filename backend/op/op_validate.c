/* Validation of descriptors: operands, shapes and numbers of every kind.
 *
 * The planner and backends rely on validated descriptors without further checks, so the rules are complete:
 * every accepted descriptor has a meaning, defined in p2p_op.h. Whether a device supports it is not decided
 * here. Each kind has a function for its shapes; numbers are checked by tables.
 */
#include "op_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Largest padding, stride and image side of a convolution: far above use, and no sum overflows. */
enum { MAX_GEOMETRY = 1 << 24, MAX_DROPOUT_SIDE = 65536 };

/* ---- Messages and shapes ------------------------------------------------------------------------------ */

static const char *kind_name(const p2p_op *op) {
    return p2p_kind_name(op->kind);
}

static const char *operand_name(const p2p_op *op, int operand) {
    return p2p_kind_operand_name(op->kind, operand);
}

static bool present(const p2p_op *op, int operand) {
    return p2p_tensor_present(&op->t[operand]);
}

/* Fails with "<kind>: operand <name> (<tensor>): <rule>". */
static p2p_status fail_operand(const p2p_op *op, int operand, const char *format, ...) P2P_PRINTF(3, 4);

static p2p_status fail_operand(const p2p_op *op, int operand, const char *format, ...) {
    char rule[256], tensor[P2P_TENSOR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(rule, sizeof rule, format, args);
    va_end(args);
    p2p_tensor_print(&op->t[operand], tensor, sizeof tensor);
    return p2p_fail(P2P_INVALID, "%s: operand %s (%s): %s", kind_name(op), operand_name(op, operand), tensor,
                    rule);
}

static p2p_status require_shape(const p2p_op *op, int operand, int64_t n, int64_t c, int64_t h, int64_t w) {
    const p2p_tensor *t = &op->t[operand];
    if (t->n == n && t->c == c && t->h == h && t->w == w) return P2P_OK;
    return fail_operand(op, operand, "its shape must be %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, n, c,
                        h, w);
}

static p2p_status require_same_shape(const p2p_op *op, int operand, int like) {
    const p2p_tensor *t = &op->t[like];
    if (p2p_tensor_same_shape(&op->t[operand], t)) return P2P_OK;
    return fail_operand(op, operand,
                        "its shape must be that of %s, %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64,
                        operand_name(op, like), t->n, t->c, t->h, t->w);
}

static p2p_status require_real(const p2p_op *op, int operand) {
    p2p_type type = op->t[operand].type;
    if (type == P2P_TYPE_f32 || type == P2P_TYPE_f64 || type == P2P_TYPE_bf16) return P2P_OK;
    return fail_operand(op, operand, "its type must be f32, f64 or bf16");
}

static p2p_status require_activation(const p2p_op *op, int operand) {
    P2P_TRY(require_real(op, operand));
    if (p2p_layout_is_filter(op->t[operand].layout))
        return fail_operand(op, operand, "the layout is one of filters, and this is an activation");
    return P2P_OK;
}

static p2p_status require_filter(const p2p_op *op, int operand) {
    P2P_TRY(require_real(op, operand));
    if (op->t[operand].layout != P2P_LAYOUT_plain && !p2p_layout_is_filter(op->t[operand].layout))
        return fail_operand(op, operand, "the layout is one of activations, and this is a filter");
    if (!p2p_tensor_is_whole(&op->t[operand]))
        return fail_operand(op, operand, "a filter has no channel range");
    return P2P_OK;
}

static p2p_status require_whole_plain(const p2p_op *op, int operand) {
    if (op->t[operand].layout != P2P_LAYOUT_plain)
        return fail_operand(op, operand, "its layout must be plain");
    if (!p2p_tensor_is_whole(&op->t[operand])) return fail_operand(op, operand, "it has no channel range");
    return P2P_OK;
}

/* The operand must be a plain, whole array of real numbers with these extents, or absent. */
static p2p_status require_array(const p2p_op *op, int operand, int64_t n, int64_t c, int64_t h, int64_t w) {
    if (!present(op, operand)) return P2P_OK;
    P2P_TRY(require_real(op, operand));
    P2P_TRY(require_whole_plain(op, operand));
    return require_shape(op, operand, n, c, h, w);
}

static p2p_status require_vector(const p2p_op *op, int operand, int64_t c) {
    return require_array(op, operand, 1, c, 1, 1);
}

static p2p_status require_stats(const p2p_op *op, int operand, int64_t groups, int64_t rows, int64_t c) {
    return require_array(op, operand, groups, rows, 1, c);
}

static p2p_status require_activation_like(const p2p_op *op, int operand, int like) {
    if (!present(op, operand)) return P2P_OK;
    P2P_TRY(require_activation(op, operand));
    return require_same_shape(op, operand, like);
}

static p2p_status require_absent(const p2p_op *op, int operand, const char *when) {
    if (!present(op, operand)) return P2P_OK;
    return fail_operand(op, operand, "it must be absent %s", when);
}

static p2p_status require_present(const p2p_op *op, int operand, const char *when) {
    if (present(op, operand)) return P2P_OK;
    return p2p_fail(P2P_INVALID, "%s: operand %s is missing; it must be present %s", kind_name(op),
                    operand_name(op, operand), when);
}

/* The operand must be a step block with at least `images` sample keys. */
static p2p_status require_step(const p2p_op *op, int operand, int64_t images) {
    const p2p_tensor *t = &op->t[operand];
    P2P_TRY(require_whole_plain(op, operand));
    if (t->type != P2P_TYPE_u32) return fail_operand(op, operand, "its type must be u32");
    if (t->n != 1 || t->c != 1 || t->h != 1) return fail_operand(op, operand, "it must be a flat array");
    if (t->w < p2p_step_block_words(images))
        return fail_operand(op, operand,
                            "it is too short for %" PRId64 " images, which take %" PRId64 " words", images,
                            p2p_step_block_words(images));
    return P2P_OK;
}

/* ---- Numbers ------------------------------------------------------------------------------------------ */

/* The closed interval from 0 of each integer field. */
static const struct {
    p2p_field field;
    int64_t most;
} int_limits[] = {
    {P2P_FIELD_stride, MAX_GEOMETRY},
    {P2P_FIELD_pad_top, MAX_GEOMETRY},
    {P2P_FIELD_pad_left, MAX_GEOMETRY},
    {P2P_FIELD_pad_bottom, MAX_GEOMETRY},
    {P2P_FIELD_pad_right, MAX_GEOMETRY},
    {P2P_FIELD_act, P2P_ACT_COUNT - 1},
    {P2P_FIELD_act2, P2P_ACT_COUNT - 1},
    {P2P_FIELD_images, INT64_MAX},
    {P2P_FIELD_merged, 1},
    {P2P_FIELD_use_running, 1},
    {P2P_FIELD_layer, UINT32_MAX},
    {P2P_FIELD_target, 1},
    {P2P_FIELD_transpose_a, 1},
    {P2P_FIELD_transpose_b, 1},
    {P2P_FIELD_reduction, P2P_REDUCE_MOMENTS},
    {P2P_FIELD_root, INT32_MAX},
    {P2P_FIELD_math, P2P_MATH_COUNT - 1},
};

/* The half-open or closed interval from 0 of real fields. A field that is not listed may be any finite
 * number. */
static const struct {
    p2p_field field;
    bool most_excluded;
    double most;
} real_limits[] = {
    {P2P_FIELD_slope, true, HUGE_VAL}, {P2P_FIELD_slope2, true, HUGE_VAL}, {P2P_FIELD_eps, true, HUGE_VAL},
    {P2P_FIELD_momentum, false, 1},    {P2P_FIELD_dropout, true, 1},       {P2P_FIELD_beta1, true, 1},
    {P2P_FIELD_beta2, true, 1},
};

static p2p_status check_ranges(const p2p_op *op) {
    for (size_t i = 0; i < sizeof int_limits / sizeof int_limits[0]; i++) {
        int64_t value = p2p_op_int_value(op, int_limits[i].field);
        if (value < 0 || value > int_limits[i].most)
            return p2p_fail(P2P_INVALID, "%s: %s=%" PRId64 " is outside 0 to %" PRId64, kind_name(op),
                            p2p_field_table[int_limits[i].field].name, value, int_limits[i].most);
    }
    for (p2p_field f = 0; f < P2P_FIELD_COUNT; f++)
        if (p2p_field_table[f].is_real && !isfinite(p2p_op_real_value(op, f)))
            return p2p_fail(P2P_INVALID, "%s: %s is not finite", kind_name(op), p2p_field_table[f].name);
    for (size_t i = 0; i < sizeof real_limits / sizeof real_limits[0]; i++) {
        double value = p2p_op_real_value(op, real_limits[i].field), most = real_limits[i].most;
        if (value < 0 || value > most || (real_limits[i].most_excluded && value == most))
            return p2p_fail(P2P_INVALID, "%s: %s=%g is outside 0 to %g", kind_name(op),
                            p2p_field_table[real_limits[i].field].name, value, most);
    }
    return P2P_OK;
}

/* Only lrelu has a slope. */
static p2p_status check_act(const p2p_op *op) {
    if (op->act != P2P_ACT_lrelu && op->slope != 0)
        return p2p_fail(P2P_INVALID, "%s: slope=%g is given, but act is not lrelu", kind_name(op), op->slope);
    if (op->act2 != P2P_ACT_lrelu && op->slope2 != 0)
        return p2p_fail(P2P_INVALID, "%s: slope2=%g is given, but act2 is not lrelu", kind_name(op),
                        op->slope2);
    return P2P_OK;
}

/* ---- Shapes of each kind ------------------------------------------------------------------------------ */

static p2p_status check_copy(const p2p_op *op) {
    P2P_TRY(require_real(op, P2P_AT_copy_x));
    P2P_TRY(require_real(op, P2P_AT_copy_y));
    return require_same_shape(op, P2P_AT_copy_y, P2P_AT_copy_x);
}

static p2p_status check_prepare(const p2p_op *op) {
    const p2p_tensor *x = &op->t[P2P_AT_prepare_x];
    if ((x->type != P2P_TYPE_u8 && x->type != P2P_TYPE_u16) || x->layout != P2P_LAYOUT_nhwc || x->block > 1)
        return fail_operand(op, P2P_AT_prepare_x, "images must be u8:nhwc or u16:nhwc");
    P2P_TRY(require_activation(op, P2P_AT_prepare_y));
    return require_same_shape(op, P2P_AT_prepare_y, P2P_AT_prepare_x);
}

/* Checks one extent of a convolution's output side. */
static p2p_status check_conv_extent(const p2p_op *op, int output_side, const char *axis, int64_t in,
                                    int64_t before, int64_t after, int64_t taps, int64_t out) {
    if (in > MAX_GEOMETRY || taps > MAX_GEOMETRY)
        return p2p_fail(P2P_INVALID, "%s: %s is above %d", kind_name(op), axis, MAX_GEOMETRY);
    int64_t reach = in + before + after - taps;
    if (reach < 0)
        return p2p_fail(P2P_INVALID,
                        "%s: a filter of %s %" PRId64 " does not fit into %" PRId64 " padded by %" PRId64
                        " and %" PRId64,
                        kind_name(op), axis, taps, in, before, after);
    int64_t expected = reach / p2p_op_int_value(op, P2P_FIELD_stride) + 1;
    if (out == expected) return P2P_OK;
    return fail_operand(op, output_side,
                        "its %s must be %" PRId64 ", from %" PRId64 " padded by %" PRId64 " and %" PRId64
                        ", filter %" PRId64 ", stride %" PRId64,
                        axis, expected, in, before, after, taps, p2p_op_int_value(op, P2P_FIELD_stride));
}

static p2p_status check_images(const p2p_op *op, int x) {
    const int64_t n = op->t[x].n;
    if (op->images == 0 || n % op->images == 0) return P2P_OK;
    return fail_operand(op, x, "its images can't be divided into groups of images=%" PRId64, op->images);
}

/* x, w and y are the operands in their roles of the forward convolution, under any name. */
static p2p_status check_conv(const p2p_op *op, int x, int w, int y) {
    P2P_TRY(require_activation(op, x));
    P2P_TRY(require_filter(op, w));
    P2P_TRY(require_activation(op, y));
    P2P_TRY(check_images(op, x));
    const p2p_tensor *tx = &op->t[x], *tw = &op->t[w], *ty = &op->t[y];
    P2P_TRY(require_shape(op, w, ty->c, tx->c, tw->h, tw->w));
    P2P_TRY(require_shape(op, y, tx->n, tw->n, ty->h, ty->w));
    P2P_TRY(check_conv_extent(op, y, "height", tx->h, op->pad_top, op->pad_bottom, tw->h, ty->h));
    return check_conv_extent(op, y, "width", tx->w, op->pad_left, op->pad_right, tw->w, ty->w);
}

static p2p_status check_conv_fwd(const p2p_op *op) {
    P2P_TRY(check_act(op));
    P2P_TRY(check_conv(op, P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y));
    return require_vector(op, P2P_AT_conv_fwd_bias, op->t[P2P_AT_conv_fwd_y].c);
}

static p2p_status check_conv_bwd_data(const p2p_op *op) {
    P2P_TRY(check_act(op));
    P2P_TRY(check_conv(op, P2P_AT_conv_bwd_data_dx, P2P_AT_conv_bwd_data_w, P2P_AT_conv_bwd_data_dy));
    return require_vector(op, P2P_AT_conv_bwd_data_bias, op->t[P2P_AT_conv_bwd_data_dx].c);
}

static p2p_status check_conv_bwd_filter(const p2p_op *op) {
    return check_conv(op, P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dw, P2P_AT_conv_bwd_filter_dy);
}

static p2p_status check_gemm(const p2p_op *op) {
    const p2p_tensor *a = &op->t[P2P_AT_gemm_a], *b = &op->t[P2P_AT_gemm_b];
    int64_t m = op->transpose_a ? a->w : a->c, k = op->transpose_a ? a->c : a->w;
    int64_t n = op->transpose_b ? b->c : b->w;
    P2P_TRY(require_array(op, P2P_AT_gemm_a, 1, a->c, 1, a->w));
    P2P_TRY(require_array(op, P2P_AT_gemm_b, 1, op->transpose_b ? n : k, 1, op->transpose_b ? k : n));
    return require_array(op, P2P_AT_gemm_y, 1, m, 1, n);
}

/* Checks x and counts its groups of statistics. */
static p2p_status count_groups(const p2p_op *op, int x, int64_t *groups) {
    P2P_TRY(require_activation(op, x));
    P2P_TRY(check_images(op, x));
    *groups = op->images != 0 ? op->t[x].n / op->images : 1;
    return P2P_OK;
}

/* The operand `step` must be present if and only if dropout is above 0. */
static p2p_status check_dropout_of(const p2p_op *op, int x, int step) {
    const p2p_tensor *t = &op->t[x];
    if (op->dropout == 0 && op->kind != P2P_KIND_dropout)
        return require_absent(op, step, "when dropout is 0");
    P2P_TRY(require_present(op, step, "when dropout is above 0"));
    if (t->h > MAX_DROPOUT_SIDE || t->w > MAX_DROPOUT_SIDE)
        return fail_operand(op, x, "dropout numbers positions up to %d only", MAX_DROPOUT_SIDE);
    return require_step(op, step, t->n);
}

static p2p_status check_norm_stats(const p2p_op *op) {
    int64_t groups = 0;
    P2P_TRY(count_groups(op, P2P_AT_norm_stats_x, &groups));
    return require_stats(op, P2P_AT_norm_stats_stats, groups, 3, op->t[P2P_AT_norm_stats_x].c);
}

static p2p_status check_eps(const p2p_op *op) {
    if (op->eps > 0) return P2P_OK;
    return p2p_fail(P2P_INVALID, "%s: eps must be above 0", kind_name(op));
}

static p2p_status check_second_act(const p2p_op *op, int operand) {
    if (present(op, operand) || op->act2 == P2P_ACT_none) return P2P_OK;
    return p2p_fail(P2P_INVALID, "%s: act2=%s is given, but operand %s is absent", kind_name(op),
                    p2p_act_name((p2p_act)op->act2), operand_name(op, operand));
}

/* Checks the operands from which mean and variance are taken. */
static p2p_status check_norm_sources(const p2p_op *op, int64_t groups, int64_t c) {
    if (op->use_running) {
        if (op->merged)
            return p2p_fail(P2P_INVALID, "%s: merged and use_running exclude each other", kind_name(op));
        P2P_TRY(require_absent(op, P2P_AT_norm_apply_stats, "with use_running"));
        P2P_TRY(require_present(op, P2P_AT_norm_apply_running, "with use_running"));
    } else {
        P2P_TRY(require_present(op, P2P_AT_norm_apply_stats, "without use_running"));
    }
    P2P_TRY(require_stats(op, P2P_AT_norm_apply_stats, groups, 3, c));
    return require_stats(op, P2P_AT_norm_apply_running, 1, 2, c);
}

static p2p_status check_affine(const p2p_op *op, int scale, int shift, int64_t c) {
    if (present(op, scale)) P2P_TRY(require_present(op, shift, "with scale"));
    P2P_TRY(require_vector(op, scale, c));
    return present(op, scale) ? require_vector(op, shift, c) : require_absent(op, shift, "without scale");
}

static p2p_status check_norm_apply(const p2p_op *op) {
    int64_t groups = 0, c = op->t[P2P_AT_norm_apply_x].c;
    P2P_TRY(check_act(op));
    P2P_TRY(check_eps(op));
    P2P_TRY(count_groups(op, P2P_AT_norm_apply_x, &groups));
    P2P_TRY(check_norm_sources(op, groups, c));
    P2P_TRY(check_affine(op, P2P_AT_norm_apply_scale, P2P_AT_norm_apply_shift, c));
    P2P_TRY(check_dropout_of(op, P2P_AT_norm_apply_x, P2P_AT_norm_apply_step));
    P2P_TRY(require_activation_like(op, P2P_AT_norm_apply_y, P2P_AT_norm_apply_x));
    P2P_TRY(require_activation_like(op, P2P_AT_norm_apply_y2, P2P_AT_norm_apply_x));
    return check_second_act(op, P2P_AT_norm_apply_y2);
}

/* norm_bwd_stats and norm_bwd_apply begin with the same operands and end with dscale and dshift. */
static p2p_status check_norm_bwd(const p2p_op *op, int sums, int dscale, int dshift) {
    enum { x = P2P_NORM_BWD_X, dy = P2P_NORM_BWD_DY, dy2 = P2P_NORM_BWD_DY2 };
    int64_t groups = 0, c = op->t[x].c;
    P2P_TRY(check_act(op));
    P2P_TRY(check_eps(op));
    P2P_TRY(count_groups(op, x, &groups));
    P2P_TRY(require_stats(op, P2P_NORM_BWD_STATS, groups, 3, c));
    P2P_TRY(check_affine(op, P2P_NORM_BWD_SCALE, P2P_NORM_BWD_SHIFT, c));
    P2P_TRY(require_activation_like(op, dy, x));
    P2P_TRY(require_activation_like(op, dy2, x));
    P2P_TRY(check_second_act(op, dy2));
    P2P_TRY(check_dropout_of(op, x, P2P_NORM_BWD_STEP));
    P2P_TRY(require_stats(op, sums, groups, 2, c));
    if (!present(op, P2P_NORM_BWD_SCALE)) {
        P2P_TRY(require_absent(op, dscale, "without scale"));
        return require_absent(op, dshift, "without scale");
    }
    P2P_TRY(require_vector(op, dscale, c));
    return require_vector(op, dshift, c);
}

static p2p_status check_norm_bwd_stats(const p2p_op *op) {
    return check_norm_bwd(op, P2P_AT_norm_bwd_stats_sums, P2P_AT_norm_bwd_stats_dscale,
                          P2P_AT_norm_bwd_stats_dshift);
}

static p2p_status check_norm_bwd_apply(const p2p_op *op) {
    P2P_TRY(check_norm_bwd(op, P2P_AT_norm_bwd_apply_sums, P2P_AT_norm_bwd_apply_dscale,
                           P2P_AT_norm_bwd_apply_dshift));
    if (!op->merged) {
        P2P_TRY(require_absent(op, P2P_AT_norm_bwd_apply_dscale, "without merged: norm_bwd_stats writes it"));
        P2P_TRY(require_absent(op, P2P_AT_norm_bwd_apply_dshift, "without merged: norm_bwd_stats writes it"));
    }
    return require_activation_like(op, P2P_AT_norm_bwd_apply_dx, P2P_AT_norm_bwd_apply_x);
}

static p2p_status check_act_fwd(const p2p_op *op) {
    P2P_TRY(check_act(op));
    P2P_TRY(require_activation(op, P2P_AT_act_fwd_x));
    return require_activation_like(op, P2P_AT_act_fwd_y, P2P_AT_act_fwd_x);
}

static p2p_status check_act_bwd(const p2p_op *op) {
    P2P_TRY(check_act(op));
    P2P_TRY(require_activation(op, P2P_AT_act_bwd_y));
    P2P_TRY(require_activation_like(op, P2P_AT_act_bwd_dy, P2P_AT_act_bwd_y));
    return require_activation_like(op, P2P_AT_act_bwd_dx, P2P_AT_act_bwd_y);
}

static p2p_status check_dropout(const p2p_op *op) {
    P2P_TRY(require_activation(op, P2P_AT_dropout_x));
    P2P_TRY(check_dropout_of(op, P2P_AT_dropout_x, P2P_AT_dropout_step));
    return require_activation_like(op, P2P_AT_dropout_y, P2P_AT_dropout_x);
}

static p2p_status check_axpby(const p2p_op *op) {
    const p2p_tensor *x = &op->t[P2P_AT_axpby_x], *y = &op->t[P2P_AT_axpby_y];
    P2P_TRY(require_real(op, P2P_AT_axpby_x));
    P2P_TRY(require_real(op, P2P_AT_axpby_y));
    if (p2p_tensor_same_shape(x, y)) return P2P_OK;
    if (x->n == 1 && x->h == 1 && x->w == 1 && x->c == y->c) {
        P2P_TRY(require_activation(op, P2P_AT_axpby_y));
        return require_vector(op, P2P_AT_axpby_x, y->c);
    }
    return fail_operand(op, P2P_AT_axpby_x, "its shape must be that of y, or one number per channel of y");
}

static p2p_status check_bias_grad(const p2p_op *op) {
    P2P_TRY(require_activation(op, P2P_AT_bias_grad_dy));
    return require_vector(op, P2P_AT_bias_grad_db, op->t[P2P_AT_bias_grad_dy].c);
}

/* loss_bce and loss_mse have the same operands. */
static p2p_status check_label_loss(const p2p_op *op) {
    _Static_assert((int)P2P_AT_loss_bce_dx == (int)P2P_AT_loss_mse_dx, "operands agree");
    P2P_TRY(require_activation(op, P2P_AT_loss_bce_x));
    P2P_TRY(require_array(op, P2P_AT_loss_bce_loss, 1, 1, 1, 1));
    return require_activation_like(op, P2P_AT_loss_bce_dx, P2P_AT_loss_bce_x);
}

static p2p_status check_loss_l1(const p2p_op *op) {
    P2P_TRY(require_activation(op, P2P_AT_loss_l1_x));
    P2P_TRY(require_activation_like(op, P2P_AT_loss_l1_target, P2P_AT_loss_l1_x));
    P2P_TRY(require_array(op, P2P_AT_loss_l1_loss, 1, 1, 1, 1));
    return require_activation_like(op, P2P_AT_loss_l1_dx, P2P_AT_loss_l1_x);
}

static p2p_status check_adam(const p2p_op *op) {
    int64_t count = op->t[P2P_AT_adam_p].w;
    for (int i = P2P_AT_adam_p; i <= P2P_AT_adam_v; i++) P2P_TRY(require_array(op, i, 1, 1, 1, count));
    P2P_TRY(require_array(op, P2P_AT_adam_copy, 1, 1, 1, count));
    return require_step(op, P2P_AT_adam_step, 0);
}

static p2p_status check_all_reduce(const p2p_op *op) {
    const p2p_tensor *y = &op->t[P2P_AT_all_reduce_y];
    if (op->reduction == P2P_REDUCE_SUM) return require_real(op, P2P_AT_all_reduce_y);
    return require_stats(op, P2P_AT_all_reduce_y, y->n, 3, y->w);
}

/* Copies bytes: any type and layout is valid. */
static p2p_status check_broadcast(const p2p_op *op) {
    (void)op;
    return P2P_OK;
}

/* ---- Rules of all kinds ------------------------------------------------------------------------------- */

#define FIELD(name) (UINT64_C(1) << P2P_FIELD_##name)
#define GEOMETRY    (FIELD(stride) | FIELD(pad_top) | FIELD(pad_left) | FIELD(pad_bottom) | FIELD(pad_right))
#define CONV        (GEOMETRY | FIELD(math))
#define ACT         (FIELD(act) | FIELD(slope))
#define ACTS        (ACT | FIELD(act2) | FIELD(slope2))
#define DROPOUT     (FIELD(dropout) | FIELD(layer))

/* Per kind: the check of its shapes, the fields that it uses (all others must be zero), and the outputs that
 * cannot accumulate. */
static const struct {
    p2p_status (*check)(const p2p_op *op);
    uint64_t fields;
    uint32_t never_accumulated;
} rules[P2P_KIND_COUNT] = {
    [P2P_KIND_copy] = {check_copy, 0, 0},
    [P2P_KIND_prepare] = {check_prepare, FIELD(alpha) | FIELD(offset), 0},
    [P2P_KIND_conv_fwd] = {check_conv_fwd, CONV | ACT | FIELD(images), 0},
    [P2P_KIND_conv_bwd_data] = {check_conv_bwd_data, CONV | ACT | FIELD(images), 0},
    [P2P_KIND_conv_bwd_filter] = {check_conv_bwd_filter, CONV, 0},
    [P2P_KIND_gemm] = {check_gemm, FIELD(alpha) | FIELD(transpose_a) | FIELD(transpose_b), 0},
    [P2P_KIND_norm_stats] = {check_norm_stats, FIELD(images), 1u << P2P_AT_norm_stats_stats},
    [P2P_KIND_norm_apply] = {check_norm_apply,
                             ACTS | DROPOUT | FIELD(images) | FIELD(merged) | FIELD(use_running) |
                                 FIELD(eps) | FIELD(momentum),
                             0},
    [P2P_KIND_norm_bwd_stats] = {check_norm_bwd_stats, ACTS | DROPOUT | FIELD(images) | FIELD(eps),
                                 1u << P2P_AT_norm_bwd_stats_sums},
    [P2P_KIND_norm_bwd_apply] = {check_norm_bwd_apply,
                                 ACTS | DROPOUT | FIELD(images) | FIELD(merged) | FIELD(eps), 0},
    [P2P_KIND_act_fwd] = {check_act_fwd, ACT, 0},
    [P2P_KIND_act_bwd] = {check_act_bwd, ACT, 0},
    [P2P_KIND_dropout] = {check_dropout, DROPOUT, 0},
    [P2P_KIND_axpby] = {check_axpby, FIELD(alpha), 0},
    [P2P_KIND_bias_grad] = {check_bias_grad, 0, 0},
    [P2P_KIND_loss_bce] = {check_label_loss, FIELD(target) | FIELD(loss_scale) | FIELD(grad_scale), 0},
    [P2P_KIND_loss_mse] = {check_label_loss, FIELD(target) | FIELD(loss_scale) | FIELD(grad_scale), 0},
    [P2P_KIND_loss_l1] = {check_loss_l1, FIELD(loss_scale) | FIELD(grad_scale), 0},
    [P2P_KIND_adam] = {check_adam, FIELD(eps) | FIELD(beta1) | FIELD(beta2), 1u << P2P_AT_adam_copy},
    [P2P_KIND_all_reduce] = {check_all_reduce, FIELD(reduction), 0},
    [P2P_KIND_broadcast] = {check_broadcast, FIELD(root), 0},
};

static p2p_status check_operands(const p2p_op *op) {
    int count = p2p_kind_operand_count(op->kind);
    for (int i = count; i < P2P_MAX_OPERANDS; i++)
        if (present(op, i))
            return p2p_fail(P2P_INVALID, "%s: operand %d is set, but there are only %d", kind_name(op), i,
                            count);
    for (int i = 0; i < count; i++) {
        if (!present(op, i)) {
            if (p2p_kind_operand_use(op->kind, i) & P2P_OPT) continue;
            return p2p_fail(P2P_INVALID, "%s: operand %s is missing", kind_name(op), operand_name(op, i));
        }
        if (p2p_tensor_validate(&op->t[i]) != P2P_OK)
            return p2p_fail(P2P_INVALID, "%s: operand %s: %s", kind_name(op), operand_name(op, i),
                            p2p_message());
    }
    return P2P_OK;
}

static p2p_status check_accumulate(const p2p_op *op) {
    for (int i = 0; i < 32; i++) {
        if (!p2p_op_accumulates(op, i)) continue;
        if (i >= p2p_kind_operand_count(op->kind) || !present(op, i))
            return p2p_fail(P2P_INVALID, "%s: operand %d accumulates, but is absent", kind_name(op), i);
        if ((p2p_kind_operand_use(op->kind, i) & P2P_INOUT) != P2P_OUT)
            return fail_operand(op, i, "it is not an output and can't accumulate");
        if (rules[op->kind].never_accumulated >> i & 1) return fail_operand(op, i, "it can't accumulate");
    }
    return P2P_OK;
}

static p2p_status check_unused_fields(const p2p_op *op) {
    for (p2p_field f = 0; f < P2P_FIELD_COUNT; f++) {
        if (rules[op->kind].fields >> f & 1) continue;
        const p2p_field_info *info = &p2p_field_table[f];
        bool zero =
            info->is_real ? p2p_op_real_value(op, f) == 0 : p2p_op_int_value(op, f) == info->default_value;
        if (!zero)
            return p2p_fail(P2P_INVALID, "%s: %s has no meaning here and must be 0", kind_name(op),
                            info->name);
    }
    return P2P_OK;
}

p2p_status p2p_op_validate(const p2p_op *op) {
    if ((unsigned)op->kind >= P2P_KIND_COUNT)
        return p2p_fail(P2P_INVALID, "there is no kind %d", (int)op->kind);
    P2P_TRY(check_operands(op));
    P2P_TRY(check_accumulate(op));
    P2P_TRY(check_unused_fields(op));
    P2P_TRY(check_ranges(op));
    return rules[op->kind].check(op);
}
