/* The double of cuBLAS computes cublasGemmEx within the bounds of its types, and refuses each misuse. */
#include "double_test.h"

#include <cublas_v2.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { M = 13, N = 7, K = 40, WORKSPACE = 1 << 20 };

static cublasHandle_t handle;
static CUdeviceptr workspace;

static int setup(void **state) {
    test_open(state);
    OK(cublasCreate(&handle));
    OK(cublasSetStream(handle, (cudaStream_t)test_devices[0].stream));
    workspace = test_memory(WORKSPACE);
    OK(cublasSetWorkspace(handle, test_pointer(workspace), WORKSPACE));
    return 0;
}

static int teardown(void **state) {
    OK(cublasDestroy(handle));
    return test_close(state);
}

/* A product to make: all operands have distances of 50. */
typedef struct {
    bool transpose_a, transpose_b;
    cudaDataType type, c_type;
    cublasComputeType_t compute;
    float alpha, beta;
} product;

enum { DISTANCE = 50, ELEMENTS = 50 * 50 };

static cublasStatus_t multiply(const product *p, CUdeviceptr a, CUdeviceptr b, CUdeviceptr c) {
    return cublasGemmEx(handle, p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                        p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, M, N, K, &p->alpha, test_pointer(a),
                        p->type, DISTANCE, test_pointer(b), p->type, DISTANCE, &p->beta, test_pointer(c),
                        p->c_type, DISTANCE, p->compute, CUBLAS_GEMM_DEFAULT);
}

/* The error of each element, relative to the sum of magnitudes, is at most `bound`. Returns the largest. */
static double check_product(const product *p, double bound) {
    static float a[ELEMENTS], b[ELEMENTS], c[ELEMENTS], result[ELEMENTS];
    const bool bf16 = p->type == CUDA_R_16BF, c_bf16 = p->c_type == CUDA_R_16BF;
    double largest = 0;
    test_fill(a, ELEMENTS, 1);
    test_fill(b, ELEMENTS, 2);
    test_fill(c, ELEMENTS, 3);
    const CUdeviceptr a_at = test_floats(a, ELEMENTS, bf16), b_at = test_floats(b, ELEMENTS, bf16),
                      c_at = test_floats(c, ELEMENTS, c_bf16);
    OK(multiply(p, a_at, b_at, c_at));
    test_read(0, c_at, result, ELEMENTS, c_bf16);
    for (int j = 0; j < N; j++)
        for (int i = 0; i < M; i++) {
            double sum = 0, size = fabs((double)p->beta);
            for (int k = 0; k < K; k++) {
                float x = a[p->transpose_a ? k + i * DISTANCE : i + k * DISTANCE],
                      y = b[p->transpose_b ? j + k * DISTANCE : k + j * DISTANCE];
                if (bf16) x = test_bf16(x), y = test_bf16(y);
                sum += (double)x * (double)y;
                size += fabs((double)x * (double)y * (double)p->alpha);
            }
            const float before = c_bf16 ? test_bf16(c[i + j * DISTANCE]) : c[i + j * DISTANCE];
            sum = (double)p->alpha * sum + (p->beta != 0 ? (double)p->beta * (double)before : 0);
            const double error = fabs((double)result[i + j * DISTANCE] - sum) / size;
            assert_true(error <= bound);
            largest = error > largest ? error : largest;
        }
    for (int i = M; i < DISTANCE; i++) assert_float_equal(result[i], c_bf16 ? test_bf16(c[i]) : c[i], 0);
    return largest;
}

static void test_products(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        product p = {i & 1, i & 2, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 0};
        check_product(&p, 1e-6);
        p.alpha = 0.5f;
        p.beta = -2;
        p.compute = CUBLAS_COMPUTE_32F_PEDANTIC;
        check_product(&p, 1e-6);
        p.compute = CUBLAS_COMPUTE_32F_FAST_TF32;
        assert_true(check_product(&p, 1e-3) > 1e-6); /* it does round */
        p.type = CUDA_R_16BF;
        p.compute = CUBLAS_COMPUTE_32F;
        check_product(&p, 1e-6);
        p.c_type = CUDA_R_16BF;
        check_product(&p, 1.0 / 256);
    }
    const product plain = {false, false, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 0};
    OK(cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH));
    assert_true(check_product(&plain, 1e-3) > 1e-6);
    OK(cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH));
    check_product(&plain, 1e-6);
    OK(cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH));
}

