/* Uses of a value, and replacement of nodes. See fuse.h. */
#include "fuse.h"

/* ---- Uses of a value ---------------------------------------------------------------------------------- */

bool fuse_accumulates(const plan_node *node, int operand) {
    return node->op.accumulate >> operand & 1;
}

static bool reads(const plan_node *node, int operand) {
    return p2p_op_mode_use(&node->op, operand) & P2P_IN;
}

bool fuse_writes(const plan_node *node, int operand) {
    return p2p_op_mode_use(&node->op, operand) & P2P_OUT;
}

static void add_use(int *count, int kept[FUSE_MOST], int *last, int node) {
    if (*count < FUSE_MOST) kept[*count] = node;
    ++*count;
    *last = node;
}

fuse_uses fuse_find_uses(const plan_part *part, int value) {
    fuse_uses uses = {.last_reader = -1, .last_writer = -1};
    for (int i = 0; i < part->node_count; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed) continue;
        const int operands = p2p_kind_operand_count(node->op.kind);
        for (int k = 0; k < operands; k++) {
            const int operand = node->value[k];
            if (operand != value) {
                const plan_value *other = &part->values[operand];
                uses.in_parts = uses.in_parts || (other->origin == IR_RANGE && other->parent == value);
                continue;
            }
            if (reads(node, k)) add_use(&uses.reader_count, uses.readers, &uses.last_reader, i);
            if (fuse_writes(node, k)) add_use(&uses.writer_count, uses.writers, &uses.last_writer, i);
        }
    }
    return uses;
}

bool fuse_is_private(const plan_part *part, int value, const fuse_uses *uses) {
    return part->values[value].origin == IR_LOCAL && !part->values[value].output && !uses->in_parts;
}

bool fuse_written_between(const plan_part *part, int value, int from, int to) {
    const plan_value *target = &part->values[value];
    for (int i = from + 1; i < to; i++) {
        const plan_node *node = &part->nodes[i];
        if (node->removed) continue;
        for (int k = 0; k < P2P_MAX_OPERANDS; k++) {
            if (!node->value[k] || !fuse_writes(node, k)) continue;
            if (plan_root(part, node->value[k]) == plan_root(part, value)) return true;
            const plan_value *written = &part->values[node->value[k]];
            if (written->origin == IR_ARENA && target->origin == IR_STATE &&
                written->network == target->network)
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

/* ---- Several activations of one value ----------------------------------------------------------------- */

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
    /* The relus may precede the leaky relu, because the producer will write its result. */
    found.leaky = leaky;
    return found;
}

void fuse_apply_reread(plan_part *part, const fuse_reread *reread, int result) {
    for (int i = 0; i < reread->relu_count; i++)
        part->nodes[reread->relus[i]].value[P2P_AT_act_fwd_x] = result;
    part->fused[PLAN_FUSED_act_reread] += reread->relu_count;
}
