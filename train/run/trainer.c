/* The loop over steps. See trainer.h.
 *
 * Two steps are in flight: while the device computes one, the host reads and records the losses of the one
 * before, so the device does not wait for the host. Validation and checkpoints need the state after an exact
 * step, so they first collect the step in flight.
 */
#include "trainer.h"

#include "host/sys.h"
#include "host/text.h"
#include "image/picture_grid.h"
#include "time_left.h"
#include "trainer_folder.h"
#include "trainer_report.h"
#include "trainer_rescue.h"
#include "trainer_save.h"
#include "trainer_tensorboard.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double SECONDS_BETWEEN_CHECKPOINTS = 300;
/* Bytes per second at which a checkpoint is expected to be written until one was (train/NOTES.md). */
static const double CHECKPOINT_RATE = 300e6;
static const double SHORTEST_STEP = 1e-9; /* seconds */
enum { STEPS_BEFORE_ESTIMATE = 10 };
/* Least weight of the newest step in the running mean of seconds per image: a mean over about ten steps. */
static const double RATE_WEIGHT = 0.1;

/* A step that has been enqueued and whose losses have not been read. */
typedef struct {
    p2p_plan *plan; /* NULL: none */
    int64_t step, epoch;
    int images;
    double learning_rate;
} step_in_flight;

typedef struct {
    trainer *t;
    loader *loading;          /* NULL: none */
    step_in_flight in_flight; /* its batch is held */
    training_position *at;
    double last_collected, last_checkpoint; /* clock readings */
    double seconds_per_image;               /* running mean */
    double waited;                          /* seconds of waiting for data since last_collected */
    double wait_per_image;                  /* running mean of seconds */
    double reduced;                         /* seconds of waiting for reductions until last_collected */
    double reduction_per_image;             /* running mean of seconds */
    int64_t measured;                       /* steps in both means */
    int64_t intervals;                      /* of them since the last pause between steps */
    bool followed;                          /* a step was enqueued since last_collected */
    bool save_due, picture_due, stops;      /* of several ranks: what they have agreed on */
    double last_picture;                    /* clock reading when the last grid of pictures was begun */
    epoch_record epoch;                     /* of the epoch that ends */
    double validated;                       /* seconds of the last validation */
    mean_duration epoch_ends, saves;        /* seconds of an epoch's end, and of a checkpoint */
    bool announced;                         /* the duration of the training was printed */
    int won;                                /* successive epochs in which the discriminator won */
    bool bad_pair;                          /* a pair's file has ended the training */
    int64_t replaced;                       /* pairs of this epoch that were bad and replaced */
    char reason[P2P_MESSAGE_BYTES];         /* of the first of them */
    /* The parameters are those of `at`, or will be when the step in flight has been collected. */
    bool can_save;
} training_loop;

static bool time_is_due(const training_loop *loop) {
    return sys_clock() - loop->last_checkpoint >= SECONDS_BETWEEN_CHECKPOINTS;
}

/* Whether a checkpoint within an epoch has a grid of pictures. Each that is written by time has one. */
static bool picture_is_due(const training_loop *loop) {
    return sys_clock() - loop->last_picture >= SECONDS_BETWEEN_CHECKPOINTS;
}

/* ---- One step ----------------------------------------------------------------------------------------- */

static p2p_status read_losses(p2p_plan *plan, loss_values *losses) {
    P2P_TRY(p2p_plan_wait(plan));
    P2P_TRY(p2p_plan_loss(plan, "d_real", &losses->d_real));
    P2P_TRY(p2p_plan_loss(plan, "d_fake", &losses->d_fake));
    P2P_TRY(p2p_plan_loss(plan, "g_gan", &losses->g_gan));
    return p2p_plan_loss(plan, "g_l1", &losses->g_l1);
}

static void add_losses(training_position *at, const loss_values *losses, int images) {
    at->sums.d_real += losses->d_real * images;
    at->sums.d_fake += losses->d_fake * images;
    at->sums.g_gan += losses->g_gan * images;
    at->sums.g_l1 += losses->g_l1 * images;
    at->images += images;
}

static p2p_status check_finite(const step_record *record) {
    const loss_values *losses = &record->losses;
    if (loss_is_finite(losses)) return P2P_OK;
    return p2p_fail(P2P_DIVERGED,
                    "step %" PRId64
                    ": a loss is no longer a finite number (D real %g, D fake %g, G %g, L1 %g)",
                    record->step, losses->d_real, losses->d_fake, losses->g_gan, losses->g_l1);
}

