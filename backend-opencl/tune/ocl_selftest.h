/* The self-test of convolutions: whether a driver compiles a family, or a single algorithm, correctly.
 *
 * Drivers miscompile, and a training on wrong gradients fails slowly and silently. All three kinds are run
 * on four small shapes, two odd and two of the deepest layers, and compared (p2p_tune.h). A failure gives
 * a warning that names the driver. A pass is stored in the host's cache, so a device is tested once per
 * driver and version of the kernels. If every shape is refused, nothing is tested and nothing is stored.
 * Names in P2P_OPENCL_FAIL fail without a test. The operation tests cover all kinds, shapes and options;
 * the self-test does not replace them.
 */
#ifndef OCL_SELFTEST_H
#define OCL_SELFTEST_H

#include "ocl_tuning.h"

#include "device/ocl_op.h"

/* Tests a family with activations stored as f32 or bf16, unless device->tuning has a verdict, and records
 * the verdict there. Returns only errors of the device as a whole: memory, or its loss. */
p2p_status ocl_selftest_family(p2p_be_device *device, ocl_conv_family family, p2p_type stored);

/* The same for a single algorithm with a variant, before a measured or imposed one is used. *passes
 * is false if it has failed; an algorithm that refuses every shape of the self-test passes. */
p2p_status ocl_selftest_algorithm(p2p_be_device *device, const ocl_conv_algorithm *algorithm, p2p_type stored,
                                  bool *passes);

/* ocl_conv_plan_algorithm, after a self-test of the family if it has no verdict yet. */
p2p_status ocl_selftest_plan_algorithm(p2p_be_device *device, const ocl_conv_algorithm *algorithm,
                                       const p2p_op *op, ocl_plan *plan);

/* The test itself, with plans by make(context, ...), under a name for messages and the cache. The verdict is
 * OCL_VERDICT_UNKNOWN only on failure. */
p2p_status ocl_selftest_plans(p2p_be_device *device, const char *name, p2p_type stored, ocl_plan_maker make,
                              void *context, ocl_verdict *verdict);

#endif
