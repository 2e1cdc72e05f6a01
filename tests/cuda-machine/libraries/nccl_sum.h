/* Sums of collectives in the orders in which NCCL's algorithms add. */
#ifndef NCCL_SUM_H
#define NCCL_SUM_H

#include <nccl.h>
#include <stdbool.h>
#include <stddef.h>

/* A ring cuts the buffer into as many parts as there are ranks: each part's sum begins at another rank, so
 * that bits depend on the cut. A tree adds pairs of ranks. SWITCH adds in the order of `from`. REVERSED is
 * none of NCCL's. */
typedef enum { NCCL_ORDER_RING, NCCL_ORDER_TREE, NCCL_ORDER_SWITCH, NCCL_ORDER_REVERSED } nccl_order;

/* 0 for a type that the double does not support. */
size_t nccl_type_bytes(ncclDataType_t type);
/* f32, f64, bf16 */
bool nccl_type_adds(ncclDataType_t type);

/* to[i] = the sum over the ranks of from[rank][i], rounded to the type at every addition, as on a device. */
void nccl_sum(nccl_order order, ncclDataType_t type, size_t count, int ranks, const void *const *from,
              void *to);

#endif
