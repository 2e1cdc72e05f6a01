/* Curves of any length in bounded memory, the course of a training from its log, and how large it becomes. */
#include "report/curve.h"
#include "report/history.h"
#include "support/test_files.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Curves ------------------------------------------------------------------------------------------- */

/* A slow wave with one peak and one gap of a single point each. */
static double value_at(int64_t x, int64_t peak, int64_t gap) {
    return x == peak ? 40 : x == gap ? -30 : sin((double)x / 1000);
}

static void check_curve(int64_t count) {
    static curve points;
    const int64_t peak = count / 3, gap = count / 2;
    double sum = 0, found = 0, high = -INFINITY, low = INFINITY;
    int64_t all = 0;
    points = (curve){0};
    for (int64_t x = 1; x <= count; x++) {
        curve_add(&points, x, value_at(x, peak, gap));
        sum += value_at(x, peak, gap);
    }
    for (int i = 0; i < points.count; i++) {
        const curve_bucket *bucket = &points.buckets[i];
        assert_true(i == 0 || bucket->x > points.buckets[i - 1].x);
        assert_true(bucket->points == points.stride || i == points.count - 1);
        all += bucket->points;
        found += bucket->sum;
        high = fmax(high, bucket->high);
        low = fmin(low, bucket->low);
    }
    assert_int_equal(all, count);
    assert_true(points.count <= CURVE_BUCKETS &&
                (points.count > CURVE_BUCKETS / 2 || count <= CURVE_BUCKETS));
    assert_int_equal(points.buckets[points.count - 1].x, count);
    assert_true(fabs(found - sum) < 1e-6 && high == 40 && low == -30);
}

static void test_points_are_kept_in_number_sum_and_extremes(void **state) {
    (void)state;
    check_curve(7);
    check_curve(CURVE_BUCKETS);
    check_curve(CURVE_BUCKETS + 1);
    check_curve(12345);
    check_curve(1000000);
}

static void test_unusable_points(void **state) {
    (void)state;
    static curve points;
    curve_add(&points, 5, NAN);
    curve_add(&points, 5, INFINITY);
    assert_int_equal(points.count, 0);
    curve_add(&points, 5, 1);
    curve_add(&points, 4, 1); /* before the last one */
    assert_int_equal(points.count, 1);
    json_t *object = curve_to_json(&points);
    assert_int_equal(json_array_size(json_object_get(object, "x")), 1);
    assert_null(json_object_get(object, "low")); /* each bucket has one point */
    json_decref(object);
    points = (curve){0};
    for (int x = 0; x <= CURVE_BUCKETS; x++) curve_add(&points, x, 1.5e308); /* their sum overflows */
    object = curve_to_json(&points);
    assert_true(json_real_value(json_array_get(json_object_get(object, "mean"), 0)) == 1.5e308);
    json_decref(object);
}

/* ---- A training's course ------------------------------------------------------------------------------ */

static void write_step(FILE *to, int step, int epoch) {
    fprintf(
        to,
        "{\"step\":%d,\"epoch\":%d,\"d_loss\":0.5,\"d_real\":0.4,\"d_fake\":0.6,\"g_gan\":1.5,\"g_l1\":0.2,"
        "\"lr\":0.0002,\"time\":\"2026-01-02T03:04:05.678Z\",\"images_per_s\":6.5,\"data_wait\":0.0}\n",
        step, epoch);
}

static void write_epoch(FILE *to, int step, int epoch, double l1) {
    fprintf(to,
            "{\"event\":\"epoch\",\"step\":%d,\"epoch\":%d,\"d_loss\":0.5,\"d_real\":0.4123,\"d_fake\":0.6,"
            "\"g_gan\":1.5,\"g_l1\":0.2,\"val_l1\":%.9f,\"val_psnr\":null,\"val_ssim\":0.5,"
            "\"val_l1_of_mean_target\":0.25,\"time\":\"2026-01-02T04:04:05.678Z\"}\n",
            step, epoch, l1);
}

static double number_in(const json_t *object, const char *outer, const char *name) {
    return json_number_value(json_object_get(outer ? json_object_get(object, outer) : object, name));
}

static json_t *read_course(const char *path, char run[HISTORY_RUN_BYTES]) {
    history *past;
    OK(history_create(&past));
    OK(history_read(past, path, NULL, run));
    json_t *object = history_to_json(past);
    assert_non_null(object);
    history_destroy(past);
    return object;
}

