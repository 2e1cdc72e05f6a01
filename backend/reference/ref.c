/* The reference backend: naive loops in double precision, on several simulated devices. Other backends are
 * tested against it, and it can train, slowly, on any machine.
 *
 * An operation converts its operands of any type and layout to plain arrays of doubles in scratch memory,
 * computes, and stores its outputs. Commands are executed when they are enqueued. The backend shares with
 * fast backends only descriptors, host conversion and the random-number formula. It does not implement
 * recording.
 */
#include "ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 4 };

/* ---- Devices and buffers ------------------------------------------------------------------------------ */

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = DEVICES;
    return P2P_OK;
}

static p2p_status check_index(int index) {
    if (index >= 0 && index < DEVICES) return P2P_OK;
    return p2p_ref_host->fail(P2P_NO_DEVICE, "reference:%d: there are devices 0 to %d", index, DEVICES - 1);
}

static p2p_status device_info(int index, p2p_device_info *info) {
    P2P_TRY(check_index(index));
    const p2p_storage plain = {.type = P2P_TYPE_f64, .layout = P2P_LAYOUT_plain, .block = 0};
    *info = (p2p_device_info){.type = P2P_DEVICE_CPU,
                              .compute_units = 1,
                              .max_alloc_bytes = PTRDIFF_MAX,
                              .in_host_memory = true,
                              .alignment = REF_ALIGNMENT,
                              .channel_alignment = 1,
                              .activation = plain,
                              .activation_bf16 = plain,
                              .gradient_bf16 = plain.type,
                              .filter = plain,
                              .vector = plain};
    snprintf(info->name, sizeof info->name, "reference device %d", index);
    snprintf(info->driver, sizeof info->driver, "naive loops in double precision");
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    P2P_TRY(check_index(index));
    p2p_be_device *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return p2p_ref_host->fail(P2P_OUT_OF_MEMORY, "reference:%d: no memory to open it", index);
    opened->index = index;
    *device = opened;
    return P2P_OK;
}

static void device_close(p2p_be_device *device) {
    free(device);
}

static void buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    (void)device;
    if (buffer != NULL) free(buffer->bytes);
    free(buffer);
}

static p2p_status buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **buffer) {
    p2p_be_buffer *created = bytes <= PTRDIFF_MAX ? calloc(1, sizeof *created) : NULL;
    if (created != NULL) created->bytes = calloc(bytes > 0 ? bytes : 1, 1);
    if (created == NULL || created->bytes == NULL) {
        buffer_destroy(device, created);
        return p2p_ref_host->fail(P2P_OUT_OF_MEMORY,
                                  "reference:%d: a buffer of %zu bytes does not fit into memory",
                                  device->index, bytes);
    }
    created->size = bytes;
    /* The operating system may allocate zeroed pages lazily; writing to each page allocates it now. */
    for (size_t at = 0; at < bytes; at += 4096) *(volatile unsigned char *)(created->bytes + at) = 0;
    *buffer = created;
    return P2P_OK;
}

static p2p_status buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    (void)device;
    void *memory = NULL;
    P2P_TRY(p2p_ref_locate_bytes(to, bytes, "a write", &memory));
    memcpy(memory, from, bytes);
    return P2P_OK;
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    (void)device;
    void *memory = NULL;
    P2P_TRY(p2p_ref_locate_bytes(from, bytes, "a read", &memory));
    memcpy(to, memory, bytes);
    return P2P_OK;
}

static p2p_status buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    (void)device;
    void *source = NULL, *target = NULL;
    P2P_TRY(p2p_ref_locate_bytes(from, bytes, "the source of a copy", &source));
    P2P_TRY(p2p_ref_locate_bytes(to, bytes, "the target of a copy", &target));
    memmove(target, source, bytes);
    return P2P_OK;
}

/* ---- Operands ----------------------------------------------------------------------------------------- */

