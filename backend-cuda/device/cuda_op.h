/* Operations: the steps of a plan with their arguments resolved to addresses, and their execution. */
#ifndef CUDA_OP_H
#define CUDA_OP_H

#include "cuda_device.h"

/* Creates the operation of a plan. `bindings` and `scratch` as in p2p_backend.h. Loads kernels and warms up
 * what a first run would load. P2P_UNSUPPORTED if the scratch memory is smaller than the plan needs: then an
 * earlier query had another answer. */
p2p_status cuda_op_create_planned(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                                  p2p_binding scratch, const cuda_plan *plan, p2p_be_op **created);

/* Passes `memory`, a buffer that the operation uses, to it: it is destroyed with the operation. */
void cuda_op_own(p2p_be_op *op, p2p_be_buffer *memory);

/* op_run and op_destroy of p2p_backend.h. */
p2p_status cuda_op_run(p2p_be_device *device, p2p_be_op *op);
void cuda_op_destroy(p2p_be_device *device, p2p_be_op *op);

#endif
