/* Predictions: the costs of reductions by formula, the course of a step by hand, what breaks first and what
 * is done about it; and steps of 2 to 8 pretend devices whose convolutions and reductions take stated times,
 * or those of rings over the links of a machine, which take as long as the model computes from segments that
 * were profiled on them.
 *
 *     test_predict         on a pretend clock: exact
 *     test_predict real    on the real one, by sleeping: within a tenth of the time in reductions
 */
#include "bench/bench_predict.h"
#include "device/device.h"
#include "support/plan_net.h"
#include "support/timed_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "support/test_expect.h"

static void assert_near(double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance)) fail_msg("%.17g is not %.17g", a, b);
}

/* ---- Reductions --------------------------------------------------------------------------------------- */

static const model_machine flat = {"flat", 8, {"link", 1e9, 1e-3}, {NULL, 0, 0}};
static const model_machine nodes = {"nodes", 4, {"link", 1e9, 1e-3}, {"network", 1e8, 1e-2}};

static void test_rings(void **state) {
    (void)state;
    assert_near(model_seconds(&(model_cost){1, 2, 3}), 6, 0);
    const model_cost none = model_reduction(&flat, 1e9, 1);
    assert_near(model_seconds(&none), 0, 0);
    /* 2 (4 - 1) hops of 1 ms, and 1.5 times the bytes at 1 GB/s */
    const model_cost four = model_reduction(&flat, 1e9, 4);
    assert_near(four.inside, 1.5, 1e-12);
    assert_near(four.between, 0, 0);
    assert_near(four.latency, 6e-3 + 8.4e-6, 1e-12);
    /* three nodes of four: as before inside, then 2 (3 - 1) hops of 10 ms, and 4 / 3 of the bytes at 0.1 GB/s
     */
    const model_cost twelve = model_reduction(&nodes, 1e9, 12);
    assert_near(twelve.inside, 1.5, 1e-12);
    assert_near(twelve.between, 4.0 / 3 * 10, 1e-12);
    assert_near(twelve.latency, 6e-3 + 4e-2 + 8.4e-6, 1e-12);
}

static void test_machines(void **state) {
    (void)state;
    assert_true(model_has(&flat, 8) && !model_has(&flat, 16));
    assert_true(model_has(&nodes, 3) && model_has(&nodes, 8) && !model_has(&nodes, 6));
    int count;
    const model_machine *machines = model_machines(&count);
    assert_true(count <= PREDICT_MACHINES);
    for (int i = 0; i < count; i++) {
        double before = 0;
        for (int64_t n = 2; n <= 1024; n *= 2) {
            if (!model_has(&machines[i], n)) continue;
            const model_cost cost = model_reduction(&machines[i], 1e8, n);
            assert_true(model_seconds(&cost) > before);
            before = model_seconds(&cost);
        }
    }
}

/* ---- Steps -------------------------------------------------------------------------------------------- */

/* 0: |seg 0 3 s|, then reduction 0 of 2 s beside |seg 1 1 s|, then reduction 1 of 4 s from 5 on, because the
 * first is under way, beside |seg 2 2 s|; seg 3 needs both, from 9 on. */
static void test_course(void **state) {
    (void)state;
    const model_segment segments[] = {{3, 0, 10}, {1, 0, 10}, {2, 0, 0}, {1, 2, 0}};
    const model_step step = model_run(segments, 4, (const double[]){2, 4});
    assert_near(step.seconds, 10, 1e-12);
    assert_near(step.computed, 7, 1e-12);
    assert_near(step.reduced, 6, 1e-12);
    assert_int_equal(step.worst, 1);
    /* the wait is for the second reduction, but the first, before it without a pause, takes longer */
    assert_int_equal(model_run(segments, 4, (const double[]){6, 1}).worst, 0);
    /* hidden: nothing waits */
    const model_step hidden = model_run(segments, 4, (const double[]){1, 1});
    assert_near(hidden.seconds, 7, 1e-12);
    assert_int_equal(hidden.worst, -1);
    /* a reduction that nothing needs delays the end */
    assert_near(model_run((const model_segment[]){{1, 0, 10}}, 1, (const double[]){5}).seconds, 6, 1e-12);
}

