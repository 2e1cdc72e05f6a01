/* Properties of the OpenCL backend only: its messages, the choice of a convolution family, the building of
 * programs, the counting of submissions. test_ops tests what operations compute. Needs a device; its
 * absence is a failure.
 */
#include "conv/ocl_conv_direct.h"
#include "device/device.h"
#include "device/ocl_error.h"
#include "device/ocl_program.h"
#include "plan/ocl_plan.h"
#include "support/float_bits.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_skip.h"

static const p2p_module *module;

static p2p_be_device *open_device(void) {
    p2p_be_device *device = NULL;
    assert_int_equal(module->device_open(0, &device), P2P_OK);
    return device;
}

static p2p_be_device *open_with_family(const char *family) {
    assert_int_equal(setenv("P2P_OPENCL_CONV", family, 1), 0);
    p2p_be_device *device = open_device();
    unsetenv("P2P_OPENCL_CONV");
    return device;
}

/* ---- The module ------------------------------------------------------------------------------------ */

static void refuses_another_version(void **state) {
    (void)state;
    assert_null(p2p_module_opencl(P2P_BACKEND_ABI + 1, p2p_host_services()));
}

static void describes_its_devices(void **state) {
    (void)state;
    int count = 0;
    p2p_device_info info;
    p2p_obstacle obstacle = {0};
    assert_int_equal(module->device_count(&count, &obstacle), P2P_OK);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(module->device_info(i, &info), P2P_OK);
        assert_true(info.name[0] != '\0' && info.driver[0] != '\0');
        assert_true(info.compute_units > 0 && info.memory_bytes > 0);
        assert_true(info.max_alloc_bytes > 0 && info.max_alloc_bytes <= info.memory_bytes);
    }
    assert_int_equal(module->device_info(count, &info), P2P_NO_DEVICE);
}

static void names_a_wrong_family(void **state) {
    (void)state;
    p2p_be_device *device = NULL;
    setenv("P2P_OPENCL_CONV", "guess", 1);
    assert_int_equal(module->device_open(0, &device), P2P_USAGE);
    unsetenv("P2P_OPENCL_CONV");
    assert_null(device);
    MESSAGE_HAS("P2P_OPENCL_CONV");
    MESSAGE_HAS("guess");
}

/* ---- Buffers and submissions ----------------------------------------------------------------------- */

static void says_what_does_not_fit(void **state) {
    (void)state;
    p2p_be_device *device = open_device();
    p2p_be_buffer *buffer = NULL;
    p2p_status status =
        module->device.buffer_create(device, device->info.max_alloc_bytes + OCL_ALIGNMENT, &buffer);
    assert_int_equal(status, P2P_OUT_OF_MEMORY);
    assert_null(buffer);
    MESSAGE_HAS("MiB");
    MESSAGE_HAS(device->info.name);
    module->device.close(device);
}

static void moves_bytes_between_offsets(void **state) {
    (void)state;
    enum { BYTES = 4096, PART = 100 };
    const p2p_device_table *table = &module->device;
    p2p_be_device *device = open_device();
    p2p_be_buffer *from = NULL, *to = NULL;
    unsigned char sent[PART], received[BYTES];
    p2p_ticket ticket = 0;
    for (int i = 0; i < PART; i++) sent[i] = (unsigned char)(i + 1);
    assert_int_equal(table->buffer_create(device, BYTES, &from), P2P_OK);
    assert_int_equal(table->buffer_create(device, BYTES, &to), P2P_OK);
    assert_int_equal(table->buffer_write(device, (p2p_binding){from, 128}, sent, PART), P2P_OK);
    assert_int_equal(table->buffer_copy(device, (p2p_binding){from, 128}, (p2p_binding){to, 192}, PART),
                     P2P_OK);
    assert_int_equal(table->buffer_read(device, (p2p_binding){to, 0}, received, BYTES), P2P_OK);
    assert_int_equal(table->submit(device, &ticket), P2P_OK);
    assert_int_equal(table->wait(device, ticket), P2P_OK);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(received[i], i >= 192 && i < 192 + PART ? sent[i - 192] : 0);
    table->buffer_destroy(device, from);
    table->buffer_destroy(device, to);
    table->close(device);
}

