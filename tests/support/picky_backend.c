/* A wrapper around the reference's table. Operations have their own scratch memory, so that the limit on
 * allocations affects only the memory that the planner divides. */
#include "picky_backend.h"

#include "wrapped_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4, LARGEST = 32 << 10 };

/* The wrapper's objects. */
typedef struct {
    p2p_be_device *inner; /* first, for wrapped_device.h */
    int index;
    struct picky_recording *recording; /* in progress */
} picky_device;

typedef struct {
    p2p_op op;
    p2p_binding bindings[P2P_MAX_OPERANDS];
    p2p_be_op *inner; /* NULL: a peak, which */
    p2p_be_buffer *scratch;
    p2p_binding counts; /* writes `count` here */
    float count;
} picky_op;

typedef struct picky_recording {
    picky_op **ops;
    int count, capacity;
} picky_recording;

static const p2p_module *reference;
static const p2p_host *host;
static int recordings_run;
static p2p_kind careless = P2P_KIND_COUNT;

static picky_failure fails;
static int host_pieces;

void picky_fail(picky_failure failure) {
    fails = failure;
}

int picky_host_pieces(void) {
    return host_pieces;
}

void picky_leave_padding(p2p_kind kind) {
    careless = kind;
}

int picky_recordings_run(void) {
    return recordings_run;
}

static picky_device *wrapper(p2p_be_device *device) {
    return (picky_device *)(void *)device;
}

static p2p_status no_memory(void) {
    return host->fail(P2P_OUT_OF_MEMORY, "picky: no host memory");
}

/* ---- Devices and buffers ------------------------------------------------------------------------------ */

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = PICKY_DEVICES;
    return P2P_OK;
}

static void describe_tensor(p2p_device_info *info) {
    info->zero_padding = info->derives_filters = true;
    info->alignment = 64;
    info->channel_alignment = BLOCK;
    info->activation = (p2p_storage){P2P_TYPE_f64, P2P_LAYOUT_nhwc, BLOCK};
    info->activation_bf16 = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_nhwc, BLOCK};
    info->filter = (p2p_storage){P2P_TYPE_f64, P2P_LAYOUT_krsc, BLOCK};
    info->gradient_bf16 = P2P_TYPE_f32;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    P2P_TRY(reference->device_info(0, info));
    snprintf(info->name, sizeof info->name, "picky device %d", index);
    info->gradient_bf16 = P2P_TYPE_f64;
    if (index == PICKY_TENSOR) describe_tensor(info);
    if (index != PICKY_BLOCKED) return P2P_OK;
    info->derives_filters = true;
    info->max_alloc_bytes = LARGEST;
    info->alignment = 128;
    info->channel_alignment = BLOCK;
    info->activation = (p2p_storage){P2P_TYPE_f64, P2P_LAYOUT_nchwc, BLOCK};
    info->activation_bf16 = (p2p_storage){P2P_TYPE_bf16, P2P_LAYOUT_nchwc, BLOCK};
    info->filter = (p2p_storage){P2P_TYPE_f64, P2P_LAYOUT_ckrs, BLOCK};
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    picky_device *opened = calloc(1, sizeof *opened);
    if (!opened) return no_memory();
    opened->index = index;
    p2p_status status = reference->device_open(0, &opened->inner);
    if (status != P2P_OK) {
        free(opened);
        return status;
    }
    *device = (p2p_be_device *)(void *)opened;
    return P2P_OK;
}

static void recording_free(picky_recording *recording) {
    if (recording) free(recording->ops);
    free(recording);
}

static void device_close(p2p_be_device *device) {
    recording_free(wrapper(device)->recording);
    reference->device.close(wrapper(device)->inner);
    free(device);
}

static p2p_status host_alloc(p2p_be_device *device, size_t bytes, void **memory) {
    (void)device;
    if (fails == PICKY_FAILS_HOST_MEMORY)
        return host->fail(P2P_OUT_OF_MEMORY, "picky: nothing can be pinned");
    *memory = calloc(1, bytes);
    if (!*memory) return no_memory();
    host_pieces++;
    return P2P_OK;
}

