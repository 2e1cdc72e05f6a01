/* Ceilings and transfers of a device. See bench_peaks.h.
 *
 * The peak of the arithmetic is measured with the device's kernel or product that only multiplies and adds.
 * The rate of the memory is the best of its copies and of a layer's operations that stream memory: a copy
 * writes as much as it reads, which is not always the fastest mix. For a device without a peak kernel, the
 * peak is the best of a ladder of convolutions. Each rung profiles one layer, forward, backward and update;
 * sizes grow from rung to rung. A large feature map makes the convolutions compute bound. A map of a few
 * pixels under a large filter makes every operation stream memory.
 */
#include "bench_peaks.h"

#include "bench_profile.h"
#include "host/sys.h"

#include <stdlib.h>
#include <string.h>

enum { REPEATS = 3, PEAK_RUNS = 9, FILTER = 4, PAD = 1 };
/* Seconds. A ladder ends before the first rung whose pass is expected to take longer. */
static const double LONGEST_PASS = 0.1;
/* FLOP/s. A device below this rate, such as the reference, transfers less: its kernels copy slowly. */
static const double SLOW = 1e10;

typedef struct {
    int64_t batch, channels, filters, side;
    int stride;
} rung;

static const rung computing[] = {{1, 16, 16, 16, 1},   {1, 64, 64, 32, 1},   {1, 128, 256, 64, 2},
                                 {1, 256, 512, 32, 1}, {1, 256, 512, 64, 2}, {8, 256, 512, 64, 1}};
static const rung streaming[] = {{1, 64, 64, 4, 2}, {1, 256, 256, 4, 2}, {1, 1024, 1024, 4, 2}};

/* ---- One rung ----------------------------------------------------------------------------------------- */

/* A layer under an L1 loss: the three kinds of convolution, and an update. */
typedef struct {
    p2p_network *network;
    p2p_graph *graph;
    p2p_session *session;
    p2p_plan *plan;
} layer;

static p2p_status make_graph(layer *l, const rung *r) {
    l->network = p2p_network_create("ceiling");
    l->graph = p2p_graph_create(r->batch, r->batch, 1);
    if (!l->network || !l->graph) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a layer");
    p2p_param w = p2p_network_filter(l->network, "w", r->filters, r->channels, FILTER, FILTER, 0, 0.02);
    p2p_value x = p2p_input(l->graph, "x", P2P_TYPE_f32, r->channels, r->side, r->side), dx;
    p2p_value y = p2p_conv(l->graph, x, l->network, w, (p2p_param){-1}, r->stride, PAD);
    int64_t shape[4];
    p2p_value_shape(l->graph, y, shape);
    p2p_value target = p2p_input(l->graph, "target", P2P_TYPE_f32, shape[1], shape[2], shape[3]);
    p2p_value loss = p2p_loss_l1(l->graph, y, target, 1, "loss");
    p2p_backward(l->graph, &loss, 1, l->network, &x, 1, &dx);
    p2p_adam(l->graph, l->network, 0.5, 0.999, 1e-8);
    return p2p_graph_status(l->graph);
}

/* Fill the input with values other than zero, because some devices multiply zeros faster. */
static p2p_status fill_input(const layer *l, const rung *r) {
    void *place;
    P2P_TRY(p2p_plan_input(l->plan, 0, "x", &place));
    float *x = place;
    int64_t count = r->batch * r->channels * r->side * r->side;
    for (int64_t i = 0; i < count; i++) x[i] = (float)(i % 251) / 125 - 1;
    return P2P_OK;
}

static p2p_status profile_layer(layer *l, const rung *r, p2p_device *device, bench_profile *profile) {
    P2P_TRY(make_graph(l, r));
    P2P_TRY(p2p_session_create(&device, 1, &(p2p_session_options){0}, &l->session));
    P2P_TRY(p2p_session_plan(l->session, "ceiling", &l->graph, &l->plan));
    P2P_TRY(p2p_session_allocate(l->session, NULL, NULL));
    P2P_TRY(p2p_session_initialise(l->session, l->network, 1));
    for (int i = 0; i < REPEATS; i++) {
        P2P_TRY(fill_input(l, r));
        P2P_TRY(bench_profile_pass(l->plan, 0, profile));
    }
    return P2P_OK;
}

/* ---- Ladders ------------------------------------------------------------------------------------------ */

static void raise(double *most, double rate) {
    if (rate > *most) *most = rate;
}

static void note_computing(const bench_profile *profile, bench_peaks *peaks) {
    for (int i = 0; i < profile->count; i++) {
        const bench_operation *operation = &profile->operations[i];
        double seconds = bench_summary(operation->seconds, profile->repeats).least;
        if (p2p_op_is_convolution(operation->op))
            raise(&peaks->flops_per_s, bench_rate(p2p_op_flops(operation->op), seconds));
    }
}

/* Each rung replaces the result of the one before: a working set that fits into a cache does not measure
 * memory. */
static void note_streaming(const bench_profile *profile, bench_peaks *peaks) {
    peaks->bytes_per_s = 0;
    for (int i = 0; i < profile->count; i++) {
        const bench_operation *operation = &profile->operations[i];
        double seconds = bench_summary(operation->seconds, profile->repeats).least;
        raise(&peaks->bytes_per_s, bench_rate(p2p_op_bytes(operation->op), seconds));
    }
}

