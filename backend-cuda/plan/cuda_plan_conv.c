/* The planner of convolutions. See cuda_plan_conv.h. */
#include "cuda_plan_conv.h"

#include "cuda_pointwise.h"
#include "cuda_view.h"

#include <stdio.h>

enum { MOST_REPEATS = 1 << 16, READ_0 = 0, READ_1, OUTPUT, ORDERED };

/* Positions in p2p_op.t[] of the operands that are read, and of the output. */
typedef struct {
    int at[ORDERED];
} positions;

static positions positions_of(p2p_kind kind) {
    if (kind == P2P_KIND_conv_bwd_filter)
        return (positions){{P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dy, P2P_AT_conv_bwd_filter_dw}};
    return (positions){{P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y}};
}

_Static_assert((int)P2P_AT_conv_fwd_x == (int)P2P_AT_conv_bwd_data_dy &&
                   (int)P2P_AT_conv_fwd_w == (int)P2P_AT_conv_bwd_data_w &&
                   (int)P2P_AT_conv_fwd_bias == (int)P2P_AT_conv_bwd_data_bias &&
                   (int)P2P_AT_conv_fwd_y == (int)P2P_AT_conv_bwd_data_dx,
               "both kinds have their operands at equal positions");

static bool is_filter(p2p_kind kind, int operand) {
    return kind == P2P_KIND_conv_bwd_filter ? operand == P2P_AT_conv_bwd_filter_dw
                                            : operand == P2P_AT_conv_fwd_w;
}

static bool has_bias(const p2p_op *op) {
    return op->kind != P2P_KIND_conv_bwd_filter && p2p_tensor_present(&op->t[P2P_AT_conv_fwd_bias]);
}

bool cuda_conv_is_gemm(const p2p_op *op) {
    const positions p = positions_of(op->kind);
    const p2p_tensor *w = &op->t[p.at[op->kind == P2P_KIND_conv_bwd_filter ? OUTPUT : READ_1]];
    return w->h == 1 && w->w == 1 && op->stride <= 1 && op->images == 0 &&
           !(op->pad_top | op->pad_left | op->pad_bottom | op->pad_right);
}

/* ---- Storage ------------------------------------------------------------------------------------------- */

static p2p_status check_math(const cuda_target *target, const p2p_op *op) {
    const bool bf16 = op->t[0].type == P2P_TYPE_bf16;
    if (bf16 && !target->bf16) return cuda_refuse(target, op, "this card has no convolutions in bf16");
    if (op->math == P2P_MATH_tf32 && !target->tf32)
        return cuda_refuse(target, op, "this card has no convolutions in tf32");
    if (op->math == P2P_MATH_tf32 && bf16) return cuda_refuse(target, op, "math=tf32 is for operands in f32");
    if (op->math == P2P_MATH_bf16 && !bf16)
        return cuda_refuse(target, op, "math=bf16 is for activations in bf16");
    return P2P_OK;
}

static p2p_status check_activation(const cuda_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    const bool stored = t->layout == P2P_LAYOUT_nhwc && t->block == CUDA_CHANNELS &&
                        t->type == op->t[0].type && (t->type == P2P_TYPE_f32 || t->type == P2P_TYPE_bf16);
    if (!stored)
        return cuda_refuse_operand(target, op, operand, "f32:nhwc8 or bf16:nhwc8, as all activations");
    return P2P_OK;
}

/* A filter that is read may be f32 beside activations in bf16: another storage is then required. */
static p2p_status check_filter(const cuda_target *target, const p2p_op *op, int operand) {
    const p2p_tensor *t = &op->t[operand];
    const bool read = op->kind != P2P_KIND_conv_bwd_filter;
    const bool typed = t->type == op->t[0].type || (read && t->type == P2P_TYPE_f32);
    if (t->layout != P2P_LAYOUT_krsc || t->block != CUDA_CHANNELS || !typed)
        return cuda_refuse_operand(target, op, operand,
                                   op->t[0].type == P2P_TYPE_bf16 ? "bf16:krsc8" : "f32:krsc8");
    return P2P_OK;
}

static p2p_status check_storage(const cuda_target *target, const p2p_op *op) {
    const positions p = positions_of(op->kind);
    for (int i = 0; i < ORDERED; i++) {
        const int operand = p.at[i];
        P2P_TRY(is_filter(op->kind, operand) ? check_filter(target, op, operand)
                                             : check_activation(target, op, operand));
    }
    return check_math(target, op);
}