static void test_course(void **state) {
    (void)state;
    char *folder = test_folder_make(), run[HISTORY_RUN_BYTES];
    FILE *to = fopen(test_path(folder, "log"), "wb");
    assert_non_null(to);
    fputs("{\"event\":\"run\",\"run\":\"0123456789abcdef0123456789abcdef\"}\n", to);
    for (int i = 1; i <= 6; i++) {
        write_step(to, i, (i + 1) / 2);
        if (i % 2 == 0) write_epoch(to, i, i / 2, i == 4 ? 0.1 : 0.2);
    }
    /* A line that is not a record, or not whole, changes nothing. */
    fputs("[1]\nno JSON\n{\"step\":\"7\",\"epoch\":4}\n{\"step\":8}\n\n", to);
    for (int i = 0; i < 3 * HISTORY_LINE_BYTES; i++) fputc('x', to);
    fputs("\n{\"step\":7,\"epoch\":4,\"g_l1\":\"wide\",\"d_real\":[],\"time\":7}\n{\"step\":9,\"epo", to);
    fclose(to);
    json_t *course = read_course(test_path(folder, "log"), run), *curves = json_object_get(course, "curves");
    assert_string_equal(run, "0123456789abcdef0123456789abcdef");
    assert_int_equal(number_in(course, NULL, "steps"), 7);
    assert_int_equal(number_in(course, NULL, "epochs"), 3);
    assert_int_equal(number_in(course, "best", "epoch"), 2);
    assert_int_equal(number_in(course, "best", "step"), 4);
    assert_true(number_in(course, NULL, "mean_target") == 0.25);
    assert_string_equal(json_string_value(json_object_get(course, "began")), "2026-01-02T03:04:05.678Z");
    assert_string_equal(json_string_value(json_object_get(course, "ended")), "2026-01-02T04:04:05.678Z");
    assert_int_equal(json_array_size(json_object_get(json_object_get(curves, "g_l1"), "x")), 6);
    assert_int_equal(json_array_size(json_object_get(json_object_get(curves, "val_l1"), "x")), 3);
    assert_true(json_number_value(json_array_get(
                    json_object_get(json_object_get(curves, "epoch_d_real"), "mean"), 1)) == 0.4123);
    assert_null(json_object_get(curves, "val_psnr"));
    json_decref(course);
    test_folder_remove(folder);
}

/* ---- A long log ---------------------------------------------------------------------------------------- */

/* Bytes that this process has read by now; -1 if the system does not count them. */
static long long bytes_read(void) {
    char line[64];
    long long count = -1;
    FILE *counts = fopen("/proc/self/io", "re");
    while (counts && count < 0 && fgets(line, sizeof line, counts)) (void)sscanf(line, "rchar: %lld", &count);
    if (counts) fclose(counts);
    return count;
}

typedef struct {
    int calls;
    uint64_t last;
} watched;

static void note_progress(void *context, uint64_t done, uint64_t size) {
    watched *seen = context;
    assert_true(done > seen->last && done <= size);
    seen->last = done;
    seen->calls++;
}

/* The time of a long log is that of reading each byte once, which is shown on the way; the page's size does
 * not depend on it (test_page.c). */
static void test_a_log_is_read_once(void **state) {
    (void)state;
    enum { LINES = 30000 };
    char *folder = test_folder_make(), run[HISTORY_RUN_BYTES];
    const char *path = test_path(folder, "log");
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    for (int i = 1; i <= LINES; i++) write_step(to, i, 1 + i / 100);
    const long size = ftell(to);
    fclose(to);
    watched seen = {0};
    const history_watch watch = {note_progress, &seen};
    history *past;
    OK(history_create(&past));
    const long long before = bytes_read();
    OK(history_read(past, path, &watch, run));
    const long long more = bytes_read() - before - size;
    assert_true(before < 0 || (more >= 0 && more < 10000));
    assert_int_equal(seen.last, size);
    assert_int_equal(seen.calls, size / (1 << 20) + 1);
    history_destroy(past);
    test_folder_remove(folder);
}

/* ---- The rate ------------------------------------------------------------------------------------------ */

/* Two steps a second, alternately at 10 and at 30 images per second, in epochs of four, after each of which
 * ten seconds pass. The log begins shortly before midnight. */
