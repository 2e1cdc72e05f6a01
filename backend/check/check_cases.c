/* See check_cases.h. */
#include "check_cases.h"

#include <stddef.h>

typedef struct {
    check_visit *visit;
    void *context;
    int64_t alignment; /* of channel ranges */
} walk;

static void give(const walk *to, op_case item) {
    to->visit(to->context, &item);
}

/* Accumulates into the operand. */
static void give_added(const walk *to, op_case item, int operand) {
    item.op.accumulate = UINT32_C(1) << operand;
    give(to, item);
}

/* ---- Convolutions ------------------------------------------------------------------------------------- */

static const op_conv_shape shapes[] = {
    /* n, c, h, w, k, r, s, stride, padding */
    {2, 3, 10, 14, 33, 4, 4, 2, 1, 1, 1, 1},  /* the first layer: few channels, a partial block of filters */
    {2, 18, 9, 11, 35, 4, 4, 2, 1, 1, 1, 1},  /* extents that no tile divides */
    {1, 20, 7, 12, 17, 4, 4, 1, 1, 1, 1, 1},  /* stride 1, as in the discriminator's last layers */
    {1, 128, 2, 2, 128, 4, 4, 2, 1, 1, 1, 1}, /* the deepest layers: many channels, one pixel */
    {2, 21, 5, 7, 19, 1, 1, 1, 0, 0, 0, 0},   /* the pixel discriminator */
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void visit_plain_convolutions(const walk *to) {
    static const p2p_kind kinds[] = {P2P_KIND_conv_fwd, P2P_KIND_conv_bwd_data, P2P_KIND_conv_bwd_filter};
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < 3; k++) give(to, op_case_conv(kinds[k], &shapes[i]));
}

static op_case convolution(p2p_kind kind, const op_conv_shape *shape, bool bias, p2p_act act) {
    op_case item = op_case_conv(kind, shape);
    if (bias) op_case_set_bias(&item);
    op_case_set_act(&item, act, 0.2);
    return item;
}

static void visit_fused_convolutions(const walk *to) {
    const op_conv_shape *first = &shapes[0], *odd = &shapes[1], *last = &shapes[2];
    give(to, convolution(P2P_KIND_conv_fwd, first, true, P2P_ACT_lrelu));
    give(to, convolution(P2P_KIND_conv_fwd, odd, false, P2P_ACT_relu));
    give(to, convolution(P2P_KIND_conv_fwd, last, true, P2P_ACT_none));
    /* a transposed convolution: the generator's last layer, and one whose result is part of a concatenation
     */
    give(to, convolution(P2P_KIND_conv_bwd_data, first, true, P2P_ACT_tanh));
    op_case part = convolution(P2P_KIND_conv_bwd_data, odd, true, P2P_ACT_none);
    op_case_range(&part, P2P_AT_conv_bwd_data_dx, to->alignment, 0);
    give(to, part);
    give_added(to, op_case_conv(P2P_KIND_conv_bwd_data, odd), P2P_AT_conv_bwd_data_dx);
    op_case gradient = op_case_conv(P2P_KIND_conv_bwd_filter, odd);
    gradient.role[P2P_AT_conv_bwd_filter_dw] = OP_ROLE_FILTER; /* gradients to which a plan adds */
    give_added(to, gradient, P2P_AT_conv_bwd_filter_dw);
}

/* ---- Normalisations ----------------------------------------------------------------------------------- */

static const p2p_kind norm_kinds[] = {P2P_KIND_norm_stats, P2P_KIND_norm_apply, P2P_KIND_norm_bwd_stats,
                                      P2P_KIND_norm_bwd_apply};

/* norm_stats has no forms, so it is given for unfused shapes only. */
static void visit_norm(const walk *to, const op_norm_shape *shape, bool fused) {
    for (int k = fused; k < 4; k++) give(to, op_case_norm(norm_kinds[k], shape));
}

static void visit_norms(const walk *to) {
    const op_norm_shape batch = {.n = 3, .c = 17, .h = 5, .w = 6, .dscale = true, .dshift = true};
    const op_norm_shape image = {.n = 2, .c = 33, .h = 7, .w = 9, .images = 1, .bare = true};
    op_norm_shape s = batch;
    visit_norm(to, &batch, false);
    visit_norm(to, &image, false);
    s.running = true, s.act = P2P_ACT_lrelu, s.slope = 0.2;
    visit_norm(to, &s, true);
    s.merged = true;
    visit_norm(to, &s, true);
    s.second = true, s.act2 = P2P_ACT_relu; /* a skip connection and the next block */
    visit_norm(to, &s, true);
    s.act = P2P_ACT_relu, s.second = false, s.dropout = 0.5;
    visit_norm(to, &s, true);
    s = image;
    s.merged = true, s.act = P2P_ACT_lrelu, s.slope = 0.2;
    visit_norm(to, &s, true);
    s = batch;
    s.use_running = true, s.act = P2P_ACT_relu;
    give(to, op_case_norm(P2P_KIND_norm_apply, &s));
    give_added(to, op_case_norm(P2P_KIND_norm_bwd_apply, &batch), P2P_AT_norm_bwd_apply_dx);
}

