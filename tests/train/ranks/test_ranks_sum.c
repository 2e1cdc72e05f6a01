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

/* In float32 the order decides: a large number in the middle absorbs what was added before it. */
static void adds_in_order(void **state) {
    (void)state;
    static float f32[COUNT][ELEMENTS], sum32[ELEMENTS];
    static double f64[COUNT][ELEMENTS], sum64[ELEMENTS];
    for (int r = 0; r < COUNT; r++)
        for (int64_t e = 0; e < ELEMENTS; e++) f32[r][e] = (float)(f64[r][e] = value(r, e));
    OK(ranks_sum(P2P_TYPE_f32, (void *)f32, COUNT, sizeof f32[0], ELEMENTS, (void *)sum32));
    OK(ranks_sum(P2P_TYPE_f64, (void *)f64, COUNT, sizeof f64[0], ELEMENTS, (void *)sum64));
    for (int64_t e = 0; e < ELEMENTS; e++) {
        const float first = f32[0][e] + f32[1][e];
        assert_true(sum32[e] == first + f32[2][e]);
        assert_true(sum64[e] == f64[0][e] + f64[1][e] + f64[2][e]);
    }
    OK(ranks_sum(P2P_TYPE_f32, (void *)f32, COUNT, sizeof f32[0], ELEMENTS, (void *)f32[0]));
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
    OK(ranks_sum(P2P_TYPE_bf16, (void *)rows, COUNT, sizeof rows[0], 1, to));
    p2p_tensor_unpack(&one, to, &sum, P2P_TYPE_f64);
    assert_true(sum == 1 + 0x1p-7);
}

static void refuses_numbers(void **state) {
    (void)state;
    unsigned char byte[2] = {0};
    REFUSED(ranks_sum(P2P_TYPE_u8, byte, 1, 1, 1, byte), P2P_UNSUPPORTED, "sums of type u8 over ranks");
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
                                       cmocka_unit_test(refuses_numbers), cmocka_unit_test(unites_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
