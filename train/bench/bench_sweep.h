/* How the cost of a step grows: time per image and memory along batch, size and filters, one axis at a time.
 *
 * Each figure has a floor beside it. The floor of the time is that of the step's convolutions, counted as
 * direct convolution, at the device's peak; Winograd can be faster. The floor of the memory is that of
 * weights, gradients and moments.
 */
#ifndef P2P_BENCH_SWEEP_H
#define P2P_BENCH_SWEEP_H

#include "bench_peaks.h"
#include "options/options.h"

typedef enum { SWEEP_BATCH, SWEEP_SIZE, SWEEP_FILTERS, SWEEP_AXES } sweep_axis;

/* The name as in --sweep. */
const char *sweep_axis_name(sweep_axis axis);

typedef struct {
    sweep_axis axis;
    int64_t value;
    p2p_math math; /* of its plan's convolutions */
    bool fits;     /* false: the device or the host had too little memory, and the rest is 0 */
    double gflop, seconds, floor_seconds; /* per image: direct convolution; a median step; the floor */
    double megabytes, floor_megabytes;    /* on the device */
} sweep_point;

enum { SWEEP_MOST_VALUES = 6, SWEEP_MOST_POINTS = SWEEP_AXES * SWEEP_MOST_VALUES };

typedef struct {
    bench_peaks peaks;
    int count;
    sweep_point points[SWEEP_MOST_POINTS]; /* in order of axis, then of value */
} bench_sweep;

/* Measure the axes of --sweep, `steps` steps per point. An axis ends at the first point that does not fit
 * into memory. */
p2p_status bench_sweep_measure(const settings *all, int steps, bench_sweep *sweep);

p2p_status bench_sweep_report(const settings *all, const bench_sweep *sweep);

/* bench_plot.c: write an SVG picture with a column per axis, time above memory, all scales logarithmic. */
p2p_status bench_sweep_plot(const bench_sweep *sweep, const char *path);

#endif
