/* Builders of logical cases, and their stamping with a device's storages. Builders make valid descriptors.
 * The runner validates each again, so that an error here fails the suite instead of skipping a case.
 */
#include "op_case.h"

/* ---- Operands ----------------------------------------------------------------------------------------- */

static void set(op_case *item, int operand, op_role role, p2p_tensor tensor) {
    item->op.t[operand] = tensor;
    item->role[operand] = role;
}

static void set_activation(op_case *item, int operand, int64_t n, int64_t c, int64_t h, int64_t w) {
    set(item, operand, OP_ROLE_ACTIVATION, p2p_tensor_activation(P2P_TYPE_f32, n, c, h, w));
}

static void set_vector(op_case *item, int operand, int64_t c) {
    set(item, operand, OP_ROLE_VECTOR, p2p_tensor_vector(P2P_TYPE_f32, c));
}

static void set_step(op_case *item, int operand, int64_t images) {
    set(item, operand, OP_ROLE_WORDS, p2p_tensor_flat(P2P_TYPE_u32, p2p_step_block_words(images)));
}

void op_case_drop_operand(op_case *item, int operand) {
    item->op.t[operand] = (p2p_tensor){0};
    item->role[operand] = OP_ROLE_NONE;
}

void op_case_range(op_case *item, int operand, int64_t before, int64_t after) {
    p2p_tensor *t = &item->op.t[operand];
    t->c0 = before;
    t->cp = before + t->c + after;
}

/* ---- Convolutions ------------------------------------------------------------------------------------- */

static int64_t conv_out(int64_t extent, int64_t before, int64_t after, int64_t taps, int64_t stride) {
    return (extent + before + after - taps) / stride + 1;
}

op_case op_case_conv(p2p_kind kind, const op_conv_shape *s) {
    op_case item = {.op = {.kind = kind,
                           .stride = s->stride,
                           .pad_top = s->top,
                           .pad_left = s->left,
                           .pad_bottom = s->bottom,
                           .pad_right = s->right}};
    int x = P2P_AT_conv_fwd_x, w = P2P_AT_conv_fwd_w, y = P2P_AT_conv_fwd_y;
    if (kind == P2P_KIND_conv_bwd_data) {
        x = P2P_AT_conv_bwd_data_dx, w = P2P_AT_conv_bwd_data_w, y = P2P_AT_conv_bwd_data_dy;
    } else if (kind == P2P_KIND_conv_bwd_filter) {
        x = P2P_AT_conv_bwd_filter_x, w = P2P_AT_conv_bwd_filter_dw, y = P2P_AT_conv_bwd_filter_dy;
    }
    set_activation(&item, x, s->n, s->c, s->h, s->w);
    set(&item, w, kind == P2P_KIND_conv_bwd_filter ? OP_ROLE_GRADIENT : OP_ROLE_FILTER,
        p2p_tensor_filter(P2P_TYPE_f32, s->k, s->c, s->r, s->s));
    set_activation(&item, y, s->n, s->k, conv_out(s->h, s->top, s->bottom, s->r, s->stride),
                   conv_out(s->w, s->left, s->right, s->s, s->stride));
    return item;
}

void op_case_set_bias(op_case *item) {
    if (item->op.kind == P2P_KIND_conv_fwd) {
        set_vector(item, P2P_AT_conv_fwd_bias, item->op.t[P2P_AT_conv_fwd_y].c);
    } else {
        set_vector(item, P2P_AT_conv_bwd_data_bias, item->op.t[P2P_AT_conv_bwd_data_dx].c);
    }
}

void op_case_set_act(op_case *item, p2p_act act, double slope) {
    item->op.act = act;
    item->op.slope = act == P2P_ACT_lrelu ? slope : 0;
}

/* ---- Normalisation ------------------------------------------------------------------------------------ */

/* Sets the fields that norm_apply and the gradients share. */
static void set_norm_fields(op_case *item, const op_norm_shape *s) {
    p2p_op *op = &item->op;
    op_case_set_act(item, s->act, s->slope);
    op->act2 = s->second ? (int64_t)s->act2 : P2P_ACT_none;
    op->slope2 = op->act2 == P2P_ACT_lrelu ? s->slope2 : 0;
    op->eps = 1e-5;
    op->dropout = s->dropout;
    op->layer = s->dropout > 0 ? 0x1234567 : 0;
    op->merged = s->merged;
}

