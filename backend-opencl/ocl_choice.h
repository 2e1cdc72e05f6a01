/* Choices between ways of computing convolutions: a device's own in memory, and what is kept between runs. */
#ifndef OCL_CHOICE_H
#define OCL_CHOICE_H

#include "ocl.h"
#include "ocl_conv.h"

typedef struct {
    ocl_conv_way way;
    double seconds, default_seconds; /* 0: not measured */
} ocl_choice;

/* The way chosen on the target's device for what `op` reduces to, other than arithmetic's; false: there is
 * none. */
bool ocl_choice_find(const ocl_target *target, const p2p_op *op, ocl_conv_way *way);

/* From now on. P2P_OUT_OF_MEMORY alone. */
p2p_status ocl_choice_remember(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice);

/* What an earlier start has kept for this device, driver and set of kernels. False where there is nothing, or
 * nothing that makes sense. The file is read once, at the first question. */
bool ocl_choice_kept(p2p_be_device *device, const p2p_op *op, ocl_choice *choice);
/* Keep it, besides what other processes have kept meanwhile. */
void ocl_choice_keep(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice);

void ocl_choices_release(p2p_be_device *device);

#endif
