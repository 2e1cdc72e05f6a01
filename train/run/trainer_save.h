/* The files that a training writes. Private to trainer*.c. The session must be idle and have the state of
 * t->at. */
#ifndef P2P_TRAINER_SAVE_H
#define P2P_TRAINER_SAVE_H

#include "trainer_setup.h"

/* Write a checkpoint to OUT/checkpoints, then the models. */
p2p_status trainer_save(trainer *t);
/* Write OUT/generator.safetensors and OUT/discriminator.safetensors. */
p2p_status trainer_save_models(const trainer *t);

/* Write OUT/epochs/NNN-generator.safetensors if --save-every selects the epoch, which has just ended and is
 * counted from 1. Then trainer_remove_old_epochs. */
p2p_status trainer_save_epoch(const trainer *t, int64_t epoch);

/* Remove all but the newest --keep-epochs, and but those that were the newest at the last checkpoint. */
p2p_status trainer_remove_old_epochs(const trainer *t);
/* Remove pictures of epochs but at most --keep-samples, evenly spread, the first and the newest one, and
 * those that were kept likewise at the last checkpoint. Leaves those of other trainings. Fails as
 * sys_folder_walk and sys_file_remove do. */
p2p_status trainer_remove_old_samples(const trainer *t);

/* Remove the pictures of steps of the epoch in which the training is, but that of step `kept` (0: none): what
 * was drawn within it depends on time. Leaves those of other trainings. Fails likewise. */
p2p_status trainer_remove_step_samples(const trainer *t, int64_t kept);

/* Write OUT/best: both networks, then best.json with the epoch and its metrics. */
p2p_status trainer_save_best(trainer *t, const epoch_record *record);

#endif
