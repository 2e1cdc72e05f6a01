/* The generator files in a run's folder, and the selection of one by --model and --epoch. They are written by
 * trainer_save.c.
 */
#ifndef P2P_RUN_FILES_H
#define P2P_RUN_FILES_H

#include "host/folder_lock.h"
#include "p2p_status.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_CONFIG        "config.json"
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

/* Select a generator's file. If `model` is a file, it is `model`. If it is a run's folder, it is the
 * generator of `epoch`, or with epoch 0 the one with the most training steps. Files of another training than
 * the folder's are not selected, and reported on stderr. The caller frees *path. P2P_USAGE if an epoch is
 * given with a file, P2P_INPUT if there is no such generator; the message has the epochs that exist. */
p2p_status run_find_generator(const char *model, int64_t epoch, char **path);

#endif
