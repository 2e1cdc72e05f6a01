/* Planner of matrix products by cuBLAS. See cuda_plan_gemm.h. */
#include "cuda_plan_gemm.h"

#include "cuda_view.h"

#include <string.h>

static cuda_matrix matrix_of(const p2p_op *op, int operand) {
    return (cuda_matrix){.operand = operand, .row_distance = op->t[operand].w, .type = P2P_TYPE_f32};
}

p2p_status cuda_plan_gemm(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    enum { A = P2P_AT_gemm_a, B = P2P_AT_gemm_b, Y = P2P_AT_gemm_y };
    for (int i = A; i <= Y; i++) {
        P2P_TRY(cuda_require_plain(target, op, i));
        if (op->t[i].c > INT32_MAX || op->t[i].w > INT32_MAX)
            return cuda_refuse_operand(target, op, i, "at most 2^31 - 1 rows and columns");
    }
    cuda_step_add(plan, CUDA_STEP_GEMM)->gemm = (cuda_gemm){.m = op->t[Y].c,
                                                            .n = op->t[Y].w,
                                                            .k = op->transpose_a ? op->t[A].c : op->t[A].w,
                                                            .transpose_a = op->transpose_a,
                                                            .transpose_b = op->transpose_b,
                                                            .alpha = (float)op->alpha,
                                                            .beta = p2p_op_accumulates(op, Y) ? 1 : 0,
                                                            .math = P2P_MATH_stored,
                                                            .a = matrix_of(op, A),
                                                            .b = matrix_of(op, B),
                                                            .y = matrix_of(op, Y)};
    strcpy(plan->answer.kernel, "cublas_gemm");
    return P2P_OK;
}
