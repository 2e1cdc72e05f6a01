/* Grids and arguments of the kernels that include quads.clh: everything but convolutions, on devices other
 * than CPUs. Everything except the work-group size follows from the shape alone, and no bit depends on the
 * work-group size.
 */
#ifndef OCL_QUADS_H
#define OCL_QUADS_H

#include "ocl_plan.h"

enum { OCL_SUM_ITEMS = 256 }; /* SUM_ITEMS of quads.clh */

/* Appends a launch of a kernel from kernels/`source` with quads.clh in front of it. */
ocl_launch *ocl_launch_add_quads(const ocl_target *target, ocl_plan *plan, const char *source,
                                 const char *kernel);

/* log2 of the number of quads per position that contain channels: 0 to 2. */
int ocl_quad_shift(const ocl_view *view);

/* The grid and the arguments WALK of an element-wise kernel. `alone`: a work-group covers quads of one
 * block only. */
void ocl_walk_quads(const ocl_target *target, ocl_launch *launch, const ocl_view *view, int shift,
                    bool alone);

/* Whether one work-group per block sums all positions of `images` images: true if a second launch would
 * cost more than it saves. */
bool ocl_sum_is_whole(const ocl_view *view, int64_t images);

/* Leaves of the tree that sums `terms` vectors of 1 << shift quads: a power of two. */
int64_t ocl_sum_items(int64_t terms, int shift);

/* A grid of groups x blocks x images work-groups of up to `items` work-items. */
void ocl_launch_groups(const ocl_target *target, ocl_launch *launch, int64_t items, int64_t groups,
                       int64_t blocks, int64_t images);

/* The arguments SUMMED. */
void ocl_arg_summed(ocl_launch *launch, const ocl_view *view, int shift, int64_t items);

#endif
