/* op_query of every descriptor of the fixed table, without running any, and the check of refusals against the
 * rule and the committed list (op_refusal.h).
 */
#include "op_suite.h"

#include <string.h>

/* With one family of convolutions selected by name, no other family can compute what it refuses. */
static bool must_accept(const op_suite *suite, const p2p_op *op, unsigned parts) {
    return parts == 0 && suite->own_storage && !(suite->one_family && p2p_op_is_convolution(op));
}

static unsigned parts_of(const op_suite *suite, const p2p_op *op) {
    return op_parts_of(op, suite->storages.channel_alignment);
}

static p2p_status fail_unfused(void) {
    return p2p_fail(P2P_FAILED, "refused, though it is unfused and in the device's own storage: %s",
                    p2p_message());
}

p2p_status op_suite_classify(const op_suite *suite, const p2p_op *op) {
    const unsigned parts = parts_of(suite, op);
    if (must_accept(suite, op, parts)) return fail_unfused();
    /* Families refuse shapes, and so does the packing of filters into bf16. */
    const bool by_shape = p2p_op_is_convolution(op) && (suite->one_family || op->math == P2P_MATH_bf16);
    if (!suite->has_list || op_refusals_cover(&suite->listed, &suite->found, op->kind, parts, by_shape))
        return P2P_UNSUPPORTED;
    return p2p_fail(P2P_FAILED, "refused, and %s has no such refusal in [%s]: %s", suite->list,
                    suite->section, p2p_message());
}

/* ---- The fixed table ---------------------------------------------------------------------------------- */

static void query(op_suite *suite, const p2p_op *op) {
    p2p_query answer;
    const unsigned parts = parts_of(suite, op);
    op_refusal_count *count = &suite->found.of[op->kind][parts];
    p2p_status status = p2p_operation_query(suite->device.device, op, &answer);
    count->queried++;
    if (status == P2P_OK) return;
    count->refused += status == P2P_UNSUPPORTED;
    if (status == P2P_UNSUPPORTED && !must_accept(suite, op, parts)) return;
    if (status == P2P_UNSUPPORTED) status = fail_unfused();
    op_suite_count(suite, op, status, 0);
}

/* Queries the case with every output overwritten, with every output accumulated, and with each accumulated
 * alone. */
static void query_case(void *context, const op_case *item) {
    op_suite *suite = context;
    p2p_op op = op_suite_stamp(suite, item);
    if (suite->query_only >= 0 && (int)op.kind != suite->query_only) return;
    const uint32_t all = op_suite_accumulable(&op);
    query(suite, &op);
    for (uint32_t bit = 1; bit != 0 && bit <= all; bit <<= 1) {
        op.accumulate = all & bit;
        if (op.accumulate) query(suite, &op);
    }
    op.accumulate = all;
    if (all & (all - 1)) query(suite, &op);
}

static void query_all(op_suite *suite, int kind) {
    const op_tier tier = {.channel_alignment = suite->storages.channel_alignment};
    memset(&suite->found, 0, sizeof suite->found);
    suite->query_only = kind;
    op_cases_table(&tier, query_case, suite);
}

static bool update(op_suite *suite) {
    query_all(suite, -1);
    suite->listed = suite->found;
    suite->has_list = true;
    if (op_refusals_write(suite->list, suite->section, &suite->found) == P2P_OK) return true;
    printf("FAIL %s\n", p2p_message());
    return false;
}

static bool compare(op_suite *suite) {
    const int differences = op_refusals_compare(&suite->listed, &suite->found, suite->only_kind, stdout);
    if (differences == 0) return true;
    printf("FAIL %s: refusals are not those of [%s] in %s: %d differences above; "
           "P2P_UPDATE_GOLDEN=1 with --mode refusals accepts them\n",
           suite->repro, suite->section, suite->list, differences);
    return false;
}

bool op_suite_refusals(op_suite *suite, bool accept) {
    if (accept) return update(suite);
    const p2p_status status = op_refusals_read(suite->list, suite->section, &suite->listed);
    suite->has_list = status == P2P_OK;
    if (status != P2P_OK)
        printf("FAIL %s; P2P_UPDATE_GOLDEN=1 with --mode refusals writes it\n", p2p_message());
    query_all(suite, suite->only_kind);
    return suite->has_list && compare(suite);
}

bool op_suite_refusals_report(const op_suite *suite) {
    long queried = 0, refused = 0, failed = 0;
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++) {
        failed += suite->tally[kind].failed;
        for (int parts = 0; parts < OP_PART_SETS; parts++) {
            queried += suite->found.of[kind][parts].queried;
            refused += suite->found.of[kind][parts].refused;
        }
    }
    printf("%s on %s, [%s]: %ld of %ld queries refused, %ld wrongly\n", suite->repro,
           p2p_device_name(suite->device.device), suite->section, refused, queried, failed);
    return failed == 0 && queried > 0;
}
