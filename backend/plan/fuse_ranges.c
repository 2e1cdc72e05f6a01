/* Removal of the copies of concatenations: a value becomes a channel range of the concatenation into which it
 * was copied, and the gradient of a part becomes a range of the concatenation's gradient.
 *
 * A value has one place only, and a range must satisfy the device's channel alignment, so a second
 * concatenation of a value and unaligned ranges keep their copies. A copy is removed only if the device
 * accepts all nodes that use the value with the range.
 */
#include "fuse.h"

/* Ranges that share a channel block would overwrite each other's lanes. */
static bool is_aligned(const plan_part *part, const plan_value *range) {
    int64_t alignment = part->session->channel_alignment;
    int64_t begin = range->tensor.c0, end = begin + range->tensor.c;
    return begin % alignment == 0 && (end % alignment == 0 || end == range->tensor.cp);
}

static bool is_movable(const plan_part *part, int value, const fuse_uses *uses) {
    const plan_value *v = &part->values[value];
    return fuse_is_private(part, value, uses) && v->role == IR_ACTIVATION;
}

static bool overlaps(const plan_part *part, int value, const plan_value *range) {
    const plan_value *v = &part->values[value];
    if (v->origin != IR_RANGE) return true;
    return v->tensor.c0 < range->tensor.c0 + range->tensor.c && range->tensor.c0 < v->tensor.c0 + v->tensor.c;
}

typedef struct {
    const plan_value *range;
    bool reads; /* reading counts, too */
} touch;

/* Whether the node writes (or, with `reads`, uses) the range's channels of its parent. */
static bool touches(const plan_part *part, int position, const void *context) {
    const touch *t = context;
    const plan_node *node = &part->nodes[position];
    for (int k = 0; k < P2P_MAX_OPERANDS; k++) {
        const int value = node->value[k];
        if (!value || plan_root(part, value) != t->range->parent || !overlaps(part, value, t->range))
            continue;
        if (t->reads || fuse_writes(node, k)) return true;
    }
    return false;
}

/* Whether a node in [from, to) writes (or, with `reads`, uses) the range's channels of its parent. */
static bool parent_touched(const plan_part *part, const plan_value *range, int from, int to, bool reads) {
    return fuse_any_use(part, range->parent, from, to, touches, &(touch){range, reads});
}

/* Whether the device accepts all nodes that use the value, but for `copy`. */
static p2p_status users_accepted(const plan_part *part, int value, int copy, bool *accepted) {
    const fuse_list *nodes = &part->index->nodes[value];
    *accepted = true;
    for (int i = 0; i < nodes->count && *accepted; i++) {
        const int position = nodes->items[i];
        const plan_node *node = &part->nodes[position];
        bool uses = false;
        for (int k = 0; k < P2P_MAX_OPERANDS; k++) uses = uses || node->value[k] == value;
        if (uses && position != copy && !node->removed) P2P_TRY(plan_accepts(part, node, accepted));
    }
    return P2P_OK;
}

/* Makes `value` the range; reverts it if the device refuses a node that uses it. */
static p2p_status try_range(plan_part *part, int value, const plan_value *range, int copy, bool *done) {
    plan_value *v = &part->values[value];
    const plan_value before = *v;
    v->origin = IR_RANGE;
    v->parent = range->parent;
    v->tensor.c0 = range->tensor.c0;
    v->tensor.cp = range->tensor.cp;
    p2p_status status = users_accepted(part, value, copy, done);
    if (status == P2P_OK && *done) status = fuse_add_range(part, value);
    if (status != P2P_OK || !*done) *v = before;
    return status;
}

/* copy: range = value. The value's writers write the range, and its readers read it. */
static p2p_status elide_forward(plan_part *part, int copy) {
    const plan_node *node = &part->nodes[copy];
    int value = node->value[P2P_AT_copy_x];
    const plan_value range = part->values[node->value[P2P_AT_copy_y]];
    if (range.origin != IR_RANGE || node->op.accumulate || !is_aligned(part, &range)) return P2P_OK;
    fuse_uses uses = fuse_find_uses(part, value);
    if (!is_movable(part, value, &uses) || uses.last_writer > copy) return P2P_OK;
    /* The value occupies the channels from its first writer on: between that and the copy no other node may
     * use them, and after the copy no node may write them. */
    const int all = part->node_count;
    if (uses.writer_count == 0 || parent_touched(part, &range, copy + 1, all, false)) return P2P_OK;
    if (parent_touched(part, &range, uses.writers[0], copy, true)) return P2P_OK;
    bool done = false;
    P2P_TRY(try_range(part, value, &range, copy, &done));
    if (!done) return P2P_OK;
    part->nodes[copy].removed = true;
    part->fused[PLAN_FUSED_elide]++;
    return P2P_OK;
}

/* copy: value = range. The value becomes a view of the range; later additions to it modify the range. */
static p2p_status elide_backward(plan_part *part, int copy) {
    const plan_node *node = &part->nodes[copy];
    int value = node->value[P2P_AT_copy_y];
    const plan_value range = part->values[node->value[P2P_AT_copy_x]];
    if (range.origin != IR_RANGE || node->op.accumulate || !is_aligned(part, &range)) return P2P_OK;
    const plan_value *parent = &part->values[range.parent];
    fuse_uses uses = fuse_find_uses(part, value);
    if (!is_movable(part, value, &uses) || uses.writers[0] != copy) return P2P_OK;
    if (parent->origin != IR_LOCAL || parent->output) return P2P_OK;
    /* No later node may write the channels. If the value is added to, no later node may read them either,
     * because they then differ from the parent's contents. */
    if (parent_touched(part, &range, copy + 1, part->node_count, uses.writer_count > 1)) return P2P_OK;
    bool done = false;
    P2P_TRY(try_range(part, value, &range, copy, &done));
    if (!done) return P2P_OK;
    part->nodes[copy].removed = true;
    part->fused[PLAN_FUSED_elide_bwd]++;
    return P2P_OK;
}

p2p_status fuse_elide_copies(plan_part *part) {
    for (int i = 0; i < part->node_count; i++) {
        if (part->nodes[i].removed || part->nodes[i].op.kind != P2P_KIND_copy) continue;
        P2P_TRY(elide_forward(part, i));
        if (!part->nodes[i].removed) P2P_TRY(elide_backward(part, i));
    }
    return P2P_OK;
}
