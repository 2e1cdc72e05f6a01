/* See op_parts.h. */
#include "op_parts.h"

static bool is_forward(p2p_kind kind) {
    return kind == P2P_KIND_conv_fwd || kind == P2P_KIND_conv_bwd_data;
}

_Static_assert((int)P2P_AT_conv_fwd_bias == (int)P2P_AT_conv_bwd_data_bias,
               "has_bias assumes equal positions");

static bool has_bias(const p2p_op *op) {
    return is_forward(op->kind) && p2p_tensor_present(&op->t[P2P_AT_conv_fwd_bias]);
}

static bool has_second(const p2p_op *op) {
    if (op->kind == P2P_KIND_norm_apply) return p2p_tensor_present(&op->t[P2P_AT_norm_apply_y2]);
    if (op->kind == P2P_KIND_norm_bwd_stats) return p2p_tensor_present(&op->t[P2P_AT_norm_bwd_stats_dy2]);
    if (op->kind == P2P_KIND_norm_bwd_apply) return p2p_tensor_present(&op->t[P2P_AT_norm_bwd_apply_dy2]);
    return false;
}

/* The planner's rule: two ranges within one block of channels would overwrite each other's lanes. */
static bool is_aligned(const p2p_tensor *t, int alignment) {
    const int64_t end = t->c0 + t->c;
    return t->cp == 0 || (t->c0 % alignment == 0 && (end % alignment == 0 || end == t->cp));
}

static bool has_range(const p2p_op *op, int alignment) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++)
        if (!is_aligned(&op->t[i], alignment)) return op->kind != P2P_KIND_copy;
    return false;
}

unsigned op_parts_of(const p2p_op *op, int channel_alignment) {
    const bool norm = p2p_op_is_norm(op);
    const bool has[OP_PART_COUNT] = {
        [OP_PART_bias] = has_bias(op),
        [OP_PART_act] = (norm || is_forward(op->kind)) && op->act != P2P_ACT_none,
        [OP_PART_second] = has_second(op),
        [OP_PART_dropout] = norm && op->dropout > 0,
        [OP_PART_merged] = norm && op->merged,
        [OP_PART_accumulate] = op->accumulate && op->kind != P2P_KIND_axpby,
        [OP_PART_range] = has_range(op, channel_alignment),
        [OP_PART_bf16] = op->math == P2P_MATH_bf16,
        [OP_PART_tf32] = op->math == P2P_MATH_tf32,
        [OP_PART_copy] = op->kind == P2P_KIND_adam && p2p_tensor_present(&op->t[P2P_AT_adam_copy]),
    };
    unsigned parts = 0;
    for (int i = 0; i < OP_PART_COUNT; i++) parts |= (unsigned)has[i] << i;
    return parts;
}

const char *op_part_name(op_part part) {
    static const char *const names[OP_PART_COUNT] = {
#define X(name) #name,
        OP_PART_LIST(X)
#undef X
    };
    return names[part];
}
