/* The pauses of a wait: none for a short one, never more than 1 ms, at most an eighth of the wait so far. */
#include "device/cuda_pause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void short_waits_do_not_sleep(void **state) {
    (void)state;
    assert_int_equal(cuda_pause(0), 0);
    assert_int_equal(cuda_pause(30e-6), 0);
    assert_int_equal(cuda_pause(199e-6), 0);
}

static void long_waits_sleep(void **state) {
    long last = 0;
    (void)state;
    for (double waited = 201e-6; waited < 100; waited *= 1.3) {
        const long pause = cuda_pause(waited);
        assert_true(pause >= 20000 && pause <= 1000000 && pause >= last);
        assert_true((double)pause <= 1e9 * waited / 8 + 1);
        last = pause;
    }
    assert_int_equal(last, 1000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_waits_do_not_sleep),
        cmocka_unit_test(long_waits_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
