/* The loop over steps. See trainer.h.
 *
 * Two steps are in flight: while the device computes one, the host reads and records the losses of the one
 * before, so the device does not wait for the host. Validation and checkpoints need the state after an exact
 * step, so they first collect the step in flight.
 */
#include "trainer.h"

#include "host/sys.h"
#include "host/text.h"
#include "time_left.h"
#include "trainer_epoch.h"
#include "trainer_folder.h"
#include "trainer_rate.h"
#include "trainer_replicas.h"
#include "trainer_report.h"
#include "trainer_rescue.h"
#include "trainer_save.h"
#include "trainer_tensorboard.h"

#include <inttypes.h>
#include <stdlib.h>

enum { STEPS_BEFORE_ESTIMATE = 10 };

/* A step that has been enqueued and whose losses have not been read. */
typedef struct {
    p2p_plan *plan; /* NULL: none */
    int64_t step, epoch;
    int images;
    double learning_rate;
} step_in_flight;

typedef struct {
    trainer *t;
    loader *loader;           /* NULL: none */
    step_in_flight in_flight; /* its batch is held */
    training_position *at;
    double last_checkpoint;            /* clock reading */
    bool save_due, picture_due, stops; /* of several ranks: what they have agreed on */
    bool announced;                    /* the duration of the training was printed */
    training_rate rate;
    trainer_epoch epoch;
    /* The parameters are those of `at`, or will be when the step in flight has been collected. */
    bool can_save;
} training_loop;

static bool time_is_due(const training_loop *loop) {
    return sys_clock() - loop->last_checkpoint >= TRAINER_CHECKPOINT_SECONDS;
}

