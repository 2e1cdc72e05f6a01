/* Geometry and arguments of the kernels that include quads.clh: everything but convolutions, on devices that
 * are no CPU. Everything but the size of work-groups follows from the shape alone, and no bit depends on
 * that.
 */
#ifndef OCL_QUADS_H
#define OCL_QUADS_H

#include "ocl_plan.h"

enum { OCL_SUM_ITEMS = 256 }; /* SUM_ITEMS of quads.clh */

/* A launch of a kernel from kernels/`source`, behind quads.clh. */
ocl_launch *ocl_launch_add_quads(const ocl_target *target, ocl_plan *plan, const char *source,
                                 const char *kernel);

/* log2 of a position's quads that have numbers: 0 to 2. */
int ocl_quad_shift(const ocl_view *view);

/* Grid and the arguments WALK for an element-wise kernel. `alone`: a work-group has quads of one block only.
 */
void ocl_walk_quads(const ocl_target *target, ocl_launch *launch, const ocl_view *view, int shift,
                    bool alone);

/* Whether one group of work-items per block sums up all positions of `images` images: so small that a second
 * launch would take longer. */
bool ocl_sum_is_whole(const ocl_view *view, int64_t images);

/* Leaves of the tree that adds up `terms` vectors of 1 << shift quads: a power of two. */
int64_t ocl_sum_items(int64_t terms, int shift);

/* groups x blocks x images groups of up to `items` work-items. */
void ocl_launch_groups(const ocl_target *target, ocl_launch *launch, int64_t items, int64_t groups,
                       int64_t blocks, int64_t images);

/* The arguments SUMMED. */
void ocl_arg_summed(ocl_launch *launch, const ocl_view *view, int shift, int64_t items);

#endif
