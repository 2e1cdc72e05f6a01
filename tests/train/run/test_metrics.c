/* OUT/metrics.jsonl: valid JSON for any numbers, and the lines that remain when a training resumes at an
 * earlier position. */
#include "host/sys.h"
#include "p2p.h"
#include "run/metrics.h"
#include "support/test_files.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *log_path(const char *folder) {
    return test_path(folder, "metrics.jsonl");
}

/* Line `index` of the log, parsed; NULL past its end. */
static json_t *line_of(const char *folder, int index) {
    size_t size;
    char *bytes = (char *)test_file_read(log_path(folder), &size), *line = bytes, *end = bytes + size;
    json_t *parsed = NULL;
    for (; index > 0 && line < end; index--) line = (char *)memchr(line, '\n', (size_t)(end - line)) + 1;
    if (line < end) {
        parsed = json_loadb(line, (size_t)((char *)memchr(line, '\n', (size_t)(end - line)) - line), 0, NULL);
        assert_non_null(parsed);
    }
    free(bytes);
    return parsed;
}

static void test_numbers_without_a_digit(void **state) {
    (void)state;
    char *folder = test_folder_make();
    metrics_log *log;
    const epoch_record record = {.step = 3,
                                 .epoch = 1,
                                 .validated = true,
                                 .validation = {.l1 = 0.25, .psnr = INFINITY, .ssim = NAN},
                                 .baseline_l1 = 0.5};
    assert_int_equal(metrics_open(&log, log_path(folder), "", 0, 0, NULL), P2P_OK);
    assert_int_equal(metrics_epoch(log, &record), P2P_OK);
    assert_int_equal(metrics_close(log), P2P_OK);
    json_t *line = line_of(folder, 0);
    assert_true(json_real_value(json_object_get(line, "val_l1")) == 0.25);
    assert_true(json_is_null(json_object_get(line, "val_psnr")));
    assert_true(json_is_null(json_object_get(line, "val_ssim")));
    assert_true(json_real_value(json_object_get(line, "val_l1_of_mean_target")) == 0.5);
    json_decref(line);
    test_folder_remove(folder);
}

/* Whether the line has a time that lies between two others, which are texts of the same form. */
static void expect_time(const char *folder, int index, const char *from, const char *to) {
    int year, month, day, hour, minute, second, thousandths, length = 0;
    json_t *line = line_of(folder, index);
    const char *text = json_string_value(json_object_get(line, "time"));
    assert_non_null(text);
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute,
                            &second, &thousandths, &length),
                     7);
    assert_int_equal(length, strlen(text));
    assert_true(strcmp(from, text) <= 0 && strcmp(text, to) <= 0);
    json_decref(line);
}

static void test_times(void **state) {
    (void)state;
    char *folder = test_folder_make(), from[SYS_TIME_BYTES], to[SYS_TIME_BYTES];
    metrics_log *log;
    assert_int_equal(metrics_open(&log, log_path(folder), "", 0, 0, NULL), P2P_OK);
    sys_time_text(from);
    assert_int_equal(metrics_step(log, &(step_record){.step = 1, .epoch = 1}), P2P_OK);
    assert_int_equal(metrics_epoch(log, &(epoch_record){.step = 1, .epoch = 1}), P2P_OK);
    sys_time_text(to);
    assert_int_equal(metrics_close(log), P2P_OK);
    expect_time(folder, 0, from, to);
    expect_time(folder, 1, from, to);
    test_folder_remove(folder);
}