static json_t *rates_of(int steps, bool timed) {
    history *past;
    OK(history_create(&past));
    double clock = 86395;
    for (int i = 1; i <= steps; i++) {
        const bool ends_epoch = i % 4 == 0;
        for (int line = 0; line <= ends_epoch; line++) {
            char time[32];
            clock += line == 0 ? 0.5 : 10;
            const int ms = (int)lround(clock * 1000) % 86400000;
            snprintf(time, sizeof time, "2026-01-02T%02d:%02d:%02d.%03dZ", ms / 3600000, ms / 60000 % 60,
                     ms / 1000 % 60, ms % 1000);
            json_t *object = json_pack("{s:i, s:i, s:f}", "step", i, "epoch", (i + 3) / 4, "images_per_s",
                                       i % 2 ? 10.0 : 30.0);
            if (line == 1) json_object_set_new(object, "event", json_string("epoch"));
            if (timed) json_object_set_new(object, "time", json_string(time));
            history_add(past, object);
            json_decref(object);
        }
    }
    json_t *course = history_to_json(past),
           *rates = json_object_get(json_object_get(course, "curves"), "images_per_s");
    json_incref(rates);
    json_decref(course);
    history_destroy(past);
    return rates;
}

/* The point `at` is at a step, with a rate. */
static void expect_rate(const json_t *rates, size_t at, int step, double rate) {
    assert_int_equal(json_integer_value(json_array_get(json_object_get(rates, "x"), at)), step);
    assert_true(fabs(json_number_value(json_array_get(json_object_get(rates, "mean"), at)) - rate) < 1e-9);
}

static void test_rates_are_means_of_seconds(void **state) {
    (void)state;
    json_t *rates = rates_of(45, true);
    assert_int_equal(json_array_size(json_object_get(rates, "x")), 4);
    expect_rate(rates, 0, 11, 11 / (6 / 10.0 + 5 / 30.0)); /* when the first step began is not known */
    for (size_t i = 1; i < 4; i++) expect_rate(rates, i, 11 + 10 * (int)i, 15);
    json_decref(rates);
    rates = rates_of(4, true);
    assert_int_equal(json_array_size(json_object_get(rates, "x")), 1);
    expect_rate(rates, 0, 4, 15);
    json_decref(rates);
    rates = rates_of(4, false);
    assert_int_equal(json_array_size(json_object_get(rates, "x")), 4);
    expect_rate(rates, 3, 4, 30);
    json_decref(rates);
}

/* The time between two processes does not count as time of training. */
static void test_interruptions_do_not_count(void **state) {
    (void)state;
    static const char *const times[] = {"10:00:00.000", "10:00:05.500", "12:00:00.000", "12:00:07.000"};
    history *past;
    OK(history_create(&past));
    for (int i = 0; i < 4; i++) {
        json_t *line = json_pack("{s:i, s:i, s:o, s:b}", "step", i + 1, "epoch", 1, "time",
                                 json_sprintf("2026-01-02T%sZ", times[i]), "resumed", i == 2);
        history_add(past, line);
        json_decref(line);
    }
    json_t *course = history_to_json(past);
    assert_true(fabs(number_in(course, NULL, "seconds") - 12.5) < 1e-9);
    json_decref(course);
    history_destroy(past);
}

/* Logs of older versions have neither an identity nor times. */
static void test_an_older_log(void **state) {
    (void)state;
    char *folder = test_folder_make(), run[HISTORY_RUN_BYTES];
    test_file_write(test_path(folder, "log"), "{\"step\":1,\"epoch\":1,\"d_real\":0.5}\n", 35);
    json_t *course = read_course(test_path(folder, "log"), run);
    assert_string_equal(run, "");
    assert_int_equal(number_in(course, NULL, "steps"), 1);
    assert_null(json_object_get(course, "began"));
    assert_null(json_object_get(course, "seconds"));
    assert_null(json_object_get(course, "best"));
    json_decref(course);
    test_folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_are_kept_in_number_sum_and_extremes),
        cmocka_unit_test(test_unusable_points),
        cmocka_unit_test(test_course),
        cmocka_unit_test(test_a_log_is_read_once),
        cmocka_unit_test(test_rates_are_means_of_seconds),
        cmocka_unit_test(test_interruptions_do_not_count),
        cmocka_unit_test(test_an_older_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
