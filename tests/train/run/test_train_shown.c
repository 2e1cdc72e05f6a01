/* What a training shows while it runs, on a pretend clock: how long it will take, the time that is left,
 * report.html and the pictures within an epoch of hours, and that none of it depends on the length.
 *
 * The linker replaces the clock and the calls that take time by functions of this file (--wrap): a step, a
 * validation and a checkpoint take the time that the test sets, and nothing else takes any. So every printed
 * number is exact.
 * Each training runs in a process of its own.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "data/loader.h"
#include "p2p_file.h"
#include "run/checkpoint.h"
#include "run/time_left.h"
#include "run/validation.h"
#include "support/test_files.h"
#include "train_commands.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_text.h"

/* ---- The clock, and what takes time -------------------------------------------------------------------- */

enum { KILLED = 99 };

/* Seconds of a call, and the moment of a kill, 0 for never: before a step, or before a grid within an epoch.
 */
typedef struct {
    double step, validation, checkpoint, picture;
    int kill_at_step, kill_at_picture;
    const char *filters; /* of the generator; NULL: 1 */
} course;

/* Counted in the training's process, for the test's. */
typedef struct {
    int steps, pictures, pages, log_reads;
} counts;

static course of;
static counts *counted;
static double now = 1000;

double __wrap_sys_clock(void);
p2p_status __real_loader_next(loader *loading, const loader_batch **batch);
p2p_status __wrap_loader_next(loader *loading, const loader_batch **batch);
p2p_status __real_p2p_plan_loss(p2p_plan *plan, const char *name, double *value);
p2p_status __wrap_p2p_plan_loss(p2p_plan *plan, const char *name, double *value);
p2p_status __real_validation_run(validator *shown, const evaluator *e, const char *title, quality *mean);
p2p_status __wrap_validation_run(validator *shown, const evaluator *e, const char *title, quality *mean);
p2p_status __real_validation_draw(validator *shown, const evaluator *e, const char *title);
p2p_status __wrap_validation_draw(validator *shown, const evaluator *e, const char *title);
p2p_status __real_checkpoint_save(const char *folder, const checkpoint_info *info, p2p_session *session,
                                  const pix2pix *model);
p2p_status __wrap_checkpoint_save(const char *folder, const checkpoint_info *info, p2p_session *session,
                                  const pix2pix *model);
p2p_status __real_sys_file_write(const char *path, const void *bytes, size_t size);
p2p_status __wrap_sys_file_write(const char *path, const void *bytes, size_t size);
p2p_status __real_p2p_file_open(const char *path, FILE **stream, uint64_t *size);
p2p_status __wrap_p2p_file_open(const char *path, FILE **stream, uint64_t *size);

double __wrap_sys_clock(void) {
    return now;
}

p2p_status __wrap_loader_next(loader *loading, const loader_batch **batch) {
    if (++counted->steps == of.kill_at_step) _exit(KILLED);
    return __real_loader_next(loading, batch);
}

/* The trainer reads the losses of a step once it has waited for it. */
p2p_status __wrap_p2p_plan_loss(p2p_plan *plan, const char *name, double *value) {
    if (strcmp(name, "g_l1") == 0) now += of.step;
    return __real_p2p_plan_loss(plan, name, value);
}

p2p_status __wrap_validation_run(validator *shown, const evaluator *e, const char *title, quality *mean) {
    now += of.validation;
    return __real_validation_run(shown, e, title, mean);
}

p2p_status __wrap_validation_draw(validator *shown, const evaluator *e, const char *title) {
    if (++counted->pictures == of.kill_at_picture) _exit(KILLED);
    now += of.picture;
    return __real_validation_draw(shown, e, title);
}

p2p_status __wrap_checkpoint_save(const char *folder, const checkpoint_info *info, p2p_session *session,
                                  const pix2pix *model) {
    now += of.checkpoint;
    return __real_checkpoint_save(folder, info, session, model);
}

static bool ends_in(const char *path, const char *name) {
    const size_t length = strlen(path), end = strlen(name);
    return length >= end && strcmp(path + length - end, name) == 0;
}

p2p_status __wrap_sys_file_write(const char *path, const void *bytes, size_t size) {
    counted->pages += ends_in(path, "report.html");
    return __real_sys_file_write(path, bytes, size);
}

p2p_status __wrap_p2p_file_open(const char *path, FILE **stream, uint64_t *size) {
    counted->log_reads += ends_in(path, "metrics.jsonl");
    return __real_p2p_file_open(path, stream, size);
}

/* ---- Trainings ---------------------------------------------------------------------------------------- */