/* Steps 1 and 2, the end of epoch 1, steps 3 and 4, the end of epoch 2, and a line cut short. */
static void write_log(const char *folder) {
    metrics_log *log;
    assert_int_equal(metrics_open(&log, log_path(folder), "", 0, 0, NULL), P2P_OK);
    for (int step = 1; step <= 4; step++) {
        assert_int_equal(metrics_step(log, &(step_record){.step = step, .epoch = (step + 1) / 2}), P2P_OK);
        if (step % 2 == 0)
            assert_int_equal(metrics_epoch(log, &(epoch_record){.step = step, .epoch = step / 2}), P2P_OK);
    }
    assert_int_equal(metrics_close(log), P2P_OK);
    FILE *stream = fopen(log_path(folder), "ab");
    assert_non_null(stream);
    fputs("{\"step\":1,\"epo", stream);
    fclose(stream);
}

static bool is_resumed(const char *folder, int index) {
    json_t *line = line_of(folder, index);
    const bool resumed = json_is_true(json_object_get(line, "resumed"));
    json_decref(line);
    return resumed;
}

/* The first line of a process that continues has a mark. */
static void test_mark_of_interruptions(void **state) {
    (void)state;
    char *folder = test_folder_make();
    metrics_log *log;
    write_log(folder);
    assert_int_equal(metrics_open(&log, log_path(folder), "", 4, 2, NULL), P2P_OK);
    for (int step = 5; step <= 6; step++)
        assert_int_equal(metrics_step(log, &(step_record){.step = step, .epoch = 3}), P2P_OK);
    assert_int_equal(metrics_close(log), P2P_OK);
    for (int line = 0; line < 8; line++) assert_int_equal(is_resumed(folder, line), line == 6);
    test_folder_remove(folder);
}

/* The number of lines that remain, and whether the last is an epoch's. */
static void expect_kept(int64_t steps, int64_t epochs, int lines, bool ends_with_epoch) {
    char *folder = test_folder_make();
    metrics_log *log;
    write_log(folder);
    assert_int_equal(metrics_open(&log, log_path(folder), "", steps, epochs, NULL), P2P_OK);
    assert_int_equal(metrics_close(log), P2P_OK);
    json_t *last = lines > 0 ? line_of(folder, lines - 1) : NULL;
    assert_null(line_of(folder, lines));
    assert_true((json_object_get(last, "event") != NULL) == ends_with_epoch);
    json_decref(last);
    test_folder_remove(folder);
}

static void test_what_stays(void **state) {
    (void)state;
    expect_kept(0, 0, 0, false);
    expect_kept(1, 0, 1, false);
    expect_kept(2, 0, 2, false); /* epoch 1 has not ended: its line will be written again */
    expect_kept(2, 1, 3, true);
    expect_kept(3, 1, 4, false);
    expect_kept(4, 2, 6, true);
}

/* The identity is the first line, once, and the log of another run is neither changed nor continued. */
static void test_identity(void **state) {
    (void)state;
    static const char run[] = "0123456789abcdef0123456789abcdef", other[] = "other";
    char *folder = test_folder_make();
    metrics_log *log;
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(metrics_open(&log, log_path(folder), run, i, 0, NULL), P2P_OK);
        assert_int_equal(metrics_step(log, &(step_record){.step = i + 1, .epoch = 1}), P2P_OK);
        assert_int_equal(metrics_sync(log), P2P_OK);
        assert_int_equal(metrics_close(log), P2P_OK);
    }
    json_t *line = line_of(folder, 0);
    assert_string_equal(json_string_value(json_object_get(line, "run")), run);
    json_decref(line);
    line = line_of(folder, 2);
    assert_int_equal(json_integer_value(json_object_get(line, "step")), 2);
    json_decref(line);
    assert_null(line_of(folder, 3));
    assert_int_equal(metrics_check_run(log_path(folder), run), P2P_OK);
    free(test_file_read(log_path(folder), &sizes[0]));
    assert_int_equal(metrics_check_run(log_path(folder), other), P2P_INPUT);
    assert_int_equal(metrics_open(&log, log_path(folder), other, 9, 9, NULL), P2P_INPUT);
    assert_int_equal(metrics_open(&log, log_path(folder), "", 9, 9, NULL), P2P_INPUT);
    free(test_file_read(log_path(folder), &sizes[1]));
    assert_int_equal(sizes[0], sizes[1]);
    test_file_write(log_path(folder), "{\"event\":\"ru", 12); /* killed while it wrote its first line */
    assert_int_equal(metrics_open(&log, log_path(folder), run, 0, 0, NULL), P2P_OK);
    assert_int_equal(metrics_close(log), P2P_OK);
    assert_null(line_of(folder, 1));
    test_folder_remove(folder);
}

