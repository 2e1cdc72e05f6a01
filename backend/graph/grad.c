/* Gradients. p2p_backward traverses the list of nodes backwards once and appends the nodes that compute the
 * requested gradients, by one rule per kind. Time and memory are linear in the size of the graph.
 *
 * Only values that depend on a requested parameter or value, and on which a loss depends, get a gradient:
 * frozen and detached parts of a graph cost nothing. There are no second derivatives: the appended nodes have
 * no rules.
 */
#include "ir.h"

#include <stdlib.h>
#include <string.h>

/* The state of one call of p2p_backward. Values and nodes that it appends itself are beyond the counts. */
typedef struct {
    p2p_graph *graph;
    p2p_network *target;
    int node_count, value_count;
    bool *needed;  /* by value: depends on something whose gradient is requested */
    bool *chosen;  /* by value: one of the given losses */
    bool *reduced; /* by value: statistics over all replicas */
    int *gradient; /* by value: the value that accumulates its gradient; 0 before the first contribution */
    bool *written; /* by parameter of the target: its gradient has a first contribution */
    bool adds;     /* to gradients of an earlier call */
    p2p_network **updated; /* networks that are updated after the current node */
    int updated_count, updated_capacity;
} walk;

/* ---- Building blocks of the rules --------------------------------------------------------------------- */

static bool is_needed(const walk *w, int value) {
    return value < w->value_count && w->needed[value];
}

/* The gradient of a value, 0 if there is none. A range has its parent's. */
static int gradient_of(const walk *w, int value) {
    const ir_value *v = &w->graph->values[value];
    if (v->origin == IR_RANGE) value = v->parent;
    return value < w->value_count ? w->gradient[value] : 0;
}

/* Appends a node of the given kind with the fields of the forward node, which the kinds of a layer share. */
static ir_node *append(walk *w, const ir_node *forward, p2p_kind kind) {
    ir_node *node = ir_node_add(w->graph, kind);
    if (!node) return NULL;
    node->op = forward->op;
    node->op.kind = kind;
    node->op.accumulate = 0;
    node->layer = forward->layer;
    node->backward = true;
    return node;
}

/* Makes the node's operand a contribution to the gradient of `value`: the first overwrites, later ones
 * accumulate. */
static void contribute(walk *w, ir_node *node, int operand, int value) {
    int *gradient = &w->gradient[value];
    if (*gradient)
        node->op.accumulate |= 1u << operand;
    else
        *gradient = ir_value_like(w->graph, value);
    node->value[operand] = *gradient;
}

/* The same for a parameter of the target, whose gradient is part of the network's state. */
static void contribute_to_param(walk *w, ir_node *node, int operand, int value) {
    int param = w->graph->values[value].param;
    if (w->adds || w->written[param]) node->op.accumulate |= 1u << operand;
    w->written[param] = true;
    node->value[operand] = ir_state_value(w->graph, w->target, param, P2P_STATE_GRADIENT);
}

/* ---- Rules, one per forward kind ---------------------------------------------------------------------- */

/* Host images have no gradient. A requested gradient is that of the prepared activation. */
static void grad_prepare(walk *w, const ir_node *f) {
    (void)w, (void)f;
}

static void grad_copy(walk *w, const ir_node *f) {
    int x = f->value[P2P_AT_copy_x];
    if (!is_needed(w, x)) return;
    ir_value part = w->graph->values[f->value[P2P_AT_copy_y]];
    part.parent = gradient_of(w, f->value[P2P_AT_copy_y]);
    int dy = ir_value_add(w->graph, &part);
    ir_node *node = append(w, f, P2P_KIND_copy);
    if (!node) return;
    node->value[P2P_AT_copy_x] = dy;
    contribute(w, node, P2P_AT_copy_y, x);
    ir_node_check(w->graph, node);
}

