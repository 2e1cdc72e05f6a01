/* See null_backend.h. The accepted forms are invented; each refusal occurs in real libraries. */
#include "null_backend.h"

#include <stdio.h>
#include <stdlib.h>

struct p2p_be_device {
    int index;
};

static const p2p_host *host;

static const struct {
    const char *name;
    p2p_storage activation, filter, vector;
    int channel_alignment;
    p2p_type activation_bf16; /* of activations in sessions of bf16 */
} profiles[NULL_DEVICES] = {
    [NULL_PLAIN] = {"plain",
                    {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                    {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                    {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                    1,
                    P2P_TYPE_f32},
    [NULL_NCHW16C] = {"nchw16c",
                      {P2P_TYPE_f32, P2P_LAYOUT_nchwc, 16},
                      {P2P_TYPE_f32, P2P_LAYOUT_ckrs, 16},
                      {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                      16,
                      P2P_TYPE_f32},
    [NULL_NHWC8_BF16] = {"nhwc8-bf16",
                         {P2P_TYPE_f32, P2P_LAYOUT_nhwc, 8},
                         {P2P_TYPE_f32, P2P_LAYOUT_krsc, 8},
                         {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                         8,
                         P2P_TYPE_bf16},
    [NULL_NCHW16C_GPU] = {"nchw16c-gpu",
                          {P2P_TYPE_f32, P2P_LAYOUT_nchwc, 16},
                          {P2P_TYPE_f32, P2P_LAYOUT_ckrs, 16},
                          {P2P_TYPE_f32, P2P_LAYOUT_plain, 0},
                          16,
                          P2P_TYPE_bf16},
};

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = NULL_DEVICES;
    return P2P_OK;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    *info = (p2p_device_info){.type = P2P_DEVICE_OTHER,
                              .compute_units = 1,
                              .max_alloc_bytes = (size_t)1 << 30,
                              .alignment = 64,
                              .channel_alignment = profiles[index].channel_alignment,
                              .activation = profiles[index].activation,
                              .activation_bf16 = profiles[index].activation,
                              .filter = profiles[index].filter,
                              .vector = profiles[index].vector};
    info->activation_bf16.type = profiles[index].activation_bf16;
    info->zero_padding = index == NULL_NHWC8_BF16;
    info->gradient_bf16 = index == NULL_NHWC8_BF16 ? P2P_TYPE_bf16 : P2P_TYPE_f32;
    info->derives_filters = index == NULL_NHWC8_BF16 || index == NULL_NCHW16C;
    snprintf(info->no_tf32, sizeof info->no_tf32, "nothing is computed");
    snprintf(info->name, sizeof info->name, "%s", profiles[index].name);
    snprintf(info->driver, sizeof info->driver, "no driver");
    if (index == NULL_PLAIN) snprintf(info->no_bf16, sizeof info->no_bf16, "it is too plain");
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    *device = malloc(sizeof **device);
    if (!*device) return host->fail(P2P_OUT_OF_MEMORY, "null:%d: no host memory", index);
    (*device)->index = index;
    return P2P_OK;
}

static void device_close(p2p_be_device *device) {
    free(device);
}

/* ---- No memory ---------------------------------------------------------------------------------------- */

static p2p_status buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **buffer) {
    *buffer = NULL;
    return host->fail(P2P_OUT_OF_MEMORY, "null:%d has no memory, not even %zu bytes", device->index, bytes);
}

static void buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    (void)device;
    (void)buffer;
}

static p2p_status nothing_runs(void) {
    return host->fail(P2P_FAILED, "the null device cannot execute anything");
}

static p2p_status buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    (void)device, (void)to, (void)from, (void)bytes;
    return nothing_runs();
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    (void)device, (void)from, (void)to, (void)bytes;
    return nothing_runs();
}

static p2p_status buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    (void)device, (void)from, (void)to, (void)bytes;
    return nothing_runs();
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    (void)device, (void)op, (void)bindings, (void)scratch;
    *created = NULL;
    return nothing_runs();
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    (void)device, (void)op;
    return nothing_runs();
}

static void op_destroy(p2p_be_device *device, p2p_be_op *op) {
    (void)device, (void)op;
}

static p2p_status submit(p2p_be_device *device, p2p_ticket *ticket) {
    (void)device;
    *ticket = 0;
    return P2P_OK;
}

static p2p_status wait(p2p_be_device *device, p2p_ticket ticket) {
    (void)device, (void)ticket;
    return P2P_OK;
}

/* ---- Answers of op_query ------------------------------------------------------------------------------ */

/* A plain device. Its normalisations write one result. */
static p2p_status query_plain(const p2p_op *op, p2p_query *answer) {
    bool two = (op->kind == P2P_KIND_norm_apply && op->t[P2P_AT_norm_apply_y2].n) ||
               (op->kind == P2P_KIND_norm_bwd_apply && op->t[P2P_AT_norm_bwd_apply_dy2].n);
    if (two) return host->fail(P2P_UNSUPPORTED, "one result or gradient per normalisation");
    if (op->kind == P2P_KIND_conv_bwd_filter) /* partial sums */
        answer->scratch_bytes = 4 * p2p_tensor_bytes(&op->t[P2P_AT_conv_bwd_filter_dw]);
    return P2P_OK;
}

static void request(p2p_query *answer, const p2p_tensor *w, p2p_filter_need need, p2p_storage storage) {
    const bool same = w->type == storage.type && w->layout == storage.layout && w->block == storage.block;
    answer->filter_need = same ? P2P_FILTER_AS_QUERIED : need;
    answer->filter = storage;
}

