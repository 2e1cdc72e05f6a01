/* How long a training will take: steps, the ends of epochs (validation, its grid of pictures, models) and
 * checkpoints. */
#ifndef P2P_TIME_LEFT_H
#define P2P_TIME_LEFT_H

#include <stdint.h>

/* A running mean of durations in seconds. Initialise with {0}. */
typedef struct {
    double seconds;
    int64_t measured;
} mean_duration;

void mean_duration_add(mean_duration *mean, double seconds);

/* What is left, and what each part of it takes. */
typedef struct {
    int64_t steps, epochs;         /* epochs whose end is to come */
    double step_seconds;           /* of one step */
    double epoch_seconds;          /* of the end of one epoch */
    double checkpoint_seconds;     /* of one checkpoint */
    int64_t steps_per_checkpoint;  /* 0: they are written by time */
    double seconds_per_checkpoint; /* then the time between two */
} remaining_work;

/* Seconds until the end, the last checkpoint included. */
double time_left(const remaining_work *left);

/* Seconds as text: "45s", "24m05s", "3h24m" or "2d03h". */
enum { TIME_LEFT_BYTES = 24 };
void time_left_text(double seconds, char text[TIME_LEFT_BYTES]);

#endif
