/* A prediction: the efficiency of a training on 1 to 1024 devices like the measured one, on several links.
 *
 * Segments are measured on one device, which is two replicas for that, so that their plan has the buckets of
 * a training on many devices. Their seconds are scaled to those of a step of one replica, because operations
 * that are timed one by one take longer than in a step. Reductions are computed: bench_model.h.
 */
#ifndef P2P_BENCH_PREDICT_H
#define P2P_BENCH_PREDICT_H

#include "bench_segments.h"
#include "options/options.h"

enum {
    PREDICT_BATCHES = 3,
    PREDICT_COUNTS = 11, /* numbers of devices: 1, 2, 4, ... 1024 */
    PREDICT_MACHINES = 8 /* at most */
};

/* Below this efficiency a machine is too slow for more devices. */
#define PREDICT_LIMIT 0.9

/* What takes most of the worst reduction's time. */
typedef enum { PREDICT_LATENCY, PREDICT_INSIDE, PREDICT_BETWEEN } predict_cause;

/* The first number of devices below PREDICT_LIMIT. */
typedef struct {
    int at;        /* index of the number; -1: none */
    int reduction; /* the one that is waited for the longest, from 0 */
    predict_cause cause;
    double ready; /* when it could begin, as a share of a step without reductions */
    /* The least number of batches per update (--grad-accumulate: 2, 4, ... 64) that reaches the limit there,
     * and its efficiency; 0: none does. */
    int accumulate;
    double remedied;
} predict_break;

typedef struct {
    const model_machine *machine;
    double efficiency[PREDICT_COUNTS]; /* NAN: it can't have so many devices */
    model_step steps[PREDICT_COUNTS];
    predict_break first;
} predict_machine;

typedef struct {
    int64_t batch;
    bool fits; /* false: the device or the host had too little memory, and the rest is 0 */
    double step_s;
    bench_segments segments;
    int machine_count;
    predict_machine machines[PREDICT_MACHINES];
} predict_batch;

typedef struct {
    char device[64], device_name[256];
    const char *precision; /* its name; static */
    int count;
    int64_t devices[PREDICT_COUNTS];
    predict_batch batches[PREDICT_BATCHES];
} bench_prediction;

/* Compute all machines of a batch from its segments. */
void bench_predict_machines(const int64_t *devices, predict_batch *batch);

/* Measure batches 1, 16 and 64, or that of --batch, in `steps` steps each, and predict. Call
 * bench_predict_free() in any case. */
p2p_status bench_predict(const settings *all, int steps, bench_prediction *prediction);
void bench_predict_free(bench_prediction *prediction);

/* bench_predict_report.c: JSON with --json, else a table for each batch, and what breaks first. */
p2p_status bench_predict_report(const settings *all, const bench_prediction *prediction);
/* Write an SVG picture. */
p2p_status bench_predict_plot(const bench_prediction *prediction, const char *path);

#endif
