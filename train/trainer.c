/* The loop over steps. See trainer.h.
 *
 * Two steps are in flight: while the device works on one, the losses of the one before are read and recorded,
 * so the device never waits for the host. Whatever needs the state of an exact step (validation, checkpoints)
 * collects what is in flight first.
 */
#include "trainer.h"

#include "model_file.h"
#include "sys.h"
#include "trainer_setup.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const double SECONDS_BETWEEN_CHECKPOINTS = 300;
/* Least weight of the newest step in the running mean of seconds per image: about the last ten count. */
static const double RATE_WEIGHT = 0.1;

/* A step that has been given to the device and whose losses have not been read. */
typedef struct {
    p2p_plan *plan; /* NULL: none */
    int64_t step, epoch;
    int images;
    double learning_rate;
} step_in_flight;

typedef struct {
    trainer *t;
    step_in_flight in_flight;
    training_position *at;
    double last_collected, last_checkpoint; /* clock readings */
    double seconds_per_image;               /* running mean */
    int64_t measured;                       /* steps in it */
} training_loop;

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

static p2p_status diverged(const training_loop *loop, const step_record *record) {
    p2p_fail(P2P_FAILED,
             "step %" PRId64 ": a loss is no longer a finite number (D real %g, D fake %g, G %g, L1 %g)",
             record->step, record->losses.d_real, record->losses.d_fake, record->losses.g_gan,
             record->losses.g_l1);
    return p2p_hint(P2P_FAILED,
                    "the last checkpoint in %s is from before; try another --seed or a larger --batch",
                    loop->t->paths.checkpoints);
}

/* Images per second, as a running mean: single intervals say little when two steps are in flight. The first
 * step, in which drivers compile, is forgotten with the second. */
static double measure_rate(training_loop *loop, int images) {
    double now = sys_clock(), seconds = (now - loop->last_collected) / images;
    double weight = loop->measured < 2 ? 1 : fmax(RATE_WEIGHT, 1.0 / (double)loop->measured);
    loop->measured++;
    loop->seconds_per_image += weight * (seconds - loop->seconds_per_image);
    loop->last_collected = now;
    return 1 / loop->seconds_per_image;
}

/* Read and record the losses of the step in flight, if there is one. */
static p2p_status collect(training_loop *loop) {
    step_in_flight flight = loop->in_flight;
    if (!flight.plan) return P2P_OK;
    loop->in_flight.plan = NULL;
    step_record record = {.step = flight.step,
                          .epoch = flight.epoch,
                          .images = flight.images,
                          .learning_rate = flight.learning_rate};
    P2P_TRY(read_losses(flight.plan, &record.losses));
    record.images_per_s = measure_rate(loop, flight.images);
    if (!loss_is_finite(&record.losses)) return diverged(loop, &record);
    add_losses(loop->at, &record.losses, flight.images);
    P2P_TRY(metrics_step(loop->t->metrics, &record));
    progress_step(loop->t->progress, &record);
    return P2P_OK;
}

/* Give a batch to the device. The keys of dropout are the pairs' places in the data set. */
static p2p_status enqueue(training_loop *loop, const loader_batch *batch, p2p_plan *plan,
                          double learning_rate) {
    const trainer *t = loop->t;
    size_t bytes = (size_t)batch->count * (size_t)t->all->size * (size_t)t->all->size * IMAGE_CHANNELS;
    uint32_t samples[4096]; /* the largest --batch */
    for (int i = 0; i < batch->count; i++) samples[i] = (uint32_t)batch->samples[i];
    memcpy(p2p_plan_input(plan, 0, "input"), batch->input, bytes);
    memcpy(p2p_plan_input(plan, 0, "target"), batch->target, bytes);
    return p2p_plan_run(plan, &(p2p_step){.seed = t->all->seed,
                                          .step = (uint32_t)loop->at->step,
                                          .learning_rate = learning_rate,
                                          .samples = samples});
}

static p2p_status train_step(training_loop *loop, const loader_batch *batch) {
    trainer *t = loop->t;
    p2p_plan *plan = batch->count == t->all->batch ? t->step_plan : t->last_plan;
    if (loop->in_flight.plan != plan) P2P_TRY(collect(loop));
    const double learning_rate = schedule_rate(&t->schedule, loop->at->epoch);
    P2P_TRY(enqueue(loop, batch, plan, learning_rate));
    P2P_TRY(collect(loop));
    loop->at->step++;
    loop->at->batch++;
    loop->in_flight = (step_in_flight){.plan = plan,
                                       .step = loop->at->step,
                                       .epoch = loop->at->epoch + 1,
                                       .images = batch->count,
                                       .learning_rate = learning_rate};
    return P2P_OK;
}

/* ---- Between steps ------------------------------------------------------------------------------------ */

static p2p_status run_report(training_loop *loop, const char *name, double *val_l1) {
    char *path;
    P2P_TRY(sys_path_join(&path, loop->t->paths.samples, name));
    p2p_status status = report_run(loop->t->report, &loop->t->evaluator, path, val_l1);
    free(path);
    return status;
}

static loss_values epoch_mean(const training_position *at) {
    double images = (double)at->images;
    return (loss_values){.d_real = at->sums.d_real / images,
                         .d_fake = at->sums.d_fake / images,
                         .g_gan = at->sums.g_gan / images,
                         .g_l1 = at->sums.g_l1 / images};
}

