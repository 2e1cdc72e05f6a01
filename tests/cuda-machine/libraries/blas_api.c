/* cuBLAS's double, libcublas.so.13 and .12: handles and cublasGemmEx, as the backend calls them, and stricter
 * than the real library.
 *
 * It requires what makes cuBLAS predictable: a stream that is not the NULL stream, a workspace of the
 * caller's after the stream was set (setting the stream takes the workspace away, as in the real library,
 * which then allocates), arithmetic without atomic additions. The workspace is overwritten by every product.
 */
#include "machine_link.h"

#include "blas_compute.h"

#include <cublas_v2.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE_ALIGNMENT = 256, MOST_USED = 4 << 20 };

struct cublasContext {
    int device, capability;
    CUstream stream;
    CUdeviceptr workspace;
    size_t workspace_bytes;
    cublasMath_t math;
    cublasAtomicsMode_t atomics;
    cublasPointerMode_t pointer_mode;
    bool busy; /* under the lock */
    struct cublasContext *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cublasHandle_t handles;

/* ---- Statuses ------------------------------------------------------------------------------------------ */

#define NAMED(status)                                                                                        \
    { status, #status }
static const struct {
    cublasStatus_t status;
    const char *name;
} statuses[] = {
    NAMED(CUBLAS_STATUS_SUCCESS),          NAMED(CUBLAS_STATUS_NOT_INITIALIZED),
    NAMED(CUBLAS_STATUS_ALLOC_FAILED),     NAMED(CUBLAS_STATUS_INVALID_VALUE),
    NAMED(CUBLAS_STATUS_ARCH_MISMATCH),    NAMED(CUBLAS_STATUS_MAPPING_ERROR),
    NAMED(CUBLAS_STATUS_EXECUTION_FAILED), NAMED(CUBLAS_STATUS_INTERNAL_ERROR),
    NAMED(CUBLAS_STATUS_NOT_SUPPORTED),    NAMED(CUBLAS_STATUS_LICENSE_ERROR),
};
#undef NAMED
enum { STATUSES = sizeof statuses / sizeof *statuses };

MACHINE_EXPORT const char *cublasGetStatusName(cublasStatus_t status) {
    for (int i = 0; i < STATUSES; i++)
        if (statuses[i].status == status) return statuses[i].name;
    return "CUBLAS_STATUS_UNKNOWN";
}

static cublasStatus_t begin(const char *call) {
    machine_call_begin(call);
    if (!machine_load()) return CUBLAS_STATUS_NOT_INITIALIZED;
    const char *planted = machine.should_fail(call, true);
    for (int i = 0; planted && i < STATUSES; i++)
        if (strcmp(statuses[i].name, planted) == 0) return statuses[i].status;
    if (planted && machine_is_drivers(planted)) return CUBLAS_STATUS_EXECUTION_FAILED;
    return planted ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

/* ---- Handles ------------------------------------------------------------------------------------------- */

/* The handle becomes the calling thread's until `leave`. It must be alive, and of the current context. */
static cublasStatus_t enter(const char *call, cublasHandle_t handle) {
    const cublasStatus_t status = begin(call);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    pthread_mutex_lock(&lock);
    cublasHandle_t found = handles;
    while (found && found != handle) found = found->next;
    const bool busy = found && found->busy;
    if (found) found->busy = true;
    pthread_mutex_unlock(&lock);
    if (!found)
        return MACHINE_MISUSE(CUBLAS_STATUS_NOT_INITIALIZED, "a handle that was destroyed, or never was one");
    if (busy) return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "another thread is using the handle");
    sched_yield();
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t leave(cublasHandle_t handle, cublasStatus_t status) {
    pthread_mutex_lock(&lock);
    handle->busy = false;
    pthread_mutex_unlock(&lock);
    return status;
}

static cublasStatus_t check_current(const struct cublasContext *handle) {
    const int current = machine.current_device();
    if (current == handle->device) return CUBLAS_STATUS_SUCCESS;
    return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "the handle is of device %d, but %d is current",
                          handle->device, current);
}

MACHINE_EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
    machine_card card;
    const cublasStatus_t status = begin("cublasCreate_v2");
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (!handle) return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "no place for the handle");
    const int device = machine.current_device();
    if (device < 0 || !machine.device_card(device, &card))
        return MACHINE_MISUSE(CUBLAS_STATUS_NOT_INITIALIZED, "no context is current on the calling thread");
    if (machine.device_error(device) != CUDA_SUCCESS) return CUBLAS_STATUS_NOT_INITIALIZED;
    /* Since CUDA 13 there is no code for devices before Turing. */
    if (BLAS_MAJOR >= 13 && card.major * 10 + card.minor < 75) return CUBLAS_STATUS_ARCH_MISMATCH;
    cublasHandle_t made = calloc(1, sizeof *made);
    if (!made) return CUBLAS_STATUS_ALLOC_FAILED;
    made->device = device;
    made->capability = card.major * 10 + card.minor;
    pthread_mutex_lock(&lock);
    made->next = handles;
    handles = made;
    pthread_mutex_unlock(&lock);
    *handle = made;
    return CUBLAS_STATUS_SUCCESS;
}

