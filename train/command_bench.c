/* `p2p bench`: the selection and the order of measurements. Steps are first, so that the time to the first
 * step and the memory are those of a training; then the operations, then the device's ceilings. */
#include "bench/bench.h"
#include "bench/bench_growth.h"
#include "bench/bench_peaks.h"
#include "bench/bench_predict.h"
#include "bench/bench_report.h"
#include "bench/bench_sweep.h"
#include "command.h"
#include "host/text.h"
#include "setup/setup.h"

#include <string.h>

enum { DEFAULT_STEPS = 10, DEFAULT_STEPS_PER_POINT = 3 };

static int steps_of(const settings *all) {
    if (all->steps > 0) return (int)all->steps;
    return all->sweep || all->predict ? DEFAULT_STEPS_PER_POINT : DEFAULT_STEPS;
}

static bool measures_steps(const settings *all) {
    return strcmp(all->what, "train") == 0 || strcmp(all->what, "translate") == 0;
}

/* Whether several numbers of devices are measured. */
static bool grows(const settings *all) {
    return all->gpu_counts.count > 1;
}

/* Steps of all ranks; the first rank alone measures anything else. */
bool command_bench_is_shared(const settings *all) {
    return measures_steps(all) && !all->sweep && !all->predict && !all->trace;
}

/* Check an option that selects a series of measurements, and what contradicts it. */
static p2p_status check_series(const settings *all, const char *option) {
    if (!measures_steps(all))
        return p2p_fail(P2P_USAGE, "%s contradicts --what %s: it measures whole steps", option, all->what);
    if (all->trace) return p2p_fail(P2P_USAGE, "--trace contradicts %s, which measures many plans", option);
    return P2P_OK;
}

static p2p_status check_growth(const settings *all) {
    if (!grows(all)) return P2P_OK;
    if (all->sweep) return p2p_fail(P2P_USAGE, "--sweep contradicts a list of --gpus: measure one at a time");
    return check_series(all, "a list of --gpus");
}

static p2p_status check_prediction(const settings *all) {
    if (!all->predict) return P2P_OK;
    if (all->sweep) return p2p_fail(P2P_USAGE, "--sweep contradicts --predict: one at a time");
    if (strcmp(all->what, "train") != 0)
        return p2p_fail(P2P_USAGE, "--predict contradicts --what %s: it predicts trainings", all->what);
    if (all->grad_accumulate > 1)
        return p2p_fail(P2P_USAGE,
                        "--grad-accumulate contradicts --predict, which shows what it would change");
    P2P_TRY(check_series(all, "--predict"));
    return setup_devices_one(all);
}

static p2p_status check_sweep(const settings *all, const ranks *r) {
    if (all->plot && !all->sweep && !all->predict && !grows(all) && ranks_size(r) == 1)
        return p2p_fail(P2P_USAGE,
                        "--plot requires --sweep, --predict or a list of --gpus, whose results it draws");
    return all->sweep ? check_series(all, "--sweep") : P2P_OK;
}

/* Operations, transfers and sweeps are measured on one device. */
static p2p_status check_devices(const settings *all) {
    const bool steps = measures_steps(all);
    if (steps && !all->sweep && !all->trace) return P2P_OK;
    P2P_TRY(setup_devices_one(all));
    if (all->grad_accumulate == 1 || steps) return P2P_OK;
    return p2p_fail(P2P_USAGE, "--grad-accumulate contradicts --what %s: it makes a step of several batches",
                    all->what);
}

static p2p_status check_settings(const settings *all, const ranks *r) {
    P2P_TRY(settings_no_arguments(all, "bench"));
    if (settings_given(all, "mode") && strcmp(all->what, "ops") != 0)
        return p2p_fail(P2P_USAGE, "--mode contradicts --what %s: it selects the plan of --what ops",
                        all->what);
    if (all->trace && strcmp(all->what, "transfers") == 0)
        return p2p_fail(P2P_USAGE, "--trace contradicts --what transfers, which runs no operations");
    P2P_TRY(check_prediction(all));
    P2P_TRY(check_growth(all));
    P2P_TRY(check_devices(all));
    return check_sweep(all, r);
}

