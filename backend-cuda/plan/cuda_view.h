/* How kernels traverse activations (kernels/common.cuh): by positions, which are counted over images and
 * pixels, and by packs, 16 bytes of channels of a position. */
#ifndef CUDA_VIEW_H
#define CUDA_VIEW_H

#include "cuda_plan.h"

enum { CUDA_THREADS = 256 }; /* of a block of every kernel */

typedef struct {
    p2p_type type;     /* f32 or bf16 */
    int lanes;         /* channels of a pack: 4 or 8 */
    int64_t positions; /* n * h * w */
    int64_t images, pixels, width;
    int64_t channels;
    int64_t packs; /* of a position, padding included */
} cuda_view;

/* The view of operand `like`, an activation in this device's storage in f32 or bf16, whose channel range
 * starts at a multiple of CUDA_CHANNELS. Returns P2P_UNSUPPORTED with the reason otherwise. */
p2p_status cuda_view_of(const cuda_target *target, const p2p_op *op, int like, cuda_view *view);
/* Returns P2P_UNSUPPORTED unless another operand is absent, or has such a storage and the view's type. */
p2p_status cuda_view_check(const cuda_target *target, const p2p_op *op, const cuda_view *view, int operand);
/* Returns P2P_UNSUPPORTED unless an operand is absent, or f32 and plain. */
p2p_status cuda_require_plain(const cuda_target *target, const p2p_op *op, int operand);

/* One of two names of a kernel, by the view's type. */
const char *cuda_view_kernel(const cuda_view *view, const char *f32, const char *bf16);
#define CUDA_VIEW_KERNEL(view, name) cuda_view_kernel(view, name "_f32", name "_bf16")

/* Appends a launch with a thread per item, in one dimension. */
cuda_launch *cuda_launch_items(cuda_plan *plan, const char *source, const char *kernel, int64_t items);
/* Appends a launch with a thread per pack, and the arguments WALK of common.cuh. */
cuda_launch *cuda_launch_walk(cuda_plan *plan, const cuda_view *view, const char *source, const char *kernel);

/* The arguments VIEW: the operand, its pitch and its first channel; zeros for an absent one. */
void cuda_arg_view(cuda_launch *launch, const p2p_op *op, int operand);
/* The flags of an output, as kernels read them (kernels/common.cuh): 0 if it is absent. */
enum { CUDA_ACCUMULATES = 1, CUDA_OWNS_PADDING = 2, CUDA_PRESENT = 4 };
int cuda_output_flags(const p2p_op *op, int operand);
void cuda_arg_flags(cuda_launch *launch, const p2p_op *op, int operand);
/* The arguments DROPOUT; `step` is the operand of the step block. */
void cuda_arg_dropout(cuda_launch *launch, const p2p_op *op, const cuda_view *view, int step);

#endif
