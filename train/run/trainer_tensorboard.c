/* See trainer_tensorboard.h. */
#include "trainer_tensorboard.h"

#include "host/sys.h"
#include "image/image.h"

#include <stdlib.h>

/* Seconds after which events of steps are handed to the system. */
static const double FLUSH_INTERVAL = 5;

/* Write no more after a failure. */
static void check(trainer *t, p2p_status status) {
    if (status == P2P_OK) return;
    progress_line(t->progress, "no more events for TensorBoard are written: %s", p2p_message());
    event_file_close(t->events);
    t->events = NULL;
}

static p2p_status open_file(trainer *t) {
    P2P_TRY(sys_folder_make_one(t->paths.tensorboard));
    P2P_TRY(event_file_create(&t->events, t->paths.tensorboard, t->run, t->at.step + 1));
    P2P_TRY(event_file_settings(t->events, t->config, t->run));
    return event_file_flush(t->events);
}

void trainer_tensorboard_open(trainer *t) {
    if (t->all->tensorboard) check(t, open_file(t));
}

static p2p_status flush_if_due(trainer *t) {
    if (sys_clock() - t->last_flush < FLUSH_INTERVAL) return P2P_OK;
    t->last_flush = sys_clock();
    return event_file_flush(t->events);
}

void trainer_tensorboard_step(trainer *t, const step_record *record) {
    const event_scalar scalars[] = {{"loss/d_real", record->losses.d_real},
                                    {"loss/d_fake", record->losses.d_fake},
                                    {"loss/g_gan", record->losses.g_gan},
                                    {"loss/g_l1", record->losses.g_l1},
                                    {"training/learning_rate", record->learning_rate},
                                    {"training/images_per_s", record->images_per_s},
                                    {"training/data_wait", record->data_wait}};
    if (!t->events) return;
    p2p_status status =
        event_file_scalars(t->events, record->step, scalars, sizeof scalars / sizeof scalars[0]);
    check(t, status == P2P_OK ? flush_if_due(t) : status);
}

/* There is none if all its pairs were left out. */
static p2p_status add_picture(trainer *t, const char *path, int64_t step) {
    image_facts facts;
    uint8_t *bytes;
    size_t size;
    bool exists;
    P2P_TRY(sys_path_exists(path, &exists));
    if (!exists) return P2P_OK;
    P2P_TRY(image_inspect(path, &facts));
    P2P_TRY(sys_file_read(path, SIZE_MAX, &bytes, &size, NULL));
    const p2p_status status =
        event_file_picture(t->events, step, "samples", facts.header.width, facts.header.height, bytes, size);
    free(bytes);
    return status == P2P_OK ? event_file_flush(t->events) : status;
}

void trainer_tensorboard_picture(trainer *t, const char *path, int64_t step) {
    if (t->events) check(t, add_picture(t, path, step));
}

static p2p_status add_validation(trainer *t, const epoch_record *record) {
    const event_scalar scalars[] = {{"validation/l1", record->validation.l1},
                                    {"validation/psnr", record->validation.psnr},
                                    {"validation/ssim", record->validation.ssim},
                                    {"validation/l1_of_mean_target", record->baseline_l1}};
    return event_file_scalars(t->events, record->step, scalars, sizeof scalars / sizeof scalars[0]);
}

static p2p_status add_epoch(trainer *t, const epoch_record *record) {
    if (record->validated) P2P_TRY(add_validation(t, record));
    return event_file_flush(t->events);
}

void trainer_tensorboard_epoch(trainer *t, const epoch_record *record) {
    if (t->events) check(t, add_epoch(t, record));
}
