/* Queries and creation of operations. Planners are pure; that of convolutions queries cuDNN. See
 * cuda_operation.h.
 */
#include "cuda_operation.h"

#include "cuda_planners.h"

#include "device/cuda_op.h"

p2p_status cuda_op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    cuda_plan plan;
    P2P_TRY(cuda_enter(&device->queue));
    P2P_TRY(cuda_plan_op(&device->target, op, &plan));
    *answer = plan.answer;
    return P2P_OK;
}

/* If the filter must have another storage, the operation is created with the derived filter only. */
static p2p_status create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created) {
    cuda_plan plan;
    P2P_TRY(cuda_plan_op(&device->target, op, &plan));
    if (plan.answer.filter_need == P2P_FILTER_REQUIRED)
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: %s needs its filter in another storage",
                               device->queue.name, p2p_kind_name(op->kind));
    return cuda_op_create_planned(device, op, bindings, scratch, &plan, created);
}

/* If an engine of cuDNN failed when it was first executed, the next plan has another one. */
p2p_status cuda_op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                          p2p_binding scratch, p2p_be_op **created) {
    p2p_status status;
    int failures;
    *created = NULL;
    P2P_TRY(cuda_enter(&device->queue));
    do {
        failures = cuda_convs_failures(device->convs);
        status = create(device, op, bindings, scratch, created);
    } while (status == P2P_UNSUPPORTED && cuda_convs_failures(device->convs) > failures);
    return status;
}