MACHINE_EXPORT cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    const cublasStatus_t status = enter("cublasDestroy_v2", handle);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    pthread_mutex_lock(&lock);
    cublasHandle_t *at = &handles;
    while (*at != handle) at = &(*at)->next;
    *at = handle->next;
    pthread_mutex_unlock(&lock);
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

MACHINE_EXPORT cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value) {
    if (!value || type < MAJOR_VERSION || type > PATCH_LEVEL) return CUBLAS_STATUS_INVALID_VALUE;
    *value = type == MAJOR_VERSION ? BLAS_MAJOR : 0;
    return CUBLAS_STATUS_SUCCESS;
}

MACHINE_EXPORT cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    cublasStatus_t status = enter("cublasSetStream_v2", handle);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const int device = machine.stream_device((CUstream)stream);
    status = check_current(handle);
    if (status == CUBLAS_STATUS_SUCCESS && device != handle->device)
        status =
            MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE,
                           "the stream is NULL, not alive, or of another device than %d", handle->device);
    if (status == CUBLAS_STATUS_SUCCESS) {
        handle->stream = (CUstream)stream;
        handle->workspace = 0;
        handle->workspace_bytes = 0;
    }
    return leave(handle, status);
}

MACHINE_EXPORT cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes) {
    cublasStatus_t status = enter("cublasSetWorkspace_v2", handle);
    machine_allocation found;
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = check_current(handle);
    if (status == CUBLAS_STATUS_SUCCESS && (!workspace || bytes == 0))
        status = MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "no workspace");
    else if (status == CUBLAS_STATUS_SUCCESS && machine_address(workspace) % WORKSPACE_ALIGNMENT != 0)
        status = MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "the workspace is not aligned to %d bytes",
                                WORKSPACE_ALIGNMENT);
    else if (status == CUBLAS_STATUS_SUCCESS &&
             (!machine.find(machine_address(workspace), &found) || found.device != handle->device))
        status = MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "the workspace is not in memory of device %d",
                                handle->device);
    else if (status == CUBLAS_STATUS_SUCCESS &&
             found.begin + found.bytes - machine_address(workspace) < bytes)
        status = MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "the workspace is longer than its memory");
    if (status == CUBLAS_STATUS_SUCCESS) {
        handle->workspace = machine_address(workspace);
        handle->workspace_bytes = bytes;
    }
    return leave(handle, status);
}

MACHINE_EXPORT cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    cublasStatus_t status = enter("cublasSetMathMode", handle);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const int plain = (int)mode & ~CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    if (plain != CUBLAS_DEFAULT_MATH && plain != CUBLAS_PEDANTIC_MATH && plain != CUBLAS_TF32_TENSOR_OP_MATH)
        status = MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "math mode %d", (int)mode);
    else
        handle->math = mode;
    return leave(handle, status);
}

