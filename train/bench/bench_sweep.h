/* How the cost of a step grows: time per image and memory along batch, size and filters, one at a time.
 *
 * Beside each figure stands a floor: the time that the step's convolutions would take, done directly, at the
 * device's peak (Winograd can beat it), and the bytes of weights, gradients and moments, without which there
 * is no training. Nothing is judged.
 */
#ifndef P2P_BENCH_SWEEP_H
#define P2P_BENCH_SWEEP_H

#include "bench.h"

typedef enum { SWEEP_BATCH, SWEEP_SIZE, SWEEP_FILTERS, SWEEP_AXES } sweep_axis;

const char *sweep_axis_name(sweep_axis axis);

typedef struct {
    sweep_axis axis;
    int64_t value;
    bool bf16; /* its plan multiplies in bf16 */
    bool fits; /* else the device or the host had not enough memory, and the rest is 0 */
    double gflop, seconds, floor_seconds; /* per image: direct convolution; a median step; the floor */
    double megabytes, floor_megabytes;    /* on the device */
} sweep_point;

enum { SWEEP_MOST_VALUES = 6, SWEEP_MOST_POINTS = SWEEP_AXES * SWEEP_MOST_VALUES };

typedef struct {
    bench_peaks peaks;
    int count;
    sweep_point points[SWEEP_MOST_POINTS]; /* by axis, then rising */
} bench_sweep;

/* What --sweep of `all` asks for, with `steps` steps per point. An axis ends where memory does. */
p2p_status bench_sweep_measure(const settings *all, int steps, bench_sweep *sweep);

p2p_status bench_sweep_report(const settings *all, const bench_sweep *sweep);

/* bench_plot.c: an SVG picture with a column per axis, time above memory, both axes logarithmic. */
p2p_status bench_sweep_plot(const bench_sweep *sweep, const char *path);

#endif
