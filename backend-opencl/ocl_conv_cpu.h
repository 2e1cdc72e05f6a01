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

#endif
