/* Creating and running operations. See cuda_op.h.
 *
 * An operation has a block of arguments, resolved once, to which the driver's launches point. A run only
 * enqueues.
 */
#include "cuda_op.h"

#include "cuda_gemm.h"
#include "cuda_memory.h"
#include "cuda_program.h"
#include "cuda_ticket.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef union {
    CUdeviceptr address;
    int32_t i;
    int64_t l;
    float f;
    double d;
} value;

typedef struct {
    CUfunction kernel;
    unsigned grid[3], block[3], shared_bytes;
    value argument[CUDA_LAUNCH_ARGS];
    void *pointer[CUDA_LAUNCH_ARGS]; /* to the arguments, as the driver takes them */
} kernel_call;

typedef struct {
    cuda_step_kind kind;
    union {
        kernel_call kernel;
        cuda_gemm_call gemm;
        cuda_conv_call *conv;
    };
} command;

struct p2p_be_op {
    CUdeviceptr counters; /* 0: none */
    p2p_be_buffer *own;   /* memory that only this operation uses; NULL: none */
    int range_count;
    cuda_range range[P2P_MAX_OPERANDS + 1]; /* of the operands and the scratch memory */
    int count;
    command command[];
};

/* The objects to which the arguments of an operation refer. */
typedef struct {
    p2p_be_device *device;
    const p2p_binding *bindings;
    CUdeviceptr scratch, counters;
    p2p_be_op *made;
} context;

/* ---- Creation -------------------------------------------------------------------------------------- */

static value resolve(const context *c, const cuda_arg *arg) {
    switch (arg->kind) {
    case CUDA_ARG_OPERAND:
        return (value){.address = arg->value.operand < 0 ? 0 : cuda_address(c->bindings[arg->value.operand])};
    case CUDA_ARG_SCRATCH:
        return (value){.address = c->scratch + arg->value.offset};
    case CUDA_ARG_COUNTERS:
        return (value){.address = c->counters + arg->value.offset};
    case CUDA_ARG_INT:
        return (value){.i = arg->value.i};
    case CUDA_ARG_LONG:
        return (value){.l = arg->value.l};
    default:
        return (value){.f = arg->value.f};
    }
}

static p2p_status create_kernel(const context *c, const cuda_launch *launch, kernel_call *call) {
    P2P_TRY(cuda_program_kernel(c->device, launch, &call->kernel));
    memcpy(call->grid, launch->grid, sizeof call->grid);
    memcpy(call->block, launch->block, sizeof call->block);
    call->shared_bytes = launch->shared_bytes;
    for (int i = 0; i < launch->arg_count; i++) {
        call->argument[i] = resolve(c, &launch->arg[i]);
        call->pointer[i] = &call->argument[i];
    }
    return P2P_OK;
}

static CUdeviceptr matrix_address(const context *c, const cuda_matrix *matrix) {
    const CUdeviceptr begin = matrix->operand >= 0 ? cuda_address(c->bindings[matrix->operand]) : c->scratch;
    return begin + matrix->offset;
}

static bool fits_int(int64_t number) {
    return number >= 0 && number <= INT_MAX;
}

static p2p_status create_gemm(const context *c, const cuda_gemm *g, cuda_gemm_call *call) {
    if (!fits_int(g->m) || !fits_int(g->n) || !fits_int(g->k) || !fits_int(g->a.row_distance) ||
        !fits_int(g->b.row_distance) || !fits_int(g->y.row_distance))
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: cuBLAS counts to 2^31 only", c->device->queue.name);
    *call = (cuda_gemm_call){.shape = *g,
                             .a = matrix_address(c, &g->a),
                             .b = matrix_address(c, &g->b),
                             .y = matrix_address(c, &g->y)};
    return cuda_gemm_warm(c->device, call);
}

/* In memory of its own, because the operands may be in use. Without memory for it, the first run loads the
 * code.
 */
static p2p_status warm_conv(p2p_be_device *device, const cuda_conv *conv, cuda_conv_call *call) {
    CUdeviceptr memory;
    const size_t bytes = cuda_conv_warm_bytes(conv, call);
    if (bytes == 0 || cuda_driver.cuMemAlloc(&memory, bytes) != CUDA_SUCCESS) return P2P_OK;
    p2p_status status = cuda_conv_warm(device->convs, conv, call, memory);
    if (status == P2P_OK) status = cuda_drain(device, device->queue.stream);
    CUDA_RELEASE(&device->queue, cuMemFree, memory);
    return status;
}

/* A workspace that the scratch memory has no room for; 0 if it has. */
static p2p_status create_workspace(const context *c, const cuda_conv *conv, CUdeviceptr *workspace) {
    size_t bytes;
    *workspace = 0;
    P2P_TRY(cuda_conv_own_bytes(c->device->convs, conv, &bytes));
    if (bytes == 0) return P2P_OK;
    P2P_TRY(cuda_buffer_create(c->device, bytes, &c->made->own));
    *workspace = c->made->own->address;
    return P2P_OK;
}