MACHINE_EXPORT cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode) {
    cublasStatus_t status = enter("cublasSetAtomicsMode", handle);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (mode != CUBLAS_ATOMICS_ALLOWED && mode != CUBLAS_ATOMICS_NOT_ALLOWED)
        status = MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "atomics mode %d", (int)mode);
    else
        handle->atomics = mode;
    return leave(handle, status);
}

MACHINE_EXPORT cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
    cublasStatus_t status = enter("cublasSetPointerMode_v2", handle);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (mode != CUBLAS_POINTER_MODE_HOST && mode != CUBLAS_POINTER_MODE_DEVICE)
        status = MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "pointer mode %d", (int)mode);
    else
        handle->pointer_mode = mode;
    return leave(handle, status);
}

/* ---- Products ------------------------------------------------------------------------------------------ */

typedef struct {
    blas_shape shape;
    float alpha, beta;
    CUdeviceptr alpha_at, beta_at; /* pointer mode of the device, else 0 */
    CUdeviceptr a, b, c, workspace;
    size_t workspace_bytes;
    bool random;
} work;

enum { NANOSECONDS_PER_TERM = 10 }; /* so that measurements of products stay short here */

static void run(void *data) {
    static uint64_t runs; /* under the machine's lock */
    work *w = data;
    if (w->alpha_at) memcpy(&w->alpha, machine.memory(w->alpha_at), sizeof w->alpha);
    if (w->beta_at) memcpy(&w->beta, machine.memory(w->beta_at), sizeof w->beta);
    memset(machine.memory(w->workspace), 0xff, w->workspace_bytes);
    machine.spend((uint64_t)(w->shape.m * w->shape.n * w->shape.k) * NANOSECONDS_PER_TERM);
    if (!machine_computes()) {
        unsigned char *c = machine.memory(w->c);
        const size_t size = w->shape.c_bf16 ? 2 : 4;
        for (int64_t j = 0; j < w->shape.n; j++)
            machine_fill(c + (size_t)(j * w->shape.c_distance) * size, w->shape.c_bf16, w->shape.m);
        return;
    }
    if (w->random) {
        const uint64_t drawn = (machine.draw() + ++runs) * UINT64_C(0x9e3779b97f4a7c15);
        w->shape.chunk = 3 + (int64_t)(drawn >> 60);
        w->shape.last_first = drawn >> 59 & 1;
    }
    blas_compute(&w->shape, w->alpha, machine.memory(w->a), machine.memory(w->b), w->beta,
                 machine.memory(w->c));
}

typedef struct {
    const char *name;
    const void *pointer;
    cudaDataType type;
    int64_t rows, columns, distance;
} operand;

static size_t size_of(cudaDataType type) {
    return type == CUDA_R_32F ? 4 : 2;
}

/* The bytes from the first element to the last. */
static size_t bytes_of(const operand *o) {
    if (o->rows == 0 || o->columns == 0) return 0;
    return (size_t)((o->columns - 1) * o->distance + o->rows) * size_of(o->type);
}

static cublasStatus_t check_operand(const struct cublasContext *handle, const operand *o) {
    machine_allocation found;
    if (o->distance < (o->rows > 1 ? o->rows : 1))
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE,
                              "%s has %lld rows, but a distance of %lld between columns", o->name,
                              (long long)o->rows, (long long)o->distance);
    if (machine_address(o->pointer) % size_of(o->type) != 0)
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "%s is not aligned to its type", o->name);
    if (!machine.find(machine_address(o->pointer), &found) || found.device != handle->device)
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "%s is not in memory of device %d", o->name,
                              handle->device);
    return CUBLAS_STATUS_SUCCESS;
}

