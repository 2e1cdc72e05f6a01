/* The reference backend with commands that run late: they wait in queues, and when the host waits for a
 * ticket, they run in a random order among those that the interface permits. Commands of a device keep their
 * order; a collective runs beside them, at any time after the tickets of its contributions, and only `order`
 * puts commands behind it. Host memory is read and written when a transfer runs. So a missing wait gives
 * other results.
 *
 * Its communicator reduces in the opposite order of replicas, and has no moments.
 */
#ifndef SHUFFLED_BACKEND_H
#define SHUFFLED_BACKEND_H

#include "p2p_backend.h"

const p2p_module *shuffled_module(uint32_t abi, const p2p_host *host);

/* Begins another random order. */
void shuffled_seed(uint32_t seed);
/* Whether `order` does nothing from now on, as if the core had forgotten it. */
void shuffled_forget_order(bool forget);
/* How often a collective and a command of one of its devices were both permitted, and the command was chosen.
 */
int shuffled_overlaps(void);

/* When collectives run from now on. With any but the first, devices run as many commands as each other. */
typedef enum {
    SHUFFLED_ANY_TIME,
    SHUFFLED_EARLY, /* before every other command that may run */
    SHUFFLED_LATE   /* after all of them */
} shuffled_time;
void shuffled_collectives(shuffled_time time);

/* Records the kinds of the operations that run on device 0, and of collectives, from now on, in an array of
 * `size` elements. NULL: ends it. */
void shuffled_trace(p2p_kind *kinds, int size);
/* The number of elements that are recorded. */
int shuffled_traced(void);

#endif
