/* A training of three steps of tiny networks on one device, beside the same on the reference: sessions,
 * plans, fusion, recordings and updates as `p2p train` has them.
 */
#ifndef P2P_DOCTOR_TRAINING_H
#define P2P_DOCTOR_TRAINING_H

#include "p2p.h"

/* P2P_FAILED if a loss differs from the reference's by more than the precision explains. */
p2p_status doctor_training_check(p2p_device *device, p2p_precision precision);

#endif
