/* Fusion of normalisations: statistics with application, and dropout and activations in both directions.
 *
 * The pattern: a normalisation's result z is read by one dropout, whose result is read by one or two
 * activations, or z is read by the activations directly. Forward, these become fields of norm_apply with one
 * or two results. Backward, the fused gradient node recomputes z and the activations from the normalisation's
 * input, so it needs none of their results. This is valid if the gradient of z is exactly the sum of the
 * activations' gradients.
 */
#include "fuse.h"

/* ---- Statistics and application ----------------------------------------------------------------------- */

static p2p_status merge_forward(plan_part *part, int apply) {
    plan_node candidate = part->nodes[apply];
    int stats = candidate.value[P2P_AT_norm_apply_stats];
    if (!stats || candidate.op.merged) return P2P_OK;
    fuse_uses uses = fuse_find_uses(part, stats);
    int first = uses.writers[0];
    bool pair = uses.writer_count == 1 && part->nodes[first].op.kind == P2P_KIND_norm_stats &&
                part->nodes[first].value[P2P_AT_norm_stats_x] == candidate.value[P2P_AT_norm_apply_x] &&
                uses.readers[0] == apply && fuse_is_private(part, stats, &uses);
    if (!pair) return P2P_OK; /* a reduction over replicas would be a second writer */
    candidate.op.merged = 1;
    bool done = false;
    P2P_TRY(fuse_replace(part, apply, &candidate, &done));
    if (!done) return P2P_OK;
    part->nodes[first].removed = true;
    part->fused[PLAN_FUSED_merge]++;
    return P2P_OK;
}

/* Moves an output of norm_bwd_stats to norm_bwd_apply. Returns false if a node between them uses it. */
static bool move_output(const plan_part *part, int from, int to, int from_operand, int to_operand,
                        plan_node *candidate) {
    const plan_node *stats = &part->nodes[from];
    int value = stats->value[from_operand];
    if (!value) return true;
    fuse_uses uses = fuse_find_uses(part, value);
    if (uses.reader_count > 0 && uses.readers[0] < to && uses.last_reader > from) return false;
    if (fuse_written_between(part, value, from, to)) return false;
    candidate->value[to_operand] = value;
    if (p2p_op_accumulates(&stats->op, from_operand)) candidate->op.accumulate |= 1u << to_operand;
    return true;
}

static p2p_status merge_backward(plan_part *part, int apply) {
    plan_node candidate = part->nodes[apply];
    int sums = candidate.value[P2P_AT_norm_bwd_apply_sums];
    fuse_uses uses = fuse_find_uses(part, sums);
    int first = uses.writers[0];
    bool pair = uses.writer_count == 1 && part->nodes[first].op.kind == P2P_KIND_norm_bwd_stats &&
                uses.reader_count == 1 && fuse_is_private(part, sums, &uses);
    if (!pair || candidate.op.merged) return P2P_OK;
    candidate.op.merged = 1;
    if (!move_output(part, first, apply, P2P_AT_norm_bwd_stats_dscale, P2P_AT_norm_bwd_apply_dscale,
                     &candidate) ||
        !move_output(part, first, apply, P2P_AT_norm_bwd_stats_dshift, P2P_AT_norm_bwd_apply_dshift,
                     &candidate))
        return P2P_OK;
    bool done = false;
    P2P_TRY(fuse_replace(part, apply, &candidate, &done));
    if (!done) return P2P_OK;
    part->nodes[first].removed = true;
    part->fused[PLAN_FUSED_merge_bwd]++;
    return P2P_OK;
}

p2p_status fuse_merge_norms(plan_part *part) {
    for (int i = 0; i < part->node_count; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed) continue;
        if (node->op.kind == P2P_KIND_norm_apply) P2P_TRY(merge_forward(part, i));
        if (node->op.kind == P2P_KIND_norm_bwd_apply) P2P_TRY(merge_backward(part, i));
    }
    return P2P_OK;
}

/* ---- Backward ----------------------------------------------------------------------------------------- */

/* The nodes of one normalisation's gradient: one if merged, else two. */
typedef struct {
    int nodes[2], count;
    int dy; /* their operand dy: the gradient of the normalisation's result */
} gradient_nodes;