static void host_free(p2p_be_device *device, void *memory) {
    (void)device;
    free(memory);
    host_pieces--;
}

/* ---- Operations --------------------------------------------------------------------------------------- */

static p2p_status refuse_fusion(const p2p_op *op) {
    bool conv = op->kind == P2P_KIND_conv_fwd || op->kind == P2P_KIND_conv_bwd_data;
    bool act = op->kind == P2P_KIND_act_fwd || op->kind == P2P_KIND_act_bwd;
    if (conv && op->t[P2P_AT_conv_fwd_bias].n) return host->fail(P2P_UNSUPPORTED, "no bias here");
    if (op->act != P2P_ACT_none && !act) return host->fail(P2P_UNSUPPORTED, "no activation here");
    if (op->merged) return host->fail(P2P_UNSUPPORTED, "nothing merged");
    if (op->dropout > 0 && op->kind != P2P_KIND_dropout)
        return host->fail(P2P_UNSUPPORTED, "no dropout here");
    if (op->kind == P2P_KIND_copy) return P2P_OK;
    for (int i = 0; i < P2P_MAX_OPERANDS; i++)
        if (op->t[i].cp != 0) return host->fail(P2P_UNSUPPORTED, "no channel ranges");
    bool adds_gradients = op->kind == P2P_KIND_axpby || op->kind == P2P_KIND_conv_bwd_filter ||
                          op->kind == P2P_KIND_bias_grad || op->kind == P2P_KIND_norm_bwd_stats;
    if (op->accumulate && !adds_gradients) return host->fail(P2P_UNSUPPORTED, "no additions here");
    return P2P_OK;
}

static void request(const p2p_op *op, p2p_filter_need need, p2p_storage storage, p2p_query *answer) {
    const p2p_tensor *w = &op->t[p2p_kind_filter(op->kind)];
    if (w->layout == storage.layout && w->type == storage.type) return;
    answer->filter_need = need;
    answer->filter = storage;
}

static p2p_status query_tensor(const p2p_op *op, p2p_query *answer) {
    const p2p_storage filter = {P2P_TYPE_f32, P2P_LAYOUT_krsc, BLOCK};
    if (op->math != P2P_MATH_stored) return host->fail(P2P_UNSUPPORTED, "factors are stored as needed");
    if (op->t[0].type != P2P_TYPE_f32) return P2P_OK;
    if (op->kind == P2P_KIND_conv_bwd_filter && op->t[P2P_AT_conv_bwd_filter_dw].type != P2P_TYPE_f32)
        return host->fail(P2P_UNSUPPORTED, "gradients of filters are written in f32");
    if (p2p_kind_filter(op->kind) >= 0) request(op, P2P_FILTER_REQUIRED, filter, answer);
    return P2P_OK;
}

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    const picky_device *picky = wrapper(device);
    if (picky->index == PICKY_STRICT) P2P_TRY(refuse_fusion(op));
    P2P_TRY(reference->device.op_query(picky->inner, op, answer));
    answer->scratch_bytes = 0;
    if (picky->index == PICKY_BLOCKED && op->kind == P2P_KIND_conv_bwd_data)
        request(op, P2P_FILTER_FASTER, (p2p_storage){P2P_TYPE_f64, P2P_LAYOUT_kcrs_t, BLOCK}, answer);
    return picky->index == PICKY_TENSOR ? query_tensor(op, answer) : P2P_OK;
}

static void op_destroy(p2p_be_device *device, p2p_be_op *op) {
    picky_op *made = (picky_op *)(void *)op;
    const p2p_device_table *table = &reference->device;
    if (made->inner) table->op_destroy(wrapper(device)->inner, made->inner);
    if (made->scratch) table->buffer_destroy(wrapper(device)->inner, made->scratch);
    free(made);
}

