/* A device and its settings as planners see them: values only. A plan can be made for any card without it. */
#ifndef CUDA_TARGET_H
#define CUDA_TARGET_H

#include "cuda_launch.h"

enum {
    CUDA_CHANNELS = 8,         /* channels per block of layouts nhwc and krsc: 16 bytes in bf16, 32 in f32 */
    CUDA_ALIGNMENT = 256,      /* bytes of every binding's offset */
    CUDA_WORKSPACE = 256 << 20 /* bytes that a convolution's algorithm may need, at most */
};

/* The channels of whole blocks. */
static inline int64_t cuda_padded(int64_t channels) {
    return p2p_divide_up(channels, CUDA_CHANNELS) * CUDA_CHANNELS;
}

/* Where convolutions are planned: conv/ implements it with cuDNN, tests with other means. `plan` finds the
 * algorithm of a plain convolution and the workspace that it needs; P2P_UNSUPPORTED, with the reason, if
 * there is none. `name` receives the algorithm's name. Equal convolutions have equal answers until a choice
 * changes. */
typedef struct {
    p2p_status (*plan)(void *context, const p2p_op *conv, size_t *workspace_bytes,
                       char name[P2P_CHOICE_NAME]);
    void *context;
} cuda_conv_library;

typedef struct {
    const p2p_host *host;
    int capability;         /* compute capability, 90 for 9.0 */
    int multiprocessors;    /* at least 1; affects speed only, never bits */
    size_t shared_bytes;    /* of a block without a function attribute */
    size_t shared_optin;    /* of a block with it */
    bool tf32, bf16;        /* convolutions with these factors */
    cuda_conv_library conv; /* plan = NULL: there is none, and convolutions are refused */
} cuda_target;

/* Fills a plan, zeroed by the caller, from a validated descriptor. Returns P2P_UNSUPPORTED with a reason if
 * the operation cannot be planned. Deterministic: op_query and op_create both plan and get equal plans. */
typedef p2p_status (*cuda_planner)(const cuda_target *target, const p2p_op *op, cuda_plan *plan);

#endif