static const char *const tiny[] = {"train", "--data", "data",    "--device", "reference:0", "--size", "8",
                                   "--ndf", "1",      "--d-net", "pixel",    "--workers",   "1",      NULL};

/* Trains with these options, ended by NULL, or resumes; what it prints is in OUT.txt. Returns whether it was
 * killed. A failure fails the test. */
static bool train(const char *out, course taken, bool resume, const char *const *options) {
    test_command line = {COMMAND_TRAIN, command_train, {NULL}};
    char output[64];
    int count = 0, status;
    for (int i = 0; tiny[i]; i++) line.words[count++] = tiny[i];
    for (int i = 0; options[i]; i++) line.words[count++] = options[i];
    line.words[count++] = "--ngf";
    line.words[count++] = taken.filters ? taken.filters : "1";
    line.words[count++] = "--out";
    line.words[count++] = out;
    snprintf(output, sizeof output, "%s.txt", out);
    *counted = (counts){0};
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        of = taken;
        const p2p_status result = test_command_run_into(output, &line, resume ? "--resume" : NULL);
        if (result != P2P_OK) fprintf(stderr, "%s: %s\n", out, p2p_message());
        _exit(result == P2P_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    const int code = WEXITSTATUS(status);
    if (code != 0 && code != KILLED) fail_msg("%s: exit code %d", out, code);
    return code == KILLED;
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The caller frees the text. */
static char *text_of(const char *path) {
    size_t size;
    char *bytes = (char *)test_file_read(path, &size), *text = calloc(size + 1, 1);
    assert_non_null(text);
    memcpy(text, bytes, size);
    free(bytes);
    return text;
}

static int count_of(const char *path, const char *part) {
    char *text = text_of(path);
    const int count = count_text(text, part);
    free(text);
    return count;
}

static double size_of(const char *path) {
    size_t size;
    free(test_file_read(path, &size));
    return (double)size;
}

/* ---- Times -------------------------------------------------------------------------------------------- */

/* Each printed time that is left, of 60 steps of 1 s in epochs of 3, with validations of 7 s and checkpoints
 * of 11 s every 5 steps; before one was measured, a validation of 2 pairs counts as a third of 2 steps, and a
 * checkpoint of so few bytes as nothing. */
static void test_the_time_left(void **state) {
    (void)state;
    const course taken = {.step = 1, .validation = 7, .checkpoint = 11};
    int lines = 0;
    assert_false(train("run", taken, false, OPTIONS("--steps", "60", "--checkpoint-every", "5")));
    char *text = text_of("run.txt");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char expected[TIME_LEFT_BYTES], printed[TIME_LEFT_BYTES];
        int step;
        if (sscanf(line, "step %d/60 L1 %*f %23s left", &step, printed) != 2) continue;
        const double epochs = ceil((60 - step) / 3.0), saves = ceil((60 - step) / 5.0);
        time_left_text(60 - step + epochs * (step > 3 ? 7 : 2.0 / 3) + saves * (step > 5 ? 11 : 0), expected);
        if (strcmp(printed, expected) != 0) fail_msg("%s: expected %s left", line, expected);
        lines++;
    }
    assert_true(lines > 15);
    free(text);
}

/* The duration that is printed after ten steps counts checkpoints although none was written yet: as bytes of
 * the checkpoint and the models at the stated rate. Steps take no time, so that hardly anything else counts.
 */
static void test_the_expected_duration(void **state) {
    (void)state;
    const double bytes_per_second = 300e6, saves = 1e7 / 11;
    const course taken = {.kill_at_step = 13, .filters = "32"};
    double hours, minutes;
    test_pairs_add(12);
    assert_true(train("run", taken, false, OPTIONS("--steps", "10000000", "--checkpoint-every", "11")));
    char *text = text_of("run.txt"), *at = strstr(text, "expected to take about ");
    assert_non_null(at);
    if (sscanf(at, "expected to take about %lfh%lfm, with", &hours, &minutes) != 2) fail_msg("%.80s", at);
    const double printed = 60 * (60 * hours + minutes);
    const double expected = saves / bytes_per_second *
                            (size_of("run/checkpoints/step-000000011.safetensors") +
                             size_of("run/generator.safetensors") + size_of("run/discriminator.safetensors"));
    print_message("printed: %.0f s, by the files: %.0f s\n", printed, expected);
    assert_true(fabs(printed - expected) < 0.2 * expected);
    free(text);
}

/* ---- The page ----------------------------------------------------------------------------------------- */

/* 100 epochs of 1.5 s: a page after the first, then one in 5 s, that is after every fourth epoch, and one at
 * the end. The log is not read again, but when the training is resumed. */
static void test_pages_of_short_epochs(void **state) {
    (void)state;
    const course taken = {.step = 0.5};
    assert_false(train("run", taken, false, OPTIONS("--steps", "300", "--save-every", "100")));
    assert_int_equal(counted->steps, 300);
    assert_int_equal(counted->pages, 25 + 1);
    assert_int_equal(counted->log_reads, 0);
    assert_int_equal(count_of("run.txt", "the course so far: run/report.html, for a browser\n"), 1);
    assert_false(train("run", taken, true, OPTIONS("--steps", "303")));
    assert_true(counted->log_reads > 0);
}

/* Within an epoch there is a page once the duration is known, and then one in a minute. */
static void test_pages_of_a_long_epoch(void **state) {
    (void)state;
    const course taken = {.step = 5, .kill_at_step = 39};
    test_pairs_add(40);
    assert_true(train("run", taken, false, OPTIONS("--steps", "1000")));
    assert_int_equal(counted->pages, 3); /* after steps 10, 22 and 34 */
    assert_int_equal(count_of("run/report.html", "\"steps\":34,\"epochs\":0"), 1);
    assert_false(test_is_there("run/checkpoints"));
}

/* ---- Pictures within an epoch -------------------------------------------------------------------------- */

/* Steps of 100 s, 12 in an epoch. Two are in flight, so a checkpoint by time is written after every fourth.
 */
static const course slow = {.step = 100};

static void expect_samples(const char *out, const char *numbers) {
    char page[64];
    snprintf(page, sizeof page, "%s/report.html", out);
    assert_int_equal(count_of(page, numbers), 1);
}

static void test_pictures_of_a_long_epoch(void **state) {
    (void)state;
    course taken = slow;
    test_pairs_add(12);
    taken.kill_at_step = 9;
    assert_true(train("run", taken, false, OPTIONS("--steps", "30")));
    assert_true(test_is_there("run/samples/step-000004.png") && test_is_there("run/samples/step-000008.png"));
    assert_int_equal(counted->pictures, 2);
    expect_samples("run", "\"sample_epochs\":[],\"sample_steps\":[4,8]");
    assert_false(train("run", slow, true, OPTIONS("--steps", "12")));
    expect_samples("run", "\"sample_epochs\":[1],\"sample_steps\":[]");
    assert_false(train("run", slow, true, OPTIONS("--steps", "20")));
    expect_samples("run", "\"sample_epochs\":[1],\"sample_steps\":[20]"); /* without 16 */
    assert_false(train("run", slow, true, OPTIONS("--steps", "30")));
    expect_samples("run", "\"sample_epochs\":[1,2],\"sample_steps\":[30]");
}

/* With many checkpoints there is a picture in five minutes, and short epochs have none but their own. */
static void test_pictures_are_few(void **state) {
    (void)state;
    test_pairs_add(12);
    assert_false(train("run", slow, false, OPTIONS("--steps", "24", "--checkpoint-every", "1")));
    assert_int_equal(counted->pictures, 6);
    assert_false(
        train("short", (course){.step = 20}, false, OPTIONS("--steps", "72", "--checkpoint-every", "1")));
    assert_int_equal(counted->pictures, 0);
}

/* Killed at any step, or between a checkpoint and its picture, a training ends with the same files. */
static void test_kills_within_an_epoch(void **state) {
    (void)state;
    test_pairs_add(12);
    assert_false(train("whole", slow, false, OPTIONS("--steps", "20")));
    for (int moment = 1; moment <= 23; moment++) {
        course taken = slow;
        if (moment <= 20)
            taken.kill_at_step = moment;
        else
            taken.kill_at_picture = moment - 20;
        assert_true(train("other", taken, false, OPTIONS("--steps", "20")));
        assert_false(train("other", slow, true, OPTIONS("--steps", "20")));
        test_expect_same_run("whole", "other", NULL);
        test_folder_remove(strdup("other"));
    }
}

int main(void) {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    counted = mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counted == MAP_FAILED) return 1;
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, test_pairs_make, test_pairs_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_the_time_left),
        IN_FOLDER(test_the_expected_duration),
        IN_FOLDER(test_pages_of_short_epochs),
        IN_FOLDER(test_pages_of_a_long_epoch),
        IN_FOLDER(test_pictures_of_a_long_epoch),
        IN_FOLDER(test_pictures_are_few),
        IN_FOLDER(test_kills_within_an_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
