/* Contents of operands: logical numbers, independent of storage, that an operation reads.
 *
 * They are a function of the descriptor's text, the mode and the seed, so one line reproduces a failure. Real
 * contents avoid preactivations so close to zero that rounding decides the slope of the activation.
 */
#ifndef OP_CONTENTS_H
#define OP_CONTENTS_H

#include "p2p_op.h"

typedef enum {
    OP_EXACT, /* small integers: sums of products are exact in float32 in any order */
    OP_REAL,
} op_mode;

/* values[i]: the logical elements of operand i in (n, c, h, w) order, representable in its type. NULL for the
 * step block and for absent operands. Values of pure outputs are not used. */
typedef struct {
    double *values[P2P_MAX_OPERANDS];
    p2p_step_block *step;
    size_t step_bytes;
} op_contents;

/* Whether the descriptor has an exact mode: the kind is linear, and its numbers are small
 * multiples of 1/8. */
bool op_can_be_exact(const p2p_op *op);

/* Rounds each number to the nearest one of the type. */
p2p_status op_round_to_type(p2p_type type, double *values, int64_t count);

p2p_status op_contents_create(const p2p_op *op, op_mode mode, uint64_t seed, op_contents *contents);
void op_contents_destroy(op_contents *contents);

#endif
