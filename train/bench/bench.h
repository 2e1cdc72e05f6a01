/* A plan to measure, and the speed of its whole steps.
 *
 * A bench is a session with one plan: the training step or the generator alone. Its input is noise in memory;
 * no file is read and no picture decoded. The functions measure and return numbers. Output is in
 * bench_report.c.
 */
#ifndef P2P_BENCH_H
#define P2P_BENCH_H

#include "bench_profile.h"
#include "bench_summary.h"
#include "options/options.h"
#include "p2p.h"
#include "pix2pix.h"
#include "ranks/ranks.h"
#include "setup/setup_plans.h"

#include <stdint.h>

typedef struct {
    const settings *all;
    ranks *ranks;   /* whose devices make each step together; NULL: one */
    bool training;  /* the training step; otherwise the generator alone */
    double started; /* clock reading of bench_open */
    setup_devices devices;
    pix2pix *model;
    setup_plan planned;
    p2p_session *session;
    p2p_plan *plan;   /* of `planned` */
    uint8_t *pixels;  /* noise: a device's batch of inputs, then one of targets; the session's */
    float *generated; /* translation: a device's results on the host */
    uint32_t step;    /* runs so far */
} bench;

/* Open the devices, plan and allocate. With several ranks, all call it. Call bench_close() in any case. */
p2p_status bench_open(bench *b, const settings *all, ranks *r, bool training);
void bench_close(bench *b);
/* Images of a step of all devices of all ranks. */
int64_t bench_images(const bench *b);

typedef struct {
    double first_step_s; /* from bench_open to the first result on the host */
    bench_range step_s;
    int steps;
    p2p_session_memory memory;
    size_t host_peak_bytes; /* of the process, until now */
} bench_speed;

/* Time `steps` steps after two that warm up. Two training steps are in flight, as in a training, so each time
 * is the mean of two successive steps. Generator runs follow each other, and their results are read.
 * P2P_FAILED if a loss is not finite, because the time of such a step means nothing. */
p2p_status bench_measure_speed(bench *b, int steps, bench_speed *speed);

/* Time `steps` successive steps as a whole: from an idle device to the last result on the host. Two training
 * steps are in flight. Failures as above. */
p2p_status bench_time_steps(bench *b, int steps, double *seconds);
/* Give every replica's inputs for the next run or profile of the plan. */
p2p_status bench_give_inputs(const bench *b);

/* Profile the plan on noise, `repeats` times. Call bench_profile_free() in any case. */
p2p_status bench_profile_take(bench *b, int repeats, bench_profile *profile);

#endif
