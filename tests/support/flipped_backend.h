/* "flipped": the reference's devices, one of which loses a bit of its weights or moments, or draws pictures
 * that are no numbers. As a shared object (modules/flipped_module.c) it takes the fault from
 * P2P_FLIPPED=bit:DEVICE:UPDATES or nan:DEVICE:BYTES.
 */
#ifndef P2P_FLIPPED_BACKEND_H
#define P2P_FLIPPED_BACKEND_H

#include "p2p_backend.h"

const p2p_module *flipped_module(uint32_t abi, const p2p_host *host);
/* From now on a bit of a parameter of the device is flipped once, after so many updates by Adam that
 * are right. -1: of none. */
void flipped_bit(int device, int updates);
/* The same with a moment. */
void flipped_moment(int device, int updates);
/* From now on all that is read from the device in pieces of this size is NaN. -1: of none. */
void flipped_nan(int device, size_t bytes);

#endif
