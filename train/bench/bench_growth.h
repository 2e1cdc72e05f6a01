/* How a training grows with the number of devices: rate, efficiency, and reductions that were not hidden.
 *
 * Devices that share a processor, as those of CPUs do and one that is named several times, take turns, and
 * are as fast together as one. There k devices are compared with one that computes the same batch with
 * --grad-accumulate, in turns with them: the difference is what replicas add.
 *
 * Of several ranks all measure each number of devices together. The first point is one device of rank 0
 * alone.
 */
#ifndef P2P_BENCH_GROWTH_H
#define P2P_BENCH_GROWTH_H

#include "bench_summary.h"
#include "options/options.h"
#include "ranks/ranks.h"

#include <stdbool.h>
#include <stdint.h>

/* What a step of replicas on a shared processor has beside that of one device. */
typedef struct {
    bench_range one_step_s; /* of one device with the same batch */
    /* By what share the step is longer, and takes more of the processor's time, which other programs disturb
     * less: medians over rounds. */
    double added, added_processor;
    /* Seconds of operations that one device does not have, each alone: reductions, and the updates of all
     * replicas but the first. */
    double reduction_s, updates_s;
} growth_added;

typedef struct {
    int64_t devices, images; /* of all ranks; images: of a step on all devices */
    bool shared;             /* the devices share a processor */
    bench_range step_s;
    /* The rate per device over that of the first point. If the processor is shared, the rate over that of one
     * device with the same batch, or, of a translation, over that of the first point. */
    double efficiency;
    double not_hidden; /* the share of time in which devices stood still for reductions; negative: unknown */
    growth_added beside; /* of several replicas of a training that share a processor; else 0 */
} growth_point;

enum { GROWTH_MOST = SETTINGS_MAX_COUNTS + 1 }; /* points */

typedef struct {
    char device[64], device_name[256]; /* the first */
    const char *precision;             /* its name; static */
    int64_t batch;                     /* per device */
    bool shared;                       /* those of a point share a processor */
    bool training;
    int steps, rounds; /* a range is over rounds of this many steps */
    int ranks;         /* 1: one process */
    int count;
    growth_point points[GROWTH_MOST];
} bench_growth;

/* Measure with each number of devices in --gpus, which are the first ones of --device, if it is given. With
 * several ranks each has as many, and all call it; rank 0 has the results. */
p2p_status bench_growth_measure(const settings *all, ranks *r, int steps, bench_growth *growth);
/* Prints JSON with --json, else a table. */
p2p_status bench_growth_report(const settings *all, const bench_growth *growth);
/* bench_growth_plot.c: write an SVG picture. */
p2p_status bench_growth_plot(const bench_growth *growth, const char *path);

#endif
