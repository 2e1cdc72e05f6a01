/* Normalisation of the reference backend: statistics, application and gradients over groups of images.
 *
 * Intermediate values are recomputed from x where they are needed. Kernels share only the operands of
 * descriptors.
 */
#include "ref.h"

#include <math.h>

/* Both gradient kinds have these operands at the same positions. */
enum {
    X = P2P_AT_norm_bwd_apply_x,
    STATS = P2P_AT_norm_bwd_apply_stats,
    SCALE = P2P_AT_norm_bwd_apply_scale,
    SHIFT = P2P_AT_norm_bwd_apply_shift,
    DY = P2P_AT_norm_bwd_apply_dy,
    DY2 = P2P_AT_norm_bwd_apply_dy2
};

/* Count, mean and sum of squared deviations of one channel in one group. */
typedef struct {
    double count, mean, m2;
} moments;

/* A traversal of the elements of a channel in a group, by image, row and column. */
typedef struct {
    const p2p_tensor *x;
    int64_t c, first, end, n, h, w;
} walk;

static int64_t group_images(const p2p_op *op) {
    return op->images != 0 ? op->images : op->t[0].n;
}

static int64_t group_count(const p2p_op *op) {
    return op->t[0].n / group_images(op);
}

static walk walk_start(const p2p_op *op, int64_t g, int64_t c) {
    int64_t images = group_images(op);
    return (walk){.x = &op->t[0], .c = c, .n = g * images, .end = (g + 1) * images};
}

static bool walking(const walk *at) {
    return at->n < at->end;
}

static void walk_on(walk *at) {
    if (++at->w < at->x->w) return;
    at->w = 0;
    if (++at->h < at->x->h) return;
    at->h = 0;
    at->n++;
}

static int64_t element(const walk *at) {
    return ((at->n * at->x->c + at->c) * at->x->h + at->h) * at->x->w + at->w;
}

/* Number `row` of channel c in group g of a statistics tensor with `rows` numbers per channel. */
static double *stat(double *stats, int64_t channels, int64_t rows, int64_t g, int64_t row, int64_t c) {
    return &stats[(g * rows + row) * channels + c];
}

/* Two passes: the mean first, then squared deviations from it. */
static moments measure(const p2p_op *op, const double *x, int64_t g, int64_t c) {
    moments found = {0, 0, 0};
    for (walk at = walk_start(op, g, c); walking(&at); walk_on(&at)) {
        found.count++;
        found.mean += x[element(&at)];
    }
    found.mean /= found.count;
    for (walk at = walk_start(op, g, c); walking(&at); walk_on(&at)) {
        double deviation = x[element(&at)] - found.mean;
        found.m2 += deviation * deviation;
    }
    return found;
}

static moments read_moments(double *stats, int64_t channels, int64_t g, int64_t c) {
    return (moments){.count = *stat(stats, channels, 3, g, 0, c),
                     .mean = *stat(stats, channels, 3, g, 1, c),
                     .m2 = *stat(stats, channels, 3, g, 2, c)};
}

static void write_moments(moments found, double *stats, int64_t channels, int64_t g, int64_t c) {
    *stat(stats, channels, 3, g, 0, c) = found.count;
    *stat(stats, channels, 3, g, 1, c) = found.mean;
    *stat(stats, channels, 3, g, 2, c) = found.m2;
}

void p2p_ref_norm_stats(const p2p_ref_run *run) {
    int64_t channels = run->op->t[P2P_AT_norm_stats_x].c;
    for (int64_t g = 0; g < group_count(run->op); g++)
        for (int64_t c = 0; c < channels; c++)
            write_moments(measure(run->op, run->values[P2P_AT_norm_stats_x], g, c),
                          run->values[P2P_AT_norm_stats_stats], channels, g, c);
}

/* Channel c's scale and shift; 1 and 0 if the operands are absent. */
static double scale_of(const p2p_ref_run *run, int operand, int64_t c) {
    return run->values[operand] != NULL ? run->values[operand][c] : 1;
}

static double shift_of(const p2p_ref_run *run, int operand, int64_t c) {
    return run->values[operand] != NULL ? run->values[operand][c] : 0;
}

/* ---- norm_apply --------------------------------------------------------------------------------------- */

static void move_running(const p2p_op *op, moments found, double *running, int64_t c) {
    double unbiased = found.m2 / (found.count > 1 ? found.count - 1 : 1);
    double *mean = &running[c], *variance = &running[op->t[P2P_AT_norm_apply_x].c + c];
    *mean += op->momentum * (found.mean - *mean);
    *variance += op->momentum * (unbiased - *variance);
}

/* Mean and variance for channel c of group g. Also writes stats and updates running as the descriptor
 * requires. */
static void choose_statistics(const p2p_ref_run *run, int64_t g, int64_t c, double *mean, double *variance) {
    const p2p_op *op = run->op;
    int64_t channels = op->t[P2P_AT_norm_apply_x].c;
    double *stats = run->values[P2P_AT_norm_apply_stats], *running = run->values[P2P_AT_norm_apply_running];
    if (op->use_running) {
        *mean = running[c];
        *variance = running[channels + c];
        return;
    }
    if (op->merged) write_moments(measure(op, run->values[P2P_AT_norm_apply_x], g, c), stats, channels, g, c);
    moments found = read_moments(stats, channels, g, c);
    if (running != NULL) move_running(op, found, running, c);
    *mean = found.mean;
    *variance = found.m2 / found.count;
}