static p2p_status write_trace(const bench *b, const bench_profile *profile) {
    if (!b->all->trace) return P2P_OK;
    P2P_TRY(bench_profile_trace(profile, p2p_device_address(b->devices.list[0]), b->all->trace));
    text_line(stderr, "timeline: %s", b->all->trace);
    return P2P_OK;
}

static p2p_status report_speed(bench *b, bench_profile *profile) {
    bench_speed speed;
    bench_peaks peaks;
    P2P_TRY(bench_measure_speed(b, steps_of(b->all), &speed));
    P2P_TRY(bench_profile_take(b, 1, profile));
    P2P_TRY(write_trace(b, profile));
    P2P_TRY(bench_measure_peaks(b->devices.list[0], bench_profile_math(profile), &peaks));
    return bench_report_speed(b, &speed, bench_profile_convolution_flops(profile), &peaks);
}

/* The first pass warms up and does not count. */
static p2p_status report_operations(bench *b, bench_profile *profile) {
    bench_peaks peaks;
    P2P_TRY(bench_profile_take(b, 1, profile));
    bench_profile_free(profile);
    P2P_TRY(bench_profile_take(b, steps_of(b->all), profile));
    P2P_TRY(write_trace(b, profile));
    P2P_TRY(bench_measure_peaks(b->devices.list[0], bench_profile_math(profile), &peaks));
    return bench_report_operations(b, profile, &peaks);
}

static p2p_status run_plan_bench(const settings *all) {
    bool operations = strcmp(all->what, "ops") == 0;
    bool training = operations ? setup_mode_is_train(all) : strcmp(all->what, "train") == 0;
    bench b;
    bench_profile profile = {0};
    p2p_status status = bench_open(&b, all, NULL, training);
    if (status == P2P_OK) status = operations ? report_operations(&b, &profile) : report_speed(&b, &profile);
    bench_profile_free(&profile);
    bench_close(&b);
    return status;
}

static p2p_status run_transfer_bench(const settings *all) {
    p2p_device *device = NULL;
    bench_transfers transfers;
    P2P_TRY(setup_device_open(all, &device));
    p2p_status status = bench_measure_transfers(device, BENCH_TRANSFER_BYTES, steps_of(all), &transfers);
    if (status == P2P_OK) status = bench_report_transfers(all, device, &transfers);
    p2p_device_close(device);
    return status;
}

static p2p_status run_sweep(const settings *all) {
    bench_sweep sweep;
    P2P_TRY(bench_sweep_measure(all, steps_of(all), &sweep));
    P2P_TRY(bench_sweep_report(all, &sweep));
    return all->plot ? bench_sweep_plot(&sweep, all->plot) : P2P_OK;
}

static p2p_status run_growth(const settings *all, ranks *r) {
    bench_growth growth;
    P2P_TRY(bench_growth_measure(all, r, steps_of(all), &growth));
    if (ranks_number(r) > 0) return P2P_OK;
    P2P_TRY(bench_growth_report(all, &growth));
    return all->plot ? bench_growth_plot(&growth, all->plot) : P2P_OK;
}

static p2p_status run_prediction(const settings *all) {
    bench_prediction prediction;
    p2p_status status = bench_predict(all, steps_of(all), &prediction);
    if (status == P2P_OK) status = bench_predict_report(all, &prediction);
    if (status == P2P_OK && all->plot) status = bench_predict_plot(&prediction, all->plot);
    bench_predict_free(&prediction);
    return status;
}

static p2p_status run(settings *all, ranks *r) {
    P2P_TRY(check_settings(all, r));
    if (all->predict) return run_prediction(all);
    if (grows(all) || r) return run_growth(all, r);
    if (all->sweep) return run_sweep(all);
    return strcmp(all->what, "transfers") == 0 ? run_transfer_bench(all) : run_plan_bench(all);
}

p2p_status command_bench(settings *all) {
    ranks *r = NULL;
    if (command_bench_is_shared(all)) P2P_TRY(ranks_open(&(ranks_work){"bench", settings_layout()}, &r));
    return ranks_end(r, run(all, r));
}
