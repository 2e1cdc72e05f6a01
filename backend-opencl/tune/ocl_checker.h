/* Checks of a convolution's results on a device: operands, expected values in double precision, and
 * comparisons. The tuner uses it for its candidates on their actual shape, the self-test on small shapes.
 *
 * If all elements together take at most 2^19 multiplications, every one is compared with the expected
 * value. For larger shapes some elements are, which detects errors common to all candidates; and every
 * element is compared with the result of the first correct candidate, which detects an error of a single
 * one.
 */
#ifndef OCL_CHECKER_H
#define OCL_CHECKER_H

#include "device/ocl_op.h"

/* The operands of a plain convolution: the input, the filter and the output, or their gradients. */
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
    p2p_be_buffer *accepted; /* the result of the first correct candidate */
    bool has_accepted;
    bool complete; /* the samples are all elements */
    int64_t samples;
    double *truth; /* expected value of each sample */
    double tolerance;
} ocl_checker;

/* Opens a check and fills the given operands with small whole numbers. Returns P2P_UNSUPPORTED for integer
 * operands. The caller must call ocl_checker_close() in any case. */
p2p_status ocl_checker_open(ocl_checker *check, p2p_be_device *device, const p2p_op *op);
void ocl_checker_close(ocl_checker *check);

/* Fills the result with NaN, so that elements that are not written are detected. */
p2p_status ocl_checker_prepare(ocl_checker *check);

/* Checks the computed result and sets `right`. If it is wrong, `why` describes the error. */
enum { OCL_CHECK_WHY = 160 };
p2p_status ocl_checker_result(ocl_checker *check, bool *right, char why[OCL_CHECK_WHY]);

/* Prepares, creates the operation of a plan by make(context, ...), runs it and checks its result. The
 * caller destroys *made, which may be set on failure too. */
p2p_status ocl_checker_try(ocl_checker *check, ocl_plan_maker make, void *context, p2p_be_buffer *scratch,
                           p2p_be_op **made, bool *right, char why[OCL_CHECK_WHY]);

#endif