static p2p_status create_conv(const context *c, const cuda_conv *conv, cuda_conv_call **call) {
    CUdeviceptr memory[3], workspace;
    for (int i = 0; i < 3; i++) memory[i] = cuda_address(c->bindings[conv->operand[i]]);
    P2P_TRY(create_workspace(c, conv, &workspace));
    P2P_TRY(cuda_conv_create(c->device->convs, conv, memory, c->scratch, workspace, call));
    return warm_conv(c->device, conv, *call);
}

static p2p_status create_command(const context *c, const cuda_step *step, command *made) {
    made->kind = step->kind;
    switch (step->kind) {
    case CUDA_STEP_KERNEL:
        return create_kernel(c, &step->launch, &made->kernel);
    case CUDA_STEP_GEMM:
        return create_gemm(c, &step->gemm, &made->gemm);
    default:
        return create_conv(c, &step->conv, &made->conv);
    }
}

static void add_range(p2p_be_op *made, CUdeviceptr begin, size_t bytes, bool writes) {
    if (bytes > 0) made->range[made->range_count++] = (cuda_range){begin, begin + bytes, writes};
}

static void find_ranges(const context *c, const p2p_op *op, const cuda_plan *plan, p2p_be_op *made) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        const int use = p2p_op_operand_use(op, i);
        if (use != 0)
            add_range(made, cuda_address(c->bindings[i]), p2p_tensor_bytes(&op->t[i]), use != P2P_IN);
    }
    add_range(made, c->scratch, plan->answer.scratch_bytes, true);
}

/* Transfers never use them, so they are none of the ranges. */
static p2p_status create_counters(context *c, const cuda_plan *plan, p2p_be_op *made) {
    if (plan->counter_bytes == 0) return P2P_OK;
    P2P_TRY(cuda_memory_alloc_zeros(c->device, plan->counter_bytes, "the counters of an operation",
                                    &made->counters));
    c->counters = made->counters;
    return P2P_OK;
}

/* Bytes of the buffer from the binding on. */
static size_t bound_bytes(p2p_binding binding) {
    return binding.buffer ? binding.buffer->bytes - binding.offset : 0;
}

p2p_status cuda_op_create_planned(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                                  p2p_binding scratch, const cuda_plan *plan, p2p_be_op **created) {
    *created = NULL;
    if (plan->answer.scratch_bytes > bound_bytes(scratch))
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: %s needs %zu bytes of scratch memory and has %zu",
                               device->queue.name, plan->answer.kernel, plan->answer.scratch_bytes,
                               bound_bytes(scratch));
    p2p_be_op *made = calloc(1, sizeof *made + (size_t)plan->step_count * sizeof(command));
    if (!made) return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for an operation's record");
    context c = {device, bindings, cuda_address(scratch), 0, made};
    find_ranges(&c, op, plan, made);
    p2p_status status = create_counters(&c, plan, made);
    for (int i = 0; status == P2P_OK && i < plan->step_count; i++) {
        made->count = i + 1;
        status = create_command(&c, &plan->step[i], &made->command[i]);
    }
    if (status == P2P_OK)
        *created = made;
    else
        cuda_op_destroy(device, made);
    return status;
}

void cuda_op_own(p2p_be_op *op, p2p_be_buffer *memory) {
    op->own = memory;
}

void cuda_op_destroy(p2p_be_device *device, p2p_be_op *op) {
    (void)cuda_enter_release(&device->queue);
    for (int i = 0; i < op->count; i++)
        if (op->command[i].kind == CUDA_STEP_CONV && op->command[i].conv)
            cuda_conv_destroy(device->convs, op->command[i].conv);
    if (op->counters) cuda_memory_free(device, op->counters);
    if (op->own) cuda_buffer_destroy(device, op->own);
    free(op);
}

/* ---- Running --------------------------------------------------------------------------------------- */

static p2p_status run_kernel(p2p_be_device *device, kernel_call *call) {
    CUDA_TRY(&device->queue, cuLaunchKernel, call->kernel, call->grid[0], call->grid[1], call->grid[2],
             call->block[0], call->block[1], call->block[2], call->shared_bytes, device->queue.stream,
             call->pointer, NULL);
    return P2P_OK;
}

static p2p_status run_command(p2p_be_device *device, command *one) {
    switch (one->kind) {
    case CUDA_STEP_KERNEL:
        return run_kernel(device, &one->kernel);
    case CUDA_STEP_GEMM:
        return cuda_gemm_run(device, &one->gemm);
    default:
        return cuda_conv_run(device->convs, one->conv);
    }
}

p2p_status cuda_op_run(p2p_be_device *device, p2p_be_op *op) {
    P2P_TRY(cuda_enter(&device->queue));
    P2P_TRY(cuda_overlap_before(device, op->range, op->range_count));
    for (int i = 0; i < op->count; i++) P2P_TRY(run_command(device, &op->command[i]));
    return cuda_overlap_after(device, op->range, op->range_count);
}
