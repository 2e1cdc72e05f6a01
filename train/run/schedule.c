/* Learning rates. See schedule.h. */
#include "schedule.h"

#include <math.h>
#include <string.h>

double schedule_scaled(double rate, const char *scale, int64_t batches) {
    if (strcmp(scale, "linear") == 0) return rate * (double)batches;
    return strcmp(scale, "sqrt") == 0 ? rate * sqrt((double)batches) : rate;
}

double schedule_rate(const schedule *plan, int64_t epoch) {
    const int64_t decayed = epoch + 1 - plan->epochs;
    if (!plan->linear || decayed <= 0) return plan->rate;
    return plan->rate * (1 - (double)decayed / (double)(plan->decay + 1));
}

bool schedule_same_until(const schedule *a, const schedule *b, int64_t epochs) {
    for (int64_t epoch = 0; epoch < epochs; epoch++)
        if (schedule_rate(a, epoch) != schedule_rate(b, epoch)) return false;
    return true;
}