/* Changes a byte of the log of write_log, and opens it at its end. */
static void expect_damage(const char *before, char to, int lines, bool found) {
    char *folder = test_folder_make(), text[512] = "";
    metrics_log *log;
    size_t size;
    write_log(folder);
    uint8_t *bytes = test_file_read(log_path(folder), &size);
    char *at = strstr((char *)bytes, before);
    assert_non_null(at);
    at[strlen(before)] = to;
    test_file_write(log_path(folder), bytes, size);
    FILE *warnings = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(warnings);
    p2p_warnings_to(warnings);
    assert_int_equal(metrics_open(&log, log_path(folder), "", 4, 2, NULL), P2P_OK);
    assert_int_equal(metrics_close(log), P2P_OK);
    p2p_warnings_to(NULL);
    fclose(warnings);
    assert_null(line_of(folder, lines));
    json_t *last = line_of(folder, lines - 1);
    assert_non_null(last);
    json_decref(last);
    if ((strstr(text, "damaged or missing") != NULL) != found) fail_msg("%s: warned: '%s'", before, text);
    assert_int_equal(test_folder_entries(folder), found ? 2 : 1);
    if (found) {
        size_t copied;
        uint8_t *copy = test_file_read(test_path(folder, "metrics.jsonl" SYS_DAMAGED), &copied);
        assert_int_equal(copied, size);
        assert_memory_equal(copy, bytes, size);
        free(copy);
    }
    free(bytes);
    test_folder_remove(folder);
}

/* Damage of a line, of its end, of its step, to an earlier one and to a later one; a changed loss decides
 * nothing and is not found. A line has the number of lost steps. */
static void test_damage(void **state) {
    (void)state;
    expect_damage("\"event\":\"epoch", '"', 6, false);
    expect_damage("{\"step\":2,\"epoch\"", ';', 6, true);
    expect_damage("{\"step\":2,\"epoc", 'j', 6, true);
    expect_damage("\"data_wait\":0.0}", '\v', 5, true); /* two lines become one */
    expect_damage("{\"step\":", '3', 7, true);
    expect_damage("{\"step\":2,\"epoch\":1,\"d_loss\":0.0,\"d_real\":", '1', 6, false);
    expect_damage("{\"step\":3,\"epoch\":2,\"d_loss\":0.0,\"d_real\":0.0,\"d_fake\":0.0", '7', 6, true);
}

/* Opens the log in `folder`, of the training `run` with four steps and two epochs, and returns what it warned
 * of. */
static const char *warned_of(const char *folder, const char *run) {
    static char text[512];
    metrics_log *log;
    memset(text, 0, sizeof text);
    FILE *warnings = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(warnings);
    p2p_warnings_to(warnings);
    assert_int_equal(metrics_open(&log, log_path(folder), run, 4, 2, NULL), P2P_OK);
    assert_int_equal(metrics_close(log), P2P_OK);
    p2p_warnings_to(NULL);
    fclose(warnings);
    return text;
}

static void cut_lines(const char *folder, int first, int count) {
    size_t size;
    uint8_t *bytes = test_file_read(log_path(folder), &size);
    char *from = (char *)bytes, *end = from + size;
    for (; first > 0; first--) from = (char *)memchr(from, '\n', (size_t)(end - from)) + 1;
    char *to = from;
    for (; count > 0; count--) to = (char *)memchr(to, '\n', (size_t)(end - to)) + 1;
    memmove(from, to, (size_t)(end - to));
    test_file_write(log_path(folder), bytes, size - (size_t)(to - from));
    free(bytes);
}