static p2p_status measure_rung(p2p_device *device, const rung *r, bool compute, bench_peaks *peaks) {
    layer l = {0};
    bench_profile profile = {.repeats = REPEATS};
    p2p_status status = profile_layer(&l, r, device, &profile);
    if (status == P2P_OK && compute) note_computing(&profile, peaks);
    if (status == P2P_OK && !compute) note_streaming(&profile, peaks);
    bench_profile_free(&profile);
    p2p_session_destroy(l.session);
    p2p_graph_destroy(l.graph);
    p2p_network_destroy(l.network);
    return status;
}

/* Seconds of one pass at the best rates so far; 0 before the first rung. Each of the layer's three
 * convolutions has the same operation count. An update reads four arrays and writes three. */
static double expected_pass(const rung *r, bool compute, const bench_peaks *peaks) {
    double weights = (double)(r->channels * r->filters * FILTER * FILTER);
    int64_t side = (r->side + 2 * PAD - FILTER) / r->stride + 1;
    double flops = 3 * 2 * weights * (double)(r->batch * side * side);
    double computes = bench_rate(flops, peaks->flops_per_s);
    double streams = compute ? 0 : bench_rate(7 * weights * 4, peaks->bytes_per_s);
    return computes > streams ? computes : streams;
}

/* The largest rung that fits decides the result, so the ladder ends without an error at a rung that the
 * device has no memory for. */
static p2p_status climb(p2p_device *device, const rung *rungs, int count, bool compute, bench_peaks *peaks) {
    for (int i = 0; i < count; i++) {
        if (expected_pass(&rungs[i], compute, peaks) > LONGEST_PASS) break;
        p2p_status status = measure_rung(device, &rungs[i], compute, peaks);
        if (status == P2P_OUT_OF_MEMORY && i > 0) break;
        P2P_TRY(status);
    }
    return P2P_OK;
}

p2p_status bench_measure_fma(p2p_device *device, p2p_math math, double *flops_per_s) {
    double flops, seconds[PEAK_RUNS];
    P2P_TRY(p2p_device_time_peak(device, math, sys_clock, PEAK_RUNS, &flops, seconds));
    *flops_per_s = bench_rate(flops, bench_summary(seconds, PEAK_RUNS).least);
    return P2P_OK;
}

static p2p_status measure_arithmetic(p2p_device *device, p2p_math math, bench_peaks *peaks) {
    p2p_status status = bench_measure_fma(device, P2P_MATH_stored, &peaks->flops_per_s);
    peaks->by_convolution = status == P2P_UNSUPPORTED;
    if (peaks->by_convolution)
        status = climb(device, computing, sizeof computing / sizeof computing[0], true, peaks);
    P2P_TRY(status);
    peaks->fp32_flops_per_s = peaks->flops_per_s;
    if (math == P2P_MATH_stored || peaks->by_convolution) return P2P_OK;
    status = bench_measure_fma(device, math, &peaks->flops_per_s);
    if (status == P2P_OK) peaks->math = math;
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

p2p_status bench_measure_peaks(p2p_device *device, p2p_math math, bench_peaks *peaks) {
    *peaks = (bench_peaks){0};
    P2P_TRY(measure_arithmetic(device, math, peaks));
    P2P_TRY(climb(device, streaming, sizeof streaming / sizeof streaming[0], false, peaks));
    bench_transfers transfers;
    const size_t bytes = peaks->fp32_flops_per_s < SLOW ? BENCH_TRANSFER_BYTES / 64 : BENCH_TRANSFER_BYTES;
    P2P_TRY(bench_measure_transfers(device, bytes, REPEATS, &transfers));
    raise(&peaks->bytes_per_s, bench_rate(2.0 * (double)bytes, transfers.copy_s.least));
    raise(&peaks->bytes_per_s, bench_rate(2.0 * (double)bytes, transfers.kernel_s.least));
    return P2P_OK;
}

/* ---- Transfers ---------------------------------------------------------------------------------------- */

static void summarise(const p2p_transfer_times *times, int count, double *values,
                      bench_transfers *transfers) {
    for (int i = 0; i < count; i++) values[i] = times[i].write;
    transfers->write_s = bench_summary(values, count);
    for (int i = 0; i < count; i++) values[i] = times[i].read;
    transfers->read_s = bench_summary(values, count);
    for (int i = 0; i < count; i++) values[i] = times[i].copy;
    transfers->copy_s = bench_summary(values, count);
    for (int i = 0; i < count; i++) values[i] = times[i].kernel;
    transfers->kernel_s = bench_summary(values, count);
    transfers->count = count;
}

p2p_status bench_measure_transfers(p2p_device *device, size_t bytes, int count, bench_transfers *transfers) {
    p2p_transfer_times *times = calloc((size_t)count, sizeof *times);
    double *values = calloc((size_t)count, sizeof *values);
    p2p_status status = P2P_OK;
    if (!times || !values)
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the times of %d transfers", count);
    if (status == P2P_OK) status = p2p_device_time_transfers(device, bytes, sys_clock, count, times);
    if (status == P2P_OK) summarise(times, count, values, transfers);
    free(times);
    free(values);
    return status;
}
