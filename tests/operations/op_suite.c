/* The checks of each descriptor, and the report. */
#include "op_suite.h"

#include "check/op_compare.h"

#include <stdlib.h>
#include <string.h>

/* ---- Counting ----------------------------------------------------------------------------------------- */

/* Counts a remark. The last entry counts all remarks for which there is no other entry. */
static void count_remark(op_remark *remarks, const char *text) {
    for (int i = 0; i < OP_SUITE_REMARKS; i++) {
        op_remark *remark = &remarks[i];
        bool last = i == OP_SUITE_REMARKS - 1;
        if (remark->count == 0) snprintf(remark->text, sizeof remark->text, "%s", last ? "others" : text);
        if (!last && strncmp(remark->text, text, sizeof remark->text - 1) != 0) continue;
        remark->count++;
        return;
    }
}

void op_suite_count(op_suite *suite, const p2p_op *op, p2p_status status, double used) {
    op_tally *tally = &suite->tally[op->kind];
    char text[P2P_OP_TEXT];
    p2p_op_print(op, text, sizeof text);
    if (status == P2P_OK) {
        tally->passed++;
        if (used > tally->used) {
            tally->used = used;
            memcpy(tally->used_by, text, sizeof text);
        }
    } else if (status == P2P_UNSUPPORTED) {
        tally->skipped++;
        count_remark(tally->refusals, p2p_message());
    } else {
        tally->failed++;
        printf("FAIL %s --seed %llu --case \"%s\": %s\n", suite->repro, (unsigned long long)suite->seed, text,
               p2p_message());
        fflush(stdout);
    }
}

/* ---- One descriptor ----------------------------------------------------------------------------------- */

static p2p_status check_text(const p2p_op *op) {
    char text[P2P_OP_TEXT];
    p2p_op parsed;
    p2p_op_print(op, text, sizeof text);
    P2P_TRY(p2p_op_parse(text, &parsed));
    if (p2p_op_equal(op, &parsed)) return P2P_OK;
    return p2p_fail(P2P_FAILED, "its text parses to another descriptor");
}

/* Sets `wanted` to the descriptor with the filter's storage that op_query requests, if it is another. */
static p2p_status request_of(const p2p_op *op, const p2p_query *query, p2p_op *wanted, bool *requests) {
    *requests = query->filter_need != P2P_FILTER_AS_QUERIED;
    if (!*requests) return P2P_OK;
    const int operand = p2p_kind_filter(op->kind);
    if (operand < 0) return p2p_fail(P2P_FAILED, "op_query requests another filter, and the kind has none");
    *wanted = op_with_requested_filter(op, query);
    if (!p2p_tensor_equal(&wanted->t[operand], &op->t[operand])) return P2P_OK;
    return p2p_fail(P2P_FAILED, "op_query requests the filter as it already is");
}

static p2p_status check_descriptor(op_suite *suite, const p2p_op *op, double *used, p2p_op *wanted,
                                   bool *requests) {
    p2p_query query;
    P2P_TRY(p2p_op_validate(op));
    P2P_TRY(check_text(op));
    p2p_status status = op_compare(&suite->device, &suite->reference, op, suite->seed, &query, used);
    if (status == P2P_UNSUPPORTED) return status;
    count_remark(suite->tally[op->kind].kernels, query.kernel);
    if (status != P2P_OK) return status;
    return request_of(op, &query, wanted, requests);
}

void op_suite_descriptor(op_suite *suite, const p2p_op *queried) {
    const p2p_op required = op_as_required(suite->device.device, queried), *op = &required;
    p2p_op wanted = *op;
    bool requests = false;
    double used = 0;
    p2p_status status = check_descriptor(suite, op, &used, &wanted, &requests);
    if (status == P2P_UNSUPPORTED) status = op_suite_classify(suite, op);
    op_suite_count(suite, op, status, used);
    if (!requests) return;
    bool requests_again = false;
    p2p_op ignored;
    status = check_descriptor(suite, &wanted, &used, &ignored, &requests_again);
    if (status == P2P_UNSUPPORTED)
        status = p2p_fail(P2P_FAILED, "refused with the filter that op_query requests: %s", p2p_message());
    if (status == P2P_OK && requests_again)
        status = p2p_fail(P2P_FAILED, "op_query requests yet another filter");
    op_suite_count(suite, &wanted, status, used);
}

