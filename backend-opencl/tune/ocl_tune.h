/* Choice among the algorithms of a convolution by measuring them. */
#ifndef OCL_TUNE_H
#define OCL_TUNE_H

#include "ocl_tuning.h"

#include "p2p_tune.h"

/* Writes the seconds of `runs` consecutive runs of an operation on an idle device. */
typedef struct {
    p2p_status (*time)(void *context, p2p_be_device *device, const ocl_conv_algorithm *algorithm,
                       p2p_be_op *op, int runs, double *seconds);
    void *context;
} ocl_timer;

/* Finds the fastest algorithm that computes `op`, a p2p_op_plain_convolution, correctly. The default is kept
 * unless another algorithm is faster by a few per cent, so that noise changes nothing. Returns
 * P2P_UNSUPPORTED if the device has no algorithm at all or `op` has a storage that cannot be checked;
 * P2P_OUT_OF_MEMORY if the candidates do not fit. */
p2p_status ocl_tune(p2p_be_device *device, const p2p_op *op, const ocl_timer *timer, ocl_choice *choice);

#endif