/* The step block is the only operand of 32-bit words. */
static bool is_step(const p2p_tensor *tensor) {
    return tensor->type == P2P_TYPE_u32;
}

static bool is_rounded(const p2p_op *op, int operand) {
    return op->math != P2P_MATH_stored && p2p_op_is_factor(op, operand);
}

/* Inputs stored as plain doubles are read in place. */
static bool is_read_in_place(const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (is_rounded(op, operand)) return false;
    return p2p_op_operand_use(op, operand) == P2P_IN && t->type == P2P_TYPE_f64 &&
           t->layout == P2P_LAYOUT_plain && p2p_tensor_is_whole(t);
}

static bool needs_array(const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    return p2p_tensor_present(t) && !is_step(t) && !is_read_in_place(op, operand);
}

/* The output whose sums need an array of their own, because the activation is applied to them; -1 if none. */
static int summed_apart(const p2p_op *op) {
    if (op->kind == P2P_KIND_conv_fwd) return P2P_AT_conv_fwd_y;
    if (op->kind == P2P_KIND_conv_bwd_data) return P2P_AT_conv_bwd_data_dx;
    return -1;
}

/* Bytes of scratch memory: an array per operand that needs one, and the sums of a convolution. Returns false
 * if they exceed the address space. */
static bool count_scratch(const p2p_op *op, size_t *bytes) {
    const int64_t most = PTRDIFF_MAX / (int64_t)sizeof(double);
    int64_t total = 0;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        int64_t count = p2p_tensor_present(&op->t[i]) ? p2p_tensor_elements(&op->t[i]) : 0;
        int64_t arrays = needs_array(op, i) + (i == summed_apart(op));
        for (; arrays > 0; arrays--) {
            if (count > most - total) return false;
            total += count;
        }
    }
    *bytes = (size_t)total * sizeof(double);
    return true;
}

/* ---- Operations --------------------------------------------------------------------------------------- */

struct p2p_be_op {
    p2p_op op;
    p2p_ref_run run;
    void *raw[P2P_MAX_OPERANDS];
};

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    const char *name = p2p_kind_name(op->kind);
    *answer = (p2p_query){0};
    if (p2p_ref_kernels[op->kind] == NULL)
        return p2p_ref_host->fail(P2P_UNSUPPORTED, "reference:%d: %s is carried out by the communicator",
                                  device->index, name);
    if (!count_scratch(op, &answer->scratch_bytes))
        return p2p_ref_host->fail(P2P_UNSUPPORTED, "reference:%d: %s needs more memory than can be addressed",
                                  device->index, name);
    snprintf(answer->kernel, sizeof answer->kernel, "ref_%s", name);
    return P2P_OK;
}

/* Locates every operand in memory and assigns its array of doubles. */
static p2p_status bind_operands(p2p_be_op *created, const p2p_binding *bindings, double *scratch) {
    const p2p_op *op = &created->op;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        const p2p_tensor *t = &op->t[i];
        if (!p2p_tensor_present(t)) continue;
        char what[64];
        snprintf(what, sizeof what, "%s.%s", p2p_kind_name(op->kind), p2p_kind_operand_name(op->kind, i));
        P2P_TRY(p2p_ref_locate(t, what, bindings[i], &created->raw[i]));
        if (is_step(t)) {
            created->run.step = created->raw[i];
        } else if (is_read_in_place(op, i)) {
            created->run.values[i] = created->raw[i];
        } else {
            created->run.values[i] = scratch;
            scratch += p2p_tensor_elements(t);
        }
    }
    created->run.work = scratch;
    return P2P_OK;
}

static void op_destroy(p2p_be_device *device, p2p_be_op *made) {
    (void)device;
    if (made != NULL) free(made->run.rows);
    free(made);
}

