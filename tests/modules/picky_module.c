/* The picky double and the reference, which computes for it, as a shared object that trains. */
#include "p2p_module.h"

#include "support/picky_backend.h"

P2P_MODULE_EXPORT(picky_module);
