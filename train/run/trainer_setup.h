/* The parts of a trainer and how they come to be. Private to trainer*.c. */
#ifndef P2P_TRAINER_SETUP_H
#define P2P_TRAINER_SETUP_H

#include "checkpoint.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "metrics.h"
#include "progress.h"
#include "report.h"
#include "schedule.h"
#include "trainer.h"

/* Files of a run, below --out. All owned. */
typedef struct {
    char *folder, *config, *metrics, *generator, *discriminator, *checkpoints, *samples, *epochs, *best;
} trainer_paths;

typedef struct {
    settings *all;
    trainer_paths paths;
    dataset *training, *validation; /* validation is NULL where DIR/val is absent */
    data_identity identity;
    pair_format format; /* of the pictures that the networks see */
    augment_options augment;
    pix2pix *model;
    p2p_device *device;
    p2p_session *session;
    p2p_graph *step_graph, *last_graph, *report_graph;
    p2p_plan *step_plan;
    p2p_plan *last_plan; /* an epoch's last, smaller batch; NULL where all are equal */
    evaluator evaluator;
    report *report;
    metrics_log *metrics;
    progress *progress;
    char *resumed_from;   /* the checkpoint's path; NULL for a new training */
    char *choices;        /* how its convolutions were computed; NULL: not said */
    training_position at; /* where the next step to be enqueued stands */
    int64_t batches;      /* per epoch */
    int64_t total_steps, total_epochs;
    schedule schedule;
} trainer;

/* ---- Length and learning rate: trainer_length.c ---- */

/* Resolve what --epochs, --steps and --epochs-decay leave open, after settings_resume() where a training goes
 * on: a length given now replaces the kept one. */
p2p_status trainer_complete_length(settings *all);
/* P2P_USAGE where a resumed training's settings give epochs that it has trained, or begun, another rate than
 * the kept ones did. */
p2p_status trainer_check_schedule(const settings *all, const json_t *kept, const training_position *at,
                                  const char *file);
/* Totals and schedule, once the batches of an epoch are known. */
void trainer_resolve_length(trainer *t);
/* P2P_USAGE where more steps were made than are asked for. */
p2p_status trainer_check_unfinished(const trainer *t);

/* ---- All of it: trainer_setup.c ---- */

/* Check the settings, open data and device, plan, allocate, and set the weights: new ones, given ones or
 * those of the newest checkpoint. Call trainer_close() in any case. */
p2p_status trainer_open(trainer *t, settings *all);
void trainer_close(trainer *t);

#endif
