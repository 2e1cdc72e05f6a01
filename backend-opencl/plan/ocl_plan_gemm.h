/* Planner of matrix products, and products as a part of other plans. The library itself is called by
 * device/ocl_gemm.c alone. */
#ifndef OCL_PLAN_GEMM_H
#define OCL_PLAN_GEMM_H

#include "ocl_plan.h"

p2p_status ocl_plan_gemm(const ocl_target *target, const p2p_op *op, ocl_plan *plan);

/* Reserves the library's own scratch memory behind `scratch_bytes`. P2P_UNSUPPORTED where the library can't
 * run. */
p2p_status ocl_gemm_reserve(const ocl_target *target, const p2p_op *op, ocl_gemm *gemm,
                            size_t *scratch_bytes);
void ocl_launch_gemm(ocl_plan *plan, const ocl_gemm *gemm);

#endif
