/* Profiled runs, timed transfers and peaks, with a clock that ticks once per reading. A profiled run is a run
 * (equal losses), reports every operation once and in order, collectives included, and ends if the callback
 * fails. Actual times are not tested.
 */
#include "plan/session.h"
#include "support/picky_backend.h"
#include "support/plan_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/test_plan.h"

enum { BATCH = 2, RUNS = 3 };

static const plan_net shape = {.in = 3, .out = 3, .filters = 4};
static const plan_net_step full_step = {.dropout = 0.5, .sync = true};

static double ticks;

static double tick(void) {
    return ticks += 1;
}

/* The reports of one run. */
typedef struct {
    const p2p_plan *plan;
    int reported[4], collectives; /* per replica */
    double last_end;
    int refuse_at; /* the number of the report, from 1, at which the callback fails; 0: none */
    int count;
} report_log;

/* The collectives after which the segment of a step begins. */
static int needed_at(const plan_part *part, int position) {
    int i = 0;
    while (position >= part->segments[i].end && position != part->segments[i].collective) i++;
    return part->segments[i].needed;
}

static p2p_status record_report(void *context, const p2p_operation_timing *timing) {
    report_log *l = context;
    const plan_part *part = &l->plan->parts[timing->replica];
    /* Positions follow the list; replicas above 0 do not report collectives. */
    int *next = &l->reported[timing->replica];
    while (timing->replica > 0 && part->steps[*next].collective) ++*next;
    assert_int_equal(timing->position, *next);
    const plan_step *step = &part->steps[timing->position];
    assert_ptr_equal(timing->op, &step->op);
    assert_string_equal(timing->kernel, step->query.kernel);
    assert_int_equal(timing->needed, needed_at(part, timing->position));
    assert_true(timing->begin > l->last_end);
    assert_true(timing->end == timing->begin + 1);
    l->last_end = timing->end;
    l->collectives += step->collective;
    ++*next;
    return ++l->count == l->refuse_at ? p2p_fail(P2P_IO, "the log is full") : P2P_OK;
}

static void fill(plan_rig *rig, int seed) {
    for (int r = 0; r < rig->replicas; r++) {
        unsigned char *x = test_plan_input(rig->plan, r, "x");
        float *t = test_plan_input(rig->plan, r, "t");
        for (int i = 0; i < BATCH / rig->replicas * 3 * PLAN_NET_SIDE * PLAN_NET_SIDE; i++) {
            x[i] = (unsigned char)(i * 7 + seed * 31 + r);
            t[i] = (float)((i * 5 + seed * 17) % 256) / 128 - 1;
        }
    }
}

static double loss_of(plan_rig *rig) {
    double loss = 0;
    OK(p2p_plan_wait(rig->plan));
    OK(p2p_plan_loss(rig->plan, "g_l1", &loss));
    return loss;
}

static void train(int replicas, const p2p_session_options *options, bool profiled, double losses[RUNS]) {
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, replicas, BATCH, &shape, &full_step, options));
    for (int run = 0; run < RUNS; run++) {
        p2p_step step = {.seed = 7, .step = (uint32_t)run, .learning_rate = 2e-3};
        report_log l = {.plan = rig.plan};
        fill(&rig, run);
        if (profiled)
            OK(p2p_plan_profile(rig.plan, &step, tick, record_report, &l));
        else
            OK(p2p_plan_run(rig.plan, &step));
        losses[run] = loss_of(&rig);
        for (int r = 0; r < replicas && profiled; r++)
            assert_int_equal(l.reported[r], rig.plan->parts[r].step_count);
        if (profiled)
            assert_int_equal(l.collectives, replicas == 1 ? 0 : rig.plan->parts[0].collective_count);
    }
    plan_rig_close(&rig);
}

static void expect_a_run(int replicas, const p2p_session_options *options) {
    double plain[RUNS], profiled[RUNS];
    train(replicas, options, false, plain);
    train(replicas, options, true, profiled);
    assert_memory_equal(plain, profiled, sizeof plain);
    assert_true(plain[0] != plain[1]);
}

static void test_one(void **state) {
    (void)state;
    expect_a_run(1, NULL);
}

static void test_checked(void **state) {
    (void)state;
    expect_a_run(1, &(p2p_session_options){.check = true});
}

static void test_replicas(void **state) {
    (void)state;
    expect_a_run(2, NULL);
}

static void test_refusals(void **state) {
    (void)state;
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, 1, BATCH, &shape, &full_step, NULL));
    report_log l = {.plan = rig.plan, .refuse_at = 3};
    fill(&rig, 0);
    assert_int_equal(p2p_plan_profile(rig.plan, &(p2p_step){0}, tick, record_report, &l), P2P_IO);
    assert_string_equal(p2p_message(), "the log is full");
    assert_int_equal(l.count, 3);
    assert_int_equal(p2p_plan_wait(rig.plan), P2P_INVALID);
    fill(&rig, 0);
    OK(p2p_plan_run(rig.plan, &(p2p_step){0}));
    assert_int_equal(p2p_plan_profile(rig.plan, &(p2p_step){0}, tick, record_report, &l), P2P_INVALID);
    MESSAGE_HAS("in flight");
    (void)loss_of(&rig);
    plan_rig_close(&rig);
}

