/* Fusion, negotiated: which nodes become fields of others.
 *
 * Each rule looks for a pattern in which no other reader misses what is left out, writes the joined
 * descriptor, and asks the device; a refusal leaves the nodes as they are. This file has the common part and
 * the rules around convolutions; fuse_norm.c has those around normalisations, fuse_ranges.c those that spare
 * copies. No rule knows a model, and none changes what is computed beyond rounding.
 */
#include "fuse.h"

#include <string.h>

/* ---- Who touches what --------------------------------------------------------------------------------- */

bool fuse_accumulates(const plan_node *node, int operand) {
    return node->op.accumulate >> operand & 1;
}

static int use_of(const plan_node *node, int operand) {
    const p2p_op *op = &node->op;
    int use = p2p_kind_operand_use(op->kind, operand) & P2P_INOUT;
    if (op->kind == P2P_KIND_norm_apply && operand == P2P_AT_norm_apply_stats)
        return op->merged ? P2P_OUT : P2P_IN;
    if (op->kind == P2P_KIND_norm_bwd_apply && operand == P2P_AT_norm_bwd_apply_sums)
        return op->merged ? P2P_OUT : P2P_IN;
    return use;
}

bool fuse_reads(const plan_node *node, int operand) {
    return use_of(node, operand) & P2P_IN;
}

bool fuse_writes(const plan_node *node, int operand) {
    return use_of(node, operand) & P2P_OUT;
}

static void note(int *count, int kept[FUSE_MOST], int *last, int node) {
    if (*count < FUSE_MOST) kept[*count] = node;
    ++*count;
    *last = node;
}

fuse_uses fuse_find_uses(const plan_part *part, int value) {
    fuse_uses uses = {.last_reader = -1, .last_writer = -1};
    for (int i = 0; i < part->node_count; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed) continue;
        for (int k = 0; k < P2P_MAX_OPERANDS; k++) {
            int operand = node->value[k];
            if (operand != value) {
                uses.in_parts = uses.in_parts || (operand && plan_root(part, operand) == value);
                continue;
            }
            if (fuse_reads(node, k)) note(&uses.reader_count, uses.readers, &uses.last_reader, i);
            if (fuse_writes(node, k)) note(&uses.writer_count, uses.writers, &uses.last_writer, i);
        }
    }
    return uses;
}

bool fuse_is_private(const plan_part *part, int value, const fuse_uses *uses) {
    return part->values[value].origin == IR_LOCAL && !part->values[value].output && !uses->in_parts;
}

bool fuse_written_between(const plan_part *part, int value, int from, int to) {
    const plan_value *looked_for = &part->values[value];
    for (int i = from + 1; i < to; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed) continue;
        for (int k = 0; k < P2P_MAX_OPERANDS; k++) {
            if (!node->value[k] || !fuse_writes(node, k)) continue;
            if (plan_root(part, node->value[k]) == plan_root(part, value)) return true;
            const plan_value *written = &part->values[node->value[k]];
            if (written->origin == IR_ARENA && looked_for->origin == IR_STATE &&
                written->network == looked_for->network)
                return true;
        }
    }
    return false;
}

p2p_status fuse_replace(plan_part *part, int position, const plan_node *candidate, bool *done) {
    P2P_TRY(plan_accepts(part, candidate, done));
    if (*done) part->nodes[position] = *candidate;
    return P2P_OK;
}

/* ---- Two activations of one value --------------------------------------------------------------------- */

fuse_reread fuse_find_reread(const plan_part *part, const fuse_uses *uses) {
    fuse_reread found = {.leaky = -1};
    if (uses->reader_count < 2 || uses->reader_count > FUSE_MOST) return found;
    int leaky = -1;
    for (int i = 0; i < uses->reader_count; i++) {
        const plan_node *node = &part->nodes[uses->readers[i]];
        if (node->op.kind != P2P_KIND_act_fwd || node->op.accumulate) return found;
        if (node->op.act == P2P_ACT_relu) {
            found.relus[found.relu_count++] = uses->readers[i];
        } else if (node->op.act == P2P_ACT_lrelu && leaky < 0) {
            leaky = uses->readers[i];
        } else {
            return found;
        }
    }
    /* The relus may stand before the leaky relu: its result is written where the producer stands. */
    found.leaky = leaky;
    return found;
}

void fuse_apply_reread(plan_part *part, const fuse_reread *reread, int result) {
    for (int i = 0; i < reread->relu_count; i++)
        part->nodes[reread->relus[i]].value[P2P_AT_act_fwd_x] = result;
    part->fused[PLAN_FUSED_act_reread] += reread->relu_count;
}

/* ---- Convolutions ------------------------------------------------------------------------------------- */

