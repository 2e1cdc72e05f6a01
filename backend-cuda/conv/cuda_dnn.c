/* Operation graphs of convolutions. See cuda_dnn.h. */
#include "cuda_dnn.h"

#include <string.h>

enum { ALIGNMENT = 16 }; /* bytes: a pixel of 8 channels in bf16 */

/* ---- Calls --------------------------------------------------------------------------------------------- */

/* cuDNN numbers its statuses by the thousand: 2000 for wrong parameters, 3000 for what it does not support,
 * 4000 for its own faults, a lack of memory among them, and so is the loss of the device. A list of engines
 * is searched beyond an engine that has any of these. */
static bool is_refusal(cudnnStatus_t status) {
    return (int)status >= 2000 && (int)status < 5000 &&
           status != CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED &&
           status != CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
}

static p2p_status check(cuda_queue *queue, cudnnStatus_t status, const char *call) {
    enum { OWN_FAULT = 4000 };
    char text[512] = "";
    if (!is_refusal(status)) return cuda_check_dnn(queue, status, call);
    if ((int)status >= OWN_FAULT) P2P_TRY(cuda_check_device(queue, call));
    cuda_dnn.cudnnGetLastErrorString(text, sizeof text);
    text[sizeof text - 1] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return cuda_host->fail(P2P_UNSUPPORTED, "cuda: %s: %s%s%s", call, cuda_dnn.cudnnGetErrorString(status),
                           text[0] ? ": " : "", text);
}

p2p_status cuda_dnn_create(cuda_queue *queue, cudnnBackendDescriptorType_t type,
                           cudnnBackendDescriptor_t *descriptor) {
    *descriptor = NULL;
    return check(queue, cuda_dnn.cudnnBackendCreateDescriptor(type, descriptor),
                 "cudnnBackendCreateDescriptor");
}

void cuda_dnn_destroy(cudnnBackendDescriptor_t *descriptor) {
    if (*descriptor) cuda_dnn.cudnnBackendDestroyDescriptor(*descriptor);
    *descriptor = NULL;
}

p2p_status cuda_dnn_set(cuda_queue *queue, cudnnBackendDescriptor_t descriptor,
                        cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                        const void *values) {
    return check(queue, cuda_dnn.cudnnBackendSetAttribute(descriptor, name, type, count, values),
                 "cudnnBackendSetAttribute");
}

p2p_status cuda_dnn_get(cuda_queue *queue, cudnnBackendDescriptor_t descriptor,
                        cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room,
                        int64_t *count, void *values) {
    *count = 0;
    return check(queue, cuda_dnn.cudnnBackendGetAttribute(descriptor, name, type, room, count, values),
                 "cudnnBackendGetAttribute");
}

p2p_status cuda_dnn_finalize(cuda_queue *queue, cudnnBackendDescriptor_t descriptor) {
    return check(queue, cuda_dnn.cudnnBackendFinalize(descriptor), "cudnnBackendFinalize");
}

p2p_status cuda_dnn_properties(cuda_queue *queue, const char *json, cudnnBackendDescriptor_t *properties) {
    P2P_TRY(cuda_dnn_create(queue, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, properties));
    p2p_status status = cuda_dnn_set(queue, *properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                     CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    if (status == P2P_OK) status = cuda_dnn_finalize(queue, *properties);
    if (status != P2P_OK) cuda_dnn_destroy(properties);
    return status;
}

/* ---- Kinds --------------------------------------------------------------------------------------------- */

/* How a kind's operation is named in cuDNN. x, w and y are those of the convolution or their gradients. */
typedef struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution, operand[CUDA_DNN_OPERANDS], alpha, beta;
    int position[CUDA_DNN_OPERANDS]; /* in p2p_op.t[] */
    int order[CUDA_DNN_OPERANDS];    /* identifiers of the operands that are read, then of the output */
} kind_names;

static const kind_names forward = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                   {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                                   {P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y},
                                   {CUDA_DNN_X, CUDA_DNN_W, CUDA_DNN_Y}};

