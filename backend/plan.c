/* From a graph to a list of steps for one device.
 *
 * Values get the tensor that the device stores; nodes become descriptors; the last negotiation (derived
 * filters, additions that the device can't do in place) happens here. What may be joined is decided in
 * fuse.c, where things lie in memplan.c. Nothing is allocated on a device.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

static p2p_status no_memory(void) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a plan");
}

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
    to->param = value->param;
    to->tensor = network->tensors[value->param];
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

p2p_status plan_value_add(plan_part *part, const plan_value *value, int *id) {
    plan_value *values =
        ir_grow(part->values, part->value_count, &part->value_capacity, sizeof *part->values);
    if (!values) return no_memory();
    part->values = values;
    *id = part->value_count++;
    values[*id] = *value;
    return P2P_OK;
}

int plan_root(const plan_part *part, int value) {
    return part->values[value].origin == IR_RANGE ? part->values[value].parent : value;
}

/* ---- What the host gives and reads -------------------------------------------------------------------- */

/* True when the host's plain form is the device's form. */
static bool same_bytes(const p2p_tensor *tensor, p2p_type type) {
    bool plain = tensor->layout == P2P_LAYOUT_plain && tensor->block <= 1;
    return tensor->type == type && (plain || type == P2P_TYPE_u8 || type == P2P_TYPE_u16);
}

/* Lay the ports out in a run's host memory, at boundaries that suit any type and any driver. */
static size_t lay_out_ports(const plan_part *part, plan_port *ports, int count, bool inputs) {
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
        if (!inputs || same_bytes(tensor, port->type)) continue;
        port->host_offset = end;
        end = plan_round_up(end + port->host_bytes, BOUNDARY);
    }
    return end;
}

static p2p_status import_inputs(plan_part *part, const p2p_graph *graph) {
    int count = 0;
    for (int id = 1; id < graph->value_count; id++)
        count += graph->values[id].origin == IR_INPUT && !graph->values[id].alias_of;
    part->inputs = calloc((size_t)count + 1, sizeof *part->inputs);
    if (!part->inputs) return no_memory();
    for (int id = 1; id < graph->value_count; id++) {
        const ir_value *value = &graph->values[id];
        if (value->origin != IR_INPUT || value->alias_of) continue;
        plan_port *port = &part->inputs[part->input_count++];
        *port = (plan_port){.value = id, .type = value->type};
        memcpy(port->name, value->name, sizeof port->name);
    }
    part->input_bytes = lay_out_ports(part, part->inputs, part->input_count, true);
    return P2P_OK;
}

static p2p_status import_outputs(plan_part *part, const p2p_graph *graph) {
    part->outputs = calloc((size_t)graph->output_count + 1, sizeof *part->outputs);
    if (!part->outputs) return no_memory();
    for (int i = 0; i < graph->output_count; i++) {
        const ir_output *output = &graph->outputs[i];
        int value = ir_value_resolve(graph, output->value);
        part->outputs[i] = (plan_port){
            .value = value, .type = output->loss ? P2P_TYPE_f64 : output->type, .loss = output->loss};
        memcpy(part->outputs[i].name, output->name, sizeof part->outputs[i].name);
        part->values[value].output = true;
    }
    part->output_count = graph->output_count;
    part->output_bytes = lay_out_ports(part, part->outputs, part->output_count, false);
    return P2P_OK;
}

/* ---- Nodes -------------------------------------------------------------------------------------------- */

/* A convolution of factors in bf16, where the session is in bf16 and the device has it for this shape. */
static p2p_status choose_math(const plan_part *part, plan_node *node) {
    const p2p_kind kind = node->op.kind;
    const bool conv =
        kind == P2P_KIND_conv_fwd || kind == P2P_KIND_conv_bwd_data || kind == P2P_KIND_conv_bwd_filter;
    if (!conv || !part->session->options.bf16) return P2P_OK;
    plan_node question = *node;
    question.op.math = P2P_MATH_bf16;
    question.op.accumulate = 0; /* whether it can add is settled later */
    bool accepted = false;
    P2P_TRY(plan_accepts(part, &question, &accepted));
    if (accepted) node->op.math = question.op.math;
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
        if (value->origin == IR_STEP) part->step_value = id;
        if (value->origin == IR_STATE || value->origin == IR_ARENA)
            part->session->networks[value->network].needed[value->part] = true;
    }
}

