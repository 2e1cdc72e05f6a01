/* OUT/tensorboard: the event files of --tensorboard (report/event_file.h). One that cannot be written is no
 * reason to end a training: a line is printed, and no more is written.
 */
#ifndef P2P_TRAINER_TENSORBOARD_H
#define P2P_TRAINER_TENSORBOARD_H

#include "trainer_setup.h"

/* Begin a file of this process, unless --tensorboard is off: events from the next step on replace those of
 * older files. */
void trainer_tensorboard_open(trainer *t);
void trainer_tensorboard_step(trainer *t, const step_record *record);
/* Add the picture at `path` as that of a step. */
void trainer_tensorboard_picture(trainer *t, const char *path, int64_t step);
void trainer_tensorboard_epoch(trainer *t, const epoch_record *record);

#endif
