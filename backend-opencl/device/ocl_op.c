/* Operations: kernels of a plan with their arguments set, and their execution.
 *
 * Arguments are set once, at creation. Running an operation is a loop of enqueues; a long launch takes
 * several. The only other OpenCL calls of a run are an occasional flush, which keeps the device busy while
 * the host continues, and those with which ocl_queue.c keeps the queue short.
 */
#include "ocl_op.h"

#include "ocl_error.h"
#include "ocl_gemm.h"
#include "ocl_program.h"
#include "ocl_queue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A launch with its kernel; `kernel` NULL: a matrix product. */
typedef struct {
    cl_kernel kernel;
    size_t global[3], local[3];
    size_t piece[3]; /* work-items per piece of the launch; as `global` if there is one piece */
    ocl_gemm_call gemm;
} ocl_command;

struct p2p_be_op {
    int count;
    double seconds; /* estimated upper bound of a run */
    bool has_run;
    cl_mem temp; /* the matrix library's part of the scratch memory; NULL if none */
    ocl_command command[];
};

/* The objects to which the arguments of an operation refer. */
typedef struct {
    p2p_be_device *device;
    const p2p_op *op;
    const p2p_binding *bindings;
    p2p_binding scratch;
    double seconds; /* of a launch, at most */
    int repeat;
} ocl_context;

/* ---- Arguments ------------------------------------------------------------------------------------- */

static cl_int set_memory(cl_kernel kernel, cl_uint *index, cl_mem memory, cl_ulong position) {
    cl_int code = clSetKernelArg(kernel, (*index)++, sizeof memory, &memory);
    if (code == CL_SUCCESS) code = clSetKernelArg(kernel, (*index)++, sizeof position, &position);
    return code;
}

static cl_int set_argument(const ocl_context *c, cl_kernel kernel, cl_uint *index, const ocl_arg *arg) {
    switch (arg->kind) {
    case OCL_ARG_OPERAND: {
        const p2p_binding *b = &c->bindings[arg->value.operand];
        size_t element = p2p_type_bytes(c->op->t[arg->value.operand].type);
        return set_memory(kernel, index, b->buffer->memory, b->offset / element);
    }
    case OCL_ARG_SCRATCH:
        return set_memory(kernel, index, c->scratch.buffer->memory,
                          c->scratch.offset / sizeof(cl_float) + arg->value.offset);
    case OCL_ARG_ULONG: {
        cl_ulong value = arg->value.u;
        return clSetKernelArg(kernel, (*index)++, sizeof value, &value);
    }
    case OCL_ARG_FLOAT: {
        cl_float value = arg->value.f;
        return clSetKernelArg(kernel, (*index)++, sizeof value, &value);
    }
    default: {
        cl_int value = arg->kind == OCL_ARG_REPEAT ? arg->value.i * c->repeat : arg->value.i;
        return clSetKernelArg(kernel, (*index)++, sizeof value, &value);
    }
    }
}

/* Returns P2P_UNSUPPORTED, and lowers the target's group limit for another plan, if the compiled kernel
 * allows fewer work-items than the launch has: compilers lower the device's limit for kernels that need
 * many registers. */
static p2p_status check_group(p2p_be_device *device, const ocl_launch *launch, cl_kernel kernel) {
    size_t limit = 0;
    cl_int code =
        clGetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof limit, &limit, NULL);
    if (code != CL_SUCCESS || limit >= launch->local[0] * launch->local[1] * launch->local[2]) return P2P_OK;
    device->target.group_limit = limit;
    return ocl_host->fail(P2P_UNSUPPORTED, "%s: kernel %s runs in groups of at most %zu work-items here",
                          device->info.name, launch->kernel, limit);
}

/* Divides a launch into pieces of whole groups, all of equal length except the last. */
static void cut_launch(const ocl_context *c, ocl_command *command) {
    size_t groups[3], pieces[3];
    for (int d = 0; d < 3; d++) groups[d] = command->global[d] / command->local[d];
    ocl_queue_cut(c->device, c->seconds, groups, pieces);
    for (int d = 0; d < 3; d++)
        command->piece[d] = (groups[d] + pieces[d] - 1) / pieces[d] * command->local[d];
}

