/* Operands for candidates of the tuner, and whether what they compute is right. */
#ifndef OCL_TUNE_CHECK_H
#define OCL_TUNE_CHECK_H

#include "ocl.h"

/* The operands of a plain convolution: two that are given, and the result. */
enum { OCL_CHECK_X, OCL_CHECK_W, OCL_CHECK_Y, OCL_CHECK_ROLES };
enum { OCL_CHECK_SAMPLES = 64 };

typedef struct {
    p2p_be_device *device;
    const p2p_op *op;
    int at[OCL_CHECK_ROLES]; /* in op->t[]: input or its gradient, filter likewise, output likewise */
    int result;              /* which role it is */
    p2p_be_buffer *buffer[OCL_CHECK_ROLES];
    p2p_be_buffer *accepted; /* the result of the first candidate that was right */
    bool has_accepted;
    int samples; /* elements whose true value is known */
    double truth[OCL_CHECK_SAMPLES];
    double tolerance;
} ocl_check_operands;

/* Small whole numbers in what is given. P2P_UNSUPPORTED for storage that the host can't read. Call
 * ocl_check_close() in any case. */
p2p_status ocl_check_open(ocl_check_operands *operands, p2p_be_device *device, const p2p_op *op);
void ocl_check_close(ocl_check_operands *operands);

/* Fill the result with NaN, so that what isn't written shows. */
p2p_status ocl_check_prepare(ocl_check_operands *operands);

/* Whether the result, just computed, is right: some elements against the truth in double precision, and all
 * of them against the first result that was. Else `why` has what is wrong. */
enum { OCL_CHECK_WHY = 160 };
p2p_status ocl_check_result(ocl_check_operands *operands, bool *right, char why[OCL_CHECK_WHY]);

#endif
