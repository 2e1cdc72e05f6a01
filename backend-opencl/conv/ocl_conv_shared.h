/* Common part of the convolution families: checks of operand storage, arguments, and launches for CPUs.
 */
#ifndef OCL_CONV_SHARED_H
#define OCL_CONV_SHARED_H

#include "plan/ocl_plan.h"

/* Return P2P_UNSUPPORTED unless the operand is a float32 activation in nchwc16 with a channel range that
 * starts at a multiple of 16, or a float32 filter in ckrs16 (`turned_too`: or kcrs_t16), and its extents
 * are small enough for 31-bit products with strides. */
p2p_status ocl_conv_check_activation(const ocl_target *target, const p2p_op *op, int operand);
p2p_status ocl_conv_check_filter(const ocl_target *target, const p2p_op *op, int operand, bool turned_too);
/* Checks the activation's extents only. */
p2p_status ocl_conv_check_extents(const ocl_target *target, const p2p_op *op, int operand);

/* Appends a launch of `kernel` from kernels/`source`, after cpu.clh: one work-item per work-group. */
ocl_launch *ocl_conv_launch_cpu(const ocl_target *target, ocl_plan *plan, const char *source,
                                const char *kernel, int64_t x, int64_t y, int64_t z);

/* The arguments VIEWED of common.clh, then the extents c, h, w. */
void ocl_conv_arg_activation(ocl_launch *launch, const p2p_op *op, int operand);

#endif