/* Lost lines are reported once, wherever they were, and the file as it was is kept. */
static void test_lost_lines(void **state) {
    (void)state;
    static const int cuts[][3] = {
        {0, 2, 1}, {0, 6, 1}, {1, 1, 1}, {3, 3, 1}, {5, 1, 0}}; /* the last: an epoch's */
    for (int i = 0; i < 5; i++) {
        char *folder = test_folder_make();
        write_log(folder);
        cut_lines(folder, cuts[i][0], cuts[i][1]);
        assert_int_equal(strstr(warned_of(folder, ""), "lines are damaged or missing") != NULL, cuts[i][2]);
        assert_string_equal(warned_of(folder, ""), "");
        assert_int_equal(test_folder_entries(folder), 1 + cuts[i][2]);
        test_folder_remove(folder);
    }
    for (int i = 0; i < 2; i++) {
        char *folder = test_folder_make();
        if (i > 0) test_file_write(log_path(folder), "", 0);
        assert_non_null(
            strstr(warned_of(folder, ""), "is absent or empty: the losses of the first 4 steps are lost"));
        assert_string_equal(warned_of(folder, ""), "");
        assert_int_equal(test_folder_entries(folder), 1);
        test_folder_remove(folder);
    }
}

/* A first line that is damaged or absent is written again. Another training's is refused, and so is a log of
 * an older version, whose lines have no time. */
static void test_damaged_identity(void **state) {
    (void)state;
    static const char run[] = "0123456789abcdef0123456789abcdef";
    static const char *const firsts[] = {
        "{\"event\":\"run\",\"run\":\"0123456789abcdef0123456789abcdee\"}\n",
        "{\"event\":\"run\",\"run\":\"0123456789abcdef012345678yabcdef\"}\n",
        "{\"event\":\"run\",\"run\":\"0123456789abcdef0123456789\"}\n",
        "{\"event\":\"run\";\"run\":\"0123456789abcdef0123456789abcdef\"}\n",
        "{\"event\":\"ruo\",\"run\":\"0123456789abcdef0123456789abcdef\"}\n",
        "",
    };
    static const char other[] = "{\"event\":\"run\",\"run\":\"fedcba9876543210fedcba9876543210\"}\n";
    size_t lines_size;
    char *folder = test_folder_make(), text[4096];
    write_log(folder);
    uint8_t *lines = test_file_read(log_path(folder), &lines_size);
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "%s%.*s", firsts[i], (int)lines_size, (const char *)lines);
        test_file_write(log_path(folder), text, strlen(text));
        assert_int_equal(metrics_check_run(log_path(folder), run), P2P_OK);
        if (!strstr(warned_of(folder, run), "damaged or missing")) fail_msg("not reported: %s", firsts[i]);
        assert_string_equal(warned_of(folder, run), "");
        json_t *line = line_of(folder, 0);
        assert_string_equal(json_string_value(json_object_get(line, "run")), run);
        json_decref(line);
        line = line_of(folder, 1);
        assert_int_equal(json_integer_value(json_object_get(line, "step")), 1);
        json_decref(line);
    }
    snprintf(text, sizeof text, "%s%.*s", other, (int)lines_size, (const char *)lines);
    test_file_write(log_path(folder), text, strlen(text));
    assert_int_equal(metrics_check_run(log_path(folder), run), P2P_INPUT);
    static const char older[] = "{\"step\":1,\"epoch\":1,\"d_loss\":0.5}\n";
    test_file_write(log_path(folder), older, sizeof older - 1);
    assert_int_equal(metrics_check_run(log_path(folder), run), P2P_INPUT);
    free(lines);
    test_folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_without_a_digit),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_mark_of_interruptions),
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_lost_lines),
        cmocka_unit_test(test_damaged_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