/* The gradient nodes of which `apply` is the last. count is 0 if other nodes read dy. */
static gradient_nodes find_gradient(const plan_part *part, int apply) {
    const plan_node *node = &part->nodes[apply];
    gradient_nodes found = {.dy = node->value[P2P_NORM_BWD_DY]};
    fuse_uses uses = fuse_find_uses(part, found.dy);
    if (!fuse_is_private(part, found.dy, &uses) || node->value[P2P_NORM_BWD_DY2]) return found;
    int expected = node->op.merged ? 1 : 2;
    if (uses.reader_count != expected) return found;
    const plan_node *first = &part->nodes[uses.readers[0]];
    if (expected == 2 &&
        (first->op.kind != P2P_KIND_norm_bwd_stats ||
         first->value[P2P_AT_norm_bwd_stats_sums] != node->value[P2P_AT_norm_bwd_apply_sums]))
        return found;
    for (int i = 0; i < expected; i++) found.nodes[found.count++] = uses.readers[i];
    return found;
}

/* Sets the fields and operands of `fields` in all nodes of the gradient, if the device accepts all. */
static p2p_status replace_gradient(plan_part *part, const gradient_nodes *gradient, const plan_node *fields,
                                   bool *done) {
    plan_node candidates[2];
    *done = true;
    for (int i = 0; i < gradient->count && *done; i++) {
        plan_node *candidate = &candidates[i];
        *candidate = part->nodes[gradient->nodes[i]];
        candidate->op.act = fields->op.act, candidate->op.act2 = fields->op.act2;
        candidate->op.slope = fields->op.slope, candidate->op.slope2 = fields->op.slope2;
        candidate->op.dropout = fields->op.dropout, candidate->op.layer = fields->op.layer;
        candidate->value[P2P_NORM_BWD_DY] = fields->value[P2P_NORM_BWD_DY];
        candidate->value[P2P_NORM_BWD_DY2] = fields->value[P2P_NORM_BWD_DY2];
        candidate->value[P2P_NORM_BWD_STEP] = fields->value[P2P_NORM_BWD_STEP];
        P2P_TRY(plan_accepts(part, candidate, done));
    }
    for (int i = 0; i < gradient->count && *done; i++)
        P2P_TRY(fuse_put(part, gradient->nodes[i], &candidates[i]));
    return P2P_OK;
}

/* dy = dropout(g): the nodes read g and apply the mask themselves. */
static p2p_status fuse_backward_dropout(plan_part *part, int apply) {
    gradient_nodes gradient = find_gradient(part, apply);
    if (gradient.count == 0) return P2P_OK;
    fuse_uses uses = fuse_find_uses(part, gradient.dy);
    int dropout = uses.writers[0];
    if (uses.writer_count != 1 || part->nodes[dropout].op.kind != P2P_KIND_dropout ||
        part->nodes[dropout].op.accumulate)
        return P2P_OK;
    plan_node fields = part->nodes[apply];
    fields.op.dropout = part->nodes[dropout].op.dropout;
    fields.op.layer = part->nodes[dropout].op.layer;
    fields.value[P2P_NORM_BWD_STEP] = part->nodes[dropout].value[P2P_AT_dropout_step];
    fields.value[P2P_NORM_BWD_DY] = part->nodes[dropout].value[P2P_AT_dropout_x];
    if (fuse_written_between(part, fields.value[P2P_NORM_BWD_DY], dropout, apply)) return P2P_OK;
    bool done = false;
    P2P_TRY(replace_gradient(part, &gradient, &fields, &done));
    if (!done) return P2P_OK;
    part->nodes[dropout].removed = true;
    part->fused[PLAN_FUSED_dropout_bwd]++;
    return P2P_OK;
}

/* The node that writes the value, if it is the only one and of this kind; else -1. */
static int only_writer(const plan_part *part, int value, p2p_kind kind) {
    fuse_uses uses = fuse_find_uses(part, value);
    bool single = uses.writer_count == 1 && !uses.in_parts && part->nodes[uses.writers[0]].op.kind == kind;
    return single ? uses.writers[0] : -1;
}

/* Whether y = act(dropout(norm(x))) with the normalisation and dropout of the gradient node `bwd`, and with
 * parameters that were not updated since. Then bwd recomputes y exactly. */
