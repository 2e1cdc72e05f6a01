/* What a training that ends early keeps, and what its owner is told. Private to trainer*.c. */
#ifndef P2P_TRAINER_RESCUE_H
#define P2P_TRAINER_RESCUE_H

#include "trainer_setup.h"

/* What ended a training, in its own words: what is tried afterwards composes other messages. */
typedef struct {
    p2p_status status;
    char message[2048], hint[1024];
} trainer_failure;

/* The calling thread's message and hint. */
void trainer_failure_take(trainer_failure *failure, p2p_status status);

/* Make the text the calling thread's message and hint again; returns the status. */
p2p_status trainer_failure_give(const trainer_failure *failure);

/* Write a checkpoint where `exact`: the session is idle and holds the state of t->at. Returns the failure
 * with a hint about what is kept and how to go on; where a signal asked for the end and the checkpoint can't
 * be written, that failure instead. */
p2p_status trainer_rescue(const trainer *t, const trainer_failure *failure, bool exact);

#endif
