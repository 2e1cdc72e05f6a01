/* A p2p_parallel that runs each job in a thread of its own, at most 64. */
#ifndef ALL_AT_ONCE_H
#define ALL_AT_ONCE_H

#include "p2p.h"

void all_at_once(p2p_job job, void *context, int count);

#endif
