/* Sums and moments over ranks: in the order of ranks, rounded once, in every type. */
#include "ranks/ranks_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

enum { COUNT = 3, ELEMENTS = 3000 }; /* more than a block */

static double value(int rank, int64_t element) {
    return (rank == 1 ? 1e8 : 1) * ((double)(element % 97) - 31.25) * (rank == 2 ? -1e-3 : 1);
}

/* Adds COUNT rows of so many bytes. */
static p2p_status add_rows(p2p_type type, const void *rows, size_t stride, void *to) {
    const ranks_rows added = {.type = type,
                              .rows = rows,
                              .count = COUNT,
                              .stride = stride,
                              .elements = stride / p2p_type_bytes(type)};
    return ranks_sum(&added, to);
}

/* In float32 the order decides: a large number in the middle absorbs what was added before it. */
static void adds_in_order(void **state) {
    (void)state;
    static float f32[COUNT][ELEMENTS], sum32[ELEMENTS];
    static double f64[COUNT][ELEMENTS], sum64[ELEMENTS];
    for (int r = 0; r < COUNT; r++)
        for (int64_t e = 0; e < ELEMENTS; e++) f32[r][e] = (float)(f64[r][e] = value(r, e));
    OK(add_rows(P2P_TYPE_f32, f32, sizeof f32[0], sum32));
    OK(add_rows(P2P_TYPE_f64, f64, sizeof f64[0], sum64));
    for (int64_t e = 0; e < ELEMENTS; e++) {
        const float first = f32[0][e] + f32[1][e];
        assert_true(sum32[e] == first + f32[2][e]);
        assert_true(sum64[e] == f64[0][e] + f64[1][e] + f64[2][e]);
    }
    OK(add_rows(P2P_TYPE_f32, f32, sizeof f32[0], f32[0]));
    assert_memory_equal(f32[0], sum32, sizeof sum32); /* in place */
}

/* 1 + 2^-8 + 2^-8 is 1 + 2^-7 if it is rounded once, and 1 after two roundings to bfloat16's eight bits. */
static void rounds_bf16_once(void **state) {
    (void)state;
    const p2p_tensor one = p2p_tensor_flat(P2P_TYPE_bf16, 1);
    const double given[COUNT] = {1, 0x1p-8, 0x1p-8};
    unsigned char rows[COUNT][2], to[2];
    double sum;
    for (int r = 0; r < COUNT; r++) p2p_tensor_pack(&one, &given[r], P2P_TYPE_f64, rows[r]);
    OK(add_rows(P2P_TYPE_bf16, rows, sizeof rows[0], to));
    p2p_tensor_unpack(&one, to, &sum, P2P_TYPE_f64);
    assert_true(sum == 1 + 0x1p-7);
}

/* The sums of the first ranks, and those of the others added to them, are the sums of all: 1 + 2^-8 is not
 * rounded to bfloat16 between them. */
static void goes_on(void **state) {
    (void)state;
    static float f32[COUNT][ELEMENTS], whole[ELEMENTS], first[ELEMENTS], sum[ELEMENTS];
    const p2p_tensor one = p2p_tensor_flat(P2P_TYPE_bf16, 1);
    const double given[COUNT] = {1, 0x1p-8, 0x1p-8};
    unsigned char rows[COUNT][2], partial[4], to[2];
    double found;
    for (int r = 0; r < COUNT; r++) {
        for (int64_t e = 0; e < ELEMENTS; e++) f32[r][e] = (float)value(r, e);
        p2p_tensor_pack(&one, &given[r], P2P_TYPE_f64, rows[r]);
    }
    OK(add_rows(P2P_TYPE_f32, f32, sizeof f32[0], whole));
    ranks_rows part = {
        .type = P2P_TYPE_f32, .rows = (void *)f32, .count = 2, .stride = sizeof f32[0], .elements = ELEMENTS};
    OK(ranks_sum_on(&part, NULL, true, (void *)first));
    part.rows = (void *)f32[2];
    part.count = 1;
    OK(ranks_sum_on(&part, (void *)first, false, (void *)sum));
    assert_memory_equal(sum, whole, sizeof sum);
    part = (ranks_rows){.type = P2P_TYPE_bf16, .rows = (void *)rows, .count = 2, .stride = 2, .elements = 1};
    OK(ranks_sum_on(&part, NULL, true, partial));
    part.rows = rows[2];
    part.count = 1;
    OK(ranks_sum_on(&part, partial, false, to));
    p2p_tensor_unpack(&one, to, &found, P2P_TYPE_f64);
    assert_true(found == 1 + 0x1p-7);
}

static void refuses_numbers(void **state) {
    (void)state;
    unsigned char byte[2] = {0};
    REFUSED(add_rows(P2P_TYPE_u8, byte, 1, byte), P2P_UNSUPPORTED, "sums of type u8 over ranks");
}

/* Of samples 0..4, none, and 5..9 together those of 0..9. */
static void unites_moments(void **state) {
    (void)state;
    const p2p_tensor stats = p2p_tensor_stats(P2P_TYPE_f64, 2, 3, 4);
    double all[COUNT][24], to[24];
    for (int64_t i = 0; i < 24; i++) {
        const int64_t row = i / 4 % 3;
        all[0][i] = row == 0 ? 5 : row == 1 ? 2 : 10;
        all[1][i] = row == 0 ? 0 : 99;
        all[2][i] = row == 0 ? 5 : row == 1 ? 7 : 10;
    }
    ranks_unite(&stats, (void *)all, COUNT, sizeof all[0], (void *)to);
    for (int64_t i = 0; i < 24; i++) {
        const int64_t row = i / 4 % 3;
        assert_true(fabs(to[i] - (row == 0 ? 10 : row == 1 ? 4.5 : 82.5)) < 1e-12);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(adds_in_order), cmocka_unit_test(rounds_bf16_once),
                                       cmocka_unit_test(goes_on), cmocka_unit_test(refuses_numbers),
                                       cmocka_unit_test(unites_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
