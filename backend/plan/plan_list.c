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
    plan_address at;
    if (value->derived) return part->session->derived[value->derived - 1].at;
    (void)session_param(part->session, value->network, value->param, value->part, &at);
    return at;
}

/* Describes a node over a stretch of the network's arenas. */
static plan_step stretch_step(const plan_part *part, const plan_node *node, const plan_stretch *stretch) {
    plan_step step = {.layer = node->layer, .collective = plan_is_collective(node)};
    plan_describe(part, node, &step.op);
    memcpy(step.value, node->value, sizeof step.value);
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
        const plan_value *value = &part->values[node->value[i]];
        step.at[i] = (plan_address){-1, 0};
        if (!node->value[i] || value->origin != IR_ARENA) continue;
        step.op.t[i] = session_stretch_part(part->session, value->network, stretch, value->part, &step.at[i]);
    }
    return step;
}

/* Makes an update write the mirror of its stretch, too, if the device does this in one operation. */
static p2p_status add_mirror(const plan_part *part, int network, const plan_stretch *stretch, plan_step *step,
                             bool *added) {
    enum { COPY = P2P_AT_adam_copy };
    const plan_network *known = &part->session->networks[network];
    plan_step both = *step;
    p2p_query answer;
    *added = false;
    if (step->op.kind != P2P_KIND_adam || !known->mirrored || stretch->offset >= known->vectors)
        return P2P_OK;
    both.op.t[COPY] = session_stretch_mirror(part->session, network, stretch, &both.at[COPY]);
    const p2p_status status = p2p_operation_query(part->device, &both.op, &answer);
    *added = status == P2P_OK;
    if (*added) *step = both;
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

/* Adds a step per stretch of the network's arenas. *mirrored is set to whether the steps write the mirror. */
static p2p_status add_arena_steps(plan_part *part, const plan_node *node, bool *mirrored) {
    const int network = part->values[node->value[0]].network;
    *mirrored = true;
    for (plan_stretch stretch = {0}; session_next_stretch(part->session, network, &stretch);) {
        bool added = false;
        plan_step step = stretch_step(part, node, &stretch);
        P2P_TRY(add_mirror(part, network, &stretch, &step, &added));
        P2P_TRY(add_step(part, &step));
        *mirrored = *mirrored && (added || stretch.offset >= part->session->networks[network].vectors);
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

/* Adds the copies that renew the derived filters of a network after its update, but for the mirror if the
 * update has written it. */
static p2p_status add_refresh(plan_part *part, const plan_node *node, bool mirrored) {
    const p2p_session *session = part->session;
    const int network = part->values[node->value[P2P_AT_adam_p]].network;
    for (int i = 0; i < session->refresh_count; i++) {
        const session_refresh *refresh = &session->refreshes[i];
        if (refresh->network != network || (refresh->mirror && mirrored)) continue;
        plan_step step = {.layer = node->layer, .op = refresh->op};
        for (int k = 0; k < P2P_MAX_OPERANDS; k++) step.at[k] = (plan_address){-1, 0};
        memcpy(step.at, refresh->at, sizeof refresh->at);
        P2P_TRY(add_step(part, &step));
    }
    return P2P_OK;
}

/* Adds the steps of a node over arenas. */
static p2p_status add_arena_node(plan_part *part, const plan_node *node) {
    bool mirrored;
    P2P_TRY(add_arena_steps(part, node, &mirrored));
    return node->op.kind == P2P_KIND_adam ? add_refresh(part, node, mirrored) : P2P_OK;
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
        P2P_TRY(plan_is_arena(part, node) ? add_arena_node(part, node) : add_node_step(part, node));
    }
    P2P_TRY(plan_memory(part));
    take_addresses(part);
    return P2P_OK;
}
