/* NCCL_ALGO as NCCL reads it, and the order of a sum by the algorithm that is taken. */
#ifndef NCCL_ALGORITHM_H
#define NCCL_ALGORITHM_H

#include "nccl_sum.h"

/* False if the variable has a name that is none of NCCL's, an error since 2.24. Only lists for all
 * collectives are understood, not those of single ones (2.24). */
bool nccl_algorithms_known(int version);
/* Whether an algorithm is left: a broadcast needs rings. */
bool nccl_has_algorithm(bool broadcast);
/* P2P_MACHINE_NCCL's `order`, else that of the algorithm for the size: trees for small sums; for large ones
 * NVLS, unless it is excluded or NCCL_NVLS_ENABLE is 0, else rings. */
nccl_order nccl_order_of(const char *setting, size_t count);

#endif
