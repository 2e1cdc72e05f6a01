/* Memory planning: addresses of local values and scratch memory in the shared arena, and of inputs.
 *
 * A value is live from the first step that uses it to the last; ranges extend the lifetime of their parent,
 * and scratch memory is live during its step. Values are placed in order of decreasing size, each at the
 * lowest offset that does not overlap a value with an intersecting lifetime. Inputs and the step block are in
 * a space of their own, which all plans share. Nothing is allocated here.
 */
#include "session.h"

#include <stdlib.h>

/* ---- Liveness ----------------------------------------------------------------------------------------- */

static void find_lifetimes(plan_part *part) {
    for (int v = 0; v < part->value_count; v++) {
        part->values[v].first = 0;
        part->values[v].last = -1;
    }
    for (int s = 0; s < part->step_count; s++) {
        for (int i = 0; i < P2P_MAX_OPERANDS; i++) {
            if (!part->steps[s].value[i]) continue;
            plan_value *value = &part->values[plan_root(part, part->steps[s].value[i])];
            if (value->last < value->first) value->first = s;
            value->last = s;
        }
    }
    /* Outputs are read after the last step. */
    for (int v = 1; v < part->value_count; v++) {
        if (!part->values[v].output) continue;
        plan_value *value = &part->values[plan_root(part, v)];
        if (value->last >= value->first) value->last = part->step_count;
    }
}

/* ---- Placement ---------------------------------------------------------------------------------------- */

typedef struct {
    plan_address *at; /* of the value or of the step's scratch memory */
    bool scratch;
    int number, first, last;
    size_t bytes, offset;
} placement;

static int by_size(const void *a, const void *b) {
    const placement *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Even without sharing, all operations use the same scratch memory. */
static bool may_overlap(const p2p_session *session, const placement *a, const placement *b) {
    const bool together = a->first <= b->last && b->first <= a->last;
    return !together && (!session->options.no_sharing || (a->scratch && b->scratch));
}

/* The lowest free offset for `item`. `placed` is sorted by offset. */
static size_t lowest_free(const p2p_session *session, const placement *placed, int count,
                          const placement *item) {
    size_t end = 0;
    for (int i = 0; i < count; i++) {
        const placement *other = &placed[i];
        if (may_overlap(session, item, other)) continue;
        if (plan_fit(&session->cut, end, item->bytes) + item->bytes <= other->offset) break;
        if (other->offset + other->bytes > end) end = other->offset + other->bytes;
    }
    return plan_fit(&session->cut, end, item->bytes);
}

static void insert_placed(placement *placed, int count, placement item) {
    int i = count;
    for (; i > 0 && placed[i - 1].offset > item.offset; i--) placed[i] = placed[i - 1];
    placed[i] = item;
}

static void place_all(plan_part *part, placement *items, placement *placed, int count) {
    qsort(items, (size_t)count, sizeof *items, by_size);
    part->arena_bytes = 0;
    for (int i = 0; i < count; i++) {
        items[i].offset = lowest_free(part->session, placed, i, &items[i]);
        insert_placed(placed, i, items[i]);
        *items[i].at = (plan_address){PLAN_SPACE_arena, items[i].offset};
        size_t end = items[i].offset + items[i].bytes;
        if (end > part->arena_bytes) part->arena_bytes = end;
    }
}

/* Sets the most bytes that are live at one step, from the bytes that begin and end to be live at each. */
static p2p_status find_live_bytes(plan_part *part, const placement *items, int count) {
    size_t *begun = calloc(2 * ((size_t)part->step_count + 2), sizeof *begun), live = 0;
    if (!begun) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory to plan memory");
    size_t *ended = begun + part->step_count + 2;
    for (int i = 0; i < count; i++) {
        begun[items[i].first] += items[i].bytes;
        ended[items[i].last + 1] += items[i].bytes;
    }
    part->live_bytes = 0;
    for (int s = 0; s < part->step_count; s++) {
        live = live + begun[s] - ended[s];
        if (live > part->live_bytes) part->live_bytes = live;
    }
    free(begun);
    return P2P_OK;
}

static p2p_status list_values(plan_part *part, placement *items, int *count) {
    part->unshared_bytes = 0;
    for (int v = 1; v < part->value_count; v++) {
        plan_value *value = &part->values[v];
        value->at = (plan_address){-1, 0};
        if (value->origin != IR_LOCAL || value->first > value->last) continue;
        const size_t bytes = p2p_tensor_bytes(&value->tensor);
        P2P_TRY(plan_check_fits(&part->session->cut, bytes, "the result of a layer"));
        part->unshared_bytes += plan_round_up(bytes, part->session->cut.alignment);
        items[*count] = (placement){&value->at, false, *count, value->first, value->last, bytes, 0};
        ++*count;
    }
    return P2P_OK;
}

static p2p_status list_scratch(plan_part *part, placement *items, int *count) {
    part->scratch_bytes = 0;
    for (int s = 0; s < part->step_count; s++) {
        plan_step *step = &part->steps[s];
        const size_t bytes = step->query.scratch_bytes;
        step->scratch = (plan_address){-1, 0};
        if (bytes == 0) continue;
        P2P_TRY(plan_check_fits(&part->session->cut, bytes, "the scratch memory of an operation"));
        items[*count] = (placement){&step->scratch, true, *count, s, s, bytes, 0};
        ++*count;
        if (bytes > part->scratch_bytes) part->scratch_bytes = bytes;
    }
    part->unshared_bytes += plan_round_up(part->scratch_bytes, part->session->cut.alignment);
    return P2P_OK;
}

static p2p_status place_locals(plan_part *part) {
    const size_t capacity = (size_t)part->value_count + (size_t)part->step_count + 1;
    placement *items = calloc(2 * capacity, sizeof *items);
    if (!items) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory to plan memory");
    int count = 0;
    p2p_status status = list_values(part, items, &count);
    if (status == P2P_OK) status = list_scratch(part, items, &count);
    if (status == P2P_OK) status = find_live_bytes(part, items, count);
    if (status == P2P_OK) place_all(part, items, items + capacity, count);
    free(items);
    return status;
}

static p2p_status place_in_io(plan_part *part, int v) {
    plan_value *value = &part->values[v];
    size_t bytes = p2p_tensor_bytes(&value->tensor);
    P2P_TRY(plan_check_fits(&part->session->cut, bytes, "an input"));
    value->at = (plan_address){PLAN_SPACE_io, plan_fit(&part->session->cut, part->io_bytes, bytes)};
    part->io_bytes = value->at.offset + bytes;
    return P2P_OK;
}

p2p_status plan_memory(plan_part *part) {
    find_lifetimes(part);
    P2P_TRY(place_locals(part));
    part->io_bytes = 0;
    for (int i = 0; i < part->step_block_count; i++) P2P_TRY(place_in_io(part, part->step_blocks[i].value));
    for (int i = 0; i < part->input_count; i++) P2P_TRY(place_in_io(part, part->inputs[i].value));
    return P2P_OK;
}
