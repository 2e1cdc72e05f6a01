/* Uses of a value, and replacement of nodes. See fuse.h. */
#include "fuse.h"

/* ---- Uses of a value ---------------------------------------------------------------------------------- */

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

static bool uses_range(const plan_part *part, int position, const void *context) {
    const int value = *(const int *)context;
    for (int k = 0; k < p2p_kind_operand_count(part->nodes[position].op.kind); k++) {
        const plan_value *other = &part->values[part->nodes[position].value[k]];
        if (other->origin == IR_RANGE && other->parent == value) return true;
    }
    return false;
}

static void add_uses(const plan_part *part, int position, int value, fuse_uses *uses) {
    const plan_node *node = &part->nodes[position];
    for (int k = 0; k < p2p_kind_operand_count(node->op.kind); k++) {
        if (node->value[k] != value) continue;
        if (reads(node, k)) add_use(&uses->reader_count, uses->readers, &uses->last_reader, position);
        if (fuse_writes(node, k)) add_use(&uses->writer_count, uses->writers, &uses->last_writer, position);
    }
}

fuse_uses fuse_find_uses(const plan_part *part, int value) {
    fuse_uses uses = {.last_reader = -1, .last_writer = -1};
    const fuse_list *nodes = &part->index->nodes[value];
    for (int i = 0; i < nodes->count; i++)
        if (!part->nodes[nodes->items[i]].removed) add_uses(part, nodes->items[i], value, &uses);
    uses.in_parts = fuse_any_use(part, value, 0, part->node_count, uses_range, &value);
    return uses;
}

bool fuse_is_private(const plan_part *part, int value, const fuse_uses *uses) {
    return part->values[value].origin == IR_LOCAL && !part->values[value].output && !uses->in_parts;
}

/* Whether the node writes the value or a range of it. */
static bool writes_value(const plan_part *part, int position, const void *context) {
    const plan_node *node = &part->nodes[position];
    for (int k = 0; k < P2P_MAX_OPERANDS; k++)
        if (node->value[k] && fuse_writes(node, k) &&
            plan_root(part, node->value[k]) == *(const int *)context)
            return true;
    return false;
}

static bool network_written(const plan_part *part, int network, int from, int to) {
    const fuse_list *arenas = &part->index->arenas;
    for (int i = 0; i < arenas->count; i++) {
        const int arena = arenas->items[i];
        if (part->values[arena].network == network &&
            fuse_any_use(part, arena, from, to, writes_value, &arena))
            return true;
    }
    return false;
}

bool fuse_written_between(const plan_part *part, int value, int from, int to) {
    const plan_value *target = &part->values[value];
    const int root = plan_root(part, value);
    if (fuse_any_use(part, root, from + 1, to, writes_value, &root)) return true;
    return target->origin == IR_STATE && network_written(part, target->network, from + 1, to);
}

p2p_status fuse_replace(plan_part *part, int position, const plan_node *candidate, bool *done) {
    P2P_TRY(plan_accepts(part, candidate, done));
    return *done ? fuse_put(part, position, candidate) : P2P_OK;
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

p2p_status fuse_apply_reread(plan_part *part, const fuse_reread *reread, int result) {
    for (int i = 0; i < reread->relu_count; i++) {
        plan_node node = part->nodes[reread->relus[i]];
        node.value[P2P_AT_act_fwd_x] = result;
        P2P_TRY(fuse_put(part, reread->relus[i], &node));
    }
    part->fused[PLAN_FUSED_act_reread] += reread->relu_count;
    return P2P_OK;
}
