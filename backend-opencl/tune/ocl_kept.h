/* Choices stored between runs: one entry of the host's cache per device, driver and set of kernels. */
#ifndef OCL_KEPT_H
#define OCL_KEPT_H

#include "ocl_tuning.h"

/* Reads the stored choice for the convolution that `op` reduces to. Returns false if there is none that
 * parses. The entry is read in the first call. Does not check whether the device supports the algorithm. */
bool ocl_kept_get(p2p_be_device *device, const p2p_op *op, ocl_choice *choice);

/* Stores a choice, and preserves those that other processes have stored meanwhile. */
void ocl_kept_put(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice);

#endif
