/* The record of a training: OUT/metrics.jsonl, and the progress shown while it runs.
 *
 * One JSON object per step, and one per epoch ("event": "epoch") with averages and the validation's result.
 * Nothing is measured here; drawing pictures is in report.c.
 */
#ifndef P2P_METRICS_H
#define P2P_METRICS_H

#include "p2p_status.h"
#include "quality.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The losses of one step, or their averages over an epoch, weighted by images. */
typedef struct {
    double d_real, d_fake; /* the discriminator's on real and on generated pairs; its loss is half the sum */
    double g_gan, g_l1;    /* the generator's */
} loss_values;

double loss_discriminator(const loss_values *losses);
bool loss_is_finite(const loss_values *losses);

typedef struct {
    int64_t step;  /* of the whole training, from 1 */
    int64_t epoch; /* from 1 */
    int images;    /* of its batch */
    loss_values losses;
    double learning_rate;
    double images_per_s; /* a running mean over the last steps; validation and checkpoints left out */
    double data_wait;    /* likewise: share of that time in which the loop waited for pictures, 0..1 */
} step_record;

typedef struct {
    int64_t step, epoch;
    loss_values mean;
    bool validated;
    bool best; /* its validation L1 is the smallest so far */
    quality validation;
    double baseline_l1; /* of the mean training target, on the same validation pairs */
} epoch_record;

typedef struct metrics_log metrics_log;

/* Open for appending, keeping of an existing file only what lies before a position: lines of steps up to
 * `keep_steps` and of epochs that ended up to `keep_epochs`; 0 for none. */
p2p_status metrics_open(metrics_log **log, const char *path, int64_t keep_steps, int64_t keep_epochs);
p2p_status metrics_step(metrics_log *log, const step_record *record);
p2p_status metrics_epoch(metrics_log *log, const epoch_record *record);
/* Everything reaches the disk. NULL is ignored. */
p2p_status metrics_close(metrics_log *log);

/* ---- Progress: a live line on a terminal, plain lines now and then elsewhere. ---- */

/* A p2p_progress for p2p_session_allocate, drawn on a terminal only; `stream` is a FILE. */
void progress_preparing(void *stream, int done, int total);
/* The same while convolutions are measured. */
void progress_measuring(FILE *stream, int done, int total);
/* "1:02:03" or "4:05". */
void progress_duration(double seconds, char *text, size_t size);

typedef struct progress progress;

/* `total_steps` and `total_epochs` are those of the whole training; `done_steps` were made before. NULL when
 * memory fails; the functions below ignore a NULL progress. */
progress *progress_create(FILE *stream, int64_t total_steps, int64_t total_epochs, int64_t done_steps);
void progress_step(progress *shown, const step_record *record);
/* Where steps are pictures: so many are done since progress_create. */
void progress_pictures(progress *shown, int64_t done);
/* Take the live line away before something else is written to the terminal. */
void progress_hide(progress *shown);
/* A whole line that stays, e.g. an epoch's result. */
void progress_line(progress *shown, const char *format, ...) P2P_PRINTF(2, 3);
void progress_destroy(progress *shown);

#endif
