/* See trainer_rate.h. */
#include "trainer_rate.h"

#include "host/sys.h"
#include "image/picture_grid.h"

#include <math.h>

/* Bytes per second at which a checkpoint is expected to be written until one was (train/NOTES.md). */
static const double CHECKPOINT_RATE = 300e6;
static const double SHORTEST_STEP = 1e-9; /* seconds */
/* Least weight of the newest step in the running mean of seconds per image: a mean over about ten steps. */
static const double RATE_WEIGHT = 0.1;

/* The share of time in which devices stood still for reductions. `weight`: of this step in the mean. */
static void measure_reductions(const trainer *t, training_rate *rate, double weight, step_record *record) {
    double reduced;
    record->reduces = t->replicas > 1 && p2p_session_waited(t->session, &reduced);
    if (!record->reduces) return;
    const double seconds = (reduced - rate->reduced) / record->images;
    rate->reduction_per_image += weight * (seconds - rate->reduction_per_image);
    rate->reduced = reduced;
    record->reduction_wait = fmin(1, rate->reduction_per_image / rate->seconds_per_image);
}

/* Update the running means. A single interval does not measure a step, because two are in flight. The second
 * step overwrites the first, during which drivers compile. */
static void update_rate(const trainer *t, training_rate *rate, double now, step_record *record) {
    const int images = record->images;
    /* A coarse clock may not have advanced. */
    double seconds = fmax(now - rate->last_collected, SHORTEST_STEP) / images;
    double weight = rate->measured < 2 ? 1 : fmax(RATE_WEIGHT, 1.0 / (double)rate->measured);
    rate->measured++;
    rate->intervals++;
    rate->seconds_per_image += weight * (seconds - rate->seconds_per_image);
    rate->wait_per_image += weight * (rate->waited / images - rate->wait_per_image);
    measure_reductions(t, rate, weight, record);
}

/* Before a pause, no step follows the last one, and devices that compute while a step is enqueued have
 * finished it already: its interval counts only if there is no other. */
void trainer_measure_rate(const trainer *t, training_rate *rate, step_record *record) {
    const double now = sys_clock();
    if (rate->followed || rate->intervals == 0)
        update_rate(t, rate, now, record);
    else
        measure_reductions(t, rate, 0, record);
    rate->last_collected = now;
    rate->followed = false;
    rate->waited = 0;
    record->images_per_s = 1 / rate->seconds_per_image;
    record->data_wait = fmin(1, rate->wait_per_image / rate->seconds_per_image);
}

void trainer_pause_rate(training_rate *rate) {
    rate->last_collected = sys_clock();
    rate->intervals = 0;
    rate->followed = false;
}

/* A checkpoint has parameters and moments; the models beside it have the parameters again. */
static double checkpoint_seconds(const trainer *t, const training_rate *rate) {
    p2p_session_memory memory;
    if (rate->saves.measured > 0) return rate->saves.seconds;
    p2p_session_memory_use(t->session, &memory);
    return (double)(2 * memory.parameters + memory.moments) / CHECKPOINT_RATE;
}

/* A validation that was not measured yet takes a third of the time of training steps on as many pictures. */
double trainer_seconds_left(const trainer *t, const training_rate *rate, int64_t step) {
    const int64_t validated = t->validation ? dataset_count(t->validation) : PICTURE_GRID_MAX_COLUMNS;
    const double expected = (double)validated * rate->seconds_per_image / 3;
    const remaining_work left = {.steps = t->total_steps - step,
                                 .epochs = (t->total_steps - step + t->batches - 1) / t->batches,
                                 .step_seconds = rate->seconds_per_image * (double)t->global_batch,
                                 .epoch_seconds =
                                     rate->epoch_ends.measured > 0 ? rate->epoch_ends.seconds : expected,
                                 .checkpoint_seconds = checkpoint_seconds(t, rate),
                                 .steps_per_checkpoint = t->all->checkpoint_every,
                                 .seconds_per_checkpoint = TRAINER_CHECKPOINT_SECONDS};
    return time_left(&left);
}