/* More submissions than the queue records, waited for in any order and twice. */
static void counts_submissions(void **state) {
    (void)state;
    const p2p_device_table *table = &module->device;
    p2p_be_device *device = open_device();
    p2p_ticket ticket = 0, before = 0;
    for (int i = 0; i < 3 * OCL_IN_FLIGHT; i++, before = ticket) {
        assert_int_equal(table->submit(device, &ticket), P2P_OK);
        assert_true(ticket > before);
    }
    const p2p_ticket waited[] = {0, 1, ticket, ticket - 1, ticket - OCL_IN_FLIGHT, ticket};
    for (size_t i = 0; i < sizeof waited / sizeof waited[0]; i++)
        assert_int_equal(table->wait(device, waited[i]), P2P_OK);
    assert_int_equal(table->wait(device, ticket + 1), P2P_INVALID);
    table->close(device);
}

/* Codes that only a lost device returns; afterwards no function of it is called. */
static void stays_lost(void **state) {
    (void)state;
    p2p_be_device *device = open_device();
    p2p_ticket ticket = 0;
    assert_int_equal(ocl_check(device, CL_INVALID_VALUE, "a call"), P2P_FAILED);
    assert_int_equal(module->device.submit(device, &ticket), P2P_OK);
    assert_int_equal(module->device.wait(device, ticket), P2P_OK);
    assert_int_equal(ocl_check(device, CL_OUT_OF_RESOURCES, "a call"), P2P_DEVICE_LOST);
    MESSAGE_HAS("CL_OUT_OF_RESOURCES");
    assert_int_equal(module->device.submit(device, &ticket), P2P_DEVICE_LOST);
    assert_int_equal(module->device.wait(device, ticket), P2P_DEVICE_LOST);
    device->lost = false; /* so that closing releases everything */
    module->device.close(device);
}

/* ---- Programs -------------------------------------------------------------------------------------- */

static void builds_a_program_once(void **state) {
    (void)state;
    p2p_be_device *device = open_device();
    ocl_plan plan = {0};
    cl_kernel first = NULL, second = NULL;
    ocl_launch *launch = ocl_launch_add(&device->target, &plan, "pointwise.cl", "act_fwd");
    assert_int_equal(ocl_kernel_create(device, launch, &first), P2P_OK);
    ocl_program *built = device->programs;
    launch->kernel = "axpby";
    assert_int_equal(ocl_kernel_create(device, launch, &second), P2P_OK);
    assert_ptr_equal(device->programs, built);
    clReleaseKernel(first);
    clReleaseKernel(second);
    module->device.close(device);
}

static void names_what_does_not_build(void **state) {
    (void)state;
    p2p_be_device *device = open_device();
    ocl_plan plan = {0};
    cl_kernel kernel = NULL;
    ocl_launch *launch = ocl_launch_add(&device->target, &plan, "copy.cl", "copy_planes");
    ocl_launch_option(launch, "copy_planes=1");
    assert_int_equal(ocl_kernel_create(device, launch, &kernel), P2P_FAILED);
    MESSAGE_HAS("copy.cl");
    MESSAGE_HAS("CL_BUILD_PROGRAM_FAILURE");
    launch = ocl_launch_add(&device->target, &plan, "absent.cl", "act_fwd");
    assert_int_equal(ocl_kernel_create(device, launch, &kernel), P2P_FAILED);
    MESSAGE_HAS("absent.cl");
    launch = ocl_launch_add(&device->target, &plan, "copy.cl", "no_such_kernel");
    assert_int_equal(ocl_kernel_create(device, launch, &kernel), P2P_FAILED);
    MESSAGE_HAS("CL_INVALID_KERNEL_NAME");
    assert_null(kernel);
    module->device.close(device);
}

/* ---- Activations in bf16 --------------------------------------------------------------------------- */

/* Halfway in both directions, just beside, too large, infinite, and a NaN whose upper half alone would be
 * infinity. */
