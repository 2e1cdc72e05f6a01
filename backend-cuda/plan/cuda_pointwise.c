/* Planners of the element-wise kinds: kernels/pointwise.cu on activations, kernels/copy.cu on flat arrays. */
#include "cuda_pointwise.h"

#include "cuda_view.h"

/* The view of operand 0, with which operands up to `output` are compatible, but the step block. */
static p2p_status view_all(const cuda_target *target, const p2p_op *op, int output, cuda_view *view) {
    P2P_TRY(cuda_view_of(target, op, 0, view));
    for (int i = 1; i <= output; i++)
        if (op->t[i].type != P2P_TYPE_u32) P2P_TRY(cuda_view_check(target, op, view, i));
    return P2P_OK;
}

static void arg_act(cuda_launch *launch, const p2p_op *op) {
    cuda_arg_int(launch, op->act);
    cuda_arg_float(launch, op->slope);
}

/* ---- Activations --------------------------------------------------------------------------------------- */

p2p_status cuda_launch_bias_act(const cuda_target *target, const p2p_op *op, const cuda_bias_act *what,
                                cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, what->y, &view));
    if (what->bias >= 0) P2P_TRY(cuda_require_plain(target, op, what->bias));
    cuda_launch *launch = cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "bias_act"));
    if (what->from_scratch) {
        cuda_arg_scratch(launch, what->scratch);
        cuda_arg_int(launch, view.packs * view.lanes);
        cuda_arg_int(launch, 0);
    } else {
        cuda_arg_view(launch, op, what->y);
    }
    cuda_arg_operand(launch, what->bias);
    cuda_arg_view(launch, op, what->y);
    /* In place the old content is x, to which nothing is added. */
    cuda_arg_int(launch, cuda_output_flags(op, what->y) & (what->from_scratch ? ~0 : ~CUDA_ACCUMULATES));
    arg_act(launch, op);
    return P2P_OK;
}

p2p_status cuda_plan_act_fwd(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(view_all(target, op, P2P_AT_act_fwd_y, &view));
    cuda_launch *launch = cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "bias_act"));
    cuda_arg_view(launch, op, P2P_AT_act_fwd_x);
    cuda_arg_operand(launch, -1);
    cuda_arg_view(launch, op, P2P_AT_act_fwd_y);
    cuda_arg_flags(launch, op, P2P_AT_act_fwd_y);
    arg_act(launch, op);
    return P2P_OK;
}

p2p_status cuda_plan_act_bwd(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(view_all(target, op, P2P_AT_act_bwd_dx, &view));
    cuda_launch *launch = cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "act_bwd"));
    for (int i = P2P_AT_act_bwd_y; i <= P2P_AT_act_bwd_dx; i++) cuda_arg_view(launch, op, i);
    cuda_arg_flags(launch, op, P2P_AT_act_bwd_dx);
    arg_act(launch, op);
    return P2P_OK;
}

p2p_status cuda_plan_dropout(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    cuda_view view;
    P2P_TRY(view_all(target, op, P2P_AT_dropout_y, &view));
    cuda_launch *launch = cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "dropout"));
    cuda_arg_view(launch, op, P2P_AT_dropout_x);
    cuda_arg_dropout(launch, op, &view, P2P_AT_dropout_step);
    cuda_arg_view(launch, op, P2P_AT_dropout_y);
    cuda_arg_flags(launch, op, P2P_AT_dropout_y);
    return P2P_OK;
}

p2p_status cuda_plan_prepare(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    const bool u16 = op->t[P2P_AT_prepare_x].type == P2P_TYPE_u16;
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, P2P_AT_prepare_y, &view));
    cuda_launch *launch = cuda_launch_walk(plan, &view, "pointwise",
                                           u16 ? CUDA_VIEW_KERNEL(&view, "prepare_u16")
                                               : CUDA_VIEW_KERNEL(&view, "prepare_u8"));
    cuda_arg_view(launch, op, P2P_AT_prepare_x);
    cuda_arg_view(launch, op, P2P_AT_prepare_y);
    cuda_arg_flags(launch, op, P2P_AT_prepare_y);
    cuda_arg_float(launch, op->alpha);
    cuda_arg_float(launch, op->offset);
    return P2P_OK;
}

/* ---- Flat arrays --------------------------------------------------------------------------------------- */

static bool is_stored_real(const p2p_tensor *t) {
    return t->type == P2P_TYPE_f32 || t->type == P2P_TYPE_bf16;
}

static int64_t block_of(const p2p_tensor *t) {
    return t->block > 1 ? t->block : 1;
}

