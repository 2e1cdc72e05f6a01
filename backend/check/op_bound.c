/* Bounds of all kinds but the normalisations. */
#include "op_bound.h"

#include "op_budget.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t elements(const p2p_op *op, int operand) {
    return p2p_tensor_elements(&op->t[operand]);
}

/* ---- Linear kinds ------------------------------------------------------------------------------------- */

static bool is_linear(p2p_kind kind) {
    switch (kind) {
    case P2P_KIND_copy:
    case P2P_KIND_prepare:
    case P2P_KIND_conv_fwd:
    case P2P_KIND_conv_bwd_data:
    case P2P_KIND_conv_bwd_filter:
    case P2P_KIND_gemm:
    case P2P_KIND_dropout:
    case P2P_KIND_axpby:
    case P2P_KIND_bias_grad:
        return true;
    default:
        return false;
    }
}

/* The number of terms of the longest sum. */
static double linear_depth(const p2p_op *op) {
    const p2p_tensor *t = op->t;
    int64_t stride = op->stride ? op->stride : 1;
    switch (op->kind) {
    case P2P_KIND_conv_fwd: {
        const p2p_tensor *w = &t[P2P_AT_conv_fwd_w];
        return (double)(w->c * w->h * w->w);
    }
    case P2P_KIND_conv_bwd_data: {
        const p2p_tensor *w = &t[P2P_AT_conv_bwd_data_w];
        return (double)(w->n * p2p_divide_up(w->h, stride) * p2p_divide_up(w->w, stride));
    }
    case P2P_KIND_conv_bwd_filter: {
        const p2p_tensor *dy = &t[P2P_AT_conv_bwd_filter_dy];
        return (double)(dy->n * dy->h * dy->w);
    }
    case P2P_KIND_gemm:
        return (double)(op->transpose_a ? t[P2P_AT_gemm_a].c : t[P2P_AT_gemm_a].w);
    case P2P_KIND_bias_grad:
        return (double)(t[0].n * t[0].h * t[0].w);
    default:
        return 1;
    }
}

typedef double element_function(double value);

static double square(double value) {
    return value * value;
}

/* Runs the operation without activation on `function` of its operands' elements. */
static p2p_status run_linear(op_bench *reference, const p2p_op *op, const op_contents *contents,
                             element_function *function, double *results[P2P_MAX_OPERANDS]) {
    p2p_op plain = *op;
    plain.act = P2P_ACT_none;
    plain.slope = 0;
    plain.alpha = function(op->alpha);
    plain.offset = function(op->offset);
    op_contents sizes = *contents;
    p2p_status status = P2P_OK;
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        if (!contents->values[i]) continue;
        int64_t count = elements(op, i);
        sizes.values[i] = malloc((size_t)count * sizeof(double));
        if (!sizes.values[i]) {
            status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for magnitudes");
            continue;
        }
        for (int64_t e = 0; e < count; e++) sizes.values[i][e] = function(contents->values[i][e]);
    }
    if (status == P2P_OK) status = op_truth(reference, &plain, &sizes, results);
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) free(sizes.values[i]);
    return status;
}

static p2p_status bound_linear(op_bench *reference, const p2p_op *op, const op_contents *contents,
                               op_bound *bounds) {
    double *results[P2P_MAX_OPERANDS];
    P2P_TRY(run_linear(reference, op, contents, fabs, results));
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) bounds[i] = (op_bound){results[i], linear_depth(op), NULL};
    return P2P_OK;
}

/* ---- Other kinds -------------------------------------------------------------------------------------- */

static void bound_act(const p2p_op *op, const op_contents *contents, op_bound *bounds) {
    for (int64_t e = 0; e < elements(op, 0); e++) {
        if (op->kind == P2P_KIND_act_fwd) {
            double y = p2p_act_value(op->act, op->slope, contents->values[P2P_AT_act_fwd_x][e]);
            bounds[P2P_AT_act_fwd_y].scale[e] += fabs(y);
        } else { /* tanh: 1 - y*y, whose terms are up to 1 */
            double slope = op->act == P2P_ACT_tanh
                               ? 1
                               : p2p_act_slope(op->act, op->slope, contents->values[P2P_AT_act_bwd_y][e]);
            bounds[P2P_AT_act_bwd_dx].scale[e] += slope * fabs(contents->values[P2P_AT_act_bwd_dy][e]);
        }
    }
}