p2p_status plan_import(plan_part *part, p2p_graph *graph) {
    P2P_TRY(p2p_graph_status(graph));
    part->local_batch = graph->local_batch;
    part->values = calloc((size_t)graph->value_count + 1, sizeof *part->values);
    part->nodes = calloc((size_t)graph->node_count + 1, sizeof *part->nodes);
    if (!part->values || !part->nodes) return no_memory();
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
    P2P_TRY(import_inputs(part, graph));
    return import_outputs(part, graph);
}

void plan_describe(const plan_part *part, const plan_node *node, p2p_op *op) {
    *op = node->op;
    for (int i = 0; i < P2P_MAX_OPERANDS; i++)
        op->t[i] = node->value[i] ? part->values[node->value[i]].tensor : (p2p_tensor){0};
}

bool plan_is_arena(const plan_part *part, const plan_node *node) {
    return node->value[0] && part->values[node->value[0]].origin == IR_ARENA;
}

static bool is_collective(const plan_node *node) {
    return node->op.kind == P2P_KIND_all_reduce || node->op.kind == P2P_KIND_broadcast;
}

/* ---- The last negotiation ----------------------------------------------------------------------------- */

p2p_status plan_accepts(const plan_part *part, const plan_node *node, bool *accepted) {
    p2p_op op;
    plan_describe(part, node, &op);
    p2p_query query;
    p2p_status status = p2p_operation_query(part->device, &op, &query);
    *accepted = status == P2P_OK;
    if (status != P2P_UNSUPPORTED) return status;
    p2p_log("plan: %s refused: %s", p2p_kind_name(op.kind), p2p_message());
    return P2P_OK;
}

/* The device's wish for another filter layout, where it has one and accepts it. */
static p2p_status settle_filter(plan_part *part, plan_node *node) {
    enum { W = P2P_AT_conv_fwd_w };
    _Static_assert((int)P2P_AT_conv_fwd_w == (int)P2P_AT_conv_bwd_data_w, "filters stand at one position");
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

static p2p_status insert_node(plan_part *part, int position, const plan_node *node) {
    plan_node *nodes = ir_grow(part->nodes, part->node_count, &part->node_capacity, sizeof *part->nodes);
    if (!nodes) return no_memory();
    part->nodes = nodes;
    memmove(&nodes[position + 1], &nodes[position], (size_t)(part->node_count - position) * sizeof *nodes);
    nodes[position] = *node;
    part->node_count++;
    return P2P_OK;
}

/* y += f(x) as t = f(x), y += t, for the outputs that a device can't add to. */
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
        P2P_TRY(insert_node(part, after++, &addition));
    }
    return P2P_OK;
}

/* An activation whose stored form has at least as much padding as contents: 3 channels in blocks of 16. */
static bool mostly_padding(const plan_value *value) {
    const p2p_tensor *tensor = &value->tensor;
    const size_t contents = (size_t)p2p_tensor_elements(tensor) * p2p_type_bytes(tensor->type);
    return value->role == IR_ACTIVATION && value->origin == IR_LOCAL &&
           p2p_tensor_bytes(tensor) >= 2 * contents;
}

/* The host reads such an output in its plain form, by a copy at the end, where the device makes one: padding
 * is not worth moving, nor two runs' host memory. */
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
    if (!accepted) return P2P_OK; /* the added value is in no node: it gets no memory */
    part->values[port->value].output = false;
    port->value = copy.value[P2P_AT_copy_y];
    return insert_node(part, part->node_count, &copy);
}

static p2p_status settle_outputs(plan_part *part) {
    for (int i = 0; i < part->output_count; i++) P2P_TRY(settle_output(part, &part->outputs[i]));
    part->output_bytes = lay_out_ports(part, part->outputs, part->output_count, false);
    return P2P_OK;
}

