/* Contents of operands, kind by kind. */
#include "op_contents.h"

#include "op_rng.h"
#include "p2p_checksum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t elements(const p2p_op *op, int operand) {
    return p2p_tensor_elements(&op->t[operand]);
}

/* ---- Exactness ---------------------------------------------------------------------------------------- */

/* Whether the value is a small multiple of 1/8: its products with small integers are exact. */
static bool is_short(double value) {
    return fabs(value) <= 8 && value * 8 == nearbyint(value * 8);
}

bool op_can_be_exact(const p2p_op *op) {
    switch (op->kind) {
    case P2P_KIND_copy:
    case P2P_KIND_bias_grad:
    case P2P_KIND_conv_bwd_filter:
        return true;
    case P2P_KIND_conv_fwd:
    case P2P_KIND_conv_bwd_data:
        return op->act != P2P_ACT_tanh && is_short(op->slope);
    case P2P_KIND_gemm:
    case P2P_KIND_axpby:
        return is_short(op->alpha);
    case P2P_KIND_dropout:
        return is_short(1 / (1 - op->dropout));
    default:
        return false;
    }
}

/* ---- Drawing ------------------------------------------------------------------------------------------ */

static void draw_integers(op_rng *rng, double *values, int64_t count, int64_t most) {
    for (int64_t i = 0; i < count; i++) values[i] = (double)op_rng_range(rng, -most, most);
}

static void draw_reals(op_rng *rng, double *values, int64_t count, double low, double high) {
    for (int64_t i = 0; i < count; i++) values[i] = op_rng_uniform(rng, low, high);
}

p2p_status op_round_to_type(p2p_type type, double *values, int64_t count) {
    if (type == P2P_TYPE_f64) return P2P_OK;
    p2p_tensor flat = p2p_tensor_flat(type, count);
    void *raw = malloc(p2p_tensor_bytes(&flat));
    if (!raw) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for contents");
    p2p_tensor_pack(&flat, values, P2P_TYPE_f64, raw);
    p2p_tensor_unpack(&flat, raw, values, P2P_TYPE_f64);
    free(raw);
    return P2P_OK;
}

/* ---- Normalisation ------------------------------------------------------------------------------------ */

/* Draws channels of different mean and spread: some have a mean of many spreads, for which a one-pass
 * variance fails, and some have no spread. */
static void draw_norm_x(op_rng *rng, const p2p_tensor *x, double *values) {
    int64_t plane = x->h * x->w;
    for (int64_t c = 0; c < x->c; c++) {
        double mean = op_rng_uniform(rng, -1, 1), spread = op_rng_uniform(rng, 0.5, 2);
        if (op_rng_chance(rng, 6)) mean *= 30;
        if (op_rng_chance(rng, 8)) spread = 0;
        for (int64_t n = 0; n < x->n; n++) {
            double *image = values + (n * x->c + c) * plane;
            for (int64_t i = 0; i < plane; i++) image[i] = mean + spread * op_rng_uniform(rng, -2, 2);
        }
    }
}

static int64_t group_images(const p2p_op *op) {
    return op->images ? op->images : op->t[0].n;
}

/* Computes count, mean and M2 of x as norm_stats defines them. */
static void measure_stats(const p2p_op *op, const double *x, double *stats) {
    const p2p_tensor *t = &op->t[0];
    int64_t images = group_images(op), plane = t->h * t->w, channels = t->c;
    for (int64_t n = 0; n < t->n; n += images) {
        double *group = stats + n / images * 3 * channels;
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0, m2 = 0, count = (double)(images * plane);
            for (int64_t i = 0; i < images * plane; i++) {
                sum += x[((n + i / plane) * channels + c) * plane + i % plane];
            }
            for (int64_t i = 0; i < images * plane; i++) {
                double deviation = x[((n + i / plane) * channels + c) * plane + i % plane] - sum / count;
                m2 += deviation * deviation;
            }
            group[c] = count, group[channels + c] = sum / count, group[2 * channels + c] = m2;
        }
    }
}

/* Scales of both signs, away from zero. */
static void draw_scale(op_rng *rng, double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        values[i] = op_rng_uniform(rng, 0.5, 1.5) * (op_rng_chance(rng, 3) ? -1 : 1);
    }
}

