/* Descriptors of cuDNN's graph interface: the operation graph of a convolution, and the calls that every
 * other file of this folder makes. Engines, choices and memory are elsewhere.
 *
 * cuDNN plans for a device, through a handle, or for an absent card, through a description of its
 * properties. All descriptors of a graph, and all engines and plans made from it, are of the same
 * cuda_dnn_card.
 */
#ifndef CUDA_DNN_H
#define CUDA_DNN_H

#include "library/cuda_error.h"
#include "plan/cuda_target.h"

/* What cuDNN plans for: a device, with its queue and handle, or else a card's properties. */
typedef struct {
    cuda_queue *queue; /* NULL without a device */
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t properties; /* CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR */
} cuda_dnn_card;

/* The identifiers of the operands, in graphs and in the packs of pointers of an execution. */
enum { CUDA_DNN_X = 1, CUDA_DNN_W, CUDA_DNN_Y, CUDA_DNN_OPERANDS = 3 };

/* A finalized operation graph of one convolution. */
typedef struct {
    cudnnBackendDescriptor_t tensor[CUDA_DNN_OPERANDS]; /* at identifier - 1 */
    cudnnBackendDescriptor_t convolution, operation, graph;
} cuda_dnn_graph;

/* Builds the graph of a plain convolution (p2p_op_plain_convolution) whose operands are nhwc8 and krsc8, all
 * f32 or all bf16; sums are in f32. Channel counts are the stored ones, multiples of 8: padding lanes are
 * zero. The accumulate bit of the output makes it one that is added to. On failure nothing is left.
 * P2P_UNSUPPORTED, with cuDNN's reason, if cuDNN refuses a descriptor. */
p2p_status cuda_dnn_graph_make(const cuda_dnn_card *card, const p2p_op *conv, cuda_dnn_graph *graph);
void cuda_dnn_graph_release(cuda_dnn_graph *graph);

/* The identifier of an operand as cuda_conv.operand orders them: the two that are read, then the output. */
int cuda_dnn_identifier(p2p_kind kind, int order);
/* The position in p2p_op.t[] of the operand with the identifier. */
int cuda_dnn_position(p2p_kind kind, int identifier);

/* Makes the pack of pointers (CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR) of an execution: of the operands as
 * cuda_dnn_identifier orders them, and of the workspace, 0 for none. */
p2p_status cuda_dnn_pack_make(cuda_queue *queue, p2p_kind kind, const CUdeviceptr operand[CUDA_DNN_OPERANDS],
                              CUdeviceptr workspace, cudnnBackendDescriptor_t *pack);

/* Makes the description of a card from its text, a JSON object. Only tests call it. */
p2p_status cuda_dnn_properties(cuda_queue *queue, const char *json, cudnnBackendDescriptor_t *properties);

/* The calls. A failure has cuDNN's reason in its message. P2P_UNSUPPORTED for every status of cuDNN that
 * concerns the request, its own faults included; other statuses are those of cuda_check_dnn. cuda_dnn_destroy
 * allows NULL, and sets it. */
p2p_status cuda_dnn_create(cuda_queue *queue, cudnnBackendDescriptorType_t type,
                           cudnnBackendDescriptor_t *descriptor);
void cuda_dnn_destroy(cudnnBackendDescriptor_t *descriptor);
p2p_status cuda_dnn_set(cuda_queue *queue, cudnnBackendDescriptor_t descriptor,
                        cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                        const void *values);
/* Reads at most `room` values. *count receives their number, which may be larger. */
p2p_status cuda_dnn_get(cuda_queue *queue, cudnnBackendDescriptor_t descriptor,
                        cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room,
                        int64_t *count, void *values);
p2p_status cuda_dnn_finalize(cuda_queue *queue, cudnnBackendDescriptor_t descriptor);

#endif