/* Appends dw[k,c,r,s], with x and dy in their roles of the forward convolution. */
static void filter_gradient(walk *w, const ir_node *f, int filter, int x, int dy) {
    if (!is_needed(w, filter)) return;
    ir_node *node = append(w, f, P2P_KIND_conv_bwd_filter);
    if (!node) return;
    node->value[P2P_AT_conv_bwd_filter_x] = x;
    node->value[P2P_AT_conv_bwd_filter_dy] = dy;
    contribute_to_param(w, node, P2P_AT_conv_bwd_filter_dw, filter);
    ir_node_check(w->graph, node);
}

static void grad_conv_fwd(walk *w, const ir_node *f) {
    int x = f->value[P2P_AT_conv_fwd_x], filter = f->value[P2P_AT_conv_fwd_w];
    int dy = gradient_of(w, f->value[P2P_AT_conv_fwd_y]);
    filter_gradient(w, f, filter, x, dy);
    if (!is_needed(w, x)) return;
    ir_node *node = append(w, f, P2P_KIND_conv_bwd_data);
    if (!node) return;
    node->value[P2P_AT_conv_bwd_data_dy] = dy;
    node->value[P2P_AT_conv_bwd_data_w] = filter;
    contribute(w, node, P2P_AT_conv_bwd_data_dx, x);
    ir_node_check(w->graph, node);
}

/* The transposed convolution. Its input is operand dy and its output operand dx, so the roles of x and dy in
 * the filter gradient are exchanged. */
static void grad_conv_bwd_data(walk *w, const ir_node *f) {
    int input = f->value[P2P_AT_conv_bwd_data_dy], filter = f->value[P2P_AT_conv_bwd_data_w];
    int d_output = gradient_of(w, f->value[P2P_AT_conv_bwd_data_dx]);
    filter_gradient(w, f, filter, d_output, input);
    if (!is_needed(w, input)) return;
    ir_node *node = append(w, f, P2P_KIND_conv_fwd);
    if (!node) return;
    node->value[P2P_AT_conv_fwd_x] = d_output;
    node->value[P2P_AT_conv_fwd_w] = filter;
    contribute(w, node, P2P_AT_conv_fwd_y, input);
    ir_node_check(w->graph, node);
}

/* A bias, added in place: the gradient of y is the same before and after the addition. */
static void grad_axpby(walk *w, const ir_node *f) {
    int bias = f->value[P2P_AT_axpby_x];
    if (!is_needed(w, bias)) return;
    ir_node *node = append(w, f, P2P_KIND_bias_grad);
    if (!node) return;
    node->op.alpha = 0;
    node->value[P2P_AT_bias_grad_dy] = gradient_of(w, f->value[P2P_AT_axpby_y]);
    contribute_to_param(w, node, P2P_AT_bias_grad_db, bias);
    ir_node_check(w->graph, node);
}

/* Appends a backward node of a normalisation with the operands that both kinds have at the same positions. */
static ir_node *append_norm(walk *w, const ir_node *f, p2p_kind kind) {
    ir_node *node = append(w, f, kind);
    if (!node) return NULL;
    node->op.momentum = 0;
    node->value[P2P_NORM_BWD_X] = f->value[P2P_AT_norm_apply_x];
    node->value[P2P_NORM_BWD_STATS] = f->value[P2P_AT_norm_apply_stats];
    node->value[P2P_NORM_BWD_SCALE] = f->value[P2P_AT_norm_apply_scale];
    node->value[P2P_NORM_BWD_SHIFT] = f->value[P2P_AT_norm_apply_shift];
    node->value[P2P_NORM_BWD_DY] = gradient_of(w, f->value[P2P_AT_norm_apply_y]);
    return node;
}

/* Appends the sums over each group, and from them the gradients of scale and shift. These are sums over this
 * replica's images only, because p2p_all_reduce_gradients adds the other replicas' later. Returns the sums'
 * value; 0 after a failure. */
