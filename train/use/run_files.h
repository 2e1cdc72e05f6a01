/* The generator files in a run's folder, and the selection of one by --model and --epoch. They are written by
 * trainer_save.c.
 */
#ifndef P2P_RUN_FILES_H
#define P2P_RUN_FILES_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_GENERATOR "generator.safetensors"
#define RUN_EPOCHS    "epochs"

enum { RUN_EPOCH_NAME_BYTES = 64 };

/* "NNN-generator.safetensors", the name of an epoch's generator in the folder RUN_EPOCHS. */
void run_epoch_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch);
/* The epoch of such a name; 0 if it is another name. */
int64_t run_epoch_of_name(const char *name);
bool run_is_epoch_name(const char *name);

/* Select a generator's file. If `model` is a file, it is `model`. If it is a run's folder, it is the
 * generator of `epoch`, or with epoch 0 the one with the most training steps. The caller frees *path.
 * P2P_USAGE if an epoch is given with a file, P2P_INPUT if there is no such generator; the message has the
 * epochs that exist. */
p2p_status run_find_generator(const char *model, int64_t epoch, char **path);

#endif