/* What breaks first, for a step with one reduction of `bytes` half-way that the end needs. */
static predict_break break_of(double seconds, double bytes, int machine, double *efficiency) {
    static int64_t devices[PREDICT_COUNTS];
    model_segment segments[] = {{seconds / 2, 0, bytes}, {seconds / 2, 0, 0}, {0, 1, 0}};
    predict_batch batch = {.segments = {.of = segments, .count = 3, .reductions = 1}};
    for (int i = 0; i < PREDICT_COUNTS; i++) devices[i] = (int64_t)1 << i;
    bench_predict_machines(devices, &batch);
    const predict_break first = batch.machines[machine].first;
    if (efficiency && first.at >= 0) *efficiency = batch.machines[machine].efficiency[first.at];
    return first;
}

static void test_what_breaks(void **state) {
    (void)state;
    enum { NVLINK, PCIE, ETHERNET_10 };
    double efficiency = 0;
    assert_int_equal(break_of(1, 1e6, NVLINK, NULL).at, -1);
    /* 1.25e9 bytes over two nodes at 1.25 GB/s: 1 s, of which half a second is hidden */
    const predict_break network = break_of(1, 1.25e9, ETHERNET_10, &efficiency);
    assert_int_equal(network.at, 4);
    assert_int_equal(network.cause, PREDICT_BETWEEN);
    assert_int_equal(network.reduction, 0);
    assert_near(network.ready, 0.5, 1e-12);
    assert_near(efficiency, 1 / 1.505, 1e-2);
    assert_int_equal(network.accumulate, 8); /* (8 / 8.5), not (4 / 4.5) */
    assert_near(network.remedied, 8 / 8.5, 1e-2);
    assert_int_equal(break_of(1e-3, 1e8, PCIE, NULL).cause, PREDICT_INSIDE);
    assert_int_equal(break_of(1e-5, 1000, NVLINK, NULL).cause, PREDICT_LATENCY);
    const predict_break hopeless = break_of(1e-5, 1.25e9, ETHERNET_10, NULL);
    assert_int_equal(hopeless.accumulate, 0);
    assert_true(hopeless.remedied < PREDICT_LIMIT);
}

/* ---- Devices that take their time --------------------------------------------------------------------- */

static const plan_net shape = {.in = 3, .out = 3, .filters = 4};
/* Seconds of a convolution, of the start of a reduction, and for each of its bytes: on the real clock longer,
 * so that the machine's own noise is small beside them. */
static double convolution = 2e-3, start = 4e-3, per_byte = 2e-7;
static bool real;

typedef struct {
    model_step predicted;
    double measured, waited; /* seconds of a step, and of it the core's figure of waiting */
} comparison;

static bench_segments profile_segments(plan_rig *rig) {
    bench_segments segments = {0};
    for (int pass = 0; pass < 2; pass++) OK(bench_segments_pass(rig->plan, 1, timed_clock, &segments));
    return segments;
}

static model_step predict_step(plan_rig *rig) {
    double reductions[MODEL_MOST_REDUCTIONS];
    bench_segments segments = profile_segments(rig);
    int count = 0;
    for (int i = 0; i < segments.count; i++)
        if (segments.of[i].bytes > 0) reductions[count++] = start + per_byte * segments.of[i].bytes;
    assert_int_equal(count, segments.reductions);
    const model_step step = model_run(segments.of, segments.count, reductions);
    bench_segments_scale(&segments, 3);
    assert_near(bench_segments_seconds(&segments), 3, 1e-9);
    bench_segments_free(&segments);
    return step;
}

static void open_rig(plan_rig *rig, int replicas, bool sync, size_t bucket_bytes) {
    const plan_net_step training = {.sync = sync, .dropout = 0.5};
    const p2p_session_options options = {.bucket_bytes = bucket_bytes, .tuning.clock = timed_clock};
    OK(plan_rig_open(rig, "timed", 0, replicas, replicas, &shape, &training, &options));
    OK(plan_rig_step(rig, 0));
}

enum { STEPS = 2 };

