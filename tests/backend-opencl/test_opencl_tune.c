/* The OpenCL backend's tuner: the candidates, the winner, what is stored, and the effect of stored files.
 * Times are simulated, so no result depends on the machine. Needs a device; its absence is a failure.
 */
#include "conv/ocl_conv.h"
#include "device/device.h"
#include "device/ocl_op.h"
#include "host/cache.h"
#include "support/kept_warnings.h"
#include "support/test_files.h"
#include "tune/ocl_cache_key.h"
#include "tune/ocl_kept.h"
#include "tune/ocl_selftest.h"
#include "tune/ocl_tune.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_op_text.h"
#include "support/test_skip.h"

/* ---- A host that counts warnings, and a device ----------------------------------------------------- */

static p2p_host host;
static const p2p_module *module;
static char *folder;
static p2p_be_device *device;
static int clock_readings;

/* All take the same time: the default choice stays. */
static double even_clock(void) {
    return ++clock_readings * 0.001;
}

static void reopen(void) {
    if (device) module->device.close(device);
    device = NULL;
    assert_int_equal(module->device_open(0, &device), P2P_OK);
}

static int open_device(void **state) {
    (void)state;
    folder = test_folder_make();
    assert_int_equal(p2p_cache_folder_set(folder), P2P_OK);
    clock_readings = 0;
    warnings_forget();
    return module->device_open(0, &device) != P2P_OK;
}

static int close_device(void **state) {
    (void)state;
    module->device.close(device);
    device = NULL;
    test_folder_remove(folder);
    return unsetenv("P2P_OPENCL_FAIL");
}

/* One of each kind, small, with channels that do not fill their blocks. */
static const char *const shapes[] = {
    "conv_fwd x=f32:nchwc16:1x20x9x9 w=f32:ckrs16:33x20x4x4 y=f32:nchwc16:1x33x4x4 stride=2 pad_top=1 "
    "pad_left=1 pad_bottom=1 pad_right=1",
    "conv_bwd_data dy=f32:nchwc16:1x33x4x4 w=f32:ckrs16:33x20x4x4 dx=f32:nchwc16:1x20x8x8 stride=2 "
    "pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
    "conv_bwd_filter x=f32:nchwc16:2x20x8x8 dy=f32:nchwc16:2x33x4x4 dw=f32:ckrs16:33x20x4x4 stride=2 "
    "pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* ---- Simulated times ------------------------------------------------------------------------------- */

enum { TIMED_MOST = 64 };

/* Seconds by algorithm; all others, and the default, take 1. `lucky`: only in its first turn. */
typedef struct {
    const char *algorithm;
    double seconds;
    bool lucky;
    char timed[TIMED_MOST][P2P_CHOICE_NAME]; /* the timed algorithms, each once */
    int count, turns;
} made_up;

static p2p_status give_time(void *context, p2p_be_device *on, const ocl_conv_algorithm *algorithm,
                            p2p_be_op *op, int runs, double *seconds) {
    made_up *times = context;
    char name[P2P_CHOICE_NAME];
    int i = 0;
    assert_ptr_equal(on, device);
    assert_non_null(op);
    ocl_conv_algorithm_print(algorithm, name);
    while (i < times->count && strcmp(times->timed[i], name) != 0) i++;
    const bool first = i == times->count;
    assert_true(i < TIMED_MOST);
    if (first) strcpy(times->timed[times->count++], name);
    const bool named = times->algorithm && strcmp(name, times->algorithm) == 0;
    *seconds = runs * (named && (first || !times->lucky) ? times->seconds : 1.0);
    times->turns++;
    return P2P_OK;
}

static bool was_timed(const made_up *times, const char *name) {
    for (int i = 0; i < times->count; i++)
        if (strcmp(times->timed[i], name) == 0) return true;
    return false;
}

static void tune(const p2p_op *op, made_up *times, char name[P2P_CHOICE_NAME]) {
    const ocl_timer timer = {give_time, times};
    ocl_choice choice;
    assert_int_equal(ocl_tune(device, op, &timer, &choice), P2P_OK);
    ocl_conv_algorithm_print(&choice.algorithm, name);
}

/* A candidate for the shape other than the default. */
static void other_algorithm(const p2p_op *op, char name[P2P_CHOICE_NAME]) {
    ocl_conv_algorithms algorithms;
    assert_int_equal(ocl_conv_list_algorithms(&device->target, op, &algorithms), P2P_OK);
    assert_true(algorithms.count > 1);
    assert_int_equal(algorithms.algorithm[0].family, OCL_CONV_AUTO);
    ocl_conv_algorithm_print(&algorithms.algorithm[algorithms.count - 1], name);
}

static void takes_the_fastest(void **state) {
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const p2p_op op = parse(shapes[i]);
        char fast[P2P_CHOICE_NAME], chosen[P2P_CHOICE_NAME];
        other_algorithm(&op, fast);
        made_up times = {.algorithm = fast, .seconds = 0.5};
        tune(&op, &times, chosen);
        assert_string_equal(chosen, fast);
        assert_true(was_timed(&times, ""));
    }
    assert_int_equal(warnings, 0); /* all candidates of all kinds are correct */
}