static p2p_status create_kernel(const ocl_context *c, const ocl_launch *launch, ocl_command *command) {
    P2P_TRY(ocl_kernel_create(c->device, launch, &command->kernel));
    P2P_TRY(check_group(c->device, launch, command->kernel));
    cl_uint index = 0;
    for (int i = 0; i < launch->arg_count; i++)
        P2P_TRY(ocl_check(c->device, set_argument(c, command->kernel, &index, &launch->arg[i]),
                          "clSetKernelArg"));
    memcpy(command->global, launch->global, sizeof command->global);
    memcpy(command->local, launch->local, sizeof command->local);
    cut_launch(c, command);
    return P2P_OK;
}

/* ---- Matrix products ------------------------------------------------------------------------------- */

/* CLBlast's offsets are ints. */
static p2p_status resolve_matrix(const ocl_context *c, const ocl_matrix *m, ocl_gemm_matrix *resolved) {
    const p2p_binding *b = m->operand >= 0 ? &c->bindings[m->operand] : &c->scratch;
    size_t offset = b->offset / sizeof(cl_float) + (size_t)m->offset;
    if (offset > INT32_MAX)
        return ocl_host->fail(P2P_FAILED,
                              "%s: a matrix starts %zu elements into its buffer, and the matrix "
                              "library counts to 2^31 only",
                              c->device->info.name, offset);
    *resolved = (ocl_gemm_matrix){b->buffer->memory, offset, (size_t)m->row_distance};
    return P2P_OK;
}

static p2p_status create_temp(const ocl_context *c, const ocl_gemm *g, cl_mem *temp) {
    if (g->temp_bytes == 0 || *temp) return P2P_OK;
    const size_t alignment = c->device->target.gemm.alignment;
    cl_buffer_region region = {c->scratch.offset + (size_t)g->temp_offset * sizeof(cl_float), g->temp_bytes};
    region.origin = (region.origin + alignment - 1) / alignment * alignment;
    cl_int code = CL_SUCCESS;
    *temp = clCreateSubBuffer(c->scratch.buffer->memory, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION,
                              &region, &code);
    return ocl_check(c->device, code, "clCreateSubBuffer");
}

static p2p_status create_gemm(const ocl_context *c, const ocl_gemm *g, cl_mem *temp, ocl_command *command) {
    P2P_TRY(create_temp(c, g, temp));
    command->gemm = (ocl_gemm_call){.shape = *g, .temp = g->temp_bytes > 0 ? *temp : NULL};
    P2P_TRY(resolve_matrix(c, &g->a, &command->gemm.a));
    P2P_TRY(resolve_matrix(c, &g->b, &command->gemm.b));
    P2P_TRY(resolve_matrix(c, &g->y, &command->gemm.y));
    if (g->beta_first_zero && c->repeat == 0) command->gemm.shape.beta = 0;
    return ocl_gemm_warm(c->device, &command->gemm);
}

/* ---- Creation -------------------------------------------------------------------------------------- */

static p2p_status create_command(ocl_context *c, const ocl_launch *launch, p2p_be_op *created) {
    ocl_command *command = &created->command[created->count++];
    if (launch->kernel) return create_kernel(c, launch, command);
    return create_gemm(c, &launch->gemm, &created->temp, command);
}

/* Creates all commands in order, those of the body once per repetition. */
static p2p_status create_commands(ocl_context *c, const ocl_plan *plan, p2p_be_op *created) {
    int body_end = plan->body_first + plan->body_count;
    for (int i = 0; i < plan->launch_count; i++) {
        P2P_TRY(create_command(c, &plan->launch[i], created));
        if (plan->body_count > 0 && i + 1 == body_end && ++c->repeat < plan->repeats)
            i = plan->body_first - 1;
    }
    return P2P_OK;
}

static int command_count(const ocl_plan *plan) {
    int extra = plan->repeats > 1 ? plan->repeats - 1 : 0;
    return plan->launch_count + extra * plan->body_count;
}

p2p_status ocl_op_create_planned(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                                 p2p_binding scratch, const ocl_plan *plan, p2p_be_op **created) {
    const double seconds = ocl_queue_estimate(device, op);
    ocl_context c = {device, op, bindings, scratch, seconds / (plan->repeats > 1 ? plan->repeats : 1), 0};
    p2p_be_op *made = calloc(1, sizeof *made + (size_t)command_count(plan) * sizeof(ocl_command));
    *created = NULL;
    if (!made) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for an operation's record");
    made->seconds = seconds;
    p2p_status status = create_commands(&c, plan, made);
    if (status != P2P_OK) {
        ocl_op_destroy(device, made);
        return status;
    }
    *created = made;
    return P2P_OK;
}

