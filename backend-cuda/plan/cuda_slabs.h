/* How kernels sum over positions (kernels/reduce.cuh): by slabs of channels and parts of positions. All of it
 * follows from shape and type, not from the card, so that equal data has equal bits on every card of a kind.
 */
#ifndef CUDA_SLABS_H
#define CUDA_SLABS_H

#include "cuda_view.h"

typedef struct {
    int64_t groups, span;    /* groups of images, and positions of one */
    int64_t channels, width; /* of the tensor, and of a slab */
    int64_t slabs;
    int lanes, shift;    /* of a pack; log2 of the packs of a slab */
    int64_t rows;        /* positions that a block has at a time */
    int64_t part, parts; /* positions of a part, and parts of a group: for sums */
    bool whole;          /* a block alone sums a group as fast as several */
} cuda_slabs;

cuda_slabs cuda_slabs_of(const cuda_view *view, int64_t groups);
/* The same with one part for each group. */
cuda_slabs cuda_slabs_whole(const cuda_slabs *slabs);
/* The same cut for a kernel that goes over the positions once, without sums. */
cuda_slabs cuda_slabs_walk(const cuda_slabs *slabs);

/* Whether each block of the kernel that uses partial results may merge them itself. */
bool cuda_slabs_few(const cuda_slabs *slabs);

/* Bytes of partial results of `numbers` per channel. */
uint64_t cuda_slabs_bytes(const cuda_slabs *slabs, int numbers);

/* Appends a launch with a block per group, part and slab, and the arguments SLABS of reduce.cuh. */
cuda_launch *cuda_launch_slabs(cuda_plan *plan, const cuda_slabs *slabs, const char *source,
                               const char *kernel);

/* Appends the kernel combine_sums: `numbers` (1 or 2) sums of the partial results at `partial` in scratch
 * memory to operand `sums`, and their totals over the groups to `total0` and `total1`; -1 for none. */
typedef struct {
    uint64_t partial;
    int numbers;
    int sums, total0, total1;
} cuda_combination;
void cuda_launch_combine(cuda_plan *plan, const p2p_op *op, const cuda_slabs *slabs,
                         const cuda_combination *c);

#endif
