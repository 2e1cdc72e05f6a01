/* Planners of the reductions (bias gradients and losses), and two-stage sums as part of other plans. */
#ifndef OCL_REDUCE_H
#define OCL_REDUCE_H

#include "ocl_plan.h"

p2p_status ocl_plan_bias_grad(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_loss_bce(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_loss_mse(const ocl_target *target, const p2p_op *op, ocl_plan *plan);
p2p_status ocl_plan_loss_l1(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Positions per partial result. It determines the bits of every result, so it must not depend on the device
 * or the thread count. */
enum { OCL_REDUCE_CHUNK = 512 };

/* Reserves scratch memory for `rows` partial vectors per image, chunk and block of a view. */
void ocl_plan_partials(ocl_plan *plan, const ocl_view *view, int rows);

/* The outputs of kernel combine_sums, as operands; -1 for none. */
typedef struct {
    int rows;           /* 1 or 2 sums */
    int64_t images;     /* per group */
    int sums;           /* each group's sums */
    int total0, total1; /* over all groups, of the first and the second sum */
} ocl_combination;

void ocl_launch_combine(const ocl_target *target, ocl_plan *plan, const p2p_op *op, const ocl_view *view,
                        const ocl_combination *combination);

#endif