static int norm_sums(walk *w, const ir_node *f) {
    ir_value stats = w->graph->values[f->value[P2P_AT_norm_apply_stats]];
    stats.c = 2;
    int sums = ir_value_add(w->graph, &stats);
    ir_node *node = append_norm(w, f, P2P_KIND_norm_bwd_stats);
    if (!node) return 0;
    node->value[P2P_AT_norm_bwd_stats_sums] = sums;
    int scale = f->value[P2P_AT_norm_apply_scale], shift = f->value[P2P_AT_norm_apply_shift];
    if (is_needed(w, scale)) contribute_to_param(w, node, P2P_AT_norm_bwd_stats_dscale, scale);
    if (is_needed(w, shift)) contribute_to_param(w, node, P2P_AT_norm_bwd_stats_dshift, shift);
    return ir_node_check(w->graph, node) ? sums : 0;
}

static void reduce_sums(walk *w, const ir_node *f, int sums) {
    ir_node *node = ir_node_add(w->graph, P2P_KIND_all_reduce);
    if (!node) return;
    node->layer = f->layer;
    node->backward = true;
    node->value[P2P_AT_all_reduce_y] = sums;
    node->op.reduction = P2P_REDUCE_SUM;
    ir_node_check(w->graph, node);
}

static void grad_norm_apply(walk *w, const ir_node *f) {
    int x = f->value[P2P_AT_norm_apply_x], stats = f->value[P2P_AT_norm_apply_stats];
    if (f->op.use_running) {
        ir_fail(w->graph, P2P_INVALID,
                "a normalisation by running statistics is for evaluation: it has no gradient");
        return;
    }
    int sums = norm_sums(w, f);
    if (!is_needed(w, x)) return;
    if (w->reduced[stats]) reduce_sums(w, f, sums);
    ir_node *node = append_norm(w, f, P2P_KIND_norm_bwd_apply);
    if (!node) return;
    node->value[P2P_AT_norm_bwd_apply_sums] = sums;
    contribute(w, node, P2P_AT_norm_bwd_apply_dx, x);
    ir_node_check(w->graph, node);
}

static void grad_act_fwd(walk *w, const ir_node *f) {
    int y = f->value[P2P_AT_act_fwd_y];
    ir_node *node = append(w, f, P2P_KIND_act_bwd);
    if (!node) return;
    node->value[P2P_AT_act_bwd_y] = y;
    node->value[P2P_AT_act_bwd_dy] = gradient_of(w, y);
    contribute(w, node, P2P_AT_act_bwd_dx, f->value[P2P_AT_act_fwd_x]);
    ir_node_check(w->graph, node);
}

/* The gradient is multiplied by the same mask. */
static void grad_dropout(walk *w, const ir_node *f) {
    ir_node *node = append(w, f, P2P_KIND_dropout);
    if (!node) return;
    node->value[P2P_AT_dropout_x] = gradient_of(w, f->value[P2P_AT_dropout_y]);
    node->value[P2P_AT_dropout_step] = f->value[P2P_AT_dropout_step];
    contribute(w, node, P2P_AT_dropout_y, f->value[P2P_AT_dropout_x]);
    ir_node_check(w->graph, node);
}

/* A gradient cannot pass through a kind without a rule. norm_apply's rule includes the statistics. */
static void (*const rules[P2P_KIND_COUNT])(walk *w, const ir_node *f) = {
    [P2P_KIND_prepare] = grad_prepare,   [P2P_KIND_copy] = grad_copy,
    [P2P_KIND_conv_fwd] = grad_conv_fwd, [P2P_KIND_conv_bwd_data] = grad_conv_bwd_data,
    [P2P_KIND_axpby] = grad_axpby,       [P2P_KIND_norm_apply] = grad_norm_apply,
    [P2P_KIND_act_fwd] = grad_act_fwd,   [P2P_KIND_dropout] = grad_dropout,
};

/* ---- Forward pass: values that need a gradient -------------------------------------------------------- */

