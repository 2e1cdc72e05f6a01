/* Checks of convolutions' results on a device of this file, whose memory is the host's and which counts
 * transfers: few bytes and few reads pass between host and device for a large result, and one wrong element
 * in a piece that is compared is found. */
#include "p2p_tune.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- The device ------------------------------------------------------------------------------------ */

struct p2p_be_buffer {
    size_t bytes;
    unsigned char memory[];
};

static size_t written; /* bytes from the host */
static int reads, waits;

static p2p_status buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **buffer) {
    (void)device;
    *buffer = calloc(1, sizeof **buffer + bytes);
    assert_non_null(*buffer);
    (*buffer)->bytes = bytes;
    return P2P_OK;
}

static void buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    (void)device;
    free(buffer);
}

static void check_range(p2p_binding binding, size_t bytes) {
    assert_true(binding.offset <= binding.buffer->bytes && bytes <= binding.buffer->bytes - binding.offset);
}

static p2p_status buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    (void)device;
    check_range(to, bytes);
    memcpy(to.buffer->memory + to.offset, from, bytes);
    written += bytes;
    return P2P_OK;
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    (void)device;
    check_range(from, bytes);
    memcpy(to, from.buffer->memory + from.offset, bytes);
    reads++;
    return P2P_OK;
}

static p2p_status buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    (void)device;
    check_range(from, bytes);
    check_range(to, bytes);
    assert_true(from.buffer != to.buffer || from.offset + bytes <= to.offset);
    memcpy(to.buffer->memory + to.offset, from.buffer->memory + from.offset, bytes);
    return P2P_OK;
}

static p2p_status submit(p2p_be_device *device, p2p_ticket *ticket) {
    (void)device;
    *ticket = 1;
    return P2P_OK;
}

static p2p_status wait_for(p2p_be_device *device, p2p_ticket ticket) {
    (void)device;
    (void)ticket;
    waits++;
    return P2P_OK;
}

static p2p_status report(p2p_status code, const char *format, ...) {
    (void)format;
    return code;
}

static p2p_tune_device tuned(void) {
    static const p2p_host host = {.fail = report};
    static const p2p_device_info info = {.alignment = 256};
    static const p2p_device_table table = {.buffer_create = buffer_create,
                                           .buffer_destroy = buffer_destroy,
                                           .buffer_write = buffer_write,
                                           .buffer_read = buffer_read,
                                           .buffer_copy = buffer_copy,
                                           .submit = submit,
                                           .wait = wait_for};
    return (p2p_tune_device){&host, &table, NULL, &info};
}

/* ---- Checks ---------------------------------------------------------------------------------------- */

enum { FILTERS = 8, SIDE = 500 }; /* 2 million elements */

static p2p_op large(void) {
    p2p_op op;
    OK(p2p_op_parse("conv_fwd x=f32:plain:1x1x500x500 w=f32:plain:8x1x1x1 y=f32:plain:1x8x500x500", &op));
    return op;
}

static float *floats(const p2p_tune_check *check, int role) {
    return (float *)(void *)check->buffer[role]->memory;
}

static void compute(const p2p_tune_check *check) {
    const float *x = floats(check, P2P_TUNE_X), *w = floats(check, P2P_TUNE_W);
    float *y = floats(check, P2P_TUNE_Y);
    for (int k = 0; k < FILTERS; k++)
        for (int i = 0; i < SIDE * SIDE; i++) y[k * SIDE * SIDE + i] = w[k] * x[i];
}

static bool is_right(p2p_tune_check *check, char why[P2P_TUNE_WHY]) {
    bool right = false;
    reads = waits = 0;
    OK(p2p_tune_check_result(check, &right, why));
    assert_true(reads <= 2 && waits <= 2);
    return right;
}

static void transfers_little(void **state) {
    const p2p_op op = large();
    const p2p_tune_device device = tuned();
    p2p_tune_check check;
    char why[P2P_TUNE_WHY];
    (void)state;
    OK(p2p_tune_check_open(&check, &device, &op));
    assert_false(check.complete);
    for (int candidate = 0; candidate < 3; candidate++) {
        written = 0;
        OK(p2p_tune_check_prepare(&check));
        assert_true(written <= 1 << 16);
        const float *y = floats(&check, P2P_TUNE_Y);
        for (int i = 0; i < FILTERS * SIDE * SIDE; i++) assert_true(isnan(y[i]));
        assert_false(is_right(&check, why)); /* nothing was computed */
        compute(&check);
        assert_true(is_right(&check, why));
    }
    p2p_tune_check_close(&check);
}

/* Samples are few, but pieces at both ends and between are compared with the first correct result. */
static void finds_one_wrong_element(void **state) {
    static const int wrong[] = {1, FILTERS * SIDE * SIDE - 2};
    const p2p_op op = large();
    const p2p_tune_device device = tuned();
    p2p_tune_check check;
    char why[P2P_TUNE_WHY], expected[64];
    (void)state;
    OK(p2p_tune_check_open(&check, &device, &op));
    compute(&check);
    assert_true(is_right(&check, why));
    for (int i = 0; i < 2; i++) {
        compute(&check);
        floats(&check, P2P_TUNE_Y)[wrong[i]] += 100;
        assert_false(is_right(&check, why));
        snprintf(expected, sizeof expected, "stored element %d came out as", wrong[i]);
        assert_non_null(strstr(why, expected));
    }
    p2p_tune_check_close(&check);
}

/* Every element of a small result is compared with the expected value. */
static void checks_a_small_result_whole(void **state) {
    p2p_op op;
    const p2p_tune_device device = tuned();
    p2p_tune_check check;
    char why[P2P_TUNE_WHY];
    (void)state;
    OK(p2p_op_parse("conv_fwd x=f32:plain:1x1x1x9 w=f32:plain:1x1x1x1 y=f32:plain:1x1x1x9", &op));
    OK(p2p_tune_check_open(&check, &device, &op));
    assert_true(check.complete && !check.gathered);
    for (int i = 0; i < 9; i++)
        floats(&check, P2P_TUNE_Y)[i] = floats(&check, P2P_TUNE_W)[0] * floats(&check, P2P_TUNE_X)[i];
    assert_true(is_right(&check, why));
    floats(&check, P2P_TUNE_Y)[7] += 1;
    assert_false(is_right(&check, why));
    p2p_tune_check_close(&check);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfers_little),
        cmocka_unit_test(finds_one_wrong_element),
        cmocka_unit_test(checks_a_small_result_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
