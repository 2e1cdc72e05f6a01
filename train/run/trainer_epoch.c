/* See trainer_epoch.h. */
#include "trainer_epoch.h"

#include "host/sys.h"
#include "image/picture_grid.h"
#include "trainer_folder.h"
#include "trainer_report.h"
#include "trainer_save.h"
#include "trainer_tensorboard.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Write the grid of pictures of the last validation, which may take minutes, in which the folder may be
 * renamed. */
static p2p_status write_grid(trainer *t, const char *name) {
    char *path;
    bool moved;
    P2P_TRY(trainer_follow_folder(t, &moved));
    P2P_TRY(sys_path_join(&path, t->paths.samples, name));
    p2p_status status = validation_save_grid(t->validator, path, t->run[0] ? t->run : NULL);
    if (status == P2P_OK) trainer_tensorboard_picture(t, path, t->at.step);
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
static void warn_discriminator_wins(const trainer *t, trainer_epoch *e, const loss_values *mean) {
    e->won = discriminator_wins(t, mean) ? e->won + 1 : 0;
    if (e->won != 3) return;
    progress_line_in(t->progress, PROGRESS_WARNING,
                     "D has won: it distinguishes nearly all generated pictures from targets, so G");
    progress_line_in(t->progress, PROGRESS_WARNING,
                     "learns mostly from L1. Judge by the pictures; report.html has more on this");
}

static p2p_status validate(const trainer *t, trainer_epoch *e, const char *title, quality *mean) {
    const p2p_status status = validation_run(t->validator, &t->evaluator, title, mean);
    e->bad_pair = status == P2P_INPUT;
    return status;
}

p2p_status trainer_measure_epoch(const trainer *t, trainer_epoch *e) {
    const training_position *at = &t->at;
    char title[PICTURE_GRID_TITLE_BYTES];
    const double begun = sys_clock();
    epoch_record *record = &e->record;
    *record = (epoch_record){.step = at->step,
                             .epoch = at->epoch + 1,
                             .mean = epoch_mean(at),
                             .validated = t->validation != NULL,
                             .baseline_l1 = validation_baseline_l1(t->validator)};
    snprintf(title, sizeof title, "epoch %" PRId64, record->epoch);
    P2P_TRY(validate(t, e, title, &record->validation));
    e->validated = sys_clock() - begun;
    record->best = record->validated && (at->best_epoch == 0 || record->validation.l1 < at->best_l1);
    return P2P_OK;
}

p2p_status trainer_gather_replaced(const trainer *t, trainer_epoch *e) {
    double replaced = (double)e->replaced;
    P2P_TRY(ranks_add(t->ranks, &replaced, 1));
    if (e->replaced == 0) snprintf(e->reason, sizeof e->reason, "one of another rank");
    e->replaced = trainer_writes(t) ? (int64_t)replaced : 0;
    return P2P_OK;
}

static void report_left_out(const trainer *t) {
    const char *reason;
    const int64_t left_out = validation_left_out(t->validator, &reason);
    if (left_out > 0)
        progress_line(t->progress, "val: %" PRId64 " left out as unusable; the first: %s", left_out, reason);
}

void trainer_report_replaced(const trainer *t, trainer_epoch *e) {
    if (e->replaced > 0)
        progress_line(t->progress,
                      "%" PRId64 " pairs were unusable and have been replaced by others; the first: %s",
                      e->replaced, e->reason);
    e->replaced = 0;
}

static p2p_status write_epoch(trainer *t, trainer_epoch *e) {
    const epoch_record *record = &e->record;
    char name[RUN_EPOCH_NAME_BYTES];
    run_epoch_sample_name(name, record->epoch);
    P2P_TRY(write_grid(t, name));
    P2P_TRY(trainer_remove_step_samples(t, 0));
    P2P_TRY(trainer_save_epoch(t, record->epoch));
    P2P_TRY(trainer_remove_old_samples(t));
    if (record->best) P2P_TRY(trainer_save_best(t, record));
    P2P_TRY(metrics_epoch(t->metrics, record));
    trainer_tensorboard_epoch(t, record);
    progress_epoch(t->progress, record);
    report_left_out(t);
    warn_discriminator_wins(t, e, &record->mean);
    trainer_report_replaced(t, e);
    return P2P_OK;
}

p2p_status trainer_end_epoch(trainer *t, trainer_epoch *e) {
    training_position *at = &t->at, next = {.step = at->step, .epoch = at->epoch + 1};
    const epoch_record *record = &e->record;
    if (trainer_writes(t)) P2P_TRY(write_epoch(t, e));
    next.best_epoch = record->best ? record->epoch : at->best_epoch;
    next.best_l1 = record->best ? record->validation.l1 : at->best_l1;
    *at = next;
    t->epoch_batches = t->batches;
    e->last_picture = sys_clock();
    trainer_report(t, REPORT_SOON);
    return P2P_OK;
}

/* The name and the title of the grid of pictures after the last step. */
static void name_step(const trainer *t, char name[RUN_EPOCH_NAME_BYTES],
                      char title[PICTURE_GRID_TITLE_BYTES]) {
    run_step_sample_name(name, t->at.step);
    snprintf(title, PICTURE_GRID_TITLE_BYTES, "step %" PRId64, t->at.step);
}

p2p_status trainer_draw_step(trainer *t, trainer_epoch *e) {
    char name[RUN_EPOCH_NAME_BYTES], title[PICTURE_GRID_TITLE_BYTES];
    name_step(t, name, title);
    const p2p_status status = validation_draw(t->validator, &t->evaluator, title);
    e->bad_pair = status == P2P_INPUT;
    P2P_TRY(status);
    return trainer_writes(t) ? write_grid(t, name) : P2P_OK;
}

p2p_status trainer_show_end(trainer *t, trainer_epoch *e) {
    char name[RUN_EPOCH_NAME_BYTES], title[PICTURE_GRID_TITLE_BYTES], validation[128];
    quality measured;
    name_step(t, name, title);
    P2P_TRY(validate(t, e, title, &measured));
    if (trainer_writes(t)) P2P_TRY(write_grid(t, name));
    if (trainer_writes(t)) P2P_TRY(trainer_remove_step_samples(t, t->at.step));
    if (!t->validation) return P2P_OK;
    describe_validation(t, &measured, validation, sizeof validation);
    progress_line(t->progress, "%s", validation);
    report_left_out(t);
    return P2P_OK;
}

static p2p_status find_end(const trainer *t, bool *there) {
    char name[RUN_EPOCH_NAME_BYTES], *path;
    run_step_sample_name(name, t->at.step);
    P2P_TRY(sys_path_join(&path, t->paths.samples, name));
    const p2p_status status = sys_path_exists(path, there);
    free(path);
    return status;
}

p2p_status trainer_restore_end(trainer *t, trainer_epoch *e) {
    bool there = false;
    if (trainer_writes(t)) P2P_TRY(find_end(t, &there));
    P2P_TRY(ranks_share(t->ranks, &there, sizeof there));
    if (!there) return trainer_show_end(t, e);
    return trainer_writes(t) ? trainer_remove_step_samples(t, t->at.step) : P2P_OK;
}