static bool is_trainable(const ir_value *v) {
    return v->origin == IR_STATE && v->part == P2P_STATE_VALUE &&
           v->network->params[v->param].kind != P2P_PARAM_RUNNING;
}

static bool reads_needed(const walk *w, const ir_node *node) {
    for (int i = 0; i < p2p_kind_operand_count(node->op.kind); i++)
        if ((p2p_kind_operand_use(node->op.kind, i) & P2P_IN) && w->needed[node->value[i]]) return true;
    return false;
}

static void mark_outputs(walk *w, const ir_node *node) {
    for (int i = 0; i < p2p_kind_operand_count(node->op.kind); i++) {
        const ir_value *v = &w->graph->values[node->value[i]];
        if (!(p2p_kind_operand_use(node->op.kind, i) & P2P_OUT) || node->value[i] == 0) continue;
        if (v->origin == IR_LOCAL) w->needed[node->value[i]] = true;
        if (v->origin == IR_RANGE) w->needed[v->parent] = true;
    }
}

/* Dependence propagates through nodes in program order. No node writes an alias, so it stops there. */
static void mark_needed(walk *w, const p2p_value *values, int count) {
    p2p_graph *graph = w->graph;
    for (int i = 1; i < w->value_count; i++)
        w->needed[i] = w->target && graph->values[i].network == w->target && is_trainable(&graph->values[i]);
    for (int i = 0; i < count; i++) w->needed[values[i].id] = true;
    for (int i = 0; i < w->node_count; i++) {
        const ir_node *node = &graph->nodes[i];
        if (node->op.kind == P2P_KIND_all_reduce) w->reduced[node->value[P2P_AT_all_reduce_y]] = true;
        if (reads_needed(w, node)) mark_outputs(w, node);
    }
}

/* ---- Start: the loss nodes compute the gradients of the losses in place ------------------------------- */

typedef struct {
    int x, target, loss, dx; /* operand positions; target is -1 if it is a field */
} loss_operands;

static const loss_operands bce_operands = {P2P_AT_loss_bce_x, -1, P2P_AT_loss_bce_loss, P2P_AT_loss_bce_dx};
static const loss_operands mse_operands = {P2P_AT_loss_mse_x, -1, P2P_AT_loss_mse_loss, P2P_AT_loss_mse_dx};
static const loss_operands l1_operands = {P2P_AT_loss_l1_x, P2P_AT_loss_l1_target, P2P_AT_loss_l1_loss,
                                          P2P_AT_loss_l1_dx};

static const loss_operands *operands_of_loss(const ir_node *node) {
    switch (node->op.kind) {
    case P2P_KIND_loss_bce:
        return &bce_operands;
    case P2P_KIND_loss_mse:
        return &mse_operands;
    case P2P_KIND_loss_l1:
        return &l1_operands;
    default:
        return NULL;
    }
}

static void start_at(walk *w, ir_node *node, const loss_operands *at) {
    p2p_graph *graph = w->graph;
    const char *name = graph->values[node->value[at->loss]].name;
    if (node->value[at->dx]) {
        ir_fail(graph, P2P_INVALID, "loss '%s' was differentiated before; one p2p_backward can use a loss",
                name);
        return;
    }
    if (at->target >= 0 && w->needed[node->value[at->target]]) {
        ir_fail(graph, P2P_INVALID, "the target of loss '%s' depends on what is differentiated: detach it",
                name);
        return;
    }
    if (!w->needed[node->value[at->x]]) return;
    contribute(w, node, at->dx, node->value[at->x]);
    ir_node_check(graph, node);
}

static void start_at_losses(walk *w) {
    for (int i = 0; i < w->node_count && w->graph->status == P2P_OK; i++) {
        ir_node *node = &w->graph->nodes[i];
        const loss_operands *at = operands_of_loss(node);
        if (at && w->chosen[node->value[at->loss]]) start_at(w, node, at);
    }
}

/* ---- Backward pass ------------------------------------------------------------------------------------ */

