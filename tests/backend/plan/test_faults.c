/* Every call of a backend may fail. The n-th call of a tiny training fails, for each of the first 200 n and
 * for some of the later ones. Each failure must be returned as a status with the injected message, and
 * everything must be freed (AddressSanitizer detects leaks).
 *
 *   test_faults [all]           all: every n
 *   test_faults opencl [all]    two replicas on OpenCL devices: a call of each function in two steps, and
 *                               some more. Each trial ends within a limit.
 */
#include "device/device.h"
#include "support/picky_backend.h"
#include "support/plan_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const plan_net shape = {.in = 3, .out = 3, .filters = 2};
static bool every_call; /* the argument `all` */

/* A session from opening its devices to reading its parameters back, with the n-th call failing. Closing is
 * not counted, because it ignores failures. */
static p2p_status run_session(const char *backend, int first, int replicas,
                              const p2p_session_options *options, uint64_t nth, uint64_t *calls) {
    plan_rig rig;
    double *parameters = NULL, loss = 0;
    int64_t count = 0;
    plan_net_step step = {.sync = replicas > 1, .dropout = 0.5};
    p2p_fault_inject(nth);
    p2p_status status = plan_rig_open(&rig, backend, first, replicas, 2, &shape, &step, options);
    if (status == P2P_OK) status = plan_rig_step(&rig, 0);
    if (status == P2P_OK) status = plan_rig_step(&rig, 1);
    if (status == P2P_OK) status = p2p_plan_loss(rig.plan, "g_l1", &loss);
    if (status == P2P_OK) status = plan_rig_parameters(&rig, &parameters, &count);
    *calls = p2p_fault_inject(0);
    free(parameters);
    plan_rig_close(&rig);
    return status;
}

/* Each early call fails in turn; of the later ones, which are similar, fewer and fewer. */
static void fail_each_call(const char *backend, int first, int replicas, const p2p_session_options *options) {
    enum { DENSE = 200 };
    uint64_t calls = 0, counted = 0, failures = 0;
    assert_int_equal(run_session(backend, first, replicas, options, 0, &calls), P2P_OK);
    for (uint64_t n = 1; n <= calls; n += every_call ? 1 : 1 + n / DENSE) {
        p2p_status status = run_session(backend, first, replicas, options, n, &counted);
        bool expected = status == P2P_FAILED || status == P2P_NO_DEVICE; /* from listing devices */
        if (!expected || !strstr(p2p_message(), "injected fault"))
            fail_msg("call %d of %d: %s: %s", (int)n, (int)calls, p2p_status_name(status), p2p_message());
        failures++;
    }
    assert_true(failures > DENSE);
    assert_int_equal(run_session(backend, first, replicas, options, calls + 1, &counted), P2P_OK);
    assert_int_equal(counted, calls);
}

/* ---- Two replicas on OpenCL devices ------------------------------------------------------------------- */

/* The functions of a backend that two steps call, in order. */
enum { MOST_CALLS = 4096 };
static const char *called[MOST_CALLS];
static atomic_int called_count = MOST_CALLS; /* none is recorded then */

p2p_status __real_p2p_call_count(const char *function);
p2p_status __wrap_p2p_call_count(const char *function);
p2p_status __wrap_p2p_call_count(const char *function) {
    if (atomic_load(&called_count) < MOST_CALLS) called[atomic_fetch_add(&called_count, 1)] = function;
    return __real_p2p_call_count(function);
}

/* Calls until the first step, and until the end of the second. The steps run with the n-th call failing. */
static p2p_status run_steps(uint64_t nth, uint64_t *before, uint64_t *calls) {
    enum { LIMIT = 120 }; /* seconds, after which a wait that never ends kills the test */
    plan_rig rig;
    const plan_net_step step = {.sync = true, .dropout = 0.5};
    alarm(LIMIT);
    p2p_fault_inject(nth);
    p2p_status status = plan_rig_open(&rig, "opencl", 0, 2, 3, &shape, &step, NULL);
    if (nth == 0) *before = p2p_fault_inject(0);
    if (nth == 0) atomic_store(&called_count, 0);
    if (status == P2P_OK) status = plan_rig_step(&rig, 0);
    if (status == P2P_OK) status = plan_rig_step(&rig, 1);
    *calls = p2p_fault_inject(0);
    plan_rig_close(&rig);
    alarm(0);
    return status;
}

