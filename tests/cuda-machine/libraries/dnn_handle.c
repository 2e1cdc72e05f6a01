/* Handles and the execution of plans. See dnn_handle.h. */
#include "machine_link.h"

#include "dnn_check.h"
#include "dnn_handle.h"
#include "dnn_setting.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE_ALIGNMENT = 16 };

struct cudnnContext {
    int device;
    dnn_device properties;
    CUstream stream;
    bool busy; /* under handles_lock */
    pthread_t user;
    struct cudnnContext *next;
};

static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static cudnnHandle_t handles;

/* ---- Handles ------------------------------------------------------------------------------------------- */

static cudnnHandle_t live(const void *handle) {
    pthread_mutex_lock(&handles_lock);
    cudnnHandle_t found = handles;
    while (found && found != handle) found = found->next;
    pthread_mutex_unlock(&handles_lock);
    if (!found)
        machine_note_misuse("%s",
                            handle ? "a handle that was destroyed, or never was one" : "the handle is NULL");
    return found;
}

bool dnn_handle_device(const void *handle, dnn_device *device) {
    const cudnnHandle_t found = live(handle);
    if (found) *device = found->properties;
    return found;
}

/* cuDNN after 9.10 has no code for devices before Turing. */
static cudnnStatus_t check_card(int device, dnn_device *properties) {
    machine_card card;
    if (!machine.device_card(device, &card)) return CUDNN_STATUS_NOT_INITIALIZED;
    *properties = (dnn_device){card.major * 10 + card.minor, card.multiprocessors};
    if (properties->capability < 75 && dnn_version() >= 91100)
        return MACHINE_NOTED(CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH,
                             "a device of compute capability %d.%d, which cuDNN %zu does not serve",
                             card.major, card.minor, dnn_version());
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_create_handle(cudnnHandle_t *handle) {
    if (!handle) return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no place for the handle");
    if (!machine_load()) return MACHINE_NOTED(CUDNN_STATUS_NOT_INITIALIZED, "there is no driver");
    const int device = machine.current_device();
    if (device < 0)
        return MACHINE_MISUSE(CUDNN_STATUS_NOT_INITIALIZED, "no context is current on the calling thread");
    if (machine.device_error(device) != CUDA_SUCCESS)
        return MACHINE_NOTED(CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER, "device %d is lost", device);
    dnn_device properties;
    const cudnnStatus_t status = check_card(device, &properties);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    cudnnHandle_t made = calloc(1, sizeof *made);
    if (!made) return MACHINE_NOTED(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED, "no memory");
    made->device = device;
    made->properties = properties;
    pthread_mutex_lock(&handles_lock);
    made->next = handles;
    handles = made;
    pthread_mutex_unlock(&handles_lock);
    *handle = made;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_destroy_handle(cudnnHandle_t handle) {
    if (!live(handle)) return CUDNN_STATUS_BAD_PARAM;
    pthread_mutex_lock(&handles_lock);
    cudnnHandle_t *at = &handles;
    while (*at != handle) at = &(*at)->next;
    *at = handle->next;
    pthread_mutex_unlock(&handles_lock);
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_current(const struct cudnnContext *handle) {
    const int current = machine.current_device();
    if (current == handle->device) return CUDNN_STATUS_SUCCESS;
    return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the handle is of device %d, but %d is current",
                          handle->device, current);
}

cudnnStatus_t dnn_set_stream(cudnnHandle_t handle, CUstream stream) {
    if (!live(handle)) return CUDNN_STATUS_BAD_PARAM;
    const cudnnStatus_t status = check_current(handle);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const int device = machine.stream_device(stream);
    if (device < 0) return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the stream is NULL, or not alive");
    if (device != handle->device)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH,
                              "the stream is of device %d, the handle of %d", device, handle->device);
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_enter(cudnnHandle_t handle) {
    if (!live(handle)) return CUDNN_STATUS_BAD_PARAM;
    pthread_mutex_lock(&handles_lock);
    const bool busy = handle->busy;
    handle->busy = true;
    pthread_mutex_unlock(&handles_lock);
    if (busy) return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "another thread is using the handle");
    sched_yield();
    return CUDNN_STATUS_SUCCESS;
}

void dnn_leave(cudnnHandle_t handle) {
    pthread_mutex_lock(&handles_lock);
    handle->busy = false;
    pthread_mutex_unlock(&handles_lock);
}

/* ---- Execution ----------------------------------------------------------------------------------------- */

/* A command: everything by value, because the descriptors may have been destroyed when it runs. */
typedef struct {
    dnn_shape shape;
    dnn_arithmetic arithmetic;
    bool random;
    CUdeviceptr operand[3], workspace;
    int64_t workspace_bytes;
} work;

/* The position of the operand that is written. */
static int output_of(const dnn_shape *shape) {
    return shape->kind == DNN_FORWARD ? 2 : shape->kind == DNN_DATA_GRADIENT ? 0 : 1;
}

enum { NANOSECONDS_PER_TERM = 10 }; /* so that measurements of convolutions stay short here */

static int64_t terms_of(const dnn_shape *s) {
    return s->n * s->p * s->q * s->k * s->c * s->r * s->s;
}

static void run(void *data) {
    static uint64_t runs; /* under the machine's lock */
    work *w = data;
    const uint64_t drawn = (machine.draw() + ++runs) * UINT64_C(0x9e3779b97f4a7c15);
    const int64_t elements = dnn_output_elements(&w->shape), sums = elements * w->arithmetic.parts;
    machine.spend((uint64_t)terms_of(&w->shape) * NANOSECONDS_PER_TERM);
    if (!machine_computes()) {
        machine_fill(machine.memory(w->operand[output_of(&w->shape)]), w->shape.bf16, elements);
        return;
    }
    if (w->random) {
        w->arithmetic.first_tap = (int)((drawn >> 33) % (uint64_t)(w->shape.r * w->shape.s));
        w->arithmetic.last_tap_first = drawn >> 32 & 1;
        w->arithmetic.last_first = drawn >> 31 & 1;
        w->arithmetic.chunk = 4 + (int64_t)(drawn >> 60);
    }
    float *partial = w->workspace_bytes > 0 ? machine.memory(w->workspace) : NULL;
    float *own = partial ? NULL : malloc((size_t)sums * sizeof *own);
    if (!partial && !own) abort();
    /* A plan must not depend on the contents of its workspace. */
    if (partial) memset(partial, 0xff, (size_t)w->workspace_bytes);
    dnn_compute(&w->shape, &w->arithmetic, machine.memory(w->operand[0]), machine.memory(w->operand[1]),
                machine.memory(w->operand[2]), partial ? partial : own);
    free(own);
}

static const char *const operand_names[3][3] = {{"x", "w", "y"}, {"dx", "w", "dy"}, {"x", "dw", "dy"}};

static int64_t operand_bytes(const dnn_shape *s, int operand) {
    const int64_t size = s->bf16 ? 2 : 4;
    if (operand == 0) return size * s->n * s->c * s->h * s->w;
    return size * (operand == 1 ? s->k * s->c * s->r * s->s : s->n * s->k * s->p * s->q);
}

/* The operands' addresses from the variant pack: each of the graph's tensors once, nothing else, aligned as
 * the tensors say, in memory of the device. */
static cudnnStatus_t find_operands(const struct cudnnContext *handle, const dnn_convolution *convolution,
                                   const dnn_descriptor *pack, CUdeviceptr operand[3]) {
    const dnn_attribute *ids = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS),
                        *pointers = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    if (ids->count != 3) return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "a convolution has three tensors");
    for (int t = 0; t < 3; t++) {
        const char *name = operand_names[convolution->shape.kind][t];
        int64_t i = 0;
        machine_allocation found;
        while (i < 3 && ((const int64_t *)ids->values)[i] != convolution->id[t]) i++;
        if (i == 3) return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "%s is not in the variant pack", name);
        operand[t] = machine_address(((void *const *)pointers->values)[i]);
        if (operand[t] % (uint64_t)convolution->alignment[t] != 0)
            return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER,
                                  "%s is not aligned to %lld bytes", name,
                                  (long long)convolution->alignment[t]);
        if (!machine.find(operand[t], &found) || found.device != handle->device)
            return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "%s is not in memory of device %d", name,
                                  handle->device);
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t find_workspace(const struct cudnnContext *handle, const dnn_descriptor *pack,
                                    int64_t bytes, CUdeviceptr *workspace) {
    const dnn_attribute *given = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    machine_allocation found;
    *workspace = 0;
    if (bytes == 0) return CUDNN_STATUS_SUCCESS;
    if (given) *workspace = machine_address(*(void *const *)given->values);
    if (*workspace == 0)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "the plan needs %lld bytes of workspace",
                              (long long)bytes);
    if (*workspace % WORKSPACE_ALIGNMENT != 0)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER,
                              "the workspace is not aligned to %d bytes", WORKSPACE_ALIGNMENT);
    if (!machine.find(*workspace, &found) || found.device != handle->device)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the workspace is not in memory of device %d",
                              handle->device);
    if (found.begin + found.bytes - *workspace < (uint64_t)bytes)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
                              "the workspace has %llu bytes, but the plan needs %lld",
                              (unsigned long long)(found.begin + found.bytes - *workspace), (long long)bytes);
    return CUDNN_STATUS_SUCCESS;
}

