/* Slabs and parts of sums over positions. See cuda_slabs.h. */
#include "cuda_slabs.h"

enum {
    WIDEST = 32,      /* channels of a slab: 128 bytes in f32, 64 in bf16 */
    WHOLE_TURNS = 16, /* positions of each thread up to which one block sums a group: a few microseconds */
    PART_TURNS = 8,   /* positions of each thread in a part, at least */
    FEW_PARTS = 64,   /* parts of a group that one block merges soon */
    MANY_BLOCKS = 512 /* enough to occupy any card */
};

static int log2_of(int64_t power) {
    int log = 0;
    while ((int64_t)1 << log < power) log++;
    return log;
}

cuda_slabs cuda_slabs_of(const cuda_view *view, int64_t groups) {
    const int64_t stored = view->packs * view->lanes;
    cuda_slabs s = {.groups = groups,
                    .span = view->positions / groups,
                    .channels = view->channels,
                    .width = cuda_min((int64_t)1 << log2_of(stored), WIDEST),
                    .lanes = view->lanes};
    s.shift = log2_of(s.width / s.lanes);
    s.slabs = p2p_divide_up(stored, s.width);
    s.rows = CUDA_THREADS >> s.shift;
    s.whole = s.span <= WHOLE_TURNS * s.rows;
    const int64_t most = cuda_max(FEW_PARTS, MANY_BLOCKS / (s.slabs * s.groups));
    const int64_t turns = cuda_max(PART_TURNS, p2p_divide_up(s.span, s.rows * most));
    s.part = cuda_min(turns * s.rows, s.span);
    s.parts = p2p_divide_up(s.span, s.part);
    return s;
}

cuda_slabs cuda_slabs_whole(const cuda_slabs *slabs) {
    cuda_slabs s = *slabs;
    s.part = s.span;
    s.parts = 1;
    return s;
}

cuda_slabs cuda_slabs_walk(const cuda_slabs *slabs) {
    cuda_slabs s = *slabs;
    const int64_t blocks = p2p_divide_up(s.span, s.rows) * s.slabs * s.groups;
    const int64_t turns = cuda_max(1, cuda_min(blocks / MANY_BLOCKS, 2 * PART_TURNS));
    s.part = cuda_min(turns * s.rows, s.span);
    s.parts = p2p_divide_up(s.span, s.part);
    return s;
}

int64_t cuda_slabs_numbers(const cuda_slabs *slabs, int each) {
    return slabs->groups * slabs->parts * slabs->slabs * slabs->width * each;
}

cuda_launch *cuda_launch_slabs(cuda_plan *plan, const cuda_slabs *slabs, const char *source,
                               const char *kernel) {
    cuda_launch *launch =
        cuda_launch_items(plan, source, kernel, slabs->groups * slabs->parts * slabs->slabs * CUDA_THREADS);
    cuda_arg_int(launch, slabs->span);
    cuda_arg_int(launch, slabs->channels);
    cuda_arg_int(launch, slabs->shift);
    cuda_arg_int(launch, slabs->slabs);
    cuda_arg_int(launch, slabs->part);
    cuda_arg_int(launch, slabs->parts);
    return launch;
}

void cuda_arg_merge(cuda_plan *plan, cuda_launch *launch, int64_t numbers, int64_t counters) {
    if (numbers == 0) {
        cuda_arg_operand(launch, -1);
        cuda_arg_operand(launch, -1);
        return;
    }
    cuda_arg_scratch(launch, cuda_scratch(plan, (uint64_t)numbers * sizeof(float)));
    cuda_arg_counters(plan, launch, counters);
}