static void noise_changes_nothing(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[0]);
    char fast[P2P_CHOICE_NAME], chosen[P2P_CHOICE_NAME];
    other_algorithm(&op, fast);
    made_up close = {.algorithm = fast, .seconds = 0.98};
    tune(&op, &close, chosen);
    assert_string_equal(chosen, "");
    made_up lucky = {.algorithm = fast, .seconds = 0.5, .lucky = true};
    tune(&op, &lucky, chosen);
    assert_string_equal(chosen, "");
    made_up slow = {.algorithm = fast, .seconds = 8.0};
    tune(&op, &slow, chosen);
    assert_string_equal(chosen, "");
}

static void does_not_time_what_is_wrong(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[0]);
    char fast[P2P_CHOICE_NAME], chosen[P2P_CHOICE_NAME];
    other_algorithm(&op, fast);
    strcpy(device->environment.fail, fast);
    made_up times = {.algorithm = fast, .seconds = 0.1};
    tune(&op, &times, chosen);
    assert_string_equal(chosen, "");
    assert_false(was_timed(&times, fast));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, device->info.driver));
    assert_non_null(strstr(warning, fast));
    assert_non_null(strstr(warning, "conv_fwd"));
}

/* Algorithms of the families for other devices, on any device. One shape, and without the matrix library,
 * because each has many kernels. */
static void tunes_as_for_a_gpu(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[2]);
    char fast[P2P_CHOICE_NAME], chosen[P2P_CHOICE_NAME];
    strcpy(device->environment.fail, "gemm");
    device->target.cpu = false;
    assert_int_equal(ocl_selftest_family(device, OCL_CONV_GEMM, P2P_TYPE_f32), P2P_OK); /* before the list */
    other_algorithm(&op, fast);
    made_up times = {.algorithm = fast, .seconds = 0.5};
    tune(&op, &times, chosen);
    assert_string_equal(chosen, fast);
    assert_true(times.count > 2);  /* several tiles */
    assert_int_equal(warnings, 1); /* of the one that must fail */
}

/* ---- Checks ---------------------------------------------------------------------------------------- */

/* Runs a descriptor, which may differ from the operands' own, on the operands; returns whether its result
 * is accepted. */
static bool passes(p2p_tune_check *operands, const p2p_op *op) {
    p2p_binding bindings[P2P_MAX_OPERANDS] = {{0}};
    p2p_be_op *made = NULL;
    bool right = false;
    char why[P2P_TUNE_WHY];
    p2p_ticket ticket = 0;
    for (int role = 0; role < P2P_TUNE_ROLES; role++)
        bindings[operands->roles.at[role]].buffer = operands->buffer[role];
    assert_int_equal(p2p_tune_check_prepare(operands), P2P_OK);
    if (op) {
        assert_int_equal(module->device.op_create(device, op, bindings, (p2p_binding){0}, &made), P2P_OK);
        assert_int_equal(module->device.op_run(device, made), P2P_OK);
        assert_int_equal(module->device.submit(device, &ticket), P2P_OK);
        assert_int_equal(module->device.wait(device, ticket), P2P_OK);
        module->device.op_destroy(device, made);
    }
    assert_int_equal(p2p_tune_check_result(operands, &right, why), P2P_OK);
    return right;
}

