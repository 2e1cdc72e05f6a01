/* Error bounds of each element of each output: depth and scale of the error budget.
 *
 * For linear kinds the scale is the result of the operation itself on the magnitudes of its operands. For
 * each other kind a formula of its own gives it: the sum of the magnitudes of the terms that the formula in
 * p2p_op.h adds.
 */
#ifndef OP_BOUND_H
#define OP_BOUND_H

#include "op_execute.h"

/* The bound of one output: an element's tolerance is budget * eps * sqrt(depth) * scale[e], plus more[e]
 * unless `more` is NULL. */
typedef struct {
    double *scale; /* NULL if the operation does not write the operand */
    double depth;
    double *more;
} op_bound;

p2p_status op_bounds_create(op_bench *reference, const p2p_op *op, const op_contents *contents,
                            op_bound bounds[P2P_MAX_OPERANDS]);
/* Adapts bounds to Winograd convolutions, which compute neighbouring results from common intermediate ones.
 * Every element gets the largest scale of its plane, the h x w elements of one (n, c), and the transforms add
 * to the depth. */
void op_bounds_winograd(const p2p_op *op, op_bound bounds[P2P_MAX_OPERANDS]);
/* Adds the error of rounding the transformed factors to bf16; see op_budget.h. */
p2p_status op_bounds_winograd_bf16(op_bench *reference, const p2p_op *op, const op_contents *contents,
                                   op_bound bounds[P2P_MAX_OPERANDS]);
void op_bounds_destroy(op_bound bounds[P2P_MAX_OPERANDS]);

/* op_bound_norm.c: adds to the allocated scales of the normalisations' outputs, and sets the depths. On entry
 * a scale is the magnitude of the previous value if the output accumulates, else 0. */
void op_bound_norm(const p2p_op *op, const op_contents *contents, op_bound bounds[P2P_MAX_OPERANDS]);

#endif
