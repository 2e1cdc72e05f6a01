/* The nodes that use each value, while a part is fused. See fuse.h. */
#include "fuse.h"

#include <stdlib.h>
#include <string.h>

/* ---- Lists -------------------------------------------------------------------------------------------- */

/* The number of items below `item`. */
static int rank_in(const fuse_list *list, int item) {
    int low = 0, high = list->count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (list->items[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static p2p_status add(fuse_list *list, int item) {
    const int rank = rank_in(list, item);
    if (list->items && rank < list->count && list->items[rank] == item) return P2P_OK;
    int *items = ir_grow(list->items, list->count, &list->capacity, sizeof *items);
    if (!items) return plan_no_memory("the uses of a value");
    list->items = items;
    memmove(&items[rank + 1], &items[rank], (size_t)(list->count - rank) * sizeof *items);
    items[rank] = item;
    list->count++;
    return P2P_OK;
}

static void free_lists(fuse_list *lists, int count) {
    for (int i = 0; lists && i < count; i++) free(lists[i].items);
    free(lists);
}

/* ---- The index ---------------------------------------------------------------------------------------- */

void fuse_index_free(plan_part *part) {
    fuse_index *index = part->index;
    if (!index) return;
    free_lists(index->nodes, index->value_count);
    free_lists(index->ranges, index->value_count);
    free(index->arenas.items);
    free(index);
    part->index = NULL;
}

p2p_status fuse_add_range(plan_part *part, int value) {
    return add(&part->index->ranges[part->values[value].parent], value);
}

static p2p_status add_value(plan_part *part, int value) {
    const ir_origin origin = part->values[value].origin;
    if (origin == IR_RANGE) P2P_TRY(fuse_add_range(part, value));
    return origin == IR_ARENA ? add(&part->index->arenas, value) : P2P_OK;
}

static p2p_status add_node(plan_part *part, int position) {
    const plan_node *node = &part->nodes[position];
    for (int k = 0; k < P2P_MAX_OPERANDS; k++)
        if (node->value[k]) P2P_TRY(add(&part->index->nodes[node->value[k]], position));
    return P2P_OK;
}

static p2p_status add_all(plan_part *part) {
    for (int v = 1; v < part->value_count; v++) P2P_TRY(add_value(part, v));
    for (int i = 0; i < part->node_count; i++) P2P_TRY(add_node(part, i));
    return P2P_OK;
}

p2p_status fuse_index_make(plan_part *part) {
    const size_t count = (size_t)part->value_count;
    fuse_index *index = calloc(1, sizeof *index);
    if (!index) return plan_no_memory("the uses of values");
    part->index = index;
    index->value_count = part->value_count;
    index->nodes = calloc(count, sizeof *index->nodes);
    index->ranges = calloc(count, sizeof *index->ranges);
    const p2p_status status =
        index->nodes && index->ranges ? add_all(part) : plan_no_memory("the uses of values");
    if (status != P2P_OK) fuse_index_free(part);
    return status;
}

p2p_status fuse_put(plan_part *part, int position, const plan_node *node) {
    part->nodes[position] = *node;
    return add_node(part, position);
}

/* ---- Searches ----------------------------------------------------------------------------------------- */

static bool any_in(const plan_part *part, int value, int from, int to, fuse_test test, const void *context) {
    const fuse_list *list = &part->index->nodes[value];
    for (int i = rank_in(list, from); i < list->count && list->items[i] < to; i++)
        if (!part->nodes[list->items[i]].removed && test(part, list->items[i], context)) return true;
    return false;
}

bool fuse_any_use(const plan_part *part, int value, int from, int to, fuse_test test, const void *context) {
    const fuse_list *ranges = &part->index->ranges[value];
    if (any_in(part, value, from, to, test, context)) return true;
    for (int i = 0; i < ranges->count; i++)
        if (any_in(part, ranges->items[i], from, to, test, context)) return true;
    return false;
}