/* The types that the double computes; the real library has some more. */
static cublasStatus_t check_types(const struct cublasContext *handle, cudaDataType a, cudaDataType b,
                                  cudaDataType c, cublasComputeType_t compute) {
    const bool f32 = a == CUDA_R_32F && c == CUDA_R_32F,
               bf16 = a == CUDA_R_16BF && (c == CUDA_R_32F || c == CUDA_R_16BF);
    if (a != b || (!f32 && !bf16))
        return MACHINE_MISUSE(CUBLAS_STATUS_NOT_SUPPORTED, "types %d, %d, %d", (int)a, (int)b, (int)c);
    if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC &&
        compute != CUBLAS_COMPUTE_32F_FAST_TF32)
        return MACHINE_MISUSE(CUBLAS_STATUS_NOT_SUPPORTED, "compute type %d", (int)compute);
    if (bf16 && compute == CUBLAS_COMPUTE_32F_FAST_TF32)
        return MACHINE_MISUSE(CUBLAS_STATUS_NOT_SUPPORTED, "tf32 with bf16 factors");
    if (bf16 && handle->capability < 80) return CUBLAS_STATUS_ARCH_MISMATCH;
    return CUBLAS_STATUS_SUCCESS;
}

/* alpha or beta: of the host, or an address of the device. */
static cublasStatus_t read_scale(const struct cublasContext *handle, const char *name, const void *pointer,
                                 float *value, CUdeviceptr *at) {
    machine_allocation found;
    const bool on_device = pointer && machine.find(machine_address(pointer), &found) && found.device >= 0;
    if (!pointer) return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "%s is NULL", name);
    if (on_device != (handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE))
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "%s is not where the pointer mode says", name);
    if (on_device && found.device != handle->device)
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "%s is not in memory of device %d", name,
                              handle->device);
    *at = on_device ? machine_address(pointer) : 0;
    if (!on_device) memcpy(value, pointer, sizeof *value);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_handle(const struct cublasContext *handle) {
    const cublasStatus_t status = check_current(handle);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (!handle->stream)
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE,
                              "the handle has no stream: it would use the NULL stream");
    if (!handle->workspace)
        return MACHINE_MISUSE(
            CUBLAS_STATUS_INVALID_VALUE,
            "the handle has no workspace since its stream was set: cuBLAS would allocate one");
    if (machine.device_error(handle->device) != CUDA_SUCCESS) return CUBLAS_STATUS_EXECUTION_FAILED;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t enqueue(const struct cublasContext *handle, const work *w, const operand o[3]) {
    machine_range ranges[6] = {
        {"a", w->a, w->shape.k > 0 ? bytes_of(&o[0]) : 0, MACHINE_READ},
        {"b", w->b, w->shape.k > 0 ? bytes_of(&o[1]) : 0, MACHINE_READ},
        {"c", w->c, bytes_of(&o[2]), w->beta_at || w->beta != 0 ? MACHINE_UPDATE : MACHINE_WRITE},
        {"workspace", w->workspace, w->workspace_bytes, MACHINE_WRITE},
        {"alpha", w->alpha_at, w->alpha_at ? sizeof w->alpha : 0, MACHINE_READ},
        {"beta", w->beta_at, w->beta_at ? sizeof w->beta : 0, MACHINE_READ}};
    for (int i = 0; i < 4; i++)
        for (int j = 2; j < 4; j++)
            if (i != j && ranges[i].begin < ranges[j].begin + ranges[j].bytes &&
                ranges[j].begin < ranges[i].begin + ranges[i].bytes)
                return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "%s overlaps %s", ranges[j].what,
                                      ranges[i].what);
    if (machine.enqueue(handle->stream, "cublasGemmEx", ranges, 6, run, w, sizeof *w) != CUDA_SUCCESS)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_numbers(cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k,
                                    cublasGemmAlgo_t algo) {
    if (m < 0 || n < 0 || k < 0)
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "m = %d, n = %d, k = %d", m, n, k);
    if ((transa != CUBLAS_OP_N && transa != CUBLAS_OP_T) || (transb != CUBLAS_OP_N && transb != CUBLAS_OP_T))
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "operations %d and %d", (int)transa, (int)transb);
    if (algo != CUBLAS_GEMM_DEFAULT && algo != CUBLAS_GEMM_DEFAULT_TENSOR_OP)
        return MACHINE_MISUSE(CUBLAS_STATUS_INVALID_VALUE, "algorithm %d", (int)algo);
    return CUBLAS_STATUS_SUCCESS;
}