/* The terms are max(x,0), x*target and log(1 + exp(-|x|)). The last has the absolute precision of numbers
 * near 1. */
static void bound_loss_bce(const p2p_op *op, const op_contents *contents, op_bound *bounds) {
    double sum = 0;
    op_bound *loss = &bounds[P2P_AT_loss_bce_loss], *dx = &bounds[P2P_AT_loss_bce_dx];
    for (int64_t e = 0; e < elements(op, 0); e++) {
        sum += fabs(contents->values[P2P_AT_loss_bce_x][e]) + 1;
        if (dx->scale) dx->scale[e] += fabs(op->grad_scale);
    }
    loss->scale[0] += fabs(op->loss_scale) * sum;
    loss->depth = (double)elements(op, 0);
}

/* A difference has the absolute precision of the larger of its two numbers. */
static void bound_loss_mse(const p2p_op *op, const op_contents *contents, op_bound *bounds) {
    double sum = 0;
    op_bound *loss = &bounds[P2P_AT_loss_mse_loss], *dx = &bounds[P2P_AT_loss_mse_dx];
    for (int64_t e = 0; e < elements(op, 0); e++) {
        double size = fabs(contents->values[P2P_AT_loss_mse_x][e]) + (double)op->target;
        sum += size * size;
        if (dx->scale) dx->scale[e] += fabs(op->grad_scale) * 2 * size;
    }
    loss->scale[0] += fabs(op->loss_scale) * sum;
    loss->depth = (double)elements(op, 0);
}

static void bound_loss_l1(const p2p_op *op, const op_contents *contents, op_bound *bounds) {
    const double *x = contents->values[P2P_AT_loss_l1_x], *target = contents->values[P2P_AT_loss_l1_target];
    double sum = 0;
    op_bound *loss = &bounds[P2P_AT_loss_l1_loss], *dx = &bounds[P2P_AT_loss_l1_dx];
    for (int64_t e = 0; e < elements(op, 0); e++) {
        sum += fabs(x[e] - target[e]);
        if (dx->scale) dx->scale[e] += x[e] == target[e] ? 0 : fabs(op->grad_scale);
    }
    loss->scale[0] += fabs(op->loss_scale) * sum;
    loss->depth = (double)elements(op, 0);
}

static void bound_adam(const p2p_op *op, const op_contents *contents, op_bound *bounds) {
    double *const *v = contents->values;
    for (int64_t e = 0; e < elements(op, 0); e++) {
        double g = fabs(v[P2P_AT_adam_g][e]), p = fabs(v[P2P_AT_adam_p][e]);
        double m = op->beta1 * fabs(v[P2P_AT_adam_m][e]) + (1 - op->beta1) * g;
        double second = op->beta2 * v[P2P_AT_adam_v][e] + (1 - op->beta2) * g * g;
        double below = sqrt(second) * contents->step->root_v_correction_f64 + op->eps;
        bounds[P2P_AT_adam_m].scale[e] = m;
        bounds[P2P_AT_adam_v].scale[e] = second;
        bounds[P2P_AT_adam_p].scale[e] = p + contents->step->lr_corrected_f64 * m / below;
        if (bounds[P2P_AT_adam_copy].scale)
            bounds[P2P_AT_adam_copy].scale[e] = bounds[P2P_AT_adam_p].scale[e];
    }
}

/* Allocates the scales of every output. They start as the magnitude of the value to which the output adds. */
static p2p_status allocate(const p2p_op *op, const op_contents *contents, op_bound *bounds) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        int use = p2p_op_operand_use(op, i);
        if (!(use & P2P_OUT)) continue;
        int64_t count = elements(op, i);
        bounds[i] = (op_bound){calloc((size_t)count, sizeof(double)), 1, NULL};
        if (!bounds[i].scale) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for bounds");
        for (int64_t e = 0; (use & P2P_IN) && e < count; e++)
            bounds[i].scale[e] = fabs(contents->values[i][e]);
    }
    return P2P_OK;
}