/* ---- The others --------------------------------------------------------------------------------------- */

enum { N = 3, C = 17, H = 5, W = 31 };

static op_case pointwise(p2p_kind kind) {
    return op_case_pointwise(kind, N, C, H, W);
}

static void visit_activations(const walk *to) {
    for (int act = P2P_ACT_relu; act < P2P_ACT_COUNT; act++) {
        for (int kind = P2P_KIND_act_fwd; kind <= P2P_KIND_act_bwd; kind++) {
            op_case item = pointwise((p2p_kind)kind);
            op_case_set_act(&item, (p2p_act)act, 0.2);
            give(to, item);
        }
    }
    op_case item = pointwise(P2P_KIND_act_bwd);
    op_case_set_act(&item, P2P_ACT_lrelu, 0.2);
    give_added(to, item, P2P_AT_act_bwd_dx);
    give(to, pointwise(P2P_KIND_dropout));
}

static void visit_copies(const walk *to) {
    static const op_role roles[][2] = {
        {OP_ROLE_ACTIVATION, OP_ROLE_ACTIVATION}, {OP_ROLE_HOST, OP_ROLE_ACTIVATION},
        {OP_ROLE_ACTIVATION, OP_ROLE_HOST},       {OP_ROLE_VECTOR, OP_ROLE_VECTOR},
        {OP_ROLE_HOST, OP_ROLE_FILTER},           {OP_ROLE_FILTER, OP_ROLE_HOST},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        give(to, op_case_copy(roles[i][0], roles[i][1], 33, 18, 4, 4));
    op_case part = op_case_copy(OP_ROLE_ACTIVATION, OP_ROLE_ACTIVATION, 2, 3, 9, 7);
    op_case_range(&part, P2P_AT_copy_y, 3, 0); /* the target's channels after the input's, 3 + 3 */
    give(to, part);
}

static void visit_data(const walk *to) {
    op_case deep = pointwise(P2P_KIND_prepare);
    deep.role[P2P_AT_prepare_x] = OP_ROLE_IMAGE_16;
    deep.op.alpha = 1 / 32767.5;
    give(to, op_case_pointwise(P2P_KIND_prepare, 2, 3, 9, 7));
    give(to, deep);
    visit_copies(to);
}

/* Sums of activations, of flat arrays, and of a bias with every pixel. */
static void visit_sums(const walk *to) {
    op_case bias = pointwise(P2P_KIND_axpby), flat = op_case_pointwise(P2P_KIND_axpby, 1, 1, 1, 4099);
    bias.op.t[P2P_AT_axpby_x] = p2p_tensor_vector(P2P_TYPE_f32, C);
    bias.role[P2P_AT_axpby_x] = OP_ROLE_VECTOR;
    flat.role[P2P_AT_axpby_x] = flat.role[P2P_AT_axpby_y] = OP_ROLE_VECTOR;
    give(to, pointwise(P2P_KIND_axpby));
    give_added(to, pointwise(P2P_KIND_axpby), P2P_AT_axpby_y);
    give_added(to, bias, P2P_AT_axpby_y);
    give_added(to, flat, P2P_AT_axpby_y);
    give(to, pointwise(P2P_KIND_bias_grad));
    give_added(to, pointwise(P2P_KIND_bias_grad), P2P_AT_bias_grad_db);
    give(to, op_case_gemm(31, 33, 18, false, true, -0.5));
}

static void visit_losses(const walk *to) {
    for (int target = 0; target < 2; target++) {
        op_case bce = pointwise(P2P_KIND_loss_bce), mse = pointwise(P2P_KIND_loss_mse);
        bce.op.target = mse.op.target = target;
        give(to, bce);
        give(to, mse);
    }
    op_case value = pointwise(P2P_KIND_loss_l1); /* as in validation: no gradient */
    op_case_drop_operand(&value, P2P_AT_loss_l1_dx);
    give(to, pointwise(P2P_KIND_loss_l1));
    give(to, value);
}

void check_cases_visit(const p2p_device_info *info, check_visit *visit, void *context) {
    const walk to = {visit, context, info->channel_alignment};
    visit_plain_convolutions(&to);
    visit_fused_convolutions(&to);
    visit_norms(&to);
    visit_activations(&to);
    visit_data(&to);
    visit_sums(&to);
    visit_losses(&to);
    give(&to, op_case_adam(4099, 0.5, 0.999, false));
    /* the copy is a derived filter in bf16 */
    if (info->derives_filters) give(&to, op_case_adam(4099, 0.5, 0.999, true));
}
