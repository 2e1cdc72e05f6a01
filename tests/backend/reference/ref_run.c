/* Storage, guards and comparison around one call of the backend's table. */
#include "ref_run.h"

#include "device/device.h"
#include "p2p_philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

const p2p_module *ref_module;
p2p_be_device *ref_device;
bool ref_kind_was_run[P2P_KIND_COUNT];

int ref_open_device(void **state) {
    (void)state;
    ref_module = p2p_module_reference(P2P_BACKEND_ABI, p2p_host_services());
    return ref_module == NULL || ref_module->device_open(0, &ref_device) != P2P_OK;
}

int ref_close_device(void **state) {
    (void)state;
    ref_module->device.close(ref_device);
    return 0;
}

enum { GUARD = 64, STEP_IMAGES = 16 };

static const p2p_draw draw = {.seed = 31, .stream = 1};
static uint64_t draws;

int64_t run_below(int64_t bound) {
    return p2p_draw_below(&draw, draws++, (uint32_t)bound);
}

static bool is_step(const p2p_tensor *t) {
    return t->type == P2P_TYPE_u32;
}

/* Operands hold small integers from -4 to 4. */
run run_of(const p2p_op *op) {
    run r = {.op = *op};
    if (p2p_op_validate(op) != P2P_OK) fail_msg("%s", p2p_message());
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        if (!p2p_tensor_present(&op->t[i]) || is_step(&op->t[i])) continue;
        int64_t count = p2p_tensor_elements(&op->t[i]);
        r.v[i] = malloc((size_t)count * sizeof(double));
        for (int64_t e = 0; e < count; e++) r.v[i][e] = (double)(run_below(9) - 4);
    }
    r.step = calloc((size_t)p2p_step_block_words(STEP_IMAGES), sizeof(uint32_t));
    *r.step = (p2p_step_block){.seed_lo = 123, .seed_hi = 456, .step = 7};
    for (uint32_t n = 0; n < STEP_IMAGES; n++) r.step->sample[n] = 1000 + 3 * n;
    return r;
}

run run_text(const char *text) {
    p2p_op op;
    OK(p2p_op_parse(text, &op));
    return run_of(&op);
}

void run_free(run *r) {
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) free(r->v[i]);
    free(r->step);
}

void run_normal(run *r, int operand, double mean, double deviation) {
    for (int64_t e = 0; e < p2p_tensor_elements(&r->op.t[operand]); e++)
        r->v[operand][e] = mean + deviation * p2p_draw_normal(&draw, draws++);
}

/* The operand as stored, between two guards; everything is NaN except what may be read. */
static unsigned char *store(const run *r, int i, size_t *bytes) {
    const p2p_tensor *t = &r->op.t[i];
    *bytes = p2p_tensor_bytes(t);
    unsigned char *raw = malloc(*bytes + 2 * GUARD);
    memset(raw, 0xff, *bytes + 2 * GUARD);
    if (is_step(t))
        memcpy(raw + GUARD, r->step, *bytes);
    else if (p2p_op_operand_use(&r->op, i) & P2P_IN)
        p2p_tensor_pack(t, r->v[i], P2P_TYPE_f64, raw + GUARD);
    return raw;
}

/* Check that only the operand's own elements, and the padding lanes that it owns, have changed. */
static void check_untouched(const p2p_tensor *t, const unsigned char *before, const unsigned char *after) {
    size_t element = p2p_type_bytes(t->type), bytes = p2p_tensor_bytes(t);
    bool filter = p2p_layout_is_filter(t->layout);
    unsigned char *own = calloc(bytes + 2 * GUARD, 1);
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c = 0; c < t->c; c++)
            for (int64_t h = 0; h < t->h; h++)
                for (int64_t w = 0; w < t->w; w++)
                    memset(own + GUARD + (size_t)p2p_tensor_index(t, n, c, h, w) * element, 1, element);
    for (size_t at = 0; at < bytes + 2 * GUARD; at++) {
        if (own[at]) continue;
        bool padding_of_filter = filter && at >= GUARD && at < GUARD + bytes;
        assert_int_equal(after[at], padding_of_filter ? 0 : before[at]);
    }
    free(own);
}

/* Run r->op and read its outputs back into r->v. */
void run_go(run *r) {
    const p2p_device_table *table = &ref_module->device;
    p2p_binding bindings[P2P_MAX_OPERANDS] = {{0}}, scratch = {0};
    unsigned char *before[P2P_MAX_OPERANDS] = {NULL};
    size_t bytes[P2P_MAX_OPERANDS];
    int count = p2p_kind_operand_count(r->op.kind);
    for (int i = 0; i < count; i++) {
        if (!p2p_tensor_present(&r->op.t[i])) continue;
        before[i] = store(r, i, &bytes[i]);
        OK(table->buffer_create(ref_device, bytes[i] + 2 * GUARD, &bindings[i].buffer));
        OK(table->buffer_write(ref_device, bindings[i], before[i], bytes[i] + 2 * GUARD));
        bindings[i].offset = GUARD;
    }
    p2p_query answer;
    OK(table->op_query(ref_device, &r->op, &answer));
    OK(table->buffer_create(ref_device, answer.scratch_bytes, &scratch.buffer));
    unsigned char *noise = malloc(answer.scratch_bytes + 1);
    memset(noise, 0xff, answer.scratch_bytes);
    OK(table->buffer_write(ref_device, scratch, noise, answer.scratch_bytes));
    free(noise);
    p2p_be_op *op = NULL;
    OK(table->op_create(ref_device, &r->op, bindings, scratch, &op));
    OK(table->op_run(ref_device, op));
    p2p_ticket ticket;
    OK(table->submit(ref_device, &ticket));
    OK(table->wait(ref_device, ticket));
    for (int i = 0; i < count; i++) {
        if (before[i] == NULL) continue;
        unsigned char *after = malloc(bytes[i] + 2 * GUARD);
        OK(table->buffer_read(ref_device, (p2p_binding){bindings[i].buffer, 0}, after, bytes[i] + 2 * GUARD));
        if (p2p_op_operand_use(&r->op, i) & P2P_OUT) {
            check_untouched(&r->op.t[i], before[i], after);
            p2p_tensor_unpack(&r->op.t[i], after + GUARD, r->v[i], P2P_TYPE_f64);
        } else {
            assert_memory_equal(before[i], after, bytes[i] + 2 * GUARD);
        }
        free(after), free(before[i]);
        table->buffer_destroy(ref_device, bindings[i].buffer);
    }
    table->op_destroy(ref_device, op);
    table->buffer_destroy(ref_device, scratch.buffer);
    ref_kind_was_run[r->op.kind] = true;
}

double run_at(const run *r, int operand, int64_t n, int64_t c, int64_t h, int64_t w) {
    const p2p_tensor *t = &r->op.t[operand];
    return r->v[operand][((n * t->c + c) * t->h + h) * t->w + w];
}

void run_assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%.17g is not %.17g within %g", found, expected, tolerance);
}
