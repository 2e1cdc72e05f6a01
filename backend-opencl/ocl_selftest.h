/* The self-test of a family of convolutions: does this driver's compiler get it right? */
#ifndef OCL_SELFTEST_H
#define OCL_SELFTEST_H

#include "ocl.h"
#include "ocl_conv.h"

/* Does `family`, whose planner is given, compute right on the target's device, with activations stored as f32
 * or bf16? Found out at the first question and remembered; between runs in the host's cache, so a device is
 * tested once per driver and version of the kernels. A failure is a warning that names the driver. Families
 * that P2P_OPENCL_FAIL names fail untested. Only what concerns the device as a whole is an error: memory, or
 * its loss. */
p2p_status ocl_selftest(const ocl_target *target, ocl_conv_family family, p2p_type stored,
                        ocl_planner planner, bool *passes);

/* The same of a single way, whatever kinds of convolutions it takes: before one that was measured or imposed
 * is used. */
p2p_status ocl_selftest_way(p2p_be_device *device, const ocl_conv_way *way, p2p_type stored, bool *passes);
void ocl_selftest_release(p2p_be_device *device);

/* Is the name, a family's or a way's ("direct:1x1x8x2"), in P2P_OPENCL_FAIL, a list with commas between? */
bool ocl_told_to_fail(const char *name);

#endif
