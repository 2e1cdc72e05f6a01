/* Whether a convolution computes right on a device: operands, the truth in double precision, and comparisons.
 * For the tuner's candidates on the shape that they are meant for, and for the self-test on small shapes.
 *
 * Where all elements take at most 2^19 multiplications, every one is compared with the truth; of larger
 * shapes some are, which finds what all candidates have wrong, and every element is compared with the result
 * of the first candidate that was right, which finds what one of them leaves out.
 */
#ifndef OCL_CHECKER_H
#define OCL_CHECKER_H

#include "device/ocl_op.h"

/* The operands of a plain convolution: input or its gradient, filter likewise, output likewise. */
enum { OCL_CHECK_X, OCL_CHECK_W, OCL_CHECK_Y, OCL_CHECK_ROLES };

typedef struct {
    int at[OCL_CHECK_ROLES]; /* positions in op->t[] */
    int result;              /* the role that is computed; the others are given */
} ocl_checker_roles;

ocl_checker_roles ocl_checker_roles_of(p2p_kind kind);

typedef struct {
    p2p_be_device *device;
    const p2p_op *op;
    ocl_checker_roles roles;
    p2p_be_buffer *buffer[OCL_CHECK_ROLES];
    p2p_be_buffer *accepted; /* the result of the first candidate that was right */
    bool has_accepted;
    bool complete; /* the samples are all elements */
    int64_t samples;
    double *truth; /* of each sample */
    double tolerance;
} ocl_checker;

/* Small whole numbers in what is given. P2P_UNSUPPORTED for operands of whole numbers. Call
 * ocl_checker_close() in any case. */
p2p_status ocl_checker_open(ocl_checker *check, p2p_be_device *device, const p2p_op *op);
void ocl_checker_close(ocl_checker *check);

/* Fills the result with NaN, so that an element that is not written shows. */
p2p_status ocl_checker_prepare(ocl_checker *check);

/* Whether the result, just computed, is right. Else `why` has what is wrong. */
enum { OCL_CHECK_WHY = 160 };
p2p_status ocl_checker_result(ocl_checker *check, bool *right, char why[OCL_CHECK_WHY]);

/* Prepares, creates the operation of a plan by make(context, ...), runs it and checks its result. The
 * caller destroys *made, which may be set on failure too. */
p2p_status ocl_checker_try(ocl_checker *check, ocl_plan_maker make, void *context, p2p_be_buffer *scratch,
                           p2p_be_op **made, bool *right, char why[OCL_CHECK_WHY]);

#endif
