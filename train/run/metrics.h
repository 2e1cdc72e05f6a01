/* The log of a training: OUT/metrics.jsonl, with one JSON object per step, and one per epoch ("event":
 * "epoch") with means and the results of the validation. The first line ("event": "run") has the identity of
 * the run.
 *
 * FORMATS.md describes the fields. Those that are measured, from "time" on, are last in their lines.
 * Validation itself is in validation.c.
 */
#ifndef P2P_METRICS_H
#define P2P_METRICS_H

#include "p2p_status.h"
#include "report/history.h"
#include "use/quality.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The losses of one step, or their means over an epoch's images. */
typedef struct {
    double d_real, d_fake; /* of the discriminator on real and on generated pairs; its loss is half the sum */
    double g_gan, g_l1;    /* of the generator, unweighted */
} loss_values;

bool loss_is_finite(const loss_values *losses);

typedef struct {
    int64_t step;  /* of the whole training, from 1 */
    int64_t epoch; /* from 1 */
    int images;    /* in its batch */
    loss_values losses;
    double learning_rate;
    double images_per_s;   /* a running mean, without validation and checkpoints */
    double data_wait;      /* the fraction of this time in which the loop waited for pictures, 0..1 */
    bool reduces;          /* several devices, and the next is known */
    double reduction_wait; /* the fraction of it in which the devices stood still for reductions, 0..1 */
} step_record;

typedef struct {
    int64_t step, epoch;
    loss_values mean;
    bool validated;
    bool best;          /* its validation L1 is the smallest so far */
    quality validation; /* if validated */
    double baseline_l1; /* of the mean training target on the same validation pairs */
} epoch_record;

typedef struct metrics_log metrics_log;

/* Open the log of the training with identity `run` for appending. An existing file is first truncated to the
 * position of the training: lines of steps up to `keep_steps` and of epochs up to `keep_epochs` are kept.
 * P2P_INPUT, with nothing changed, if it is the log of another training. With `run` "" the log has no first
 * line, as older versions wrote it. If lines are not records, or steps are missing, the file is first copied
 * to one with the suffix SYS_DAMAGED, with a warning, and a line has the number of missing steps, so that
 * they are reported once. A first line that is absent or whose identity is damaged in a few digits is written
 * again. The lines that are kept, and those that are written later, are added to `past`, which is borrowed;
 * NULL: to none. */
p2p_status metrics_open(metrics_log **log, const char *path, const char *run, int64_t keep_steps,
                        int64_t keep_epochs, history *past);
/* P2P_INPUT if the file exists and is the log of another training than `run`. */
p2p_status metrics_check_run(const char *path, const char *run);
/* Write a line, and add it to the history. P2P_IO if it can't be written, P2P_OUT_OF_MEMORY. */
p2p_status metrics_step(metrics_log *log, const step_record *record);
p2p_status metrics_epoch(metrics_log *log, const epoch_record *record);
/* Flush all lines to the disk, so that a checkpoint is never ahead of the log. */
p2p_status metrics_sync(metrics_log *log);
/* P2P_IO if buffered lines cannot be written. Releases the log in any case. NULL is ignored. */
p2p_status metrics_close(metrics_log *log);

#endif
