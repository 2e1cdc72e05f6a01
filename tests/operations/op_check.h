/* Looking at an execution's memory: every byte that changed must have been allowed to, and every result must
 * be within its bound.
 */
#ifndef OP_CHECK_H
#define OP_CHECK_H

#include "op_bound.h"

/* P2P_FAILED with a message about the first byte or element that is wrong:
 * guards changed; an operand changed that is only read; an output's channels outside its range changed; a
 * padding lane of a filter is not zero; an element is not finite or further from the truth than its bound
 * (with `exact`: not equal to it). `used` becomes the largest share of a bound that was used. */
p2p_status op_check(const op_execution *execution, double *const truth[P2P_MAX_OPERANDS],
                    const op_bound bounds[P2P_MAX_OPERANDS], bool exact, double *used);

/* P2P_FAILED unless `again`, the image after another run, has the same bits wherever they mean something. */
p2p_status op_check_same(const op_execution *execution, const unsigned char *again);

#endif
