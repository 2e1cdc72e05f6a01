/* See time_left.h. */
#include "time_left.h"

#include <math.h>
#include <stdio.h>

/* Weight of the newest duration, once there are several: the mean covers about five. */
static const double LEAST_WEIGHT = 0.2;

void mean_duration_add(mean_duration *mean, double seconds) {
    mean->measured++;
    const double weight = fmax(LEAST_WEIGHT, 1.0 / (double)mean->measured);
    mean->seconds += weight * (seconds - mean->seconds);
}

/* The last checkpoint is written at the end, whatever the interval is. */
static double checkpoints_left(const remaining_work *left, double seconds) {
    if (left->steps_per_checkpoint > 0) return ceil((double)left->steps / (double)left->steps_per_checkpoint);
    return floor(seconds / left->seconds_per_checkpoint) + 1;
}

double time_left(const remaining_work *left) {
    const double seconds =
        (double)left->steps * left->step_seconds + (double)left->epochs * left->epoch_seconds;
    return seconds + checkpoints_left(left, seconds) * left->checkpoint_seconds;
}

void time_left_text(double seconds, char text[TIME_LEFT_BYTES]) {
    const double longest = 8.64e9; /* a number of five digits of days */
    if (!(seconds >= 0)) seconds = 0;
    const long long whole = llround(fmin(seconds, longest));
    const long long minutes = whole / 60, hours = minutes / 60, days = hours / 24;
    if (days > 0)
        snprintf(text, TIME_LEFT_BYTES, "%lldd%02lldh", days, hours % 24);
    else if (hours > 0)
        snprintf(text, TIME_LEFT_BYTES, "%lldh%02lldm", hours, minutes % 60);
    else if (minutes > 0)
        snprintf(text, TIME_LEFT_BYTES, "%lldm%02llds", minutes, whole % 60);
    else
        snprintf(text, TIME_LEFT_BYTES, "%llds", whole);
}
