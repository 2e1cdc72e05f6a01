/* The kernel that only multiplies and adds: kernels/device/peak.cl. See peak_create of p2p_backend.h. Its
 * rate is the denominator of `p2p bench`; no operation uses it.
 */
#include "ocl_peak.h"

#include "ocl_bf16.h"
#include "ocl_error.h"
#include "ocl_op.h"

#include "plan/ocl_plan.h"

#include <stdio.h>

enum {
    CPU_ITEMS = 4096, /* one per group; many per core, for load balance */
    GPU_ITEMS = 1 << 17,
    /* Sums in flight. With their two factors they fit 16 registers, and they hide any latency. */
    CHAINS = 12,
    CHAINS_BF16 = 15 /* more latency, 32 registers; counts are exact up to here */
};

static p2p_status check_math(p2p_be_device *device, p2p_math math) {
    if (math == P2P_MATH_stored) return P2P_OK;
    if (math == P2P_MATH_bf16 && ocl_bf16_multiplies(&device->target)) return ocl_bf16_test(device);
    return ocl_host->fail(P2P_UNSUPPORTED, "%s: no kernel measures the peak of math=%s", device->info.name,
                          p2p_math_name(math));
}

/* Returns the multiply-adds of a run. In bf16 a lane holds a pair of factors, and so counts twice. */
static int64_t plan_peak(const ocl_target *target, p2p_math math, int items, int steps, ocl_plan *plan) {
    const bool bf16 = math == P2P_MATH_bf16;
    const int chains = bf16 ? CHAINS_BF16 : CHAINS;
    const int lanes = bf16 ? OCL_LANES : target->cpu ? target->vector_width : 1;
    ocl_launch *launch = ocl_launch_add(target, plan, bf16 ? "cpu.clh" : "peak.cl", "peak");
    if (bf16) {
        launch->source[2] = "bf16.clh";
        launch->source[3] = "peak.cl";
        ocl_bf16_options(target, launch);
    }
    ocl_launch_option(launch, "WIDTH=%d", lanes);
    ocl_launch_option(launch, "CHAINS=%d", chains);
    ocl_launch_grid(target, launch, items, 1, 1);
    ocl_arg_operand(launch, P2P_AT_broadcast_y);
    ocl_arg_int(launch, items);
    ocl_arg_int(launch, steps);
    ocl_arg_float(launch, 1);
    ocl_arg_float(launch, 1);
    return (int64_t)items * steps * chains * lanes * (bf16 ? 2 : 1);
}

p2p_status ocl_peak_create(p2p_be_device *device, p2p_math math, int steps, p2p_binding counts, int capacity,
                           p2p_be_op **created, double *multiply_adds) {
    *created = NULL;
    P2P_TRY(ocl_check_alive(device));
    P2P_TRY(check_math(device, math));
    const int items = (int)ocl_min(device->target.cpu ? CPU_ITEMS : GPU_ITEMS, capacity);
    p2p_op op = p2p_op_peak(items);
    ocl_plan plan = {0};
    *multiply_adds = (double)plan_peak(&device->target, math, items, steps, &plan);
    return ocl_op_create_planned(device, &op, &counts, (p2p_binding){0}, &plan, created);
}