static void notices_wrong_results(void **state) {
    (void)state;
    p2p_op op = parse(shapes[0]);
    const p2p_tune_device tuned = ocl_tune_device(device);
    p2p_tune_check operands;
    assert_int_equal(p2p_tune_check_open(&operands, &tuned, &op), P2P_OK);
    p2p_op clipped = op, shifted = op;
    clipped.act = P2P_ACT_relu;
    shifted.pad_top = 0;
    shifted.pad_bottom = 2;
    assert_false(passes(&operands, NULL)); /* nothing written */
    assert_false(passes(&operands, &clipped));
    assert_false(passes(&operands, &shifted));
    assert_true(passes(&operands, &op));
    assert_false(passes(&operands, &clipped)); /* still compared with the expected values */
    assert_true(passes(&operands, &op));
    p2p_tune_check_close(&operands);
}

/* One wrong element that is not a sample is detected by comparison with the other candidates. */
static void notices_one_wrong_element(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[1]);
    const p2p_tensor *dx = &op.t[P2P_AT_conv_bwd_data_dx];
    const p2p_tune_device tuned = ocl_tune_device(device);
    p2p_tune_check operands;
    int noticed = 0;
    assert_int_equal(p2p_tune_check_open(&operands, &tuned, &op), P2P_OK);
    assert_true(passes(&operands, &op));
    for (int64_t c = 0; c < dx->c; c++) {
        const p2p_binding at = {operands.buffer[operands.roles.result],
                                (size_t)p2p_tensor_index(dx, 0, c, 3, 4) * sizeof(float)};
        float kept = 0, wrong;
        bool right = true;
        char why[P2P_TUNE_WHY];
        p2p_ticket ticket = 0;
        assert_int_equal(module->device.buffer_read(device, at, &kept, sizeof kept), P2P_OK);
        assert_int_equal(module->device.submit(device, &ticket), P2P_OK);
        assert_int_equal(module->device.wait(device, ticket), P2P_OK);
        wrong = kept + 1;
        assert_int_equal(module->device.buffer_write(device, at, &wrong, sizeof wrong), P2P_OK);
        assert_int_equal(p2p_tune_check_result(&operands, &right, why), P2P_OK);
        noticed += !right;
        assert_int_equal(module->device.buffer_write(device, at, &kept, sizeof kept), P2P_OK);
        assert_int_equal(module->device.submit(device, &ticket), P2P_OK);
        assert_int_equal(module->device.wait(device, ticket), P2P_OK);
    }
    assert_int_equal(noticed, dx->c);
    p2p_tune_check_close(&operands);
}

/* ---- Stored choices -------------------------------------------------------------------------------- */

static void choose(const p2p_op *op, p2p_tune mode, p2p_choice *choice) {
    memset(choice, 0, sizeof *choice);
    assert_int_equal(module->device.op_choose(device, op, mode, even_clock, choice), P2P_OK);
}

static void keep(const p2p_op *op, const char *name) {
    ocl_choice choice = {.seconds = 0.25, .default_seconds = 0.5};
    assert_true(ocl_conv_algorithm_parse(name, &choice.algorithm));
    ocl_kept_put(device, op, &choice);
}

static void keeps_what_it_measured(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[0]), other = parse(shapes[1]);
    char fast[P2P_CHOICE_NAME];
    p2p_choice choice;
    other_algorithm(&op, fast);
    choose(&op, P2P_TUNE_MEASURE, &choice);
    assert_string_equal(choice.name, "");
    assert_true(choice.measured && choice.seconds > 0);
    assert_true(clock_readings > 0);
    clock_readings = 0;
    reopen();
    choose(&op, P2P_TUNE_MEASURE, &choice); /* found */
    assert_true(!choice.measured && choice.seconds > 0);
    assert_int_equal(clock_readings, 0);
    keep(&op, fast);
    reopen();
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_string_equal(choice.name, fast);
    assert_true(choice.seconds == 0.25 && choice.default_seconds == 0.5);
    choose(&other, P2P_TUNE_STORED, &choice); /* nothing stored, nothing measured */
    assert_string_equal(choice.name, "");
    assert_true(choice.seconds == 0);
    assert_int_equal(clock_readings, 0);
    choose(&op, P2P_TUNE_ANEW, &choice);
    assert_true(choice.measured);
    assert_string_equal(choice.name, "");
    assert_true(clock_readings > 0);
}

