/* p2p_check.h on doubles with known faults: each is found and named, and nothing else is. The comparison
 * itself is tested by the operation runner, which uses the same code.
 */
#include "device/device.h"
#include "p2p_check.h"
#include "support/picky_backend.h"
#include "support/refusing_backend.h"
#include "support/sick_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { OUTCOMES = P2P_CHECK_FAILED + 1 };

/* What the checks of a device found. */
static struct {
    int own[P2P_KIND_COUNT][OUTCOMES];
    int algorithms[OUTCOMES];
    char failed[512]; /* of the last failure: algorithm, kind, form, reason */
    char names[256];  /* of the algorithms, in order, with their kinds */
    int progress;
} found;

static double now;

static double test_clock(void) {
    return now += 1;
}

static void take(void *context, const p2p_check_result *result) {
    p2p_op op;
    (void)context;
    OK(p2p_op_parse(result->descriptor, &op));
    assert_int_equal(op.kind, result->kind);
    assert_true(result->outcome == P2P_CHECK_PASSED ? !result->reason[0] : result->reason[0]);
    if (result->algorithm[0]) {
        const size_t used = strlen(found.names);
        snprintf(found.names + used, sizeof found.names - used, "%s/%s ", p2p_kind_name(result->kind),
                 result->algorithm);
        found.algorithms[result->outcome]++;
    } else {
        found.own[result->kind][result->outcome]++;
    }
    if (result->outcome == P2P_CHECK_FAILED)
        snprintf(found.failed, sizeof found.failed, "[%s] %s [%s] %s", result->algorithm,
                 p2p_kind_name(result->kind), result->form, result->reason);
}

static void count_progress(void *context, int done, int total) {
    (void)context;
    assert_int_equal(done, found.progress++);
    assert_true(done < total);
}

static p2p_status check(const char *address, p2p_precision precision, double until) {
    const p2p_check_options options = {.precision = precision,
                                       .clock = test_clock,
                                       .algorithms_until = until,
                                       .progress = count_progress,
                                       .visit = take};
    p2p_device *device;
    memset(&found, 0, sizeof found);
    now = 0;
    OK(p2p_device_open(address, &device));
    const p2p_status status = p2p_device_check(device, &options);
    p2p_device_close(device);
    return status;
}

static int own(p2p_check_outcome outcome) {
    int count = 0;
    for (int k = 0; k < P2P_KIND_COUNT; k++) count += found.own[k][outcome];
    return count;
}

/* ---- Operations --------------------------------------------------------------------------------------- */

static void test_every_kind(void **state) {
    (void)state;
    for (int p = 0; p < P2P_PRECISION_COUNT; p++) {
        OK(check("reference:0", (p2p_precision)p, 0));
        for (int k = 0; k < P2P_KIND_all_reduce; k++) assert_true(found.own[k][P2P_CHECK_PASSED] > 0);
        assert_int_equal(own(P2P_CHECK_PASSED), found.progress);
        assert_int_equal(own(P2P_CHECK_REFUSED) + own(P2P_CHECK_AS_STORED) + own(P2P_CHECK_FAILED), 0);
    }
}

_Static_assert(P2P_KIND_broadcast == P2P_KIND_COUNT - 1 && P2P_KIND_all_reduce == P2P_KIND_COUNT - 2,
               "the collectives are the last kinds");

static void test_wrong_kind(void **state) {
    (void)state;
    OK(check("sick:1", P2P_PRECISION_fp32, 0));
    assert_int_equal(own(P2P_CHECK_FAILED), 1);
    assert_non_null(strstr(found.failed, "[] act_fwd [] y["));
    assert_int_equal(found.algorithms[P2P_CHECK_FAILED], 0);
}

/* What every training needs may not be refused; what is fused may. */
static void test_refusals(void **state) {
    (void)state;
    OK(check("sick:4", P2P_PRECISION_fp32, 0));
    assert_int_equal(found.own[P2P_KIND_dropout][P2P_CHECK_FAILED], 1);
    assert_int_equal(own(P2P_CHECK_FAILED), 1);
    assert_non_null(strstr(found.failed, "dropout [] sick: it drops nothing"));
    assert_int_equal(found.own[P2P_KIND_norm_apply][P2P_CHECK_REFUSED], 1);
    char address[32];
    snprintf(address, sizeof address, "refusing:%d", REFUSING_OPTIONAL); /* refuses every optional part */
    OK(check(address, P2P_PRECISION_fp32, 0));
    assert_int_equal(own(P2P_CHECK_FAILED), 0);
    assert_int_equal(found.own[P2P_KIND_conv_fwd][P2P_CHECK_REFUSED], 3);
}