/* Operands of the two kinds that serve as layers stand at the same positions. */
enum { CONV_BIAS = P2P_AT_conv_fwd_bias, CONV_Y = P2P_AT_conv_fwd_y };
_Static_assert((int)P2P_AT_conv_fwd_bias == (int)P2P_AT_conv_bwd_data_bias &&
                   (int)P2P_AT_conv_fwd_y == (int)P2P_AT_conv_bwd_data_dx,
               "operands of conv_fwd and conv_bwd_data stand at the same positions");

static bool is_conv(const plan_node *node) {
    return node->op.kind == P2P_KIND_conv_fwd || node->op.kind == P2P_KIND_conv_bwd_data;
}

/* y = conv(x), y += bias, with nothing that reads y in between. */
static p2p_status fuse_bias(plan_part *part, int position) {
    const plan_node *addition = &part->nodes[position];
    int bias = addition->value[P2P_AT_axpby_x], y = addition->value[P2P_AT_axpby_y];
    if (addition->op.alpha != 1 || !fuse_accumulates(addition, P2P_AT_axpby_y)) return P2P_OK;
    if (part->values[bias].role != IR_VECTOR) return P2P_OK;
    fuse_uses uses = fuse_find_uses(part, y);
    if (uses.writer_count != 2 || uses.in_parts || uses.writers[1] != position) return P2P_OK;
    if (uses.reader_count > 0 && uses.readers[0] < position) return P2P_OK;
    int conv = uses.writers[0];
    plan_node candidate = part->nodes[conv];
    if (!is_conv(&candidate) || candidate.op.accumulate || candidate.value[CONV_BIAS] ||
        candidate.op.act != P2P_ACT_none)
        return P2P_OK;
    if (fuse_written_between(part, bias, conv, position)) return P2P_OK;
    candidate.value[CONV_BIAS] = bias;
    bool done = false;
    P2P_TRY(fuse_replace(part, conv, &candidate, &done));
    if (!done) return P2P_OK;
    part->nodes[position].removed = true;
    part->fused[PLAN_FUSED_bias]++;
    return P2P_OK;
}

/* y = act(conv(x)), where only activations read the convolution's result. */
static p2p_status fuse_act(plan_part *part, int conv) {
    plan_node candidate = part->nodes[conv];
    int z = candidate.value[CONV_Y];
    fuse_uses uses = fuse_find_uses(part, z);
    if (candidate.op.accumulate || candidate.op.act != P2P_ACT_none || uses.writer_count != 1 ||
        !fuse_is_private(part, z, &uses))
        return P2P_OK;
    fuse_reread reread = fuse_find_reread(part, &uses);
    int act = reread.leaky;
    if (uses.reader_count == 1) act = uses.readers[0];
    if (act < 0 || part->nodes[act].op.kind != P2P_KIND_act_fwd || part->nodes[act].op.accumulate)
        return P2P_OK;
    int y = part->nodes[act].value[P2P_AT_act_fwd_y];
    if (fuse_find_uses(part, y).writer_count != 1) return P2P_OK;
    candidate.op.act = part->nodes[act].op.act;
    candidate.op.slope = part->nodes[act].op.slope;
    candidate.value[CONV_Y] = y;
    bool done = false;
    P2P_TRY(fuse_replace(part, conv, &candidate, &done));
    if (!done) return P2P_OK;
    part->nodes[act].removed = true;
    part->fused[PLAN_FUSED_act_conv]++;
    if (uses.reader_count > 1) fuse_apply_reread(part, &reread, y);
    return P2P_OK;
}

static p2p_status fuse_biases(plan_part *part) {
    for (int i = 0; i < part->node_count; i++) {
        const plan_node *node = &part->nodes[i];
        if (!node->removed && node->op.kind == P2P_KIND_axpby) P2P_TRY(fuse_bias(part, i));
    }
    return P2P_OK;
}

static p2p_status fuse_acts(plan_part *part) {
    for (int i = 0; i < part->node_count; i++)
        if (!part->nodes[i].removed && is_conv(&part->nodes[i])) P2P_TRY(fuse_act(part, i));
    return P2P_OK;
}

/* Merging comes first, because it decides how many nodes a normalisation's gradient has; gradients come
 * before the forward nodes, whose pattern they recognise; ranges come last, when the producers are known. */
p2p_status plan_fuse(plan_part *part) {
    const p2p_session_options *options = &part->session->options;
    if (options->no_fusion) return P2P_OK;
    if (!options->no_fuse_bias) P2P_TRY(fuse_biases(part));
    if (!options->no_merge_norm) P2P_TRY(fuse_merge_norms(part));
    P2P_TRY(fuse_norm_backward(part));
    P2P_TRY(fuse_norm_forward(part));
    if (!options->no_fuse_act) P2P_TRY(fuse_acts(part));
    if (!options->no_elide_copies) P2P_TRY(fuse_elide_copies(part));
    return P2P_OK;
}