void p2p_ref_norm_apply(const p2p_ref_run *run) {
    const p2p_op *op = run->op;
    const double *x = run->values[P2P_AT_norm_apply_x];
    double *y = run->values[P2P_AT_norm_apply_y], *y2 = run->values[P2P_AT_norm_apply_y2];
    for (int64_t g = 0; g < group_count(op); g++)
        for (int64_t c = 0; c < op->t[P2P_AT_norm_apply_x].c; c++) {
            double mean = 0, variance = 0;
            choose_statistics(run, g, c, &mean, &variance);
            double scale = scale_of(run, P2P_AT_norm_apply_scale, c);
            double shift = shift_of(run, P2P_AT_norm_apply_shift, c);
            for (walk at = walk_start(op, g, c); walking(&at); walk_on(&at)) {
                int64_t e = element(&at);
                double xhat = (x[e] - mean) / sqrt(variance + op->eps);
                double z = (scale * xhat + shift) * p2p_ref_mask(run, at.n, at.c, at.h, at.w);
                y[e] += p2p_act_value(op->act, op->slope, z);
                if (y2 != NULL) y2[e] += p2p_act_value(op->act2, op->slope2, z);
            }
        }
}

/* ---- Gradients ---------------------------------------------------------------------------------------- */

/* xhat of an element, and g, the gradient with respect to scale*xhat + shift. */
typedef struct {
    double xhat, g;
} point;

static point gradient_at(const p2p_ref_run *run, const walk *at, moments found) {
    const p2p_op *op = run->op;
    int64_t e = element(at);
    double mask = p2p_ref_mask(run, at->n, at->c, at->h, at->w);
    double xhat = (run->values[X][e] - found.mean) / sqrt(found.m2 / found.count + op->eps);
    double z = (scale_of(run, SCALE, at->c) * xhat + shift_of(run, SHIFT, at->c)) * mask;
    double y = p2p_act_value(op->act, op->slope, z);
    double g = p2p_act_slope(op->act, op->slope, y) * run->values[DY][e];
    if (run->values[DY2] != NULL) {
        double y2 = p2p_act_value(op->act2, op->slope2, z);
        g += p2p_act_slope(op->act2, op->slope2, y2) * run->values[DY2][e];
    }
    return (point){.xhat = xhat, .g = g * mask};
}

/* sums[g,0,c] = sum g, sums[g,1,c] = sum g*xhat. Adds them to dshift and dscale if these are present. */
static void sum_gradients(const p2p_ref_run *run, double *sums, double *dscale, double *dshift) {
    const p2p_op *op = run->op;
    int64_t channels = op->t[X].c;
    for (int64_t g = 0; g < group_count(op); g++)
        for (int64_t c = 0; c < channels; c++) {
            moments found = read_moments(run->values[STATS], channels, g, c);
            double sum_g = 0, sum_g_xhat = 0;
            for (walk at = walk_start(op, g, c); walking(&at); walk_on(&at)) {
                point p = gradient_at(run, &at, found);
                sum_g += p.g;
                sum_g_xhat += p.g * p.xhat;
            }
            *stat(sums, channels, 2, g, 0, c) = sum_g;
            *stat(sums, channels, 2, g, 1, c) = sum_g_xhat;
            if (dshift != NULL) dshift[c] += sum_g;
            if (dscale != NULL) dscale[c] += sum_g_xhat;
        }
}

void p2p_ref_norm_bwd_stats(const p2p_ref_run *run) {
    sum_gradients(run, run->values[P2P_AT_norm_bwd_stats_sums], run->values[P2P_AT_norm_bwd_stats_dscale],
                  run->values[P2P_AT_norm_bwd_stats_dshift]);
}

void p2p_ref_norm_bwd_apply(const p2p_ref_run *run) {
    const p2p_op *op = run->op;
    int64_t channels = op->t[X].c;
    double *sums = run->values[P2P_AT_norm_bwd_apply_sums], *dx = run->values[P2P_AT_norm_bwd_apply_dx];
    if (op->merged)
        sum_gradients(run, sums, run->values[P2P_AT_norm_bwd_apply_dscale],
                      run->values[P2P_AT_norm_bwd_apply_dshift]);
    for (int64_t g = 0; g < group_count(op); g++)
        for (int64_t c = 0; c < channels; c++) {
            moments found = read_moments(run->values[STATS], channels, g, c);
            double mean_g = *stat(sums, channels, 2, g, 0, c) / found.count;
            double mean_g_xhat = *stat(sums, channels, 2, g, 1, c) / found.count;
            double factor = scale_of(run, SCALE, c) / sqrt(found.m2 / found.count + op->eps);
            for (walk at = walk_start(op, g, c); walking(&at); walk_on(&at)) {
                point p = gradient_at(run, &at, found);
                /* A single element equals its mean: the gradient is exactly 0, without rounding errors. */
                dx[element(&at)] += found.count == 1 ? 0 : factor * (p.g - mean_g - p.xhat * mean_g_xhat);
            }
        }
}
