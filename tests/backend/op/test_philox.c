/* Philox against known answers, and what is drawn from it: dropout's masks and random numbers. */
#include "p2p_op.h"
#include "p2p_philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Known answers of philox4x32-10 from the reference implementation of the paper that p2p_philox.h cites. */
static void philox_known_answers(void **state) {
    (void)state;
    static const uint32_t cases[][3][4] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t words[4];
        p2p_philox(cases[i][0], cases[i][1], words);
        assert_memory_equal(words, cases[i][2], sizeof words);
    }
}

/* The rule of p2p_op.h, written out once more. */
static void dropout_follows_the_documented_counter(void **state) {
    (void)state;
    int kept = 0;
    for (uint32_t c = 0; c < 9; c++)
        for (uint32_t h = 0; h < 30; h++)
            for (uint32_t w = 0; w < 40; w++) {
                uint32_t words[4];
                p2p_philox((uint32_t[4]){c / 4, (h << 16) + w, 77, 5}, (uint32_t[2]){11 ^ 99, 22}, words);
                bool keep = p2p_dropout_keeps(0.3, 11, 22, 99, 5, 77, c, h, w);
                assert_int_equal(keep, words[c % 4] >= 1288490188u); /* 0.3 * 2^32 = 1288490188.8 */
                kept += keep;
            }
    assert_in_range(kept, 7300, 7820); /* 10800 * 0.7 = 7560, standard deviation 48 */
    assert_true(p2p_dropout_keeps(0, 1, 2, 3, 4, 5, 6, 7, 8));
}

static void draws_have_their_distributions(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    const p2p_draw weights = {.seed = 0x123456789abcdef0, .stream = p2p_name_hash("model.0.weight")};
    double sum = 0, sum_normal = 0, squares = 0, fourth = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double u = p2p_draw_uniform(&weights, i), z = p2p_draw_normal(&weights, i);
        assert_true(u >= 0 && u < 1 && isfinite(z));
        sum += u;
        sum_normal += z;
        squares += z * z;
        fourth += z * z * z * z;
    }
    assert_true(fabs(sum / COUNT - 0.5) < 0.005);
    assert_true(fabs(sum_normal / COUNT) < 0.016);
    assert_true(fabs(squares / COUNT - 1) < 0.025);
    assert_true(fabs(fourth / COUNT - 3) < 0.2);
    p2p_draw other = weights;
    other.item = 1;
    assert_true(p2p_draw_uniform(&weights, 3) != p2p_draw_uniform(&other, 3));
    other = weights;
    other.seed++;
    assert_true(p2p_draw_uniform(&weights, 3) != p2p_draw_uniform(&other, 3));
    assert_int_equal(p2p_name_hash(""), 2166136261u);
    assert_int_equal(p2p_name_hash("foobar"), 0xbf9cf968u);
    for (int i = 0; i < 1000; i++) assert_in_range(p2p_draw_below(&weights, (uint64_t)i, 7), 0, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(dropout_follows_the_documented_counter),
        cmocka_unit_test(draws_have_their_distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