/* Lanes along the channels that a convolution writes. Data gradients need the filter in the other order. */
static p2p_status query_nchw16c(const p2p_op *op, p2p_query *answer) {
    if (op->math == P2P_MATH_bf16 && op->t[0].c < 16)
        return host->fail(P2P_UNSUPPORTED, "bf16 for whole blocks of channels");
    if (op->kind == P2P_KIND_conv_bwd_data)
        request(answer, &op->t[P2P_AT_conv_bwd_data_w], P2P_FILTER_FASTER,
                (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_kcrs_t, 16});
    return P2P_OK;
}

/* A device that multiplies in the stored type. */
static p2p_status query_nchw16c_gpu(const p2p_op *op) {
    if (op->math == P2P_MATH_bf16)
        return host->fail(P2P_UNSUPPORTED, "this device multiplies what is stored");
    return P2P_OK;
}

/* Tensor cores, if activations are in bf16: filters and their gradients in bf16, statistics in a separate
 * kernel, and no accumulation to rounded values. */
static p2p_status query_nhwc8(const p2p_op *op, p2p_query *answer) {
    bool adds = op->accumulate && op->kind != P2P_KIND_axpby && op->kind != P2P_KIND_copy;
    for (int i = 0; adds && i < P2P_MAX_OPERANDS; i++)
        if (p2p_op_accumulates(op, i) && op->t[i].type == P2P_TYPE_bf16)
            return host->fail(P2P_UNSUPPORTED, "sums are rounded once: no addition to bf16");
    if (op->merged) return host->fail(P2P_UNSUPPORTED, "statistics have a kernel of their own");
    if (op->act == P2P_ACT_tanh) return host->fail(P2P_UNSUPPORTED, "no tanh in other kernels");
    if (op->t[0].type != P2P_TYPE_bf16) return P2P_OK;
    if (op->kind == P2P_KIND_conv_bwd_filter && op->t[P2P_AT_conv_bwd_filter_dw].type != P2P_TYPE_bf16)
        return host->fail(P2P_UNSUPPORTED, "gradients of filters are written in bf16");
    const int w = p2p_kind_filter(op->kind);
    if (w >= 0)
        request(answer, &op->t[w], P2P_FILTER_REQUIRED, (p2p_storage){P2P_TYPE_bf16, P2P_LAYOUT_krsc, 8});
    return P2P_OK;
}

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    const char *kind = p2p_kind_name(op->kind);
    *answer = (p2p_query){0};
    snprintf(answer->kernel, sizeof answer->kernel, "%s", kind);
    if (op->kind == P2P_KIND_all_reduce || op->kind == P2P_KIND_broadcast)
        return host->fail(P2P_UNSUPPORTED, "%s belongs to the communicator", kind);
    if (device->index == NULL_NHWC8_BF16 && op->kind == P2P_KIND_act_fwd) return P2P_OK;
    if (device->index == NULL_NHWC8_BF16 && op->kind == P2P_KIND_act_bwd && !op->accumulate) return P2P_OK;
    if (device->index == NULL_PLAIN) return query_plain(op, answer);
    if (device->index == NULL_NCHW16C) return query_nchw16c(op, answer);
    if (device->index == NULL_NCHW16C_GPU) return query_nchw16c_gpu(op);
    return query_nhwc8(op, answer);
}

/* ---- Collectives -------------------------------------------------------------------------------------- */

struct p2p_be_comm {
    int replicas;
};

static p2p_status comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                            const p2p_processes *processes, p2p_be_comm **comm) {
    (void)devices, (void)world, (void)rank0, (void)processes;
    *comm = malloc(sizeof **comm);
    if (!*comm) return host->fail(P2P_OUT_OF_MEMORY, "null: no host memory");
    (*comm)->replicas = count;
    return P2P_OK;
}

static void comm_close(p2p_be_comm *comm) {
    free(comm);
}

/* It rounds at every addition, as NCCL does. */
static p2p_status comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op) {
    (void)devices, (void)count;
    if (op->kind == P2P_KIND_broadcast || op->t[0].type != P2P_TYPE_bf16 || world <= 2) return P2P_OK;
    return host->fail(P2P_UNSUPPORTED, "null: sums of bf16 would be rounded at every addition");
}

static p2p_status collect(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                          p2p_ticket *done) {
    (void)comm, (void)op, (void)replicas, (void)done;
    return nothing_runs();
}

const p2p_module *null_module(uint32_t abi, const p2p_host *services) {
    static const p2p_module module = {.abi = P2P_BACKEND_ABI,
                                      .name = "null",
                                      .description = "plans, computes nothing",
                                      .device_count = device_count,
                                      .device_info = device_info,
                                      .device_open = device_open,
                                      .comm_open = comm_open,
                                      .comm = {.close = comm_close,
                                               .query = comm_query,
                                               .all_reduce = collect,
                                               .broadcast = collect,
                                               .repeats_devices = true},
                                      .device = {.close = device_close,
                                                 .buffer_create = buffer_create,
                                                 .buffer_destroy = buffer_destroy,
                                                 .buffer_write = buffer_write,
                                                 .buffer_read = buffer_read,
                                                 .buffer_copy = buffer_copy,
                                                 .op_query = op_query,
                                                 .op_create = op_create,
                                                 .op_run = op_run,
                                                 .op_destroy = op_destroy,
                                                 .submit = submit,
                                                 .wait = wait}};
    if (abi != P2P_BACKEND_ABI) return NULL;
    host = services;
    return &module;
}