/* Moves x away from the zeros of scale*xhat + shift, where gradients have a jump. */
static void avoid_kinks(const p2p_op *op, op_contents *contents) {
    const p2p_tensor *t = &op->t[P2P_AT_norm_bwd_stats_x];
    const double *stats = contents->values[P2P_AT_norm_bwd_stats_stats];
    const double *scale = contents->values[P2P_AT_norm_bwd_stats_scale];
    const double *shift = contents->values[P2P_AT_norm_bwd_stats_shift];
    const double gap = 0.05;
    int64_t plane = t->h * t->w, images = group_images(op);
    for (int64_t e = 0; e < p2p_tensor_elements(t); e++) {
        int64_t c = e / plane % t->c, n = e / plane / t->c;
        const double *group = stats + n / images * 3 * t->c;
        double slope = (scale ? scale[c] : 1) / sqrt(group[2 * t->c + c] / group[c] + op->eps);
        double z =
            slope * (contents->values[P2P_AT_norm_bwd_stats_x][e] - group[t->c + c]) + (shift ? shift[c] : 0);
        if (fabs(z) < gap) contents->values[P2P_AT_norm_bwd_stats_x][e] += (z < 0 ? -2 : 2) * gap / slope;
    }
}

static p2p_status draw_norm(op_rng *rng, const p2p_op *op, op_contents *contents) {
    double **v = contents->values;
    draw_norm_x(rng, &op->t[0], v[0]);
    P2P_TRY(op_round_to_type(op->t[0].type, v[0], elements(op, 0)));
    if (op->kind == P2P_KIND_norm_stats) return P2P_OK;
    bool apply = op->kind == P2P_KIND_norm_apply;
    int stats = apply ? P2P_AT_norm_apply_stats : P2P_AT_norm_bwd_stats_stats;
    int scale = apply ? P2P_AT_norm_apply_scale : P2P_AT_norm_bwd_stats_scale;
    int shift = apply ? P2P_AT_norm_apply_shift : P2P_AT_norm_bwd_stats_shift;
    if (v[stats]) measure_stats(op, v[0], v[stats]);
    if (v[scale]) draw_scale(rng, v[scale], elements(op, scale));
    if (v[shift]) draw_scale(rng, v[shift], elements(op, shift));
    if (apply && v[P2P_AT_norm_apply_running]) {
        int64_t c = op->t[0].c;
        draw_reals(rng, v[P2P_AT_norm_apply_running] + c, c, 0.5, 2); /* the variances */
    }
    if (!apply && v[stats]) avoid_kinks(op, contents);
    return P2P_OK;
}

/* ---- Other kinds -------------------------------------------------------------------------------------- */

static void draw_loss_bce(op_rng *rng, double *x, int64_t count) {
    draw_reals(rng, x, count, -8, 8);
    for (int64_t i = 0; i < count; i += 7) x[i] *= 12; /* exp overflows or underflows in float32 */
    if (count > 3) x[3] = 0;
}

/* Makes some elements equal, for sign(0) = 0. */
static void draw_loss_l1(op_rng *rng, const double *x, double *target, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (op_rng_chance(rng, 5)) target[i] = x[i];
    }
}

/* Outputs of the activation, exact zeros among them. */
static void draw_act_output(op_rng *rng, const p2p_op *op, double *y, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        y[i] = op_rng_chance(rng, 9) ? 0 : p2p_act_value(op->act, op->slope, op_rng_uniform(rng, -3, 3));
    }
}

/* Draws gradients of different orders of magnitude and second moments that are not negative. Some elements
 * have only zeros, as before their first update. */
static void draw_adam(op_rng *rng, double **v, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        v[P2P_AT_adam_g][i] *= pow(10, op_rng_uniform(rng, -8, 1));
        v[P2P_AT_adam_m][i] *= 0.01;
        v[P2P_AT_adam_v][i] = pow(10, op_rng_uniform(rng, -10, 0));
        if (i % 11 == 0) v[P2P_AT_adam_g][i] = v[P2P_AT_adam_m][i] = v[P2P_AT_adam_v][i] = 0;
    }
}

