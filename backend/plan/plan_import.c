/* Import of a graph into a part: values get the tensors that the device stores, nodes become descriptors,
 * inputs and outputs get places in host memory. Fusion (fuse.c) and adaptation to the device (plan_settle.c)
 * follow.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---- Values ------------------------------------------------------------------------------------------- */

static p2p_tensor stored(p2p_storage storage, const ir_value *value) {
    return (p2p_tensor){.type = storage.type,
                        .layout = storage.layout,
                        .block = storage.block,
                        .n = value->n,
                        .c = value->c,
                        .h = value->h,
                        .w = value->w};
}

static p2p_tensor store_value(const p2p_session *session, const ir_value *value) {
    switch (value->role) {
    case IR_FILTER:
        return stored(session->filter, value);
    case IR_VECTOR:
        return stored(session->vector, value);
    case IR_IMAGE:
        return stored((p2p_storage){value->type, P2P_LAYOUT_nhwc, 0}, value);
    case IR_WORDS:
        return stored((p2p_storage){P2P_TYPE_u32, P2P_LAYOUT_plain, 0}, value);
    case IR_ACTIVATION:
        break;
    }
    return stored(session->activation, value);
}

static p2p_status import_state(plan_part *part, const ir_value *value, plan_value *to) {
    p2p_session *session = part->session;
    P2P_TRY(session_network(session, value->network, &to->network));
    const plan_network *network = &session->networks[to->network];
    to->part = value->part;
    if (value->origin == IR_ARENA) {
        to->tensor = (p2p_tensor){0};
        return P2P_OK;
    }
    if (value->param < 0 || value->param >= network->param_count)
        return p2p_fail(P2P_INVALID, "network %s has %d parameters, the graph uses number %d",
                        network->network->name, network->param_count, value->param);
    plan_address at;
    to->param = value->param;
    to->tensor = session_param(session, to->network, value->param, value->part, &at);
    return P2P_OK;
}

static p2p_status import_value(plan_part *part, const p2p_graph *graph, int id) {
    const ir_value *value = &graph->values[id];
    plan_value *to = &part->values[id];
    *to = (plan_value){.role = value->role,
                       .origin = value->origin,
                       .tensor = store_value(part->session, value),
                       .at = {-1, 0},
                       .first = 0,
                       .last = -1};
    if (value->origin == IR_STATE || value->origin == IR_ARENA) return import_state(part, value, to);
    if (value->origin == IR_RANGE) {
        to->parent = ir_value_resolve(graph, value->parent);
        to->tensor.c0 = value->c0;
        to->tensor.cp = graph->values[to->parent].c;
    }
    return P2P_OK;
}

/* ---- Inputs and outputs ------------------------------------------------------------------------------- */

static p2p_status import_inputs(plan_part *part, const p2p_graph *graph) {
    int count = 0;
    for (int id = 1; id < graph->value_count; id++)
        count += graph->values[id].origin == IR_INPUT && !graph->values[id].alias_of;
    part->inputs = calloc((size_t)count + 1, sizeof *part->inputs);
    if (!part->inputs) return plan_no_memory("a plan");
    for (int id = 1; id < graph->value_count; id++) {
        const ir_value *value = &graph->values[id];
        if (value->origin != IR_INPUT || value->alias_of) continue;
        plan_port *port = &part->inputs[part->input_count++];
        *port = (plan_port){.value = id, .type = value->type, .first = value->first};
        memcpy(port->name, value->name, sizeof port->name);
    }
    part->input_bytes = plan_lay_out_ports(part, part->inputs, part->input_count, true);
    return P2P_OK;
}