static void arithmetic_reads_no_clock_and_no_file(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[0]);
    char fast[P2P_CHOICE_NAME];
    p2p_choice choice;
    p2p_query before, with, after;
    other_algorithm(&op, fast);
    assert_int_equal(module->device.op_query(device, &op, &before), P2P_OK);
    keep(&op, fast);
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_string_equal(choice.name, fast);
    assert_int_equal(module->device.op_query(device, &op, &with), P2P_OK);
    assert_string_not_equal(before.kernel, with.kernel);
    choose(&op, P2P_TUNE_OFF, &choice);
    assert_string_equal(choice.name, "");
    assert_int_equal(module->device.op_query(device, &op, &after), P2P_OK);
    assert_string_equal(before.kernel, after.kernel);
    assert_int_equal(clock_readings, 0);
}

static void what_does_not_fit_is_not_measured(void **state) {
    (void)state;
    const size_t image = (size_t)4096 * 1024 * 1024 * sizeof(float);
    const int images = (int)(device->info.max_alloc_bytes / image) + 1;
    char text[P2P_OP_TEXT];
    snprintf(text, sizeof text,
             "conv_fwd x=f32:nchwc16:%dx4096x1024x1024 w=f32:ckrs16:16x4096x4x4 y=f32:nchwc16:%dx16x512x512 "
             "stride=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
             images, images);
    const p2p_op op = parse(text);
    made_up times = {.algorithm = NULL};
    const ocl_timer timer = {give_time, &times};
    ocl_choice tuned;
    p2p_choice choice;
    assert_int_equal(ocl_tune(device, &op, &timer, &tuned), P2P_OUT_OF_MEMORY);
    choose(&op, P2P_TUNE_MEASURE, &choice);
    assert_string_equal(choice.name, "");
    assert_true(!choice.measured && choice.seconds == 0);
    assert_int_equal(clock_readings, 0);
    assert_int_equal(warnings, 0);
}

/* An algorithm that was correct when it was measured, and is not any more. */
static void tests_what_is_kept(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[2]);
    char fast[P2P_CHOICE_NAME];
    p2p_choice choice;
    other_algorithm(&op, fast);
    keep(&op, fast);
    setenv("P2P_OPENCL_FAIL", fast, 1);
    reopen();
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_string_equal(choice.name, "");
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, device->info.driver));
    assert_non_null(strstr(warning, fast));
    assert_int_equal(module->device.op_impose(device, &op, fast), P2P_UNSUPPORTED);
    assert_int_equal(warnings, 1); /* once per device */
    unsetenv("P2P_OPENCL_FAIL");
    reopen();
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_string_equal(choice.name, fast);
}

static void another_driver_is_another_device(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[0]);
    char fast[P2P_CHOICE_NAME];
    p2p_choice choice;
    other_algorithm(&op, fast);
    keep(&op, fast);
    reopen();
    device->info.driver[0] ^= 1;
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_string_equal(choice.name, "");
    device->info.driver[0] ^= 1;
}

/* Replaces the device's file of choices by any text. */
static void forge(const char *text, size_t size) {
    ocl_cache_key *key = ocl_cache_key_make(device, "p2p tune 1", "choices");
    assert_non_null(key);
    host.cache_put("tune", key->part, key->count, text, size);
    free(key);
}

