/* Views of activations. See cuda_view.h. */
#include "cuda_view.h"

#include <assert.h>
#include <stddef.h>

/* The kernels address the step block by word indices (kernels/common.cuh). */
_Static_assert(offsetof(p2p_step_block, seed_lo) == 0 && offsetof(p2p_step_block, seed_hi) == 1 * 4 &&
                   offsetof(p2p_step_block, step) == 2 * 4 &&
                   offsetof(p2p_step_block, lr_corrected) == 4 * 4 &&
                   offsetof(p2p_step_block, root_v_correction) == 5 * 4 &&
                   offsetof(p2p_step_block, sample) == 10 * 4,
               "common.cuh numbers the words of the step block");
/* The kernels number the activation functions. */
_Static_assert(P2P_ACT_none == 0 && P2P_ACT_relu == 1 && P2P_ACT_lrelu == 2 && P2P_ACT_tanh == 3,
               "common.cuh numbers the activation functions");

static p2p_status require_activation(const cuda_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (t->layout != P2P_LAYOUT_nhwc || t->block != CUDA_CHANNELS ||
        (t->type != P2P_TYPE_f32 && t->type != P2P_TYPE_bf16))
        return cuda_refuse_operand(target, op, operand, "f32:nhwc8 or bf16:nhwc8");
    if (t->c0 % CUDA_CHANNELS != 0)
        return cuda_refuse_operand(target, op, operand, "a range that starts at a multiple of 8 channels");
    return P2P_OK;
}

p2p_status cuda_view_of(const cuda_target *target, const p2p_op *op, int like, cuda_view *view) {
    P2P_TRY(require_activation(target, op, like));
    const p2p_tensor *t = &op->t[like];
    const int lanes = (int)(16 / p2p_type_bytes(t->type));
    *view = (cuda_view){.type = t->type,
                        .lanes = lanes,
                        .positions = t->n * t->h * t->w,
                        .images = t->n,
                        .pixels = t->h * t->w,
                        .width = t->w,
                        .channels = t->c,
                        .packs = cuda_padded(t->c) / lanes};
    if (view->positions > INT32_MAX / view->packs)
        return cuda_refuse(target, op, "%s has more than 2^31 packs of 16 bytes",
                           p2p_kind_operand_name(op->kind, like));
    return P2P_OK;
}

p2p_status cuda_view_check(const cuda_target *target, const p2p_op *op, const cuda_view *view, int operand) {
    if (!p2p_tensor_present(&op->t[operand])) return P2P_OK;
    P2P_TRY(require_activation(target, op, operand));
    if (op->t[operand].type != view->type)
        return cuda_refuse_operand(target, op, operand, "of the type of the other activations");
    return P2P_OK;
}

p2p_status cuda_require_plain(const cuda_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    if (!p2p_tensor_present(t) || (t->type == P2P_TYPE_f32 && t->layout == P2P_LAYOUT_plain)) return P2P_OK;
    return cuda_refuse_operand(target, op, operand, "f32:plain");
}

const char *cuda_view_kernel(const cuda_view *view, const char *f32, const char *bf16) {
    return view->type == P2P_TYPE_bf16 ? bf16 : f32;
}

cuda_launch *cuda_launch_items(cuda_plan *plan, const char *source, const char *kernel, int64_t items) {
    cuda_launch *launch = cuda_launch_add(plan, source, kernel, CUDA_THREADS);
    const int64_t blocks = p2p_divide_up(items, CUDA_THREADS);
    assert(blocks > 0 && blocks <= INT32_MAX);
    launch->grid[0] = (unsigned)blocks;
    return launch;
}

cuda_launch *cuda_launch_walk(cuda_plan *plan, const cuda_view *view, const char *source,
                              const char *kernel) {
    cuda_launch *launch = cuda_launch_items(plan, source, kernel, view->positions * view->packs);
    cuda_arg_int(launch, view->positions * view->packs);
    cuda_arg_int(launch, view->packs);
    cuda_arg_int(launch, view->channels);
    return launch;
}

void cuda_arg_view(cuda_launch *launch, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    const int64_t channels = t->cp ? t->cp : t->c, block = t->block > 1 ? t->block : 1;
    cuda_arg_operand(launch, operand);
    cuda_arg_int(launch, p2p_divide_up(channels, block) * block);
    cuda_arg_int(launch, t->c0);
}

int cuda_output_flags(const p2p_op *op, int operand) {
    if (!p2p_tensor_present(&op->t[operand])) return 0;
    return CUDA_PRESENT | (p2p_op_accumulates(op, operand) ? CUDA_ACCUMULATES : 0) |
           (p2p_tensor_owns_padding(&op->t[operand]) ? CUDA_OWNS_PADDING : 0);
}

void cuda_arg_flags(cuda_launch *launch, const p2p_op *op, int operand) {
    cuda_arg_int(launch, cuda_output_flags(op, operand));
}

void cuda_arg_dropout(cuda_launch *launch, const p2p_op *op, const cuda_view *view, int step) {
    cuda_arg_operand(launch, step);
    cuda_arg_int(launch, (int32_t)(uint32_t)op->layer);
    cuda_arg_int(launch, (int32_t)(uint32_t)(op->dropout * 4294967296.0));
    cuda_arg_float(launch, 1 / (1 - op->dropout));
    cuda_arg_int(launch, view->pixels);
    cuda_arg_int(launch, view->width);
}
