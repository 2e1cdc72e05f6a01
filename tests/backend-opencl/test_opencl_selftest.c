/* The OpenCL backend's self-test: a family of convolutions that computes wrong results is detected and
 * skipped, with a warning that names the driver, equally in op_query and op_create; and a pass is stored
 * between runs. Needs a device; its absence is a failure.
 */
#include "conv/ocl_conv_direct.h"
#include "conv/ocl_conv_gemm.h"
#include "conv/ocl_conv_gpu.h"
#include "conv/ocl_conv_gpu_winograd.h"
#include "conv/ocl_conv_stream.h"
#include "device/device.h"
#include "host/cache.h"
#include "plan/ocl_plan.h"
#include "support/kept_warnings.h"
#include "support/test_files.h"
#include "tune/ocl_selftest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_op_text.h"
#include "support/test_skip.h"

/* ---- A host that counts warnings ------------------------------------------------------------------- */

static int tests_run;

static void counting_log(const char *format, ...) P2P_PRINTF(1, 2);

static void counting_log(const char *format, ...) {
    tests_run += strstr(format, "pass their test") != NULL;
}

static p2p_host host;
static const p2p_module *module;
static char *folder;
static p2p_be_device *device;

static int open_device(void **state) {
    (void)state;
    folder = test_folder_make();
    assert_int_equal(p2p_cache_folder_set(folder), P2P_OK);
    tests_run = 0;
    warnings_forget();
    return module->device_open(0, &device) != P2P_OK;
}

static int close_device(void **state) {
    (void)state;
    module->device.close(device);
    test_folder_remove(folder);
    return 0;
}

/* ---- Families with wrong results ------------------------------------------------------------------- */

/* Computes nothing. */
static p2p_status plan_nothing(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    (void)target, (void)op;
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "nothing");
    return P2P_OK;
}

/* Correct except for negative results of one kind. */
static p2p_status plan_clipped(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    p2p_op clipped = *op;
    if (op->kind == P2P_KIND_conv_fwd) clipped.act = P2P_ACT_relu;
    return ocl_plan_conv_direct(target, &clipped, plan);
}

/* Has a kernel that does not exist. */
static p2p_status plan_absent(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    (void)op;
    ocl_launch_add(target, plan, "copy.cl", "no_such_kernel");
    return P2P_OK;
}

static p2p_status plan_refusal(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    (void)plan;
    return ocl_refuse(target, op, "on principle");
}

/* An ocl_plan_maker: the planner that `context` points to. */
static p2p_status plan_by(void *context, const p2p_op *op, ocl_plan *plan) {
    const ocl_planner *planner = context;
    return (*planner)(&device->target, op, plan);
}

static ocl_verdict verdict_as(const char *name, p2p_type stored, ocl_planner planner) {
    ocl_verdict verdict = OCL_VERDICT_UNKNOWN;
    assert_int_equal(ocl_selftest_plans(device, name, stored, plan_by, &planner, &verdict), P2P_OK);
    assert_int_not_equal(verdict, OCL_VERDICT_UNKNOWN);
    return verdict;
}

static bool passes_as(const char *name, p2p_type stored, ocl_planner planner) {
    return verdict_as(name, stored, planner) == OCL_VERDICT_PASSES;
}

static bool passes(ocl_planner planner) {
    return passes_as("direct", P2P_TYPE_f32, planner);
}

static void notices_wrong_results(void **state) {
    (void)state;
    assert_false(passes(plan_nothing));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, "nan"));
    assert_false(passes(plan_clipped));
    assert_int_equal(warnings, 2);
    assert_non_null(strstr(warning, device->info.driver));
    assert_non_null(strstr(warning, "direct convolutions"));
    assert_non_null(strstr(warning, "conv_fwd"));
    assert_false(passes(plan_absent));
    assert_int_equal(warnings, 3);
    assert_int_equal(test_folder_entries(folder), 0); /* failures are not stored */
}

/* ---- Forms for small maps -------------------------------------------------------------------------- */

/* The planner, and the kernel of which results are wrong; how many plans have it. */
static struct {
    ocl_planner plan;
    const char *kernel;
    int plans;
} spoiled;

/* Correct unless the planner chooses the spoiled kernel: then the result is added to what the memory holds.
 */
static p2p_status plan_spoiled(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    static const int results[] = {[P2P_KIND_conv_fwd] = P2P_AT_conv_fwd_y,
                                  [P2P_KIND_conv_bwd_data] = P2P_AT_conv_bwd_data_dx,
                                  [P2P_KIND_conv_bwd_filter] = P2P_AT_conv_bwd_filter_dw};
    P2P_TRY(spoiled.plan(target, op, plan));
    if (strncmp(plan->answer.kernel, spoiled.kernel, strlen(spoiled.kernel)) != 0) return P2P_OK;
    p2p_op added = *op;
    added.accumulate |= 1u << results[op->kind];
    *plan = (ocl_plan){0};
    spoiled.plans++;
    return spoiled.plan(target, &added, plan);
}

