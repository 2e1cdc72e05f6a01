/* See bench_segments.h. */
#include "bench_segments.h"

#include <math.h>
#include <stdlib.h>

/* ---- A pass ------------------------------------------------------------------------------------------- */

static p2p_status add_segment(bench_segments *segments, int needed) {
    if (segments->count == segments->capacity) {
        const int capacity = segments->capacity ? 2 * segments->capacity : 64;
        model_segment *grown = realloc(segments->of, (size_t)capacity * sizeof *grown);
        if (!grown) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d segments of a step", capacity);
        segments->of = grown;
        segments->capacity = capacity;
    }
    segments->of[segments->count++] = (model_segment){.seconds = INFINITY, .needed = needed};
    return P2P_OK;
}

static void keep_least(bench_segments *segments) {
    if (segments->at < 0) return;
    model_segment *segment = &segments->of[segments->at];
    segment->seconds = fmin(segment->seconds, segments->seconds);
}

/* Moves to the next segment, unless the operation belongs to the current one. */
static p2p_status go_on(bench_segments *segments, int needed) {
    const bool same = segments->at >= 0 && !segments->ended && segments->of[segments->at].needed == needed;
    if (same) return P2P_OK;
    keep_least(segments);
    segments->seconds = 0;
    segments->ended = false;
    if (++segments->at < segments->count) return P2P_OK;
    return add_segment(segments, needed);
}

static p2p_status end_with_reduction(bench_segments *segments, const p2p_op *op) {
    model_segment *segment = &segments->of[segments->at];
    segments->ended = true;
    if (segment->bytes > 0) return P2P_OK; /* known from an earlier pass */
    segment->bytes = (double)p2p_tensor_bytes(&op->t[0]);
    if (++segments->reductions <= MODEL_MOST_REDUCTIONS) return P2P_OK;
    return p2p_fail(P2P_UNSUPPORTED, "a step with more than %d reductions", MODEL_MOST_REDUCTIONS);
}

static p2p_status take_timing(void *context, const p2p_operation_timing *timing) {
    bench_segments *segments = context;
    if (timing->replica > 0) return P2P_OK;
    P2P_TRY(go_on(segments, timing->needed));
    if (timing->op->kind == P2P_KIND_all_reduce) return end_with_reduction(segments, timing->op);
    segments->seconds += timing->end - timing->begin;
    return P2P_OK;
}

p2p_status bench_segments_pass(p2p_plan *plan, uint32_t step, double (*clock)(void),
                               bench_segments *segments) {
    const p2p_step numbers = {.seed = 1, .step = step};
    segments->at = -1;
    P2P_TRY(p2p_plan_profile(plan, &numbers, clock, take_timing, segments));
    keep_least(segments);
    return p2p_plan_wait(plan);
}

/* ---- Segments ----------------------------------------------------------------------------------------- */

void bench_segments_free(bench_segments *segments) {
    free(segments->of);
    *segments = (bench_segments){0};
}

double bench_segments_seconds(const bench_segments *segments) {
    double sum = 0;
    for (int i = 0; i < segments->count; i++) sum += segments->of[i].seconds;
    return sum;
}

void bench_segments_scale(bench_segments *segments, double seconds) {
    const double sum = bench_segments_seconds(segments);
    for (int i = 0; i < segments->count && sum > 0; i++) segments->of[i].seconds *= seconds / sum;
}
