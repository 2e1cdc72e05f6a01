/* Fusion: nodes that become fields of other nodes, subject to the device's approval.
 *
 * Each rule matches a pattern in which no other node reads the value that is left out, builds the fused
 * descriptor and queries the device. A refusal leaves the nodes unchanged. This file has the rules of
 * convolutions; fuse_norm.c has those of normalisations, fuse_ranges.c those that remove copies, fuse_uses.c
 * and fuse_index.c the shared functions. Rules do not depend on a model and change results by rounding only.
 */
#include "fuse.h"

/* ---- Convolutions ------------------------------------------------------------------------------------- */

/* The operands of the two kinds that are used as layers are at the same positions. */
enum { CONV_BIAS = P2P_AT_conv_fwd_bias, CONV_Y = P2P_AT_conv_fwd_y };
_Static_assert((int)P2P_AT_conv_fwd_bias == (int)P2P_AT_conv_bwd_data_bias &&
                   (int)P2P_AT_conv_fwd_y == (int)P2P_AT_conv_bwd_data_dx,
               "operands of conv_fwd and conv_bwd_data are at the same positions");

static bool is_conv(const plan_node *node) {
    return node->op.kind == P2P_KIND_conv_fwd || node->op.kind == P2P_KIND_conv_bwd_data;
}

/* y = conv(x), y += bias, where no node between them reads y. */
static p2p_status fuse_bias(plan_part *part, int position) {
    const plan_node *addition = &part->nodes[position];
    int bias = addition->value[P2P_AT_axpby_x], y = addition->value[P2P_AT_axpby_y];
    if (addition->op.alpha != 1 || !p2p_op_accumulates(&addition->op, P2P_AT_axpby_y)) return P2P_OK;
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
    return uses.reader_count > 1 ? fuse_apply_reread(part, &reread, y) : P2P_OK;
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

/* Order of the rules: merging determines the number of nodes of a normalisation's gradient, so it precedes
 * gradients. Gradients match the unfused forward nodes, so they precede these. Ranges depend on the final
 * producers, so they are last. */
static p2p_status apply_rules(plan_part *part) {
    const p2p_session_options *options = &part->session->options;
    if (!options->no_fuse_bias) P2P_TRY(fuse_biases(part));
    if (!options->no_merge_norm) P2P_TRY(fuse_merge_norms(part));
    P2P_TRY(fuse_norm_backward(part));
    P2P_TRY(fuse_norm_forward(part));
    if (!options->no_fuse_act) P2P_TRY(fuse_acts(part));
    return options->no_elide_copies ? P2P_OK : fuse_elide_copies(part);
}

p2p_status plan_fuse(plan_part *part) {
    if (part->session->options.no_fusion) return P2P_OK;
    P2P_TRY(fuse_index_make(part));
    const p2p_status status = apply_rules(part);
    fuse_index_free(part);
    return status;
}