p2p_status plan_settle(plan_part *part) {
    for (int i = 0; i < part->node_count; i++) {
        plan_node *node = &part->nodes[i];
        if (node->removed || is_collective(node) || plan_is_arena(part, node)) continue;
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

/* ---- The list of steps -------------------------------------------------------------------------------- */

static p2p_status add_step(plan_part *part, const plan_step *step) {
    plan_step *steps = ir_grow(part->steps, part->step_count, &part->step_capacity, sizeof *part->steps);
    if (!steps) return no_memory();
    part->steps = steps;
    plan_step *added = &steps[part->step_count++];
    *added = *step;
    if (!step->collective) return p2p_operation_query(part->device, &added->op, &added->query);
    snprintf(added->query.kernel, sizeof added->query.kernel, "communicator");
    part->segment_count++;
    return P2P_OK;
}

static plan_address state_address(const plan_part *part, const plan_value *value) {
    const plan_network *network = &part->session->networks[value->network];
    if (value->derived)
        return (plan_address){plan_space_of(value->network, PLAN_SPACE_derived),
                              part->session->derived[value->derived - 1].offset};
    bool running = network->network->params[value->param].kind == P2P_PARAM_RUNNING;
    plan_network_space space = running ? PLAN_SPACE_running : (plan_network_space)value->part;
    return (plan_address){plan_space_of(value->network, space), network->offsets[value->param]};
}

/* A step per chunk of the network's arenas, which are all cut alike. */
static p2p_status add_arena_steps(plan_part *part, const plan_node *node) {
    const p2p_session *session = part->session;
    int network = part->values[node->value[0]].network;
    size_t bytes = session->networks[network].bytes[PLAN_SPACE_value];
    p2p_type type = session->filter.type;
    for (size_t offset = 0; offset < bytes; offset += session->chunk_bytes) {
        size_t rest = bytes - offset, length = rest < session->chunk_bytes ? rest : session->chunk_bytes;
        plan_step step = {.layer = node->layer, .collective = is_collective(node)};
        plan_describe(part, node, &step.op);
        memcpy(step.value, node->value, sizeof step.value);
        for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
            const plan_value *value = &part->values[node->value[i]];
            step.at[i] = (plan_address){-1, 0};
            if (!node->value[i] || value->origin != IR_ARENA) continue;
            step.op.t[i] = p2p_tensor_flat(type, (int64_t)(length / p2p_type_bytes(type)));
            step.at[i] = (plan_address){plan_space_of(network, (plan_network_space)value->part), offset};
        }
        P2P_TRY(add_step(part, &step));
    }
    return P2P_OK;
}

static p2p_status add_node_step(plan_part *part, const plan_node *node) {
    plan_step step = {.layer = node->layer, .collective = is_collective(node)};
    plan_describe(part, node, &step.op);
    memcpy(step.value, node->value, sizeof step.value);
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) step.at[i] = (plan_address){-1, 0};
    return add_step(part, &step);
}

/* After an update: every derived filter of the network again. */
static p2p_status add_refresh(plan_part *part, const plan_node *node) {
    const p2p_session *session = part->session;
    int network = part->values[node->value[P2P_AT_adam_p]].network;
    for (int i = 0; i < session->derived_count; i++) {
        if (session->derived[i].network != network) continue;
        plan_step step = {.layer = node->layer};
        for (int k = 0; k < P2P_MAX_OPERANDS; k++) step.at[k] = (plan_address){-1, 0};
        session_derived_copy(session, i, &step.op, step.at);
        P2P_TRY(add_step(part, &step));
    }
    return P2P_OK;
}

plan_address plan_value_address(const plan_part *part, int id) {
    const plan_value *value = &part->values[plan_root(part, id)];
    return value->origin == IR_STATE ? state_address(part, value) : value->at;
}

/* Values have their addresses now; steps take them over. */
static void take_addresses(plan_part *part) {
    for (int s = 0; s < part->step_count; s++) {
        plan_step *step = &part->steps[s];
        for (int i = 0; i < P2P_MAX_OPERANDS; i++)
            if (step->value[i] && step->at[i].space < 0)
                step->at[i] = plan_value_address(part, step->value[i]);
    }
}

p2p_status plan_list(plan_part *part) {
    part->step_count = 0;
    part->segment_count = 1;
    for (int i = 0; i < part->node_count; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed) continue;
        P2P_TRY(plan_is_arena(part, node) ? add_arena_steps(part, node) : add_node_step(part, node));
        if (node->op.kind == P2P_KIND_adam) P2P_TRY(add_refresh(part, node));
    }
    P2P_TRY(plan_memory(part));
    take_addresses(part);
    return P2P_OK;
}

void plan_part_free(plan_part *part) {
    for (int i = 0; part->recorded && i < part->segment_count; i++) p2p_recorded_destroy(part->recorded[i]);
    for (int i = 0; i < part->step_count; i++) p2p_operation_destroy(part->steps[i].operation);
    free(part->recorded);
    free(part->segment_ends);
    free(part->steps);
    free(part->values);
    free(part->nodes);
    free(part->inputs);
    free(part->outputs);
    *part = (plan_part){0};
}
