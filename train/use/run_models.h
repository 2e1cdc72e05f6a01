/* The selection of a model from a run's folder, for --model, --init-generator and --init-discriminator. A
 * file of another training than its folder's is not selected.
 */
#ifndef P2P_RUN_MODELS_H
#define P2P_RUN_MODELS_H

#include "p2p_status.h"

#include <stdint.h>

/* Select a generator's file for the option --`option`. If `given` is a file, it is `given`. If it is a run's
 * folder, it is the generator of `epoch`, or with epoch 0 the one with the most training steps; those of
 * another training are reported on stderr, and so is a checkpoint of more steps than the selected model has.
 * The caller frees *path. P2P_USAGE if an epoch is given with a file, P2P_INPUT if there is no such
 * generator; the message has the epochs that exist. */
p2p_status run_find_generator(const char *option, const char *given, int64_t epoch, char **path);

/* The same for the discriminator beside the last checkpoint, the only one of a folder. P2P_INPUT if it is of
 * another training. */
p2p_status run_find_discriminator(const char *option, const char *given, char **path);

#endif
