/* Helpers for planners. */
#include "cuda_plan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

p2p_status cuda_refuse(const cuda_target *target, const p2p_op *op, const char *format, ...) {
    char reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return target->host->fail(P2P_UNSUPPORTED, "cuda: %s: %s", p2p_kind_name(op->kind), reason);
}

p2p_status cuda_refuse_operand(const cuda_target *target, const p2p_op *op, int operand, const char *rule) {
    char tensor[P2P_TENSOR_TEXT];
    p2p_tensor_print(&op->t[operand], tensor, sizeof tensor);
    return cuda_refuse(target, op, "%s is %s, but must be %s", p2p_kind_operand_name(op->kind, operand),
                       tensor, rule);
}

cuda_step *cuda_step_add(cuda_plan *plan, cuda_step_kind kind) {
    assert(plan->step_count < CUDA_PLAN_STEPS);
    cuda_step *step = &plan->step[plan->step_count++];
    *step = (cuda_step){.kind = kind};
    return step;
}

cuda_launch *cuda_launch_add(cuda_plan *plan, const char *source, const char *kernel, unsigned threads) {
    cuda_launch *launch = &cuda_step_add(plan, CUDA_STEP_KERNEL)->launch;
    launch->source = source;
    launch->kernel = kernel;
    launch->block[0] = threads;
    launch->block[1] = launch->block[2] = 1;
    launch->grid[0] = launch->grid[1] = launch->grid[2] = 1;
    return launch;
}

static cuda_arg *add(cuda_launch *launch, cuda_arg_kind kind) {
    assert(launch->arg_count < CUDA_LAUNCH_ARGS);
    cuda_arg *arg = &launch->arg[launch->arg_count++];
    arg->kind = kind;
    return arg;
}

void cuda_arg_operand(cuda_launch *launch, int operand) {
    add(launch, CUDA_ARG_OPERAND)->value.operand = operand;
}

void cuda_arg_scratch(cuda_launch *launch, uint64_t bytes) {
    add(launch, CUDA_ARG_SCRATCH)->value.offset = bytes;
}

void cuda_arg_counters(cuda_plan *plan, cuda_launch *launch, int64_t count) {
    add(launch, CUDA_ARG_COUNTERS)->value.offset = plan->counter_bytes;
    plan->counter_bytes += (uint64_t)count * sizeof(uint32_t);
}

void cuda_arg_int(cuda_launch *launch, int64_t value) {
    assert(value >= INT32_MIN && value <= INT32_MAX);
    add(launch, CUDA_ARG_INT)->value.i = (int32_t)value;
}

void cuda_arg_long(cuda_launch *launch, int64_t value) {
    add(launch, CUDA_ARG_LONG)->value.l = value;
}

void cuda_arg_float(cuda_launch *launch, double value) {
    add(launch, CUDA_ARG_FLOAT)->value.f = (float)value;
}

uint64_t cuda_scratch(cuda_plan *plan, uint64_t bytes) {
    const uint64_t at = plan->answer.scratch_bytes;
    plan->answer.scratch_bytes = at + (bytes + CUDA_ALIGNMENT - 1) / CUDA_ALIGNMENT * CUDA_ALIGNMENT;
    return at;
}

int64_t cuda_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t cuda_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}