static p2p_status create_inner(p2p_be_device *inner, const p2p_op *op, const p2p_binding *bindings,
                               picky_op *made) {
    p2p_query answer;
    p2p_binding scratch = {0};
    P2P_TRY(reference->device.op_query(inner, op, &answer));
    if (answer.scratch_bytes > 0) {
        P2P_TRY(reference->device.buffer_create(inner, answer.scratch_bytes, &made->scratch));
        scratch.buffer = made->scratch;
    }
    return reference->device.op_create(inner, op, bindings, scratch, &made->inner);
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    (void)scratch;
    picky_op *made = calloc(1, sizeof *made);
    if (!made) return no_memory();
    made->op = *op;
    memcpy(made->bindings, bindings, (size_t)p2p_kind_operand_count(op->kind) * sizeof *bindings);
    *created = (p2p_be_op *)(void *)made;
    p2p_status status = create_inner(wrapper(device)->inner, op, bindings, made);
    if (status == P2P_OK) return P2P_OK;
    op_destroy(device, *created);
    *created = NULL;
    return status;
}

static p2p_status peak_create(p2p_be_device *device, p2p_math math, int steps, p2p_binding counts,
                              int capacity, p2p_be_op **created, double *multiply_adds) {
    (void)capacity;
    if (math != P2P_MATH_stored) return host->fail(P2P_UNSUPPORTED, "picky: a peak of f32 only");
    picky_op *made = calloc(1, sizeof *made);
    if (!made) return no_memory();
    made->counts = counts;
    made->count = (float)steps;
    *multiply_adds = steps + (wrapper(device)->index == PICKY_STRICT);
    *created = (p2p_be_op *)(void *)made;
    return P2P_OK;
}

/* ---- Padding lanes of PICKY_TENSOR -------------------------------------------------------------------- */

static void find_padding(void *context, const p2p_tensor *t, void *raw) {
    bool *found = context;
    *found = *found || p2p_tensor_find_padding(t, raw) >= 0;
}

static void leave_padding(void *context, const p2p_tensor *t, void *raw) {
    (void)context;
    p2p_tensor padded = p2p_tensor_whole(t);
    const int64_t block = t->block;
    if (!p2p_tensor_owns_padding(t) || padded.c % block == 0) return;
    padded.cp = (padded.c + block - 1) / block * block; /* the first padding lane as a channel */
    padded.c0 = padded.c;
    padded.c = 1;
    memset((char *)raw + (size_t)p2p_tensor_index(&padded, 0, 0, 0, 0) * p2p_type_bytes(t->type), 0xFF,
           p2p_type_bytes(t->type));
}

static void clear_padding(void *context, const p2p_tensor *t, void *raw) {
    (void)context;
    if (p2p_tensor_owns_padding(t)) p2p_tensor_clear_padding(t, raw);
}

/* What a product with a padding lane that is not zero does to a result. */
static void spoil(void *context, const p2p_tensor *t, void *raw) {
    (void)context;
    memset((char *)raw + (size_t)p2p_tensor_index(t, 0, 0, 0, 0) * p2p_type_bytes(t->type), 0xFF,
           p2p_type_bytes(t->type));
}

/* Calls visit for each activation that the operation uses so, and writes it back if it is written. */
static p2p_status visit_padding(picky_device *picky, picky_op *op, int use,
                                void (*visit)(void *context, const p2p_tensor *t, void *raw), void *context) {
    for (int i = 0; i < p2p_kind_operand_count(op->op.kind); i++) {
        const p2p_tensor *t = &op->op.t[i];
        const size_t bytes = p2p_tensor_bytes(t);
        if (!(p2p_op_operand_use(&op->op, i) & use) || t->layout != P2P_LAYOUT_nhwc || t->block == 0)
            continue;
        void *raw = malloc(bytes);
        if (!raw) return no_memory();
        p2p_status status = reference->device.buffer_read(picky->inner, op->bindings[i], raw, bytes);
        if (status == P2P_OK) visit(context, t, raw);
        if (status == P2P_OK && use == P2P_OUT)
            status = reference->device.buffer_write(picky->inner, op->bindings[i], raw, bytes);
        free(raw);
        P2P_TRY(status);
    }
    return P2P_OK;
}