/* Without atomic additions bits repeat; with them they do not. */
static void test_atomics(void **state) {
    (void)state;
    static float a[ELEMENTS], first[ELEMENTS], again[ELEMENTS];
    const product p = {false, false, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 0};
    test_fill(a, ELEMENTS, 4);
    memset(first, 0, sizeof first);
    const CUdeviceptr x = test_floats(a, ELEMENTS, false), c = test_floats(first, ELEMENTS, false);
    for (int atomics = 0; atomics < 2; atomics++) {
        bool equal = true;
        OK(cublasSetAtomicsMode(handle, atomics ? CUBLAS_ATOMICS_ALLOWED : CUBLAS_ATOMICS_NOT_ALLOWED));
        for (int round = 0; round < 8; round++) {
            OK(multiply(&p, x, x, c));
            test_read(0, c, round == 0 ? first : again, ELEMENTS, false);
            if (round > 0) equal = equal && memcmp(first, again, sizeof first) == 0;
        }
        assert_int_equal(equal, !atomics);
    }
    OK(cublasSetAtomicsMode(handle, CUBLAS_ATOMICS_NOT_ALLOWED));
}

/* A NaN in C is not read with beta 0; one in the workspace never is. */
static void test_scales(void **state) {
    (void)state;
    static float a[ELEMENTS], c[ELEMENTS];
    product p = {false, false, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 0};
    test_fill(a, ELEMENTS, 5);
    const CUdeviceptr x = test_floats(a, ELEMENTS, false), y = test_memory(sizeof c),
                      scale = test_floats(&p.alpha, 1, false), zero = test_floats(&p.beta, 1, false);
    OK(multiply(&p, x, x, y));
    test_read(0, y, c, ELEMENTS, false);
    assert_false(isnan(c[0]));
    OK(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE));
    OK(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, M, N, K, test_pointer(scale), test_pointer(x),
                    CUDA_R_32F, DISTANCE, test_pointer(x), CUDA_R_32F, DISTANCE, test_pointer(zero),
                    test_pointer(y), CUDA_R_32F, DISTANCE, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    const float before = c[0];
    test_read(0, y, c, ELEMENTS, false);
    assert_float_equal(c[0], before, 0);
    assert_int_not_equal(multiply(&p, x, x, y), 0);
    assert_refused("alpha is not where the pointer mode says");
    OK(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST));
    p.alpha = 0;
    OK(multiply(&p, x, x, y));
    test_read(0, y, c, ELEMENTS, false);
    assert_float_equal(c[0], 0, 0);
}

static cublasStatus_t plain(CUdeviceptr a, CUdeviceptr b, CUdeviceptr c, int m, int distance,
                            cudaDataType type, cublasComputeType_t compute, int algorithm) {
    const float one = 1, zero = 0;
    return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, N, K, &one, test_pointer(a), type, distance,
                        test_pointer(b), type, DISTANCE, &zero, test_pointer(c), CUDA_R_32F, DISTANCE,
                        compute, (cublasGemmAlgo_t)algorithm);
}