/* ---- One case ----------------------------------------------------------------------------------------- */

uint32_t op_suite_accumulable(const p2p_op *op) {
    uint32_t bits = 0;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        p2p_op variant = *op;
        variant.accumulate = UINT32_C(1) << i;
        if (p2p_op_validate(&variant) == P2P_OK) bits |= variant.accumulate;
    }
    return bits;
}

static void check_invalid(op_suite *suite, const p2p_op *op) {
    op_tally *tally = &suite->tally[op->kind];
    p2p_status status = op_invalid_check(suite->device.device, op, &tally->refused);
    if (status != P2P_OK) op_suite_count(suite, op, status, 0);
}

p2p_op op_suite_stamp(const op_suite *suite, const op_case *item) {
    p2p_op op = op_case_stamp(item, &suite->storages);
    if (p2p_op_is_convolution(&op)) op.math = suite->math;
    return op;
}

void op_suite_case(void *context, const op_case *item) {
    op_suite *suite = context;
    p2p_op op = op_suite_stamp(suite, item);
    if (suite->only_kind >= 0 && (int)op.kind != suite->only_kind) return;
    if (suite->most_flops > 0 && p2p_op_flops(&op) > suite->most_flops) {
        suite->left_out++;
        return;
    }
    uint32_t all = op_suite_accumulable(&op);
    uint32_t some = all & UINT32_C(2654435769) * ++suite->turn >> 16; /* differs from case to case */
    const uint32_t variants[] = {0, all, some};
    for (int i = 0; i < 3; i++) {
        if (i > 0 && variants[i] == 0) continue;
        if (i == 2 && some == all) continue;
        op.accumulate = variants[i];
        op_suite_descriptor(suite, &op);
    }
    op.accumulate = 0;
    check_invalid(suite, &op);
}

/* ---- Report ------------------------------------------------------------------------------------------- */

static void print_remarks(const char *what, const op_remark *remarks) {
    for (int i = 0; i < OP_SUITE_REMARKS && remarks[i].count; i++) {
        printf("    %s %ld: %s\n", what, remarks[i].count, remarks[i].text);
    }
}

bool op_suite_report(const op_suite *suite) {
    long passed = 0, skipped = 0, failed = 0, left_out = 0;
    printf("%-16s %7s %7s %7s %8s  %s\n", "kind", "passed", "skipped", "failed", "refused",
           "budget used, by");
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++) {
        if (suite->only_kind >= 0 && kind != suite->only_kind) continue;
        const op_tally *tally = &suite->tally[kind];
        printf("%-16s %7ld %7ld %7ld %8ld  %.3f %s\n", p2p_kind_name((p2p_kind)kind), tally->passed,
               tally->skipped, tally->failed, tally->refused, tally->used, tally->used_by);
        print_remarks("kernel", tally->kernels);
        print_remarks("skipped", tally->refusals);
        passed += tally->passed, skipped += tally->skipped, failed += tally->failed;
        if (tally->passed + tally->failed > 0) continue;
        left_out++;
        printf("FAIL no %s was run at all\n", p2p_kind_name((p2p_kind)kind));
    }
    if (suite->left_out > 0) printf("%ld cases were left out: too large for --tiny\n", suite->left_out);
    printf("%s on %s: %ld passed, %ld skipped, %ld failed\n", suite->repro,
           p2p_device_name(suite->device.device), passed, skipped, failed);
    return failed == 0 && left_out == 0;
}

void op_suite_matrix(const op_suite *suite) {
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++) {
        const op_tally *tally = &suite->tally[kind];
        if (suite->only_kind >= 0 && kind != suite->only_kind) continue;
        printf("%-16s %s (%ld of %ld cases)\n", p2p_kind_name((p2p_kind)kind),
               tally->passed == 0    ? "no"
               : tally->skipped == 0 ? "yes"
                                     : "partly",
               tally->passed, tally->passed + tally->skipped);
        print_remarks("kernel", tally->kernels);
        print_remarks("refused", tally->refusals);
    }
}
