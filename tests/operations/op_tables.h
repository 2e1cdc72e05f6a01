/* Where the operation runner's cases come from: op_cases.c and op_cases_conv.c list the fixed ones, which are
 * passed to a visitor one by one, and op_random.c draws others.
 */
#ifndef OP_TABLES_H
#define OP_TABLES_H

#include "check/op_case.h"
#include "check/op_rng.h"

typedef void op_visit(void *context, const op_case *item);

enum { OP_TINY_MACS = 300000 }; /* the default limit of multiply-adds of a tiny case */

typedef struct {
    bool full_size; /* layers of the full networks keep their size */
    bool sparse;    /* every third shape of convolutions */
    bool fewer;     /* fewer shapes of convolutions, for families that compile a kernel for each */
    bool one_pass;  /* no convolutions with more positions than a pass of a backend has */
    double macs;    /* limit of multiply-adds to which layers shrink; 0: the default */
    int64_t channel_alignment;
} op_tier;

/* Visits the fixed table: the cases of op_cases.c and the convolutions below. */
void op_cases_table(const op_tier *tier, op_visit *visit, void *context);
void op_cases_conv(const op_tier *tier, op_visit *visit, void *context);
/* Visits the distinct layers of the networks only. */
void op_cases_layers(const op_tier *tier, op_visit *visit, void *context);

/* Multiply-adds of a convolution, of each of the three kinds. */
double op_conv_macs(const op_conv_shape *shape);

/* A random case of any kind but the collectives (op_random.c). */
op_case op_case_random(p2p_kind kind, op_rng *rng, const op_tier *tier);

#endif
