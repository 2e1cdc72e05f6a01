/* OpenCL devices that are prepared at the same time, each in a thread of its own: queries, self-tests,
 * programs and matrix products of devices of one module do not disturb each other. The replicas are one
 * device, opened several times. Training has the same bits as with one thread.
 */
#include "support/all_at_once.h"
#include "support/plan_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "support/test_expect.h"

enum { REPLICAS = 2, STEPS = 2 };

static double *train(p2p_parallel parallel, int64_t *count) {
    plan_rig rig = {
        .net = plan_net_create(3, 3, 4), .replicas = REPLICAS, .world = REPLICAS, .global_batch = REPLICAS};
    const plan_net_step step = {
        .sync = true, .dropout = 0.5, .world = REPLICAS, .global_batch = REPLICAS, .local_batch = 1};
    for (int r = 0; r < REPLICAS; r++) {
        OK(p2p_device_open("opencl:0", &rig.devices[r]));
        rig.graphs[r] = plan_net_graph(&rig.net, &step);
    }
    OK(p2p_session_create(rig.devices, REPLICAS, &(p2p_session_options){.parallel = parallel}, &rig.session));
    OK(p2p_session_plan(rig.session, "tiny", rig.graphs, &rig.plan));
    OK(p2p_session_allocate(rig.session, NULL, NULL));
    OK(p2p_session_initialise(rig.session, rig.net.g, 1));
    OK(p2p_session_initialise(rig.session, rig.net.d, 1));
    for (uint32_t s = 0; s < STEPS; s++) OK(plan_rig_step(&rig, s));
    double *parameters;
    OK(plan_rig_parameters(&rig, &parameters, count));
    plan_rig_close(&rig);
    return parameters;
}

static void test_threads_change_nothing(void **state) {
    (void)state;
    int64_t count, expected_count;
    double *parameters = train(all_at_once, &count), *expected = train(NULL, &expected_count);
    assert_int_equal(count, expected_count);
    assert_memory_equal(parameters, expected, (size_t)count * sizeof *parameters);
    free(parameters);
    free(expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