static void note_update(walk *w, const ir_node *adam) {
    void *grown = ir_grow(w->updated, w->updated_count, &w->updated_capacity, sizeof *w->updated);
    if (!grown) {
        ir_fail(w->graph, P2P_OUT_OF_MEMORY, "no memory");
        return;
    }
    w->updated = grown;
    w->updated[w->updated_count++] = w->graph->values[adam->value[P2P_AT_adam_p]].network;
}

static bool check_not_updated(walk *w, const ir_node *f) {
    for (int i = 0; i < p2p_kind_operand_count(f->op.kind); i++) {
        const ir_value *v = &w->graph->values[f->value[i]];
        for (int u = 0; v->origin == IR_STATE && u < w->updated_count; u++)
            if (w->updated[u] == v->network) {
                ir_fail(w->graph, P2P_INVALID, "parameters of %s were updated between forward and backward",
                        v->network->name);
                return false;
            }
    }
    return true;
}

static bool makes_gradient(const walk *w, const ir_node *f) {
    for (int i = 0; i < p2p_kind_operand_count(f->op.kind); i++)
        if ((p2p_kind_operand_use(f->op.kind, i) & P2P_OUT) && gradient_of(w, f->value[i])) return true;
    return false;
}

static void differentiate(walk *w, const ir_node *node) {
    ir_node f = *node; /* the rule may reallocate the array */
    p2p_graph *graph = w->graph;
    snprintf(graph->label, sizeof graph->label, "gradient of layer %d, %s", f.layer,
             p2p_kind_name(f.op.kind));
    if (f.backward || !rules[f.op.kind])
        ir_fail(graph, P2P_INVALID, "a gradient of a gradient is requested, and there is no rule for it");
    else if (check_not_updated(w, &f))
        rules[f.op.kind](w, &f);
}

static void walk_back(walk *w) {
    for (int i = w->node_count - 1; i >= 0 && w->graph->status == P2P_OK; i--) {
        const ir_node *node = &w->graph->nodes[i];
        if (node->op.kind == P2P_KIND_adam)
            note_update(w, node);
        else if (makes_gradient(w, node))
            differentiate(w, node);
    }
}

/* ---- p2p_backward ------------------------------------------------------------------------------------- */

static bool check_losses(walk *w, const p2p_value *losses, int count) {
    for (int i = 0; i < count; i++) {
        int id = losses[i].id;
        const ir_value *v = id > 0 && id < w->value_count ? &w->graph->values[id] : NULL;
        if (!v || v->role != IR_VECTOR || v->origin != IR_LOCAL) {
            ir_fail(w->graph, P2P_INVALID, "number %d of the losses is not a loss of this graph (id %d)",
                    i + 1, id);
            return false;
        }
        if (w->chosen[id]) {
            ir_fail(w->graph, P2P_INVALID, "loss '%s' is given twice", v->name);
            return false;
        }
        w->chosen[id] = true;
    }
    return true;
}

static bool check_values(walk *w, const p2p_value *values, int count) {
    for (int i = 0; i < count; i++) {
        int id = values[i].id;
        if (id > 0 && id < w->value_count && w->graph->values[id].role == IR_ACTIVATION) continue;
        ir_fail(w->graph, P2P_INVALID, "number %d of the values is not an activation of this graph (id %d)",
                i + 1, id);
        return false;
    }
    return true;
}

static bool check_call(walk *w, int loss_count, int value_count) {
    if (w->target && p2p_network_status(w->target) != P2P_OK)
        ir_fail(w->graph, P2P_INVALID, "%s", p2p_message());
    else if (loss_count < 1)
        ir_fail(w->graph, P2P_INVALID, "no losses are given");
    else if (!w->target && value_count < 1)
        ir_fail(w->graph, P2P_INVALID, "neither a network nor values are given");
    return w->graph->status == P2P_OK;
}

