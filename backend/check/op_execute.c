/* Placement of operands, composition of memory images, and execution. */
#include "op_execute.h"

#include <stdlib.h>
#include <string.h>

/* ---- Benches ------------------------------------------------------------------------------------------ */

p2p_status op_bench_open(const char *address, op_bench *bench) {
    *bench = (op_bench){0};
    return p2p_device_open(address, &bench->device);
}

void op_bench_release(op_bench *bench) {
    p2p_buffer_destroy(bench->memory);
    p2p_buffer_destroy(bench->scratch);
    bench->memory = bench->scratch = NULL;
}

void op_bench_close(op_bench *bench) {
    op_bench_release(bench);
    p2p_device_close(bench->device);
    *bench = (op_bench){0};
}

/* Provides a buffer of at least `bytes`, with room for growth, so that a table of cases allocates rarely. */
static p2p_status reserve(p2p_device *device, size_t bytes, p2p_buffer **buffer) {
    if (*buffer && p2p_buffer_bytes(*buffer) >= bytes) return P2P_OK;
    p2p_buffer_destroy(*buffer);
    *buffer = NULL;
    return p2p_buffer_create(device, bytes + bytes / 2 + 65536, buffer);
}

/* ---- Images ------------------------------------------------------------------------------------------- */

enum { GUARD_BYTES = 512 };

static size_t round_up(size_t bytes, size_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

/* Offsets are odd multiples of the alignment, so that no operand has a larger alignment than guaranteed. */
static op_placement place(const p2p_op *op, size_t alignment) {
    op_placement placement = {.total = 0};
    size_t step = alignment < 4 ? 4 : alignment;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (!p2p_tensor_present(&op->t[i])) continue;
        size_t offset = round_up(placement.total + GUARD_BYTES, step);
        if (offset / step % 2 == 0) offset += step;
        placement.offset[i] = offset;
        placement.total = offset + p2p_tensor_bytes(&op->t[i]);
    }
    placement.total = round_up(placement.total, 4) + GUARD_BYTES;
    return placement;
}

bool op_has_zero_padding(const op_bench *bench, const p2p_tensor *t) {
    if (p2p_layout_is_filter(t->layout)) return true;
    return t->layout != P2P_LAYOUT_plain && p2p_device_describe(bench->device)->zero_padding;
}

/* Composes an operand's memory before the run: its contents if it is read, with padding lanes of zeros or NaN
 * as the device expects; only NaN if it is not read. */
static void compose_operand(const op_bench *bench, const p2p_op *op, int operand, const op_contents *contents,
                            unsigned char *raw) {
    const p2p_tensor *t = &op->t[operand];
    if (t->type == P2P_TYPE_u32) {
        memcpy(raw, contents->step, contents->step_bytes);
        return;
    }
    bool is_read = p2p_op_operand_use(op, operand) & P2P_IN;
    memset(raw, 0xFF, p2p_tensor_bytes(t));
    if (is_read && op_has_zero_padding(bench, t)) p2p_tensor_clear_padding(t, raw);
    if (is_read) p2p_tensor_pack(t, contents->values[operand], P2P_TYPE_f64, raw);
}

static void compose(const op_execution *execution, const op_contents *contents) {
    const p2p_op *op = &execution->op;
    const op_placement *placement = &execution->placement;
    unsigned char *image = execution->before;
    const uint16_t guard[2] = {OP_GUARD_WORD_LOW, OP_GUARD_WORD_HIGH};
    for (size_t at = 0; at < placement->total; at += sizeof guard) memcpy(image + at, guard, sizeof guard);
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (p2p_tensor_present(&op->t[i]))
            compose_operand(execution->bench, op, i, contents, image + placement->offset[i]);
    }
}

/* ---- Executions --------------------------------------------------------------------------------------- */

static size_t scratch_total(const op_execution *execution) {
    return execution->scratch_offset + execution->query.scratch_bytes + GUARD_BYTES;
}

/* Divides the image into buffers: one for all operands, or one per operand, which begins in front of the
 * operand. */
