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

/* Numbers of all partial results, `each` per channel. */
int64_t cuda_slabs_numbers(const cuda_slabs *slabs, int each);

/* Appends a launch with a block per group, part and slab, and the arguments SLABS of reduce.cuh. */
cuda_launch *cuda_launch_slabs(cuda_plan *plan, const cuda_slabs *slabs, const char *source,
                               const char *kernel);

/* Appends the arguments MERGE of reduce.cuh: reserves scratch memory for `numbers` of partial results, and
 * counters. Both are NULL without numbers. */
void cuda_arg_merge(cuda_plan *plan, cuda_launch *launch, int64_t numbers, int64_t counters);

#endif
