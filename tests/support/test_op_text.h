/* Descriptors that a test gives as text. Include it after cmocka. */
#ifndef P2P_TEST_OP_TEXT_H
#define P2P_TEST_OP_TEXT_H

#include "p2p_op.h"
#include "support/test_expect.h"

/* A valid descriptor. */
static inline p2p_op parse(const char *text) {
    p2p_op op;
    OK(p2p_op_parse(text, &op));
    OK(p2p_op_validate(&op));
    return op;
}

#endif