static const uint32_t edges[] = {0x3f808000, 0x3f818000, 0x3f808001, 0x3f817fff, 0xc0490fdb, 0x00000000,
                                 0x7f7fffff, 0xff7f8000, 0x7f7f7fff, 0x7f800000, 0xff800000, 0x7f800001,
                                 0xffc00000, 0x00808000, 0x80807fff, 0x43808000, 0x3effffff, 0xbf7f8000};
enum { EDGES = sizeof edges / sizeof edges[0], PER_CHANNEL = 2 };

/* Executes `text`, which stores channel c of x at both positions of y; x has each edge value `copies`
 * times. */
static void expect_rounded(p2p_be_device *device, const char *text, int copies) {
    const p2p_device_table *table = &module->device;
    p2p_op op;
    p2p_be_op *made = NULL;
    p2p_be_buffer *from = NULL, *to = NULL;
    p2p_ticket ticket = 0;
    uint32_t x[EDGES * PER_CHANNEL] = {0};
    uint16_t stored[2 * OCL_LANES * PER_CHANNEL];
    assert_int_equal(p2p_op_parse(text, &op), P2P_OK);
    assert_int_equal(p2p_op_validate(&op), P2P_OK);
    assert_int_equal(p2p_tensor_bytes(&op.t[1]), sizeof stored);
    for (int i = 0; i < EDGES * copies; i++) x[i] = edges[i / copies];
    assert_int_equal(table->buffer_create(device, sizeof x, &from), P2P_OK);
    assert_int_equal(table->buffer_create(device, sizeof stored, &to), P2P_OK);
    const p2p_binding bindings[P2P_MAX_OPERANDS] = {{from, 0}, {to, 0}};
    assert_int_equal(table->buffer_write(device, bindings[0], x, sizeof x), P2P_OK);
    assert_int_equal(table->op_create(device, &op, bindings, (p2p_binding){0}, &made), P2P_OK);
    assert_int_equal(table->op_run(device, made), P2P_OK);
    assert_int_equal(table->buffer_read(device, bindings[1], stored, sizeof stored), P2P_OK);
    assert_int_equal(table->submit(device, &ticket), P2P_OK);
    assert_int_equal(table->wait(device, ticket), P2P_OK);
    for (int i = 0; i < EDGES * PER_CHANNEL; i++) {
        const int c = i / PER_CHANNEL;
        const float edge = float_of_bits(edges[c]);
        const float got =
            float_of_bits((uint32_t)stored[p2p_tensor_index(&op.t[1], 0, c, i % PER_CHANNEL, 0)] << 16);
        const bool right = isnan(edge) ? isnan(got) : (double)got == p2p_round_bf16(edge);
        if (!right) fail_msg("%s: %08x became %a", text, (unsigned)edges[c], (double)got);
    }
    table->op_destroy(device, made);
    table->buffer_destroy(device, from);
    table->buffer_destroy(device, to);
}

/* By vectors, and element by element. */
static void rounds_to_bf16(void **state) {
    (void)state;
    p2p_be_device *device = open_with_family("gpu");
    expect_rounded(device, "axpby x=f32:plain:1x18x1x1 y=bf16:nchwc16:1x18x2x1 alpha=1", 1);
    expect_rounded(device, "copy x=f32:plain:1x18x2x1 y=bf16:nchwc16:1x18x2x1", PER_CHANNEL);
    module->device.close(device);
}

/* A CPU with its own kernels stores float32, even if it multiplies in bf16. All activations of an operation
 * have one type. */
static void stores_bf16_as_a_gpu_only(void **state) {
    (void)state;
    p2p_be_device *device = open_with_family("gpu");
    p2p_op op;
    p2p_query answer;
    assert_int_equal(p2p_op_parse("act_fwd x=bf16:nchwc16:1x3x2x2 y=bf16:nchwc16:1x3x2x2 act=relu", &op),
                     P2P_OK);
    assert_int_equal(device->info.activation_bf16.type, P2P_TYPE_bf16);
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_OK);
    op.t[P2P_AT_act_fwd_y].type = P2P_TYPE_f32;
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_UNSUPPORTED);
    MESSAGE_HAS("of one type");
    module->device.close(device);
    device = open_with_family("direct");
    if (device->target.cpu) {
        op.t[P2P_AT_act_fwd_y].type = P2P_TYPE_bf16;
        assert_int_equal(device->info.activation_bf16.type, P2P_TYPE_f32);
        assert_int_equal(module->device.op_query(device, &op, &answer), P2P_UNSUPPORTED);
        MESSAGE_HAS("must be f32:nchwc16");
    } else {
        TEST_SKIP_PART("no CPU, which would refuse activations in bf16");
    }
    module->device.close(device);
}

