/* Bounds of the normalisations' outputs.
 *
 * |t| stands for a bound on the magnitudes of the terms of t:
 *
 *   |x - mean| = |x| + m; m = |mean| if it is given, the root mean square of x if it is computed
 *   |xhat|     = |x - mean| / sqrt(variance + eps)
 *   |z|        = f*(|scale|*|xhat| + |shift|); f is the dropout factor
 *   |g|        = f*(|dy| + |dy2|), times 1 + 2|z| for tanh, whose slope is computed from its output
 *   |M2|       = M2 + m*sqrt(M2) + budget*eps*count^1.5*m^2
 *
 * The second term of |M2|: updating formulas subtract means with errors of eps*m, of alternating sign. The
 * third: a final mean with its largest error adds count times the square of that error. A variance computed
 * as the mean of squares minus the square of the mean exceeds this bound.
 */
#include "op_bound.h"

#include "op_budget.h"

#include <math.h>

/* One channel of one group of images. */
typedef struct {
    const p2p_op *op;
    const op_contents *contents;
    int64_t group, channel;
    int64_t images, plane, channels;
    double count, mean, m2; /* given or measured */
    double mean_size;       /* m above */
    double slope;           /* 1 / sqrt(variance + eps) */
    double factor;          /* f above */
} channel_view;

static int64_t element_of(const channel_view *v, int64_t i) {
    int64_t n = v->group * v->images + i / v->plane;
    return (n * v->channels + v->channel) * v->plane + i % v->plane;
}

static int64_t count_of(const channel_view *v) {
    return v->images * v->plane;
}

static channel_view view(const p2p_op *op, const op_contents *contents, int64_t group, int64_t channel) {
    const p2p_tensor *x = &op->t[0];
    return (channel_view){.op = op,
                          .contents = contents,
                          .group = group,
                          .channel = channel,
                          .images = op->images ? op->images : x->n,
                          .plane = x->h * x->w,
                          .channels = x->c,
                          .factor = 1 / (1 - op->dropout)};
}

static int64_t group_count(const p2p_op *op) {
    return op->images ? op->t[0].n / op->images : 1;
}

/* ---- Statistics --------------------------------------------------------------------------------------- */

static void set_slope(channel_view *v) {
    v->slope = 1 / sqrt(v->m2 / v->count + v->op->eps);
}

static void measure(channel_view *v) {
    const double *x = v->contents->values[0];
    double sum = 0, squares = 0;
    v->count = (double)count_of(v);
    for (int64_t i = 0; i < count_of(v); i++) {
        sum += x[element_of(v, i)];
        squares += x[element_of(v, i)] * x[element_of(v, i)];
    }
    v->mean = sum / v->count;
    v->mean_size = sqrt(squares / v->count);
    v->m2 = 0;
    for (int64_t i = 0; i < count_of(v); i++) {
        v->m2 += (x[element_of(v, i)] - v->mean) * (x[element_of(v, i)] - v->mean);
    }
    set_slope(v);
}

static void take_stats(channel_view *v, const double *stats) {
    const double *group = stats + v->group * 3 * v->channels + v->channel;
    v->count = group[0];
    v->mean = group[v->channels];
    v->m2 = group[2 * v->channels];
    v->mean_size = fabs(v->mean);
    set_slope(v);
}

static void take_running(channel_view *v, const double *running) {
    v->count = 1;
    v->mean = running[v->channel];
    v->m2 = running[v->channels + v->channel];
    v->mean_size = fabs(v->mean);
    set_slope(v);
}

/* Operand 1 of every normalisation is its statistics. */
static double m2_size(const channel_view *v) {
    p2p_type type = v->op->t[1].type;
    double m = v->mean_size, budget = p2p_budget_of(P2P_KIND_norm_stats, type);
    return v->m2 + m * sqrt(v->m2) + budget * p2p_budget_eps(type) * v->count * sqrt(v->count) * m * m;
}

/* Scales of a computed statistics tensor. The count is exact. */
static void bound_stats(const channel_view *v, op_bound *bound) {
    double *group = bound->scale + v->group * 3 * v->channels + v->channel;
    group[v->channels] = v->mean_size;
    group[2 * v->channels] = m2_size(v);
    bound->depth = v->count;
}

/* ---- norm_apply --------------------------------------------------------------------------------------- */

static double xhat_size(const channel_view *v, int64_t element) {
    return v->slope * (fabs(v->contents->values[0][element]) + v->mean_size);
}

/* The channel's magnitude in an operand of one number per channel; `otherwise` if the operand is absent. */
static double size_of(const channel_view *v, int operand, double otherwise) {
    const double *values = v->contents->values[operand];
    return values ? fabs(values[v->channel]) : otherwise;
}

static double z_size(const channel_view *v, int64_t element, int scale, int shift) {
    return v->factor * (size_of(v, scale, 1) * xhat_size(v, element) + size_of(v, shift, 0));
}

static void bound_running(const channel_view *v, op_bound *bound) {
    double unbiased = m2_size(v) / (v->count > 1 ? v->count - 1 : 1);
    bound->scale[v->channel] += v->op->momentum * v->mean_size;
    bound->scale[v->channels + v->channel] += v->op->momentum * unbiased;
}

