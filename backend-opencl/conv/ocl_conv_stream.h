/* The form `stream` of the direct family, for CPU devices: small feature maps with many channels, where
 * reading or writing the filter dominates the time. This is its planner. It uses no OpenCL object.
 */
#ifndef OCL_CONV_STREAM_H
#define OCL_CONV_STREAM_H

#include "plan/ocl_plan.h"

/* Its name as a variant of the direct family; naming it selects it for any size of filter. */
#define OCL_CONV_STREAM "stream"

/* Plans a validated convolution with at most 4x4 outputs and 8x8 inputs per image (of the forward
 * convolution), zero padding and at most 16 taps, in the storages of ocl_plan_conv_direct, with channels
 * that fill their blocks and filters in ckrs16. Returns P2P_UNSUPPORTED, with a reason, otherwise. */
p2p_status ocl_plan_conv_stream(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Whether it supports the convolution and the filter is large enough for it to be the fastest form. Depends
 * on the shape of one image and the device's vector width alone. */
bool ocl_conv_stream_pays(const ocl_target *target, const p2p_op *op);

/* Whether ocl_conv_stream_pays, and all images together have so few positions that products in float32 take
 * no longer than the filter's traffic, so that bf16 would gain nothing. */
bool ocl_conv_stream_hides_products(const ocl_target *target, const p2p_op *op);

#endif