/* ---- The peak -------------------------------------------------------------------------------------- */

/* Every work-item counts its steps, and the memory of the others stays zero. */
static void expect_counts(const char *family, p2p_math math, int steps, int capacity) {
    enum { FLOATS = 1 << 18 };
    static float counts[FLOATS];
    const p2p_device_table *table = &module->device;
    p2p_be_device *device = open_with_family(family);
    p2p_be_buffer *buffer = NULL;
    p2p_be_op *op = NULL;
    p2p_ticket ticket = 0;
    double multiply_adds = 0, sum = 0;
    assert_int_equal(table->buffer_create(device, sizeof counts, &buffer), P2P_OK);
    assert_int_equal(
        table->peak_create(device, math, steps, (p2p_binding){buffer, 256}, capacity, &op, &multiply_adds),
        P2P_OK);
    assert_int_equal(table->op_run(device, op), P2P_OK);
    assert_int_equal(table->buffer_read(device, (p2p_binding){buffer, 0}, counts, sizeof counts), P2P_OK);
    assert_int_equal(table->submit(device, &ticket), P2P_OK);
    assert_int_equal(table->wait(device, ticket), P2P_OK);
    for (int i = 0; i < FLOATS; i++) {
        sum += counts[i];
        if (i < 64 || i >= 64 + capacity) assert_true(counts[i] == 0);
    }
    assert_true(counts[64] >= (float)steps && (capacity == 1 || counts[64] == counts[65]));
    assert_true(multiply_adds > 0 && sum == multiply_adds);
    table->op_destroy(device, op);
    table->buffer_destroy(device, buffer);
    table->close(device);
}

static void counts_its_peak(void **state) {
    (void)state;
    expect_counts("direct", P2P_MATH_stored, 100, 1 << 17);
    expect_counts("direct", P2P_MATH_stored, 100, 100);
    expect_counts("gpu", P2P_MATH_stored, 100, 1 << 17);
    expect_counts("gpu", P2P_MATH_stored, 100, 100);             /* not a whole number of groups */
    expect_counts("direct", P2P_MATH_stored, P2P_PEAK_STEPS, 1); /* counts are exact up to here */
    setenv("P2P_OPENCL_BF16", "portable", 1);
    expect_counts("direct", P2P_MATH_bf16, P2P_PEAK_STEPS, 1);
    expect_counts("direct", P2P_MATH_bf16, 100, 100);
    unsetenv("P2P_OPENCL_BF16");
    p2p_be_device *device = open_device();
    if (ocl_bf16_multiplies(&device->target))
        expect_counts("direct", P2P_MATH_bf16, 100, 1 << 17); /* instructions */
    else
        TEST_SKIP_PART("no instructions for bf16; the portable form has been tested");
    p2p_be_op *op = NULL;
    double multiply_adds = 0;
    assert_int_equal(
        module->device.peak_create(device, P2P_MATH_tf32, 1, (p2p_binding){0}, 1, &op, &multiply_adds),
        P2P_UNSUPPORTED);
    MESSAGE_HAS("tf32");
    module->device.close(device);
}

/* ---- Choices --------------------------------------------------------------------------------------- */

static void expect_kernel(p2p_be_device *device, const char *text, const char *kernel) {
    p2p_op op;
    p2p_query answer;
    assert_int_equal(p2p_op_parse(text, &op), P2P_OK);
    assert_int_equal(p2p_op_validate(&op), P2P_OK);
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_OK);
    if (strncmp(answer.kernel, kernel, strlen(kernel)) != 0)
        fail_msg("%s is done by %s instead of %s", text, answer.kernel, kernel);
}

