/* The planner of convolutions. See cuda_plan_conv.h. */
#include "cuda_plan_conv.h"

#include "cuda_pointwise.h"

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

static int64_t padded(int64_t channels) {
    return cuda_divide_up(channels, CUDA_CHANNELS) * CUDA_CHANNELS;
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
    if (t->cp != 0 && t->cp != t->c)
        return cuda_refuse_operand(target, op, operand,
                                   "a whole tensor: cuDNN would copy a range, whose pixels are not packed");
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

/* ---- Bias and activation ------------------------------------------------------------------------------- */

/* What follows a convolution, and where its result is until then. */
typedef struct {
    bool follows, in_scratch;
    uint64_t offset; /* in scratch memory */
} ending;

static ending plan_ending(const p2p_op *op, cuda_plan *plan) {
    const int output = positions_of(op->kind).at[OUTPUT];
    ending end = {.follows = has_bias(op) || op->act != P2P_ACT_none};
    end.in_scratch = end.follows && cuda_accumulates(op, output);
    if (end.in_scratch) end.offset = cuda_scratch(plan, p2p_tensor_bytes(&op->t[output]));
    return end;
}

static p2p_status add_ending(const cuda_target *target, const p2p_op *op, const ending *end,
                             cuda_plan *plan) {
    if (!end->follows) return P2P_OK;
    const cuda_bias_act what = {.bias = has_bias(op) ? P2P_AT_conv_fwd_bias : -1,
                                .y = P2P_AT_conv_fwd_y,
                                .from_scratch = end->in_scratch,
                                .scratch = end->offset};
    return cuda_launch_bias_act(target, op, &what, plan);
}

/* ---- Matrix products ----------------------------------------------------------------------------------- */

static int64_t rows_of(const p2p_tensor *t) {
    return t->layout == P2P_LAYOUT_krsc ? padded(t->n) : t->n * t->h * t->w;
}

static cuda_matrix matrix_of(const p2p_op *op, int operand) {
    return (cuda_matrix){
        .operand = operand, .row_distance = padded(op->t[operand].c), .type = op->t[operand].type};
}

static p2p_status plan_gemm(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    const bool filter = op->kind == P2P_KIND_conv_bwd_filter;
    const int output = positions_of(op->kind).at[OUTPUT],
              a = filter ? P2P_AT_conv_bwd_filter_dy : P2P_AT_conv_fwd_x;
    const int b = filter ? P2P_AT_conv_bwd_filter_x : P2P_AT_conv_fwd_w;
    const ending end = plan_ending(op, plan);
    if (rows_of(&op->t[a]) > INT32_MAX) return cuda_refuse_operand(target, op, a, "at most 2^31 - 1 pixels");
    cuda_gemm *gemm = &cuda_step_add(plan, CUDA_STEP_GEMM)->gemm;
    *gemm = (cuda_gemm){.m = rows_of(&op->t[output]),
                        .n = padded(op->t[output].c),
                        .k = filter ? rows_of(&op->t[a]) : padded(op->t[a].c),
                        .transpose_a = filter,
                        .transpose_b = op->kind == P2P_KIND_conv_fwd,
                        .alpha = 1,
                        .beta = cuda_accumulates(op, output) && !end.follows,
                        .math = op->t[0].type == P2P_TYPE_f32 ? (p2p_math)op->math : P2P_MATH_stored,
                        .a = matrix_of(op, a),
                        .b = matrix_of(op, b),
                        .y = matrix_of(op, output)};
    if (end.in_scratch) {
        gemm->y.operand = -1;
        gemm->y.offset = end.offset;
    }
    snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "gemm_1x1");
    return add_ending(target, op, &end, plan);
}

/* ---- cuDNN --------------------------------------------------------------------------------------------- */

/* The convolution of one repetition, which adds to its output itself if nothing follows. */
static p2p_op repeated(const p2p_op *op, const ending *end) {
    p2p_op conv = p2p_op_plain_convolution(op);
    const int output = positions_of(op->kind).at[OUTPUT];
    if (cuda_accumulates(op, output) && !end->follows) conv.accumulate = 1u << output;
    return conv;
}

static uint64_t distance_of(const p2p_op *conv, int operand) {
    return is_filter(conv->kind, operand) ? 0 : p2p_tensor_bytes(&conv->t[operand]);
}

static p2p_status plan_cudnn(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    const positions p = positions_of(op->kind);
    const ending end = plan_ending(op, plan);
    cuda_conv step = {.conv = repeated(op, &end), .to_scratch = end.in_scratch, .output_offset = end.offset};
    const int64_t repeats = op->t[p.at[READ_0]].n / step.conv.t[p.at[READ_0]].n;
    size_t workspace = 0;
    if (!target->conv.plan) return cuda_refuse(target, op, "convolutions need cuDNN, which is not there");
    if (repeats > MOST_REPEATS)
        return cuda_refuse(target, op, "more than %d parts of images=%lld", (int)MOST_REPEATS,
                           (long long)op->images);
    P2P_TRY(target->conv.plan(target->conv.context, &step.conv, &workspace, step.algorithm));
    step.repeats = (int)repeats;
    for (int i = 0; i < ORDERED; i++) {
        step.operand[i] = p.at[i];
        step.distance[i] = distance_of(&step.conv, p.at[i]);
    }
    step.workspace_bytes = workspace;
    if (workspace > 0) step.workspace_offset = cuda_scratch(plan, workspace);
    cuda_step_add(plan, CUDA_STEP_CONV)->conv = step;
    if (snprintf(plan->answer.kernel, sizeof plan->answer.kernel, "cudnn_%s", step.algorithm) < 0)
        plan->answer.kernel[0] = '\0';
    return add_ending(target, op, &end, plan);
}

p2p_status cuda_plan_conv(const cuda_target *target, const p2p_op *op, cuda_plan *plan) {
    P2P_TRY(check_storage(target, op));
    const p2p_op derived = with_derived_filter(op, &plan->answer);
    return cuda_conv_is_gemm(&derived) ? plan_gemm(target, &derived, plan)
                                       : plan_cudnn(target, &derived, plan);
}
