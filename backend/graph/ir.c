/* Containers of the intermediate form: values and nodes in program order, one value per part of state, the
 * first failure, and validation of nodes on logical tensors. Layers are in graph.c, gradient rules in grad.c.
 */
#include "ir.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Largest extent of a value: far above any image, and small enough to prevent overflow in shapes. */
enum { MAX_EXTENT = 1 << 24 };

void *ir_grow(void *array, int count, int *capacity, size_t element) {
    if (count < *capacity) return array;
    if (*capacity > INT_MAX / 2) return NULL;
    int larger = *capacity ? 2 * *capacity : 32;
    void *grown = realloc(array, (size_t)larger * element);
    if (grown) *capacity = larger;
    return grown;
}

p2p_status ir_fail(p2p_graph *graph, p2p_status code, const char *format, ...) {
    if (graph->status != P2P_OK) return graph->status;
    char text[sizeof graph->message];
    int label = snprintf(text, sizeof text, "%s%s", graph->label, graph->label[0] ? ": " : "");
    va_list args;
    va_start(args, format);
    vsnprintf(text + label, sizeof text - (size_t)label, format, args);
    va_end(args);
    graph->status = code;
    memcpy(graph->message, text, sizeof text); /* an argument may be the old message */
    return p2p_fail(code, "%s", graph->message);
}

/* ---- Values ------------------------------------------------------------------------------------------- */

int ir_value_resolve(const p2p_graph *graph, int value) {
    while (graph->values[value].alias_of) value = graph->values[value].alias_of;
    return value;
}

/* The tensor of a value in plain f32, for validation before a device is known; {0} for an absent one. Host
 * images are u8 or u16, the step block is u32. An arena has one element, because its length is not known yet.
 */
static p2p_tensor logical_tensor(const p2p_graph *graph, int value) {
    if (value == 0) return (p2p_tensor){0};
    const ir_value *v = &graph->values[ir_value_resolve(graph, value)];
    p2p_tensor tensor = {.type = P2P_TYPE_f32, .n = v->n, .c = v->c, .h = v->h, .w = v->w};
    if (v->role == IR_IMAGE) {
        tensor.type = v->type;
        tensor.layout = P2P_LAYOUT_nhwc;
    }
    if (v->role == IR_WORDS) tensor.type = P2P_TYPE_u32;
    if (v->origin == IR_ARENA) return p2p_tensor_flat(P2P_TYPE_f32, 1);
    if (v->origin == IR_RANGE) {
        tensor.c0 = v->c0;
        tensor.cp = graph->values[v->parent].c;
    }
    return tensor;
}

static p2p_status check_value(p2p_graph *graph, int id) {
    const ir_value *v = &graph->values[id];
    if (v->n > MAX_EXTENT || v->c > MAX_EXTENT || v->h > MAX_EXTENT || v->w > MAX_EXTENT)
        return ir_fail(graph, P2P_INVALID, "a value of %lldx%lldx%lldx%lld is too large", (long long)v->n,
                       (long long)v->c, (long long)v->h, (long long)v->w);
    p2p_tensor tensor = logical_tensor(graph, id);
    if (p2p_tensor_validate(&tensor) != P2P_OK) return ir_fail(graph, P2P_INVALID, "%s", p2p_message());
    return P2P_OK;
}

int ir_value_add(p2p_graph *graph, const ir_value *value) {
    if (graph->status != P2P_OK) return 0;
    ir_value copy = *value; /* `value` may point into the array */
    ir_value *values = ir_grow(graph->values, graph->value_count, &graph->value_capacity, sizeof *values);
    if (!values) {
        ir_fail(graph, P2P_OUT_OF_MEMORY, "no memory for a value");
        return 0;
    }
    graph->values = values;
    int id = graph->value_count++;
    values[id] = copy;
    return check_value(graph, id) == P2P_OK ? id : 0;
}

int ir_value_like(p2p_graph *graph, int value) {
    if (graph->status != P2P_OK) return 0;
    const ir_value *v = &graph->values[ir_value_resolve(graph, value)];
    return ir_value_add(
        graph,
        &(ir_value){.role = IR_ACTIVATION, .origin = IR_LOCAL, .n = v->n, .c = v->c, .h = v->h, .w = v->w});
}

int ir_step_value(p2p_graph *graph) {
    if (graph->step_value == 0)
        graph->step_value = ir_value_add(graph, &(ir_value){.role = IR_WORDS,
                                                            .origin = IR_STEP,
                                                            .n = 1,
                                                            .c = 1,
                                                            .h = 1,
                                                            .w = p2p_step_block_words(graph->images),
                                                            .first = graph->first,
                                                            .name = "step"});
    return graph->step_value;
}