#define POINTWISE "conv_fwd x=f32:nchwc16:1x32x8x8 w=f32:ckrs16:16x32x1x1 y=f32:nchwc16:1x16x8x8"
#define SPATIAL   "conv_fwd x=f32:nchwc16:1x32x8x8 w=f32:ckrs16:16x32x4x4 y=f32:nchwc16:1x16x5x5"
#define PLAIN     "conv_fwd x=f32:nchwc16:1x32x8x8 w=f32:plain:16x32x4x4 y=f32:nchwc16:1x16x5x5"

/* Transforming filters is worthwhile if many positions use them. */
#define MANY_POSITIONS                                                                                       \
    "conv_fwd x=f32:nchwc16:1x256x32x32 w=f32:ckrs16:512x256x4x4 y=f32:nchwc16:1x512x31x31 pad_top=1 "       \
    "pad_left=1 pad_bottom=1 pad_right=1"
#define FEW_POSITIONS                                                                                        \
    "conv_fwd x=f32:nchwc16:1x16x16x16 w=f32:ckrs16:16x16x4x4 y=f32:nchwc16:1x16x8x8 stride=2 pad_top=1 "    \
    "pad_left=1 pad_bottom=1 pad_right=1"
#define MANY_FILTERS                                                                                         \
    "conv_fwd x=f32:nchwc16:1x512x8x8 w=f32:ckrs16:512x512x4x4 y=f32:nchwc16:1x512x4x4 stride=2 pad_top=1 "  \
    "pad_left=1 pad_bottom=1 pad_right=1"

/* The kernel of the family without transforms. */
static const char *tiles_of(const p2p_be_device *device) {
    return device->target.cpu ? "conv_direct_tile" : "conv_gpu_data_tile";
}

static void chooses_families_by_shape(void **state) {
    (void)state;
    p2p_be_device *device = open_with_family("auto");
    expect_kernel(device, POINTWISE, "conv_gemm");
    expect_kernel(device, SPATIAL, tiles_of(device));
    expect_kernel(device, PLAIN, "conv_gemm");
    expect_kernel(device, MANY_POSITIONS, device->target.cpu ? "winograd" : "gpu_winograd");
    const bool streams = device->target.cpu && device->target.vector_width >= OCL_LANES;
    expect_kernel(device, MANY_FILTERS, streams ? "conv_stream_forward" : tiles_of(device));
    module->device.close(device);
}

static void obeys_the_switch(void **state) {
    (void)state;
    p2p_be_device *device = open_with_family("gemm");
    expect_kernel(device, SPATIAL, "conv_gemm");
    module->device.close(device);
    device = open_with_family("direct");
    expect_kernel(device, MANY_POSITIONS, "conv_direct_tile");
    module->device.close(device);
    device = open_with_family("winograd");
    expect_kernel(device, MANY_FILTERS, "winograd");
    module->device.close(device);
    device = open_with_family("gpu_winograd");
    assert_false(device->target.cpu);
    expect_kernel(device, MANY_FILTERS, "gpu_winograd F(4,2)");
    module->device.close(device);
    device = open_with_family("gpu");
    expect_kernel(device, POINTWISE, "conv_gpu_data_tile");
    /* A family that was requested refuses; no other replaces it. */
    p2p_op op;
    p2p_query answer;
    assert_int_equal(p2p_op_parse(PLAIN, &op), P2P_OK);
    assert_int_equal(module->device.op_query(device, &op, &answer), P2P_UNSUPPORTED);
    MESSAGE_HAS("ckrs16");
    module->device.close(device);
}

static void chooses_as_on_a_gpu(void **state) {
    (void)state;
    setenv("P2P_OPENCL_TREAT_AS", "gpu", 1);
    p2p_be_device *device = open_with_family("auto");
    assert_false(device->target.cpu);
    expect_kernel(device, MANY_POSITIONS, "gpu_winograd F(3,4)");
    expect_kernel(device, MANY_FILTERS, "conv_gpu_data_t");
    module->device.close(device);
    setenv("P2P_OPENCL_TREAT_AS", "fpga", 1);
    assert_int_equal(module->device_open(0, &device), P2P_USAGE);
    MESSAGE_HAS("P2P_OPENCL_TREAT_AS");
    unsetenv("P2P_OPENCL_TREAT_AS");
}

