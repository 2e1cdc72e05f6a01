/* The reference with a faulty device as a shared object, for trainings of several ranks. */
#include "p2p_module.h"

#include "support/flipped_backend.h"

P2P_MODULE_EXPORT(flipped_module);
