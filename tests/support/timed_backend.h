/* The reference backend on eight pretend devices whose commands take stated times. A convolution and a
 * reduction take theirs, everything else none. Results are computed when a command is enqueued; the wait for
 * a ticket ends when the device would have come to it. A device runs its commands one after the other, the
 * communicator its collectives, and both run beside each other but for `order` and the tickets of
 * contributions.
 *
 * Times are kept on a pretend clock, which stands still but for waits, so that results are exact, or on the
 * real one, by sleeping.
 */
#ifndef TIMED_BACKEND_H
#define TIMED_BACKEND_H

#include "p2p_backend.h"

enum { TIMED_DEVICES = 8 };

const p2p_module *timed_module(uint32_t abi, const p2p_host *host);

/* Sets the seconds of a convolution, and of a reduction: `start` and `per_byte` for each byte of a replica.
 */
void timed_set(double convolution, double start, double per_byte);
/* Whether times are real from now on. No device is open. */
void timed_set_real(bool real);
/* Seconds on the clock in use. */
double timed_clock(void);

#endif
