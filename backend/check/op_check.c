/* Checks of one execution. */
#include "op_check.h"

#include "op_budget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *operand_name(const p2p_op *op, int operand) {
    return p2p_kind_operand_name(op->kind, operand);
}

/* ---- Bytes outside of results ------------------------------------------------------------------------- */

/* The index of the first byte in [first, end) that has changed; `end` if none has. */
static size_t first_change(const op_execution *execution, size_t first, size_t end) {
    if (memcmp(execution->before + first, execution->after + first, end - first) == 0) return end;
    while (execution->before[first] == execution->after[first]) first++;
    return first;
}

static p2p_status check_guard(const op_execution *execution, size_t first, size_t end,
                              const char *neighbour) {
    size_t at = first_change(execution, first, end);
    if (at == end) return P2P_OK;
    return p2p_fail(P2P_FAILED, "the memory between operands was written: %zu bytes into the guard %s",
                    at - first, neighbour);
}

static p2p_status check_guards_and_inputs(const op_execution *execution) {
    const p2p_op *op = &execution->op;
    size_t end = 0;
    char neighbour[64] = "before all";
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (!p2p_tensor_present(&op->t[i])) continue;
        size_t first = execution->placement.offset[i];
        P2P_TRY(check_guard(execution, end, first, neighbour));
        end = first + p2p_tensor_bytes(&op->t[i]);
        snprintf(neighbour, sizeof neighbour, "behind %s", operand_name(op, i));
        if (p2p_op_operand_use(op, i) & P2P_OUT) continue;
        size_t at = first_change(execution, first, end);
        if (at == end) continue;
        return p2p_fail(P2P_FAILED, "byte %zu of %s, which is only read, was written", at - first,
                        operand_name(op, i));
    }
    return check_guard(execution, end, execution->placement.total, neighbour);
}

/* ---- Elements of outputs ------------------------------------------------------------------------------ */

/* Kinds of stored elements of an operand. */
enum { LANE_PADDING, LANE_OTHER, LANE_RANGE };

static void mark(const p2p_tensor *t, unsigned char *lanes, unsigned char kind) {
    for (int64_t n = 0; n < t->n; n++) {
        for (int64_t c = 0; c < t->c; c++) {
            for (int64_t h = 0; h < t->h; h++) {
                for (int64_t w = 0; w < t->w; w++) lanes[p2p_tensor_index(t, n, c, h, w)] = kind;
            }
        }
    }
}

/* The kind of each stored element, a byte each; NULL if there is not enough memory. */
static unsigned char *classify(const p2p_tensor *t) {
    unsigned char *lanes = calloc((size_t)p2p_tensor_stored(t), 1);
    if (!lanes) return NULL;
    p2p_tensor whole = p2p_tensor_whole(t);
    mark(&whole, lanes, LANE_OTHER);
    mark(t, lanes, LANE_RANGE);
    return lanes;
}

static bool is_zero(p2p_type type, const unsigned char *raw) {
    p2p_tensor one = p2p_tensor_flat(type, 1);
    double value = 0;
    p2p_tensor_unpack(&one, raw, &value, P2P_TYPE_f64);
    return value == 0;
}

/* Checks that channels outside the range keep their bytes and that padding is zero where it must be: in
 * filters, and in activations of devices with zero_padding. Else it may be anything. */
static p2p_status check_lanes(const op_execution *execution, int operand, const unsigned char *lanes) {
    const p2p_tensor *t = &execution->op.t[operand];
    size_t bytes = p2p_type_bytes(t->type), first = execution->placement.offset[operand];
    const bool zeros = op_has_zero_padding(execution->bench, t) && p2p_tensor_owns_padding(t);
    for (int64_t e = 0; e < p2p_tensor_stored(t); e++) {
        const unsigned char *before = execution->before + first + (size_t)e * bytes;
        const unsigned char *after = execution->after + first + (size_t)e * bytes;
        if (lanes[e] == LANE_OTHER && memcmp(before, after, bytes) != 0) {
            return p2p_fail(P2P_FAILED, "stored element %lld of %s, outside its channel range, was written",
                            (long long)e, operand_name(&execution->op, operand));
        }
        if (lanes[e] == LANE_PADDING && zeros && !is_zero(t->type, after)) {
            return p2p_fail(P2P_FAILED, "stored element %lld of %s, a padding lane, is not zero",
                            (long long)e, operand_name(&execution->op, operand));
        }
    }
    return P2P_OK;
}

static p2p_status fail_element(const p2p_op *op, int operand, int64_t e, double got, double truth,
                               double tolerance) {
    const p2p_tensor *t = &op->t[operand];
    int64_t w = e % t->w, h = e / t->w % t->h, c = e / (t->w * t->h) % t->c, n = e / (t->w * t->h * t->c);
    return p2p_fail(P2P_FAILED, "%s[%lld,%lld,%lld,%lld] is %.9g, not %.9g within %.3g",
                    operand_name(op, operand), (long long)n, (long long)c, (long long)h, (long long)w, got,
                    truth, tolerance);
}

