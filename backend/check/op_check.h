/* Checks of an execution's memory: only bytes that the operation may write have changed, and every result is
 * within its bound.
 */
#ifndef OP_CHECK_H
#define OP_CHECK_H

#include "op_bound.h"

/* Returns P2P_FAILED with a message about the first wrong byte or element: a guard changed; an operand
 * changed that is only read; an output's channels outside its range changed; a padding lane of a filter is
 * not zero; an element is not finite or differs from `truth` by more than its bound (with `exact`: differs at
 * all). Sets `used` to the largest ratio of error to bound. */
p2p_status op_check(const op_execution *execution, double *const truth[P2P_MAX_OPERANDS],
                    const op_bound bounds[P2P_MAX_OPERANDS], bool exact, double *used);

/* Returns P2P_FAILED unless `again`, the image after another run, has the same bits in every output, padding
 * lanes excepted. */
p2p_status op_check_same(const op_execution *execution, const unsigned char *again);

#endif
