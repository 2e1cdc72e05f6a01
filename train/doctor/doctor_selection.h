/* Which of the usable devices are examined, and which belong together. */
#ifndef P2P_DOCTOR_SELECTION_H
#define P2P_DOCTOR_SELECTION_H

#include "p2p.h"

/* The entry before `index` that is the same card through another backend: both are usable GPUs at one PCI
 * address, or, if one of these is unknown, of one name. NULL: there is none. */
const p2p_device_entry *doctor_same_card(const p2p_device_entry *entries, int index);

/* Whether an address is of the backend; "auto" is any but the reference, which is for tests. */
bool doctor_is_of(const char *address, const char *backend);

/* Whether both addresses are of one backend. */
bool doctor_same_backend(const char *a, const char *b);

#endif
