/* Direct convolutions for CPU devices: the planner.
 *
 * Chooses kernel, tile and grid from the descriptor alone, so the same shape always gives the same order of
 * summation and the same bits, whatever the number of threads. Knows nothing of OpenCL objects.
 */
#ifndef OCL_CONV_CPU_H
#define OCL_CONV_CPU_H

#include "ocl_launch.h"

/* Plan a validated conv_fwd, conv_bwd_data or conv_bwd_filter.
 *
 * Takes float32 activations in nchwc, block 16, any channel range that starts at a multiple of 16; filters in
 * ckrs, block 16; plain float32 vectors whose storage is rounded up to 16 channels. conv_bwd_data wants its
 * filter in kcrs_t, block 16 (answer.want_filter), and conv_fwd to one channel too; asked with ckrs they
 * first transpose it into scratch memory, every time. conv_bwd_filter writes ckrs. `vector_width` is
 * CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT: it decides how many accumulators a tile has. P2P_UNSUPPORTED, with a
 * reason through host->fail, for any other storage and for extents beyond 31 bits. */
p2p_status ocl_conv_cpu_query(const p2p_host *host, int vector_width, const p2p_op *op, ocl_plan *plan);

#endif