/* The share of time in which devices stood still for reductions. `weight`: of this step in the mean. */
static void measure_reductions(training_loop *loop, double weight, step_record *record) {
    double reduced;
    record->reduces = loop->t->replicas > 1 && p2p_session_waited(loop->t->session, &reduced);
    if (!record->reduces) return;
    const double seconds = (reduced - loop->reduced) / record->images;
    loop->reduction_per_image += weight * (seconds - loop->reduction_per_image);
    loop->reduced = reduced;
    record->reduction_wait = fmin(1, loop->reduction_per_image / loop->seconds_per_image);
}

/* Update the running means. A single interval does not measure a step, because two are in flight. The second
 * step overwrites the first, during which drivers compile. */
static void update_rate(training_loop *loop, double now, step_record *record) {
    const int images = record->images;
    /* A coarse clock may not have advanced. */
    double seconds = fmax(now - loop->last_collected, SHORTEST_STEP) / images;
    double weight = loop->measured < 2 ? 1 : fmax(RATE_WEIGHT, 1.0 / (double)loop->measured);
    loop->measured++;
    loop->intervals++;
    loop->seconds_per_image += weight * (seconds - loop->seconds_per_image);
    loop->wait_per_image += weight * (loop->waited / images - loop->wait_per_image);
    measure_reductions(loop, weight, record);
}

/* Before a pause, no step follows the last one, and devices that compute while a step is enqueued have
 * finished it already: its interval counts only if there is no other. */
static void measure_rate(training_loop *loop, step_record *record) {
    const double now = sys_clock();
    if (loop->followed || loop->intervals == 0)
        update_rate(loop, now, record);
    else
        measure_reductions(loop, 0, record);
    loop->last_collected = now;
    loop->followed = false;
    loop->waited = 0;
    record->images_per_s = 1 / loop->seconds_per_image;
    record->data_wait = fmin(1, loop->wait_per_image / loop->seconds_per_image);
}

/* What the ranks exchange after each step. */
typedef struct {
    loss_values losses;
    int64_t stop; /* the signal that has requested it; 0: none */
    int64_t save; /* whether a checkpoint is due */
    int64_t picture;
} step_news;

static void take_news(training_loop *loop, const step_news *news, int count, loss_values *losses) {
    *losses = (loss_values){0};
    for (int i = 0; i < count; i++) {
        losses->d_real += news[i].losses.d_real;
        losses->d_fake += news[i].losses.d_fake;
        losses->g_gan += news[i].losses.g_gan;
        losses->g_l1 += news[i].losses.g_l1;
        if (news[i].stop == 0) continue;
        sys_stop_adopt((int)news[i].stop);
        loop->stops = true;
    }
    loop->save_due = news[0].save != 0;
    loop->picture_due = news[0].picture != 0;
}

/* Add the losses of all ranks, in their order. A signal to one of them stops all, after the same step, and
 * rank 0's clock decides when a checkpoint and a picture are due. */
