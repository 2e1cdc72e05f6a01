/* The limits of a device's queue: launches in pieces, a bounded amount of work, bounded waits. The
 * operation runner tests what pieces compute (test_ops_opencl_gpu_pieces_KIND). Needs a device: the kernels
 * for GPUs are requested on any device.
 */
#include "device/device.h"
#include "device/ocl_buffer.h"
#include "device/ocl_find.h"
#include "device/ocl_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_skip.h"

static const p2p_module *module;

static p2p_be_device *open_with(const char *family, const char *name, const char *value) {
    p2p_be_device *device = NULL;
    setenv("P2P_OPENCL_CONV", family, 1);
    if (name) setenv(name, value, 1);
    assert_int_equal(module->device_open(0, &device), P2P_OK);
    unsetenv("P2P_OPENCL_CONV");
    if (name) unsetenv(name);
    return device;
}

/* ---- Settings -------------------------------------------------------------------------------------- */

static void refuse_setting(const char *name, const char *value) {
    p2p_be_device *device = NULL;
    setenv(name, value, 1);
    assert_int_equal(module->device_open(0, &device), P2P_USAGE);
    unsetenv(name);
    assert_null(device);
    MESSAGE_HAS(name);
    MESSAGE_HAS(value);
}

static void refuses_what_is_no_limit(void **state) {
    (void)state;
    refuse_setting("P2P_OPENCL_LAUNCH_MS", "soon");
    refuse_setting("P2P_OPENCL_LAUNCH_MS", "0");
    refuse_setting("P2P_OPENCL_LAUNCH_MS", "inf");
    refuse_setting("P2P_OPENCL_TIMEOUT", "-1");
    refuse_setting("P2P_OPENCL_TIMEOUT", "10 minutes");
    refuse_setting("P2P_OPENCL_TIMEOUT", "nan");
}

static void keeps_to_what_intel_addresses(void **state) {
    (void)state;
    const uint64_t gib = 1 << 30;
    assert_true(ocl_largest_buffer("Intel(R) Corporation", P2P_DEVICE_GPU, 12 * gib) ==
                UINT32_MAX - OCL_SLACK);
    assert_true(ocl_largest_buffer("Intel(R) Corporation", P2P_DEVICE_GPU, gib) == gib - OCL_SLACK);
    assert_true(ocl_largest_buffer("Intel(R) Corporation", P2P_DEVICE_CPU, 12 * gib) == 12 * gib - OCL_SLACK);
    assert_true(ocl_largest_buffer("NVIDIA Corporation", P2P_DEVICE_GPU, 12 * gib) == 12 * gib - OCL_SLACK);
    assert_true(ocl_largest_buffer("any", P2P_DEVICE_GPU, 1) == 0);
}

/* ---- Pieces ---------------------------------------------------------------------------------------- */

static void expect_pieces(const p2p_be_device *device, double launches, size_t x, size_t z, size_t pieces_x,
                          size_t pieces_z) {
    const size_t groups[] = {x, 5, z};
    size_t pieces[3];
    ocl_queue_cut(device, launches * device->limits.launch_seconds, groups, pieces);
    assert_int_equal(pieces[0], pieces_x);
    assert_int_equal(pieces[1], 1);
    assert_int_equal(pieces[2], pieces_z);
}

static void cuts_long_launches(void **state) {
    (void)state;
    p2p_be_device *device = open_with("gpu", "P2P_OPENCL_LAUNCH_MS", "20");
    assert_true(device->limits.launch_seconds == 0.02);
    expect_pieces(device, 0, 100, 4, 1, 1);
    expect_pieces(device, 1, 100, 4, 1, 1);
    expect_pieces(device, 1.1, 100, 4, 1, 2);
    expect_pieces(device, 3.5, 100, 4, 1, 4);
    expect_pieces(device, 4.5, 100, 4, 2, 4);
    expect_pieces(device, 9, 100, 4, 3, 4);
    expect_pieces(device, 1e30, 100, 4, 100, 4);
    expect_pieces(device, 7, 1, 1, 1, 1);
    module->device.close(device);
}

static void estimates_on_gpus_only(void **state) {
    (void)state;
    p2p_op op;
    assert_int_equal(p2p_op_parse("conv_fwd x=f32:nchwc16:1x32x8x8 w=f32:ckrs16:16x32x4x4 "
                                  "y=f32:nchwc16:1x16x5x5",
                                  &op),
                     P2P_OK);
    p2p_be_device *gpu = open_with("gpu", NULL, NULL), *other = open_with("direct", NULL, NULL);
    assert_true(ocl_queue_estimate(gpu, &op) >= p2p_op_flops(&op) / gpu->limits.flops_per_second);
    if (other->target.cpu)
        assert_true(ocl_queue_estimate(other, &op) == 0);
    else
        TEST_SKIP_PART("no CPU, for which nothing is estimated");
    module->device.close(gpu);
    module->device.close(other);
}

