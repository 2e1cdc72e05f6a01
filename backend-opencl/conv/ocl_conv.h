/* Planning convolutions: the choice among families and variants, and planning by a given way.
 *
 * The choice is arithmetic on the shape, unless the target has a choice for it (ocl_choice.h) or a family
 * (P2P_OPENCL_CONV). Nothing is measured or tested here: families without a verdict are taken for right, and
 * the plan names such a family in `untested`.
 */
#ifndef OCL_CONV_H
#define OCL_CONV_H

#include "ocl_way.h"

/* Plan a validated convolution of any kind. */
p2p_status ocl_plan_conv(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Plan by this way and no other; P2P_UNSUPPORTED where it can't be had, or its family failed its test.
 * {OCL_CONV_AUTO, ""} is the choice without the target's choices. */
p2p_status ocl_conv_plan_way(const ocl_target *target, const ocl_conv_way *way, const p2p_op *op,
                             ocl_plan *plan);

/* The same of a family other than OCL_CONV_AUTO, whatever its verdict: for tests of the way itself. */
p2p_status ocl_conv_plan_untested_way(const ocl_target *target, const ocl_conv_way *way, const p2p_op *op,
                                      ocl_plan *plan);

enum { OCL_MOST_WAYS = 32 };

typedef struct {
    int count;
    ocl_conv_way way[OCL_MOST_WAYS];
    ocl_conv_family untested; /* of these ways' families the first without a verdict; OCL_CONV_AUTO: none */
} ocl_conv_ways;

/* The ways that may pay for this shape: arithmetic's, {OCL_CONV_AUTO, ""}, first, and not a second time under
 * another name. Families that failed their test have none. Each way plans. */
p2p_status ocl_conv_list_ways(const ocl_target *target, const p2p_op *op, ocl_conv_ways *ways);

#endif
