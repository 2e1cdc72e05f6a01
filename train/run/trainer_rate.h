/* How fast a training is, and how long it still takes. Private to trainer*.c. */
#ifndef P2P_TRAINER_RATE_H
#define P2P_TRAINER_RATE_H

#include "time_left.h"
#include "trainer_setup.h"

enum { TRAINER_CHECKPOINT_SECONDS = 300 }; /* between checkpoints that are written by time */

typedef struct {
    double last_collected;           /* clock reading */
    double seconds_per_image;        /* running mean */
    double waited;                   /* seconds of waiting for data since last_collected */
    double wait_per_image;           /* running mean of seconds */
    double reduced;                  /* seconds of waiting for reductions until last_collected */
    double reduction_per_image;      /* running mean of seconds */
    int64_t measured;                /* steps in all means */
    int64_t intervals;               /* of them since the last pause between steps */
    bool followed;                   /* a step was enqueued since last_collected */
    mean_duration epoch_ends, saves; /* seconds of an epoch's end, and of a checkpoint */
} training_rate;

/* Measure a step that has been collected, and record the rate and the shares of time that were waited. */
void trainer_measure_rate(const trainer *t, training_rate *rate, step_record *record);
/* Call after a pause between steps: the time of the pause is no step's. */
void trainer_pause_rate(training_rate *rate);

/* Seconds that the training still takes after this step. */
double trainer_seconds_left(const trainer *t, const training_rate *rate, int64_t step);

#endif