/* Devices with other storages, padding that must be zero, and filters in a second storage. */
static void test_storages(void **state) {
    (void)state;
    for (int p = 0; p < P2P_PRECISION_COUNT; p++) {
        OK(check("picky:3", (p2p_precision)p, 0));
        if (own(P2P_CHECK_FAILED)) fail_msg("%s", found.failed);
    }
    picky_leave_padding(P2P_KIND_act_fwd); /* NaN in lanes that must be zero */
    OK(check("picky:3", P2P_PRECISION_fp32, 0));
    picky_leave_padding(P2P_KIND_COUNT);
    assert_int_equal(found.own[P2P_KIND_act_fwd][P2P_CHECK_FAILED], 3);
    assert_int_equal(own(P2P_CHECK_FAILED), 3);
    assert_non_null(strstr(found.failed, "a padding lane, is not zero"));
}

static void test_lost(void **state) {
    (void)state;
    REFUSED(check("sick:5", P2P_PRECISION_fp32, 0), P2P_DEVICE_LOST, "it is lost");
    assert_int_equal(own(P2P_CHECK_FAILED), 1);
    assert_non_null(strstr(found.failed, "gemm [] sick: it is lost"));
}

/* ---- Algorithms --------------------------------------------------------------------------------------- */

static void test_algorithms(void **state) {
    (void)state;
    OK(check("sick:0", P2P_PRECISION_fp32, 0));
    assert_string_equal(found.names, "conv_fwd/plain conv_fwd/other conv_bwd_data/plain conv_bwd_data/other "
                                     "conv_bwd_filter/plain conv_bwd_filter/other conv_fwd/plain:wide "
                                     "conv_bwd_data/plain:wide conv_bwd_filter/plain:wide ");
    assert_int_equal(found.algorithms[P2P_CHECK_PASSED], 9);
    assert_int_equal(own(P2P_CHECK_FAILED), 0);
}

static void test_wrong_algorithm(void **state) {
    (void)state;
    OK(check("sick:2", P2P_PRECISION_fp32, 0));
    assert_int_equal(own(P2P_CHECK_FAILED), 0);
    assert_int_equal(found.algorithms[P2P_CHECK_FAILED],
                     1 + 3); /* "other" in one kind, "plain:wide" in all */
    assert_int_equal(found.algorithms[P2P_CHECK_PASSED], 5);
    assert_non_null(
        strstr(found.failed, "[plain:wide] conv_bwd_filter [] sick: 'plain:wide' fails its test"));
}

/* After the time all algorithms that are left are named, and operations are checked nevertheless. */
static void test_no_time(void **state) {
    (void)state;
    OK(check("sick:0", P2P_PRECISION_fp32, 1));
    assert_int_equal(found.algorithms[P2P_CHECK_LEFT_OUT], 9);
    assert_true(own(P2P_CHECK_PASSED) > 60);
}

static void test_list(void **state) {
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    int count = -1;
    p2p_device *device;
    p2p_op gemm = {.kind = P2P_KIND_gemm, .alpha = 1};
    (void)state;
    REFUSED(check("sick:6", P2P_PRECISION_fp32, 0), P2P_FAILED, "lists 65 algorithms");
    OK(p2p_device_open("sick:0", &device));
    gemm.t[0] = gemm.t[1] = gemm.t[2] = p2p_tensor_matrix(P2P_TYPE_f64, 2, 2);
    REFUSED(p2p_operation_list(device, &gemm, names, &count), P2P_INVALID, "no choice for a gemm");
    p2p_device_close(device);
    OK(p2p_device_open("reference:0", &device)); /* lists nothing */
    OK(p2p_operation_list(device, &gemm, names, &count));
    assert_int_equal(count, 0);
    p2p_device_close(device);
}

/* ---- Reductions --------------------------------------------------------------------------------------- */

static p2p_status reduce(const char *one, const char *other, bool *direct) {
    p2p_device *devices[2];
    OK(p2p_device_open(one, &devices[0]));
    OK(p2p_device_open(other, &devices[1]));
    const p2p_status status = p2p_devices_check_reduction(devices, 2, direct);
    p2p_device_close(devices[0]);
    p2p_device_close(devices[1]);
    return status;
}

static void test_reductions(void **state) {
    bool direct = false;
    (void)state;
    OK(reduce("reference:0", "reference:1", &direct));
    assert_true(direct);
    OK(reduce("reference:0", "sick:0", &direct)); /* of two backends */
    assert_false(direct);
    REFUSED(reduce("sick:7", "sick:7", &direct), P2P_FAILED, "as sum number 0 over the devices, not");
    p2p_device *one;
    OK(p2p_device_open("reference:0", &one));
    REFUSED(p2p_devices_check_reduction(&one, 1, &direct), P2P_INVALID, "over 1 devices");
    p2p_device_close(one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind), cmocka_unit_test(test_wrong_kind),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_lost),
        cmocka_unit_test(test_algorithms), cmocka_unit_test(test_wrong_algorithm),
        cmocka_unit_test(test_no_time),    cmocka_unit_test(test_list),
        cmocka_unit_test(test_reductions), cmocka_unit_test(test_storages),
    };
    if (p2p_module_register(sick_module) != P2P_OK || p2p_module_register(refusing_module) != P2P_OK ||
        p2p_module_register(picky_module) != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
