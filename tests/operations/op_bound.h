/* How far each element of each output may be from the truth: depth and scale of the error budget.
 *
 * For linear kinds the scale is the operation itself carried out on magnitudes. For the others it is written
 * out per kind: the sum of the magnitudes that the formula in p2p_op.h adds up, as any sensible order of
 * evaluation does.
 */
#ifndef OP_BOUND_H
#define OP_BOUND_H

#include "op_execute.h"

/* Of one output: an element's tolerance is budget * eps * sqrt(depth) * scale[e], plus more[e] where there
 * are any. */
typedef struct {
    double *scale; /* NULL where the operation does not write the operand */
    double depth;
    double *more;
} op_bound;

p2p_status op_bounds_create(op_bench *reference, const p2p_op *op, const op_contents *contents,
                            op_bound bounds[P2P_MAX_OPERANDS]);
/* For Winograd convolutions, which compute neighbouring results from common intermediate ones: every element
 * gets the largest scale of its plane, the h x w elements of one (n, c), and the transforms add to the depth.
 */
void op_bounds_winograd(const p2p_op *op, op_bound bounds[P2P_MAX_OPERANDS]);
/* Adds what rounding of the transformed factors to bf16 may bring, see error_budget.h. */
p2p_status op_bounds_winograd_bf16(op_bench *reference, const p2p_op *op, const op_contents *contents,
                                   op_bound bounds[P2P_MAX_OPERANDS]);
void op_bounds_destroy(op_bound bounds[P2P_MAX_OPERANDS]);

/* op_bound_norm.c: fill the (allocated) scales and depths of the normalisations' outputs. Scales hold the
 * magnitude of what was there for outputs that accumulate, else 0. */
void op_bound_norm(const p2p_op *op, const op_contents *contents, op_bound bounds[P2P_MAX_OPERANDS]);

#endif
