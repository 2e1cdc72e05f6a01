/* The learning rate of each epoch.
 *
 * It is constant, or "linear" as in the published PyTorch code: constant for `epochs` epochs, then decreasing
 * in equal steps towards zero over `decay` more. It does not change within an epoch. The length of a training
 * is computed in trainer_length.c.
 */
#ifndef P2P_SCHEDULE_H
#define P2P_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double rate; /* of the first epoch */
    bool linear;
    int64_t epochs; /* linear: epochs at the full rate */
    int64_t decay;  /* linear: epochs after them, with decreasing rates */
} schedule;

/* The rate with --lr-scale for `batches` batches per update, one of each device, or several
 * (--grad-accumulate). "linear" multiplies it by their number, because the variance of the mean gradient
 * decreases by that factor, "sqrt" by the root of it, as is usual with Adam, "none" by 1. The only function
 * in which a rate depends on the number of devices. */
double schedule_scaled(double rate, const char *scale, int64_t batches);

/* The rate of an epoch, counted from 0: rate * (1 - max(0, epoch + 1 - epochs) / (decay + 1)). The last of
 * 100 + 100 epochs has 1/101 of the rate, and no epoch has rate zero. */
double schedule_rate(const schedule *plan, int64_t epoch);

/* Whether two schedules have equal rates in the first `epochs` epochs. */
bool schedule_same_until(const schedule *a, const schedule *b, int64_t epochs);

#endif
