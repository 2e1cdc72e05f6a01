/* Which devices --gpus takes: a backend with processors and GPUs among each other, some of them unusable. No
 * device computes: they are the reference's.
 */
#include "setup/setup_devices.h"

#include "device/device.h"
#include "support/test_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- Devices ------------------------------------------------------------------------------------------ */

/* A letter for each device: c a processor, g a GPU, x a GPU that can't be used. */
static const char *kinds = "";

static const p2p_module *reference;

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = (int)strlen(kinds);
    return P2P_OK;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    P2P_TRY(reference->device_info(0, info));
    info->type = kinds[index] == 'c' ? P2P_DEVICE_CPU : P2P_DEVICE_GPU;
    if (kinds[index] == 'x') snprintf(info->unusable, sizeof info->unusable, "a test has it so");
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    (void)index;
    return reference->device_open(0, device);
}

static const p2p_module *mixed(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    reference = p2p_module_reference(abi, host);
    module = *reference;
    module.name = "mixed";
    module.device_count = device_count;
    module.device_info = device_info;
    module.device_open = device_open;
    return &module;
}

/* ---- Choices ------------------------------------------------------------------------------------------ */

static p2p_status open_as(const char *gpus, int ranks, int local_rank, setup_devices *devices) {
    const char *words[] = {"train", "--backend", "mixed", "--gpus", gpus};
    settings all;
    OK(settings_parse(&all, COMMAND_TRAIN, 5, words));
    all.ranks = ranks;
    all.local_rank = local_rank;
    const p2p_status status = setup_devices_open(&all, devices);
    settings_free(&all);
    return status;
}

static void expect(const char *of_kinds, const char *gpus, int ranks, int local_rank, const char *expected) {
    char text[256];
    setup_devices devices;
    kinds = of_kinds;
    OK(open_as(gpus, ranks, local_rank, &devices));
    setup_devices_print(&devices, text, sizeof text);
    assert_string_equal(text, expected);
    setup_devices_close(&devices);
}

static void expect_too_few(const char *of_kinds, const char *gpus, const char *words) {
    setup_devices devices;
    kinds = of_kinds;
    assert_int_equal(open_as(gpus, 1, 0, &devices), P2P_NO_DEVICE);
    MESSAGE_HAS(words);
}

static void test_one_process(void **state) {
    (void)state;
    expect("cgcg", "2", 1, 0, "mixed:1 and mixed:3");
    expect("gcxg", "2", 1, 0, "mixed:0 and mixed:3");
    expect("ccc", "2", 1, 0, "mixed:0 and mixed:1");
    expect("xcc", "2", 1, 0, "mixed:1 and mixed:2");
    expect_too_few("cgccg", "3", "mixed has 2 usable devices of the type of mixed:1");
    expect_too_few("xgcc", "2", "mixed has 1 usable device of the type of mixed:1");
}

/* Ranks of a machine take the next ones, and begin again at the first after the last. */
static void test_ranks(void **state) {
    (void)state;
    expect("cgcgg", "1", 4, 0, "mixed:1");
    expect("cgcgg", "1", 4, 2, "mixed:4");
    expect("cgcgg", "1", 4, 3, "mixed:1");
    expect("gggg", "2", 2, 1, "mixed:2 and mixed:3");
    expect("ggg", "2", 2, 1, "mixed:2 and mixed:0");
    expect("cg", "1", 2, 1, "mixed:1"); /* a launcher shows each rank one */
}

static void test_few_processors(void **state) {
    (void)state;
    assert_true(setup_few_processors(1, 64, 2, 1)); /* mpirun -np 2 binds each to a core */
    assert_true(setup_few_processors(1, 64, 1, 8));
    assert_true(setup_few_processors(8, 64, 1, 8));
    assert_false(setup_few_processors(2, 64, 2, 1)); /* enough */
    assert_false(setup_few_processors(1, 2, 2, 1));  /* there are no more */
    assert_false(setup_few_processors(2, 2, 2, 2));
}

int main(void) {
    OK(p2p_module_register(mixed));
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_process), cmocka_unit_test(test_ranks),
                                       cmocka_unit_test(test_few_processors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
