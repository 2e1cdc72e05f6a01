/* A training on devices that no longer agree stops, and names the device, or both if there is no majority:
 * "twins" are the reference's devices, one of which can lose a bit of its weights between two steps.
 */
#include "device/device.h"
#include "support/test_files.h"
#include "train_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Devices that corrupt ----------------------------------------------------------------------------- */

static const p2p_module *reference;
static int corrupt = -1;              /* the device whose updates are spoiled; -1: none */
static int updates_before;            /* updates of it that are right */
static p2p_be_device *devices[4];     /* those that were opened last */
static int updates;                   /* of the corrupt device */
static p2p_be_op *adam[4][64];        /* created on each */
static p2p_binding parameters[4][64]; /* of these */
static int adams[4];

static int index_of(const p2p_be_device *device) {
    for (int i = 0; i < 4; i++)
        if (devices[i] == device) return i;
    fail_msg("a device that was not opened");
    return 0;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    P2P_TRY(reference->device_open(index, device));
    devices[index] = *device;
    adams[index] = 0;
    return P2P_OK;
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    const int at = index_of(device);
    P2P_TRY(reference->device.op_create(device, op, bindings, scratch, created));
    if (op->kind != P2P_KIND_adam) return P2P_OK;
    assert_true(adams[at] < 64);
    parameters[at][adams[at]] = bindings[P2P_AT_adam_p];
    adam[at][adams[at]++] = *created;
    return P2P_OK;
}

/* Changes the lowest bit of the first parameter after the update. */
static p2p_status spoil(p2p_be_device *device, p2p_binding binding) {
    p2p_ticket ticket;
    uint8_t byte = 0;
    P2P_TRY(reference->device.buffer_read(device, binding, &byte, 1));
    P2P_TRY(reference->device.submit(device, &ticket));
    P2P_TRY(reference->device.wait(device, ticket));
    byte ^= 1;
    P2P_TRY(reference->device.buffer_write(device, binding, &byte, 1));
    P2P_TRY(reference->device.submit(device, &ticket));
    return reference->device.wait(device, ticket);
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    const int at = index_of(device);
    P2P_TRY(reference->device.op_run(device, op));
    if (at != corrupt) return P2P_OK;
    for (int i = 0; i < adams[at]; i++)
        if (adam[at][i] == op && updates++ == updates_before) return spoil(device, parameters[at][i]);
    return P2P_OK;
}

static const p2p_module *twins(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    reference = p2p_module_reference(abi, host);
    module = *reference;
    module.name = "twins";
    module.device_open = device_open;
    module.device.op_create = op_create;
    module.device.op_run = op_run;
    return &module;
}

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
    updates = 0;
    return test_command_run(&line, NULL);
}

static void expect_stop(const char *device, const char *named, const char *step) {
    assert_int_equal(train(device, "4"), P2P_FAILED);
    if (!strstr(p2p_message(), named) || !strstr(p2p_message(), step))
        fail_msg("'%s' names neither %s nor %s", p2p_message(), named, step);
    HINT_HAS("p2p doctor");
    HINT_HAS("then continue with: p2p train");
    assert_true(test_is_there("run/checkpoints/step-000000002.safetensors"));
    assert_false(test_is_there("run/checkpoints/step-000000004.safetensors"));
}

/* The sixth update is one of step 3. */
static void test_corruption(void **state) {
    (void)state;
    corrupt = 1;
    updates_before = 5;
    expect_stop("twins:0,twins:1,twins:2", "twins:1 (number 2 of 3", "after step 4 ");
    corrupt = 0;
    expect_stop("twins:0,twins:1,twins:2", "twins:0 (number 1 of 3", "after step 4 ");
    expect_stop("twins:0,twins:1",
                "on twins:0 (number 1 of 2 devices) and on twins:1 (number 2 of 2 devices) differ",
                "after step 4 ");
    assert_null(strstr(p2p_message_hint(), "train without it"));
    OK(train("twins:0,twins:1", "0"));
    OK(train("twins:0,twins:1", "1000"));
    OK(train("twins:0", "1"));
    corrupt = -1;
    OK(train("twins:0,twins:1", "1"));
}

int main(void) {
    if (p2p_module_register(twins) != P2P_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_corruption, test_pairs_make, test_pairs_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
