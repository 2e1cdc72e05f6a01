/* Adaptation of the fused nodes to the device: filters in a derived storage, separate additions for outputs
 * to which the device cannot accumulate and for gradients that it cannot write, plain copies of outputs that
 * are mostly padding.
 */
#include "session.h"

/* Replaces the node's filter by a derived one if the node was accepted with another storage of it. */
static p2p_status settle_filter(plan_part *part, plan_node *node, const plan_form *form) {
    if (!form->derived) return P2P_OK;
    const int w = p2p_kind_filter(node->op.kind);
    plan_value derived = part->values[node->value[w]];
    derived.tensor = form->op.t[w];
    P2P_TRY(
        session_derived(part->session, derived.network, derived.param, &derived.tensor, &derived.derived));
    P2P_TRY(plan_value_add(part, &derived, &node->value[w]));
    part->fused[PLAN_FUSED_derived]++;
    return P2P_OK;
}

/* Replaces y += f(x) by t = f(x), y += t for all outputs that accumulate. */
static p2p_status split_accumulation(plan_part *part, int position) {
    int after = position + 1;
    for (int i = 0; i < p2p_kind_operand_count(part->nodes[position].op.kind); i++) {
        plan_node *node = &part->nodes[position];
        if (!p2p_op_accumulates(&node->op, i)) continue;
        plan_value temporary = part->values[node->value[i]];
        temporary.origin = IR_LOCAL;
        temporary.output = false;
        temporary.tensor.c0 = temporary.tensor.cp = 0;
        plan_node addition = {.layer = node->layer};
        addition.op.kind = P2P_KIND_axpby;
        addition.op.alpha = 1;
        addition.op.accumulate = 1u << P2P_AT_axpby_y;
        addition.value[P2P_AT_axpby_y] = node->value[i];
        P2P_TRY(plan_value_add(part, &temporary, &addition.value[P2P_AT_axpby_x]));
        node->value[i] = addition.value[P2P_AT_axpby_x];
        node->op.accumulate &= ~(1u << i);
        P2P_TRY(plan_node_insert(part, after++, &addition));
    }
    return P2P_OK;
}

/* Whether at least half of a stored activation is padding, such as 3 channels in blocks of 16. */
static bool mostly_padding(const plan_value *value) {
    const p2p_tensor *tensor = &value->tensor;
    const size_t contents = (size_t)p2p_tensor_elements(tensor) * p2p_type_bytes(tensor->type);
    return value->role == IR_ACTIVATION && value->origin == IR_LOCAL &&
           p2p_tensor_bytes(tensor) >= 2 * contents;
}

/* Replaces dw (+)= f(x, dy) by t = f(x, dy), dw (+)= t with t in the type in which the device writes
 * gradients of filters. So a gradient to which several nodes add is summed in the type of the parameters. */
static p2p_status widen_gradient(plan_part *part, int position) {
    enum { DW = P2P_AT_conv_bwd_filter_dw };
    plan_node *node = &part->nodes[position];
    plan_value narrow = part->values[node->value[DW]];
    narrow.origin = IR_LOCAL;
    narrow.tensor.type = p2p_device_describe(part->device)->gradient_bf16;
    plan_node addition = {.layer = node->layer, .op.kind = P2P_KIND_copy};
    addition.value[P2P_AT_copy_y] = node->value[DW];
    if (p2p_op_accumulates(&node->op, DW)) addition.op.accumulate = 1u << P2P_AT_copy_y;
    P2P_TRY(plan_value_add(part, &narrow, &addition.value[P2P_AT_copy_x]));
    node->value[DW] = addition.value[P2P_AT_copy_x];
    node->op.accumulate = 0;
    return plan_node_insert(part, position + 1, &addition);
}

static bool may_widen(const plan_part *part, const plan_node *node) {
    if (node->op.kind != P2P_KIND_conv_bwd_filter) return false;
    const plan_value *dw = &part->values[node->value[P2P_AT_conv_bwd_filter_dw]];
    return dw->origin == IR_STATE && dw->tensor.type != p2p_device_describe(part->device)->gradient_bf16;
}

/* Adds a copy of such an output to plain layout at the end, if the device accepts it, and lets the host read
 * the copy. This saves the transfer of padding, and host memory for it in every slot. */
static p2p_status settle_output(plan_part *part, plan_port *port) {
    const plan_value padded = part->values[port->value];
    if (port->loss || !mostly_padding(&padded)) return P2P_OK;
    plan_value plain = padded;
    plain.tensor.layout = P2P_LAYOUT_plain;
    plain.tensor.block = 0;
    plain.output = true;
    plan_node copy = {.op.kind = P2P_KIND_copy, .value[P2P_AT_copy_x] = port->value};
    for (int i = 0; i < part->node_count; i++) copy.layer = part->nodes[i].layer;
    P2P_TRY(plan_value_add(part, &plain, &copy.value[P2P_AT_copy_y]));
    bool accepted = false;
    P2P_TRY(plan_accepts(part, &copy, &accepted));
    if (!accepted) return P2P_OK; /* the added value is used by no node and gets no memory */
    part->values[port->value].output = false;
    port->value = copy.value[P2P_AT_copy_y];
    return plan_node_insert(part, part->node_count, &copy);
}

static p2p_status settle_outputs(plan_part *part) {
    for (int i = 0; i < part->output_count; i++) P2P_TRY(settle_output(part, &part->outputs[i]));
    part->output_bytes = plan_lay_out_ports(part, part->outputs, part->output_count, false);
    return P2P_OK;
}

p2p_status plan_settle(plan_part *part) {
    for (int i = 0; i < part->node_count; i++) {
        plan_node *node = &part->nodes[i];
        if (node->removed || plan_is_collective(node) || plan_is_arena(part, node)) continue;
        plan_form form;
        P2P_TRY(plan_find_form(part, node, &form));
        if (!form.accepted && may_widen(part, node)) {
            P2P_TRY(widen_gradient(part, i));
            P2P_TRY(plan_find_form(part, &part->nodes[i], &form));
        }
        node = &part->nodes[i];
        if (!form.accepted && node->op.accumulate && node->op.kind != P2P_KIND_axpby) {
            P2P_TRY(split_accumulation(part, i));
            P2P_TRY(plan_find_form(part, &part->nodes[i], &form));
        }
        if (!form.accepted) return P2P_UNSUPPORTED; /* with the device's reason */
        P2P_TRY(settle_filter(part, &part->nodes[i], &form));
    }
    return settle_outputs(part);
}