/* The operation with the filter that it reads in the type of the activations. */
static p2p_op with_derived_filter(const p2p_op *op, p2p_query *answer) {
    p2p_op derived = *op;
    p2p_tensor *w = &derived.t[P2P_AT_conv_fwd_w];
    if (op->kind == P2P_KIND_conv_bwd_filter || w->type == op->t[0].type) return derived;
    w->type = op->t[0].type;
    answer->filter_need = P2P_FILTER_REQUIRED;
    answer->filter = (p2p_storage){w->type, w->layout, w->block};
    return derived;
}

/* ---- Places ---------------------------------------------------------------------------------------- */

/* Where the operands of the convolution are: in scratch memory, or where they are bound. */
typedef struct {
    bool in_scratch[ORDERED];
    uint64_t offset[ORDERED]; /* in scratch memory */
    bool follows;             /* a kernel computes the output from that of the convolution */
} places;

static void move_to_scratch(const p2p_op *op, int order, places *where, cuda_plan *plan) {
    p2p_tensor packed = op->t[positions_of(op->kind).at[order]];
    packed.c0 = packed.cp = 0;
    where->in_scratch[order] = true;
    where->offset[order] = cuda_scratch(plan, p2p_tensor_bytes(&packed));
}

/* Copies a channel range to scratch memory, with zeros in the lanes that are not channels. */
static p2p_status pack_input(const cuda_target *target, const p2p_op *op, int order, places *where,
                             cuda_plan *plan) {
    const int operand = positions_of(op->kind).at[order];
    cuda_view view;
    P2P_TRY(cuda_view_of(target, op, operand, &view));
    move_to_scratch(op, order, where, plan);
    cuda_launch *launch = cuda_launch_walk(plan, &view, "pointwise", CUDA_VIEW_KERNEL(&view, "axpby"));
    cuda_arg_view(launch, op, operand);
    cuda_arg_scratch(launch, where->offset[order]);
    cuda_arg_int(launch, view.packs * view.lanes);
    cuda_arg_int(launch, 0);
    cuda_arg_int(launch, CUDA_OWNS_PADDING);
    cuda_arg_float(launch, 1);
    return P2P_OK;
}

/* The kernel that follows reads the stored result of the convolution, so in bf16 its own result is rounded a
 * second time. That is refused, because an operation must round its result once. A copy changes no rounded
 * result. Neither does relu, but it is refused too: a separate operation moves as many bytes. */
static p2p_status check_rounding(const cuda_target *target, const p2p_op *op, const places *where) {
    const bool exact = !has_bias(op) && op->act == P2P_ACT_none &&
                       !p2p_op_accumulates(op, positions_of(op->kind).at[OUTPUT]);
    if (!where->follows || exact || op->t[0].type != P2P_TYPE_bf16) return P2P_OK;
    return cuda_refuse(target, op,
                       "with a bias, an activation or a range that is added to, bf16 is rounded twice");
}

static p2p_status plan_places(const cuda_target *target, const p2p_op *op, places *where, cuda_plan *plan) {
    const positions p = positions_of(op->kind);
    const bool range = !p2p_tensor_is_whole(&op->t[p.at[OUTPUT]]);
    *where = (places){.follows = has_bias(op) || op->act != P2P_ACT_none || range};
    P2P_TRY(check_rounding(target, op, where));
    for (int i = 0; i < OUTPUT; i++)
        if (!p2p_tensor_is_whole(&op->t[p.at[i]])) P2P_TRY(pack_input(target, op, i, where, plan));
    if (where->follows && (range || p2p_op_accumulates(op, p.at[OUTPUT])))
        move_to_scratch(op, OUTPUT, where, plan);
    return P2P_OK;
}

/* Whether the convolution itself adds to its output. */
static bool adds(const p2p_op *op, const places *where) {
    return p2p_op_accumulates(op, positions_of(op->kind).at[OUTPUT]) && !where->follows;
}

/* Adds bias and activation, and the copy from scratch memory. */
static p2p_status add_ending(const cuda_target *target, const p2p_op *op, const places *where,
                             cuda_plan *plan) {
    if (!where->follows) return P2P_OK;
    const cuda_bias_act what = {.bias = has_bias(op) ? P2P_AT_conv_fwd_bias : -1,
                                .y = P2P_AT_conv_fwd_y,
                                .from_scratch = where->in_scratch[OUTPUT],
                                .scratch = where->offset[OUTPUT]};
    return cuda_launch_bias_act(target, op, &what, plan);
}

