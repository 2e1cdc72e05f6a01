/* Operations: kernels of a plan with their arguments set, and their execution. */
#ifndef OCL_OP_H
#define OCL_OP_H

#include "ocl_device.h"

/* Creates the operation of a plan. `bindings` and `scratch` as in p2p_backend.h. Returns P2P_UNSUPPORTED if
 * a compiled kernel allows smaller groups than its launch has; then device->target.group_limit is lowered,
 * and the caller may plan again. */
p2p_status ocl_op_create_planned(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                                 p2p_binding scratch, const ocl_plan *plan, p2p_be_op **created);

/* Plans an operation for a device's current target. */
typedef p2p_status (*ocl_plan_maker)(void *context, const p2p_op *op, ocl_plan *plan);

/* The same with a plan by make(context, ...), which is called again if a smaller group limit was found.
 * Returns P2P_UNSUPPORTED too if the new plan needs more scratch memory than the first, or than the buffer
 * has. */
p2p_status ocl_op_create_by(p2p_be_device *device, ocl_plan_maker make, void *context, const p2p_op *op,
                            const p2p_binding *bindings, p2p_binding scratch, p2p_be_op **created);

/* op_run and op_destroy of p2p_backend.h. */
p2p_status ocl_op_run(p2p_be_device *device, p2p_be_op *op);
void ocl_op_destroy(p2p_be_device *device, p2p_be_op *op);

#endif
