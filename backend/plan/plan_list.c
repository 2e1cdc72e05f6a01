/* The list of steps: nodes in order with the addresses of their operands. A node over an arena becomes a step
 * per chunk. An update is followed by the copies that renew the network's derived filters. Nothing is
 * allocated on a device.
 */
#include "session.h"

#include <string.h>

static p2p_status add_step(plan_part *part, const plan_step *step) {
    plan_step *steps = ir_grow(part->steps, part->step_count, &part->step_capacity, sizeof *part->steps);
    if (!steps) return plan_no_memory("a plan");
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

/* Adds a step per chunk of the network's arenas, which are all divided alike. */
static p2p_status add_arena_steps(plan_part *part, const plan_node *node) {
    const p2p_session *session = part->session;
    int network = part->values[node->value[0]].network;
    size_t bytes = session->networks[network].bytes[PLAN_SPACE_value];
    p2p_type type = session->filter.type;
    for (size_t offset = 0; offset < bytes; offset += session->cut.chunk_bytes) {
        size_t rest = bytes - offset,
               length = rest < session->cut.chunk_bytes ? rest : session->cut.chunk_bytes;
        plan_step step = {.layer = node->layer, .collective = plan_is_collective(node)};
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
    plan_step step = {.layer = node->layer, .collective = plan_is_collective(node)};
    plan_describe(part, node, &step.op);
    memcpy(step.value, node->value, sizeof step.value);
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) step.at[i] = (plan_address){-1, 0};
    return add_step(part, &step);
}

/* Adds the copies that renew all derived filters of a network after its update. */
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

/* Copies the addresses of values into the steps. */
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
