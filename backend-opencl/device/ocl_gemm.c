/* Matrix products through CLBlast. See ocl_gemm.h. */
#include "ocl_gemm.h"

#include "ocl_error.h"
#include "ocl_queue.h"

#include <clblast_c.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

/* A product that has run once, so that its kernels are compiled. */
struct ocl_warm {
    ocl_gemm shape;
    bool offset_a, offset_b, offset_y; /* CLBlast copies matrices that do not start a buffer */
    ocl_warm *next;
};

/* CLBlast before 1.6.1 is not thread-safe in its first calls, and other devices may be in other threads. */
static mtx_t clblast_lock;
static once_flag clblast_once = ONCE_FLAG_INIT;

static void make_lock(void) {
    mtx_init(&clblast_lock, mtx_plain);
}

static void lock_clblast(void) {
    call_once(&clblast_once, make_lock);
    mtx_lock(&clblast_lock);
}

static CLBlastTranspose transposition(bool transpose) {
    return transpose ? CLBlastTransposeYes : CLBlastTransposeNo;
}

p2p_status ocl_gemm_scratch_size(void *context, const ocl_gemm *g, size_t *bytes) {
    p2p_be_device *device = context;
    *bytes = 0;
    lock_clblast();
    /* Offset 1 stands for any offset: every matrix that may need a copy is counted. */
    CLBlastStatusCode code = CLBlastSGemmTempBufferSize(
        CLBlastLayoutRowMajor, transposition(g->transpose_a), transposition(g->transpose_b), (size_t)g->m,
        (size_t)g->n, (size_t)g->k, 1, (size_t)g->a.row_distance, 1, (size_t)g->b.row_distance, 1,
        (size_t)g->y.row_distance, &device->queue, bytes);
    mtx_unlock(&clblast_lock);
    return ocl_check(device, (cl_int)code, "CLBlastSGemmTempBufferSize");
}

static p2p_status multiply(p2p_be_device *device, const ocl_gemm_call *call) {
    const ocl_gemm *g = &call->shape;
    CLBlastStatusCode code = CLBlastSgemmWithTempBuffer(
        CLBlastLayoutRowMajor, transposition(g->transpose_a), transposition(g->transpose_b), (size_t)g->m,
        (size_t)g->n, (size_t)g->k, g->alpha, call->a.memory, call->a.offset, call->a.row_distance,
        call->b.memory, call->b.offset, call->b.row_distance, g->beta, call->y.memory, call->y.offset,
        call->y.row_distance, &device->queue, NULL, call->temp);
    return ocl_check(device, (cl_int)code, "CLBlastSgemm");
}

p2p_status ocl_gemm_run(p2p_be_device *device, const ocl_gemm_call *call) {
    return multiply(device, call);
}

/* ---- Warming --------------------------------------------------------------------------------------- */

static bool same_warmth(const ocl_warm *a, const ocl_warm *b) {
    const ocl_gemm *s = &a->shape, *t = &b->shape;
    return s->m == t->m && s->n == t->n && s->k == t->k && s->transpose_a == t->transpose_a &&
           s->transpose_b == t->transpose_b && (s->beta == 0) == (t->beta == 0) &&
           s->a.row_distance == t->a.row_distance && s->b.row_distance == t->b.row_distance &&
           s->y.row_distance == t->y.row_distance && a->offset_a == b->offset_a &&
           a->offset_b == b->offset_b && a->offset_y == b->offset_y;
}

/* Allocates a stand-in matrix of the given rows. It starts away from the buffer's start if the real one
 * does. */
static p2p_status stand_in(p2p_be_device *device, int64_t rows, ocl_gemm_matrix *matrix) {
    cl_int code = CL_SUCCESS;
    size_t offset = matrix->offset > 0 ? OCL_LANES : 0;
    size_t bytes = (offset + (size_t)rows * matrix->row_distance) * sizeof(cl_float);
    matrix->memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    matrix->offset = offset;
    return ocl_check(device, code, "clCreateBuffer for a trial product");
}

/* Runs the product of `call` once, on stand-in matrices. */
static p2p_status multiply_once(p2p_be_device *device, const ocl_gemm_call *call) {
    ocl_gemm_call trial = *call;
    const ocl_gemm *g = &call->shape;
    trial.a.memory = trial.b.memory = trial.y.memory = NULL;
    p2p_status status = stand_in(device, g->transpose_a ? g->k : g->m, &trial.a);
    if (status == P2P_OK) status = stand_in(device, g->transpose_b ? g->n : g->k, &trial.b);
    if (status == P2P_OK) status = stand_in(device, g->m, &trial.y);
    if (status == P2P_OK) status = multiply(device, &trial);
    if (status == P2P_OK) status = ocl_queue_finish(device);
    const cl_mem made[] = {trial.a.memory, trial.b.memory, trial.y.memory};
    for (int i = 0; i < 3; i++)
        if (made[i] && !device->lost) clReleaseMemObject(made[i]);
    return status;
}

p2p_status ocl_gemm_warm(p2p_be_device *device, const ocl_gemm_call *call) {
    ocl_warm wanted = {.shape = call->shape,
                       .offset_a = call->a.offset > 0,
                       .offset_b = call->b.offset > 0,
                       .offset_y = call->y.offset > 0};
    for (const ocl_warm *w = device->warm; w; w = w->next)
        if (same_warmth(w, &wanted)) return P2P_OK;
    lock_clblast();
    p2p_status status = multiply_once(device, call);
    mtx_unlock(&clblast_lock);
    P2P_TRY(status);
    ocl_warm *entry = malloc(sizeof *entry);
    if (!entry) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a matrix product's record");
    *entry = wanted;
    entry->next = device->warm;
    device->warm = entry;
    return P2P_OK;
}

/* CLBlast's caches are keyed by the context's address, which a later context may reuse. */
void ocl_gemm_close(p2p_be_device *device) {
    if (!device->warm) return;
    CLBlastClearCache();
    while (device->warm) {
        ocl_warm *entry = device->warm;
        device->warm = entry->next;
        free(entry);
    }
}
