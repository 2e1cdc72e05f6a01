/* Every call of a backend may fail during a training, a test and a translation. The n-th call of the command
 * fails, for n = 1, 2, ...: either once, or as a lost device, so that all later calls fail too. Each failure
 * must be returned as a status with the injected message, and leave no open file, no thread and (detected by
 * AddressSanitizer) no memory. The same command, resumed or run again, must then give equal bytes.
 *
 *   test_train_faults [all|few]    all: every n; otherwise only some of the later calls, which are similar
 */
#include "device/device_internal.h"
#include "image/image.h"
#include "support/picky_backend.h"
#include "support/test_files.h"
#include "train_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

static bool every_call, few_calls; /* the arguments `all` and `few` */

/* ---- Faults ------------------------------------------------------------------------------------------- */

typedef enum { FAULT_ONCE, FAULT_LOST, FAULTS } fault;

/* Sets the environment variable, which is read whenever a device is opened. */
static void lose_device_at(uint64_t nth) {
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)nth);
    assert_int_equal(setenv("P2P_LOSE_DEVICE_AT", text, 1), 0);
    OK(p2p_fault_read_environment());
}

static void inject(fault kind, uint64_t nth) {
    lose_device_at(kind == FAULT_LOST ? nth : 0);
    p2p_fault_inject(kind == FAULT_ONCE ? nth : 0);
}

/* Ends all faults. Returns the number of calls since the last injection. */
static uint64_t end_injection(void) {
    lose_device_at(0);
    return p2p_fault_inject(0);
}

static void expect_injected(fault kind, uint64_t nth, p2p_status status) {
    const p2p_status wanted = kind == FAULT_LOST ? P2P_DEVICE_LOST : P2P_FAILED;
    const bool known = status == wanted || status == P2P_NO_DEVICE; /* a device that can't be opened */
    if (!known || !strstr(p2p_message(), "injected fault"))
        fail_msg("call %d: expected %s and the injected fault, got %s: %s", (int)nth, p2p_status_name(wanted),
                 p2p_status_name(status), p2p_message());
}

/* ---- Files -------------------------------------------------------------------------------------------- */

static void expect_same_file(const char *whole, const char *other, const char *name) {
    size_t sizes[2];
    const char *path = test_path(other, name);
    if (!test_is_there(path)) fail_msg("%s is missing", path);
    uint8_t *a = test_file_read(test_path(whole, name), &sizes[0]), *b = test_file_read(path, &sizes[1]);
    if (sizes[0] != sizes[1] || memcmp(a, b, sizes[0]) != 0) fail_msg("%s differs", path);
    free(a);
    free(b);
}

static void expect_same_files(const char *whole, const char *other, const char *const *names) {
    for (int i = 0; names[i]; i++) expect_same_file(whole, other, names[i]);
}

/* ---- The sweep ---------------------------------------------------------------------------------------- */

/* A command and the files that it makes in the folder OUT. */
typedef struct {
    test_command line;
    const char *whole, *other; /* folders: without a fault, and with one */
    const char *const *files;  /* that must be equal; NULL-terminated */
    bool resumes;              /* a training: it is resumed if it has begun, and its log is compared */
} subject;

static p2p_status run_into(const subject *s, const char *out, const char *more) {
    test_command line = s->line;
    for (int i = 0; line.words[i]; i++)
        if (strcmp(line.words[i], "OUT") == 0) line.words[i] = out;
    return test_command_run(&line, more);
}

static void expect_whole(const subject *s) {
    expect_same_files(s->whole, s->other, s->files);
    if (s->resumes) test_expect_same_log(s->whole, s->other);
}

static void remove_folder(const char *name) {
    if (test_is_there(name)) test_folder_remove(strdup(name));
}

/* Resumes a training that has begun, as in the hint, or runs the command again, and compares the results. */
static void run_again(const subject *s) {
    const bool begun = s->resumes && test_is_there(test_path(s->other, "metrics.jsonl"));
    if (begun && !strstr(p2p_message_hint(), "then continue with: p2p train"))
        fail_msg("the hint is \"%s\"", p2p_message_hint());
    const char *more = !s->resumes                                         ? "--force"
                       : test_is_there(test_path(s->other, "config.json")) ? "--resume"
                                                                           : NULL;
    const p2p_status status = run_into(s, s->other, more);
    if (status != P2P_OK) fail_msg("%s: %s", more ? more : "again", p2p_message());
    expect_whole(s);
}