static p2p_status run_now(picky_device *picky, picky_op *op) {
    if (!op->inner)
        return reference->device.buffer_write(picky->inner, op->counts, &op->count, sizeof op->count);
    if (picky->index != PICKY_TENSOR) return reference->device.op_run(picky->inner, op->inner);
    bool multiplied = false;
    P2P_TRY(visit_padding(picky, op, P2P_IN, find_padding, &multiplied));
    P2P_TRY(reference->device.op_run(picky->inner, op->inner));
    P2P_TRY(visit_padding(picky, op, P2P_OUT, op->op.kind == careless ? leave_padding : clear_padding, NULL));
    return multiplied ? visit_padding(picky, op, P2P_OUT, spoil, NULL) : P2P_OK;
}

static p2p_status record(picky_recording *recording, picky_op *op) {
    if (recording->count == recording->capacity) {
        int capacity = recording->capacity ? 2 * recording->capacity : 64;
        picky_op **ops = realloc(recording->ops, (size_t)capacity * sizeof(picky_op *));
        if (!ops) return no_memory();
        recording->ops = ops;
        recording->capacity = capacity;
    }
    recording->ops[recording->count++] = op;
    return P2P_OK;
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    picky_device *picky = wrapper(device);
    picky_op *made = (picky_op *)(void *)op;
    return picky->recording ? record(picky->recording, made) : run_now(picky, made);
}

/* ---- Recordings --------------------------------------------------------------------------------------- */

static p2p_status record_begin(p2p_be_device *device) {
    picky_device *picky = wrapper(device);
    if (picky->recording) return host->fail(P2P_FAILED, "picky: already recording");
    picky->recording = calloc(1, sizeof *picky->recording);
    return picky->recording ? P2P_OK : no_memory();
}

static p2p_status record_end(p2p_be_device *device, p2p_be_recording **recording) {
    picky_device *picky = wrapper(device);
    if (!picky->recording) return host->fail(P2P_FAILED, "picky: not recording");
    *recording = (p2p_be_recording *)(void *)picky->recording;
    picky->recording = NULL;
    if (fails != PICKY_FAILS_RECORDING) return P2P_OK;
    recording_free((picky_recording *)(void *)*recording);
    *recording = NULL;
    return host->fail(P2P_UNSUPPORTED, "picky: a command that can't be recorded");
}

static p2p_status recording_run(p2p_be_device *device, p2p_be_recording *recorded) {
    const picky_recording *recording = (const picky_recording *)(const void *)recorded;
    for (int i = 0; i < recording->count; i++) P2P_TRY(run_now(wrapper(device), recording->ops[i]));
    recordings_run++;
    return P2P_OK;
}

static void recording_destroy(p2p_be_device *device, p2p_be_recording *recorded) {
    (void)device;
    recording_free((picky_recording *)(void *)recorded);
}

const p2p_module *picky_module(uint32_t abi, const p2p_host *services) {
    static p2p_module module;
    if (abi != P2P_BACKEND_ABI) return NULL;
    host = services;
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    module = (p2p_module){.abi = P2P_BACKEND_ABI,
                          .name = "picky",
                          .description = "the reference with opinions",
                          .device_count = device_count,
                          .device_info = device_info,
                          .device_open = device_open,
                          .device = wrapped_device_table(reference)};
    module.device.close = device_close;
    module.device.host_alloc = host_alloc;
    module.device.host_free = host_free;
    module.device.op_query = op_query;
    module.device.op_create = op_create;
    module.device.op_run = op_run;
    module.device.op_destroy = op_destroy;
    module.device.record_begin = record_begin;
    module.device.record_end = record_end;
    module.device.recording_run = recording_run;
    module.device.recording_destroy = recording_destroy;
    module.device.peak_create = peak_create;
    return &module;
}

/* ---- Twins -------------------------------------------------------------------------------------------- */

static p2p_status twin_info(int index, p2p_device_info *info) {
    (void)index;
    return device_info(PICKY_EASY, info);
}

static p2p_status twin_open(int index, p2p_be_device **device) {
    (void)index;
    return device_open(PICKY_EASY, device);
}

const p2p_module *picky_twins_module(uint32_t abi, const p2p_host *services) {
    static p2p_module module;
    const p2p_module *picky = picky_module(abi, services);
    if (!picky) return NULL;
    module = *picky;
    module.name = "twins";
    module.device_info = twin_info;
    module.device_open = twin_open;
    return &module;
}
