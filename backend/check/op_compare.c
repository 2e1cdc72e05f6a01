/* The comparison of one descriptor. See op_compare.h. */
#include "op_compare.h"

#include "op_budget.h"
#include "op_check.h"

#include <stdlib.h>

p2p_op op_with_requested_filter(const p2p_op *op, const p2p_query *query) {
    p2p_op wanted = *op;
    const int operand = p2p_kind_filter(op->kind);
    if (query->filter_need == P2P_FILTER_AS_QUERIED || operand < 0) return wanted;
    wanted.t[operand].type = query->filter.type;
    wanted.t[operand].layout = query->filter.layout;
    wanted.t[operand].block = query->filter.block;
    return wanted;
}

p2p_op op_as_required(p2p_device *device, const p2p_op *op) {
    p2p_query answer;
    if (p2p_operation_query(device, op, &answer) != P2P_OK) return *op;
    return answer.filter_need == P2P_FILTER_REQUIRED ? op_with_requested_filter(op, &answer) : *op;
}

static p2p_status run_twice(op_execution *execution, const op_contents *contents) {
    P2P_TRY(op_execution_run(execution, contents));
    unsigned char *first = execution->after;
    unsigned char *second = malloc(execution->placement.total);
    if (!second) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a second image");
    execution->after = second;
    p2p_status status = op_execution_run(execution, contents);
    execution->after = first;
    if (status == P2P_OK) status = op_check_same(execution, second);
    free(second);
    return status;
}

/* Exact sums are rounded once, to the type in which they are stored. */
static p2p_status round_truth(const p2p_op *op, double *const truth[P2P_MAX_OPERANDS]) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (truth[i]) P2P_TRY(op_round_to_type(op->t[i].type, truth[i], p2p_tensor_elements(&op->t[i])));
    }
    return P2P_OK;
}

static p2p_status run_with_contents(op_bench *reference, op_execution *execution, op_mode mode,
                                    const op_contents *contents, double *used) {
    const p2p_op *op = &execution->op;
    double *truth[P2P_MAX_OPERANDS];
    op_bound bounds[P2P_MAX_OPERANDS] = {{0}};
    if (mode == OP_EXACT) {
        P2P_TRY(op_execution_run(execution, contents));
    } else {
        P2P_TRY(run_twice(execution, contents));
    }
    /* Winograd's algorithm rounds the transformed factors, not the factors. */
    const bool winograd = p2p_budget_is_winograd(execution->query.kernel);
    const bool rounds_later = winograd && op->math == P2P_MATH_bf16;
    p2p_op unrounded = *op;
    unrounded.math = P2P_MATH_stored;
    const p2p_op *true_op = rounds_later ? &unrounded : op;
    P2P_TRY(op_truth(reference, true_op, contents, truth));
    p2p_status status =
        mode == OP_EXACT ? round_truth(op, truth) : op_bounds_create(reference, true_op, contents, bounds);
    if (status == P2P_OK && winograd) op_bounds_winograd(op, bounds);
    if (status == P2P_OK && rounds_later) status = op_bounds_winograd_bf16(reference, op, contents, bounds);
    if (status == P2P_OK) status = op_check(execution, truth, bounds, mode == OP_EXACT, used);
    op_bounds_destroy(bounds);
    op_results_free(truth);
    return status;
}

static p2p_status run_mode(op_bench *reference, op_execution *execution, op_mode mode, uint64_t seed,
                           double *used) {
    op_contents contents;
    P2P_TRY(op_contents_create(&execution->op, mode, seed, &contents));
    p2p_status status = run_with_contents(reference, execution, mode, &contents, used);
    op_contents_destroy(&contents);
    return status;
}

p2p_status op_compare(op_bench *device, op_bench *reference, const p2p_op *op, uint64_t seed,
                      p2p_query *query, double *used) {
    op_execution execution;
    *query = (p2p_query){0};
    *used = 0;
    P2P_TRY(op_execution_create(device, op, &execution));
    *query = execution.query;
    /* Winograd's transforms have fractions, so its results are not exact. */
    const bool exact = op_can_be_exact(op) && !p2p_budget_is_winograd(execution.query.kernel);
    p2p_status status = P2P_OK;
    if (exact) status = run_mode(reference, &execution, OP_EXACT, seed, used);
    if (status == P2P_OK) status = run_mode(reference, &execution, OP_REAL, seed, used);
    op_execution_destroy(&execution);
    return status;
}
