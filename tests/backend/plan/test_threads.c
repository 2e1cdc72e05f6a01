/* Replicas that are prepared at the same time, in the threads of the caller: on a device of which each entry
 * sets the thread's current device and notices other threads. Threads change no bit, the first replica's
 * failure is returned, and parameters are written to all replicas before any of them is waited for.
 */
#include "device/device.h"
#include "plan/session.h"
#include "support/all_at_once.h"
#include "support/plan_net.h"
#include "support/threaded_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

enum { STEPS = 2, BATCH = 4 };

static const plan_net shape = {.in = 3, .out = 3, .filters = 4};
static const plan_net_step step = {.sync = true, .dropout = 0.5};

/* ---- Ways to run jobs --------------------------------------------------------------------------------- */

static void last_first(p2p_job job, void *context, int count) {
    for (int i = count; i-- > 0;) job(context, i);
}

static const p2p_parallel ways[] = {NULL, last_first, all_at_once};
enum { WAYS = sizeof ways / sizeof ways[0] };

static p2p_status open_rig(plan_rig *rig, int replicas, p2p_parallel parallel) {
    const p2p_session_options options = {.parallel = parallel};
    return plan_rig_open(rig, "threaded", 0, replicas, BATCH, &shape, &step, &options);
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static double *train(int replicas, p2p_parallel parallel, int64_t *count) {
    plan_rig rig;
    double *parameters;
    OK(open_rig(&rig, replicas, parallel));
    for (uint32_t s = 0; s < STEPS; s++) OK(plan_rig_step(&rig, s));
    OK(plan_rig_parameters(&rig, &parameters, count));
    plan_rig_close(&rig);
    return parameters;
}

static void test_threads_change_nothing(void **state) {
    (void)state;
    for (int replicas = 1; replicas <= 4; replicas *= 2) {
        int64_t count, expected_count;
        double *expected = train(replicas, NULL, &expected_count);
        for (int w = 0; w < WAYS; w++) {
            (void)threaded_creators();
            double *parameters = train(replicas, ways[w], &count);
            assert_int_equal(threaded_creators(), ways[w] == all_at_once ? replicas : 1);
            assert_int_equal(count, expected_count);
            assert_memory_equal(parameters, expected, (size_t)count * sizeof *parameters);
            free(parameters);
        }
        free(expected);
    }
    assert_int_equal(threaded_collisions(), 0);
}

/* Each device creates its first operation while the others do. */
static void test_replicas_meet(void **state) {
    (void)state;
    plan_rig rig;
    threaded_meet(4);
    OK(open_rig(&rig, 4, all_at_once));
    threaded_meet(0);
    plan_rig_close(&rig);
}

/* The double finds a backend that does not set its current device at every entry. */
static void test_current_device(void **state) {
    (void)state;
    plan_rig rig;
    threaded_forget_current(true);
    REFUSED(open_rig(&rig, 4, all_at_once), P2P_FAILED, "threaded: a command for device");
    threaded_forget_current(false);
    plan_rig_close(&rig);
}

typedef struct {
    p2p_device *device;
    p2p_buffer *buffer;
    p2p_status status;
    char reason[256];
    atomic_bool ended;
} creation;

static void *create_operation(void *argument) {
    creation *c = argument;
    const p2p_tensor number = p2p_tensor_activation(P2P_TYPE_f64, 1, 1, 1, 1);
    const p2p_op op = {.kind = P2P_KIND_copy, .t = {number, number}};
    const p2p_place places[P2P_MAX_OPERANDS] = {{c->buffer, 0}, {c->buffer, 64}};
    p2p_operation *operation = NULL;
    c->status = p2p_operation_create(c->device, &op, places, (p2p_place){c->buffer, 128}, &operation);
    snprintf(c->reason, sizeof c->reason, "%s", p2p_message());
    p2p_operation_destroy(operation);
    atomic_store(&c->ended, true);
    return NULL;
}

/* The double finds two threads inside one device. */
static void test_two_inside(void **state) {
    (void)state;
    pthread_t thread;
    creation both[2] = {{.status = P2P_FAILED}};
    const int before = threaded_collisions();
    for (int i = 0; i < 2; i++) {
        char address[16];
        snprintf(address, sizeof address, "threaded:%d", i);
        OK(p2p_device_open(address, &both[i].device));
        OK(p2p_buffer_create(both[i].device, 4096, &both[i].buffer));
    }
    threaded_meet(2);
    assert_int_equal(pthread_create(&thread, NULL, create_operation, &both[0]), 0);
    while (threaded_arrived() == 0) { /* it stays inside until device 1 comes */
        if (atomic_load(&both[0].ended)) fail_msg("%s", both[0].reason);
        sched_yield();
    }
    REFUSED(p2p_device_finish(both[0].device), P2P_FAILED, "two threads are inside device 0");
    assert_int_equal(threaded_collisions(), before + 1);
    (void)create_operation(&both[1]);
    pthread_join(thread, NULL);
    threaded_meet(0);
    OK(both[0].status);
    OK(both[1].status);
    for (int i = 0; i < 2; i++) {
        p2p_buffer_destroy(both[i].buffer);
        p2p_device_close(both[i].device);
    }
}

static void test_first_failure(void **state) {
    (void)state;
    for (int w = 0; w < WAYS; w++) {
        plan_rig rig;
        threaded_fail_create(1u << 1 | 1u << 3);
        REFUSED(open_rig(&rig, 4, ways[w]), P2P_FAILED, "threaded: device 1 fails");
        assert_string_equal(p2p_message_hint(), "do without device 1");
        threaded_fail_create(0);
        plan_rig_close(&rig);
    }
}

/* A device that serves two replicas is used by one thread. */
static void test_shared_device(void **state) {
    (void)state;
    const int before = threaded_collisions();
    plan_rig rig = {.net = plan_net_create(shape.in, shape.out, shape.filters)};
    plan_net_step half = step;
    half.world = 2;
    half.global_batch = BATCH;
    half.local_batch = BATCH / 2;
    OK(p2p_device_open("threaded:0", &rig.devices[0]));
    rig.graphs[0] = plan_net_graph(&rig.net, &half);
    p2p_device *const twice[] = {rig.devices[0], rig.devices[0]};
    p2p_graph *const graphs[] = {rig.graphs[0], rig.graphs[0]};
    OK(p2p_session_create(twice, 2, &(p2p_session_options){.parallel = all_at_once}, &rig.session));
    OK(p2p_session_plan(rig.session, "shared", graphs, &rig.plan));
    (void)threaded_creators();
    OK(p2p_session_allocate(rig.session, NULL, NULL));
    assert_int_equal(threaded_creators(), 1);
    assert_int_equal(threaded_collisions(), before);
    plan_rig_close(&rig);
}

/* ---- Progress ----------------------------------------------------------------------------------------- */

typedef struct {
    atomic_bool inside;
    int done, total, calls; /* changed without a lock: calls must be one at a time */
} seen_progress;

static void see_progress(void *context, int done, int total) {
    seen_progress *seen = context;
    if (atomic_exchange(&seen->inside, true) || done != seen->done + 1) seen->calls = -1000000;
    seen->done = done;
    seen->total = total;
    seen->calls++;
    atomic_store(&seen->inside, false);
}

static void test_progress(void **state) {
    (void)state;
    for (int w = 0; w < WAYS; w++) {
        plan_rig rig = {.net = plan_net_create(shape.in, shape.out, shape.filters)};
        seen_progress seen = {.done = 0};
        plan_net_step quarter = step;
        quarter.world = quarter.global_batch = 4;
        quarter.local_batch = 1;
        for (int r = 0; r < 4; r++) {
            char address[16];
            snprintf(address, sizeof address, "threaded:%d", r);
            OK(p2p_device_open(address, &rig.devices[r]));
            rig.graphs[r] = plan_net_graph(&rig.net, &quarter);
        }
        OK(p2p_session_create(rig.devices, 4, &(p2p_session_options){.parallel = ways[w]}, &rig.session));
        OK(p2p_session_plan(rig.session, "shown", rig.graphs, &rig.plan));
        OK(p2p_session_allocate(rig.session, see_progress, &seen));
        assert_true(seen.calls > 4 * 20);
        assert_int_equal(seen.calls, seen.total);
        plan_rig_close(&rig);
    }
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

/* Each piece is written to all replicas, and then they are waited for. */
static void test_writes(void **state) {
    (void)state;
    plan_rig rig;
    char trace[4096];
    OK(open_rig(&rig, 4, NULL));
    threaded_trace(trace, sizeof trace);
    const double bias[3] = {1, 2, 3};
    OK(p2p_session_write(rig.session, rig.net.g, rig.net.d0.bias, P2P_STATE_VALUE, P2P_TYPE_f64, bias));
    threaded_trace(NULL, 0);
    assert_string_equal(trace, "w0w1w2w3f0f1f2f3");
    /* Gradients and moments are cleared when the networks are drawn again. */
    OK(plan_rig_step(&rig, 0));
    threaded_trace(trace, sizeof trace);
    OK(p2p_session_initialise(rig.session, rig.net.d, 1));
    threaded_trace(NULL, 0);
    const char *cleared = strrchr(trace, 'w');
    assert_string_equal(cleared, "w3f0f1f2f3");
    assert_null(strstr(trace, "f0w1"));
    plan_rig_close(&rig);
}

int main(void) {
    OK(p2p_module_register(threaded_module));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_replicas_meet),
        cmocka_unit_test(test_current_device),
        cmocka_unit_test(test_two_inside),
        cmocka_unit_test(test_first_failure),
        cmocka_unit_test(test_shared_device),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
