/* Direct filter gradients for CPU devices: the planner, and its variants. See ocl_conv_direct.h. It uses no
 * OpenCL object. */
#ifndef OCL_CONV_DIRECT_FILTER_H
#define OCL_CONV_DIRECT_FILTER_H

#include "plan/ocl_plan.h"

/* Plans a validated conv_bwd_filter in the storages of ocl_plan_conv_direct. */
p2p_status ocl_plan_conv_direct_filter(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Lists tiles with at least as many sums as the planner's own, which is one of them with `all` only. Returns
 * their number. */
int ocl_conv_direct_filter_variants(const ocl_target *target, const p2p_op *op, bool all,
                                    ocl_variant_name names[OCL_MOST_VARIANTS]);

/* Appends the launch that adds the `parts` of a filter gradient in order: `size` floats each, contiguous in
 * scratch memory from `at` on. */
void ocl_conv_direct_add_parts(const ocl_target *target, const p2p_op *op, ocl_plan *plan, uint64_t at,
                               int64_t size, int64_t parts);

#endif
