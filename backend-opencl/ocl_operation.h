/* Queries, creation and choices of operations, for the device table. Planners are pure; these functions
 * self-test a convolution family before a plan with it is first used. p2p_backend.h describes each
 * function.
 */
#ifndef OCL_OPERATION_H
#define OCL_OPERATION_H

#include "p2p_backend.h"

p2p_status ocl_op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer);
p2p_status ocl_op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created);

/* With P2P_OPENCL_CONV the variants of its family are the only candidates; with P2P_OPENCL_VARIANT there
 * are none. */
p2p_status ocl_op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                         p2p_choice *choice);
p2p_status ocl_op_impose(p2p_be_device *device, const p2p_op *op, const char *name);
p2p_status ocl_op_list(p2p_be_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME], int *count);

#endif
