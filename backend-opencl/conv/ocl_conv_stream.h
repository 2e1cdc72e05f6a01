/* Direct convolutions for CPU devices of maps of a few pixels under many channels, where reading or writing
 * the filter takes the time: the planner, a form of the direct family. Pure: no OpenCL object is used.
 */
#ifndef OCL_CONV_STREAM_H
#define OCL_CONV_STREAM_H

#include "plan/ocl_plan.h"

/* Its name as a variant of the direct family, which selects it for any size of filter. */
#define OCL_CONV_STREAM "stream"

/* Plan a validated convolution of maps of at most 4x4 results (their gradients, 8x8) with zero padding and at
 * most 16 taps, in the storages that ocl_plan_conv_direct takes, all channels in full blocks, lanes of a
 * filter along the output channels of the forward convolution. P2P_UNSUPPORTED, with a reason, for all else.
 */
p2p_status ocl_plan_conv_stream(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Whether it takes the convolution, and the filter is large enough for it to be the fastest form. Depends on
 * the shape of one image and the width of the device's vectors alone. */
bool ocl_conv_stream_pays(const ocl_target *target, const p2p_op *op);

/* Whether that leaves so few positions, of all images that the choice is made for, that products in float32
 * take no longer than the filter's traffic, so that cheaper ones would gain nothing. */
bool ocl_conv_stream_hides_products(const ocl_target *target, const p2p_op *op);

#endif
