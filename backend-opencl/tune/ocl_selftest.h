/* The self-test of convolutions: whether a driver's compiler gets a family, or a single way, right.
 *
 * Drivers miscompile, and a training on wrong gradients fails slowly and silently. All three kinds run on two
 * small odd shapes and are compared (ocl_checker.h). A failure is a warning that names the driver. A pass is
 * kept between runs in the host's cache, so a device is tested once per driver and version of the kernels.
 * Names in P2P_OPENCL_FAIL fail without a test. The operation tests cover all kinds, shapes and options; this
 * does not replace them.
 */
#ifndef OCL_SELFTEST_H
#define OCL_SELFTEST_H

#include "ocl_tuning.h"

#include "device/ocl_op.h"

/* Tests a family with activations stored as f32 or bf16, unless there is a verdict in device->tuning, and
 * records the verdict there. Only what concerns the device as a whole is an error: memory, or its loss. */
p2p_status ocl_selftest_family(p2p_be_device *device, ocl_conv_family family, p2p_type stored);

/* The same of a single way with a variant: before one that was measured or imposed is used. */
p2p_status ocl_selftest_way(p2p_be_device *device, const ocl_conv_way *way, p2p_type stored, bool *passes);

/* ocl_conv_plan_way, after a test of the family where it has no verdict yet. */
p2p_status ocl_selftest_plan_way(p2p_be_device *device, const ocl_conv_way *way, const p2p_op *op,
                                 ocl_plan *plan);

/* The test itself, of the plans by make(context, ...), under a name for messages and the cache. */
p2p_status ocl_selftest_plans(p2p_be_device *device, const char *name, p2p_type stored, ocl_plan_maker make,
                              void *context, ocl_verdict *verdict);

#endif
