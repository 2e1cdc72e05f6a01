/* Arithmetic of collectives between ranks, on memory of the host. */
#ifndef P2P_RANKS_SUM_H
#define P2P_RANKS_SUM_H

#include "p2p_op.h"

/* Add `count` rows of `elements`, of which row i begins at rows + i * stride, in order, to `to`, which may be
 * a row. As p2p_processes has it: float32 and bfloat16 in float32, float64 in float64, rounded once.
 * P2P_UNSUPPORTED for other types. */
p2p_status ranks_sum(p2p_type type, const unsigned char *rows, int count, size_t stride, size_t elements,
                     unsigned char *to);

/* Unite the moments of `count` tensors, of which tensor i begins at all + i * stride, to `to`. */
void ranks_unite(const p2p_tensor *stats, const unsigned char *all, int count, size_t stride,
                 unsigned char *to);

#endif
