/* The order of pairs when the number of devices changes, and the release of batches. loader_next and
 * loader_release are wrapped by the linker.
 *
 * A training releases a batch when its step has been waited for, not before: on a device with late transfers,
 * batches that are overwritten as soon as they are released change no bit, and batches that are overwritten
 * one run earlier do.
 */
#include "data/loader.h"
#include "device/device.h"
#include "support/shuffled_backend.h"
#include "support/test_files.h"
#include "train_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Batches ------------------------------------------------------------------------------------------ */

typedef enum { SPOIL_NOTHING, SPOIL_RELEASED, SPOIL_EARLY } spoiling;

static spoiling spoils;
static const loader_batch *held[LOADER_MAX_HELD]; /* the oldest first */
static int held_count, released;

/* The pairs of all batches since it was emptied: epoch and number. */
enum { MOST_PAIRS = 64 };
static struct { int64_t epoch, sample; } taken[MOST_PAIRS];
static int taken_count;

p2p_status __real_loader_next(loader *loading, const loader_batch **batch);
p2p_status __wrap_loader_next(loader *loading, const loader_batch **batch);
void __real_loader_release(loader *loading);
void __wrap_loader_release(loader *loading);

static void spoil(const loader_batch *batch) {
    memset((void *)batch->input, 0x55, batch->input_bytes);
    memset((void *)batch->target, 0xAA, batch->target_bytes);
}

static void note_pairs(const loader_batch *batch) {
    for (int i = 0; i < batch->count; i++) {
        assert_true(taken_count < MOST_PAIRS);
        taken[taken_count].epoch = batch->epoch;
        taken[taken_count++].sample = batch->samples[i];
    }
}

/* The trainer comes here when it has begun the step of the batch before, and has not waited for it. */
p2p_status __wrap_loader_next(loader *loading, const loader_batch **batch) {
    if (spoils == SPOIL_EARLY && held_count > 0) spoil(held[held_count - 1]);
    const p2p_status status = __real_loader_next(loading, batch);
    if (*batch) held[held_count++] = *batch;
    if (*batch) note_pairs(*batch);
    return status;
}

void __wrap_loader_release(loader *loading) {
    assert_true(held_count > 0);
    if (spoils == SPOIL_RELEASED) spoil(held[0]);
    memmove(&held[0], &held[1], (size_t)--held_count * sizeof(const loader_batch *));
    released++;
    __real_loader_release(loading);
}

/* ---- Trainings ---------------------------------------------------------------------------------------- */

/* Three pairs: with batches of one, steps of one plan follow each other; with batches of two, plans
 * alternate.
 */
static void train(const char *out, const char *device, const char *batch, spoiling spoiled) {
    const test_command line = {
        COMMAND_TRAIN, command_train, {"train", "--data",   "data", "--out",       out,     "--device",
                                       device,  "--size",   "8",    "--generator", "2",     "--ngf",
                                       "1",     "--ndf",    "1",    "--d-net",     "pixel", "--batch",
                                       batch,   "--epochs", "3",    "--workers",   "2"}};
    spoils = spoiled;
    held_count = released = 0;
    OK(test_command_run(&line, NULL));
    spoils = SPOIL_NOTHING;
    assert_int_equal(released, batch[0] == '1' ? 9 : 6);
    assert_int_equal(held_count, 0);
}

static bool same_models(const char *a, const char *b) {
    size_t sizes[2];
    uint8_t *files[2] = {test_file_read(test_path(a, "discriminator.safetensors"), &sizes[0]),
                         test_file_read(test_path(b, "discriminator.safetensors"), &sizes[1])};
    const bool same = sizes[0] == sizes[1] && memcmp(files[0], files[1], sizes[0]) == 0;
    free(files[0]);
    free(files[1]);
    return same;
}

static void test_release(void **state) {
    (void)state;
    const char *const batches[] = {"1", "2"};
    for (int i = 0; i < 2; i++) {
        train("whole", "reference:0", batches[i], SPOIL_NOTHING);
        train("spoiled", "shuffled:0", batches[i], SPOIL_RELEASED);
        train("early", "shuffled:0", batches[i], SPOIL_EARLY);
        test_expect_same_log("whole", "spoiled");
        assert_true(same_models("whole", "spoiled"));
        assert_false(same_models("whole", "early"));
        test_folder_remove(strdup("whole"));
        test_folder_remove(strdup("spoiled"));
        test_folder_remove(strdup("early"));
    }
}

/* ---- Other numbers of devices ------------------------------------------------------------------------- */

/* Trains up to this step, or continues up to it, on these devices. */
static void go_on(const char *out, const char *devices, const char *steps) {
    const test_command first = {COMMAND_TRAIN,
                                command_train,
                                {"train", "--data",  "data", "--out",       out,     "--device",
                                 devices, "--size",  "8",    "--generator", "2",     "--ngf",
                                 "1",     "--ndf",   "1",    "--d-net",     "pixel", "--checkpoint-every",
                                 "1",     "--steps", steps}};
    const test_command further = {COMMAND_TRAIN,
                                  command_train,
                                  {"train", "--out", out, "--resume", "--device", devices, "--steps", steps}};
    OK(test_command_run(test_is_there(out) ? &further : &first, NULL));
}

/* Each pair once per epoch, in the epoch's order, whoever takes it: of epochs of three pairs, one device
 * takes one, two take two, three take three, one takes one, and two take two and three. */
static void test_order(void **state) {
    (void)state;
    enum { PAIRS = 12 };
    int64_t order[PAIRS];
    spoils = SPOIL_NOTHING;
    held_count = released = taken_count = 0;
    go_on("whole", "reference:0", "12");
    assert_int_equal(taken_count, PAIRS);
    for (int i = 0; i < PAIRS; i++) order[i] = taken[i].sample;
    taken_count = 0;
    go_on("moved", "reference:0", "1");
    go_on("moved", "reference:0,reference:1", "2");
    go_on("moved", "reference:0,reference:1,reference:2", "3");
    go_on("moved", "reference:0", "4");
    go_on("moved", "reference:0,reference:1", "5");
    go_on("moved", "reference:0,reference:1,reference:2", "6");
    assert_int_equal(taken_count, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(taken[i].sample, order[i]);
        assert_int_equal(taken[i].epoch, i / 3);
    }
    test_folder_remove(strdup("whole"));
    test_folder_remove(strdup("moved"));
}

int main(void) {
    if (p2p_module_register(shuffled_module) != P2P_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_release, test_pairs_make, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_order, test_pairs_make, test_pairs_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
