/* Segments of a plan: where collectives begin, and where the device's commands wait for them.
 *
 * A collective runs beside the commands that do not use its result. A segment ends at a collective, and
 * before the first step that needs one for which the device does not wait yet. Needs are found from the
 * steps' addresses.
 */
#include "session.h"

#include <stdlib.h>

/* Whether two operands share memory. A collective over a local value is needed by every later step, because
 * its memory may be given to other values. */
static bool shares_memory(const plan_step *a, int i, const plan_step *collective) {
    const plan_address *x = &a->at[i], *y = &collective->at[0];
    if (!p2p_tensor_present(&a->op.t[i])) return false;
    return x->space == y->space && x->offset < y->offset + p2p_tensor_bytes(&collective->op.t[0]) &&
           y->offset < x->offset + p2p_tensor_bytes(&a->op.t[i]);
}

static bool needs(const plan_step *step, const plan_step *collective) {
    if (collective->at[0].space == PLAN_SPACE_arena) return true;
    for (int i = 0; i < p2p_kind_operand_count(step->op.kind); i++)
        if (shares_memory(step, i, collective)) return true;
    return false;
}

/* The number of collectives, counted from the first, that must be complete before step s. `collectives` are
 * the steps before s that are one. */
static int needed_by(const plan_part *part, const int *collectives, int s) {
    int needed = part->collective_count;
    while (needed > 0 && !needs(&part->steps[s], &part->steps[collectives[needed - 1]])) needed--;
    return needed;
}

/* Begins a segment at a step, unless the last one has no step yet. */
static p2p_status begin_segment(plan_part *part, int step, int needed) {
    plan_segment *last = part->segment_count > 0 ? &part->segments[part->segment_count - 1] : NULL;
    if (last && last->begin == step && last->collective < 0) {
        last->needed = needed;
        return P2P_OK;
    }
    plan_segment *segments =
        ir_grow(part->segments, part->segment_count, &part->segment_capacity, sizeof *part->segments);
    if (!segments) return plan_no_memory("a plan's segments");
    part->segments = segments;
    segments[part->segment_count++] =
        (plan_segment){.begin = step, .end = step, .needed = needed, .collective = -1};
    return P2P_OK;
}

/* Adds step s to the last segment, or begins one: *needed is that of the last segment. */
static p2p_status add_to_segments(plan_part *part, int *collectives, int s, int *needed) {
    const int before = needed_by(part, collectives, s);
    if (before > *needed) {
        *needed = before;
        P2P_TRY(begin_segment(part, s, *needed));
    }
    plan_segment *segment = &part->segments[part->segment_count - 1];
    if (!part->steps[s].collective) {
        segment->end = s + 1;
        return P2P_OK;
    }
    segment->collective = s;
    collectives[part->collective_count++] = s;
    return begin_segment(part, s + 1, *needed);
}

p2p_status plan_find_segments(plan_part *part) {
    int needed = 0;
    int *collectives = calloc((size_t)part->step_count + 1, sizeof *collectives);
    if (!collectives) return plan_no_memory("a plan's segments");
    part->segment_count = part->collective_count = 0;
    p2p_status status = begin_segment(part, 0, 0);
    for (int s = 0; s < part->step_count && status == P2P_OK; s++)
        status = add_to_segments(part, collectives, s, &needed);
    free(collectives);
    return status;
}
