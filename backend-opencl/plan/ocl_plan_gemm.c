/* Planner of matrix products, computed by the matrix library (CLBlast). See ocl_plan_gemm.h. */
#include "ocl_plan_gemm.h"

#include <assert.h>
#include <string.h>

/* CLBlast's smallest work-group. */
enum { LEAST_GROUP = 64 };

void ocl_launch_gemm(ocl_plan *plan, const ocl_gemm *gemm) {
    assert(plan->launch_count < OCL_PLAN_LAUNCHES);
    plan->launch[plan->launch_count++].gemm = *gemm;
}

/* The library's own need plus the slack for aligning its start. */
p2p_status ocl_gemm_reserve(const ocl_target *target, const p2p_op *op, ocl_gemm *gemm,
                            size_t *scratch_bytes) {
    const ocl_gemm_library *library = &target->gemm;
    if (!library->scratch_size) return ocl_refuse(target, op, "there is no matrix library");
    if (target->device_group_limit < LEAST_GROUP)
        return ocl_refuse(target, op, "CLBlast needs groups of %d work-items, the device allows %zu",
                          LEAST_GROUP, target->device_group_limit);
    P2P_TRY(library->scratch_size(library->context, gemm, &gemm->temp_bytes));
    gemm->temp_offset = *scratch_bytes / sizeof(float);
    if (gemm->temp_bytes > 0) *scratch_bytes += gemm->temp_bytes + library->alignment;
    return P2P_OK;
}

p2p_status ocl_plan_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    enum { A = P2P_AT_gemm_a, B = P2P_AT_gemm_b, Y = P2P_AT_gemm_y };
    for (int i = A; i <= Y; i++) {
        P2P_TRY(ocl_require_plain(target, op, i));
        if (p2p_tensor_stored(&op->t[i]) > INT32_MAX)
            return ocl_refuse(target, op, "%s has more than 2^31 elements",
                              p2p_kind_operand_name(op->kind, i));
    }
    ocl_gemm gemm = {.m = op->t[Y].c,
                     .n = op->t[Y].w,
                     .k = op->transpose_a ? op->t[A].c : op->t[A].w,
                     .transpose_a = op->transpose_a,
                     .transpose_b = op->transpose_b,
                     .alpha = (float)op->alpha,
                     .beta = p2p_op_accumulates(op, Y) ? 1 : 0,
                     .a = {.operand = A, .row_distance = (uint64_t)op->t[A].w},
                     .b = {.operand = B, .row_distance = (uint64_t)op->t[B].w},
                     .y = {.operand = Y, .row_distance = (uint64_t)op->t[Y].w}};
    P2P_TRY(ocl_gemm_reserve(target, op, &gemm, &plan->answer.scratch_bytes));
    ocl_launch_gemm(plan, &gemm);
    strcpy(plan->answer.kernel, "clblast_sgemm");
    return P2P_OK;
}
