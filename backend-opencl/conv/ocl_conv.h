/* Planning of convolutions: the choice of family and variant, and planning by a given way.
 *
 * The default choice is a cost estimate from the shape. A choice of the target (ocl_choice.h) or a family
 * (P2P_OPENCL_CONV) overrides it. Nothing is measured or tested here: untested families are assumed
 * correct, and the plan names such a family in `untested`.
 */
#ifndef OCL_CONV_H
#define OCL_CONV_H

#include "ocl_way.h"

/* Plans a validated convolution of any kind. */
p2p_status ocl_plan_conv(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Plans by exactly this way. Returns P2P_UNSUPPORTED if it is not available or its family failed its
 * self-test. {OCL_CONV_AUTO, ""} is the default choice, without the target's choices. */
p2p_status ocl_conv_plan_way(const ocl_target *target, const ocl_conv_way *way, const p2p_op *op,
                             ocl_plan *plan);

/* The same for a family other than OCL_CONV_AUTO, regardless of its verdict: for tests of the way itself. */
p2p_status ocl_conv_plan_untested_way(const ocl_target *target, const ocl_conv_way *way, const p2p_op *op,
                                      ocl_plan *plan);

enum { OCL_MOST_WAYS = 32 };
_Static_assert((int)OCL_MOST_WAYS <= (int)P2P_MOST_CHOICES, "op_list has room for every way");

typedef struct {
    int count;
    ocl_conv_way way[OCL_MOST_WAYS];
    ocl_conv_family untested; /* the first of these ways' families without a verdict; OCL_CONV_AUTO: none */
} ocl_conv_ways;

/* Lists the ways that may be fast for this shape: the default, {OCL_CONV_AUTO, ""}, first, and not again
 * under another name. Families that failed their self-test have none. Every listed way can be planned. */
p2p_status ocl_conv_list_ways(const ocl_target *target, const p2p_op *op, ocl_conv_ways *ways);

/* Lists every way that can be planned for this shape, families that failed their self-test included, each
 * under its own name: the default is not among them. `untested` is not set. */
p2p_status ocl_conv_list_all_ways(const ocl_target *target, const p2p_op *op, ocl_conv_ways *ways);

#endif
