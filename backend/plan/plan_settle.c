/* Adaptation of the fused nodes to the device: filters in a derived layout, separate additions for outputs to
 * which the device cannot accumulate, plain copies of outputs that are mostly padding.
 */
#include "session.h"

/* Replaces the node's filter by a derived filter if the device prefers another layout and accepts the node
 * with it. */
static p2p_status settle_filter(plan_part *part, plan_node *node) {
    enum { W = P2P_AT_conv_fwd_w };
    _Static_assert((int)P2P_AT_conv_fwd_w == (int)P2P_AT_conv_bwd_data_w, "filters are at the same position");
    const p2p_session_options *options = &part->session->options;
    if (node->op.kind != P2P_KIND_conv_fwd && node->op.kind != P2P_KIND_conv_bwd_data) return P2P_OK;
    const plan_value stored_filter = part->values[node->value[W]];
    if (stored_filter.origin != IR_STATE || options->no_fusion || options->no_derived) return P2P_OK;
    p2p_op op;
    plan_describe(part, node, &op);
    p2p_query query;
    P2P_TRY(p2p_operation_query(part->device, &op, &query));
    if (!query.want_filter) return P2P_OK;
    plan_value derived = stored_filter;
    derived.tensor.type = query.filter.type;
    derived.tensor.layout = query.filter.layout;
    derived.tensor.block = query.filter.block;
    if (p2p_tensor_equal(&derived.tensor, &stored_filter.tensor)) return P2P_OK;
    plan_node candidate = *node;
    P2P_TRY(plan_value_add(part, &derived, &candidate.value[W]));
    bool accepted = false;
    P2P_TRY(plan_accepts(part, &candidate, &accepted));
    if (!accepted) return P2P_OK;
    P2P_TRY(session_derived(part->session, derived.network, derived.param, &derived.tensor,
                            &part->values[candidate.value[W]].derived));
    *node = candidate;
    part->fused[PLAN_FUSED_derived]++;
    return P2P_OK;
}

/* Replaces y += f(x) by t = f(x), y += t for all outputs that accumulate. */
static p2p_status split_accumulation(plan_part *part, int position) {
    int after = position + 1;
    for (int i = 0; i < p2p_kind_operand_count(part->nodes[position].op.kind); i++) {
        plan_node *node = &part->nodes[position];
        if (!(node->op.accumulate >> i & 1)) continue;
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
        bool accepted = false;
        P2P_TRY(plan_accepts(part, node, &accepted));
        if (!accepted && node->op.accumulate && node->op.kind != P2P_KIND_axpby) {
            P2P_TRY(split_accumulation(part, i));
            P2P_TRY(plan_accepts(part, &part->nodes[i], &accepted));
        }
        if (!accepted) return P2P_UNSUPPORTED; /* with the device's reason */
        P2P_TRY(settle_filter(part, &part->nodes[i]));
    }
    return settle_outputs(part);
}
