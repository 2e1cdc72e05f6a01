/* Matrix products by cuBLAS. */
#ifndef CUDA_GEMM_H
#define CUDA_GEMM_H

#include "cuda_device.h"

/* The handle of a device, bound to the queue, with a workspace of ours: cuBLAS allocates none then, and equal
 * products have equal bits. */
p2p_status cuda_gemm_open(p2p_be_device *device);
void cuda_gemm_close(p2p_be_device *device);

/* A product with its addresses. */
typedef struct {
    cuda_gemm shape;
    CUdeviceptr a, b, y;
} cuda_gemm_call;

/* Runs the product once into memory of its own, so that cuBLAS loads its kernels. Without memory for that it
 * does nothing: the first run takes longer. */
p2p_status cuda_gemm_warm(p2p_be_device *device, const cuda_gemm_call *call);

/* Enqueues it. */
p2p_status cuda_gemm_run(p2p_be_device *device, const cuda_gemm_call *call);

#endif