/* A copy between equal types has no error. */
static bool copies_exactly(const p2p_op *op, int operand) {
    return op->kind == P2P_KIND_copy && !op->accumulate && op->t[0].type == op->t[operand].type;
}

/* budget * eps * sqrt(depth), in the precision of the computation. */
static double tolerance_factor(const op_execution *execution, int operand, double depth) {
    const p2p_op *op = &execution->op;
    const p2p_type stored = op->t[operand].type;
    const p2p_type precision = stored == P2P_TYPE_bf16 ? P2P_TYPE_f32 : stored;
    double budget = p2p_budget_is_winograd(execution->query.kernel) ? P2P_BUDGET_WINOGRAD
                                                                    : p2p_budget_of(op->kind, precision);
    return budget * p2p_budget_eps(precision) * sqrt(depth);
}

/* The largest permitted difference of an element from `truth`. */
static double tolerance_of(const op_bound *bound, double factor, bool rounded_to_bf16, int64_t e,
                           double truth) {
    double tolerance = factor * bound->scale[e];
    if (bound->more) tolerance += bound->more[e];
    if (rounded_to_bf16) tolerance += p2p_budget_of_storing_bf16(fabs(truth) + tolerance);
    return tolerance;
}

static p2p_status check_values(const op_execution *execution, int operand, const double *truth,
                               const op_bound *bound, bool exact, double *used) {
    const p2p_op *op = &execution->op;
    const p2p_tensor *t = &op->t[operand];
    int64_t count = p2p_tensor_elements(t);
    double *got = malloc((size_t)count * sizeof *got);
    if (!got) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for results");
    p2p_tensor_unpack(t, execution->after + execution->placement.offset[operand], got, P2P_TYPE_f64);
    exact = exact || copies_exactly(op, operand);
    double factor = exact ? 0 : tolerance_factor(execution, operand, bound->depth);
    p2p_status status = P2P_OK;
    for (int64_t e = 0; e < count && status == P2P_OK; e++) {
        double error = fabs(got[e] - truth[e]);
        double tolerance = exact ? 0 : tolerance_of(bound, factor, t->type == P2P_TYPE_bf16, e, truth[e]);
        if (!(error <= tolerance)) { /* also true for NaN */
            status = fail_element(op, operand, e, got[e], truth[e], tolerance);
        } else if (error > 0 && error / tolerance > *used) {
            *used = error / tolerance;
        }
    }
    free(got);
    return status;
}

p2p_status op_check(const op_execution *execution, double *const truth[P2P_MAX_OPERANDS],
                    const op_bound bounds[P2P_MAX_OPERANDS], bool exact, double *used) {
    *used = 0;
    P2P_TRY(check_guards_and_inputs(execution));
    for (int i = 0; i < p2p_kind_operand_count(execution->op.kind); i++) {
        if (!(p2p_op_operand_use(&execution->op, i) & P2P_OUT)) continue;
        unsigned char *lanes = classify(&execution->op.t[i]);
        if (!lanes) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a map of lanes");
        p2p_status status = check_lanes(execution, i, lanes);
        free(lanes);
        P2P_TRY(status);
        P2P_TRY(check_values(execution, i, truth[i], &bounds[i], exact, used));
    }
    return P2P_OK;
}

/* ---- Repetition --------------------------------------------------------------------------------------- */

static p2p_status compare_operand(const op_execution *execution, const unsigned char *again, int operand) {
    const p2p_tensor *t = &execution->op.t[operand];
    size_t bytes = p2p_type_bytes(t->type), first = execution->placement.offset[operand];
    if (memcmp(execution->after + first, again + first, p2p_tensor_bytes(t)) == 0) return P2P_OK;
    unsigned char *lanes = classify(t);
    if (!lanes) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a map of lanes");
    int64_t e = 0, stored = p2p_tensor_stored(t);
    while (e < stored &&
           (lanes[e] == LANE_PADDING || memcmp(execution->after + first + (size_t)e * bytes,
                                               again + first + (size_t)e * bytes, bytes) == 0)) {
        e++;
    }
    free(lanes);
    if (e == stored) return P2P_OK;
    return p2p_fail(P2P_FAILED, "stored element %lld of %s has other bits in a second run", (long long)e,
                    operand_name(&execution->op, operand));
}

p2p_status op_check_same(const op_execution *execution, const unsigned char *again) {
    for (int i = 0; i < p2p_kind_operand_count(execution->op.kind); i++) {
        if (!(p2p_op_operand_use(&execution->op, i) & P2P_OUT)) continue;
        P2P_TRY(compare_operand(execution, again, i));
    }
    return P2P_OK;
}
