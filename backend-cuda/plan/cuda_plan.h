/* Helpers for planners: refusals, steps and arguments. */
#ifndef CUDA_PLAN_H
#define CUDA_PLAN_H

#include "cuda_target.h"

/* Returns P2P_UNSUPPORTED; the message names the kind, then the reason. */
p2p_status cuda_refuse(const cuda_target *target, const p2p_op *op, const char *format, ...) P2P_PRINTF(3, 4);
/* The same with an operand's storage and the `rule` that it violates: "x is ..., but must be <rule>". */
p2p_status cuda_refuse_operand(const cuda_target *target, const p2p_op *op, int operand, const char *rule);

/* Appends a step. A plan has at most CUDA_PLAN_STEPS; more is a programming error (asserted). */
cuda_step *cuda_step_add(cuda_plan *plan, cuda_step_kind kind);
/* Appends a launch of `kernel` from kernels/`source`.cu with blocks of `threads` in one dimension. */
cuda_launch *cuda_launch_add(cuda_plan *plan, const char *source, const char *kernel, unsigned threads);

/* Append an argument. NULL is passed for operand -1 or an absent one. */
void cuda_arg_operand(cuda_launch *launch, int operand);
void cuda_arg_scratch(cuda_launch *launch, uint64_t bytes);
/* Reserves `count` counters of the operation. */
void cuda_arg_counters(cuda_plan *plan, cuda_launch *launch, int64_t count);
void cuda_arg_int(cuda_launch *launch, int64_t value);
void cuda_arg_long(cuda_launch *launch, int64_t value);
void cuda_arg_float(cuda_launch *launch, double value);

/* Reserves `bytes` of the operation's scratch memory, aligned to CUDA_ALIGNMENT. Returns their offset. */
uint64_t cuda_scratch(cuda_plan *plan, uint64_t bytes);

int64_t cuda_min(int64_t a, int64_t b);
int64_t cuda_max(int64_t a, int64_t b);

#endif
