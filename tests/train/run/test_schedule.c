/* Learning rates against values of the published formula, exactly where those are exact. */
#include "run/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The published training: 100 + 100 epochs. */
static const schedule published = {.rate = 2e-4, .linear = true, .epochs = 100, .decay = 100};

static void expect_rate(const schedule *plan, int64_t epoch, double expected) {
    const double rate = schedule_rate(plan, epoch);
    if (!(fabs(rate - expected) <= 1e-15 * expected))
        fail_msg("epoch %d: %.17g, not %.17g", (int)epoch, rate, expected);
}

static void test_constant(void **state) {
    (void)state;
    const schedule plan = {.rate = 1e-3, .epochs = 2, .decay = 3};
    for (int64_t epoch = 0; epoch < 300; epoch++) assert_true(schedule_rate(&plan, epoch) == 1e-3);
}

static void test_linear(void **state) {
    (void)state;
    for (int64_t epoch = 0; epoch < 100; epoch++) assert_true(schedule_rate(&published, epoch) == 2e-4);
    expect_rate(&published, 100, 2e-4 * 100 / 101);
    expect_rate(&published, 101, 2e-4 * 99 / 101);
    expect_rate(&published, 149, 2e-4 * 51 / 101);
    expect_rate(&published, 199, 2e-4 * 1 / 101);
    const schedule shortest = {.rate = 3, .linear = true, .epochs = 1, .decay = 1};
    assert_true(schedule_rate(&shortest, 0) == 3 && schedule_rate(&shortest, 1) == 1.5);
}

static void test_scale(void **state) {
    (void)state;
    assert_true(schedule_scaled(2e-4, "none", 8) == 2e-4);
    assert_true(schedule_scaled(2e-4, "sqrt", 1) == 2e-4);
    assert_true(schedule_scaled(2e-4, "sqrt", 4) == 4e-4);
    assert_true(schedule_scaled(2e-4, "linear", 1) == 2e-4);
    assert_true(schedule_scaled(2e-4, "linear", 8) == 16e-4);
}

static void test_same_until(void **state) {
    (void)state;
    const schedule constant = {.rate = 2e-4};
    schedule longer = published, other = published;
    longer.decay = 200;
    other.rate = 1e-4;
    assert_true(schedule_same_until(&published, &constant, 100));
    assert_false(schedule_same_until(&published, &constant, 101));
    assert_true(schedule_same_until(&published, &longer, 100));
    assert_false(schedule_same_until(&published, &longer, 101));
    assert_true(schedule_same_until(&published, &other, 0));
    assert_false(schedule_same_until(&published, &other, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_same_until),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
