/* The names of the files in a run's folder. They are written by train/run. */
#ifndef P2P_RUN_FILES_H
#define P2P_RUN_FILES_H

#include "host/folder_lock.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_CONFIG        FOLDER_TRAINING
#define RUN_METRICS       "metrics.jsonl"
#define RUN_GENERATOR     "generator.safetensors"
#define RUN_DISCRIMINATOR "discriminator.safetensors"
#define RUN_CHECKPOINTS   "checkpoints"
#define RUN_SAMPLES       "samples"
#define RUN_EPOCHS        "epochs"
#define RUN_BEST          "best"
#define RUN_BEST_NUMBERS  "best.json"
#define RUN_LOCK          FOLDER_LOCK
#define RUN_REPORT        "report.html"
#define RUN_TENSORBOARD   "tensorboard"

/* The numbers of `p2p test`, in the folder of its results. */
#define TEST_METRICS "metrics.json"

enum { RUN_EPOCH_NAME_BYTES = 64 };

/* "NNN-generator.safetensors", the name of an epoch's generator in the folder RUN_EPOCHS. */
void run_epoch_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch);
/* The epoch of such a name; 0 if it is another name. */
int64_t run_epoch_of_name(const char *name);
bool run_is_epoch_name(const char *name);

/* The names of sample pictures: of an epoch, and of a step at which a training ended within an epoch. */
void run_epoch_sample_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch);
void run_step_sample_name(char name[RUN_EPOCH_NAME_BYTES], int64_t step);
/* The epoch or the step of such a name; the other is 0, and both are for another name. */
void run_sample_of_name(const char *name, int64_t *epoch, int64_t *step);
bool run_is_sample_name(const char *name);
/* Whether a name is one of the folder RUN_BEST. */
bool run_is_best_name(const char *name);

/* "step-NNNNNNNNN.safetensors", the name of a checkpoint in the folder RUN_CHECKPOINTS. */
void run_checkpoint_name(char name[RUN_EPOCH_NAME_BYTES], int64_t step);
/* The step of such a name; -1 if it is another name. */
int64_t run_step_of_checkpoint(const char *name);
bool run_is_checkpoint_name(const char *name);

#endif