static p2p_status create_pieces(op_execution *execution) {
    op_bench *bench = execution->bench;
    if (!bench->apart) {
        P2P_TRY(reserve(bench->device, execution->placement.total, &bench->memory));
        execution->pieces[execution->piece_count++] =
            (op_piece){bench->memory, 0, execution->placement.total};
        return P2P_OK;
    }
    size_t front = round_up(1, p2p_device_describe(bench->device)->alignment);
    for (int i = 0; i < p2p_kind_operand_count(execution->op.kind); i++) {
        if (!p2p_tensor_present(&execution->op.t[i])) continue;
        op_piece piece = {.first = execution->placement.offset[i] - front,
                          .bytes = front + p2p_tensor_bytes(&execution->op.t[i])};
        P2P_TRY(p2p_buffer_create(bench->device, piece.bytes, &piece.buffer));
        execution->pieces[execution->piece_count++] = piece;
    }
    return P2P_OK;
}

static p2p_place place_of(const op_execution *execution, int operand) {
    size_t offset = execution->placement.offset[operand];
    const op_piece *piece = execution->pieces;
    while (offset < piece->first || offset - piece->first >= piece->bytes) piece++;
    return (p2p_place){piece->buffer, offset - piece->first};
}

static p2p_status create_scratch(op_execution *execution, p2p_place *scratch) {
    op_bench *bench = execution->bench;
    if (execution->query.scratch_bytes == 0) return P2P_OK;
    execution->scratch_offset = round_up(GUARD_BYTES, p2p_device_describe(bench->device)->alignment);
    P2P_TRY(reserve(bench->device, scratch_total(execution), &bench->scratch));
    *scratch = (p2p_place){bench->scratch, execution->scratch_offset};
    return P2P_OK;
}

static p2p_status create_operation(op_execution *execution) {
    p2p_place places[P2P_MAX_OPERANDS] = {{0}}, scratch = {0};
    P2P_TRY(create_pieces(execution));
    P2P_TRY(create_scratch(execution, &scratch));
    for (int i = 0; i < p2p_kind_operand_count(execution->op.kind); i++) {
        if (p2p_tensor_present(&execution->op.t[i])) places[i] = place_of(execution, i);
    }
    return p2p_operation_create(execution->bench->device, &execution->op, places, scratch,
                                &execution->operation);
}

p2p_status op_execution_create(op_bench *bench, const p2p_op *op, op_execution *execution) {
    *execution = (op_execution){.bench = bench, .op = *op};
    P2P_TRY(p2p_operation_query(bench->device, op, &execution->query));
    execution->placement = place(op, p2p_device_describe(bench->device)->alignment);
    execution->before = malloc(execution->placement.total);
    execution->after = malloc(execution->placement.total);
    p2p_status status = P2P_OK;
    if (!execution->before || !execution->after) {
        status =
            p2p_fail(P2P_OUT_OF_MEMORY, "no memory for an image of %zu bytes", execution->placement.total);
    }
    if (status == P2P_OK) status = create_operation(execution);
    if (status == P2P_UNSUPPORTED)
        status = p2p_fail(P2P_FAILED, "op_create refuses what op_query accepts: %s", p2p_message());
    if (status != P2P_OK) op_execution_destroy(execution);
    return status;
}

void op_execution_destroy(op_execution *execution) {
    p2p_operation_destroy(execution->operation);
    for (int i = 0; execution->bench && execution->bench->apart && i < execution->piece_count; i++) {
        p2p_buffer_destroy(execution->pieces[i].buffer);
    }
    free(execution->before);
    free(execution->after);
    *execution = (op_execution){0};
}

/* Fills scratch memory and its guards with NaN. */
static p2p_status write_scratch(op_execution *execution, void *image) {
    memset(image, 0xFF, scratch_total(execution));
    p2p_place all = {execution->bench->scratch, 0};
    return p2p_buffer_write(execution->bench->device, all, image, scratch_total(execution));
}

