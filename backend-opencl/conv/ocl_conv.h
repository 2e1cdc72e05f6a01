/* Planning of convolutions: the choice of family and variant, and planning by a given algorithm.
 *
 * The default choice is a cost estimate from the shape. A choice of the target (ocl_choice.h) or a family
 * (P2P_OPENCL_CONV) overrides it. Nothing is measured or tested here: untested families are assumed
 * correct, and the plan names such a family in `untested`.
 */
#ifndef OCL_CONV_H
#define OCL_CONV_H

#include "ocl_algorithm.h"

/* Plans a validated convolution of any kind. */
p2p_status ocl_plan_conv(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Plans by exactly this algorithm. Returns P2P_UNSUPPORTED if it is not available or its family failed its
 * self-test. {OCL_CONV_AUTO, ""} is the default choice, without the target's choices. */
p2p_status ocl_conv_plan_algorithm(const ocl_target *target, const ocl_conv_algorithm *algorithm,
                                   const p2p_op *op, ocl_plan *plan);

/* The same for a family other than OCL_CONV_AUTO, regardless of its verdict: for its tests. */
p2p_status ocl_conv_plan_untested_algorithm(const ocl_target *target, const ocl_conv_algorithm *algorithm,
                                            const p2p_op *op, ocl_plan *plan);

enum { OCL_MOST_ALGORITHMS = 32 };
_Static_assert((int)OCL_MOST_ALGORITHMS <= (int)P2P_MOST_CHOICES, "op_list has room for every algorithm");

typedef struct {
    int count;
    ocl_conv_algorithm algorithm[OCL_MOST_ALGORITHMS];
    ocl_conv_family untested; /* the first family listed that has no verdict; OCL_CONV_AUTO: none */
} ocl_conv_algorithms;

/* Lists the algorithms that may be fast for this shape: the default, {OCL_CONV_AUTO, ""}, first, and not
 * again under another name. Families that failed their self-test have none. Each can be planned. */
p2p_status ocl_conv_list_algorithms(const ocl_target *target, const p2p_op *op,
                                    ocl_conv_algorithms *algorithms);

/* Lists every algorithm that can be planned for this shape, families that failed their self-test included,
 * each under its own name: the default is not among them. `untested` is not set. */
p2p_status ocl_conv_list_all_algorithms(const ocl_target *target, const p2p_op *op,
                                        ocl_conv_algorithms *algorithms);

#endif
