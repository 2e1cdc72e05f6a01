/* What a training keeps on disk. Private to trainer*.c. The session must be idle and the position exact. */
#ifndef P2P_TRAINER_SAVE_H
#define P2P_TRAINER_SAVE_H

#include "trainer_setup.h"

/* OUT/checkpoints: the whole training as it stands; then the models. */
p2p_status trainer_save(const trainer *t);
/* OUT/generator.safetensors and OUT/discriminator.safetensors. */
p2p_status trainer_save_models(const trainer *t);

/* OUT/epochs/NNN-generator.safetensors of an epoch, counted from 1, that has just ended, where --save-every
 * wants it; then all but the newest --keep-epochs are removed. */
p2p_status trainer_save_epoch(const trainer *t, int64_t epoch);

/* OUT/best: both networks, and best.json with the epoch and its numbers, which comes last. */
p2p_status trainer_save_best(const trainer *t, const epoch_record *record);

#endif