static p2p_status exchange_news(training_loop *loop, loss_values *losses) {
    const trainer *t = loop->t;
    const int count = ranks_size(t->ranks);
    const step_news mine = {.losses = *losses,
                            .stop = sys_stop_signal(),
                            .save = time_is_due(loop),
                            .picture = picture_is_due(loop)};
    if (!t->ranks) return P2P_OK;
    step_news *all = calloc((size_t)count, sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the losses of %d ranks", count);
    const p2p_status status = ranks_gather(t->ranks, &mine, sizeof mine, all);
    if (status == P2P_OK) take_news(loop, all, count, losses);
    free(all);
    return status;
}

/* A checkpoint has parameters and moments; the models beside it have the parameters again. */
static double checkpoint_seconds(const training_loop *loop) {
    p2p_session_memory memory;
    if (loop->saves.measured > 0) return loop->saves.seconds;
    p2p_session_memory_use(loop->t->session, &memory);
    return (double)(2 * memory.parameters + memory.moments) / CHECKPOINT_RATE;
}

/* A validation that was not measured yet takes a third of the time of training steps on as many pictures. */
static double seconds_left(const training_loop *loop, const step_record *record) {
    const trainer *t = loop->t;
    const int64_t validated = t->validation ? dataset_count(t->validation) : PICTURE_GRID_MAX_COLUMNS;
    const double expected = (double)validated * loop->seconds_per_image / 3;
    const remaining_work left = {.steps = t->total_steps - record->step,
                                 .epochs = (t->total_steps - record->step + t->batches - 1) / t->batches,
                                 .step_seconds = loop->seconds_per_image * (double)t->global_batch,
                                 .epoch_seconds =
                                     loop->epoch_ends.measured > 0 ? loop->epoch_ends.seconds : expected,
                                 .checkpoint_seconds = checkpoint_seconds(loop),
                                 .steps_per_checkpoint = t->all->checkpoint_every,
                                 .seconds_per_checkpoint = SECONDS_BETWEEN_CHECKPOINTS};
    return time_left(&left);
}

/* Draw the live line. After the first steps, print once how long the training will take. */
static void show_step(training_loop *loop, const step_record *record) {
    char text[TIME_LEFT_BYTES];
    const double left = seconds_left(loop, record);
    if (!loop->announced && loop->measured == STEPS_BEFORE_ESTIMATE && record->step < loop->t->total_steps) {
        time_left_text(left, text);
        progress_line(loop->t->progress, "expected to take about %s, with validation and checkpoints", text);
        loop->announced = true;
    }
    progress_step(loop->t->progress, record, left);
}

/* Wait for the step in flight, if there is one, and read and record its losses. */
static p2p_status collect(training_loop *loop) {
    step_in_flight flight = loop->in_flight;
    if (!flight.plan) return P2P_OK;
    loop->in_flight.plan = NULL;
    loop->can_save = false;
    step_record record = {.step = flight.step,
                          .epoch = flight.epoch,
                          .images = flight.images,
                          .learning_rate = flight.learning_rate};
    P2P_TRY(read_losses(flight.plan, &record.losses));
    P2P_TRY(exchange_news(loop, &record.losses));
    if (loop->loading) loader_release(loop->loading); /* the device has read the step's batch */
    measure_rate(loop, &record);
    P2P_TRY(check_finite(&record));
    add_losses(loop->at, &record.losses, flight.images);
    if (trainer_writes(loop->t)) P2P_TRY(metrics_step(loop->t->metrics, &record));
    trainer_tensorboard_step(loop->t, &record);
    show_step(loop, &record);
    if (loop->announced) trainer_report(loop->t, REPORT_LATER);
    loop->can_save = true;
    return P2P_OK;
}

/* Enqueue a step on a batch, of which the devices read their shares where the loader put them. The sample
 * keys of dropout are the pairs' indices in the data set. */
static p2p_status give_share(const trainer *t, int replica, const loader_batch *batch, p2p_plan *plan) {
    const int number = t->first_replica + replica;
    const size_t count = (size_t)batch->loaded;
    const int64_t share = pix2pix_share(batch->count, t->replicas, number);
    const size_t first = (size_t)(pix2pix_share_first(batch->count, t->replicas, number) - batch->offset);
    if (share == 0) return P2P_OK;
    const uint8_t *input = batch->input, *target = batch->target;
    P2P_TRY(p2p_plan_input_from(plan, replica, "input", input + first * (batch->input_bytes / count)));
    return p2p_plan_input_from(plan, replica, "target", target + first * (batch->target_bytes / count));
}

static p2p_status enqueue(training_loop *loop, const loader_batch *batch, p2p_plan *plan,
                          double learning_rate) {
    const trainer *t = loop->t;
    for (int i = 0; i < batch->loaded; i++) t->samples[i] = (uint32_t)batch->samples[batch->offset + i];
    for (int r = 0; r < t->devices.count; r++) P2P_TRY(give_share(t, r, batch, plan));
    return p2p_plan_run(plan, &(p2p_step){.seed = t->all->seed,
                                          .step = (uint32_t)loop->at->step,
                                          .learning_rate = learning_rate,
                                          .samples = t->samples});
}

static p2p_status train_step(training_loop *loop, const loader_batch *batch) {
    trainer *t = loop->t;
    p2p_plan *plan = setup_plans_find(&t->plans, batch->count);
    if (loop->in_flight.plan != plan) P2P_TRY(collect(loop));
    loop->can_save = false;
    const double learning_rate = schedule_rate(&t->schedule, loop->at->epoch);
    P2P_TRY(enqueue(loop, batch, plan, learning_rate));
    loop->followed = true;
    P2P_TRY(collect(loop));
    loop->at->step++;
    loop->at->batch++;
    loop->in_flight = (step_in_flight){.plan = plan,
                                       .step = loop->at->step,
                                       .epoch = loop->at->epoch + 1,
                                       .images = batch->count,
                                       .learning_rate = learning_rate};
    loop->can_save = true;
    return P2P_OK;
}

/* ---- Between steps ------------------------------------------------------------------------------------ */

/* Write the grid of pictures of the last validation, which may take minutes, in which the folder may be
 * renamed. */
static p2p_status write_grid(training_loop *loop, const char *name) {
    trainer *t = loop->t;
    char *path;
    bool moved;
    P2P_TRY(trainer_follow_folder(t, &moved));
    P2P_TRY(sys_path_join(&path, t->paths.samples, name));
    p2p_status status = validation_save_grid(t->validator, path, t->run[0] ? t->run : NULL);
    if (status == P2P_OK) trainer_tensorboard_picture(t, path, loop->at->step);
    free(path);
    return status;
}

/* "validation L1 0.1234 (mean training target: 0.2345)  PSNR 17.20 dB  SSIM 0.612" */
static void describe_validation(const trainer *t, const quality *validation, char *text, size_t size) {
    snprintf(text, size, "validation L1 %.4f (mean training target: %.4f)  PSNR %.2f dB  SSIM %.3f",
             validation->l1, validation_baseline_l1(t->validator), validation->psnr, validation->ssim);
}

static loss_values epoch_mean(const training_position *at) {
    double images = (double)at->images;
    return (loss_values){.d_real = at->sums.d_real / images,
                         .d_fake = at->sums.d_fake / images,
                         .g_gan = at->sums.g_gan / images,
                         .g_l1 = at->sums.g_l1 / images};
}

/* Whether the discriminator recognised nearly every picture. Surely rejected pictures have a loss of 1 in the
 * least squares GAN; that of the other has no limit. */
static bool discriminator_wins(const trainer *t, const loss_values *mean) {
    const double sure = 0.05, rejected = strcmp(t->all->gan_mode, "lsgan") == 0 ? 0.8 : 2;
    return mean->d_real < sure && mean->d_fake < sure && mean->g_gan > rejected;
}

/* Print once that the discriminator has won: it did so for three epochs in a row. */
static void show_victory(training_loop *loop, const loss_values *mean) {
    loop->won = discriminator_wins(loop->t, mean) ? loop->won + 1 : 0;
    if (loop->won != 3) return;
    progress_line_in(loop->t->progress, PROGRESS_WARNING,
                     "D has won: it distinguishes nearly all generated pictures from targets, so G");
    progress_line_in(loop->t->progress, PROGRESS_WARNING,
                     "learns mostly from L1. Judge by the pictures; report.html has more on this");
}

static p2p_status validate(training_loop *loop, const char *title, quality *mean) {
    const trainer *t = loop->t;
    const p2p_status status = validation_run(t->validator, &t->evaluator, title, mean);
    loop->bad_pair = status == P2P_INPUT;
    return status;
}

/* Validate the epoch whose steps have been made, and fill its record. All ranks do, to the same numbers. */
static p2p_status measure_epoch(training_loop *loop) {
    const trainer *t = loop->t;
    const training_position *at = loop->at;
    char title[PICTURE_GRID_TITLE_BYTES];
    const double begun = sys_clock();
    epoch_record *record = &loop->epoch;
    *record = (epoch_record){.step = at->step,
                             .epoch = at->epoch + 1,
                             .mean = epoch_mean(at),
                             .validated = t->validation != NULL,
                             .baseline_l1 = validation_baseline_l1(t->validator)};
    snprintf(title, sizeof title, "epoch %" PRId64, record->epoch);
    P2P_TRY(validate(loop, title, &record->validation));
    loop->validated = sys_clock() - begun;
    record->best = record->validated && (at->best_epoch == 0 || record->validation.l1 < at->best_l1);
    return P2P_OK;
}

/* Count those of all ranks in rank 0, which reports them. */
static p2p_status gather_replaced(training_loop *loop) {
    double replaced = (double)loop->replaced;
    P2P_TRY(ranks_add(loop->t->ranks, &replaced, 1));
    if (loop->replaced == 0) snprintf(loop->reason, sizeof loop->reason, "one of another rank");
    loop->replaced = trainer_writes(loop->t) ? (int64_t)replaced : 0;
    return P2P_OK;
}

static void report_left_out(const training_loop *loop) {
    const char *reason;
    const int64_t left_out = validation_left_out(loop->t->validator, &reason);
    if (left_out > 0)
        progress_line(loop->t->progress, "val: %" PRId64 " left out as unusable; the first: %s", left_out,
                      reason);
}

/* Report the replaced pairs of the epoch, and reset their number. */
static void report_replaced(training_loop *loop) {
    if (loop->replaced > 0)
        progress_line(loop->t->progress,
                      "%" PRId64 " pairs were unusable and have been replaced by others; the first: %s",
                      loop->replaced, loop->reason);
    loop->replaced = 0;
}

static p2p_status write_epoch(training_loop *loop) {
    trainer *t = loop->t;
    const epoch_record *record = &loop->epoch;
    char name[RUN_EPOCH_NAME_BYTES];
    run_epoch_sample_name(name, record->epoch);
    P2P_TRY(write_grid(loop, name));
    P2P_TRY(trainer_remove_step_samples(t, 0));
    P2P_TRY(trainer_save_epoch(t, record->epoch));
    P2P_TRY(trainer_remove_old_samples(t));
    if (record->best) P2P_TRY(trainer_save_best(t, record));
    P2P_TRY(metrics_epoch(t->metrics, record));
    trainer_tensorboard_epoch(t, record);
    progress_epoch(t->progress, record);
    report_left_out(loop);
    show_victory(loop, &record->mean);
    report_replaced(loop);
    return P2P_OK;
}

/* Save and record the epoch that was measured. The position advances last, so that after a failure the epoch
 * is still to be ended. */
static p2p_status end_epoch(training_loop *loop) {
    trainer *t = loop->t;
    training_position *at = loop->at, next = {.step = at->step, .epoch = at->epoch + 1};
    const epoch_record *record = &loop->epoch;
    if (trainer_writes(t)) P2P_TRY(write_epoch(loop));
    next.best_epoch = record->best ? record->epoch : at->best_epoch;
    next.best_l1 = record->best ? record->validation.l1 : at->best_l1;
    *at = next;
    t->epoch_batches = t->batches;
    loop->last_picture = sys_clock();
    trainer_report(t, REPORT_SOON);
    return P2P_OK;
}

/* The name and the title of the grid of pictures after the last step. */
static void name_step(const training_loop *loop, char name[RUN_EPOCH_NAME_BYTES],
                      char title[PICTURE_GRID_TITLE_BYTES]) {
    run_step_sample_name(name, loop->at->step);
    snprintf(title, PICTURE_GRID_TITLE_BYTES, "step %" PRId64, loop->at->step);
}

static p2p_status draw_step(training_loop *loop) {
    const trainer *t = loop->t;
    char name[RUN_EPOCH_NAME_BYTES], title[PICTURE_GRID_TITLE_BYTES];
    name_step(loop, name, title);
    const p2p_status status = validation_draw(t->validator, &t->evaluator, title);
    loop->bad_pair = status == P2P_INPUT;
    P2P_TRY(status);
    return trainer_writes(t) ? write_grid(loop, name) : P2P_OK;
}

/* At a checkpoint within an epoch, which may last for hours: the pictures, and the page. The end of an epoch
 * and that of the training have pictures of their own. */
static p2p_status show_checkpoint(training_loop *loop) {
    const trainer *t = loop->t;
    const double now = sys_clock();
    const bool within = loop->at->batch > 0 && loop->at->step < t->total_steps;
    const bool draws = within && (t->ranks ? loop->picture_due : picture_is_due(loop));
    if (draws) P2P_TRY(draw_step(loop));
    if (draws) loop->last_picture = now;
    trainer_report(loop->t, draws ? REPORT_NOW : REPORT_SOON);
    return P2P_OK;
}

static p2p_status save(training_loop *loop) {
    const double begun = sys_clock();
    loop->can_save = false; /* after a failure a second attempt would fail too */
    if (trainer_writes(loop->t)) P2P_TRY(trainer_save(loop->t));
    loop->can_save = true;
    loop->save_due = false;
    P2P_TRY(show_checkpoint(loop));
    loop->last_checkpoint = sys_clock();
    mean_duration_add(&loop->saves, loop->last_checkpoint - begun);
    return P2P_OK;
}

static bool save_is_due(const training_loop *loop) {
    const int64_t every = loop->t->all->checkpoint_every;
    if (every > 0) return loop->at->step % every == 0;
    return loop->t->ranks ? loop->save_due : time_is_due(loop);
}

/* Validate at the end of a training that ends within an epoch. */
static p2p_status show_end(training_loop *loop) {
    char name[RUN_EPOCH_NAME_BYTES], title[PICTURE_GRID_TITLE_BYTES], validation[128];
    quality measured;
    name_step(loop, name, title);
    P2P_TRY(validate(loop, title, &measured));
    if (trainer_writes(loop->t)) P2P_TRY(write_grid(loop, name));
    if (trainer_writes(loop->t)) P2P_TRY(trainer_remove_step_samples(loop->t, loop->at->step));
    if (!loop->t->validation) return P2P_OK;
    describe_validation(loop->t, &measured, validation, sizeof validation);
    progress_line(loop->t->progress, "%s", validation);
    report_left_out(loop);
    return P2P_OK;
}

/* Whether the weights on all devices are compared. `keeps`: files will have the weights of the first one, and
 * those of a device that differs must neither be used nor resumed. */
static bool check_is_due(const training_loop *loop, bool keeps) {
    const trainer *t = loop->t;
    const int64_t every = t->all->check_replicas;
    return every > 0 && t->replicas > 1 && (keeps || loop->at->step % every == 0);
}

enum { REPLICA_BYTES = 256 };

/* "cuda:1 of rank 2 on host (number 10 of 32 devices)" */
static void name_replica(const trainer *t, int replica, char text[REPLICA_BYTES]) {
    const int rank = replica / t->devices.count;
    char where[128] = "";
    if (t->ranks) snprintf(where, sizeof where, " of rank %d on %s", rank, ranks_host(t->ranks, rank));
    snprintf(text, REPLICA_BYTES, "%s%s (number %d of %d devices)", t->addresses[replica], where, replica + 1,
             t->replicas);
}

/* "p2p doctor --device cuda:1 on host" */
static void name_check(const trainer *t, int replica, char text[REPLICA_BYTES]) {
    const char *host = t->ranks ? ranks_host(t->ranks, replica / t->devices.count) : "";
    snprintf(text, REPLICA_BYTES, "p2p doctor --device %s%s%s", t->addresses[replica], t->ranks ? " on " : "",
             host);
}

static p2p_status blame(const training_loop *loop, int replica) {
    const trainer *t = loop->t;
    char named[REPLICA_BYTES], check[REPLICA_BYTES];
    name_replica(t, replica, named);
    name_check(t, replica, check);
    p2p_fail(P2P_FAILED, "after step %" PRId64 " the weights on %s are no longer those of the others",
             loop->at->step, named);
    return p2p_hint(P2P_FAILED, "%s, its memory or its link is faulty: %s; train without it",
                    t->addresses[replica], check);
}

/* Of two devices, or of two and two, either may be the faulty one. */
static p2p_status blame_neither(const training_loop *loop, const p2p_difference *found) {
    char one[REPLICA_BYTES], other[REPLICA_BYTES];
    const bool in_order = found->like < found->replica;
    const int first = in_order ? found->like : found->replica,
              second = in_order ? found->replica : found->like;
    name_replica(loop->t, first, one);
    name_replica(loop->t, second, other);
    p2p_fail(P2P_FAILED,
             "after step %" PRId64
             " the weights on %s and on %s differ, and no majority shows which are right",
             loop->at->step, one, other);
    name_check(loop->t, first, one);
    name_check(loop->t, second, other);
    return p2p_hint(P2P_FAILED, "one of these devices, its memory or its link is faulty: %s, and %s", one,
                    other);
}

/* Compare the weights of all devices, which every step changes alike. */
static p2p_status check_replicas(training_loop *loop) {
    p2p_difference found;
    loop->can_save = false;
    P2P_TRY(p2p_session_compare(loop->t->session, &found));
    loop->can_save = found.replica < 0;
    if (found.replica < 0) return P2P_OK;
    return found.outvoted ? blame(loop, found.replica) : blame_neither(loop, &found);
}

/* What is due after a step. It may be repeated after a failure to write. */
static p2p_status end_and_save(training_loop *loop, bool saves) {
    bool moved;
    const double begun = sys_clock();
    if (loop->at->batch == loop->t->epoch_batches) {
        P2P_TRY(end_epoch(loop));
        mean_duration_add(&loop->epoch_ends, loop->validated + sys_clock() - begun);
    }
    if (!saves) return P2P_OK;
    if (trainer_writes(loop->t)) P2P_TRY(trainer_follow_folder(loop->t, &moved));
    return save(loop);
}

/* The same. A failure is that of the folder if it was removed, or another is in its place. */
static p2p_status end_and_save_in_folder(training_loop *loop, bool saves) {
    const p2p_status status = end_and_save(loop, saves);
    bool moved;
    if (status != P2P_IO || !trainer_writes(loop->t)) return status;
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    const p2p_status followed = trainer_follow_folder(loop->t, &moved);
    loop->can_save = loop->can_save || followed != P2P_OK; /* in the folder that the rescue makes again */
    P2P_TRY(followed);
    return p2p_failure_give(&failure);
}

/* After a step: compare the replicas if that or anything else is due, end the epoch if it was the last one,
 * then write a checkpoint. */
static p2p_status after_step(training_loop *loop) {
    const trainer *t = loop->t;
    const bool epoch_ends = loop->at->batch == t->epoch_batches, last = loop->at->step == t->total_steps;
    const bool saves = save_is_due(loop) || last;
    const bool checks = check_is_due(loop, epoch_ends || saves);
    if (!epoch_ends && !saves && !checks) return P2P_OK;
    P2P_TRY(collect(loop));
    if (checks) P2P_TRY(check_replicas(loop));
    if (epoch_ends) P2P_TRY(measure_epoch(loop));
    if (epoch_ends) P2P_TRY(gather_replaced(loop));
    P2P_TRY(p2p_session_gather(loop->t->session));
    P2P_TRY(end_and_save_in_folder(loop, saves));
    if (last && !epoch_ends) P2P_TRY(show_end(loop));
    loop->last_collected = sys_clock();
    loop->intervals = 0;
    loop->followed = false;
    return P2P_OK;
}

/* ---- The whole training ------------------------------------------------------------------------------- */

static bool is_done(const training_loop *loop) {
    return loop->at->step >= loop->t->total_steps;
}

/* If the batch of one rank can't be loaded, none begins the step. */
static p2p_status next_batch(training_loop *loop, const loader_batch **batch) {
    double begun = sys_clock();
    p2p_status status = loader_next(loop->loading, batch);
    loop->waited += sys_clock() - begun;
    status = ranks_agree(loop->t->ranks, status);
    loop->bad_pair = status == P2P_INPUT;
    P2P_TRY(status);
    if ((*batch)->replaced > 0 && loop->replaced == 0)
        snprintf(loop->reason, sizeof loop->reason, "%s", (*batch)->reason);
    loop->replaced += (*batch)->replaced;
    return P2P_OK;
}

/* With several ranks a signal stops all after the step at which they exchange it. */
static p2p_status check_stop(const training_loop *loop) {
    return loop->t->ranks && !loop->stops ? P2P_OK : sys_stop_check();
}

static p2p_status train_all(training_loop *loop) {
    while (!is_done(loop)) {
        const loader_batch *batch;
        P2P_TRY(check_stop(loop));
        sys_stop_listen("step"); /* drivers that compile in the first steps may have replaced the handlers */
        P2P_TRY(next_batch(loop, &batch));
        P2P_TRY(train_step(loop, batch));
        P2P_TRY(after_step(loop));
    }
    P2P_TRY(gather_replaced(loop));
    report_replaced(loop);
    return P2P_OK;
}

static p2p_status allocate_batch(void *session, size_t bytes, void **memory) {
    return p2p_session_host_alloc(session, 0, bytes, memory);
}

static void free_batch(void *session, void *memory) {
    p2p_session_host_free(session, memory);
}

static p2p_status load_and_train(training_loop *loop) {
    const trainer *t = loop->t;
    loader_options options = {.data = t->training,
                              .format = t->format,
                              .augment = t->augment,
                              .workers = (int)t->all->workers,
                              .batch = (int)t->global_batch,
                              .shares = t->replicas,
                              .share = t->first_replica,
                              .own = t->devices.count,
                              .shuffle = !t->all->no_shuffle,
                              .seed = t->all->seed,
                              .epoch = loop->at->epoch,
                              .first = loop->at->images,
                              .epoch_end = INT64_MAX,
                              .memory = {allocate_batch, free_batch, t->session}};
    P2P_TRY(loader_create(&loop->loading, &options));
    p2p_status status = train_all(loop);
    loader_destroy(loop->loading); /* waits until the step in flight has read its batch */
    loop->loading = NULL;
    return status;
}

static p2p_status find_end(const training_loop *loop, bool *there) {
    char name[RUN_EPOCH_NAME_BYTES], *path;
    run_step_sample_name(name, loop->at->step);
    P2P_TRY(sys_path_join(&path, loop->t->paths.samples, name));
    const p2p_status status = sys_path_exists(path, there);
    free(path);
    return status;
}

/* The picture at the end of a training that ends within an epoch is written after the last checkpoint. */
static p2p_status restore_end(training_loop *loop) {
    bool there = false;
    if (trainer_writes(loop->t)) P2P_TRY(find_end(loop, &there));
    P2P_TRY(ranks_share(loop->t->ranks, &there, sizeof there));
    if (!there) return show_end(loop);
    return trainer_writes(loop->t) ? trainer_remove_step_samples(loop->t, loop->at->step) : P2P_OK;
}

/* A training that was stopped between an epoch's last step and the end of its validation continues with the
 * validation. One that was stopped after its last checkpoint has its models already (trainer_restore). */
static p2p_status run_loop(training_loop *loop) {
    if (loop->at->batch == loop->t->epoch_batches)
        P2P_TRY(after_step(loop));
    else if (is_done(loop) && loop->at->batch > 0)
        return restore_end(loop);
    return is_done(loop) ? P2P_OK : load_and_train(loop);
}

/* Complete the last step, to the state that is saved. */
static p2p_status complete(training_loop *loop) {
    P2P_TRY(collect(loop));
    if (check_is_due(loop, true)) P2P_TRY(check_replicas(loop));
    return p2p_session_gather(loop->t->session);
}

/* Whether the state after the last step is saved. Of several ranks all must end at this step, be able to
 * complete it, and have a training that did not diverge: else none saves, because each waits for the others.
 */
static bool can_complete(const training_loop *loop, p2p_status status) {
    ranks *all = loop->t->ranks;
    double able = loop->can_save && status != P2P_DIVERGED;
    if (all && status != P2P_STOPPED && !ranks_agreed(all)) return false;
    return ranks_add(all, &able, 1) == P2P_OK && (int)able == ranks_size(all);
}

static p2p_status end_early(training_loop *loop, p2p_status status) {
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    const bool completes = can_complete(loop, status);
    const p2p_status completed = completes ? complete(loop) : P2P_FAILED;
    if (status == P2P_STOPPED && completed != P2P_OK)
        p2p_failure_take(&failure, completed);
    else if (completes && completed != P2P_OK)
        p2p_warn("nothing is saved after step %" PRId64 ": %s", loop->at->step, p2p_message());
    return trainer_rescue(loop->t, &failure, completed == P2P_OK, loop->bad_pair);
}

static p2p_status train(trainer *t) {
    const double now = sys_clock();
    training_loop loop = {.t = t,
                          .at = &t->at,
                          .last_collected = now,
                          .last_checkpoint = now,
                          .last_picture = now,
                          .can_save = true};
    sys_stop_listen("step");
    const p2p_status status = run_loop(&loop);
    return status == P2P_OK ? P2P_OK : end_early(&loop, status);
}

static p2p_status finish(trainer *t) {
    if (!trainer_writes(t)) return P2P_OK;
    metrics_log *log = t->metrics;
    t->metrics = NULL;
    P2P_TRY(metrics_close(log));
    progress_hide(t->progress);
    trainer_report_end(t);
    text_line(stdout, "%s", t->paths.generator);
    progress_line(t->progress, "done: the model is %s, sample pictures are in %s", t->paths.generator,
                  t->paths.samples);
    if (!t->report_failed) progress_line(t->progress, "its course: %s, for a browser", t->paths.report);
    return P2P_OK;
}

p2p_status trainer_run(settings *all, ranks *together) {
    trainer t;
    p2p_status status = trainer_open(&t, all, together);
    if (status == P2P_OK) status = train(&t);
    if (status == P2P_OK) status = finish(&t);
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    if (together && status != P2P_OK && status != P2P_STOPPED) {
        trainer_leave(&t);
        return p2p_failure_give(&failure);
    }
    trainer_close(&t); /* may set another message, e.g. if the device is lost */
    return status == P2P_OK ? P2P_OK : p2p_failure_give(&failure);
}