/* Seconds of a step. */
static double measure_step(plan_rig *rig) {
    const double begin = timed_clock();
    for (uint32_t i = 0; i < STEPS; i++) OK(plan_rig_step(rig, 2 + i));
    return (timed_clock() - begin) / STEPS;
}

static comparison compare_steps(int replicas, bool sync, size_t bucket_bytes) {
    plan_rig rig;
    comparison c;
    double before, after;
    timed_set(convolution, start, per_byte);
    open_rig(&rig, replicas, sync, bucket_bytes);
    c.predicted = predict_step(&rig);
    assert_true(p2p_session_waited(rig.session, &before));
    c.measured = measure_step(&rig);
    assert_true(p2p_session_waited(rig.session, &after));
    c.waited = (after - before) / STEPS;
    plan_rig_close(&rig);
    return c;
}

/* The share of the time in reductions that was not hidden. */
static double shown(const comparison *c, double seconds) {
    return (seconds - c->predicted.computed) / c->predicted.reduced;
}

static void check_steps(int replicas, bool sync, size_t bucket_bytes, bool partly) {
    const comparison c = compare_steps(replicas, sync, bucket_bytes);
    const double tolerance = real ? 0.1 : 1e-9, predicted = shown(&c, c.predicted.seconds);
    assert_near(shown(&c, c.measured), predicted, tolerance);
    assert_near(c.waited / c.predicted.reduced, predicted, tolerance);
    /* the case is none in which all or nothing is hidden */
    if (partly) assert_true(predicted > 0.15 && predicted < 0.9);
}

static void test_delays(void **state) {
    (void)state;
    for (int replicas = 2; replicas <= 8; replicas *= 2) check_steps(replicas, false, 1, true);
    if (real) return;
    check_steps(3, false, 8192, true);
    check_steps(4, true, 1, false); /* moments are reduced too, and everything waits for them */
    check_steps(2, false, 1 << 30, false);
}

/* Devices that pass pieces around a ring, one hop after the other, take as long as is predicted for the
 * machine with this link. */
static void check_link(int machine, int exponent) {
    static int64_t devices[PREDICT_COUNTS];
    const int replicas = 1 << exponent, hops = 2 * (replicas - 1);
    int count;
    const model_link *link = &model_machines(&count)[machine].inside;
    double begun = 8.4e-6, byte = 0;
    for (int hop = 0; hop < hops; hop++) {
        begun += link->hop_s;
        byte += 1 / (replicas * link->bytes_per_s);
    }
    timed_set(0.6 * begun, begun, byte);
    plan_rig rig;
    open_rig(&rig, replicas, false, 1);
    predict_batch batch = {.segments = profile_segments(&rig)};
    for (int i = 0; i < PREDICT_COUNTS; i++) devices[i] = (int64_t)1 << i;
    bench_predict_machines(devices, &batch);
    const model_step *predicted = &batch.machines[machine].steps[exponent];
    const double measured = measure_step(&rig);
    assert_near(measured / predicted->seconds, 1, 1e-9);
    assert_near(batch.machines[machine].efficiency[exponent], predicted->computed / measured, 1e-9);
    assert_true(predicted->seconds > predicted->computed && predicted->reduced > 0);
    /* the bytes count, too */
    assert_true(predicted->reduced > (double)batch.segments.reductions * begun * (1 + 1e-7));
    bench_segments_free(&batch.segments);
    plan_rig_close(&rig);
}

static void test_links(void **state) {
    (void)state;
    enum { NVLINK, PCIE };
    if (real) return;
    for (int exponent = 1; exponent <= 3; exponent++) {
        check_link(NVLINK, exponent);
        check_link(PCIE, exponent);
    }
}

int main(int argc, char **argv) {
    real = argc > 1 && strcmp(argv[1], "real") == 0;
    timed_set_real(real);
    if (real) convolution *= 10, start *= 10, per_byte *= 10;
    OK(p2p_module_register(timed_module));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rings),       cmocka_unit_test(test_machines), cmocka_unit_test(test_course),
        cmocka_unit_test(test_what_breaks), cmocka_unit_test(test_delays),   cmocka_unit_test(test_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
