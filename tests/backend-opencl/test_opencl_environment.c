/* Environment variables of the OpenCL backend: defaults, each variable, and values that are not valid. No
 * device or driver.
 */
#include "conv/ocl_conv.h"
#include "device/ocl_environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const variables[] = {
    "P2P_OPENCL_BF16",     "P2P_OPENCL_VECTOR_WIDTH", "P2P_OPENCL_CONV",      "P2P_OPENCL_VARIANT",
    "P2P_OPENCL_WINOGRAD", "P2P_OPENCL_TREAT_AS",     "P2P_OPENCL_LAUNCH_MS", "P2P_OPENCL_TIMEOUT",
    "P2P_OPENCL_CACHE",    "P2P_OPENCL_FAIL"};

enum { VARIABLES = sizeof variables / sizeof variables[0] };

static int clear_variables(void **state) {
    (void)state;
    for (int i = 0; i < VARIABLES; i++) unsetenv(variables[i]);
    return 0;
}

static ocl_environment read_with(const char *name, const char *value) {
    setenv(name, value, 1);
    const ocl_environment e = ocl_environment_read();
    unsetenv(name);
    return e;
}

static void has_defaults(void **state) {
    (void)state;
    for (int i = -1; i < VARIABLES; i++) { /* an empty value is like none */
        if (i >= 0) setenv(variables[i], "", 1);
        const ocl_environment e = ocl_environment_read();
        assert_string_equal(e.problem, "");
        assert_true(e.bf16 == OCL_BF16_AUTO && e.vector_width == 0 && e.family == OCL_CONV_AUTO);
        assert_true(e.winograd == OCL_WINOGRAD_AUTO && !e.treat_as_gpu && e.cache == OCL_CACHE_AUTO);
        assert_true(e.launch_seconds == 0.1 && e.timeout == 120 && !e.variant[0] && !e.fail[0]);
        assert_true(ocl_environment_acts_as_cpu(&e, P2P_DEVICE_CPU));
        assert_false(ocl_environment_acts_as_cpu(&e, P2P_DEVICE_GPU));
    }
}

static void reads_each_variable(void **state) {
    (void)state;
    assert_int_equal(read_with("P2P_OPENCL_BF16", "portable").bf16, OCL_BF16_FORCE_PORTABLE);
    assert_int_equal(read_with("P2P_OPENCL_BF16", "off").bf16, OCL_BF16_OFF);
    assert_int_equal(read_with("P2P_OPENCL_VECTOR_WIDTH", "1").vector_width, 1);
    assert_int_equal(read_with("P2P_OPENCL_VECTOR_WIDTH", "16").vector_width, 16);
    assert_int_equal(read_with("P2P_OPENCL_WINOGRAD", "always").winograd, OCL_WINOGRAD_ALWAYS);
    assert_int_equal(read_with("P2P_OPENCL_CACHE", "on").cache, OCL_CACHE_ON);
    assert_true(read_with("P2P_OPENCL_LAUNCH_MS", "20").launch_seconds == 0.02);
    assert_true(read_with("P2P_OPENCL_TIMEOUT", "0").timeout == 0);
    ocl_environment_limit_timeout(7);
    assert_true(read_with("P2P_OPENCL_TIMEOUT", "30").timeout == 7);
    assert_true(read_with("P2P_OPENCL_TIMEOUT", "soon").problem[0] == '\0');
    ocl_environment_limit_timeout(-1);
    assert_true(read_with("P2P_OPENCL_TIMEOUT", "30").timeout == 30);
    const ocl_environment as_gpu = read_with("P2P_OPENCL_TREAT_AS", "gpu");
    assert_false(ocl_environment_acts_as_cpu(&as_gpu, P2P_DEVICE_CPU));
    for (int f = OCL_CONV_AUTO; f < OCL_CONV_FAMILIES; f++) {
        const ocl_environment e = read_with("P2P_OPENCL_CONV", ocl_conv_family_name((ocl_conv_family)f));
        assert_int_equal(e.family, f);
        assert_int_equal(ocl_environment_acts_as_cpu(&e, P2P_DEVICE_CPU),
                         f != OCL_CONV_GPU && f != OCL_CONV_GPU_WINOGRAD);
    }
    setenv("P2P_OPENCL_CONV", "direct", 1);
    assert_string_equal(read_with("P2P_OPENCL_VARIANT", "#2").variant, "#2");
    const ocl_environment failing = read_with("P2P_OPENCL_FAIL", "winograd,direct:1x1x8x2");
    assert_true(ocl_environment_fails(&failing, "winograd") &&
                ocl_environment_fails(&failing, "direct:1x1x8x2"));
    assert_false(ocl_environment_fails(&failing, "direct") ||
                 ocl_environment_fails(&failing, "gpu_winograd"));
}

/* The message names the variable and its value, and the default is used. */
static void names_what_makes_no_sense(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"P2P_OPENCL_BF16", "on"},
                                           {"P2P_OPENCL_VECTOR_WIDTH", "3"},
                                           {"P2P_OPENCL_VECTOR_WIDTH", "auto"},
                                           {"P2P_OPENCL_CONV", "guess"},
                                           {"P2P_OPENCL_VARIANT", "64x64"},
                                           {"P2P_OPENCL_WINOGRAD", "on"},
                                           {"P2P_OPENCL_TREAT_AS", "fpga"},
                                           {"P2P_OPENCL_LAUNCH_MS", "0"},
                                           {"P2P_OPENCL_LAUNCH_MS", "soon"},
                                           {"P2P_OPENCL_TIMEOUT", "-1"},
                                           {"P2P_OPENCL_TIMEOUT", "10 minutes"},
                                           {"P2P_OPENCL_TIMEOUT", "nan"},
                                           {"P2P_OPENCL_CACHE", "yes"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const ocl_environment e = read_with(wrong[i][0], wrong[i][1]);
        assert_non_null(strstr(e.problem, wrong[i][0]));
        assert_non_null(strstr(e.problem, wrong[i][1]));
        assert_true(e.launch_seconds > 0 && e.timeout == 120 && e.family == OCL_CONV_AUTO && !e.variant[0]);
    }
    char text[4096];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < VARIABLES; i++)
        assert_non_null(strstr(read_with(variables[i], text).problem, variables[i]));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, clear_variables, clear_variables)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(has_defaults),
        TEST(reads_each_variable),
        TEST(names_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