static void expect_noticed(const char *family, ocl_planner plan, const char *kernel) {
    const int before = warnings;
    spoiled.plan = plan;
    spoiled.kernel = kernel;
    spoiled.plans = 0;
    assert_false(passes_as(family, P2P_TYPE_f32, plan_spoiled));
    assert_true(spoiled.plans > 0);
    assert_int_equal(warnings, before + 1);
    assert_non_null(strstr(warning, "nan"));
}

/* The kernels of the deepest layers, in every kind. */
static void runs_the_forms_for_small_maps(void **state) {
    (void)state;
    device->target.vector_width = OCL_LANES; /* `stream` is chosen for these only */
    expect_noticed("direct", ocl_plan_conv_direct, "conv_stream_forward 1x1");
    expect_noticed("direct", ocl_plan_conv_direct, "conv_stream_data 1x1");
    expect_noticed("direct", ocl_plan_conv_direct, "conv_stream_filter 1x1");
    assert_true(passes_as("direct", P2P_TYPE_f32, ocl_plan_conv_direct));
    device->target.cpu = false;
    expect_noticed("gpu", ocl_plan_conv_gpu, "conv_gpu_data_thin");
    expect_noticed("gpu", ocl_plan_conv_gpu, "conv_gpu_filter_thin");
    assert_true(passes_as("gpu", P2P_TYPE_f32, ocl_plan_conv_gpu));
}

/* An algorithm's variant names the form, for any vector width. */
static void tests_small_maps_by_name(void **state) {
    (void)state;
    const ocl_conv_algorithm algorithm = {OCL_CONV_DIRECT, OCL_CONV_STREAM};
    bool accepted = false;
    assert_int_equal(ocl_selftest_algorithm(device, &algorithm, P2P_TYPE_f32, &accepted), P2P_OK);
    assert_true(accepted);
    assert_int_equal(tests_run, 1);
    assert_int_equal(test_folder_entries(folder), 1);
}

/* ---- Activations in bf16 --------------------------------------------------------------------------- */

static ocl_planner right;

/* Correct except for negative results of one kind. */
static p2p_status plan_clipped_in_bf16(const ocl_target *target, const p2p_op *op, ocl_plan *plan) {
    p2p_op clipped = *op;
    assert_int_equal(op->t[0].type, P2P_TYPE_bf16);
    if (op->kind == P2P_KIND_conv_fwd) clipped.act = P2P_ACT_relu;
    return right(target, &clipped, plan);
}

static bool passes_in_bf16(ocl_conv_family family, ocl_planner planner) {
    return passes_as(ocl_conv_family_name(family), P2P_TYPE_bf16, planner);
}

/* Every family that may be chosen on a GPU, including the matrix library's, which P2P_OPENCL_CONV=gpu
 * excludes. */
static void tests_families_of_gpus_in_bf16(void **state) {
    (void)state;
    static const struct {
        ocl_conv_family family;
        ocl_planner plan;
    } families[] = {{OCL_CONV_GPU, ocl_plan_conv_gpu},
                    {OCL_CONV_GPU_WINOGRAD, ocl_plan_conv_gpu_winograd},
                    {OCL_CONV_GEMM, ocl_plan_conv_gemm}};
    device->target.cpu = false;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        right = families[i].plan;
        assert_false(passes_in_bf16(families[i].family, plan_clipped_in_bf16));
        assert_int_equal(warnings, (int)i + 1);
        assert_true(passes_in_bf16(families[i].family, families[i].plan));
        assert_int_equal(warnings, (int)i + 1);
    }
}

/* A family that refuses every shape is neither tested nor stored as passed, and may be used. */
static void lets_families_refuse(void **state) {
    (void)state;
    assert_int_equal(verdict_as("direct", P2P_TYPE_f32, plan_refusal), OCL_VERDICT_REFUSES);
    const ocl_conv_algorithm algorithm = {OCL_CONV_DIRECT, "no-such"};
    bool accepted = false;
    assert_int_equal(ocl_selftest_algorithm(device, &algorithm, P2P_TYPE_f32, &accepted), P2P_OK);
    assert_true(accepted);
    assert_int_equal(warnings, 0);
    assert_int_equal(tests_run, 0);
    assert_int_equal(test_folder_entries(folder), 0);
    assert_false(passes(plan_nothing));
}