/* An operation without operands; NULL if there is no memory. */
static p2p_be_op *op_made(const p2p_op *op) {
    p2p_be_op *made = calloc(1, sizeof *made);
    int64_t rows = p2p_ref_rows(op, NULL);
    if (made == NULL) return NULL;
    made->op = *op;
    made->run.op = &made->op;
    if (rows == 0) return made;
    made->run.rows = calloc((size_t)rows, sizeof *made->run.rows);
    if (made->run.rows == NULL) {
        free(made);
        return NULL;
    }
    made->run.row_count = p2p_ref_rows(op, made->run.rows);
    return made;
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    p2p_query answer;
    void *memory = NULL;
    P2P_TRY(op_query(device, op, &answer));
    if (answer.scratch_bytes > 0) {
        const p2p_tensor doubles =
            p2p_tensor_flat(P2P_TYPE_f64, (int64_t)(answer.scratch_bytes / sizeof(double)));
        P2P_TRY(p2p_ref_locate(&doubles, "scratch memory", scratch, &memory));
    }
    p2p_be_op *made = op_made(op);
    if (made == NULL)
        return p2p_ref_host->fail(P2P_OUT_OF_MEMORY, "reference:%d: no memory for an operation",
                                  device->index);
    p2p_status status = bind_operands(made, bindings, memory);
    if (status != P2P_OK) {
        op_destroy(device, made);
        return status;
    }
    *created = made;
    return P2P_OK;
}

static void gather(const p2p_be_op *made, int operand) {
    const p2p_tensor *t = &made->op.t[operand];
    double *values = made->run.values[operand];
    if (p2p_op_operand_use(&made->op, operand) & P2P_IN) {
        p2p_tensor_unpack(t, made->raw[operand], values, P2P_TYPE_f64);
        if (!is_rounded(&made->op, operand)) return;
        for (int64_t e = 0, count = p2p_tensor_elements(t); e < count; e++)
            values[e] = p2p_round_factor((p2p_math)made->op.math, values[e]);
        return;
    }
    for (int64_t e = 0, count = p2p_tensor_elements(t); e < count; e++) values[e] = -0.0;
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *made) {
    (void)device;
    const p2p_op *op = &made->op;
    int count = p2p_kind_operand_count(op->kind);
    for (int i = 0; i < count; i++)
        if (needs_array(op, i)) gather(made, i);
    p2p_ref_kernels[op->kind](&made->run);
    for (int i = 0; i < count; i++)
        if (p2p_op_operand_use(op, i) & P2P_OUT) p2p_ref_store(&op->t[i], made->run.values[i], made->raw[i]);
    return P2P_OK;
}

/* ---- Tickets ------------------------------------------------------------------------------------------ */

static p2p_status submit(p2p_be_device *device, p2p_ticket *ticket) {
    *ticket = ++device->submitted;
    return P2P_OK;
}

static p2p_status wait(p2p_be_device *device, p2p_ticket ticket) {
    if (ticket <= device->submitted) return P2P_OK;
    return p2p_ref_host->fail(
        P2P_INVALID, "reference:%d: ticket %llu was never submitted; the last one is %llu", device->index,
        (unsigned long long)ticket, (unsigned long long)device->submitted);
}

/* ---- Module ------------------------------------------------------------------------------------------- */

const p2p_module *p2p_module_reference(uint32_t abi, const p2p_host *host) {
    static const p2p_module module = {
        .abi = P2P_BACKEND_ABI,
        .name = "reference",
        .description = "naive loops in double precision, the truth for tests",
        .device_count = device_count,
        .device_info = device_info,
        .device_open = device_open,
        .comm_open = p2p_ref_comm_open,
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
                   .wait = wait,
                   .order = wait}, /* everything is complete when it is enqueued */
        .comm = {.repeats_devices = true,
                 .close = p2p_ref_comm_close,
                 .query = p2p_ref_comm_query,
                 .all_reduce = p2p_ref_all_reduce,
                 .broadcast = p2p_ref_broadcast},
    };
    if (abi != P2P_BACKEND_ABI) return NULL;
    p2p_ref_host = host;
    return &module;
}
