/* Choosing between ways of computing a convolution by measuring them: op_choose and op_impose. */
#ifndef OCL_TUNE_H
#define OCL_TUNE_H

#include "ocl_choice.h"

/* As p2p_backend.h has them. With P2P_OPENCL_CONV set its family's variants are all
 * there is to choose from, and with P2P_OPENCL_VARIANT nothing is. */
p2p_status ocl_op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                         p2p_choice *choice);
p2p_status ocl_op_impose(p2p_be_device *device, const p2p_op *op, const char *name);

/* Gives the seconds that `runs` runs of an operation took, one after the other, on an idle device. */
typedef struct {
    p2p_status (*time)(void *context, p2p_be_device *device, const ocl_conv_way *way, p2p_be_op *op, int runs,
                       double *seconds);
    void *context;
} ocl_timer;

/* The fastest of the ways that compute `op`, a p2p_op_plain_convolution, right. Within a few per cent of
 * arithmetic's way that one stays, so that noise changes nothing. P2P_UNSUPPORTED where the device has no way
 * at all, or `op` is in a storage that can't be checked; P2P_OUT_OF_MEMORY where the candidates don't fit. */
p2p_status ocl_tune(p2p_be_device *device, const p2p_op *op, const ocl_timer *timer, ocl_choice *choice);

#endif
