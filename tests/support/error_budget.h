/* Bounds of errors of whole tiny trainings. Those of single operations are in backend/check/op_budget.h. */
#ifndef P2P_ERROR_BUDGET_H
#define P2P_ERROR_BUDGET_H

#include "p2p_op.h"

/* Bounds of tiny trainings compared with PyTorch in double precision (test_golden): ||a - b|| / ||b|| per
 * tensor. X(what, f64, f32, bf16). The bounds of f64 cover the float32 of the files only. Those of f32 are
 * about four times the differences of PyTorch's own float32 in the same trainings. For bf16 the tensors of a
 * part are taken together; the bounds are about three times the largest difference of the two forms (stored
 * activations, rounded factors) on OpenCL and the reference. They are large because 8 bits of activations
 * leave one digit of small gradients, in three steps of networks with statistics over a few elements. */
#define P2P_GOLDEN_BUDGET_LIST(X)                                                                            \
    X(layers, 1e-6, 4e-6, 2e-2)                                                                              \
    X(losses, 1e-6, 2e-6, 1e-2)                                                                              \
    X(gradients, 1e-6, 2e-5, 3e-1)                                                                           \
    X(weights, 1e-6, 2e-6, 1e-2) /* and running statistics, after three steps */                             \
    X(moments, 1e-6, 2e-5, 8e-1)                                                                             \
    X(translations, 1e-6, 4e-6, 2e-1)

typedef enum {
#define X(what, f64, f32, bf16) P2P_GOLDEN_##what,
    P2P_GOLDEN_BUDGET_LIST(X)
#undef X
        P2P_GOLDEN_COUNT
} p2p_golden_part;

static inline double p2p_golden_budget(p2p_golden_part part, p2p_type precision) {
    static const double rows[P2P_GOLDEN_COUNT][3] = {
#define X(what, f64, f32, bf16) [P2P_GOLDEN_##what] = {f64, f32, bf16},
        P2P_GOLDEN_BUDGET_LIST(X)
#undef X
    };
    return rows[part][precision == P2P_TYPE_f64 ? 0 : precision == P2P_TYPE_bf16 ? 2 : 1];
}

#endif