/* A plan may need more scratch memory than the one for which the caller allocated it: the group limit may
 * have been lowered in between. Returns P2P_UNSUPPORTED then; a new query has the right size. */
static p2p_status check_scratch(const p2p_be_device *device, const ocl_plan *plan, size_t available) {
    if (plan->answer.scratch_bytes <= available) return P2P_OK;
    return ocl_host->fail(
        P2P_UNSUPPORTED,
        "%s: %s needs %zu bytes of scratch memory and has %zu: the device supports less than at "
        "the query",
        device->info.name, plan->answer.kernel, plan->answer.scratch_bytes, available);
}

/* Bytes of the buffer from the binding on. */
static size_t bound_bytes(p2p_binding binding) {
    return binding.buffer ? binding.buffer->bytes - binding.offset : 0;
}

p2p_status ocl_op_create_by(p2p_be_device *device, ocl_plan_maker make, void *context, const p2p_op *op,
                            const p2p_binding *bindings, p2p_binding scratch, p2p_be_op **created) {
    size_t available = bound_bytes(scratch);
    *created = NULL;
    P2P_TRY(ocl_check_alive(device));
    for (;;) {
        size_t limit = device->target.group_limit;
        ocl_plan plan = {0};
        P2P_TRY(make(context, op, &plan));
        P2P_TRY(check_scratch(device, &plan, available));
        available = plan.answer.scratch_bytes; /* the caller may use what follows for something else */
        p2p_status status = ocl_op_create_planned(device, op, bindings, scratch, &plan, created);
        if (status == P2P_OK && plan.reason)
            ocl_host->log("%s: %s: %s", device->info.name, plan.answer.kernel, plan.reason);
        /* If a smaller limit was found, plan again within it. */
        if (status != P2P_UNSUPPORTED || device->target.group_limit >= limit) return status;
    }
}

void ocl_op_destroy(p2p_be_device *device, p2p_be_op *op) {
    if (!device->lost) {
        for (int i = 0; i < op->count; i++)
            if (op->command[i].kernel) clReleaseKernel(op->command[i].kernel);
        if (op->temp) clReleaseMemObject(op->temp);
    }
    free(op);
}

/* ---- Running --------------------------------------------------------------------------------------- */

static p2p_status run_piece(p2p_be_device *device, const ocl_command *command, const size_t *offset,
                            const size_t global[3]) {
    return ocl_check(device,
                     clEnqueueNDRangeKernel(device->queue, command->kernel, 3, offset, global, command->local,
                                            0, NULL, NULL),
                     "clEnqueueNDRangeKernel");
}

/* Enqueues the pieces along dimensions 0 and 2. A single piece has no offset, because some drivers compile
 * again for an offset. */
static p2p_status run_kernel(p2p_be_device *device, const ocl_command *command) {
    const size_t *global = command->global, *piece = command->piece;
    if (piece[0] >= global[0] && piece[2] >= global[2]) return run_piece(device, command, NULL, global);
    for (size_t z = 0; z < global[2]; z += piece[2])
        for (size_t x = 0; x < global[0]; x += piece[0]) {
            const size_t offset[] = {x, 0, z};
            const size_t items[] = {global[0] - x < piece[0] ? global[0] - x : piece[0], global[1],
                                    global[2] - z < piece[2] ? global[2] - z : piece[2]};
            P2P_TRY(run_piece(device, command, offset, items));
        }
    return P2P_OK;
}

static p2p_status run_command(p2p_be_device *device, const ocl_command *command) {
    return command->kernel ? run_kernel(device, command) : ocl_gemm_run(device, &command->gemm);
}

p2p_status ocl_op_run(p2p_be_device *device, p2p_be_op *op) {
    P2P_TRY(ocl_check_alive(device));
    for (int i = 0; i < op->count; i++) P2P_TRY(run_command(device, &op->command[i]));
    if (!op->has_run) device->unrecorded = OCL_RECORDS;
    op->has_run = true;
    P2P_TRY(ocl_queue_add(device, op->seconds));
    device->unflushed += op->count;
    if (device->unflushed < OCL_FLUSH_INTERVAL) return P2P_OK;
    device->unflushed = 0;
    return ocl_check(device, clFlush(device->queue), "clFlush");
}