static void show_epoch(const trainer *t, const epoch_record *record) {
    char validation[96] = "";
    if (record->validated)
        snprintf(validation, sizeof validation, "  validation L1 %.4f (mean training target: %.4f)",
                 record->val_l1, record->baseline_l1);
    progress_line(t->progress, "epoch %" PRId64 "/%" PRId64 " done: D real %.3f fake %.3f  G %.3f  L1 %.4f%s",
                  record->epoch, t->total_epochs, record->mean.d_real, record->mean.d_fake,
                  record->mean.g_gan, record->mean.g_l1, validation);
}

static p2p_status end_epoch(training_loop *loop) {
    trainer *t = loop->t;
    char name[64];
    P2P_TRY(collect(loop));
    epoch_record record = {.step = loop->at->step,
                           .epoch = loop->at->epoch + 1,
                           .mean = epoch_mean(loop->at),
                           .validated = t->validation != NULL,
                           .baseline_l1 = report_baseline_l1(t->report)};
    snprintf(name, sizeof name, "epoch-%04" PRId64 ".png", record.epoch);
    P2P_TRY(run_report(loop, name, &record.val_l1));
    P2P_TRY(metrics_epoch(t->metrics, &record));
    show_epoch(t, &record);
    *loop->at = (training_position){.step = loop->at->step, .epoch = loop->at->epoch + 1};
    return P2P_OK;
}

static p2p_status save_model(trainer *t, p2p_network *network, const char *path) {
    model_file_info info = {.step = t->at.step, .epoch = t->at.epoch};
    snprintf(info.direction, sizeof info.direction, "%s", t->all->direction);
    return model_file_save(t->session, t->model, network, &info, path);
}

/* Both models as they are, and a checkpoint of the whole training. */
static p2p_status save(training_loop *loop) {
    trainer *t = loop->t;
    P2P_TRY(collect(loop));
    checkpoint_info info = {.position = t->at, .data = t->identity, .settings = settings_to_json(t->all)};
    if (!info.settings) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to write the settings down");
    p2p_status status = checkpoint_save(t->paths.checkpoints, &info, t->session, t->model);
    checkpoint_info_free(&info);
    P2P_TRY(status);
    P2P_TRY(save_model(t, t->model->generator.network, t->paths.generator));
    P2P_TRY(save_model(t, t->model->discriminator.network, t->paths.discriminator));
    loop->last_checkpoint = sys_clock();
    return P2P_OK;
}

static bool save_is_due(const training_loop *loop) {
    const settings *all = loop->t->all;
    if (all->save_every > 0) return loop->at->step % all->save_every == 0;
    return sys_clock() - loop->last_checkpoint >= SECONDS_BETWEEN_CHECKPOINTS;
}

/* What follows a step: the end of its epoch, then a checkpoint, so that a checkpoint never stands between an
 * epoch's last step and its report. */
static p2p_status after_step(training_loop *loop) {
    const trainer *t = loop->t;
    bool epoch_ends = loop->at->batch == t->batches, last = loop->at->step == t->total_steps;
    bool saves = save_is_due(loop) || last;
    if (!epoch_ends && !saves) return P2P_OK;
    P2P_TRY(collect(loop));
    if (epoch_ends) P2P_TRY(end_epoch(loop));
    if (saves) P2P_TRY(save(loop));
    if (last && !epoch_ends) {
        char name[64];
        double val_l1 = 0;
        snprintf(name, sizeof name, "step-%06" PRId64 ".png", loop->at->step);
        P2P_TRY(run_report(loop, name, &val_l1));
        if (t->validation)
            progress_line(t->progress, "validation L1 %.4f (mean training target: %.4f)", val_l1,
                          report_baseline_l1(t->report));
    }
    loop->last_collected = sys_clock();
    return P2P_OK;
}

/* ---- The whole training ------------------------------------------------------------------------------- */

static p2p_status train_all(training_loop *loop, loader *loading) {
    while (loop->at->step < loop->t->total_steps) {
        const loader_batch *batch;
        P2P_TRY(loader_next(loading, &batch));
        P2P_TRY(train_step(loop, batch));
        P2P_TRY(after_step(loop));
    }
    return P2P_OK;
}

static p2p_status run_loop(trainer *t) {
    loader *loading = NULL;
    loader_options options = {.data = t->training,
                              .augment = t->augment,
                              .batch = (int)t->all->batch,
                              .shuffle = !t->all->no_shuffle,
                              .seed = t->all->seed,
                              .epoch = t->at.epoch,
                              .first = t->at.batch,
                              .epoch_end = INT64_MAX};
    P2P_TRY(loader_create(&loading, &options));
    double now = sys_clock();
    training_loop loop = {.t = t, .at = &t->at, .last_collected = now, .last_checkpoint = now};
    p2p_status status = train_all(&loop, loading);
    loader_destroy(loading);
    return status;
}

static p2p_status finish(trainer *t) {
    metrics_log *log = t->metrics;
    t->metrics = NULL;
    P2P_TRY(metrics_close(log));
    printf("%s\n", t->paths.generator);
    progress_line(t->progress, "done: the model is %s, sample pictures are in %s", t->paths.generator,
                  t->paths.samples);
    return P2P_OK;
}

p2p_status trainer_run(settings *all) {
    trainer t;
    p2p_status status = trainer_open(&t, all);
    if (status == P2P_OK) status = run_loop(&t);
    if (status == P2P_OK) status = finish(&t);
    trainer_close(&t);
    return status;
}
