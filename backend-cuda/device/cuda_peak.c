/* Preparing kernels/peak.cu. Its rate is the denominator of `p2p bench`; no operation uses it. */
#include "cuda_peak.h"

#include "cuda_op.h"

#include "plan/cuda_plan.h"

enum {
    THREADS = 256,
    WAVE = 2048, /* threads that a multiprocessor executes at once, at most */
    CHAINS = 16  /* of peak.cu */
};

p2p_status cuda_peak_create(p2p_be_device *device, p2p_type type, int steps, p2p_binding counts, int capacity,
                            p2p_be_op **created, double *multiply_adds) {
    *created = NULL;
    P2P_TRY(cuda_enter(&device->queue));
    if (type != P2P_TYPE_f32)
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: no kernel measures the peak of %s", device->queue.name,
                               p2p_type_name(type));
    const int64_t items = cuda_min((int64_t)device->target.multiprocessors * WAVE, capacity);
    p2p_op op = {.kind = P2P_KIND_broadcast}; /* a kind with one operand */
    op.t[P2P_AT_broadcast_y] = p2p_tensor_flat(P2P_TYPE_f32, items);
    cuda_plan plan = {0};
    cuda_launch *launch = cuda_launch_add(&plan, "peak", "peak", THREADS);
    launch->grid[0] = (unsigned)cuda_divide_up(items, THREADS);
    cuda_arg_operand(launch, P2P_AT_broadcast_y);
    cuda_arg_int(launch, items);
    cuda_arg_int(launch, steps);
    cuda_arg_float(launch, 1);
    cuda_arg_float(launch, 1);
    *multiply_adds = (double)items * steps * CHAINS;
    return cuda_op_create_planned(device, &op, &counts, (p2p_binding){0}, &plan, created);
}
