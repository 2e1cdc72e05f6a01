/* See bench_predict.h. */
#include "bench_predict.h"

#include "bench.h"
#include "host/sys.h"
#include "host/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* ---- Computing ---------------------------------------------------------------------------------------- */

static model_step run_on(const model_machine *machine, const bench_segments *segments, int64_t devices) {
    double reductions[MODEL_MOST_REDUCTIONS];
    int count = 0;
    for (int i = 0; i < segments->count; i++) {
        if (!(segments->of[i].bytes > 0)) continue;
        const model_cost cost = model_reduction(machine, segments->of[i].bytes, devices);
        reductions[count++] = model_seconds(&cost);
    }
    return model_run(segments->of, segments->count, reductions);
}

/* Batches before the last one of an update only add to gradients, without a reduction. Each is counted with
 * an update. */
static double efficiency_of(const model_step *step, int accumulate) {
    const double before = (accumulate - 1) * step->computed;
    return (before + step->computed) / (before + step->seconds);
}

/* The bytes of a reduction; *ready receives when it could begin, as a share of all segments. */
static double find_reduction(const bench_segments *segments, int number, double *ready) {
    double begun = 0;
    for (int i = 0; i < segments->count; i++) {
        begun += segments->of[i].seconds;
        if (!(segments->of[i].bytes > 0) || number-- > 0) continue;
        *ready = begun / bench_segments_seconds(segments);
        return segments->of[i].bytes;
    }
    return *ready = 0;
}

static predict_cause cause_of(const model_cost *cost) {
    if (cost->latency > cost->inside + cost->between) return PREDICT_LATENCY;
    return cost->inside > cost->between ? PREDICT_INSIDE : PREDICT_BETWEEN;
}

static void find_remedy(const model_step *step, predict_break *first) {
    enum { MOST = 64 };
    for (int batches = 2; batches <= MOST && first->accumulate == 0; batches *= 2) {
        first->remedied = efficiency_of(step, batches);
        if (first->remedied >= PREDICT_LIMIT) first->accumulate = batches;
    }
}

static void explain(const bench_segments *segments, int64_t devices, int at, predict_machine *m) {
    const model_step *step = &m->steps[at];
    predict_break *first = &m->first;
    *first = (predict_break){.at = at, .reduction = step->worst};
    const double bytes = find_reduction(segments, step->worst, &first->ready);
    const model_cost cost = model_reduction(m->machine, bytes, devices);
    first->cause = cause_of(&cost);
    find_remedy(step, first);
}

static void predict(const int64_t *devices, const bench_segments *segments, predict_machine *m) {
    m->first.at = -1;
    for (int i = 0; i < PREDICT_COUNTS; i++) {
        m->efficiency[i] = (double)NAN;
        if (!model_has(m->machine, devices[i])) continue;
        m->steps[i] = run_on(m->machine, segments, devices[i]);
        m->efficiency[i] = efficiency_of(&m->steps[i], 1);
        if (m->first.at < 0 && m->efficiency[i] < PREDICT_LIMIT) explain(segments, devices[i], i, m);
    }
}

void bench_predict_machines(const int64_t *devices, predict_batch *batch) {
    const model_machine *machines = model_machines(&batch->machine_count);
    for (int i = 0; i < batch->machine_count; i++) {
        batch->machines[i].machine = &machines[i];
        predict(devices, &batch->segments, &batch->machines[i]);
    }
}

/* ---- Measuring ---------------------------------------------------------------------------------------- */

enum { PASSES = 3 };

static p2p_status measure_step(const settings *at, int steps, bench_prediction *to, double *seconds) {
    bench b;
    bench_speed speed;
    p2p_status status = bench_open(&b, at, NULL, true);
    if (status == P2P_OK) status = bench_measure_speed(&b, steps, &speed);
    if (status == P2P_OK) {
        *seconds = speed.step_s.median;
        to->precision = p2p_precision_name(b.devices.precision);
        snprintf(to->device, sizeof to->device, "%s", p2p_device_address(b.devices.list[0]));
        snprintf(to->device_name, sizeof to->device_name, "%s", p2p_device_name(b.devices.list[0]));
    }
    bench_close(&b);
    return status;
}

static p2p_status measure_segments(const settings *at, bench_segments *segments) {
    bench b;
    p2p_status status = bench_open(&b, at, NULL, true);
    for (int i = 0; i < PASSES && status == P2P_OK; i++) {
        status = bench_give_inputs(&b);
        if (status == P2P_OK) status = bench_segments_pass(b.plan, b.step++, sys_clock, segments);
    }
    bench_close(&b);
    return status;
}

/* Two replicas on the device of which `seconds` are known. */
static p2p_status measure_doubled(const settings *all, const bench_prediction *prediction,
                                  predict_batch *batch) {
    settings at = *all;
    char twice[2 * sizeof prediction->device + 1];
    at.batch = batch->batch;
    at.gpus = 2;
    at.gpu_counts = (settings_counts){{2}, 1};
    snprintf(twice, sizeof twice, "%s,%s", prediction->device, prediction->device);
    at.device = twice;
    P2P_TRY(measure_segments(&at, &batch->segments));
    bench_segments_scale(&batch->segments, batch->step_s);
    return P2P_OK;
}

static p2p_status measure_batch(const settings *all, int steps, bench_prediction *prediction,
                                predict_batch *batch) {
    settings at = *all;
    at.batch = batch->batch;
    fprintf(stderr, "batch %" PRId64 "\n", batch->batch);
    P2P_TRY(measure_step(&at, steps, prediction, &batch->step_s));
    P2P_TRY(measure_doubled(all, prediction, batch));
    batch->fits = true;
    return P2P_OK;
}

/* A batch that does not fit ends the list. */
static p2p_status measure_batches(const settings *all, int steps, bench_prediction *prediction) {
    for (int i = 0; i < prediction->count; i++) {
        predict_batch *batch = &prediction->batches[i];
        const p2p_status status = measure_batch(all, steps, prediction, batch);
        if (status == P2P_OUT_OF_MEMORY && i > 0) {
            text_line(stderr, "batch %" PRId64 " does not fit: %s", batch->batch, p2p_message());
            bench_segments_free(&batch->segments);
            batch->step_s = 0;
            return P2P_OK;
        }
        P2P_TRY(status);
        bench_predict_machines(prediction->devices, batch);
    }
    return P2P_OK;
}

p2p_status bench_predict(const settings *all, int steps, bench_prediction *prediction) {
    static const int64_t batches[PREDICT_BATCHES] = {1, 16, 64};
    const bool given = settings_given(all, "batch");
    const int count = given ? 1 : PREDICT_BATCHES;
    *prediction = (bench_prediction){.count = count};
    for (int i = 0; i < count; i++) prediction->batches[i].batch = given ? all->batch : batches[i];
    for (int i = 0; i < PREDICT_COUNTS; i++) prediction->devices[i] = (int64_t)1 << i;
    return measure_batches(all, steps, prediction);
}

void bench_predict_free(bench_prediction *prediction) {
    for (int i = 0; i < PREDICT_BATCHES; i++) bench_segments_free(&prediction->batches[i].segments);
}