/* [type of x is bf16][type of y is bf16] */
static const char *const flat_kernels[2][2] = {{"flat_f32_f32", "flat_f32_bf16"},
                                               {"flat_bf16_f32", "flat_bf16_bf16"}};

bool cuda_launch_flat(const p2p_op *op, int x, int y, double alpha, cuda_plan *plan) {
    const p2p_tensor *from = &op->t[x], *to = &op->t[y];
    const bool x_bf16 = from->type == P2P_TYPE_bf16, y_bf16 = to->type == P2P_TYPE_bf16;
    const int64_t elements = p2p_tensor_stored(to), lanes = x_bf16 && y_bf16 ? 8 : 4;
    if (!is_stored_real(from) || !is_stored_real(to) || !p2p_tensor_is_whole(from) ||
        !p2p_tensor_is_whole(to) || from->layout != to->layout || block_of(from) != block_of(to) ||
        !p2p_tensor_same_shape(from, to) ||
        p2p_divide_up(elements, lanes) > (int64_t)INT32_MAX * CUDA_THREADS)
        return false;
    cuda_launch *launch =
        cuda_launch_items(plan, "copy", flat_kernels[x_bf16][y_bf16], p2p_divide_up(elements, lanes));
    cuda_arg_long(launch, elements);
    cuda_arg_operand(launch, x);
    cuda_arg_operand(launch, y);
    cuda_arg_flags(launch, op, y);
    cuda_arg_float(launch, alpha);
    return true;
}

p2p_status cuda_plan_axpby(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    enum { X = P2P_AT_axpby_x, Y = P2P_AT_axpby_y };
    cuda_view view;
    cuda_launch *launch;
    if (cuda_launch_flat(op, X, Y, op->alpha, plan)) return P2P_OK;
    P2P_TRY(cuda_view_of(target, op, Y, &view));
    /* A plain vector and an activation of one position have the same shape in different layouts. */
    if (op->t[X].layout == P2P_LAYOUT_plain) {
        P2P_TRY(cuda_require_plain(target, op, X));
        if (op->t[X].n * op->t[X].h * op->t[X].w != 1)
            return cuda_refuse_operand(target, op, X, "stored as y is");
        launch = cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "axpby_vector"));
        cuda_arg_operand(launch, X);
    } else {
        P2P_TRY(cuda_view_check(target, op, &view, X));
        launch = cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "axpby"));
        cuda_arg_view(launch, op, X);
    }
    cuda_arg_view(launch, op, Y);
    cuda_arg_flags(launch, op, Y);
    cuda_arg_float(launch, op->alpha);
    return P2P_OK;
}

/* ---- Adam ---------------------------------------------------------------------------------------------- */

p2p_status cuda_plan_adam(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    enum { P = P2P_AT_adam_p, G = P2P_AT_adam_g, M = P2P_AT_adam_m, V = P2P_AT_adam_v, LANES = 4 };
    enum { COPY = P2P_AT_adam_copy, NO_COPY = 0, COPY_F32 = 1, COPY_BF16 = 2 }; /* of copy.cu */
    const int64_t elements = op->t[P].w, items = p2p_divide_up(elements, LANES);
    const bool copies = p2p_tensor_present(&op->t[COPY]);
    const int plain[] = {P, M, V};
    for (int i = 0; i < 3; i++) P2P_TRY(cuda_require_plain(target, op, plain[i]));
    if (!is_stored_real(&op->t[G])) return cuda_refuse_operand(target, op, G, "f32 or bf16");
    if (copies && !is_stored_real(&op->t[COPY])) return cuda_refuse_operand(target, op, COPY, "f32 or bf16");
    if (items > (int64_t)INT32_MAX * CUDA_THREADS)
        return cuda_refuse(target, op, "p has more than 2^41 elements");
    cuda_launch *launch = cuda_launch_items(plan, "copy", "adam", items);
    cuda_arg_long(launch, elements);
    cuda_arg_operand(launch, P);
    cuda_arg_operand(launch, G);
    cuda_arg_int(launch, op->t[G].type == P2P_TYPE_bf16);
    cuda_arg_operand(launch, M);
    cuda_arg_operand(launch, V);
    cuda_arg_operand(launch, P2P_AT_adam_step);
    cuda_arg_operand(launch, COPY);
    cuda_arg_int(launch, !copies ? NO_COPY : op->t[COPY].type == P2P_TYPE_bf16 ? COPY_BF16 : COPY_F32);
    cuda_arg_float(launch, op->beta1);
    cuda_arg_float(launch, 1 - op->beta1);
    cuda_arg_float(launch, op->beta2);
    cuda_arg_float(launch, 1 - op->beta2);
    cuda_arg_float(launch, op->eps);
    return P2P_OK;
}
