/* Arithmetic of collectives on memory of the host. Calls no OpenCL function. */
#ifndef OCL_COMM_SUM_H
#define OCL_COMM_SUM_H

#include "p2p_op.h"

#include <stdbool.h>

/* Whether the collective is one of these: sums of float32 and bfloat16, moments in float32, broadcasts. Sets
 * *reason if not. */
bool ocl_comm_can(const p2p_op *op, const char **reason);

/* Performs the collective on `bytes` of each replica, which are whole elements, and of moments the whole
 * tensor. parts[i] is the memory of replica i, and receives the result. Sums are formed in replica order. */
void ocl_comm_combine(const p2p_op *op, unsigned char *const *parts, int count, size_t bytes);

#endif
