/* Choices kept between runs: one entry of the host's cache per device, driver and set of kernels. */
#ifndef OCL_KEPT_H
#define OCL_KEPT_H

#include "ocl_tuning.h"

/* What an earlier start has kept for the convolution that `op` reduces to. False where there is nothing that
 * parses. The entry is read in the first call. Whether the way can be had is not checked. */
bool ocl_kept_get(p2p_be_device *device, const p2p_op *op, ocl_choice *choice);

/* Keeps a choice, besides what other processes have kept meanwhile. */
void ocl_kept_put(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice);

#endif