static bool allocate(walk *w) {
    size_t values = (size_t)w->value_count;
    size_t params = w->target ? (size_t)w->target->param_count : 0;
    w->needed = calloc(values, sizeof *w->needed);
    w->chosen = calloc(values, sizeof *w->chosen);
    w->reduced = calloc(values, sizeof *w->reduced);
    w->gradient = calloc(values, sizeof *w->gradient);
    w->written = calloc(params + 1, sizeof *w->written);
    if (w->needed && w->chosen && w->reduced && w->gradient && w->written) return true;
    ir_fail(w->graph, P2P_OUT_OF_MEMORY, "no memory for the walk over %d values", w->value_count);
    return false;
}

static void release(walk *w) {
    free(w->needed);
    free(w->chosen);
    free(w->reduced);
    free(w->gradient);
    free(w->written);
    free(w->updated);
}

/* Fails unless all requested gradients were computed. */
static void check_reached(walk *w, const p2p_value *values, int count) {
    for (int i = 0; w->target && i < w->target->param_count; i++) {
        const p2p_param_info *info = &w->target->params[i];
        if (info->kind != P2P_PARAM_RUNNING && !w->written[i])
            ir_fail(w->graph, P2P_INVALID, "the losses do not reach parameter '%s' of %s", info->name,
                    w->target->name);
    }
    for (int i = 0; i < count; i++)
        if (!w->gradient[values[i].id])
            ir_fail(w->graph, P2P_INVALID, "the losses do not reach number %d of the values", i + 1);
}

/* Whether a node since the last update has written gradients of the network. */
static bool has_gradients(const p2p_graph *graph, const p2p_network *network) {
    for (int i = graph->node_count - 1; i >= 0; i--) {
        const ir_node *node = &graph->nodes[i];
        for (int k = 0; k < p2p_kind_operand_count(node->op.kind); k++) {
            const ir_value *v = &graph->values[node->value[k]];
            if (node->value[k] && v->network == network && v->part == P2P_STATE_GRADIENT)
                return node->op.kind != P2P_KIND_adam;
        }
    }
    return false;
}

static void backward(p2p_graph *graph, const p2p_value *losses, int loss_count, p2p_network *target,
                     const p2p_value *values, int value_count, p2p_value *gradients, bool adds) {
    for (int i = 0; i < value_count; i++) gradients[i] = P2P_NONE;
    if (graph->status != P2P_OK) return;
    graph->layer_count++;
    snprintf(graph->label, sizeof graph->label, "backward %d%s%s", graph->layer_count, target ? " to " : "",
             target ? target->name : "");
    walk w = {.graph = graph,
              .target = target,
              .node_count = graph->node_count,
              .value_count = graph->value_count,
              .adds = adds};
    if (check_call(&w, loss_count, value_count) && allocate(&w) && check_losses(&w, losses, loss_count) &&
        check_values(&w, values, value_count)) {
        mark_needed(&w, values, value_count);
        start_at_losses(&w);
        walk_back(&w);
        snprintf(graph->label, sizeof graph->label, "backward to %s", target ? target->name : "values");
        check_reached(&w, values, value_count);
    }
    for (int i = 0; i < value_count && graph->status == P2P_OK; i++)
        gradients[i] = (p2p_value){w.gradient[values[i].id]};
    release(&w);
}

void p2p_backward(p2p_graph *graph, const p2p_value *losses, int loss_count, p2p_network *target,
                  const p2p_value *values, int value_count, p2p_value *gradients) {
    backward(graph, losses, loss_count, target, values, value_count, gradients, false);
}

void p2p_backward_add(p2p_graph *graph, const p2p_value *losses, int loss_count, p2p_network *target) {
    if (graph->status == P2P_OK && !(target && has_gradients(graph, target)))
        ir_fail(graph, P2P_INVALID, "no gradients of %s that were not used yet, to which others are added",
                target ? target->name : "a network");
    backward(graph, losses, loss_count, target, NULL, 0, NULL, true);
}
