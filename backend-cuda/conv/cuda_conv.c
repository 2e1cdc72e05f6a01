/* Prepared convolutions on a device. See cuda_conv.h. */
#include "cuda_conv.h"

#include "cuda_algorithm.h"

#include <stdlib.h>

struct cuda_convs {
    cuda_queue *queue;
    cuda_algorithms algorithms;
};

struct cuda_conv_call {
    cuda_algorithm *algorithm;
    int count;
    cudnnBackendDescriptor_t pack[]; /* pointers, one pack per repetition */
};

/* ---- Devices ------------------------------------------------------------------------------------------- */

static p2p_status open_handle(cuda_queue *queue, cudnnHandle_t *handle) {
    CUDA_TRY_DNN(queue, cudnnCreate, handle);
    CUDA_TRY_DNN(queue, cudnnSetStream, *handle, queue->stream);
    return P2P_OK;
}

p2p_status cuda_convs_open(cuda_queue *queue, cuda_convs **convs) {
    *convs = calloc(1, sizeof **convs);
    if (!*convs)
        return cuda_host->fail(P2P_OUT_OF_MEMORY, "%s: no host memory for convolutions", queue->name);
    (*convs)->queue = (*convs)->algorithms.card.queue = queue;
    const p2p_status status = open_handle(queue, &(*convs)->algorithms.card.handle);
    if (status == P2P_OK) return P2P_OK;
    cuda_convs_close(*convs);
    *convs = NULL;
    return status;
}

void cuda_convs_close(cuda_convs *convs) {
    if (!convs) return;
    cuda_algorithms_release(&convs->algorithms);
    if (convs->algorithms.card.handle && !convs->queue->lost)
        cuda_dnn.cudnnDestroy(convs->algorithms.card.handle);
    free(convs);
}

cuda_algorithms *cuda_convs_algorithms(cuda_convs *convs) {
    return &convs->algorithms;
}

cuda_conv_library cuda_convs_library(cuda_convs *convs) {
    return (cuda_conv_library){cuda_algorithm_plan, &convs->algorithms};
}

int cuda_convs_failures(const cuda_convs *convs) {
    return convs->algorithms.failures;
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

static p2p_status make_packs(cuda_queue *queue, const cuda_conv *conv, const CUdeviceptr memory[3],
                             CUdeviceptr scratch, CUdeviceptr workspace, cuda_conv_call *call) {
    if (workspace == 0 && conv->workspace_bytes > 0) workspace = scratch + conv->workspace_offset;
    for (; call->count < conv->repeats; call->count++) {
        CUdeviceptr operand[CUDA_DNN_OPERANDS];
        for (int i = 0; i < CUDA_DNN_OPERANDS; i++)
            operand[i] = (conv->in_scratch[i] ? scratch + conv->offset[i] : memory[i]) +
                         (uint64_t)call->count * conv->distance[i];
        P2P_TRY(cuda_dnn_pack_make(queue, conv->conv.kind, operand, workspace, &call->pack[call->count]));
    }
    return P2P_OK;
}

p2p_status cuda_conv_own_bytes(cuda_convs *convs, const cuda_conv *conv, size_t *bytes) {
    cuda_algorithm *algorithm;
    P2P_TRY(cuda_algorithm_find(&convs->algorithms, &conv->conv, conv->algorithm, &algorithm));
    *bytes = algorithm->workspace_bytes > conv->workspace_bytes ? algorithm->workspace_bytes : 0;
    return P2P_OK;
}

p2p_status cuda_conv_create(cuda_convs *convs, const cuda_conv *conv, const CUdeviceptr memory[3],
                            CUdeviceptr scratch, CUdeviceptr workspace, cuda_conv_call **created) {
    cuda_algorithm *algorithm;
    *created = NULL;
    P2P_TRY(cuda_algorithm_find(&convs->algorithms, &conv->conv, conv->algorithm, &algorithm));
    cuda_conv_call *call = calloc(1, sizeof *call + (size_t)conv->repeats * sizeof call->pack[0]);
    if (!call)
        return cuda_host->fail(P2P_OUT_OF_MEMORY, "%s: no host memory for a convolution", convs->queue->name);
    call->algorithm = algorithm;
    algorithm->users++;
    const p2p_status status = make_packs(convs->queue, conv, memory, scratch, workspace, call);
    if (status == P2P_OK)
        *created = call;
    else
        cuda_conv_destroy(convs, call);
    return status;
}

/* Where the operands and the workspace of a repetition lie in memory of its own. Returns the bytes. */
static size_t lay_out(const cuda_conv *conv, const cuda_conv_call *call, size_t at[CUDA_DNN_OPERANDS],
                      size_t *workspace) {
    enum { ALIGNMENT = 256 };
    size_t bytes = 0;
    for (int i = 0; i < CUDA_DNN_OPERANDS; i++) {
        const int position = cuda_dnn_position(conv->conv.kind, cuda_dnn_identifier(conv->conv.kind, i));
        at[i] = bytes;
        bytes += (p2p_tensor_bytes(&conv->conv.t[position]) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    *workspace = bytes;
    return bytes + call->algorithm->workspace_bytes;
}

size_t cuda_conv_warm_bytes(const cuda_conv *conv, const cuda_conv_call *call) {
    size_t at[CUDA_DNN_OPERANDS], workspace;
    return call->algorithm->warm ? 0 : lay_out(conv, call, at, &workspace);
}

p2p_status cuda_conv_warm(cuda_convs *convs, const cuda_conv *conv, cuda_conv_call *call,
                          CUdeviceptr memory) {
    size_t at[CUDA_DNN_OPERANDS], workspace;
    CUdeviceptr operand[CUDA_DNN_OPERANDS];
    cudnnBackendDescriptor_t pack = NULL;
    lay_out(conv, call, at, &workspace);
    for (int i = 0; i < CUDA_DNN_OPERANDS; i++) operand[i] = memory + at[i];
    P2P_TRY(cuda_dnn_pack_make(convs->queue, conv->conv.kind, operand,
                               call->algorithm->workspace_bytes > 0 ? memory + workspace : 0, &pack));
    const cudnnStatus_t code =
        cuda_dnn.cudnnBackendExecute(convs->algorithms.card.handle, call->algorithm->plan, pack);
    const p2p_status status = cuda_check_dnn(convs->queue, code, "cudnnBackendExecute");
    call->algorithm->warm = status == P2P_OK;
    if (!convs->queue->lost) cuda_dnn_destroy(&pack);
    if (status != P2P_FAILED && status != P2P_UNSUPPORTED) return status;
    return cuda_algorithm_fail(&convs->algorithms, call->algorithm);
}

p2p_status cuda_conv_run(cuda_convs *convs, const cuda_conv_call *call) {
    for (int i = 0; i < call->count; i++)
        CUDA_TRY_DNN(convs->queue, cudnnBackendExecute, convs->algorithms.card.handle, call->algorithm->plan,
                     call->pack[i]);
    return P2P_OK;
}

void cuda_conv_destroy(cuda_convs *convs, cuda_conv_call *call) {
    if (!call) return;
    for (int i = 0; i < call->count && !convs->queue->lost; i++) cuda_dnn_destroy(&call->pack[i]);
    call->algorithm->users--;
    free(call);
}
