/* Choosing between ways of computing a convolution by measuring them. */
#ifndef OCL_TUNE_H
#define OCL_TUNE_H

#include "ocl_tuning.h"

/* Writes the seconds that `runs` runs of an operation took, one after the other, on an idle device. */
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
