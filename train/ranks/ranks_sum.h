/* Arithmetic of collectives between ranks, on memory of the host. */
#ifndef P2P_RANKS_SUM_H
#define P2P_RANKS_SUM_H

#include "p2p_op.h"

#include <stdbool.h>

/* `count` rows of `elements` of a type, of which row i begins at rows + i * stride. */
typedef struct {
    p2p_type type;
    const unsigned char *rows;
    int count;
    size_t stride, elements;
} ranks_rows;

/* Add the rows in order to `to`, which may be a row. As p2p_processes has it: float32 and bfloat16 in
 * float32, float64 in float64, rounded once. P2P_UNSUPPORTED for other types. */
p2p_status ranks_sum(const ranks_rows *added, unsigned char *to);

/* The type of sums over the first of several ranks, to which those of the next are added. */
p2p_type ranks_partial_type(p2p_type type);
/* Likewise, beginning with such sums; NULL: with the first row. `partial`: *to gets such sums. */
p2p_status ranks_sum_on(const ranks_rows *added, const unsigned char *before, bool partial,
                        unsigned char *to);

/* Unite the moments of `count` tensors, of which tensor i begins at all + i * stride, to `to`. */
void ranks_unite(const p2p_tensor *stats, const unsigned char *all, int count, size_t stride,
                 unsigned char *to);

#endif