/* CPUs do not store bf16. The verdict is recorded, so that planning ends. */
static void keeps_refusals_of_a_family(void **state) {
    (void)state;
    device->target.cpu = true;
    assert_int_equal(ocl_selftest_family(device, OCL_CONV_DIRECT, P2P_TYPE_bf16), P2P_OK);
    assert_int_equal(device->tuning->verdicts.family[OCL_CONV_DIRECT][1], OCL_VERDICT_REFUSES);
    assert_int_equal(test_folder_entries(folder), 0);
}

static void keeps_a_pass(void **state) {
    (void)state;
    assert_true(passes(ocl_plan_conv_direct));
    assert_int_equal(tests_run, 1);
    assert_int_equal(test_folder_entries(folder), 1);
    assert_true(passes(ocl_plan_conv_direct));
    assert_true(passes(plan_nothing)); /* not tested again: the stored pass has the same key */
    assert_int_equal(tests_run, 1);
    device->info.driver[0] ^= 1;
    assert_false(passes(plan_nothing)); /* another driver */
    device->info.driver[0] ^= 1;
    assert_int_equal(warnings, 1);
}

/* ---- Fallback -------------------------------------------------------------------------------------- */

/* A shape for which the Winograd family would be chosen, small enough to run. */
#define MANY_POSITIONS                                                                                       \
    "conv_fwd x=f32:nchwc16:1x256x32x32 w=f32:ckrs16:512x256x4x4 y=f32:nchwc16:1x512x31x31 pad_top=1 "       \
    "pad_left=1 pad_bottom=1 pad_right=1"

/* Lets the listed families fail, including all that rank higher; op_query must then report this kernel. */
static void expect_kernel(const char *failing, const char *kernel) {
    const p2p_op op = parse(MANY_POSITIONS);
    p2p_query first, second;
    memset(&device->tuning->verdicts, 0, sizeof device->tuning->verdicts);
    strcpy(device->environment.fail, failing);
    assert_int_equal(module->device.op_query(device, &op, &first), P2P_OK);
    assert_int_equal(strncmp(first.kernel, kernel, strlen(kernel)), 0);
    device->environment.fail[0] = '\0'; /* the verdict is final: plans stay valid */
    assert_int_equal(module->device.op_query(device, &op, &second), P2P_OK);
    assert_memory_equal(&first, &second, sizeof first);
}

static void expect_ranking(const char *winograd, const char *both, const char *tile) {
    expect_kernel("", winograd);
    warnings = 0;
    expect_kernel(winograd, tile);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, device->info.driver));
    assert_non_null(strstr(warning, winograd));
    expect_kernel(both, "conv_gemm");
}

static void takes_the_next_best(void **state) {
    (void)state;
    const bool cpu = device->target.cpu;
    if (cpu)
        expect_ranking("winograd", "winograd,direct", "conv_direct_tile");
    else
        TEST_SKIP_PART("no CPU, whose families have a ranking of their own");
    device->target.cpu = false; /* a CPU can run the kernels for GPUs */
    expect_ranking("gpu_winograd", "gpu_winograd,gpu", "conv_gpu_data_tile");
    device->target.cpu = cpu;
    const p2p_op op = parse(MANY_POSITIONS);
    p2p_query answer;
    memset(&device->tuning->verdicts, 0, sizeof device->tuning->verdicts);
    strcpy(device->environment.fail, "gemm,gpu,direct,winograd,gpu_winograd");
    warnings = 0;
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_UNSUPPORTED);
    MESSAGE_HAS("every family");
    assert_int_equal(warnings, 3);
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_UNSUPPORTED);
    assert_int_equal(warnings, 3); /* each once */
}

static void tests_nothing_that_is_asked_for_by_name(void **state) {
    (void)state;
    const p2p_op op = parse(MANY_POSITIONS);
    p2p_query answer;
    strcpy(device->environment.fail, "direct");
    device->target.family = OCL_CONV_DIRECT;
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_OK);
    assert_non_null(strstr(answer.kernel, "conv_direct_tile"));
    assert_int_equal(warnings, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_device, close_device)

int main(void) {
    setenv("POCL_CACHE_DIR", P2P_TEST_POCL, 1); /* before the driver is loaded */
    const struct CMUnitTest tests[] = {
        TEST(notices_wrong_results),
        TEST(tests_families_of_gpus_in_bf16),
        TEST(runs_the_forms_for_small_maps),
        TEST(tests_small_maps_by_name),
        TEST(lets_families_refuse),
        TEST(keeps_refusals_of_a_family),
        TEST(keeps_a_pass),
        TEST(takes_the_next_best),
        TEST(tests_nothing_that_is_asked_for_by_name),
    };
    host = *p2p_host_services();
    host.log = counting_log;
    host.warn = keeping_warn;
    unsetenv("P2P_OPENCL_CONV");
    unsetenv("P2P_OPENCL_FAIL");
    setenv("P2P_OPENCL_CACHE", "off", 1);
    module = p2p_module_opencl(P2P_BACKEND_ABI, &host);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
