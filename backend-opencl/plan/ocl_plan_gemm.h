/* Planner of matrix products, and products as part of other plans. Only device/ocl_gemm.c calls the
 * library. */
#ifndef OCL_PLAN_GEMM_H
#define OCL_PLAN_GEMM_H

#include "ocl_plan.h"

p2p_status ocl_plan_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Appends the library's own scratch memory to *scratch_bytes. Returns P2P_UNSUPPORTED if the library cannot
 * run on the device. */
p2p_status ocl_gemm_reserve(const ocl_target *target, const p2p_op *op, ocl_gemm *gemm,
                            size_t *scratch_bytes);
void ocl_launch_gemm(ocl_plan *plan, const ocl_gemm *gemm);

#endif