static void bound_apply(channel_view *v, op_bound *bounds) {
    const p2p_op *op = v->op;
    double *const *values = v->contents->values;
    if (op->use_running) {
        take_running(v, values[P2P_AT_norm_apply_running]);
    } else if (op->merged) {
        measure(v);
        bound_stats(v, &bounds[P2P_AT_norm_apply_stats]);
    } else {
        take_stats(v, values[P2P_AT_norm_apply_stats]);
    }
    double depth = op->merged ? v->count : 1;
    if (bounds[P2P_AT_norm_apply_running].scale) {
        bound_running(v, &bounds[P2P_AT_norm_apply_running]);
        bounds[P2P_AT_norm_apply_running].depth = depth;
    }
    for (int o = P2P_AT_norm_apply_y; o <= P2P_AT_norm_apply_y2; o++) {
        if (!bounds[o].scale) continue;
        bounds[o].depth = depth;
        for (int64_t i = 0; i < count_of(v); i++) {
            int64_t e = element_of(v, i);
            bounds[o].scale[e] += z_size(v, e, P2P_AT_norm_apply_scale, P2P_AT_norm_apply_shift);
        }
    }
}

/* ---- Gradients ---------------------------------------------------------------------------------------- */

static double slope_size(int64_t act, double z) {
    return act == P2P_ACT_tanh ? 1 + 2 * z : 1;
}

static double g_size(const channel_view *v, int64_t element) {
    const p2p_op *op = v->op;
    double z = z_size(v, element, P2P_AT_norm_bwd_stats_scale, P2P_AT_norm_bwd_stats_shift);
    double size = fabs(v->contents->values[P2P_AT_norm_bwd_stats_dy][element]) * slope_size(op->act, z);
    const double *dy2 = v->contents->values[P2P_AT_norm_bwd_stats_dy2];
    if (dy2) size += fabs(dy2[element]) * slope_size(op->act2, z);
    return v->factor * size;
}

typedef struct {
    double g, g_xhat;
} sum_sizes;

static sum_sizes sum_gradients(const channel_view *v) {
    sum_sizes sums = {0, 0};
    for (int64_t i = 0; i < count_of(v); i++) {
        double g = g_size(v, element_of(v, i));
        sums.g += g;
        sums.g_xhat += g * xhat_size(v, element_of(v, i));
    }
    return sums;
}

/* Bounds of the sums that norm_bwd_stats or a merged norm_bwd_apply writes. */
static void bound_sums(const channel_view *v, sum_sizes sizes, op_bound *sums, op_bound *dscale,
                       op_bound *dshift) {
    double *group = sums->scale + v->group * 2 * v->channels + v->channel;
    group[0] = sizes.g;
    group[v->channels] = sizes.g_xhat;
    sums->depth = v->count;
    double all = v->count * (double)group_count(v->op);
    if (dscale->scale) {
        dscale->scale[v->channel] += sizes.g_xhat;
        dscale->depth = all;
    }
    if (dshift->scale) {
        dshift->scale[v->channel] += sizes.g;
        dshift->depth = all;
    }
}

static void bound_dx(const channel_view *v, sum_sizes sums, op_bound *dx) {
    dx->depth = v->op->merged ? v->count : 1;
    if (v->count == 1) return; /* dx is exactly 0 */
    double factor = size_of(v, P2P_AT_norm_bwd_apply_scale, 1) * v->slope;
    for (int64_t i = 0; i < count_of(v); i++) {
        int64_t e = element_of(v, i);
        dx->scale[e] +=
            factor * (g_size(v, e) + sums.g / v->count + xhat_size(v, e) * sums.g_xhat / v->count);
    }
}

static void bound_gradients(channel_view *v, op_bound *bounds) {
    const p2p_op *op = v->op;
    take_stats(v, v->contents->values[P2P_AT_norm_bwd_stats_stats]);
    sum_sizes sums = sum_gradients(v);
    if (op->kind == P2P_KIND_norm_bwd_stats) {
        bound_sums(v, sums, &bounds[P2P_AT_norm_bwd_stats_sums], &bounds[P2P_AT_norm_bwd_stats_dscale],
                   &bounds[P2P_AT_norm_bwd_stats_dshift]);
        return;
    }
    if (op->merged) {
        bound_sums(v, sums, &bounds[P2P_AT_norm_bwd_apply_sums], &bounds[P2P_AT_norm_bwd_apply_dscale],
                   &bounds[P2P_AT_norm_bwd_apply_dshift]);
    } else {
        const double *given = v->contents->values[P2P_AT_norm_bwd_apply_sums] + v->group * 2 * v->channels;
        sums = (sum_sizes){fabs(given[v->channel]), fabs(given[v->channels + v->channel])};
    }
    bound_dx(v, sums, &bounds[P2P_AT_norm_bwd_apply_dx]);
}

void op_bound_norm(const p2p_op *op, const op_contents *contents, op_bound bounds[P2P_MAX_OPERANDS]) {
    for (int64_t group = 0; group < group_count(op); group++) {
        for (int64_t c = 0; c < op->t[0].c; c++) {
            channel_view v = view(op, contents, group, c);
            if (op->kind == P2P_KIND_norm_stats) {
                measure(&v);
                bound_stats(&v, &bounds[P2P_AT_norm_stats_stats]);
            } else if (op->kind == P2P_KIND_norm_apply) {
                bound_apply(&v, bounds);
            } else {
                bound_gradients(&v, bounds);
            }
        }
    }
}
