/* Values and nodes of a part: adding, describing, querying the device, freeing. See plan.h. */
#include "session.h"

#include "host/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- Values ------------------------------------------------------------------------------------------- */

p2p_status plan_value_add(plan_part *part, const plan_value *value, int *id) {
    plan_value *values =
        ir_grow(part->values, part->value_count, &part->value_capacity, sizeof *part->values);
    if (!values) return plan_no_memory("a plan");
    part->values = values;
    *id = part->value_count++;
    values[*id] = *value;
    return P2P_OK;
}

int plan_root(const plan_part *part, int value) {
    return part->values[value].origin == IR_RANGE ? part->values[value].parent : value;
}

/* ---- Ports -------------------------------------------------------------------------------------------- */

/* Whether the host's plain form equals the device's form. */
static bool same_bytes(const p2p_tensor *tensor, p2p_type type) {
    bool plain = tensor->layout == P2P_LAYOUT_plain && tensor->block <= 1;
    return tensor->type == type && (plain || type == P2P_TYPE_u8 || type == P2P_TYPE_u16);
}

/* Ports are aligned to BOUNDARY bytes, sufficient for every type and driver. */
size_t plan_lay_out_ports(const plan_part *part, plan_port *ports, int count, bool inputs) {
    enum { BOUNDARY = 64 };
    size_t end = 0;
    for (int i = 0; i < count; i++) {
        plan_port *port = &ports[i];
        const p2p_tensor *tensor = &part->values[port->value].tensor;
        port->raw_bytes = p2p_tensor_bytes(tensor);
        port->raw_offset = end;
        end = plan_round_up(end + port->raw_bytes, BOUNDARY);
        port->host_offset = port->raw_offset;
        port->host_bytes = (size_t)p2p_tensor_elements(tensor) * p2p_type_bytes(port->type);
        if (!inputs || (same_bytes(tensor, port->type) && port->host_bytes == port->raw_bytes)) continue;
        port->host_offset = end;
        end = plan_round_up(end + port->host_bytes, BOUNDARY);
    }
    return end;
}

size_t plan_run_bytes(const plan_part *part) {
    const size_t zeros = part->local_batch > 0 ? 0 : PLAN_ZEROS;
    return PLAN_SLOTS * (part->input_bytes + part->output_bytes + part->step_bytes) + part->output_bytes +
           zeros;
}

/* ---- Nodes -------------------------------------------------------------------------------------------- */

void plan_describe(const plan_part *part, const plan_node *node, p2p_op *op) {
    *op = node->op;
    for (int i = 0; i < P2P_MAX_OPERANDS; i++)
        op->t[i] = node->value[i] ? part->values[node->value[i]].tensor : (p2p_tensor){0};
}

bool plan_is_arena(const plan_part *part, const plan_node *node) {
    return node->value[0] && part->values[node->value[0]].origin == IR_ARENA;
}

bool plan_is_collective(const plan_node *node) {
    return node->op.kind == P2P_KIND_all_reduce || node->op.kind == P2P_KIND_broadcast;
}

static p2p_status query(const plan_part *part, const p2p_op *op, p2p_query *answer, bool *accepted) {
    const p2p_status status = p2p_operation_query(part->device, op, answer);
    *accepted = status == P2P_OK;
    if (status != P2P_UNSUPPORTED) return status;
    p2p_log("plan: %s refused: %s", p2p_kind_name(op->kind), p2p_message());
    return P2P_OK;
}

/* Whether the device requests another storage of the node's filter, and the session's options permit it. */
static bool may_derive(const plan_part *part, const plan_node *node, const p2p_query *answer) {
    const p2p_session_options *options = &part->session->options;
    if (answer->filter_need == P2P_FILTER_AS_QUERIED) return false;
    if (part->values[node->value[p2p_kind_filter(node->op.kind)]].origin != IR_STATE) return false;
    return answer->filter_need == P2P_FILTER_REQUIRED || !(options->no_fusion || options->no_derived);
}

p2p_status plan_find_form(const plan_part *part, const plan_node *node, plan_form *form) {
    *form = (plan_form){0};
    plan_describe(part, node, &form->op);
    P2P_TRY(query(part, &form->op, &form->query, &form->accepted));
    if (!form->accepted) return P2P_OK;
    const bool required = form->query.filter_need == P2P_FILTER_REQUIRED;
    plan_form other = *form;
    if (may_derive(part, node, &form->query)) {
        p2p_tensor *w = &other.op.t[p2p_kind_filter(node->op.kind)];
        w->type = form->query.filter.type;
        w->layout = form->query.filter.layout;
        w->block = form->query.filter.block;
        other.derived = true;
        P2P_TRY(query(part, &other.op, &other.query, &other.accepted));
        if (other.accepted) *form = other;
    }
    form->accepted = form->derived || !required;
    if (!form->accepted && other.accepted)
        (void)p2p_fail(P2P_UNSUPPORTED, "%s reads a filter that can't be stored as %s needs it",
                       p2p_kind_name(node->op.kind), p2p_device_address(part->device));
    return P2P_OK;
}

p2p_status plan_accepts(const plan_part *part, const plan_node *node, bool *accepted) {
    plan_form form;
    P2P_TRY(plan_find_form(part, node, &form));
    *accepted = form.accepted;
    return P2P_OK;
}

p2p_status plan_node_insert(plan_part *part, int position, const plan_node *node) {
    plan_node *nodes = ir_grow(part->nodes, part->node_count, &part->node_capacity, sizeof *part->nodes);
    if (!nodes) return plan_no_memory("a plan");
    part->nodes = nodes;
    memmove(&nodes[position + 1], &nodes[position], (size_t)(part->node_count - position) * sizeof *nodes);
    nodes[position] = *node;
    part->node_count++;
    return P2P_OK;
}

void plan_part_free(plan_part *part) {
    for (int i = 0; part->recorded && i < part->segment_count; i++) p2p_recorded_destroy(part->recorded[i]);
    for (int i = 0; i < part->step_count; i++) p2p_operation_destroy(part->steps[i].operation);
    free(part->recorded);
    free(part->segments);
    free(part->steps);
    free(part->values);
    free(part->nodes);
    free(part->inputs);
    free(part->outputs);
    free(part->step_blocks);
    *part = (plan_part){0};
}
