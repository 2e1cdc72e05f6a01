/* Planner of matrix products by cuBLAS. */
#ifndef CUDA_PLAN_GEMM_H
#define CUDA_PLAN_GEMM_H

#include "cuda_plan.h"

p2p_status cuda_plan_gemm(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

#endif