static void test_refusals(void **state) {
    (void)state;
    const CUdeviceptr a = test_memory(ELEMENTS * 4), b = test_memory(ELEMENTS * 4),
                      c = test_memory(ELEMENTS * 4);
    const product p = {false, false, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 0};
    const cublasComputeType_t f32 = CUBLAS_COMPUTE_32F;
    test_enter(1);
    const CUdeviceptr far = test_memory(ELEMENTS * 4);
    REFUSED(multiply(&p, a, b, c), "the handle is of device 0, but 1 is current");
    test_enter(0);
    REFUSED(multiply(&p, far, b, c), "a is not in memory of device 0");
    REFUSED(multiply(&p, a, b, far), "c is not in memory of device 0");
    REFUSED(multiply(&p, a + 2, b, c), "a is not aligned");
    REFUSED(multiply(&p, a, b, a), "c overlaps a");
    REFUSED(multiply(&p, a, workspace, c), "workspace overlaps b");
    REFUSED(multiply(&p, a + ELEMENTS * 4 - 64, b, c), "a");
    REFUSED(plain(a, b, c, -1, DISTANCE, CUDA_R_32F, f32, -1), "m = -1");
    REFUSED(plain(a, b, c, M, M - 1, CUDA_R_32F, f32, -1), "a has 13 rows");
    REFUSED(plain(a, b, c, M, DISTANCE, CUDA_R_64F, f32, -1), "types");
    REFUSED(plain(a, b, c, M, DISTANCE, CUDA_R_32F, CUBLAS_COMPUTE_64F, -1), "compute type");
    REFUSED(plain(a, b, c, M, DISTANCE, CUDA_R_16BF, CUBLAS_COMPUTE_32F_FAST_TF32, -1),
            "tf32 with bf16 factors");
    REFUSED(plain(a, b, c, M, DISTANCE, CUDA_R_32F, f32, 5), "algorithm 5");
    REFUSED(cublasSetWorkspace(handle, test_pointer(workspace + 16), 4096), "aligned to 256");
    REFUSED(cublasSetWorkspace(handle, test_pointer(workspace), WORKSPACE + 1), "longer than its memory");
    REFUSED(cublasSetWorkspace(handle, test_pointer(far), 4096), "not in memory of device 0");
    REFUSED(cublasSetStream(handle, NULL), "the stream is NULL");
    REFUSED(cublasSetStream(handle, (cudaStream_t)test_devices[1].stream), "of another device");
    REFUSED(cublasSetMathMode(handle, (cublasMath_t)7), "math mode");
    /* Setting the stream takes the workspace away. */
    OK(cublasSetStream(handle, (cudaStream_t)test_devices[0].stream));
    REFUSED(multiply(&p, a, b, c), "the handle has no workspace");
    OK(cublasSetWorkspace(handle, test_pointer(workspace), WORKSPACE));
    OK(multiply(&p, a, b, c));
    cublasHandle_t second;
    OK(cublasCreate(&second));
    OK(cublasDestroy(second));
    REFUSED(cublasDestroy(second), "never was one");
    OK(cuStreamSynchronize(test_devices[0].stream));
}

/* The workspace, or C, of two products that no stream orders. */
static void test_races(void **state) {
    (void)state;
    const CUdeviceptr a = test_memory(ELEMENTS * 4), b = test_memory(ELEMENTS * 4),
                      c = test_memory(ELEMENTS * 4), d = test_memory(ELEMENTS * 4);
    const product p = {false, false, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1, 0};
    OK(multiply(&p, a, b, c));
    OK(cublasSetStream(handle, (cudaStream_t)test_devices[0].other));
    OK(cublasSetWorkspace(handle, test_pointer(workspace), WORKSPACE));
    OK(multiply(&p, a, b, d));
    cuStreamSynchronize(test_devices[0].stream);
    cuStreamSynchronize(test_devices[0].other);
    assert_refused("cublasGemmEx");
    OK(cublasSetStream(handle, (cudaStream_t)test_devices[0].stream));
    OK(cublasSetWorkspace(handle, test_pointer(workspace), WORKSPACE));
}

static void *use_handle(void *data) {
    (void)data;
    cuCtxSetCurrent(test_devices[0].context);
    const double begun = test_clock();
    while (test_unrefused(begun)) cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH);
    return NULL;
}

static void test_two_threads(void **state) {
    (void)state;
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) OK(pthread_create(&thread[i], NULL, use_handle, NULL));
    for (int i = 0; i < 2; i++) OK(pthread_join(thread[i], NULL));
    assert_refused("another thread is using the handle");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_atomics),
                                       cmocka_unit_test(test_scales),   cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_races),    cmocka_unit_test(test_two_threads)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