static bool recomputes(const plan_part *part, const plan_node *bwd, int position, int y) {
    int act = only_writer(part, y, P2P_KIND_act_fwd);
    if (act < 0 || part->nodes[act].op.accumulate) return false;
    int z = part->nodes[act].value[P2P_AT_act_fwd_x];
    if (bwd->op.dropout > 0) {
        int dropout = only_writer(part, z, P2P_KIND_dropout);
        if (dropout < 0) return false;
        const plan_node *node = &part->nodes[dropout];
        if (node->op.dropout != bwd->op.dropout || node->op.layer != bwd->op.layer || node->op.accumulate)
            return false;
        z = node->value[P2P_AT_dropout_x];
    }
    int norm = only_writer(part, z, P2P_KIND_norm_apply);
    if (norm < 0) return false;
    const plan_node *node = &part->nodes[norm];
    return node->value[P2P_AT_norm_apply_x] == bwd->value[P2P_NORM_BWD_X] &&
           node->value[P2P_AT_norm_apply_stats] == bwd->value[P2P_NORM_BWD_STATS] &&
           node->value[P2P_AT_norm_apply_scale] == bwd->value[P2P_NORM_BWD_SCALE] &&
           node->value[P2P_AT_norm_apply_shift] == bwd->value[P2P_NORM_BWD_SHIFT] && !node->op.accumulate &&
           node->value[P2P_AT_norm_apply_y] == z &&
           !fuse_written_between(part, bwd->value[P2P_NORM_BWD_SCALE], norm, position) &&
           !fuse_written_between(part, bwd->value[P2P_NORM_BWD_SHIFT], norm, position);
}

/* Whether act_bwd node `act` can become the first (or second) term of the gradient node. */
static bool is_term(const plan_part *part, int act, int apply, bool first) {
    const plan_node *node = &part->nodes[act];
    return node->op.kind == P2P_KIND_act_bwd && p2p_op_accumulates(&node->op, P2P_AT_act_bwd_dx) != first &&
           recomputes(part, &part->nodes[apply], apply, node->value[P2P_AT_act_bwd_y]) &&
           !fuse_written_between(part, node->value[P2P_AT_act_bwd_dy], act, apply);
}

/* dy = act'(y) d1 + act2'(y2) d2: the nodes read d1 and d2 and recompute y and y2. */
static p2p_status fuse_backward_acts(plan_part *part, int apply) {
    gradient_nodes gradient = find_gradient(part, apply);
    if (gradient.count == 0) return P2P_OK;
    fuse_uses uses = fuse_find_uses(part, gradient.dy);
    if (uses.writer_count < 1 || uses.writer_count > 2) return P2P_OK;
    for (int i = 0; i < uses.writer_count; i++)
        if (!is_term(part, uses.writers[i], apply, i == 0)) return P2P_OK;
    plan_node fields = part->nodes[apply];
    const plan_node *first = &part->nodes[uses.writers[0]];
    fields.op.act = first->op.act;
    fields.op.slope = first->op.slope;
    fields.value[P2P_NORM_BWD_DY] = first->value[P2P_AT_act_bwd_dy];
    if (uses.writer_count == 2) {
        const plan_node *second = &part->nodes[uses.writers[1]];
        fields.op.act2 = second->op.act;
        fields.op.slope2 = second->op.slope;
        fields.value[P2P_NORM_BWD_DY2] = second->value[P2P_AT_act_bwd_dy];
    }
    bool done = false;
    P2P_TRY(replace_gradient(part, &gradient, &fields, &done));
    if (!done) return P2P_OK;
    for (int i = 0; i < uses.writer_count; i++) part->nodes[uses.writers[i]].removed = true;
    part->fused[PLAN_FUSED_act_norm_bwd] += uses.writer_count;
    return P2P_OK;
}

p2p_status fuse_norm_backward(plan_part *part) {
    const p2p_session_options *options = &part->session->options;
    for (int i = 0; i < part->node_count; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed || node->op.kind != P2P_KIND_norm_bwd_apply) continue;
        if (!options->no_fuse_dropout) P2P_TRY(fuse_backward_dropout(part, i));
        if (!options->no_fuse_act) P2P_TRY(fuse_backward_acts(part, i));
    }
    return P2P_OK;
}

/* ---- Forward ------------------------------------------------------------------------------------------ */