/* Whether the factors are rounded to tf32: tensor cores are used if type or mode allow it, and the device has
 * them. */
static bool uses_tf32(const struct cublasContext *handle, cublasComputeType_t compute) {
    const int mode = (int)handle->math & ~CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    return handle->capability >= 80 &&
           (compute == CUBLAS_COMPUTE_32F_FAST_TF32 ||
            (compute == CUBLAS_COMPUTE_32F && mode == CUBLAS_TF32_TENSOR_OP_MATH));
}

static cublasStatus_t multiply(cublasHandle_t handle, const operand o[3], blas_shape shape, const void *alpha,
                               const void *beta, cublasComputeType_t compute) {
    work w = {.a = machine_address(o[0].pointer),
              .b = machine_address(o[1].pointer),
              .c = machine_address(o[2].pointer),
              .workspace = handle->workspace,
              .workspace_bytes = handle->workspace_bytes < MOST_USED ? handle->workspace_bytes : MOST_USED,
              .random = handle->atomics == CUBLAS_ATOMICS_ALLOWED};
    cublasStatus_t status = check_types(handle, o[0].type, o[1].type, o[2].type, compute);
    for (int i = 0; i < 3 && status == CUBLAS_STATUS_SUCCESS; i++) status = check_operand(handle, &o[i]);
    if (status == CUBLAS_STATUS_SUCCESS) status = read_scale(handle, "alpha", alpha, &w.alpha, &w.alpha_at);
    if (status == CUBLAS_STATUS_SUCCESS) status = read_scale(handle, "beta", beta, &w.beta, &w.beta_at);
    if (status != CUBLAS_STATUS_SUCCESS || shape.m == 0 || shape.n == 0) return status;
    shape.bf16 = o[0].type == CUDA_R_16BF;
    shape.c_bf16 = o[2].type == CUDA_R_16BF;
    shape.tf32 = uses_tf32(handle, compute);
    shape.chunk = shape.tf32 || shape.bf16 ? 8 : 32;
    w.shape = shape;
    return enqueue(handle, &w, o);
}

/* cublas_api.h declares it; cublas_v2.h leads to it. */
MACHINE_EXPORT cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa,
                                           cublasOperation_t transb, int m, int n, int k, const void *alpha,
                                           const void *a, cudaDataType a_type, int lda, const void *b,
                                           cudaDataType b_type, int ldb, const void *beta, void *c,
                                           cudaDataType c_type, int ldc, cublasComputeType_t compute,
                                           cublasGemmAlgo_t algo) {
    cublasStatus_t status = enter("cublasGemmEx", handle);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const bool ta = transa == CUBLAS_OP_T, tb = transb == CUBLAS_OP_T;
    const operand operands[3] = {{"a", a, a_type, ta ? k : m, ta ? m : k, lda},
                                 {"b", b, b_type, tb ? n : k, tb ? k : n, ldb},
                                 {"c", c, c_type, m, n, ldc}};
    const blas_shape shape = {.m = m,
                              .n = n,
                              .k = k,
                              .transpose_a = ta,
                              .transpose_b = tb,
                              .a_distance = lda,
                              .b_distance = ldb,
                              .c_distance = ldc};
    status = check_numbers(transa, transb, m, n, k, algo);
    if (status == CUBLAS_STATUS_SUCCESS) status = check_handle(handle);
    if (status == CUBLAS_STATUS_SUCCESS) status = multiply(handle, operands, shape, alpha, beta, compute);
    return leave(handle, status);
}