/* Checks after the run that the guards have not changed. */
static p2p_status check_scratch(op_execution *execution, unsigned char *image) {
    p2p_device *device = execution->bench->device;
    p2p_place all = {execution->bench->scratch, 0};
    P2P_TRY(p2p_buffer_read(device, all, image, scratch_total(execution)));
    P2P_TRY(p2p_device_finish(device));
    size_t first = execution->scratch_offset, end = first + execution->query.scratch_bytes;
    for (size_t at = 0; at < scratch_total(execution); at++) {
        if ((at < first || at >= end) && image[at] != 0xFF) {
            return p2p_fail(P2P_FAILED, "byte %lld of %zu of the scratch memory was written",
                            (long long)at - (long long)first, execution->query.scratch_bytes);
        }
    }
    return P2P_OK;
}

static p2p_status run_with_scratch(op_execution *execution) {
    if (execution->query.scratch_bytes == 0) return p2p_operation_run(execution->operation);
    unsigned char *image = malloc(scratch_total(execution));
    if (!image) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for an image of the scratch memory");
    p2p_status status = write_scratch(execution, image);
    if (status == P2P_OK)
        status = p2p_device_finish(execution->bench->device); /* `image` is in use until then */
    if (status == P2P_OK) status = p2p_operation_run(execution->operation);
    if (status == P2P_OK) status = check_scratch(execution, image);
    free(image);
    return status;
}

p2p_status op_execution_run(op_execution *execution, const op_contents *contents) {
    p2p_device *device = execution->bench->device;
    compose(execution, contents);
    for (int i = 0; i < execution->piece_count; i++) {
        const op_piece *piece = &execution->pieces[i];
        P2P_TRY(p2p_buffer_write(device, (p2p_place){piece->buffer, 0}, execution->before + piece->first,
                                 piece->bytes));
    }
    P2P_TRY(run_with_scratch(execution));
    memcpy(execution->after, execution->before, execution->placement.total);
    for (int i = 0; i < execution->piece_count; i++) {
        const op_piece *piece = &execution->pieces[i];
        P2P_TRY(p2p_buffer_read(device, (p2p_place){piece->buffer, 0}, execution->after + piece->first,
                                piece->bytes));
    }
    return p2p_device_finish(device);
}

/* ---- The truth ---------------------------------------------------------------------------------------- */

static p2p_op in_doubles(const p2p_op *op) {
    p2p_op plain = *op;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        p2p_tensor *t = &plain.t[i];
        if (!p2p_tensor_present(t) || t->type == P2P_TYPE_u32 || t->type == P2P_TYPE_u8 ||
            t->type == P2P_TYPE_u16)
            continue;
        *t = p2p_tensor_activation(P2P_TYPE_f64, t->n, t->c, t->h, t->w);
    }
    return plain;
}

static p2p_status collect(const op_execution *execution, double *results[P2P_MAX_OPERANDS]) {
    const p2p_op *op = &execution->op;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (!(p2p_op_operand_use(op, i) & P2P_OUT)) continue;
        results[i] = malloc((size_t)p2p_tensor_elements(&op->t[i]) * sizeof(double));
        if (!results[i]) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for results");
        p2p_tensor_unpack(&op->t[i], execution->after + execution->placement.offset[i], results[i],
                          P2P_TYPE_f64);
    }
    return P2P_OK;
}

p2p_status op_truth(op_bench *reference, const p2p_op *op, const op_contents *contents,
                    double *results[P2P_MAX_OPERANDS]) {
    memset(results, 0, P2P_MAX_OPERANDS * sizeof *results);
    p2p_op plain = in_doubles(op);
    op_execution execution;
    P2P_TRY(op_execution_create(reference, &plain, &execution));
    p2p_status status = op_execution_run(&execution, contents);
    if (status == P2P_OK) status = collect(&execution, results);
    if (status != P2P_OK) op_results_free(results);
    op_execution_destroy(&execution);
    return status;
}

void op_results_free(double *results[P2P_MAX_OPERANDS]) {
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        free(results[i]);
        results[i] = NULL;
    }
}