static void set_norm_apply(op_case *item, const op_norm_shape *s, int64_t groups) {
    p2p_op *op = &item->op;
    set_norm_fields(item, s);
    op->use_running = s->use_running;
    if (s->use_running) op->merged = 0;
    if (!s->use_running) {
        set(item, P2P_AT_norm_apply_stats, OP_ROLE_VECTOR, p2p_tensor_stats(P2P_TYPE_f32, groups, 3, s->c));
    }
    if (s->running || s->use_running) {
        set(item, P2P_AT_norm_apply_running, OP_ROLE_VECTOR, p2p_tensor_stats(P2P_TYPE_f32, 1, 2, s->c));
        op->momentum = s->use_running ? 0 : 0.1;
    }
    if (!s->bare) {
        set_vector(item, P2P_AT_norm_apply_scale, s->c);
        set_vector(item, P2P_AT_norm_apply_shift, s->c);
    }
    if (s->dropout > 0) set_step(item, P2P_AT_norm_apply_step, s->n);
    set_activation(item, P2P_AT_norm_apply_y, s->n, s->c, s->h, s->w);
    if (s->second) set_activation(item, P2P_AT_norm_apply_y2, s->n, s->c, s->h, s->w);
}

/* norm_bwd_stats and norm_bwd_apply share their first operands. */
static void set_norm_bwd(op_case *item, const op_norm_shape *s, int64_t groups) {
    set_norm_fields(item, s);
    set(item, P2P_AT_norm_bwd_stats_stats, OP_ROLE_VECTOR, p2p_tensor_stats(P2P_TYPE_f32, groups, 3, s->c));
    if (!s->bare) {
        set_vector(item, P2P_AT_norm_bwd_stats_scale, s->c);
        set_vector(item, P2P_AT_norm_bwd_stats_shift, s->c);
    }
    set_activation(item, P2P_AT_norm_bwd_stats_dy, s->n, s->c, s->h, s->w);
    if (s->second) set_activation(item, P2P_AT_norm_bwd_stats_dy2, s->n, s->c, s->h, s->w);
    if (s->dropout > 0) set_step(item, P2P_AT_norm_bwd_stats_step, s->n);
    bool stats = item->op.kind == P2P_KIND_norm_bwd_stats;
    set(item, stats ? P2P_AT_norm_bwd_stats_sums : P2P_AT_norm_bwd_apply_sums, OP_ROLE_VECTOR,
        p2p_tensor_stats(P2P_TYPE_f32, groups, 2, s->c));
    if (stats) item->op.merged = 0;
    if (!stats) set_activation(item, P2P_AT_norm_bwd_apply_dx, s->n, s->c, s->h, s->w);
    if ((!stats && !s->merged) || s->bare) return;
    if (s->dscale)
        set_vector(item, stats ? P2P_AT_norm_bwd_stats_dscale : P2P_AT_norm_bwd_apply_dscale, s->c);
    if (s->dshift)
        set_vector(item, stats ? P2P_AT_norm_bwd_stats_dshift : P2P_AT_norm_bwd_apply_dshift, s->c);
}

op_case op_case_norm(p2p_kind kind, const op_norm_shape *s) {
    op_case item = {.op = {.kind = kind, .images = s->images}};
    int64_t groups = s->images ? s->n / s->images : 1;
    set_activation(&item, 0, s->n, s->c, s->h, s->w);
    if (kind == P2P_KIND_norm_stats) {
        set(&item, P2P_AT_norm_stats_stats, OP_ROLE_VECTOR, p2p_tensor_stats(P2P_TYPE_f32, groups, 3, s->c));
    } else if (kind == P2P_KIND_norm_apply) {
        set_norm_apply(&item, s, groups);
    } else {
        set_norm_bwd(&item, s, groups);
    }
    return item;
}

/* ---- The others --------------------------------------------------------------------------------------- */

static void set_pointwise_fields(op_case *item, int64_t n) {
    p2p_op *op = &item->op;
    switch (op->kind) {
    case P2P_KIND_prepare:
        op->alpha = 1 / 127.5;
        op->offset = -1;
        item->role[P2P_AT_prepare_x] = OP_ROLE_IMAGE;
        break;
    case P2P_KIND_axpby:
        op->alpha = -1.5;
        break;
    case P2P_KIND_dropout:
        op->dropout = 0.5;
        op->layer = 0x89abcdef;
        set_step(item, P2P_AT_dropout_step, n);
        break;
    case P2P_KIND_bias_grad:
        set_vector(item, P2P_AT_bias_grad_db, op->t[P2P_AT_bias_grad_dy].c);
        break;
    case P2P_KIND_loss_bce:
        set_vector(item, P2P_AT_loss_bce_loss, 1);
        op->loss_scale = 0.01;
        op->grad_scale = 0.005;
        break;
    case P2P_KIND_loss_mse:
        set_vector(item, P2P_AT_loss_mse_loss, 1);
        op->loss_scale = 0.01;
        op->grad_scale = 0.005;
        break;
    case P2P_KIND_loss_l1:
        set_vector(item, P2P_AT_loss_l1_loss, 1);
        op->loss_scale = 0.01;
        op->grad_scale = 0.3;
        break;
    default:
        break;
    }
}

