/* Convolutions in bf16 for CPU devices: what their planners share. ocl_conv_bf16.c chooses among them. */
#ifndef OCL_CONV_BF16_H
#define OCL_CONV_BF16_H

#include "ocl_conv_cpu.h"

/* conv_fwd and conv_bwd_data with 4x4 taps and stride 1 or 2; P2P_UNSUPPORTED, with a reason, for all else.
 */
p2p_status ocl_plan_bf16_winograd(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Whether Winograd's method is expected to take less time than the direct one, on `images` images where the
 * descriptor says so. */
bool ocl_bf16_winograd_pays(const ocl_target *target, const p2p_op *op);

#endif
