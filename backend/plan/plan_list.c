/* The list of steps: nodes in order with the addresses of their operands. A node over an arena becomes a step
 * per stretch. A reduction of gradients becomes one per bucket, each as soon as the bucket is complete. An
 * update is followed by the copies that renew the network's derived filters. Nothing is allocated on a
 * device.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

static p2p_status add_step(plan_part *part, const plan_step *step) {
    plan_step *steps = ir_grow(part->steps, part->step_count, &part->step_capacity, sizeof *part->steps);
    if (!steps) return plan_no_memory("a plan");
    part->steps = steps;
    plan_step *added = &steps[part->step_count++];
    *added = *step;
    if (!step->collective) return p2p_operation_query(part->device, &added->op, &added->query);
    snprintf(added->query.kernel, sizeof added->query.kernel, "communicator");
    bool direct;
    return session_foresee(part->session, &added->op, &direct);
}

static plan_address state_address(const plan_part *part, const plan_value *value) {
    plan_address at;
    if (value->derived) return part->session->derived[value->derived - 1].at;
    (void)session_param(part->session, value->network, value->param, value->part, &at);
    return at;
}

/* Whether the node reduces the gradients of a network. */
static bool is_reduction(const plan_part *part, const plan_node *node) {
    return !node->removed && plan_is_collective(node) && plan_is_arena(part, node);
}

static bool reduces(const plan_part *part, int network) {
    for (int i = 0; i < part->node_count; i++)
        if (is_reduction(part, &part->nodes[i]) && part->values[part->nodes[i].value[0]].network == network)
            return true;
    return false;
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
    if (step->op.kind != P2P_KIND_adam || !known->mirrored || stretch->offset < known->filters) return P2P_OK;
    both.op.t[COPY] = session_stretch_mirror(part->session, network, stretch, &both.at[COPY]);
    const p2p_status status = p2p_operation_query(part->device, &both.op, &answer);
    *added = status == P2P_OK;
    if (*added) *step = both;
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

/* Adds a step per stretch of [begin, end) of the network's arenas. *mirrored is cleared if a step leaves the
 * mirror as it was. */
static p2p_status add_range_steps(plan_part *part, const plan_node *node, size_t begin, size_t end,
                                  bool *mirrored) {
    const int network = part->values[node->value[0]].network;
    for (plan_stretch stretch = {.offset = begin};
         session_next_stretch(part->session, network, end, &stretch);) {
        bool added = false;
        plan_step step = stretch_step(part, node, &stretch);
        P2P_TRY(add_mirror(part, network, &stretch, &step, &added));
        P2P_TRY(add_step(part, &step));
        if (!added && stretch.offset >= part->session->networks[network].filters) *mirrored = false;
    }
    return P2P_OK;
}

/* Adds the steps of a node over arenas: bucket by bucket, in the order in which they are reduced, if the plan
 * reduces the network's gradients. */
static p2p_status add_arena_steps(plan_part *part, const plan_node *node, bool *mirrored) {
    const int network = part->values[node->value[0]].network;
    const plan_network *known = &part->session->networks[network];
    size_t end = known->bytes[PLAN_SPACE_value];
    *mirrored = true;
    for (int i = 0; reduces(part, network) && i + 1 < known->bucket_count; i++) {
        P2P_TRY(add_range_steps(part, node, known->buckets[i], end, mirrored));
        end = known->buckets[i];
    }
    return add_range_steps(part, node, 0, end, mirrored);
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

/* ---- Buckets of gradients ----------------------------------------------------------------------------- */

/* Whether a value is a gradient in [begin, end) of the network's arenas, or the arena of its gradients. */
static bool is_gradient(const plan_part *part, const plan_value *value, int network, size_t begin,
                        size_t end) {
    if (value->origin != IR_STATE && value->origin != IR_ARENA) return false;
    if (value->network != network || value->part != P2P_STATE_GRADIENT) return false;
    const size_t offset = part->session->networks[network].offsets[value->param];
    return value->origin == IR_ARENA || (begin <= offset && offset < end);
}

/* The last node before `limit` that uses gradients in [begin, end): they are complete after it. -1: none. */
static int last_use(const plan_part *part, int limit, int network, size_t begin, size_t end) {
    for (int i = limit - 1; i >= 0; i--) {
        const plan_node *node = &part->nodes[i];
        for (int k = 0; !node->removed && k < P2P_MAX_OPERANDS; k++)
            if (node->value[k] && is_gradient(part, &part->values[node->value[k]], network, begin, end))
                return i;
    }
    return -1;
}

/* The reduction of a bucket by the node `position`: of [begin, end) of the network's arenas, after the node
 * `ready`. */
typedef struct {
    int position, ready;
    size_t begin, end;
} bucket_reduction;

typedef struct {
    bucket_reduction *of;
    int count, capacity;
} reduction_list;

/* The buckets of the node, in the order in which they are reduced. One is ready when it and those before it
 * are complete, so that all replicas reduce in the same order. */
static p2p_status add_buckets(const plan_part *part, int position, reduction_list *list) {
    const int network = part->values[part->nodes[position].value[0]].network;
    const plan_network *known = &part->session->networks[network];
    size_t end = known->bytes[PLAN_SPACE_value];
    int ready = -1;
    for (int i = 0; i < known->bucket_count; i++) {
        const int use = last_use(part, position, network, known->buckets[i], end);
        if (use > ready) ready = use;
        bucket_reduction *of = ir_grow(list->of, list->count, &list->capacity, sizeof *of);
        if (!of) return plan_no_memory("a plan's reductions");
        list->of = of;
        const bool late = ready < 0 || part->session->options.no_buckets;
        of[list->count++] = (bucket_reduction){position, late ? position : ready, known->buckets[i], end};
        end = known->buckets[i];
    }
    return P2P_OK;
}

static p2p_status find_reductions(const plan_part *part, reduction_list *list) {
    for (int i = 0; i < part->node_count; i++)
        if (is_reduction(part, &part->nodes[i])) P2P_TRY(add_buckets(part, i, list));
    return P2P_OK;
}

/* Adds the reductions of all buckets that are complete after node i. */
static p2p_status add_reductions(plan_part *part, const reduction_list *list, int i) {
    for (int k = 0; k < list->count; k++) {
        const bucket_reduction *of = &list->of[k];
        bool mirrored;
        if (of->ready == i)
            P2P_TRY(add_range_steps(part, &part->nodes[of->position], of->begin, of->end, &mirrored));
    }
    return P2P_OK;
}

/* ---- The list ----------------------------------------------------------------------------------------- */

static p2p_status add_steps_of(plan_part *part, const plan_node *node) {
    if (node->removed || is_reduction(part, node)) return P2P_OK;
    return plan_is_arena(part, node) ? add_arena_node(part, node) : add_node_step(part, node);
}

static p2p_status add_all_steps(plan_part *part, const reduction_list *reductions) {
    for (int i = 0; i < part->node_count; i++) {
        P2P_TRY(add_steps_of(part, &part->nodes[i]));
        P2P_TRY(add_reductions(part, reductions, i));
    }
    return P2P_OK;
}

p2p_status plan_list(plan_part *part) {
    reduction_list reductions = {0};
    part->step_count = 0;
    p2p_status status = find_reductions(part, &reductions);
    if (status == P2P_OK) status = add_all_steps(part, &reductions);
    free(reductions.of);
    P2P_TRY(status);
    P2P_TRY(plan_memory(part));
    take_addresses(part);
    return plan_find_segments(part);
}