/* Returns whether the command failed. Failures to close after all work is done are ignored. */
static bool fail_call(const subject *s, fault kind, uint64_t nth) {
    remove_folder(s->other);
    inject(kind, nth);
    const p2p_status status = run_into(s, s->other, NULL);
    if (status != P2P_OK) expect_injected(kind, nth, status);
    end_injection();
    if (status == P2P_OK)
        expect_whole(s);
    else
        run_again(s);
    return status != P2P_OK;
}

/* The number of open files and threads of this process. */
static size_t open_resources(void) {
    return test_folder_entries("/proc/self/fd") + test_folder_entries("/proc/self/task");
}

/* At the end, after all work, releasing plans and devices waits for them; a translation also releases plans
 * between sizes. */
enum { MOST_IGNORED = 40, MOST_IGNORED_ELSEWHERE = 8 };

/* From the n-th call to the next that fails. */
static uint64_t stride(uint64_t n, uint64_t dense) {
    if (every_call) return 1;
    return few_calls ? 5 + 5 * (n / dense) : 2 + 2 * (n / dense);
}

/* Of the early calls every second fails, of the later ones, which are similar, fewer and fewer: odd calls
 * fail once, even ones as a lost device. With `few` every fifth of the early ones fails. */
static void fail_each_call(const subject *s, fault kind, uint64_t dense) {
    inject(kind, 0);
    remove_folder(s->whole);
    OK(run_into(s, s->whole, NULL));
    const uint64_t calls = end_injection();
    const size_t resources = open_resources();
    uint64_t failures = 0, ignored = 0;
    for (uint64_t n = every_call ? 1 : 1 + (uint64_t)kind; n <= calls; n += stride(n, dense)) {
        const bool failed = fail_call(s, kind, n);
        failures += failed;
        ignored += !failed;
        const bool late = s->resumes ? n + MOST_IGNORED > calls : ignored <= MOST_IGNORED_ELSEWHERE;
        if (!failed && !late) fail_msg("call %d of %d: no failure", (int)n, (int)calls);
    }
    assert_true(failures > (every_call ? dense : few_calls ? dense / 8 : dense / 2));
    assert_int_equal(open_resources(), resources);
    print_message("%s: %d of %d calls failed one after the other\n", s->line.words[0], (int)failures,
                  (int)calls);
}

/* ---- Subjects ----------------------------------------------------------------------------------------- */

/* Two epochs of two batches, the second of which is smaller; checkpoints within and after an epoch. */
#define TRAINING_OF(address, batch)                                                                          \
    {                                                                                                        \
        COMMAND_TRAIN, command_train, {                                                                      \
            "train", "--data", "data", "--out", "OUT", "--device", address, "--size", "8", "--generator",    \
                "2", "--ngf", "1", "--ndf", "1", "--d-net", "pixel", "--batch", batch, "--epochs", "2",      \
                "--checkpoint-every", "3", "--save-every", "1", "--workers", "1"                             \
        }                                                                                                    \
    }

static const char *const trained[] = {"generator.safetensors",
                                      "discriminator.safetensors",
                                      "checkpoints/step-000000004.safetensors",
                                      "epochs/001-generator.safetensors",
                                      "epochs/002-generator.safetensors",
                                      "best/generator.safetensors",
                                      "best/best.json",
                                      "samples/epoch-0001.png",
                                      "samples/epoch-0002.png",
                                      NULL};

static const subject reference_training = {TRAINING_OF("reference:0", "2"), "whole", "other", trained, true};
/* A device that can't compute in place, and one with recordings. */
static const subject picky_training = {TRAINING_OF("picky:1", "2"), "whole", "other", trained, true};
static const subject recorded_training = {TRAINING_OF("picky:2", "2"), "whole", "other", trained, true};