static p2p_status bound_other(const p2p_op *op, const op_contents *contents, op_bound *bounds) {
    P2P_TRY(allocate(op, contents, bounds));
    switch (op->kind) {
    case P2P_KIND_act_fwd:
    case P2P_KIND_act_bwd:
        bound_act(op, contents, bounds);
        return P2P_OK;
    case P2P_KIND_loss_bce:
        bound_loss_bce(op, contents, bounds);
        return P2P_OK;
    case P2P_KIND_loss_mse:
        bound_loss_mse(op, contents, bounds);
        return P2P_OK;
    case P2P_KIND_loss_l1:
        bound_loss_l1(op, contents, bounds);
        return P2P_OK;
    case P2P_KIND_adam:
        bound_adam(op, contents, bounds);
        return P2P_OK;
    default:
        op_bound_norm(op, contents, bounds);
        return P2P_OK;
    }
}

/* Allows a device to round factors toward zero where the reference rounds to nearest. */
static p2p_status allow_tf32(const p2p_op *op, op_bound *bounds) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (!bounds[i].scale) continue;
        bounds[i].more = malloc((size_t)elements(op, i) * sizeof(double));
        if (!bounds[i].more) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for bounds");
        for (int64_t e = 0; e < elements(op, i); e++)
            bounds[i].more[e] = P2P_BUDGET_TF32 * bounds[i].scale[e];
    }
    return P2P_OK;
}

p2p_status op_bounds_create(op_bench *reference, const p2p_op *op, const op_contents *contents,
                            op_bound bounds[P2P_MAX_OPERANDS]) {
    memset(bounds, 0, P2P_MAX_OPERANDS * sizeof *bounds);
    p2p_status status = is_linear(op->kind) ? bound_linear(reference, op, contents, bounds)
                                            : bound_other(op, contents, bounds);
    if (status == P2P_OK && op->math == P2P_MATH_tf32) status = allow_tf32(op, bounds);
    if (status != P2P_OK) op_bounds_destroy(bounds);
    return status;
}

/* Sets each element to the largest of its plane. */
static void spread_planes(const p2p_tensor *t, double *values) {
    const int64_t plane = t->h * t->w;
    for (double *first = values; first < values + p2p_tensor_elements(t); first += plane) {
        double most = 0;
        for (int64_t e = 0; e < plane; e++) most = first[e] > most ? first[e] : most;
        for (int64_t e = 0; e < plane; e++) first[e] = most;
    }
}

void op_bounds_winograd(const p2p_op *op, op_bound bounds[P2P_MAX_OPERANDS]) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        bounds[i].depth += P2P_BUDGET_WINOGRAD_DEPTH;
        if (bounds[i].scale) spread_planes(&op->t[i], bounds[i].scale);
    }
}

p2p_status op_bounds_winograd_bf16(op_bench *reference, const p2p_op *op, const op_contents *contents,
                                   op_bound bounds[P2P_MAX_OPERANDS]) {
    p2p_op squares = *op;
    squares.accumulate = 0;
    squares.math = P2P_MATH_stored;
    double *results[P2P_MAX_OPERANDS];
    P2P_TRY(run_linear(reference, &squares, contents, square, results));
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        bounds[i].more = results[i];
        if (!results[i]) continue;
        for (int64_t e = 0; e < elements(op, i); e++)
            results[i][e] = P2P_BUDGET_WINOGRAD_BF16 * p2p_budget_eps(P2P_TYPE_bf16) * sqrt(results[i][e]);
        spread_planes(&op->t[i], results[i]);
    }
    return P2P_OK;
}

void op_bounds_destroy(op_bound bounds[P2P_MAX_OPERANDS]) {
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        free(bounds[i].scale);
        free(bounds[i].more);
    }
    memset(bounds, 0, P2P_MAX_OPERANDS * sizeof *bounds);
}