static p2p_status draw_by_kind(op_rng *rng, const p2p_op *op, op_contents *contents) {
    double **v = contents->values;
    switch (op->kind) {
    case P2P_KIND_norm_stats:
    case P2P_KIND_norm_apply:
    case P2P_KIND_norm_bwd_stats:
    case P2P_KIND_norm_bwd_apply:
        return draw_norm(rng, op, contents);
    case P2P_KIND_prepare:
        for (int64_t i = 0; i < elements(op, 0); i++)
            v[0][i] = (double)op_rng_range(rng, 0, op->t[0].type == P2P_TYPE_u8 ? 255 : 65535);
        return P2P_OK;
    case P2P_KIND_loss_bce:
        draw_loss_bce(rng, v[0], elements(op, 0));
        return P2P_OK;
    case P2P_KIND_loss_l1:
        draw_loss_l1(rng, v[P2P_AT_loss_l1_x], v[P2P_AT_loss_l1_target], elements(op, 0));
        return P2P_OK;
    case P2P_KIND_act_bwd:
        draw_act_output(rng, op, v[P2P_AT_act_bwd_y], elements(op, 0));
        return P2P_OK;
    case P2P_KIND_adam:
        draw_adam(rng, v, elements(op, 0));
        return P2P_OK;
    default:
        return P2P_OK;
    }
}

/* ---- All together ------------------------------------------------------------------------------------- */

/* Doubles are set from the floats, so that devices with and without double precision use equal numbers. */
static p2p_status draw_step(op_rng *rng, const p2p_tensor *t, op_contents *contents) {
    contents->step_bytes = p2p_tensor_bytes(t);
    contents->step = calloc(1, contents->step_bytes);
    if (!contents->step) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for contents");
    p2p_step_block *step = contents->step;
    step->seed_lo = (uint32_t)op_rng_next(rng);
    step->seed_hi = (uint32_t)op_rng_next(rng);
    step->step = (uint32_t)op_rng_range(rng, 0, 100000);
    step->lr_corrected = (float)op_rng_uniform(rng, 1e-4, 1e-3);
    step->root_v_correction = (float)op_rng_uniform(rng, 1, 30);
    step->lr_corrected_f64 = step->lr_corrected;
    step->root_v_correction_f64 = step->root_v_correction;
    int64_t samples = t->w - p2p_step_block_words(0);
    for (int64_t i = 0; i < samples; i++) step->sample[i] = (uint32_t)op_rng_next(rng);
    return P2P_OK;
}

/* The generator's initial state: a hash of text, mode and seed. */
static op_rng seed_of(const p2p_op *op, op_mode mode, uint64_t seed) {
    char text[P2P_OP_TEXT];
    p2p_op_print(op, text, sizeof text);
    return (op_rng){p2p_fnv1a(P2P_FNV1A_START ^ seed * 2 ^ (mode == OP_EXACT), text, strlen(text))};
}

static p2p_status draw_operand(op_rng *rng, const p2p_op *op, int operand, op_mode mode,
                               op_contents *contents) {
    const p2p_tensor *t = &op->t[operand];
    if (t->type == P2P_TYPE_u32) return draw_step(rng, t, contents);
    int64_t count = p2p_tensor_elements(t);
    double *values = calloc((size_t)count, sizeof *values);
    if (!values) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for contents");
    contents->values[operand] = values;
    if (mode == OP_EXACT) {
        draw_integers(rng, values, count, 4);
    } else {
        draw_reals(rng, values, count, -1, 1);
    }
    return P2P_OK;
}

static p2p_status draw_all(const p2p_op *op, op_mode mode, uint64_t seed, op_contents *contents) {
    op_rng rng = seed_of(op, mode, seed);
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (p2p_tensor_present(&op->t[i])) P2P_TRY(draw_operand(&rng, op, i, mode, contents));
    }
    if (mode == OP_REAL) P2P_TRY(draw_by_kind(&rng, op, contents));
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (contents->values[i])
            P2P_TRY(op_round_to_type(op->t[i].type, contents->values[i], elements(op, i)));
    }
    return P2P_OK;
}

p2p_status op_contents_create(const p2p_op *op, op_mode mode, uint64_t seed, op_contents *contents) {
    *contents = (op_contents){0};
    p2p_status status = draw_all(op, mode, seed, contents);
    if (status != P2P_OK) op_contents_destroy(contents);
    return status;
}

void op_contents_destroy(op_contents *contents) {
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) free(contents->values[i]);
    free(contents->step);
    *contents = (op_contents){0};
}