/* The result of an unfused normalisation if it is private to nodes; else 0. */
static int plain_result(const plan_part *part, const plan_node *node, fuse_uses *uses) {
    int z = node->value[P2P_AT_norm_apply_y];
    *uses = fuse_find_uses(part, z);
    bool plain = node->op.act == P2P_ACT_none && !node->value[P2P_AT_norm_apply_y2] && !node->op.accumulate;
    return plain && uses->writer_count == 1 && fuse_is_private(part, z, uses) ? z : 0;
}

static p2p_status fuse_forward_dropout(plan_part *part, int norm) {
    plan_node candidate = part->nodes[norm];
    fuse_uses uses;
    if (!plain_result(part, &candidate, &uses) || uses.reader_count != 1) return P2P_OK;
    const plan_node *dropout = &part->nodes[uses.readers[0]];
    if (dropout->op.kind != P2P_KIND_dropout || dropout->op.accumulate || candidate.op.dropout > 0)
        return P2P_OK;
    candidate.op.dropout = dropout->op.dropout;
    candidate.op.layer = dropout->op.layer;
    candidate.value[P2P_AT_norm_apply_step] = dropout->value[P2P_AT_dropout_step];
    candidate.value[P2P_AT_norm_apply_y] = dropout->value[P2P_AT_dropout_y];
    if (fuse_find_uses(part, candidate.value[P2P_AT_norm_apply_y]).writer_count != 1) return P2P_OK;
    bool done = false;
    P2P_TRY(fuse_replace(part, norm, &candidate, &done));
    if (!done) return P2P_OK;
    part->nodes[uses.readers[0]].removed = true;
    part->fused[PLAN_FUSED_dropout]++;
    return P2P_OK;
}

/* Whether the normalisation can write the activation's result instead. */
static bool is_result(const plan_part *part, int act) {
    const plan_node *node = &part->nodes[act];
    return node->op.kind == P2P_KIND_act_fwd && !node->op.accumulate &&
           fuse_find_uses(part, node->value[P2P_AT_act_fwd_y]).writer_count == 1;
}

/* Fuses one activation (second < 0) or two into the normalisation. */
static p2p_status join_acts(plan_part *part, int norm, int first, int second, bool *done) {
    *done = false;
    if (!is_result(part, first) || (second >= 0 && !is_result(part, second))) return P2P_OK;
    plan_node candidate = part->nodes[norm];
    candidate.op.act = part->nodes[first].op.act;
    candidate.op.slope = part->nodes[first].op.slope;
    candidate.value[P2P_AT_norm_apply_y] = part->nodes[first].value[P2P_AT_act_fwd_y];
    if (second >= 0) {
        candidate.op.act2 = part->nodes[second].op.act;
        candidate.op.slope2 = part->nodes[second].op.slope;
        candidate.value[P2P_AT_norm_apply_y2] = part->nodes[second].value[P2P_AT_act_fwd_y];
    }
    P2P_TRY(fuse_replace(part, norm, &candidate, done));
    if (!*done) return P2P_OK;
    part->nodes[first].removed = true;
    if (second >= 0) part->nodes[second].removed = true;
    part->fused[PLAN_FUSED_act_norm] += second >= 0 ? 2 : 1;
    return P2P_OK;
}

static p2p_status fuse_forward_acts(plan_part *part, int norm) {
    fuse_uses uses;
    if (!plain_result(part, &part->nodes[norm], &uses)) return P2P_OK;
    bool done = false;
    if (uses.reader_count == 1) return join_acts(part, norm, uses.readers[0], -1, &done);
    if (uses.reader_count == 2) P2P_TRY(join_acts(part, norm, uses.readers[0], uses.readers[1], &done));
    if (done) return P2P_OK;
    fuse_reread reread = fuse_find_reread(part, &uses);
    if (reread.leaky < 0) return P2P_OK;
    int result = part->nodes[reread.leaky].value[P2P_AT_act_fwd_y];
    P2P_TRY(join_acts(part, norm, reread.leaky, -1, &done));
    return done ? fuse_apply_reread(part, &reread, result) : P2P_OK;
}

p2p_status fuse_norm_forward(plan_part *part) {
    const p2p_session_options *options = &part->session->options;
    for (int i = 0; i < part->node_count; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed || node->op.kind != P2P_KIND_norm_apply) continue;
        if (!options->no_fuse_dropout) P2P_TRY(fuse_forward_dropout(part, i));
        if (!options->no_fuse_act) P2P_TRY(fuse_forward_acts(part, i));
    }
    return P2P_OK;
}