/* ---- Matrix products ----------------------------------------------------------------------------------- */

static int64_t rows_of(const p2p_tensor *t) {
    return t->layout == P2P_LAYOUT_krsc ? cuda_padded(t->n) : t->n * t->h * t->w;
}

static cuda_matrix matrix_of(const p2p_op *op, const places *where, int order) {
    const p2p_tensor *t = &op->t[positions_of(op->kind).at[order]];
    const bool scratch = where->in_scratch[order];
    return (cuda_matrix){.operand = scratch ? -1 : positions_of(op->kind).at[order],
                         .offset = scratch ? where->offset[order] : 0,
                         .row_distance = cuda_padded(t->c),
                         .type = t->type};
}

/* y = x w^T, dx = dy w, dw = dy^T x. */
static p2p_status plan_gemm(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    const bool filter = op->kind == P2P_KIND_conv_bwd_filter;
    const positions p = positions_of(op->kind);
    const int a = filter ? READ_1 : READ_0, b = filter ? READ_0 : READ_1;
    const p2p_tensor *left = &op->t[p.at[a]], *y = &op->t[p.at[OUTPUT]];
    places where;
    if (rows_of(left) > INT32_MAX) return cuda_refuse_operand(target, op, p.at[a], "at most 2^31 - 1 pixels");
    P2P_TRY(plan_places(target, op, &where, plan));
    cuda_step_add(plan, CUDA_STEP_GEMM)->gemm =
        (cuda_gemm){.m = rows_of(y),
                    .n = cuda_padded(y->c),
                    .k = filter ? rows_of(left) : cuda_padded(left->c),
                    .transpose_a = filter,
                    .transpose_b = op->kind == P2P_KIND_conv_fwd,
                    .alpha = 1,
                    .beta = adds(op, &where),
                    .math = left->type == P2P_TYPE_f32 ? (p2p_math)op->math : P2P_MATH_stored,
                    .a = matrix_of(op, &where, a),
                    .b = matrix_of(op, &where, b),
                    .y = matrix_of(op, &where, OUTPUT)};
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "gemm_1x1");
    return add_ending(target, op, &where, plan);
}

/* ---- cuDNN --------------------------------------------------------------------------------------------- */

static uint64_t distance_of(const p2p_op *conv, int operand) {
    return is_filter(conv->kind, operand) ? 0 : p2p_tensor_bytes(&conv->t[operand]);
}

/* The convolution of one repetition. */
static void set_operands(const p2p_op *op, const places *where, cuda_conv *step) {
    const positions p = positions_of(op->kind);
    step->conv = p2p_op_plain_convolution(op);
    if (adds(op, where)) step->conv.accumulate = 1u << p.at[OUTPUT];
    for (int i = 0; i < ORDERED; i++) {
        step->operand[i] = p.at[i];
        step->distance[i] = distance_of(&step->conv, p.at[i]);
        step->in_scratch[i] = where->in_scratch[i];
        step->offset[i] = where->offset[i];
    }
}

static p2p_status plan_cudnn(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    const int input = positions_of(op->kind).at[READ_0];
    places where;
    size_t workspace = 0;
    cuda_conv step = {.repeats = 1};
    if (!target->conv.plan) return cuda_refuse(target, op, "convolutions need cuDNN, which is not there");
    P2P_TRY(plan_places(target, op, &where, plan));
    set_operands(op, &where, &step);
    const int64_t repeats = op->t[input].n / step.conv.t[input].n;
    if (repeats > MOST_REPEATS)
        return cuda_refuse(target, op, "more than %d parts of images=%lld", (int)MOST_REPEATS,
                           (long long)op->images);
    step.repeats = (int)repeats;
    P2P_TRY(target->conv.plan(target->conv.context, &step.conv, &workspace, step.algorithm));
    step.workspace_bytes = workspace;
    if (workspace > 0) step.workspace_offset = cuda_scratch(plan, workspace);
    cuda_step_add(plan, CUDA_STEP_CONV)->conv = step;
    if (snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "cudnn_%s", step.algorithm) < 0)
        plan->answer.kernel[0] = '\0';
    return add_ending(target, op, &where, plan);
}

p2p_status cuda_plan_conv(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    P2P_TRY(check_storage(target, op));
    const p2p_op derived = with_derived_filter(op, &plan->answer);
    return cuda_conv_is_gemm(&derived) ? plan_gemm(target, &derived, plan)
                                       : plan_cudnn(target, &derived, plan);
}