static void survives_any_file(void **state) {
    (void)state;
    static const char *const lines[] = {
        "%s",
        "\t%s",
        "\t\t\t%s",
        "direct\t1\t%s",
        "direct\t-1\t1\t%s",
        "direct\tnan\t1\t%s",
        "direct\tinf\t1\t%s",
        "direct\t1\t0\t%s",
        "direct\t1\t1x\t%s",
        "nonsense\t1\t1\t%s",
        "direct:\t1\t1\t%s",
        "direct:99x99x99x99\t1\t1\t%s",
        "direct:1x1x1\t1\t1\t%s",
        ":1x1x8x2\t1\t1\t%s",
        "direct:1234567890123456789012345678901234567890123456789012345678901234567890\t1\t1\t%s",
        "direct\t1\t1\tx%s",
        "direct\t1\t1\t%sx",
        "direct\t1\t1\t%.20s"};
    const p2p_op op = parse(shapes[0]);
    char descriptor[P2P_OP_TEXT], text[P2P_OP_TEXT + 256];
    p2p_choice choice;
    p2p_op_print(&op, descriptor, sizeof descriptor);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        snprintf(text, sizeof text, lines[i], descriptor);
        forge(text, strlen(text));
        reopen();
        choose(&op, P2P_TUNE_STORED, &choice);
        if (choice.name[0] || choice.seconds != 0) fail_msg("believed '%s'", text);
    }
    static const char zeros[100] = {0};
    forge(zeros, sizeof zeros);
    reopen();
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_string_equal(choice.name, "");
    snprintf(text, sizeof text, "garbage\n\n\t\t\ndirect\t1\t2\t%s",
             descriptor); /* one line of them is intact */
    forge(text, strlen(text));
    reopen();
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_true(choice.seconds == 1 && choice.default_seconds == 2);
    assert_int_equal(clock_readings, 0);
}

/* ---- Scope of a choice ----------------------------------------------------------------------------- */

static void expect_kernel(const char *text, const char *kernel) {
    const p2p_op op = parse(text);
    p2p_query answer;
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_OK);
    assert_non_null(strstr(answer.kernel, kernel));
}

#define GEOMETRY "stride=2 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1"

/* A choice applies to every fused form, and to an image alone in a batch of any size, but not to another
 * batch. */
static void reaches_all_forms_of_a_convolution(void **state) {
    (void)state;
    if (!device->target.cpu) TEST_SKIP("the names below are register tiles of a CPU");
    const p2p_op op = parse(shapes[0]);
    assert_int_equal(module->device.op_impose(device, &op, "direct:9x9x9x9"), P2P_UNSUPPORTED);
    assert_int_equal(module->device.op_impose(device, &op, "direct:1x2x3x2"), P2P_OK);
    expect_kernel("conv_fwd x=f32:nchwc16:1x20x9x9 w=f32:ckrs16:33x20x4x4 bias=f32:plain:1x33x1x1 "
                  "y+=f32:nchwc16:1x33x4x4 " GEOMETRY " act=relu",
                  "1x2x3x2");
    expect_kernel(
        "conv_fwd x=f32:nchwc16:1x20x9x9 w=f32:ckrs16:33x20x4x4 y=f32:nchwc16:1x33@16/64x4x4 " GEOMETRY,
        "1x2x3x2");
    expect_kernel(
        "conv_fwd x=f32:nchwc16:3x20x9x9 w=f32:ckrs16:33x20x4x4 y=f32:nchwc16:3x33x4x4 images=1 " GEOMETRY,
        "1x2x3x2");
    p2p_query answer;
    const p2p_op batch = parse("conv_fwd x=f32:nchwc16:3x20x9x9 w=f32:ckrs16:33x20x4x4 "
                               "y=f32:nchwc16:3x33x4x4 " GEOMETRY);
    assert_int_equal(module->device.op_query(device, &batch, &answer), P2P_OK);
    assert_null(strstr(answer.kernel, "1x2x3x2"));
    assert_int_equal(module->device.op_impose(device, &op, ""), P2P_OK);
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_OK);
    assert_null(strstr(answer.kernel, "1x2x3x2"));
    assert_int_equal(module->device.op_impose(device, &op, "no such algorithm"), P2P_UNSUPPORTED);
    MESSAGE_HAS("no such algorithm");
}

