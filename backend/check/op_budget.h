/* The budget of errors: the only table of numerical tolerances of single operations.
 *
 * One operation: an output element may differ from double precision by
 *
 *     budget * eps * sqrt(depth) * scale
 *
 * where eps is the spacing of the output's type at 1, depth is the number of terms of the element's sum (1
 * for pointwise kinds), and scale is the sum of the magnitudes of those terms, e.g. sum |x|*|w| for y = sum
 * x*w. op_bound.c computes depth and scale. Rounding errors of independent terms grow with the square root of
 * their number.
 *
 * A result stored in bf16 is computed in f32 or better and rounded once. Its budget is that of f32, plus half
 * the spacing of bf16 at the largest number within that budget. The budget depends on the algorithm, never on
 * the backend: a backend that exceeds it is wrong.
 */
#ifndef P2P_OP_BUDGET_H
#define P2P_OP_BUDGET_H

#include "p2p_op.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* X(kind, f32, f64). A copy between equal types must be exact, and so must every linear kind on small
 * integers, independently of this table. */
#define P2P_BUDGET_LIST(X)                                                                                   \
    X(copy, 1, 1)                                                                                            \
    X(prepare, 2, 2)                                                                                         \
    X(conv_fwd, 2, 2)                                                                                        \
    X(conv_bwd_data, 2, 2)                                                                                   \
    X(conv_bwd_filter, 2, 2)                                                                                 \
    X(gemm, 2, 2)                                                                                            \
    X(norm_stats, 2, 2)                                                                                      \
    X(norm_apply, 4, 4)                                                                                      \
    X(norm_bwd_stats, 2, 2)                                                                                  \
    X(norm_bwd_apply, 4, 4)                                                                                  \
    X(act_fwd, 4, 4)                                                                                         \
    X(act_bwd, 2, 2)                                                                                         \
    X(dropout, 2, 2)                                                                                         \
    X(axpby, 2, 2)                                                                                           \
    X(bias_grad, 2, 2)                                                                                       \
    X(loss_bce, 4, 4)                                                                                        \
    X(loss_mse, 4, 4)                                                                                        \
    X(loss_l1, 2, 2)                                                                                         \
    X(adam, 4, 4)                                                                                            \
    X(all_reduce, 2, 2)                                                                                      \
    X(broadcast, 0, 0)

/* Convolutions of any kind by Winograd's algorithm in f32: the budget, for bounds from op_bounds_winograd,
 * and the number of terms that its transforms add to the depth of a sum. */
enum { P2P_BUDGET_WINOGRAD = 8, P2P_BUDGET_WINOGRAD_DEPTH = 36 };

/* The additional budget of Winograd's algorithm in bf16 (math=bf16), compared with convolutions of the
 * unrounded factors:
 *
 *     budget * eps of bf16 * the largest sqrt(sum (x w)^2) of the plane
 *
 * Derivation. Rounding changes a factor by up to u = eps / 2 relative to it, by 0.42 u rms over all
 * mantissas, and a product of two by 0.6 u rms. For F(3, 2) at 0, 1, -1 with independent factors of variance
 * 1, the products of transformed factors have the variances 2, 1, 1, 2. The output rows add variances of 4, 2
 * and 4, while the direct sum has 2. In two dimensions the error therefore grows by up to 4/2, to 1.2 u = 0.6
 * eps at the corners of a tile. (Filter gradients: 5/3 in variance in each dimension.) 4 eps are 6.6 standard
 * deviations, which one of 2e10 results exceeds. Measured over a million results: rms 1.0 u, which is 1.67
 * times 0.6 u, and at most 3 eps. */
enum { P2P_BUDGET_WINOGRAD_BF16 = 4 };

/* The additional budget of a product of factors in tf32, relative to its magnitude: a factor rounded toward
 * zero differs from the nearest one by up to the spacing of 11 significant bits, 2^-10. */
static const double P2P_BUDGET_TF32 = 0x1p-9;

static inline bool p2p_budget_is_winograd(const char *kernel) {
    return strncmp(kernel, "winograd", 8) == 0 || strncmp(kernel, "gpu_winograd", 12) == 0;
}

static inline double p2p_budget_of(p2p_kind kind, p2p_type precision) {
    static const double rows[P2P_KIND_COUNT][2] = {
#define X(kind, f32, f64) [P2P_KIND_##kind] = {f32, f64},
        P2P_BUDGET_LIST(X)
#undef X
    };
    return rows[kind][precision == P2P_TYPE_f64];
}

/* The spacing of a type's numbers at 1. */
static inline double p2p_budget_eps(p2p_type precision) {
    switch (precision) {
    case P2P_TYPE_f64:
        return DBL_EPSILON;
    case P2P_TYPE_bf16:
        return 0x1p-7;
    default:
        return FLT_EPSILON;
    }
}

/* The largest rounding error of a number of this magnitude in bf16 (8 significant bits): half the spacing. */
static inline double p2p_budget_of_storing_bf16(double magnitude) {
    int exponent;
    frexp(magnitude, &exponent);
    return ldexp(1, exponent - 9);
}

#endif
