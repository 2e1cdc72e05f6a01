/* The learning rate of each epoch.
 *
 * Constant, or "linear" as the published PyTorch code has it: constant for `epochs`, then in even steps
 * towards zero over `decay` more. Whole epochs only: within one the rate doesn't change. How long a training
 * lasts is decided in trainer_length.c.
 */
#ifndef P2P_SCHEDULE_H
#define P2P_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double rate; /* of the first epoch */
    bool linear;
    int64_t epochs; /* at the full rate; only of a linear schedule */
    int64_t decay;  /* epochs that follow them, at falling rates; likewise */
} schedule;

/* What --lr-scale makes of --lr: `linear` multiplies it by the number of devices, because a batch on each of
 * them makes the gradient's mean that much less noisy. The only place where a rate depends on devices. */
double schedule_scaled(double rate, bool linear, int devices);

/* The rate of an epoch counted from 0: rate * (1 - max(0, epoch + 1 - epochs) / (decay + 1)). So the last of
 * 100 + 100 epochs has 1/101 of the rate, and none has zero. */
double schedule_rate(const schedule *plan, int64_t epoch);

/* Whether two schedules agree on the first `epochs` epochs. */
bool schedule_same_until(const schedule *a, const schedule *b, int64_t epochs);

#endif