/* With a family named there are only its variants to choose from, and no other family. */
static void stays_within_the_family_asked_for(void **state) {
    (void)state;
    const p2p_op op = parse(shapes[0]);
    setenv("P2P_OPENCL_CONV", "gpu", 1);
    reopen();
    unsetenv("P2P_OPENCL_CONV");
    ocl_conv_algorithms algorithms;
    assert_int_equal(ocl_conv_list_algorithms(&device->target, &op, &algorithms), P2P_OK);
    assert_true(algorithms.count > 1);
    for (int i = 1; i < algorithms.count; i++) assert_int_equal(algorithms.algorithm[i].family, OCL_CONV_GPU);
    assert_int_equal(module->device.op_impose(device, &op, "gemm"), P2P_UNSUPPORTED);
}

static bool lists(const char *text, bool cpu, ocl_conv_family family) {
    const p2p_op op = parse(text);
    ocl_conv_algorithms algorithms;
    bool found = false;
    device->target.cpu = cpu;
    assert_int_equal(ocl_conv_list_algorithms(&device->target, &op, &algorithms), P2P_OK);
    for (int i = 0; i < algorithms.count; i++) found |= algorithms.algorithm[i].family == family;
    return found;
}

/* Rounding errors in place of zeros would mislead Adam, so Winograd is excluded even where it is faster. */
static void winograd_stays_off_small_maps(void **state) {
    (void)state;
    const char *large =
        "conv_fwd x=f32:nchwc16:1x64x32x32 w=f32:ckrs16:32x64x4x4 y=f32:nchwc16:1x32x16x16 " GEOMETRY;
    const char *small =
        "conv_fwd x=f32:nchwc16:1x64x8x8 w=f32:ckrs16:32x64x4x4 y=f32:nchwc16:1x32x4x4 " GEOMETRY;
    assert_true(lists(large, true, OCL_CONV_WINOGRAD));
    assert_false(lists(small, true, OCL_CONV_WINOGRAD));
    assert_true(lists(large, false, OCL_CONV_GPU_WINOGRAD));
    assert_false(lists(small, false, OCL_CONV_GPU_WINOGRAD));
    assert_false(lists(large, true, OCL_CONV_GEMM)); /* it compiles for seconds and wins nothing */
    assert_true(lists(large, false, OCL_CONV_GEMM));
}

static void names_read_back(void **state) {
    (void)state;
    static const char *const names[] = {"", "direct", "direct:1x1x8x2", "winograd", "gpu:64x64", "gemm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ocl_conv_algorithm algorithm;
        char name[P2P_CHOICE_NAME];
        assert_true(ocl_conv_algorithm_parse(names[i], &algorithm));
        ocl_conv_algorithm_print(&algorithm, name);
        assert_string_equal(name, names[i]);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_device, close_device)

int main(void) {
    setenv("POCL_CACHE_DIR", P2P_TEST_POCL, 1); /* before the driver is loaded */
    const struct CMUnitTest tests[] = {
        TEST(takes_the_fastest),
        TEST(noise_changes_nothing),
        TEST(does_not_time_what_is_wrong),
        TEST(tunes_as_for_a_gpu),
        TEST(notices_wrong_results),
        TEST(notices_one_wrong_element),
        TEST(keeps_what_it_measured),
        TEST(arithmetic_reads_no_clock_and_no_file),
        TEST(what_does_not_fit_is_not_measured),
        TEST(tests_what_is_kept),
        TEST(another_driver_is_another_device),
        TEST(survives_any_file),
        TEST(reaches_all_forms_of_a_convolution),
        TEST(stays_within_the_family_asked_for),
        TEST(winograd_stays_off_small_maps),
        TEST(names_read_back),
    };
    host = *p2p_host_services();
    host.warn = keeping_warn;
    unsetenv("P2P_OPENCL_CONV");
    unsetenv("P2P_OPENCL_VARIANT");
    unsetenv("P2P_OPENCL_FAIL");
    setenv("P2P_OPENCL_VECTOR_WIDTH", "16", 1); /* the algorithms above are those of wide vectors */
    setenv("P2P_OPENCL_CACHE", "off", 1);
    module = p2p_module_opencl(P2P_BACKEND_ABI, &host);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
