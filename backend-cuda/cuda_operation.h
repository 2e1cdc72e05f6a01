/* Queries and creation of operations, for the device table. p2p_backend.h describes each function. */
#ifndef CUDA_OPERATION_H
#define CUDA_OPERATION_H

#include "p2p_backend.h"

p2p_status cuda_op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer);
p2p_status cuda_op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                          p2p_binding scratch, p2p_be_op **created);

#endif