op_case op_case_pointwise(p2p_kind kind, int64_t n, int64_t c, int64_t h, int64_t w) {
    op_case item = {.op = {.kind = kind}};
    for (int i = 0; i < p2p_kind_operand_count(kind); i++) set_activation(&item, i, n, c, h, w);
    set_pointwise_fields(&item, n);
    return item;
}

op_case op_case_gemm(int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b, double alpha) {
    op_case item = {
        .op = {
            .kind = P2P_KIND_gemm, .alpha = alpha, .transpose_a = transpose_a, .transpose_b = transpose_b}};
    set(&item, P2P_AT_gemm_a, OP_ROLE_VECTOR,
        p2p_tensor_matrix(P2P_TYPE_f32, transpose_a ? k : m, transpose_a ? m : k));
    set(&item, P2P_AT_gemm_b, OP_ROLE_VECTOR,
        p2p_tensor_matrix(P2P_TYPE_f32, transpose_b ? n : k, transpose_b ? k : n));
    set(&item, P2P_AT_gemm_y, OP_ROLE_VECTOR, p2p_tensor_matrix(P2P_TYPE_f32, m, n));
    return item;
}

op_case op_case_adam(int64_t count, double beta1, double beta2, bool copy) {
    op_case item = {.op = {.kind = P2P_KIND_adam, .beta1 = beta1, .beta2 = beta2, .eps = 1e-8}};
    for (int i = P2P_AT_adam_p; i <= P2P_AT_adam_v; i++) {
        set(&item, i, OP_ROLE_VECTOR, p2p_tensor_flat(P2P_TYPE_f32, count));
    }
    if (copy) set(&item, P2P_AT_adam_copy, OP_ROLE_BF16, p2p_tensor_flat(P2P_TYPE_bf16, count));
    set_step(&item, P2P_AT_adam_step, 1);
    return item;
}

op_case op_case_copy(op_role from, op_role to, int64_t n, int64_t c, int64_t h, int64_t w) {
    op_case item = op_case_pointwise(P2P_KIND_copy, n, c, h, w);
    item.role[P2P_AT_copy_x] = from;
    item.role[P2P_AT_copy_y] = to;
    return item;
}

/* ---- Stamping ----------------------------------------------------------------------------------------- */

static void store_as(p2p_tensor *t, p2p_storage storage) {
    t->type = storage.type;
    t->layout = storage.layout;
    t->block = storage.block;
}

static p2p_storage transposed(p2p_storage filter) {
    if (filter.layout == P2P_LAYOUT_ckrs) {
        filter.layout = P2P_LAYOUT_kcrs_t;
    } else if (filter.layout == P2P_LAYOUT_kcrs_t) {
        filter.layout = P2P_LAYOUT_ckrs;
    }
    return filter;
}

op_storages op_storages_of(const p2p_device_info *info, p2p_precision precision) {
    const bool bf16 = precision == P2P_PRECISION_bf16;
    return (op_storages){.activation = bf16 ? info->activation_bf16 : info->activation,
                         .filter = info->filter,
                         .vector = info->vector,
                         .gradient = bf16 ? info->gradient_bf16 : info->filter.type,
                         .channel_alignment = info->channel_alignment};
}

p2p_math op_math_of(const p2p_device_info *info, p2p_precision precision) {
    const bool stored = info->activation_bf16.type != info->activation.type;
    if (precision == P2P_PRECISION_bf16) return stored ? P2P_MATH_stored : P2P_MATH_bf16;
    return precision == P2P_PRECISION_tf32 ? P2P_MATH_tf32 : P2P_MATH_stored;
}

p2p_op op_case_stamp(const op_case *item, const op_storages *storages) {
    p2p_op op = item->op;
    for (int i = 0; i < p2p_kind_operand_count(op.kind); i++) {
        if (!p2p_tensor_present(&op.t[i])) continue;
        switch (item->role[i]) {
        case OP_ROLE_ACTIVATION:
            store_as(&op.t[i], storages->activation);
            break;
        case OP_ROLE_FILTER:
            store_as(&op.t[i], storages->filter);
            break;
        case OP_ROLE_GRADIENT:
            store_as(&op.t[i], storages->filter);
            op.t[i].type = storages->gradient;
            break;
        case OP_ROLE_FILTER_T:
            store_as(&op.t[i], transposed(storages->filter));
            break;
        case OP_ROLE_VECTOR:
            store_as(&op.t[i], storages->vector);
            break;
        case OP_ROLE_IMAGE:
            store_as(&op.t[i], (p2p_storage){P2P_TYPE_u8, P2P_LAYOUT_nhwc, 0});
            break;
        case OP_ROLE_IMAGE_16:
            store_as(&op.t[i], (p2p_storage){P2P_TYPE_u16, P2P_LAYOUT_nhwc, 0});
            break;
        default:
            break;
        }
    }
    return op;
}