/* ---- State: a hash table, for graph building in linear time ------------------------------------------- */

enum { WHOLE_ARENA = -1 }; /* ir_value.param of an arena */

static size_t state_hash(const p2p_network *network, int param, p2p_state_part part) {
    uint64_t key = (uint64_t)(uintptr_t)network ^ ((uint64_t)(unsigned)param * 4 + (uint64_t)part + 1) << 32;
    return (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 32); /* Fibonacci hashing */
}

/* The slot that holds the key, or the empty slot for it. */
static int *state_slot(const p2p_graph *graph, int *slots, int capacity, const ir_value *key) {
    size_t at = state_hash(key->network, key->param, key->part);
    for (;; at++) {
        int *slot = &slots[at & (size_t)(capacity - 1)];
        const ir_value *held = &graph->values[*slot];
        if (*slot == 0) return slot;
        if (held->network == key->network && held->param == key->param && held->part == key->part)
            return slot;
    }
}

static p2p_status grow_state(p2p_graph *graph) {
    if (2 * (graph->state_count + 1) <= graph->state_capacity) return P2P_OK;
    int capacity = graph->state_capacity ? 2 * graph->state_capacity : 64;
    int *slots = calloc((size_t)capacity, sizeof *slots);
    if (!slots) return ir_fail(graph, P2P_OUT_OF_MEMORY, "no memory for the table of parameters");
    for (int i = 0; i < graph->state_capacity; i++) {
        int id = graph->state_slots[i];
        if (id) *state_slot(graph, slots, capacity, &graph->values[id]) = id;
    }
    free(graph->state_slots);
    graph->state_slots = slots;
    graph->state_capacity = capacity;
    return P2P_OK;
}

static int keyed_value(p2p_graph *graph, const ir_value *value) {
    if (graph->status != P2P_OK || grow_state(graph) != P2P_OK) return 0;
    int *slot = state_slot(graph, graph->state_slots, graph->state_capacity, value);
    if (*slot) return *slot;
    *slot = ir_value_add(graph, value);
    if (*slot) graph->state_count++;
    return *slot;
}

int ir_state_value(p2p_graph *graph, p2p_network *network, int param, p2p_state_part part) {
    const p2p_param_info *info = &network->params[param];
    ir_value value = {.role = IR_VECTOR,
                      .origin = IR_STATE,
                      .n = 1,
                      .c = info->shape[0],
                      .h = 1,
                      .w = 1,
                      .network = network,
                      .param = param,
                      .part = part};
    if (info->kind == P2P_PARAM_FILTER) {
        value.role = IR_FILTER;
        value.n = info->shape[0], value.c = info->shape[1], value.h = info->shape[2],
        value.w = info->shape[3];
    }
    if (info->kind == P2P_PARAM_RUNNING) value.w = info->shape[1];
    return keyed_value(graph, &value);
}

int ir_arena_value(p2p_graph *graph, p2p_network *network, p2p_state_part part) {
    return keyed_value(
        graph,
        &(ir_value){
            .role = IR_VECTOR, .origin = IR_ARENA, .network = network, .param = WHOLE_ARENA, .part = part});
}

/* ---- Nodes -------------------------------------------------------------------------------------------- */

ir_node *ir_node_add(p2p_graph *graph, p2p_kind kind) {
    if (graph->status != P2P_OK) return NULL;
    ir_node *nodes = ir_grow(graph->nodes, graph->node_count, &graph->node_capacity, sizeof *nodes);
    if (!nodes) {
        ir_fail(graph, P2P_OUT_OF_MEMORY, "no memory for a node");
        return NULL;
    }
    graph->nodes = nodes;
    ir_node *node = &nodes[graph->node_count++];
    memset(node, 0, sizeof *node);
    node->op.kind = kind;
    node->layer = graph->layer_count;
    return node;
}

bool ir_node_check(p2p_graph *graph, const ir_node *node) {
    if (graph->status != P2P_OK) return false;
    p2p_op op = node->op;
    for (int i = 0; i < p2p_kind_operand_count(op.kind); i++) op.t[i] = logical_tensor(graph, node->value[i]);
    if (p2p_op_validate(&op) == P2P_OK) return true;
    ir_fail(graph, P2P_INVALID, "%s", p2p_message());
    return false;
}
