/* Convolutions by cuDNN on an open device: what device/ calls. conv/ implements it, and uses plan/ and
 * library/ only.
 *
 * A cuda_convs belongs to a device and is used by one thread at a time, after cuda_enter. It has the cuDNN
 * handle, bound to the queue's stream, the answers of the heuristics, and the choices.
 */
#ifndef CUDA_CONV_H
#define CUDA_CONV_H

#include "cuda_algorithm.h"

typedef struct cuda_convs cuda_convs;
/* A prepared convolution: a finalized plan and its variant packs, one per repetition. */
typedef struct cuda_conv_call cuda_conv_call;

/* `queue` outlives the result. */
p2p_status cuda_convs_open(cuda_queue *queue, cuda_convs **convs);
/* NULL is allowed. Calls no library if the queue is lost. */
void cuda_convs_close(cuda_convs *convs);
/* For the device's target. */
cuda_conv_library cuda_convs_library(cuda_convs *convs);
/* The table of algorithms and choices (cuda_algorithm.h), for tune/. */
cuda_algorithms *cuda_convs_algorithms(cuda_convs *convs);

/* How many engines have failed when they were first executed. */
int cuda_convs_failures(const cuda_convs *convs);

/* Prepares a step of a plan. memory[i] is the first byte of the whole tensor of operand i (x or dy, w or dy,
 * output, as cuda_conv.operand orders them) in the first repetition. `scratch` is the operation's scratch
 * memory, to which offsets refer; 0 if the step needs none. `workspace` is memory of cuda_conv_own_bytes, or
 * 0. May allocate host memory. */
p2p_status cuda_conv_create(cuda_convs *convs, const cuda_conv *conv, const CUdeviceptr memory[3],
                            CUdeviceptr scratch, CUdeviceptr workspace, cuda_conv_call **created);
/* Writes the bytes of workspace that the operation must have of its own, because its engine took the place of
 * one that failed and needs more; 0 if the scratch memory suffices. */
p2p_status cuda_conv_own_bytes(cuda_convs *convs, const cuda_conv *conv, size_t *bytes);
/* Bytes of device memory that cuda_conv_warm needs; 0 if the plan has been executed on this device before. */
size_t cuda_conv_warm_bytes(const cuda_conv *conv, const cuda_conv_call *call);
/* Enqueues one repetition in `memory`, whose contents do not matter and which belongs to the caller: cuDNN
 * loads a plan's code when it is first executed. P2P_UNSUPPORTED if the engine can't be executed:
 * cuda_algorithm_fail. */
p2p_status cuda_conv_warm(cuda_convs *convs, const cuda_conv *conv, cuda_conv_call *call, CUdeviceptr memory);
/* Enqueues all repetitions on the queue's stream. Allocates nothing. */
p2p_status cuda_conv_run(cuda_convs *convs, const cuda_conv_call *call);
void cuda_conv_destroy(cuda_convs *convs, cuda_conv_call *call);

#endif
