/* What a training shows while it runs: how many fields of a line fit, and the time that is left. */
#include "run/progress_line.h"
#include "run/time_left.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "run/progress.h"

/* ---- Fields ------------------------------------------------------------------------------------------- */

static void expect_line(const progress_fields *fields, size_t columns, const char *expected) {
    char text[PROGRESS_LINE_BYTES];
    const size_t length = progress_fields_text(fields, columns, text);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
    assert_true(length <= columns);
}

static void test_what_fits(void **state) {
    (void)state;
    progress_fields fields = {.spared = "step ", .vital = 3};
    progress_fields_add(&fields, "step %d/%d", 12345, 80000);
    progress_fields_add(&fields, "L1 %.3f", 0.125);
    progress_fields_add(&fields, "%s left", "3h24m");
    progress_fields_add(&fields, "G %d", 1);
    progress_fields_add(&fields, "more");
    expect_line(&fields, SIZE_MAX, "step 12345/80000  L1 0.125  3h24m left  G 1  more");
    expect_line(&fields, 49, "step 12345/80000  L1 0.125  3h24m left  G 1  more");
    expect_line(&fields, 48, "step 12345/80000  L1 0.125  3h24m left  G 1");
    expect_line(&fields, 42, "step 12345/80000  L1 0.125  3h24m left");
    expect_line(&fields, 38, "step 12345/80000  L1 0.125  3h24m left");
    expect_line(&fields, 37, "12345/80000  L1 0.125  3h24m left"); /* the vital ones need the room */
    expect_line(&fields, 33, "12345/80000  L1 0.125  3h24m left");
    expect_line(&fields, 32, "12345/80000  L1 0.125");
    expect_line(&fields, 11, "12345/80000");
    expect_line(&fields, 4, "1234");
    expect_line(&fields, 0, "");
    expect_line(&(progress_fields){0}, 80, "");
}

/* Neither a long field nor many fields leave their memory. */
static void test_too_much(void **state) {
    (void)state;
    char text[PROGRESS_LINE_BYTES];
    progress_fields fields = {0};
    for (int i = 0; i < 3 * PROGRESS_FIELDS; i++) progress_fields_add(&fields, "%100d", i);
    assert_int_equal(fields.count, PROGRESS_FIELDS);
    assert_true(progress_fields_text(&fields, SIZE_MAX, text) < PROGRESS_LINE_BYTES);
}

/* ---- Lines of epochs ---------------------------------------------------------------------------------- */

static void expect_epoch(const epoch_record *record, int64_t epochs, const char *expected) {
    char text[512] = "";
    FILE *to = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(to);
    progress *shown = progress_create(to, 1000, epochs, 0);
    assert_non_null(shown);
    progress_epoch(shown, record);
    progress_destroy(shown);
    fclose(to);
    assert_string_equal(text, expected);
    assert_true(strcspn(text, "\n") <= PROGRESS_COLUMNS);
}

static void test_epochs(void **state) {
    (void)state;
    epoch_record record = {.epoch = 1000,
                           .mean = {.d_real = 0.125, .d_fake = 0.75, .g_gan = 12.5, .g_l1 = 0.25},
                           .validated = true,
                           .best = true,
                           .validation = {.l1 = 0.125, .psnr = 20.25, .ssim = 0.5}};
    expect_epoch(&record, 1000,
                 "epoch 1000/1000  L1 0.250  val L1 0.1250 best  20.2 dB  SSIM 0.500  D 0.12/0.75\n");
    record.best = false;
    record.validation.psnr = INFINITY;
    expect_epoch(&record, 100000,
                 "epoch 1000/100000  L1 0.250  val L1 0.1250  inf dB  SSIM 0.500  D 0.12/0.75\n");
    record.validated = false;
    expect_epoch(&record, 1000, "epoch 1000/1000  L1 0.250  D 0.12/0.75  G 12.50\n");
}

/* ---- Lines of steps ----------------------------------------------------------------------------------- */

static void expect_step(const step_record *record, const char *words, bool expected) {
    char text[512] = "";
    FILE *to = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(to);
    progress *shown = progress_create(to, 100, 10, 0);
    assert_non_null(shown);
    progress_step(shown, record, 60);
    progress_destroy(shown);
    fclose(to);
    if ((strstr(text, words) != NULL) != expected) fail_msg("'%s' in: %s", words, text);
}

static void test_steps(void **state) {
    (void)state;
    step_record record = {
        .step = 100, .epoch = 10, .images_per_s = 12.5, .reduces = true, .reduction_wait = 0.07};
    expect_step(&record, "12.50 images/s", true);
    expect_step(&record, "7% for reductions", true);
    record.reduces = false; /* one device, or it is not known */
    expect_step(&record, "for reductions", false);
}

/* ---- Time --------------------------------------------------------------------------------------------- */

static void test_time_left(void **state) {
    (void)state;
    remaining_work left = {.steps = 1000, .epochs = 10, .step_seconds = 2, .seconds_per_checkpoint = 300};
    assert_true(time_left(&left) == 2000);
    left.epoch_seconds = 50; /* validation counts */
    assert_true(time_left(&left) == 2500);
    left.checkpoint_seconds = 10; /* eight by time, and the last one */
    assert_true(time_left(&left) == 2590);
    left.steps_per_checkpoint = 300; /* after 300, 600, 900 and 1000 steps */
    assert_true(time_left(&left) == 2540);
    left.steps = left.epochs = 0;
    assert_true(time_left(&left) == 0);
}

static void test_means(void **state) {
    (void)state;
    mean_duration mean = {0};
    mean_duration_add(&mean, 4);
    assert_true(mean.seconds == 4);
    mean_duration_add(&mean, 2);
    assert_true(mean.seconds == 3);
    for (int i = 0; i < 60; i++) mean_duration_add(&mean, 8); /* older ones fade */
    assert_true(fabs(mean.seconds - 8) < 1e-4 && mean.measured == 62);
}

static void expect_time(double seconds, const char *expected) {
    char text[TIME_LEFT_BYTES];
    time_left_text(seconds, text);
    assert_string_equal(text, expected);
}

static void test_times_as_text(void **state) {
    (void)state;
    expect_time(0, "0s");
    expect_time(59.4, "59s");
    expect_time(59.6, "1m00s");
    expect_time(3599, "59m59s");
    expect_time(3600, "1h00m");
    expect_time(86399, "23h59m");
    expect_time(180000, "2d02h");
    expect_time(-1, "0s");
    expect_time(NAN, "0s");
    expect_time(INFINITY, "100000d00h");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits),     cmocka_unit_test(test_too_much),  cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_steps),         cmocka_unit_test(test_time_left), cmocka_unit_test(test_means),
        cmocka_unit_test(test_times_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
