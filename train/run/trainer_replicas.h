/* The comparison of the weights and moments on all devices. Private to trainer*.c. */
#ifndef P2P_TRAINER_REPLICAS_H
#define P2P_TRAINER_REPLICAS_H

#include "trainer_setup.h"

/* Compare the weights of all devices, which every step changes alike, and Adam's moments if a checkpoint
 * `saves` them. P2P_FAILED, with the name of the device that differs, if they are not *equal. */
p2p_status trainer_check_replicas(const trainer *t, bool saves, bool *equal);

#endif