/* ---- Waiting --------------------------------------------------------------------------------------- */

/* A convolution that takes some tenths of a second on a CPU, and milliseconds on the fastest GPU. */
typedef struct {
    p2p_be_device *device;
    p2p_be_buffer *buffer[P2P_MAX_OPERANDS];
    p2p_be_op *op;
} long_work;

static void begin(long_work *work, const char *timeout) {
    const p2p_device_table *table = &module->device;
    p2p_binding bindings[P2P_MAX_OPERANDS] = {{0}}, scratch = {0};
    p2p_op op;
    p2p_query answer;
    memset(work, 0, sizeof *work);
    work->device = open_with("gpu", "P2P_OPENCL_TIMEOUT", timeout);
    assert_int_equal(p2p_op_parse("conv_fwd x=f32:nchwc16:1x256x32x32 w=f32:ckrs16:512x256x4x4 "
                                  "y=f32:nchwc16:1x512x31x31 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
                                  &op),
                     P2P_OK);
    for (int i = 0; i < P2P_MAX_OPERANDS - 1; i++)
        if (p2p_tensor_present(&op.t[i])) {
            assert_int_equal(table->buffer_create(work->device, p2p_tensor_bytes(&op.t[i]), &work->buffer[i]),
                             P2P_OK);
            bindings[i].buffer = work->buffer[i];
        }
    assert_int_equal(table->op_query(work->device, &op, &answer), P2P_OK);
    if (answer.scratch_bytes > 0) {
        p2p_be_buffer **memory = &work->buffer[P2P_MAX_OPERANDS - 1];
        assert_int_equal(table->buffer_create(work->device, answer.scratch_bytes, memory), P2P_OK);
        scratch.buffer = *memory;
    }
    assert_int_equal(table->op_create(work->device, &op, bindings, scratch, &work->op), P2P_OK);
    assert_int_equal(table->op_run(work->device, work->op), P2P_OK);
}

static void end(long_work *work) {
    work->device->lost = false; /* so that everything is released */
    clFinish(work->device->queue);
    module->device.op_destroy(work->device, work->op);
    for (int i = 0; i < P2P_MAX_OPERANDS; i++)
        if (work->buffer[i]) module->device.buffer_destroy(work->device, work->buffer[i]);
    module->device.close(work->device);
}

static void fails_when_a_device_hangs(void **state) {
    (void)state;
    long_work work;
    p2p_ticket ticket = 0;
    begin(&work, "1e-6");
    assert_int_equal(module->device.submit(work.device, &ticket), P2P_OK);
    assert_int_equal(module->device.wait(work.device, ticket), P2P_DEVICE_LOST);
    MESSAGE_HAS("1e-06 s");
    HINT_HAS("P2P_OPENCL_TIMEOUT");
    assert_int_equal(module->device.submit(work.device, &ticket), P2P_DEVICE_LOST);
    end(&work);
}

static void waits_without_a_timeout(void **state) {
    (void)state;
    long_work work;
    p2p_ticket ticket = 0;
    begin(&work, "0");
    assert_int_equal(module->device.submit(work.device, &ticket), P2P_OK);
    assert_int_equal(module->device.wait(work.device, ticket), P2P_OK);
    end(&work);
}

static cl_int state_of(cl_event event) {
    cl_int state = CL_QUEUED;
    assert_int_equal(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL),
                     CL_SUCCESS);
    return state;
}

/* The mark that exceeds the limit waits for the first. */
static void bounds_the_queue(void **state) {
    (void)state;
    long_work work;
    p2p_ticket ticket = 0;
    begin(&work, "0");
    assert_int_equal(module->device.submit(work.device, &ticket), P2P_OK);
    work.device->unmarked_seconds = 0;
    for (int i = 0; i < OCL_MARKS; i++) assert_int_equal(ocl_queue_add(work.device, 1), P2P_OK);
    assert_int_equal(ocl_queue_add(work.device, 0.5), P2P_OK); /* not enough for a mark */
    assert_int_equal(work.device->marks, OCL_MARKS);
    assert_int_equal(ocl_queue_add(work.device, 0.5), P2P_OK);
    assert_int_equal(work.device->marks, OCL_MARKS + 1);
    assert_int_equal(state_of(work.device->in_flight[ticket % OCL_IN_FLIGHT]), CL_COMPLETE);
    end(&work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_limit),  cmocka_unit_test(keeps_to_what_intel_addresses),
        cmocka_unit_test(cuts_long_launches),        cmocka_unit_test(estimates_on_gpus_only),
        cmocka_unit_test(fails_when_a_device_hangs), cmocka_unit_test(waits_without_a_timeout),
        cmocka_unit_test(bounds_the_queue),
    };
    unsetenv("P2P_OPENCL_CONV");
    module = p2p_module_opencl(P2P_BACKEND_ABI, p2p_host_services());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
