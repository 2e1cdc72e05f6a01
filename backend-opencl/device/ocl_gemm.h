/* Matrix products through CLBlast. Only ocl_gemm.c calls it.
 *
 * CLBlast compiles in the first call of a routine, and allocates if a product needs padded copies. Both are
 * moved out of the run: products are warmed up at creation, and the copies go to scratch memory. Its
 * strided-batched products are never used, because they give wrong results with offsets.
 */
#ifndef OCL_GEMM_H
#define OCL_GEMM_H

#include "ocl_device.h"

typedef struct {
    cl_mem memory;
    size_t offset, row_distance; /* floats */
} ocl_gemm_matrix;

typedef struct {
    ocl_gemm shape;
    ocl_gemm_matrix a, b, y;
    cl_mem temp; /* NULL if the product needs none */
} ocl_gemm_call;

/* ocl_gemm_library.scratch_size; the context is the device. */
p2p_status ocl_gemm_scratch_size(void *device, const ocl_gemm *gemm, size_t *bytes);

/* Compiles the kernels of a product, so that its first run is as fast as later ones. Does not access the
 * operands. */
p2p_status ocl_gemm_warm(p2p_be_device *device, const ocl_gemm_call *call);
p2p_status ocl_gemm_run(p2p_be_device *device, const ocl_gemm_call *call);
/* Clears CLBlast's caches for this device's context. */
void ocl_gemm_close(p2p_be_device *device);

#endif