/* Whether a checkpoint within an epoch has a grid of pictures. Each that is written by time has one. */
static bool picture_is_due(const training_loop *loop) {
    return sys_clock() - loop->epoch.last_picture >= TRAINER_CHECKPOINT_SECONDS;
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

/* What the ranks exchange after each step. */
typedef struct {
    loss_values losses;
    int64_t stop; /* the signal that has requested it; 0: none */
    int64_t save; /* whether a checkpoint is due */
    int64_t picture;
} step_info;

static void merge_step_info(training_loop *loop, const step_info *all, int count, loss_values *losses) {
    *losses = (loss_values){0};
    for (int i = 0; i < count; i++) {
        losses->d_real += all[i].losses.d_real;
        losses->d_fake += all[i].losses.d_fake;
        losses->g_gan += all[i].losses.g_gan;
        losses->g_l1 += all[i].losses.g_l1;
        if (all[i].stop == 0) continue;
        sys_stop_adopt((int)all[i].stop);
        loop->stops = true;
    }
    loop->save_due = all[0].save != 0;
    loop->picture_due = all[0].picture != 0;
}

/* Add the losses of all ranks, in their order. A signal to one of them stops all, after the same step, and
 * rank 0's clock decides when a checkpoint and a picture are due. */
static p2p_status exchange_step_info(training_loop *loop, loss_values *losses) {
    const trainer *t = loop->t;
    const int count = ranks_size(t->ranks);
    const step_info mine = {.losses = *losses,
                            .stop = sys_stop_signal(),
                            .save = time_is_due(loop),
                            .picture = picture_is_due(loop)};
    if (!t->ranks) return P2P_OK;
    step_info *all = calloc((size_t)count, sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the losses of %d ranks", count);
    const p2p_status status = ranks_gather(t->ranks, &mine, sizeof mine, all);
    if (status == P2P_OK) merge_step_info(loop, all, count, losses);
    free(all);
    return status;
}

/* Draw the live line. After the first steps, print once how long the training will take. */
static void show_step(training_loop *loop, const step_record *record) {
    char text[TIME_LEFT_BYTES];
    const double left = trainer_seconds_left(loop->t, &loop->rate, record->step);
    if (!loop->announced && loop->rate.measured == STEPS_BEFORE_ESTIMATE &&
        record->step < loop->t->total_steps) {
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
    P2P_TRY(exchange_step_info(loop, &record.losses));
    if (loop->loader) loader_release(loop->loader); /* the device has read the step's batch */
    trainer_measure_rate(loop->t, &loop->rate, &record);
    P2P_TRY(check_finite(&record));
    add_losses(loop->at, &record.losses, flight.images);
    if (trainer_writes(loop->t)) P2P_TRY(metrics_step(loop->t->metrics, &record));
    trainer_tensorboard_step(loop->t, &record);
    show_step(loop, &record);
    if (loop->announced) trainer_report(loop->t, REPORT_LATER);
    loop->can_save = true;
    return P2P_OK;
}

/* The device reads its share of the batch where the loader put it. */
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

/* Enqueue a step on a batch. The sample keys of dropout are the pairs' indices in the data set. */
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
    loop->rate.followed = true;
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

/* At a checkpoint within an epoch, which may last for hours: the pictures, and the page. The end of an epoch
 * and that of the training have pictures of their own. */
static p2p_status show_checkpoint(training_loop *loop) {
    const trainer *t = loop->t;
    const double now = sys_clock();
    const bool within = loop->at->batch > 0 && loop->at->step < t->total_steps;
    const bool draws = within && (t->ranks ? loop->picture_due : picture_is_due(loop));
    if (draws) P2P_TRY(trainer_draw_step(loop->t, &loop->epoch));
    if (draws) loop->epoch.last_picture = now;
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
    mean_duration_add(&loop->rate.saves, loop->last_checkpoint - begun);
    return P2P_OK;
}

static bool save_is_due(const training_loop *loop) {
    const int64_t every = loop->t->all->checkpoint_every;
    if (every > 0) return loop->at->step % every == 0;
    return loop->t->ranks ? loop->save_due : time_is_due(loop);
}

/* Whether the weights on all devices are compared. `keeps`: files will have the weights of the first one, and
 * those of a device that differs must neither be used nor resumed. */
static bool check_is_due(const training_loop *loop, bool keeps) {
    const trainer *t = loop->t;
    const int64_t every = t->all->check_replicas;
    return every > 0 && t->replicas > 1 && (keeps || loop->at->step % every == 0);
}

/* What is due after a step. It may be repeated after a failure to write. */
static p2p_status end_and_save(training_loop *loop, bool saves) {
    bool moved;
    const double begun = sys_clock();
    if (loop->at->batch == loop->t->epoch_batches) {
        P2P_TRY(trainer_end_epoch(loop->t, &loop->epoch));
        mean_duration_add(&loop->rate.epoch_ends, loop->epoch.validated + sys_clock() - begun);
    }
    if (!saves) return P2P_OK;
    if (trainer_writes(loop->t)) P2P_TRY(trainer_follow_folder(loop->t, &moved));
    return save(loop);
}

/* Like end_and_save; if the folder was removed or replaced, returns that failure instead. */
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
    if (checks) P2P_TRY(trainer_check_replicas(t, saves, &loop->can_save));
    if (epoch_ends) P2P_TRY(trainer_measure_epoch(t, &loop->epoch));
    if (epoch_ends) P2P_TRY(trainer_gather_replaced(t, &loop->epoch));
    P2P_TRY(p2p_session_gather(loop->t->session));
    P2P_TRY(end_and_save_in_folder(loop, saves));
    if (last && !epoch_ends) P2P_TRY(trainer_show_end(loop->t, &loop->epoch));
    trainer_pause_rate(&loop->rate);
    return P2P_OK;
}

/* ---- The whole training ------------------------------------------------------------------------------- */

static bool is_done(const training_loop *loop) {
    return loop->at->step >= loop->t->total_steps;
}

/* If the batch of one rank can't be loaded, none begins the step. */
static p2p_status next_batch(training_loop *loop, const loader_batch **batch) {
    double begun = sys_clock();
    p2p_status status = loader_next(loop->loader, batch);
    loop->rate.waited += sys_clock() - begun;
    status = ranks_agree(loop->t->ranks, status);
    loop->epoch.bad_pair = status == P2P_INPUT;
    P2P_TRY(status);
    if ((*batch)->replaced > 0 && loop->epoch.replaced == 0)
        snprintf(loop->epoch.reason, sizeof loop->epoch.reason, "%s", (*batch)->reason);
    loop->epoch.replaced += (*batch)->replaced;
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
    P2P_TRY(trainer_gather_replaced(loop->t, &loop->epoch));
    trainer_report_replaced(loop->t, &loop->epoch);
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
    P2P_TRY(loader_create(&loop->loader, &options));
    p2p_status status = train_all(loop);
    loader_destroy(loop->loader); /* waits until the step in flight has read its batch */
    loop->loader = NULL;
    return status;
}

/* A training that was stopped between an epoch's last step and the end of its validation continues with the
 * validation. One that was stopped after its last checkpoint has its models already (trainer_restore). */
static p2p_status run_loop(training_loop *loop) {
    if (loop->at->batch == loop->t->epoch_batches)
        P2P_TRY(after_step(loop));
    else if (is_done(loop) && loop->at->batch > 0)
        return trainer_restore_end(loop->t, &loop->epoch);
    return is_done(loop) ? P2P_OK : load_and_train(loop);
}

/* Complete the last step, to the state that is saved. */
static p2p_status complete(training_loop *loop) {
    P2P_TRY(collect(loop));
    if (check_is_due(loop, true)) P2P_TRY(trainer_check_replicas(loop->t, true, &loop->can_save));
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
    return trainer_rescue(loop->t, &failure, completed == P2P_OK, loop->epoch.bad_pair);
}

static p2p_status train(trainer *t) {
    const double now = sys_clock();
    training_loop loop = {.t = t,
                          .at = &t->at,
                          .rate = {.last_collected = now},
                          .last_checkpoint = now,
                          .epoch = {.last_picture = now},
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

p2p_status trainer_run(settings *all, ranks *r) {
    trainer t;
    p2p_status status = trainer_open(&t, all, r);
    if (status == P2P_OK) status = train(&t);
    if (status == P2P_OK) status = finish(&t);
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    if (r && status != P2P_OK && status != P2P_STOPPED) {
        trainer_leave(&t);
        return p2p_failure_give(&failure);
    }
    trainer_close(&t); /* may set another message, e.g. if the device is lost */
    return status == P2P_OK ? P2P_OK : p2p_failure_give(&failure);
}