static const kind_names backward_data = {
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
    {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
    {P2P_AT_conv_bwd_data_dx, P2P_AT_conv_bwd_data_w, P2P_AT_conv_bwd_data_dy},
    {CUDA_DNN_Y, CUDA_DNN_W, CUDA_DNN_X}};

static const kind_names backward_filter = {
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
    {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
    {P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dw, P2P_AT_conv_bwd_filter_dy},
    {CUDA_DNN_X, CUDA_DNN_Y, CUDA_DNN_W}};

static const kind_names *names_of(p2p_kind kind) {
    if (kind == P2P_KIND_conv_bwd_data) return &backward_data;
    return kind == P2P_KIND_conv_bwd_filter ? &backward_filter : &forward;
}

int cuda_dnn_identifier(p2p_kind kind, int order) {
    return names_of(kind)->order[order];
}

int cuda_dnn_position(p2p_kind kind, int identifier) {
    return names_of(kind)->position[identifier - 1];
}

/* ---- Graphs -------------------------------------------------------------------------------------------- */

/* cuDNN's order of extents is n c h w, or k c r s, in every layout: strides make channels the innermost.
 */
static p2p_status set_tensor(cuda_queue *queue, const p2p_tensor *t, int64_t identifier,
                             cudnnBackendDescriptor_t tensor) {
    const bool filter = t->layout == P2P_LAYOUT_krsc;
    const int64_t c = cuda_padded(t->c), extents[4] = {filter ? cuda_padded(t->n) : t->n, c, t->h, t->w};
    const int64_t strides[4] = {t->h * t->w * c, 1, t->w * c, c}, alignment = ALIGNMENT;
    const cudnnDataType_t type = t->type == P2P_TYPE_bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    P2P_TRY(cuda_dnn_set(queue, tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
    P2P_TRY(cuda_dnn_set(queue, tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, extents));
    P2P_TRY(cuda_dnn_set(queue, tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides));
    P2P_TRY(cuda_dnn_set(queue, tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &identifier));
    P2P_TRY(cuda_dnn_set(queue, tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    return cuda_dnn_finalize(queue, tensor);
}

static p2p_status set_convolution(cuda_queue *queue, const p2p_op *conv, cudnnBackendDescriptor_t to) {
    const int64_t dimensions = 2, stride = conv->stride ? conv->stride : 1;
    const int64_t strides[2] = {stride, stride}, dilations[2] = {1, 1};
    const int64_t before[2] = {conv->pad_top, conv->pad_left};
    const int64_t after[2] = {conv->pad_bottom, conv->pad_right};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    P2P_TRY(cuda_dnn_set(queue, to, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums));
    P2P_TRY(cuda_dnn_set(queue, to, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    P2P_TRY(cuda_dnn_set(queue, to, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dimensions));
    P2P_TRY(cuda_dnn_set(queue, to, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides));
    P2P_TRY(cuda_dnn_set(queue, to, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before));
    P2P_TRY(cuda_dnn_set(queue, to, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after));
    P2P_TRY(cuda_dnn_set(queue, to, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations));
    return cuda_dnn_finalize(queue, to);
}

static p2p_status set_operation(cuda_queue *queue, const p2p_op *conv, const kind_names *names,
                                const cuda_dnn_graph *g) {
    const bool adds = p2p_op_accumulates(conv, names->position[names->order[2] - 1]);
    const float alpha = 1, beta = adds ? 1 : 0;
    cudnnBackendDescriptor_t operation = g->operation;
    P2P_TRY(cuda_dnn_set(queue, operation, names->convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                         &g->convolution));
    for (int i = 0; i < CUDA_DNN_OPERANDS; i++)
        P2P_TRY(cuda_dnn_set(queue, operation, names->operand[i], CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                             &g->tensor[i]));
    P2P_TRY(cuda_dnn_set(queue, operation, names->alpha, CUDNN_TYPE_FLOAT, 1, &alpha));
    P2P_TRY(cuda_dnn_set(queue, operation, names->beta, CUDNN_TYPE_FLOAT, 1, &beta));
    return cuda_dnn_finalize(queue, operation);
}

static p2p_status set_graph(const cuda_dnn_card *card, const cuda_dnn_graph *g) {
    if (card->handle)
        P2P_TRY(cuda_dnn_set(card->queue, g->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
                             &card->handle));
    P2P_TRY(cuda_dnn_set(card->queue, g->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                         1, &g->operation));
    return cuda_dnn_finalize(card->queue, g->graph);
}

static p2p_status make(const cuda_dnn_card *card, const p2p_op *conv, cuda_dnn_graph *g) {
    const kind_names *names = names_of(conv->kind);
    for (int i = 0; i < CUDA_DNN_OPERANDS; i++) {
        P2P_TRY(cuda_dnn_create(card->queue, CUDNN_BACKEND_TENSOR_DESCRIPTOR, &g->tensor[i]));
        P2P_TRY(set_tensor(card->queue, &conv->t[names->position[i]], i + 1, g->tensor[i]));
    }
    P2P_TRY(cuda_dnn_create(card->queue, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, &g->convolution));
    P2P_TRY(set_convolution(card->queue, conv, g->convolution));
    P2P_TRY(cuda_dnn_create(card->queue, names->type, &g->operation));
    P2P_TRY(set_operation(card->queue, conv, names, g));
    P2P_TRY(cuda_dnn_create(card->queue, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &g->graph));
    return set_graph(card, g);
}

p2p_status cuda_dnn_graph_make(const cuda_dnn_card *card, const p2p_op *conv, cuda_dnn_graph *graph) {
    *graph = (cuda_dnn_graph){0};
    const p2p_status status = make(card, conv, graph);
    if (status != P2P_OK) cuda_dnn_graph_release(graph);
    return status;
}

void cuda_dnn_graph_release(cuda_dnn_graph *graph) {
    cuda_dnn_destroy(&graph->graph);
    cuda_dnn_destroy(&graph->operation);
    cuda_dnn_destroy(&graph->convolution);
    for (int i = 0; i < CUDA_DNN_OPERANDS; i++) cuda_dnn_destroy(&graph->tensor[i]);
}

/* ---- Packs --------------------------------------------------------------------------------------------- */

static void *address_of(CUdeviceptr memory) {
    return (void *)(uintptr_t)memory;
}

static p2p_status set_pack(cuda_queue *queue, p2p_kind kind, const CUdeviceptr operand[CUDA_DNN_OPERANDS],
                           CUdeviceptr workspace, cudnnBackendDescriptor_t pack) {
    int64_t identifiers[CUDA_DNN_OPERANDS];
    void *pointers[CUDA_DNN_OPERANDS], *const space = address_of(workspace);
    for (int i = 0; i < CUDA_DNN_OPERANDS; i++) {
        identifiers[i] = cuda_dnn_identifier(kind, i);
        pointers[i] = address_of(operand[i]);
    }
    P2P_TRY(cuda_dnn_set(queue, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, CUDA_DNN_OPERANDS,
                         identifiers));
    P2P_TRY(cuda_dnn_set(queue, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                         CUDA_DNN_OPERANDS, pointers));
    P2P_TRY(cuda_dnn_set(queue, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &space));
    return cuda_dnn_finalize(queue, pack);
}

p2p_status cuda_dnn_pack_make(cuda_queue *queue, p2p_kind kind, const CUdeviceptr operand[CUDA_DNN_OPERANDS],
                              CUdeviceptr workspace, cudnnBackendDescriptor_t *pack) {
    P2P_TRY(cuda_dnn_create(queue, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, pack));
    const p2p_status status = set_pack(queue, kind, operand, workspace, *pack);
    if (status != P2P_OK) cuda_dnn_destroy(pack);
    return status;
}
