/* The parts of a trainer, their creation and destruction. Private to trainer*.c. */
#ifndef P2P_TRAINER_SETUP_H
#define P2P_TRAINER_SETUP_H

#include "checkpoint.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "host/lock.h"
#include "initial_weights.h"
#include "metrics.h"
#include "progress.h"
#include "report/event_file.h"
#include "schedule.h"
#include "setup/setup_plans.h"
#include "trainer.h"
#include "validation.h"

/* The files of a run, below --out. Owned. */
typedef struct {
    char *folder, *config, *metrics, *generator, *discriminator, *checkpoints, *samples, *epochs, *best;
    char *kept_best; /* checkpoints/best: see trainer_folder.h */
    char *lock, *report, *tensorboard;
} trainer_paths;

typedef struct {
    settings *all;
    trainer_paths paths;
    dataset *training, *validation; /* validation is NULL if DIR/val is absent */
    training_source source;
    training_origin origin;              /* of what this process trains with */
    training_origin kept;                /* of what the resumed training was trained with */
    char run[MODEL_FILE_RUN_BYTES];      /* the identity of the files that are written */
    char kept_run[MODEL_FILE_RUN_BYTES]; /* of the existing files */
    sys_lock *lock;
    bool made_folder;   /* the folder was made, and nothing has been written into it yet */
    pair_format format; /* of the networks' pictures */
    augment_options augment;
    pix2pix *model;
    ranks *ranks;                /* NULL: one */
    int replicas, first_replica; /* of all ranks, and the number of this rank's first */
    setup_devices devices;
    p2p_session *session;
    setup_plans plans;
    evaluator evaluator;
    validator *validator;
    metrics_log *metrics;
    history *past;        /* of the whole training, for the report */
    json_t *config;       /* the object of config.json */
    bool report_failed;   /* the last report was not written */
    bool others_reported; /* that there are pictures of another training in samples/ */
    double last_report;   /* clock reading; 0: none */
    event_file *events;   /* of --tensorboard; NULL: none, or no more */
    double last_flush;    /* clock reading, of the events */
    progress *progress;
    initial_weights initial;  /* files of a new training's weights */
    char *resumed_from;       /* the checkpoint's path; NULL for a new training */
    char *command;            /* that resumes, as of rank 0; NULL: of one rank */
    char *choices;            /* the checkpoint's convolution choices; NULL: none recorded */
    training_position at;     /* of the next step to enqueue */
    int64_t checkpoint_epoch; /* whole epochs at the last checkpoint */
    int64_t checkpoint_best;  /* the best epoch of the last checkpoint, whose models OUT/best or its kept copy
                                 has */
    int64_t batches;          /* per epoch */
    int64_t epoch_batches;    /* of the epoch t->at.epoch: other devices may have begun it */
    int64_t global_batch;     /* pairs per step: of all devices */
    uint32_t *samples;        /* keys of a step's pairs; owned */
    int64_t total_steps, total_epochs;
    schedule schedule;
} trainer;

/* ---- Length and learning rate: trainer_length.c ------------------------------------------------------- */

/* Set --epochs and --steps that were not given to their defaults. For a resumed training call it after
 * settings_resume(): a length given now replaces the recorded one. P2P_USAGE if the options contradict each
 * other. */
p2p_status trainer_complete_length(settings *all);
/* P2P_USAGE if the settings of a resumed training change the learning rate of an epoch that it has trained or
 * begun. `kept` are the settings of checkpoint `file`. */
p2p_status trainer_check_schedule(const settings *all, const json_t *kept, const training_position *at,
                                  const char *file);
/* Compute total_steps, total_epochs and the schedule. Needs t->batches. */
void trainer_resolve_length(trainer *t);
/* Returns P2P_USAGE if more steps were made than the settings allow. */
p2p_status trainer_check_unfinished(const trainer *t);

/* ---- Creation and destruction: trainer_setup.c -------------------------------------------------------- */

/* Check the settings, open data and device, plan, allocate, and set the weights: new ones, given ones, or
 * those of the newest checkpoint. Call trainer_close() in any case. */
p2p_status trainer_open(trainer *t, settings *all, ranks *r);
void trainer_close(trainer *t);
/* Instead, after a failure of one rank of several: leave the folder as trainer_close does, and nothing else.
 */
void trainer_leave(trainer *t);

/* ---- What ranks have in common: trainer_ranks.c ------------------------------------------------------- */

/* Whether this rank prints and writes: rank 0, also of one. */
bool trainer_writes(const trainer *t);

/* Give all ranks what rank 0 continues from: settings, position, origin and choices. P2P_USAGE if a rank was
 * started with other options. */
p2p_status trainer_share_start(trainer *t);
/* P2P_INPUT if a rank has found other pairs than rank 0. */
p2p_status trainer_compare_data(const trainer *t);
/* Set the numbers of replicas and the precision of all ranks, and record the devices, of which rank 0 prints
 * a line for each rank, and the precision. */
p2p_status trainer_number_replicas(trainer *t);

#endif
