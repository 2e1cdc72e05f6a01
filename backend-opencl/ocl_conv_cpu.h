/* Direct convolutions for CPU devices: the planner.
 *
 * Chooses kernel, tile and grid from the descriptor and the width of the device's vectors alone, so the same
 * shape always gives the same order of summation and the same bits, whatever the number of threads. Knows
 * nothing of OpenCL objects.
 */
#ifndef OCL_CONV_CPU_H
#define OCL_CONV_CPU_H

#include "ocl_plan.h"

/* Plan a validated conv_fwd, conv_bwd_data or conv_bwd_filter.
 *
 * Takes float32 activations in nchwc, block 16, any channel range that starts at a multiple of 16; filters in
 * ckrs, block 16, and for the first two kinds kcrs_t, block 16, too; plain float32 biases. conv_bwd_filter
 * writes ckrs. No derived filter is asked for: a data gradient turns ckrs on the way, which costs less time
 * than a turned copy after every update, and no memory.
 * P2P_UNSUPPORTED, with a reason, for any other storage, for strides above 1024, for filters of which a tile
 * would see too many pixels, and for extents beyond 31 bits. */
p2p_status ocl_plan_conv_cpu(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Register tiles that keep the planner's order of summation, and so its bits, best first by the planner's own
 * estimate: images x rows x columns of positions x vectors of 16 output channels, "1x1x8x2"; for a filter
 * gradient input channels x vectors, "8x2". And, last, the form of ocl_conv_small.h, which may add in another
 * order. Where that is the planner's choice, its tile is among them instead. Returns how many. */
int ocl_conv_cpu_variants(const ocl_target *target, const p2p_op *op,
                          ocl_variant_name names[OCL_MOST_VARIANTS]);

/* ---- What the families for CPUs share ----------------------------------------------------------------- */

/* P2P_UNSUPPORTED unless the operand is stored as above and its extents leave room in 31 bits for products
 * with strides. `turned_too`: kcrs_t is taken as well. */
p2p_status ocl_conv_check_activation(const ocl_target *target, const p2p_op *op, int operand);
p2p_status ocl_conv_check_filter(const ocl_target *target, const p2p_op *op, int operand, bool turned_too);
/* The activation's extents alone: Winograd's planner for GPUs asks so too. */
p2p_status ocl_conv_check_extents(const ocl_target *target, const p2p_op *op, int operand);

/* Append a launch of `kernel` from kernels/`source`, after conv_cpu.clh: one work-item per work-group. */
ocl_launch *ocl_conv_launch_add(const ocl_target *target, ocl_plan *plan, const char *source,
                                const char *kernel, int64_t x, int64_t y, int64_t z);
/* The arguments VIEWED of common.clh, then the extents c, h, w. */
void ocl_conv_arg_activation(ocl_launch *launch, const p2p_op *op, int operand);
/* Append the ordered addition of the `parts` of a filter gradient, `size` floats each, that lie one after the
 * other from `at` on in scratch memory. */
void ocl_conv_add_parts(const ocl_target *target, const p2p_op *op, ocl_plan *plan, uint64_t at, int64_t size,
                        int64_t parts);

#endif
