/* Invalid descriptors: changes to a valid one, each of which must be refused with a message before the
 * backend is called.
 */
#include "op_suite.h"

#include <math.h>

/* Makes `op` invalid, in `operand` or in a field. Returns false if the change leaves it valid. */
typedef bool mutation(p2p_op *op, int operand);

static bool is_optional(const p2p_op *op, int operand) {
    return p2p_kind_operand_use(op->kind, operand) & P2P_OPT;
}

static bool omit(p2p_op *op, int operand) {
    op->t[operand].n = 0;
    return !is_optional(op, operand);
}

static bool negative_extent(p2p_op *op, int operand) {
    op->t[operand].h = -op->t[operand].h;
    return true;
}

static bool zero_extent(p2p_op *op, int operand) {
    op->t[operand].w = 0;
    return true;
}

static bool overflowing_extents(p2p_op *op, int operand) {
    op->t[operand].h = op->t[operand].w = INT64_C(1) << 40;
    return true;
}

static bool huge_extent(p2p_op *op, int operand) {
    op->t[operand].n = INT64_MAX;
    return true;
}

static bool unknown_type(p2p_op *op, int operand) {
    op->t[operand].type = P2P_TYPE_COUNT;
    return true;
}

static bool unknown_layout(p2p_op *op, int operand) {
    op->t[operand].layout = (p2p_layout)77;
    return true;
}

static bool negative_block(p2p_op *op, int operand) {
    op->t[operand].block = -16;
    return true;
}

static bool range_outside(p2p_op *op, int operand) {
    op->t[operand].c0 = 1;
    op->t[operand].cp = op->t[operand].c;
    return true;
}

static bool range_overflows(p2p_op *op, int operand) {
    op->t[operand].c0 = INT64_MAX;
    op->t[operand].cp = INT64_MAX;
    return true;
}

/* One channel more than the other operands have. An operand without others may have any number. */
static bool other_channels(p2p_op *op, int operand) {
    bool label_loss = op->kind == P2P_KIND_loss_bce || op->kind == P2P_KIND_loss_mse;
    bool alone = label_loss && !p2p_tensor_present(&op->t[P2P_AT_loss_bce_dx]);
    op->t[operand].c += 1;
    return p2p_kind_operand_count(op->kind) > 1 && !(alone && operand == P2P_AT_loss_bce_x);
}

static bool step_block_of_floats(p2p_op *op, int operand) {
    bool is_step = op->t[operand].type == P2P_TYPE_u32;
    op->t[operand].type = P2P_TYPE_f32;
    return is_step;
}

static bool accumulates_into_an_input(p2p_op *op, int operand) {
    op->accumulate = UINT32_C(1) << operand;
    return (p2p_kind_operand_use(op->kind, operand) & P2P_INOUT) != P2P_OUT;
}

static mutation *const operand_mutations[] = {
    omit,
    negative_extent,
    zero_extent,
    overflowing_extents,
    huge_extent,
    unknown_type,
    unknown_layout,
    negative_block,
    range_outside,
    range_overflows,
    other_channels,
    step_block_of_floats,
    accumulates_into_an_input,
};

/* Changes of the descriptor's fields. The operand is not used. */
static bool unknown_act(p2p_op *op, int operand) {
    (void)operand;
    op->act = 99;
    return true;
}

static bool negative_stride(p2p_op *op, int operand) {
    (void)operand;
    op->stride = -1;
    return true;
}

static bool huge_padding(p2p_op *op, int operand) {
    (void)operand;
    op->pad_top = INT64_MAX;
    return true;
}

static bool infinite_alpha(p2p_op *op, int operand) {
    (void)operand;
    op->alpha = HUGE_VAL;
    return true;
}

static bool not_a_number(p2p_op *op, int operand) {
    (void)operand;
    op->eps = NAN;
    return true;
}

static bool certain_dropout(p2p_op *op, int operand) {
    (void)operand;
    op->dropout = 1;
    return true;
}

static bool root_of_nothing(p2p_op *op, int operand) {
    (void)operand;
    op->root = 3;
    return op->kind != P2P_KIND_broadcast;
}

static bool uneven_groups(p2p_op *op, int operand) {
    (void)operand;
    op->images = op->t[0].n + 1;
    return true;
}

static bool foreign_accumulation(p2p_op *op, int operand) {
    (void)operand;
    op->accumulate = UINT32_C(1) << 31;
    return true;
}

static bool thirteenth_operand(p2p_op *op, int operand) {
    (void)operand;
    if (p2p_kind_operand_count(op->kind) == P2P_MAX_OPERANDS) return false;
    op->t[P2P_MAX_OPERANDS - 1] = op->t[0];
    return true;
}

static bool unknown_kind(p2p_op *op, int operand) {
    (void)operand;
    op->kind = P2P_KIND_COUNT;
    return true;
}

static mutation *const field_mutations[] = {
    unknown_act,     negative_stride, huge_padding,         infinite_alpha,     not_a_number, certain_dropout,
    root_of_nothing, uneven_groups,   foreign_accumulation, thirteenth_operand, unknown_kind,
};

static p2p_status expect_refusal(p2p_device *device, const p2p_op *valid, mutation *mutate, int operand,
                                 int number, long *refused) {
    p2p_op op = *valid;
    p2p_query answer;
    if (!mutate(&op, operand)) return P2P_OK;
    p2p_status status = p2p_operation_query(device, &op, &answer);
    if (status != P2P_INVALID || p2p_message()[0] == '\0') {
        return p2p_fail(P2P_FAILED,
                        "invalid variant %d of operand %d: expected INVALID and a message, got %s", number,
                        operand, p2p_status_name(status));
    }
    (*refused)++;
    return P2P_OK;
}

p2p_status op_invalid_check(p2p_device *device, const p2p_op *op, long *refused) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (!p2p_tensor_present(&op->t[i])) continue;
        for (int m = 0; m < (int)(sizeof operand_mutations / sizeof operand_mutations[0]); m++) {
            P2P_TRY(expect_refusal(device, op, operand_mutations[m], i, m, refused));
        }
    }
    for (int m = 0; m < (int)(sizeof field_mutations / sizeof field_mutations[0]); m++) {
        P2P_TRY(expect_refusal(device, op, field_mutations[m], 0, m, refused));
    }
    return P2P_OK;
}
