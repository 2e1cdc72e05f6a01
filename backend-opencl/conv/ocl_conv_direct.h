/* Direct convolutions for CPU devices: the planner.
 *
 * It chooses kernel, tile and grid. The order of summation, and so the bits, depend on the descriptor and
 * the device's vector width alone, not on the number of threads. It uses no OpenCL object.
 */
#ifndef OCL_CONV_DIRECT_H
#define OCL_CONV_DIRECT_H

#include "plan/ocl_plan.h"

/* Plans a validated conv_fwd, conv_bwd_data or conv_bwd_filter.
 *
 * Supports float32 activations in nchwc16 with any channel range that starts at a multiple of 16; filters
 * in ckrs16, and for the first two kinds kcrs_t16 too; plain float32 biases. conv_bwd_filter writes ckrs.
 * No derived filter is requested: a data gradient transposes ckrs in the kernel, which costs less time than
 * updating a transposed copy, and no memory. Returns P2P_UNSUPPORTED, with a reason, for any other storage,
 * for strides above 1024, for filters under which a tile's patch is too large, and for extents beyond 31
 * bits. */
p2p_status ocl_plan_conv_direct(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Lists register tiles with the planner's order of summation, and so its bits, best first by the planner's
 * estimate: images x rows x columns of positions x vectors of 16 output channels, "1x1x8x2"; for a filter
 * gradient input channels x vectors, "8x2". The last is the form "stream" of ocl_conv_stream.h, which may
 * have another order. If that is the planner's own choice, the planner's tile is listed instead. Returns
 * their number. */
int ocl_conv_direct_variants(const ocl_target *target, const p2p_op *op,
                             ocl_variant_name names[OCL_MOST_VARIANTS]);

#endif
