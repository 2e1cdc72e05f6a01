/* Use of bf16 by devices, and a test of CPUs' instructions before their first use.
 *
 * GPUs store activations in bf16 and compute in float32 (kernels/plan/common.clh): using the upper halves
 * of floats requires no extension. CPUs store floats, and their convolutions multiply in bf16
 * (P2P_MATH_bf16). OpenCL C has no such products. On PoCL's devices for the host's own CPU the kernels use
 * the AVX512_BF16 instructions by inline assembly (kernels/conv/bf16.clh), in programs of their own, built
 * only if cpuid has the feature. The same kernels with integer arithmetic instead run on every CPU device,
 * slower than fp32: P2P_OPENCL_BF16=portable selects them, for tests and simulators.
 */
#include "ocl_bf16.h"

#include "ocl_error.h"
#include "ocl_program.h"

#include "plan/ocl_plan.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* ---- Detection ------------------------------------------------------------------------------------- */

static bool host_has_instructions(void) {
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1;
#else
    return false;
#endif
}

/* PoCL's device names for the host's own CPU: pthread and basic before version 4, cpu since. Its other
 * devices, including remote ones, may be other processors. */
static bool is_host_cpu(const p2p_device_info *info) {
    static const char *const names[] = {"pthread", "basic", "cpu"};
    if (info->type != P2P_DEVICE_CPU || strncmp(info->driver, "Portable Computing Language", 27) != 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (strncmp(info->name, names[i], strlen(names[i])) == 0) return true;
    return false;
}

static ocl_bf16 refuse(p2p_device_info *info, const char *reason) {
    snprintf(info->no_bf16, sizeof info->no_bf16, "%s", reason);
    return OCL_BF16_NONE;
}

ocl_bf16 ocl_bf16_find(p2p_device_info *info, const ocl_environment *environment, int vector_width) {
    info->no_bf16[0] = '\0';
    info->activation_bf16 = info->activation;
    if (environment->bf16 == OCL_BF16_OFF) return refuse(info, "it is switched off by P2P_OPENCL_BF16=off");
    if (!ocl_environment_acts_as_cpu(environment, info->type)) {
        info->activation_bf16.type = P2P_TYPE_bf16;
        return OCL_BF16_STORED;
    }
    if (environment->bf16 == OCL_BF16_FORCE_PORTABLE) return OCL_BF16_PORTABLE;
    if (!is_host_cpu(info))
        return refuse(info, "on CPUs only PoCL supports it, because its kernels can contain assembly");
    if (!host_has_instructions()) return refuse(info, "this CPU lacks AVX512_BF16");
    if (vector_width < OCL_LANES)
        return refuse(info, "the driver compiles for narrower vectors than AVX-512");
    return OCL_BF16_ASSEMBLY;
}

/* ---- The test -------------------------------------------------------------------------------------- */

enum { TEST_VECTORS = 3, TEST_RESULTS = 2, TEST_FLOATS = (TEST_VECTORS + TEST_RESULTS) * OCL_LANES };

/* Pairs that round down, up, and to even in both directions, and whose order matters; then sums of two
 * products each. The expected results use the host's rounding. */
static void test_inputs(float *values) {
    static const float edges[4] = {1.00390625f, 1.01171875f, 3.0000001f, -0.7f};
    for (int l = 0; l < OCL_LANES; l++) {
        values[l] = edges[l % 4] * (float)(1 + l / 4);
        values[OCL_LANES + l] = edges[(l + 1) % 4] * (float)(2 + l % 3);
        values[2 * OCL_LANES + l] = (float)l;
    }
}

/* Lane l of the first result: the products of pair (a[l], b[l]) with itself, added to c[l]. Lane l of the
 * second: pair l % 8 of c, packed along its lanes, multiplied by (1, 256). */
static bool test_passes(const float *values) {
    for (int l = 0; l < OCL_LANES; l++) {
        const double a = p2p_round_bf16(values[l]), b = p2p_round_bf16(values[OCL_LANES + l]);
        const float *c = values + 2 * OCL_LANES, *got = values + TEST_VECTORS * OCL_LANES;
        const double squares = (double)c[l] + a * a + b * b, pair = c[l % 8 * 2] + 256.0 * c[l % 8 * 2 + 1];
        const double error = (double)got[l] - squares;
        if (!(error * error <= squares * squares * 1e-12) || (double)got[OCL_LANES + l] != pair) return false;
    }
    return true;
}

static cl_int run_test(p2p_be_device *device, cl_kernel kernel, cl_mem memory, float *values) {
    const size_t one[3] = {1, 1, 1}, bytes = TEST_FLOATS * sizeof(float);
    cl_ulong start = 0;
    cl_int code = clSetKernelArg(kernel, 0, sizeof memory, &memory);
    if (code == CL_SUCCESS) code = clSetKernelArg(kernel, 1, sizeof start, &start);
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(device->queue, kernel, 3, NULL, one, one, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueReadBuffer(device->queue, memory, CL_TRUE, 0, bytes, values, 0, NULL, NULL);
    return code;
}

p2p_status ocl_bf16_test(p2p_be_device *device) {
    float values[TEST_FLOATS] = {0};
    ocl_plan plan = {0};
    cl_kernel kernel = NULL;
    cl_int code = CL_SUCCESS;
    if (device->bf16_tested) return P2P_OK;
    ocl_launch *launch = ocl_launch_add(&device->target, &plan, "cpu.clh", "bf16_test");
    launch->source[2] = "bf16.clh";
    launch->source[3] = "bf16_test.cl";
    ocl_bf16_options(&device->target, launch);
    P2P_TRY(ocl_kernel_create(device, launch, &kernel));
    test_inputs(values);
    cl_mem memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof values,
                                   values, &code);
    if (code == CL_SUCCESS) code = run_test(device, kernel, memory, values);
    if (memory) clReleaseMemObject(memory);
    clReleaseKernel(kernel);
    P2P_TRY(ocl_check(device, code, "the test of bf16"));
    if (!test_passes(values)) {
        p2p_status status = ocl_host->fail(
            P2P_FAILED, "%s: this driver's kernels compute wrong numbers in bf16", device->info.name);
        return ocl_host->hint(status, "--precision fp32 does not use them");
    }
    device->bf16_tested = true;
    return P2P_OK;
}
