/* Functions of test doubles whose devices begin with a pointer to a device of the reference: they call the
 * reference's. */
#ifndef WRAPPED_DEVICE_H
#define WRAPPED_DEVICE_H

#include "p2p_backend.h"

/* Buffers, queries and tickets, for a double's own table, in which it replaces what it does otherwise.
 * `reference` is borrowed until the process ends. */
p2p_device_table wrapped_device_table(const p2p_module *reference);

#endif
