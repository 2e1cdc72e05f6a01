/* The segments of a plan, measured: what bench_model.h computes with. */
#ifndef P2P_BENCH_SEGMENTS_H
#define P2P_BENCH_SEGMENTS_H

#include "bench_model.h"
#include "p2p.h"

typedef struct {
    model_segment *of; /* of replica 0, in order; the seconds of each are the least of all passes */
    int count, capacity;
    int reductions;
    /* The pass under way. */
    int at;         /* the segment; -1: none yet */
    bool ended;     /* a reduction has ended it */
    double seconds; /* of it */
} bench_segments;

/* Profile the plan once. The first pass of `segments`, which begins as {0}, finds them, further ones repeat
 * it. The caller fills the inputs before each. `clock` returns seconds and is monotonic. P2P_UNSUPPORTED if
 * the plan has more reductions than a model takes. Release with bench_segments_free() in any case. */
p2p_status bench_segments_pass(p2p_plan *plan, uint32_t step, double (*clock)(void),
                               bench_segments *segments);
void bench_segments_free(bench_segments *segments);

/* Seconds of all segments. */
double bench_segments_seconds(const bench_segments *segments);
/* Multiply the seconds so that they sum to `seconds`. */
void bench_segments_scale(bench_segments *segments, double seconds);

#endif
