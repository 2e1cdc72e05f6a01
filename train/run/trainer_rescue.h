/* The early end of a training: saving of its state, and the message with the command that resumes it. Private
 * to trainer*.c. */
#ifndef P2P_TRAINER_RESCUE_H
#define P2P_TRAINER_RESCUE_H

#include "trainer_setup.h"

/* Write a checkpoint if `exact`, that is, if the session is idle and has the state of t->at. A training that
 * diverged is not saved. Returns the failure with a hint: what is kept, and the command that resumes the
 * training. Of several ranks all call it at the same step with `exact`. If a signal requested the end and the
 * checkpoint cannot be written, returns the failure to write it. If the cause is a bad pair, the command
 * continues without it, by --on-bad-image skip, unless that was chosen already. */
p2p_status trainer_rescue(trainer *t, const p2p_failure *failure, bool exact, bool bad_pair);

#endif
