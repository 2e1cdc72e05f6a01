/* Programs stored on disk by the OpenCL backend: built once and found later, found only for what they were
 * built for, built again if the stored program is unusable, and not stored if the driver does so itself.
 * Builds are counted in the verbose log. test_cache.c tests the files. Needs a device; its absence is a
 * failure.
 */
#include "device/device.h"
#include "device/ocl_program.h"
#include "host/cache.h"
#include "plan/ocl_plan.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- A host that counts builds, and damages found programs ----------------------------------------- */

static int built, found, refused;

static void counting_log(const char *format, ...) P2P_PRINTF(1, 2);

static void counting_log(const char *format, ...) {
    built += strstr(format, ": built ") != NULL;
    found += strstr(format, ": found ") != NULL;
    refused += strstr(format, "is refused") != NULL;
}

static enum { AS_KEPT, EMPTY, NOISE } spoil;

static bool spoiling_get(const char *kind, const p2p_key_part *key, int parts, void **value, size_t *size) {
    if (!p2p_cache_get(kind, key, parts, value, size)) return false;
    unsigned char *bytes = *value;
    if (spoil == EMPTY) *size = 0;
    for (size_t i = 0; spoil == NOISE && i < *size; i++) bytes[i] = (unsigned char)(i * 7 + 3);
    return true;
}

static p2p_host host;
static const p2p_module *module;
static int in_fresh_folder(void **state) {
    if (test_own_folder_make(state) != 0) return 1;
    built = found = refused = 0;
    spoil = AS_KEPT;
    setenv("P2P_OPENCL_CACHE", "on", 1);
    return p2p_cache_folder_set(test_own_path("cache")) != P2P_OK;
}

/* ---- One run of a program -------------------------------------------------------------------------- */

enum { FLOATS = 40 };

/* On a device opened for it: triples ones, and reads them back. */
static void run_axpby(void) {
    const p2p_device_table *table = &module->device;
    p2p_be_device *device = NULL;
    p2p_be_buffer *from = NULL, *to = NULL;
    p2p_be_op *made = NULL;
    p2p_ticket ticket = 0;
    p2p_op op;
    float values[FLOATS];
    for (int i = 0; i < FLOATS; i++) values[i] = 1;
    assert_int_equal(p2p_op_parse("axpby x=f32:plain:1x1x1x40 y=f32:plain:1x1x1x40 alpha=3", &op), P2P_OK);
    assert_int_equal(p2p_op_validate(&op), P2P_OK);
    assert_int_equal(module->device_open(0, &device), P2P_OK);
    assert_int_equal(table->buffer_create(device, sizeof values, &from), P2P_OK);
    assert_int_equal(table->buffer_create(device, sizeof values, &to), P2P_OK);
    const p2p_binding bindings[P2P_MAX_OPERANDS] = {{from, 0}, {to, 0}};
    assert_int_equal(table->buffer_write(device, bindings[0], values, sizeof values), P2P_OK);
    assert_int_equal(table->op_create(device, &op, bindings, (p2p_binding){0}, &made), P2P_OK);
    assert_int_equal(table->op_run(device, made), P2P_OK);
    assert_int_equal(table->buffer_read(device, bindings[1], values, sizeof values), P2P_OK);
    assert_int_equal(table->submit(device, &ticket), P2P_OK);
    assert_int_equal(table->wait(device, ticket), P2P_OK);
    for (int i = 0; i < FLOATS; i++) assert_true(values[i] == 3);
    table->op_destroy(device, made);
    table->buffer_destroy(device, from);
    table->buffer_destroy(device, to);
    table->close(device);
}

static void expect_counts(int builds, int finds) {
    assert_int_equal(built, builds);
    assert_int_equal(found, finds);
}

/* ---- Tests ----------------------------------------------------------------------------------------- */

static void builds_once(void **state) {
    (void)state;
    run_axpby();
    expect_counts(1, 0);
    assert_int_equal(test_folder_entries(test_own_path("cache")), 1);
    run_axpby();
    run_axpby();
    expect_counts(1, 2);
}

static void create_kernel(p2p_be_device *device, const char *option) {
    ocl_plan plan = {0};
    cl_kernel kernel = NULL;
    ocl_launch *launch = ocl_launch_add(&device->target, &plan, "pointwise.cl", "axpby");
    if (option) ocl_launch_option(launch, "%s", option);
    assert_int_equal(ocl_kernel_create(device, launch, &kernel), P2P_OK);
    clReleaseKernel(kernel);
    ocl_programs_release(device); /* those in memory */
}

static void distinguishes_programs(void **state) {
    (void)state;
    p2p_be_device *device = NULL;
    assert_int_equal(module->device_open(0, &device), P2P_OK);
    create_kernel(device, NULL);
    create_kernel(device, "SOME_OPTION=1");
    create_kernel(device, "SOME_OPTION=2");
    expect_counts(3, 0);
    create_kernel(device, "SOME_OPTION=1");
    expect_counts(3, 1);
    /* Another version of the driver, of the platform, another device. */
    device->info.driver[0] ^= 1;
    create_kernel(device, NULL);
    device->info.driver[0] ^= 1;
    device->platform_version[0] ^= 1;
    create_kernel(device, NULL);
    device->platform_version[0] ^= 1;
    device->info.name[0] ^= 1;
    create_kernel(device, NULL);
    device->info.name[0] ^= 1;
    expect_counts(6, 1);
    create_kernel(device, NULL);
    expect_counts(6, 2);
    module->device.close(device);
}

static void builds_again_what_the_driver_refuses(void **state) {
    (void)state;
    run_axpby();
    for (int how = EMPTY; how <= NOISE; how++) {
        spoil = how;
        run_axpby();
    }
    expect_counts(3, 0);
    assert_int_equal(refused, 1); /* the empty one is not passed to the driver */
    spoil = AS_KEPT;
    run_axpby();
    expect_counts(3, 1);
}

static void keeps_what_the_driver_does_not(void **state) {
    (void)state;
    p2p_be_device *device = NULL;
    setenv("P2P_OPENCL_CACHE", "auto", 1);
    assert_int_equal(module->device_open(0, &device), P2P_OK);
    const bool itself = strstr(device->info.driver, "Portable Computing Language") == device->info.driver ||
                        strstr(device->info.driver, "NVIDIA") == device->info.driver;
    assert_int_equal(device->keeps_programs, !itself);
    module->device.close(device);
    setenv("P2P_OPENCL_CACHE", "off", 1);
    run_axpby();
    run_axpby();
    expect_counts(2, 0);
    assert_int_equal(test_folder_entries(test_own_folder), 0);
}

static void names_a_wrong_switch(void **state) {
    (void)state;
    p2p_be_device *device = NULL;
    setenv("P2P_OPENCL_CACHE", "maybe", 1);
    assert_int_equal(module->device_open(0, &device), P2P_USAGE);
    assert_null(device);
    MESSAGE_HAS("P2P_OPENCL_CACHE is 'maybe'");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, in_fresh_folder, test_own_folder_remove)

int main(void) {
    setenv("POCL_CACHE_DIR", P2P_TEST_POCL, 1); /* before the driver is loaded */
    const struct CMUnitTest tests[] = {
        TEST(builds_once),
        TEST(distinguishes_programs),
        TEST(builds_again_what_the_driver_refuses),
        TEST(keeps_what_the_driver_does_not),
        TEST(names_a_wrong_switch),
    };
    host = *p2p_host_services();
    host.log = counting_log;
    host.cache_get = spoiling_get;
    module = p2p_module_opencl(P2P_BACKEND_ABI, &host);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
