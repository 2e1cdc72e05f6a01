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
/* Checks that a direct convolution's stride is at most 1024. */
p2p_status ocl_conv_check_stride(const ocl_target *target, const p2p_op *op);
/* Checks the activation's extents only. */
p2p_status ocl_conv_check_extents(const ocl_target *target, const p2p_op *op, int operand);

/* The registers of a CPU device that a vector of 16 floats takes: one of 32 that hold 16 floats, or two or
 * four of 16 narrower ones. */
int64_t ocl_conv_registers(const ocl_target *target);

/* The sums, vectors of 16 floats, that a loop on a CPU device keeps in registers. About twelve registers with
 * sums have to be in flight to hide the latency of multiply-adds; the other registers are for operands.
 * USUAL, of direct convolutions: half of 32 registers, because few compilers keep more of such a loop in
 * registers, and three quarters of 16, which are those twelve. MOST: three quarters in any case. Winograd
 * uses this many, because its products read few operands; so does a direct tile if the tuner has measured it
 * as faster. STREAMED: half in any case, because vectors of a filter that is read only once are in flight
 * too. */
typedef enum { OCL_SUMS_USUAL, OCL_SUMS_MOST, OCL_SUMS_STREAMED } ocl_sums_use;
int64_t ocl_conv_sums(const ocl_target *target, ocl_sums_use use);
enum { OCL_CONV_MOST_SUMS = 24 }; /* on any device */

/* Appends a launch of `kernel` from kernels/`source`, after cpu.clh: one work-item per work-group. */
ocl_launch *ocl_conv_launch_cpu(const ocl_target *target, ocl_plan *plan, const char *source,
                                const char *kernel, int64_t x, int64_t y, int64_t z);

/* Output channels up to which the lanes of direct convolutions run along the input channels. */
enum { OCL_CONV_FEW_OUTPUTS = 3 };

/* The arguments VIEWED of common.clh, then the extents c, h, w. */
void ocl_conv_arg_activation(ocl_launch *launch, const p2p_op *op, int operand);

#endif
