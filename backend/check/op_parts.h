/* The optional parts of a descriptor: those that a device may refuse (EXTENDING.md, "What a backend may
 * refuse"). A descriptor without any, in the device's own storage, must be accepted.
 */
#ifndef OP_PARTS_H
#define OP_PARTS_H

#include "p2p_op.h"

/* The parts of a descriptor that a device may refuse, as bits and by name. */
#define OP_PART_LIST(X)                                                                                      \
    X(bias)       /* of a convolution */                                                                     \
    X(act)        /* of a convolution or a normalisation */                                                  \
    X(second)     /* y2 or dy2 of a normalisation */                                                         \
    X(dropout)    /* of a normalisation */                                                                   \
    X(merged)     /* statistics within a normalisation */                                                    \
    X(accumulate) /* of every kind but axpby */                                                              \
    X(range)      /* one that the channel alignment does not allow, of every kind but copy */                \
    X(bf16)       /* math=bf16 */                                                                            \
    X(tf32)       /* math=tf32 */                                                                            \
    X(copy)       /* of the parameters, by adam */

typedef enum {
#define X(part) OP_PART_##part,
    OP_PART_LIST(X)
#undef X
        OP_PART_COUNT
} op_part;

enum { OP_PART_SETS = 1 << OP_PART_COUNT };

const char *op_part_name(op_part part);

/* The set of optional parts that the descriptor has; 0: it is unfused. */
unsigned op_parts_of(const p2p_op *op, int channel_alignment);

#endif