static p2p_status import_outputs(plan_part *part, const p2p_graph *graph) {
    part->outputs = calloc((size_t)graph->output_count + 1, sizeof *part->outputs);
    if (!part->outputs) return plan_no_memory("a plan");
    for (int i = 0; i < graph->output_count; i++) {
        const ir_output *output = &graph->outputs[i];
        int value = ir_value_resolve(graph, output->value);
        part->outputs[i] = (plan_port){
            .value = value, .type = output->loss ? P2P_TYPE_f64 : output->type, .loss = output->loss};
        memcpy(part->outputs[i].name, output->name, sizeof part->outputs[i].name);
        part->values[value].output = true;
    }
    part->output_count = graph->output_count;
    part->output_bytes = plan_lay_out_ports(part, part->outputs, part->output_count, false);
    return P2P_OK;
}

/* ---- Nodes -------------------------------------------------------------------------------------------- */

/* Sets the math of the session's precision in a convolution if the device accepts it for this shape. */
static p2p_status choose_math(const plan_part *part, plan_node *node) {
    const p2p_kind kind = node->op.kind;
    const bool conv =
        kind == P2P_KIND_conv_fwd || kind == P2P_KIND_conv_bwd_data || kind == P2P_KIND_conv_bwd_filter;
    const p2p_precision precision = part->session->options.precision;
    if (!conv || precision == P2P_PRECISION_fp32) return P2P_OK;
    plan_node question = *node;
    question.op.math = precision == P2P_PRECISION_bf16 ? P2P_MATH_bf16 : P2P_MATH_tf32;
    question.op.accumulate = 0; /* plan_settle.c decides about accumulation */
    bool accepted = false;
    P2P_TRY(plan_accepts(part, &question, &accepted));
    if (accepted) node->op.math = question.op.math;
    return P2P_OK;
}

/* Adds the step blocks, in whose order they lie in host memory. */
static p2p_status import_step_blocks(plan_part *part, const p2p_graph *graph) {
    enum { BOUNDARY = 64 };
    for (int id = 1; id < graph->value_count; id++) {
        const ir_value *value = &graph->values[id];
        if (value->origin != IR_STEP) continue;
        plan_step_block *blocks = ir_grow(part->step_blocks, part->step_block_count,
                                          &part->step_block_capacity, sizeof *part->step_blocks);
        if (!blocks) return plan_no_memory("a plan");
        part->step_blocks = blocks;
        const int64_t images = value->w - p2p_step_block_words(0);
        blocks[part->step_block_count++] = (plan_step_block){
            .value = id, .first = value->first, .images = images, .offset = part->step_bytes};
        part->step_bytes += plan_round_up((size_t)p2p_step_block_words(images) * sizeof(uint32_t), BOUNDARY);
    }
    return P2P_OK;
}

static void import_node(plan_part *part, const p2p_graph *graph, const ir_node *from) {
    plan_node *node = &part->nodes[part->node_count++];
    *node = (plan_node){.op = from->op, .layer = from->layer};
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        int id = from->value[i] ? ir_value_resolve(graph, from->value[i]) : 0;
        node->value[i] = id;
        const plan_value *value = &part->values[id];
        if (id == 0) continue;
        if (value->origin == IR_STATE || value->origin == IR_ARENA)
            part->session->networks[value->network].needed[value->part] = true;
    }
}

p2p_status plan_import(plan_part *part, p2p_graph *graph) {
    P2P_TRY(p2p_graph_status(graph));
    part->local_batch = graph->local_batch;
    part->values = calloc((size_t)graph->value_count + 1, sizeof *part->values);
    part->nodes = calloc((size_t)graph->node_count + 1, sizeof *part->nodes);
    if (!part->values || !part->nodes) return plan_no_memory("a plan");
    part->value_count = graph->value_count;
    part->value_capacity = graph->value_count + 1;
    part->node_capacity = graph->node_count + 1;
    for (int id = 1; id < graph->value_count; id++) {
        if (!graph->values[id].alias_of) P2P_TRY(import_value(part, graph, id));
    }
    for (int i = 0; i < graph->node_count; i++) {
        import_node(part, graph, &graph->nodes[i]);
        P2P_TRY(choose_math(part, &part->nodes[i]));
    }
    P2P_TRY(import_step_blocks(part, graph));
    P2P_TRY(import_inputs(part, graph));
    return import_outputs(part, graph);
}
