/* The files of a training that other commands look for: the generators that a run's folder keeps, and which
 * of them --model and --epoch mean. Writing them is trainer_save.c's.
 */
#ifndef P2P_RUN_FILES_H
#define P2P_RUN_FILES_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_GENERATOR "generator.safetensors"
#define RUN_EPOCHS    "epochs"

enum { RUN_EPOCH_NAME_BYTES = 64 };

/* "NNN-generator.safetensors", the name of epoch `epoch`'s generator in a run's folder RUN_EPOCHS. */
void run_epoch_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch);
/* The epoch of such a name; 0 for other names. */
int64_t run_epoch_of_name(const char *name);
bool run_is_epoch_name(const char *name);

/* The generator's file that is meant: `model` itself where it is a file; of a run's folder the newest by the
 * steps that the files tell, or with `epoch` above 0 that epoch's. *path is the caller's to free. P2P_USAGE
 * for an epoch of a file, P2P_INPUT where there is no such generator, with the epochs that there are. */
p2p_status run_find_generator(const char *model, int64_t epoch, char **path);

#endif