/* `always`: for every supported shape and no other; `off`: for none. */
static void switches_winograd(void **state) {
    (void)state;
    static const char *const kinds[] = {"", "gpu"};
    for (int k = 0; k < 2; k++) {
        setenv("P2P_OPENCL_TREAT_AS", kinds[k], 1);
        setenv("P2P_OPENCL_WINOGRAD", "off", 1);
        p2p_be_device *device = open_with_family("auto");
        expect_kernel(device, MANY_POSITIONS, tiles_of(device));
        module->device.close(device);
        setenv("P2P_OPENCL_WINOGRAD", "always", 1);
        device = open_with_family("auto");
        expect_kernel(device, FEW_POSITIONS, device->target.cpu ? "winograd" : "gpu_winograd");
        expect_kernel(device, MANY_FILTERS, "conv_"); /* a small map */
        module->device.close(device);
    }
    unsetenv("P2P_OPENCL_TREAT_AS");
    setenv("P2P_OPENCL_WINOGRAD", "on", 1);
    p2p_be_device *device = NULL;
    assert_int_equal(module->device_open(0, &device), P2P_USAGE);
    MESSAGE_HAS("P2P_OPENCL_WINOGRAD");
    unsetenv("P2P_OPENCL_WINOGRAD");
}

static void obeys_the_variant(void **state) {
    (void)state;
    setenv("P2P_OPENCL_VARIANT", "1x2x3x1", 1);
    p2p_be_device *device = open_with_family("direct");
    expect_kernel(device, SPATIAL, "conv_direct_tile plain 1x2x3x1");
    module->device.close(device);
    setenv("P2P_OPENCL_VARIANT", "9x9x9x9", 1); /* no device has registers for so many sums */
    device = open_with_family("direct");
    expect_kernel(device, SPATIAL, "conv_direct_tile plain 1x");
    module->device.close(device);
    setenv("P2P_OPENCL_VARIANT", "#1", 1); /* the second variant of the planner's list */
    device = open_with_family("direct");
    ocl_variant_name names[OCL_MOST_VARIANTS];
    p2p_op op;
    assert_int_equal(p2p_op_parse(SPATIAL, &op), P2P_OK);
    assert_true(ocl_conv_direct_variants(&device->target, &op, names) >= 2);
    char expected[64];
    snprintf(expected, sizeof expected, "conv_direct_tile plain %s", names[1]);
    expect_kernel(device, SPATIAL, expected);
    module->device.close(device);
    assert_int_equal(module->device_open(0, &device), P2P_USAGE); /* a variant without a family */
    MESSAGE_HAS("P2P_OPENCL_VARIANT");
    unsetenv("P2P_OPENCL_VARIANT");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_another_version),
        cmocka_unit_test(describes_its_devices),
        cmocka_unit_test(names_a_wrong_family),
        cmocka_unit_test(says_what_does_not_fit),
        cmocka_unit_test(moves_bytes_between_offsets),
        cmocka_unit_test(counts_submissions),
        cmocka_unit_test(rounds_to_bf16),
        cmocka_unit_test(stores_bf16_as_a_gpu_only),
        cmocka_unit_test(stays_lost),
        cmocka_unit_test(builds_a_program_once),
        cmocka_unit_test(names_what_does_not_build),
        cmocka_unit_test(counts_its_peak),
        cmocka_unit_test(chooses_families_by_shape),
        cmocka_unit_test(obeys_the_switch),
        cmocka_unit_test(chooses_as_on_a_gpu),
        cmocka_unit_test(switches_winograd),
        cmocka_unit_test(obeys_the_variant),
    };
    unsetenv("P2P_OPENCL_CONV");
    unsetenv("P2P_OPENCL_VARIANT");
    unsetenv("P2P_OPENCL_TREAT_AS");
    unsetenv("P2P_OPENCL_WINOGRAD");
    module = p2p_module_opencl(P2P_BACKEND_ABI, p2p_host_services());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