static void test_transfers(void **state) {
    (void)state;
    enum { COUNT = 3 };
    p2p_device *device;
    p2p_transfer_times times[COUNT];
    OK(p2p_device_open("reference:0", &device));
    OK(p2p_device_time_transfers(device, 4096, tick, COUNT, times));
    for (int i = 0; i < COUNT; i++)
        assert_true(times[i].write == 1 && times[i].read == 1 && times[i].copy == 0.25 &&
                    times[i].kernel == 0.25);
    assert_int_equal(p2p_device_time_transfers(device, 0, tick, COUNT, times), P2P_INVALID);
    p2p_device_close(device);
}

/* ---- Peaks -------------------------------------------------------------------------------------------- */

enum { PEAKS = 3 };

/* A clock whose readings are `interval` apart. */
static double interval;

static double slow_tick(void) {
    return ticks += interval;
}

static p2p_status time_peak(const char *address, p2p_math math, double every, double *flops,
                            double *seconds) {
    p2p_device *device;
    interval = every;
    OK(p2p_device_open(address, &device));
    p2p_status status = p2p_device_time_peak(device, math, slow_tick, PEAKS, flops, seconds);
    p2p_device_close(device);
    return status;
}

static void test_peak(void **state) {
    (void)state;
    double flops = 0, seconds[PEAKS] = {0};
    OK(time_peak("picky:2", P2P_MATH_stored, 0.5, &flops, seconds));
    assert_true(flops == 2 * 8); /* the first loop is long enough */
    for (int i = 0; i < PEAKS; i++) assert_true(seconds[i] == 0.5);
    OK(time_peak("picky:2", P2P_MATH_stored, 0, &flops,
                 seconds)); /* no loop is long enough, so the longest is used */
    assert_true(flops == 2.0 * P2P_PEAK_STEPS);
    /* The longest loop is too short as well, so it is repeated. */
    OK(time_peak("picky:2", P2P_MATH_stored, 1.0 / 128, &flops, seconds));
    assert_true(flops == 3 * 2.0 * P2P_PEAK_STEPS);
}

static void expect_no_peak(const char *address, p2p_math math, p2p_status expected, const char *part) {
    double flops, seconds[PEAKS];
    assert_int_equal(time_peak(address, math, 1, &flops, seconds), expected);
    if (!strstr(p2p_message(), part)) fail_msg("no \"%s\" in: %s", part, p2p_message());
}

static void test_peak_refusals(void **state) {
    (void)state;
    expect_no_peak("reference:0", P2P_MATH_stored, P2P_UNSUPPORTED, "reference:0 has no kernel");
    expect_no_peak("picky:2", P2P_MATH_bf16, P2P_UNSUPPORTED, "f32 only");
    expect_no_peak("picky:1", P2P_MATH_stored, P2P_FAILED, "made 8 of 9 multiply-adds");
}

static void test_peak_arguments(void **state) {
    (void)state;
    p2p_device *device;
    p2p_buffer *counts;
    p2p_operation *kernel;
    double multiply_adds;
    OK(p2p_device_open("picky:2", &device));
    OK(p2p_buffer_create(device, 64, &counts));
    const struct {
        int steps, capacity;
        const char *part;
    } cases[] = {
        {0, 1, "0 steps"}, {P2P_PEAK_STEPS + 1, 1, "32769 steps"}, {1, 0, "at most 0"}, {1, 17, "68 bytes"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(p2p_operation_create_peak(device, P2P_MATH_stored, cases[i].steps,
                                                   (p2p_place){counts, 0}, cases[i].capacity, &kernel,
                                                   &multiply_adds),
                         P2P_INVALID);
        MESSAGE_HAS(cases[i].part);
        assert_null(kernel);
    }
    p2p_buffer_destroy(counts);
    p2p_device_close(device);
}

/* Each call of the backend fails in turn, and the failure is returned. */
static void test_peak_faults(void **state) {
    (void)state;
    p2p_device *device;
    p2p_status status = P2P_FAILED;
    double flops, seconds[PEAKS];
    int failures = 0;
    OK(p2p_device_open("picky:2", &device));
    interval = 1;
    while (status != P2P_OK && failures < 100) {
        p2p_fault_inject((uint64_t)failures + 1);
        status = p2p_device_time_peak(device, P2P_MATH_stored, slow_tick, PEAKS, &flops, seconds);
        if (status == P2P_OK) break;
        MESSAGE_HAS("injected fault");
        failures++;
    }
    p2p_fault_inject(0);
    assert_int_equal(status, P2P_OK);
    assert_int_equal(failures, 2 + 3 * (2 + PEAKS) + 3); /* buffer, kernel; runs with submit, wait; counts */
    p2p_device_close(device);
}

static int register_picky(void **state) {
    (void)state;
    return p2p_module_register(picky_module) == P2P_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),           cmocka_unit_test(test_checked),
        cmocka_unit_test(test_replicas),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_transfers),     cmocka_unit_test(test_peak),
        cmocka_unit_test(test_peak_refusals), cmocka_unit_test(test_peak_arguments),
        cmocka_unit_test(test_peak_faults),
    };
    return cmocka_run_group_tests(tests, register_picky, NULL);
}
