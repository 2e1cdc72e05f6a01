/* Direct convolutions for CPU devices: the planner.
 *
 * Chooses kernel, tile and grid from the descriptor and the width of the device's vectors alone, so the same
 * shape always gives the same order of summation and the same bits, whatever the number of threads. Pure: no
 * OpenCL object is used.
 */
#ifndef OCL_CONV_DIRECT_H
#define OCL_CONV_DIRECT_H

#include "plan/ocl_plan.h"

/* Plan a validated conv_fwd, conv_bwd_data or conv_bwd_filter.
 *
 * Takes float32 activations in nchwc, block 16, any channel range that starts at a multiple of 16; filters in
 * ckrs, block 16, and for the first two kinds kcrs_t, block 16, too; plain float32 biases. conv_bwd_filter
 * writes ckrs. No derived filter is requested: a data gradient turns ckrs on the way, which costs less time
 * than a turned copy after every update, and no memory.
 * P2P_UNSUPPORTED, with a reason, for any other storage, for strides above 1024, for filters of which a tile
 * would see too many pixels, and for extents beyond 31 bits. */
p2p_status ocl_plan_conv_direct(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Register tiles that keep the planner's order of summation, and so its bits, best first by the planner's own
 * estimate: images x rows x columns of positions x vectors of 16 output channels, "1x1x8x2"; for a filter
 * gradient input channels x vectors, "8x2". And, last, the form of ocl_conv_stream.h, which may add in
 * another order. Where that is the planner's choice, its tile is among them instead. Returns how many. */
int ocl_conv_direct_variants(const ocl_target *target, const p2p_op *op,
                             ocl_variant_name names[OCL_MOST_VARIANTS]);

/* Append the ordered addition of the `parts` of a filter gradient, `size` floats each, that lie one after the
 * other from `at` on in scratch memory. */
void ocl_conv_direct_add_parts(const ocl_target *target, const p2p_op *op, ocl_plan *plan, uint64_t at,
                               int64_t size, int64_t parts);

#endif