/* Two devices with a pair each, of which the last step of an epoch has one; and one device twice, reduced
 * through host memory. */
static const subject shared_training = {TRAINING_OF("reference:0,reference:1", "1"), "whole", "other",
                                        trained, true};
static const subject doubled_training = {TRAINING_OF("picky:2,picky:2", "1"), "whole", "other", trained,
                                         true};

static void test_training(void **state) {
    (void)state;
    fail_each_call(&reference_training, FAULT_ONCE, 100);
}

static void test_training_on_a_lost_device(void **state) {
    (void)state;
    fail_each_call(&reference_training, FAULT_LOST, 100);
}

static void test_training_on_others(void **state) {
    (void)state;
    for (fault kind = FAULT_ONCE; kind < FAULTS; kind++) {
        fail_each_call(&picky_training, kind, 20);
        fail_each_call(&recorded_training, kind, 20);
    }
}

static void test_training_on_two_devices(void **state) {
    (void)state;
    for (fault kind = FAULT_ONCE; kind < FAULTS; kind++) {
        fail_each_call(&shared_training, kind, 60);
        fail_each_call(&doubled_training, kind, 20);
    }
}

/* A failure after the last checkpoint leaves the models of an earlier step, or none. */
static void test_models_behind_the_last_checkpoint(void **state) {
    (void)state;
    const subject *s = &reference_training;
    OK(run_into(s, s->whole, NULL));
    OK(run_into(s, s->other, NULL));
    test_file_write(test_path(s->other, "generator.safetensors"), "older", 5);
    assert_int_equal(remove(test_path(s->other, "discriminator.safetensors")), 0);
    OK(run_into(s, s->other, "--resume"));
    expect_whole(s);
}

static const char *const tested[] = {"input/4.png", "generated/3.png", "generated/4.png", "target/3.png",
                                     "grid.png",    "metrics.json",    "index.html",      NULL};
static const subject testing = {{COMMAND_TEST,
                                 command_test,
                                 {"test", "--model", "model", "--data", "data", "--out", "OUT", "--device",
                                  "reference:0", "--batch", "1"}},
                                "tested",
                                "tested-again",
                                tested,
                                false};

/* Pictures of two sizes, for which there are two sessions. */
static const char *const translated[] = {"3.png", "4.png", "small.png", NULL};
static const subject translating = {
    {COMMAND_TRANSLATE,
     command_translate,
     {"translate", "--model", "model", "-o", "OUT", "--device", "reference:0", "pictures"}},
    "translated",
    "translated-again",
    translated,
    false};

static void make_model(void) {
    image small;
    OK(run_into(&reference_training, "model", NULL));
    OK(image_create(&small, 5, 3, (image_format){.channels = 3, .bits = 8}));
    memset(small.pixels, 77, image_bytes(&small));
    assert_int_equal(rename("data/train", "kept"), 0);
    test_folder_add("pictures");
    OK(image_save("pictures/small.png", &small));
    image_free(&small);
    assert_int_equal(rename("data/val/3.png", "pictures/3.png"), 0);
    assert_int_equal(rename("data/val/4.png", "pictures/4.png"), 0);
}

static void test_testing(void **state) {
    (void)state;
    OK(run_into(&reference_training, "model", NULL));
    for (fault kind = FAULT_ONCE; kind < FAULTS; kind++) fail_each_call(&testing, kind, 50);
}

static void test_translating(void **state) {
    (void)state;
    make_model();
    for (fault kind = FAULT_ONCE; kind < FAULTS; kind++) fail_each_call(&translating, kind, 50);
}

int main(int argc, char **argv) {
    /* Files are flushed to the disk thousands of times. In /dev/shm, if it exists, this is fast. */
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    every_call = argc == 2 && strcmp(argv[1], "all") == 0;
    few_calls = argc == 2 && strcmp(argv[1], "few") == 0;
    if (p2p_module_register(picky_module) != P2P_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_training, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_training_on_a_lost_device, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_training_on_others, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_training_on_two_devices, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_models_behind_the_last_checkpoint, test_pairs_make,
                                        test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_testing, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_translating, test_pairs_make, test_pairs_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
