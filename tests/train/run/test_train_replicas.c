/* A training on devices that no longer agree stops, and names the device, or both if there is no majority:
 * one device of "flipped" loses a bit of its weights between two steps.
 */
#include "device/device.h"
#include "support/flipped_backend.h"
#include "support/test_files.h"
#include "train_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* An epoch has three steps on three devices, and four on two. */
enum { PAIRS = 8 };

/* ---- Trainings ---------------------------------------------------------------------------------------- */

static p2p_status train(const char *device, const char *every) {
    const test_command line = {COMMAND_TRAIN, command_train, {"train", "--data",
                                                              "data",  "--out",
                                                              "run",   "--device",
                                                              device,  "--size",
                                                              "8",     "--generator",
                                                              "2",     "--ngf",
                                                              "1",     "--ndf",
                                                              "1",     "--d-net",
                                                              "pixel", "--steps",
                                                              "8",     "--check-replicas",
                                                              every,   "--checkpoint-every",
                                                              "2"}};
    if (test_is_there("run")) test_folder_remove(strdup("run"));
    return test_command_run(&line, NULL);
}

/* The weights of a device are spoiled by the sixth update, which is one of step 3. The checkpoint after step
 * 2 alone is kept. */
static void expect_stop(const char *device, int spoiled, const char *every, const char *named) {
    flipped_bit(spoiled, 5);
    assert_int_equal(train(device, every), P2P_FAILED);
    MESSAGE_HAS(named);
    HINT_HAS("p2p doctor");
    HINT_HAS(
        "the last checkpoint is run/checkpoints/step-000000002.safetensors; then continue with: p2p train");
    assert_true(test_is_there("run/checkpoints/step-000000002.safetensors"));
    assert_false(test_is_there("run/checkpoints/step-000000004.safetensors"));
    assert_false(test_is_there("run/epochs/001-generator.safetensors"));
}

static void test_corruption(void **state) {
    (void)state;
    expect_stop(
        "flipped:0,flipped:1,flipped:2", 1, "3",
        "after step 3 the weights on flipped:1 (number 2 of 3 devices) are no longer those of the others");
    expect_stop("flipped:0,flipped:1,flipped:2", 0, "3",
                "after step 3 the weights on flipped:0 (number 1 of 3");
    expect_stop(
        "flipped:0,flipped:1", 0, "3",
        "after step 3 the weights on flipped:0 (number 1 of 2 devices) and on flipped:1 (number 2 of 2 "
        "devices) differ");
    assert_null(strstr(p2p_message_hint(), "train without it"));
    flipped_bit(0, 5);
    OK(train("flipped:0,flipped:1", "0"));
    flipped_bit(0, 5);
    OK(train("flipped:0", "1"));
    flipped_bit(-1, 0);
    OK(train("flipped:0,flipped:1", "1"));
}

/* What is kept is compared, however seldom comparisons are: the model of an epoch, and checkpoints. */
static void test_kept_weights_are_compared(void **state) {
    (void)state;
    expect_stop("flipped:0,flipped:1,flipped:2", 0, "1000", "after step 3 the weights on flipped:0 (");
    expect_stop("flipped:0,flipped:1", 0, "1000", "after step 4 the weights on flipped:0 (");
    flipped_bit(-1, 0);
    OK(train("flipped:0,flipped:1,flipped:2", "1000"));
}

/* Moments of the last update before a checkpoint, whose weights are still right. */
static void test_saved_moments_are_compared(void **state) {
    (void)state;
    flipped_moment(1, 7);
    assert_int_equal(train("flipped:0,flipped:1,flipped:2", "1000"), P2P_FAILED);
    MESSAGE_HAS("after step 4 Adam's moments on flipped:1 (number 2 of 3 devices) are no longer those of");
    assert_true(test_is_there("run/checkpoints/step-000000002.safetensors"));
    assert_false(test_is_there("run/checkpoints/step-000000004.safetensors"));
    flipped_moment(0, 7);
    assert_int_equal(train("flipped:0,flipped:1", "1000"), P2P_FAILED);
    MESSAGE_HAS("after step 4 Adam's moments on flipped:0 (");
    flipped_bit(-1, 0);
}

static int make_pairs(void **state) {
    const int failed = test_pairs_make(state);
    if (!failed) test_pairs_add(PAIRS);
    return failed;
}

int main(void) {
    if (p2p_module_register(flipped_module) != P2P_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_corruption, make_pairs, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_saved_moments_are_compared, make_pairs, test_pairs_remove),
        cmocka_unit_test_setup_teardown(test_kept_weights_are_compared, make_pairs, test_pairs_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
