/* Data parallelism: two replicas with half the batch each, statistics and gradients reduced over both, train
 * like one device with the whole batch. Reductions go through the reference's own communicator and, with
 * devices of a module that has none, through host memory.
 */
#include "plan/session.h"
#include "support/picky_backend.h"
#include "support/plan_training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "support/test_expect.h"

static plan_training train(const char *backend, int first, int replicas, bool sync,
                           const p2p_session_options *options) {
    plan_training result;
    OK(plan_train(backend, first, replicas, sync, options, &result));
    return result;
}

static void test_two_equal_one(void **state) {
    (void)state;
    plan_training one = train("reference", 0, 1, true, NULL);
    plan_training two = train("reference", 0, 2, true, NULL);
    plan_training four =
        train("reference", 0, 4, true, &(p2p_session_options){.check = true, .no_fusion = true});
    assert_int_equal(one.collectives, 0);
    /* 6 normalisations forward, 6 backward, 2 networks' gradients; statistics stay apart from their use. */
    assert_int_equal(two.collectives, 14);
    assert_int_equal(two.statistics, 6);
    assert_int_equal(one.statistics, 0);
    assert_true(plan_training_distance(&two, &one) < 1e-9);
    assert_true(plan_training_distance(&four, &one) < 1e-9);
    free(one.parameters);
    free(two.parameters);
    free(four.parameters);
}

/* The reduction matters: without it two halves of a batch have other statistics. */
static void test_unsynchronised_differ(void **state) {
    (void)state;
    plan_training one = train("reference", 0, 1, false, NULL);
    plan_training two = train("reference", 0, 2, false, NULL);
    assert_int_equal(two.collectives, 2);
    assert_true(plan_training_distance(&two, &one) > 1e-6);
    free(one.parameters);
    free(two.parameters);
}

/* The same through host memory: "twins" are devices of a module without a communicator. */
static const p2p_module *twins(uint32_t abi, const p2p_host *host);

static p2p_status twin_info(int index, p2p_device_info *info) {
    (void)index;
    return picky_module(P2P_BACKEND_ABI, p2p_host_services())->device_info(PICKY_EASY, info);
}

static p2p_status twin_open(int index, p2p_be_device **device) {
    (void)index;
    return picky_module(P2P_BACKEND_ABI, p2p_host_services())->device_open(PICKY_EASY, device);
}

static const p2p_module *twins(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    module = *picky_module(abi, host);
    module.name = "twins";
    module.device_info = twin_info;
    module.device_open = twin_open;
    return &module;
}

static void test_through_host_memory(void **state) {
    (void)state;
    plan_training own = train("reference", 0, 2, true, NULL);
    int before = picky_recordings_run();
    plan_training host = train("twins", 0, 2, true, NULL);
    assert_int_equal(picky_recordings_run() - before,
                     PLAN_TRAINING_STEPS * 2 * 15); /* segments of two replicas */
    assert_true(plan_training_distance(&host, &own) < 1e-12);
    free(own.parameters);
    free(host.parameters);
}

int main(void) {
    OK(p2p_module_register(twins));
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_equal_one),
                                       cmocka_unit_test(test_unsynchronised_differ),
                                       cmocka_unit_test(test_through_host_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