/* The middle one of the calls of the same function. */
static int middle_call(int call, int calls) {
    int of[MOST_CALLS], count = 0;
    for (int n = 0; n < calls; n++)
        if (strcmp(called[n], called[call]) == 0) of[count++] = n;
    return of[count / 2];
}

static void fail_call(uint64_t before, int call) {
    uint64_t counted;
    const p2p_status status = run_steps(before + 1 + (uint64_t)call, NULL, &counted);
    if (status != P2P_FAILED || !strstr(p2p_message(), "injected fault") ||
        !strstr(p2p_message(), called[call]))
        fail_msg("call %d of the steps, %s: %s: %s", call, called[call], p2p_status_name(status),
                 p2p_message());
}

/* The middle call of each function, and some others at equal distances. */
static void test_opencl_replicas(void **state) {
    (void)state;
    enum { SOME = 3, LEAST_FUNCTIONS = 5 };
    uint64_t before = 0, counted = 0;
    int functions = 0;
    assert_int_equal(run_steps(0, &before, &counted), P2P_OK);
    assert_true(counted > 0 && counted < MOST_CALLS);
    const int calls = (int)counted;
    for (int n = 0; n < calls; n++) {
        const bool middle = middle_call(n, calls) == n;
        functions += middle;
        if (middle || every_call || n % (1 + calls / SOME) == 0) fail_call(before, n);
    }
    assert_true(functions >= LEAST_FUNCTIONS);
}

static void test_reference(void **state) {
    (void)state;
    fail_each_call("reference", 0, 1, NULL);
}

static void test_replicas(void **state) {
    (void)state;
    fail_each_call("reference", 0, 2, NULL);
}

/* Recordings, derived filters, arenas in pieces. */
static void test_picky(void **state) {
    (void)state;
    fail_each_call("picky", PICKY_BLOCKED, 1, NULL);
    fail_each_call("picky", PICKY_STRICT, 1, NULL);
}

static void test_check_mode(void **state) {
    (void)state;
    fail_each_call("picky", PICKY_BLOCKED, 1, &(p2p_session_options){.check = true});
}

/* Waiting for a device fails when a session ends. The message and hint of the failure before it remain. */
static void test_destroy_keeps_the_failure(void **state) {
    (void)state;
    plan_rig rig;
    const plan_net_step step = {.sync = false};
    assert_int_equal(plan_rig_open(&rig, "reference", 0, 1, 2, &shape, &step, NULL), P2P_OK);
    p2p_hint(p2p_fail(P2P_INPUT, "the failure"), "its remedy");
    p2p_fault_inject(1);
    plan_rig_close(&rig);
    assert_int_equal(p2p_fault_inject(0), 1);
    assert_string_equal(p2p_message(), "the failure");
    assert_string_equal(p2p_message_hint(), "its remedy");
}

int main(int argc, char **argv) {
    const bool opencl = argc > 1 && strcmp(argv[1], "opencl") == 0;
    every_call = argc > 1 && strcmp(argv[argc - 1], "all") == 0;
    if (p2p_module_register(picky_module) != P2P_OK) return 1;
    const struct CMUnitTest on_opencl[] = {cmocka_unit_test(test_opencl_replicas)};
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reference), cmocka_unit_test(test_replicas),
                                       cmocka_unit_test(test_picky), cmocka_unit_test(test_check_mode),
                                       cmocka_unit_test(test_destroy_keeps_the_failure)};
    return opencl ? cmocka_run_group_tests(on_opencl, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