/* The output and the workspace share no byte with anything else. */
static cudnnStatus_t check_overlaps(const machine_range *ranges, int count) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++) {
            if (i == j || ranges[i].access == MACHINE_READ) continue;
            if (ranges[i].begin < ranges[j].begin + ranges[j].bytes &&
                ranges[j].begin < ranges[i].begin + ranges[i].bytes)
                return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "%s overlaps %s", ranges[i].what,
                                      ranges[j].what);
        }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_execution(const struct cudnnContext *handle, const dnn_descriptor *plan,
                                     const dnn_descriptor *pack, const dnn_device *device) {
    if (plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
        pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "not an execution plan and a variant pack");
    if (!plan->final || !pack->final)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED,
                              "the plan or the variant pack is not finalized");
    const cudnnStatus_t status = check_current(handle);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (device->capability != handle->properties.capability ||
        device->multiprocessors != handle->properties.multiprocessors)
        return MACHINE_MISUSE(CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH,
                              "the plan was made for another device");
    if (!handle->stream)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM,
                              "the handle has no stream: it would use the NULL stream");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t enqueue(const struct cudnnContext *handle, const dnn_convolution *convolution,
                             const work *w) {
    const int output = output_of(&convolution->shape);
    machine_range ranges[4];
    int count = 0;
    for (int t = 0; t < 3; t++)
        ranges[count++] = (machine_range){operand_names[convolution->shape.kind][t], w->operand[t],
                                          (size_t)operand_bytes(&convolution->shape, t),
                                          t != output                    ? MACHINE_READ
                                          : convolution->shape.beta != 0 ? MACHINE_UPDATE
                                                                         : MACHINE_WRITE};
    if (w->workspace_bytes > 0)
        ranges[count++] =
            (machine_range){"workspace", w->workspace, (size_t)w->workspace_bytes, MACHINE_WRITE};
    const cudnnStatus_t status = check_overlaps(ranges, count);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (machine.enqueue(handle->stream, "cudnnBackendExecute", ranges, count, run, w, sizeof *w) !=
        CUDA_SUCCESS)
        return MACHINE_NOTED(CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER, "the driver refuses the command");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_execute(cudnnHandle_t handle, const dnn_descriptor *plan, const dnn_descriptor *pack) {
    dnn_convolution convolution;
    dnn_device device = {0};
    dnn_plan what = {0};
    if (plan->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && plan->final)
        what = dnn_read_plan(plan, &convolution, &device);
    cudnnStatus_t status = check_execution(handle, plan, pack, &device);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    work w = {.shape = convolution.shape,
              .arithmetic = what.arithmetic,
              .random = what.random,
              .workspace_bytes = what.workspace};
    status = find_operands(handle, &convolution, pack, w.operand);
    if (status == CUDNN_STATUS_SUCCESS) status = find_workspace(handle, pack, what.workspace, &w.workspace);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (dnn_has_fault("refuse", what.index))
        return MACHINE_NOTED(CUDNN_STATUS_EXECUTION_FAILED, "planted failure of engine %lld",
                             (long long)what.index);
    w.arithmetic.without_last = dnn_has_fault("wrong", what.index);
    char text[200];
    dnn_print_convolution(&convolution, text, sizeof text);
    machine.count(text, "runs", 1);
    return enqueue(handle, &convolution, &w);
}
