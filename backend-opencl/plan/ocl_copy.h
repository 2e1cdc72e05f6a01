/* The planner of copy, and copies between planes as a part of other plans. */
#ifndef OCL_COPY_H
#define OCL_COPY_H

#include "ocl_plan.h"

p2p_status ocl_plan_copy(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Layout of a tensor's planes: plane (n, c) starts at n / n_block * n_outer + n % n_block * n_inner + (c0 +
 * c) / c_block * c_outer + (c0 + c) % c_block * c_inner, and its positions are `step` elements apart. */
typedef struct {
    int64_t n_block, c_block, n_outer, n_inner, c_outer, c_inner, step, c0;
} ocl_planes;

typedef struct {
    int operand;      /* -1: scratch memory */
    uint64_t scratch; /* first float, for scratch memory */
    ocl_planes planes;
    bool bf16; /* else float32 */
} ocl_plane_side;

typedef struct {
    ocl_plane_side x, y;
    int64_t positions;
    int64_t n_real, c_real;     /* logical extents */
    int64_t n_stored, c_stored; /* of y: the lanes beyond the logical extents become zero */
    bool accumulate;
} ocl_plane_copy;

ocl_plane_side ocl_plane_side_of(const p2p_op *op, int operand);
/* The y half of a copy into an operand: real and stored extents, accumulation. */
ocl_plane_copy ocl_plane_copy_into(const p2p_op *op, int y);
void ocl_launch_plane_copy(const ocl_target *target, ocl_plan *plan, const ocl_plane_copy *copy);

#endif
