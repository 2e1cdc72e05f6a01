/* Matrix products. See cuda_gemm.h. */
#include "cuda_gemm.h"

#include "cuda_memory.h"
#include "cuda_ticket.h"

#include <stdint.h>

/* What NVIDIA recommends: 32 MiB from Hopper on. */
static size_t workspace_bytes(const p2p_be_device *device) {
    return (size_t)(device->target.capability >= 90 ? 32 : 8) << 20;
}

p2p_status cuda_gemm_open(p2p_be_device *device) {
    cuda_queue *queue = &device->queue;
    CUDA_TRY_BLAS(queue, cublasCreate, &device->blas);
    CUDA_TRY_BLAS(queue, cublasSetStream, device->blas, queue->stream);
    P2P_TRY(cuda_memory_alloc(device, workspace_bytes(device), "the workspace of cuBLAS",
                              &device->blas_workspace));
    CUDA_TRY_BLAS(queue, cublasSetWorkspace, device->blas, (void *)(uintptr_t)device->blas_workspace,
                  workspace_bytes(device));
    CUDA_TRY_BLAS(queue, cublasSetAtomicsMode, device->blas, CUBLAS_ATOMICS_NOT_ALLOWED);
    CUDA_TRY_BLAS(queue, cublasSetMathMode, device->blas,
                  (cublasMath_t)(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
    return P2P_OK;
}

void cuda_gemm_close(p2p_be_device *device) {
    if (device->blas && !device->queue.lost) cuda_blas.cublasDestroy(device->blas);
    if (device->blas_workspace) CUDA_RELEASE(&device->queue, cuMemFree, device->blas_workspace);
}

static cudaDataType_t type_of(const cuda_matrix *matrix) {
    return matrix->type == P2P_TYPE_bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* Sums are always in float32. */
static cublasComputeType_t compute_type(const cuda_gemm *g) {
    if (g->a.type == P2P_TYPE_bf16) return CUBLAS_COMPUTE_32F;
    return g->math == P2P_MATH_tf32   ? CUBLAS_COMPUTE_32F_FAST_TF32
           : g->math == P2P_MATH_bf16 ? CUBLAS_COMPUTE_32F_FAST_16BF
                                      : CUBLAS_COMPUTE_32F;
}

static cublasOperation_t transposed(bool yes) {
    return yes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

/* cuBLAS has column-major matrices: it computes the transpose of y = op(a) op(b), which is op(b)' op(a)', of
 * the same memory. */
p2p_status cuda_gemm_run(p2p_be_device *device, const cuda_gemm_call *call) {
    const cuda_gemm *g = &call->shape;
    CUDA_TRY_BLAS(&device->queue, cublasGemmEx, device->blas, transposed(g->transpose_b),
                  transposed(g->transpose_a), (int)g->n, (int)g->m, (int)g->k, &g->alpha,
                  (const void *)(uintptr_t)call->b, type_of(&g->b), (int)g->b.row_distance,
                  (const void *)(uintptr_t)call->a, type_of(&g->a), (int)g->a.row_distance, &g->beta,
                  (void *)(uintptr_t)call->y, type_of(&g->y), (int)g->y.row_distance, compute_type(g),
                  CUBLAS_GEMM_DEFAULT);
    return P2P_OK;
}

static size_t matrix_bytes(const cuda_matrix *matrix, int64_t rows) {
    enum { ALIGNMENT = 256 };
    const size_t bytes = (size_t)rows * (size_t)matrix->row_distance * p2p_type_bytes(matrix->type);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* In memory of its own, because the operands may be in use. */
p2p_status cuda_gemm_warm(p2p_be_device *device, const cuda_gemm_call *call) {
    const cuda_gemm *g = &call->shape;
    const size_t a = matrix_bytes(&g->a, g->transpose_a ? g->k : g->m),
                 b = matrix_bytes(&g->b, g->transpose_b ? g->n : g->k), y = matrix_bytes(&g->y, g->m);
    CUdeviceptr memory;
    if (cuda_driver.cuMemAlloc(&memory, a + b + y) != CUDA_SUCCESS) return P2P_OK;
    const cuda_gemm_call warm = {.shape = *g, .a = memory, .b = memory + a, .y = memory + a + b};
    p2p_status status = cuda_gemm_run(device, &warm);
    if (status == P2P_OK) status = cuda_drain(device, device->queue.stream);
    CUDA_RELEASE(&device->queue, cuMemFree, memory);
    return status;
}
