/* The end of an epoch: validation, pictures, files. Private to trainer*.c. */
#ifndef P2P_TRAINER_EPOCH_H
#define P2P_TRAINER_EPOCH_H

#include "trainer_setup.h"

typedef struct {
    epoch_record record;            /* of the epoch that ends */
    double validated;               /* seconds of the last validation */
    double last_picture;            /* clock reading when the last grid of pictures was begun */
    int won;                        /* successive epochs in which the discriminator won */
    bool bad_pair;                  /* a pair's file has ended the training */
    int64_t replaced;               /* pairs of this epoch that were bad and replaced */
    char reason[P2P_MESSAGE_BYTES]; /* of the first of them */
} trainer_epoch;

/* Validate the epoch whose steps have been made, and fill its record. All ranks do, to the same numbers. */
p2p_status trainer_measure_epoch(const trainer *t, trainer_epoch *e);
/* Save and record the epoch that was measured. The position advances last, so that after a failure the epoch
 * is still to be ended. */
p2p_status trainer_end_epoch(trainer *t, trainer_epoch *e);

/* Count the replaced pairs of all ranks in rank 0, which reports them. */
p2p_status trainer_gather_replaced(const trainer *t, trainer_epoch *e);
/* Report the replaced pairs of the epoch, and reset their number. */
void trainer_report_replaced(const trainer *t, trainer_epoch *e);

/* Draw and write the grid of pictures of the last step, within an epoch. */
p2p_status trainer_draw_step(trainer *t, trainer_epoch *e);
/* Validate at the end of a training that ends within an epoch. */
p2p_status trainer_show_end(trainer *t, trainer_epoch *e);
/* The same if a process before this one has not: the picture is written after the last checkpoint. */
p2p_status trainer_restore_end(trainer *t, trainer_epoch *e);

#endif
