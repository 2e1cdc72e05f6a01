/* Contents of operands: logical numbers, independent of storage, that an operation reads.
 *
 * Everything follows from (descriptor text, mode, seed), so one line reproduces a failure. Real contents
 * avoid what no rounding can get right: a preactivation so close to zero that the slope of its activation is
 * a matter of the last bit.
 */
#ifndef OP_CONTENTS_H
#define OP_CONTENTS_H

#include "p2p_op.h"

typedef enum {
    OP_EXACT, /* small integers: sums of products are exact in float32 in any order */
    OP_REAL,
} op_mode;

/* values[i]: operand i's logical elements in (n, c, h, w) order, representable in the operand's type. All
 * present operands have some; those of pure outputs mean nothing. NULL for the step block. */
typedef struct {
    double *values[P2P_MAX_OPERANDS];
    p2p_step_block *step;
    size_t step_bytes;
} op_contents;

/* Whether exact mode makes sense: the kind is linear and the descriptor's numbers are powers of two. */
bool op_can_be_exact(const p2p_op *op);

/* Replace each number by the nearest that the type has. */
p2p_status op_round_to_type(p2p_type type, double *values, int64_t count);

p2p_status op_contents_create(const p2p_op *op, op_mode mode, uint64_t seed, op_contents *contents);
void op_contents_destroy(op_contents *contents);

#endif
