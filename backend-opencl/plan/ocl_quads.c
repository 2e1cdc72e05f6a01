/* Grids and arguments of the kernels that include kernels/plan/quads.clh. See ocl_quads.h. */
#include "ocl_quads.h"

/* Quads of a launch from which a work-item handles 2, then 4 of them: such launches fill any device, and
 * the quads of a channel share their loads. */
enum { QUADS_FOR_2 = 1 << 18, QUADS_FOR_4 = 1 << 20 };

/* Consecutive quads in memory before a work-item's next one: at least one whole memory line for any group. */
enum { RUN_QUADS = 64 };

/* 64 KiB of a block: a few microseconds of one work-group. */
enum { WHOLE_POSITIONS = 1024 };

static int64_t power_of_two_up(int64_t least) {
    int64_t power = 1;
    while (power < least) power *= 2;
    return power;
}

/* Work-group size for `items_needed` items: 64 or 256, because compilers may be slow for each size and
 * fewer than 64 save nothing; less if the device's limit is lower. */
static size_t group_items(const ocl_target *target, int64_t items_needed) {
    size_t items = items_needed > 64 ? 256 : 64;
    while (items > target->group_limit) items /= 2;
    return items;
}

/* How many of a group's work-items lie along a dimension of the given extent: a power of 4. */
static size_t items_along(size_t items, int64_t extent) {
    size_t along = 1;
    while ((int64_t)along < extent && along * 4 <= items) along *= 4;
    return along;
}

ocl_launch *ocl_launch_add_quads(const ocl_target *target, ocl_plan *plan, const char *source,
                                 const char *kernel) {
    ocl_launch *launch = ocl_launch_add(target, plan, source, kernel);
    launch->source[2] = launch->source[1];
    launch->source[1] = "quads.clh";
    return launch;
}

int ocl_quad_shift(const ocl_view *view) {
    if (view->flat) return 0;
    if (view->blocks > 1 || view->valid > 8) return 2;
    return view->valid > 4 ? 1 : 0;
}

void ocl_walk_quads(const ocl_target *target, ocl_launch *launch, const ocl_view *view, int shift,
                    bool alone) {
    const int64_t positions = view->flat ? p2p_divide_up(view->valid, 4) : view->positions;
    const int64_t quads = (positions << shift) * view->blocks * view->images;
    const int64_t steps = quads >= QUADS_FOR_4 ? 4 : quads >= QUADS_FOR_2 ? 2 : 1;
    const int64_t run = power_of_two_up(ocl_min(positions, RUN_QUADS >> shift));
    const int64_t items = p2p_divide_up(positions, run * steps) * run << shift;

    const size_t group = group_items(target, alone ? items : items * view->blocks);
    const size_t x = alone ? group : items_along(group, items);
    const size_t y = alone ? 1 : items_along(group / x, view->blocks);
    launch->local[0] = x;
    launch->local[1] = y;
    launch->local[2] = 1;
    launch->global[0] = (size_t)p2p_divide_up(items, (int64_t)x) * x;
    launch->global[1] = (size_t)p2p_divide_up(view->blocks, (int64_t)y) * y;
    launch->global[2] = (size_t)view->images;

    ocl_arg_int(launch, positions);
    ocl_arg_int(launch, view->blocks);
    ocl_arg_int(launch, view->flat);
    ocl_arg_ulong(launch, (uint64_t)view->valid);
    ocl_arg_int(launch, shift);
    ocl_arg_int(launch, run);
    ocl_arg_int(launch, steps);
}

bool ocl_sum_is_whole(const ocl_view *view, int64_t images) {
    return view->positions <= WHOLE_POSITIONS / images;
}

int64_t ocl_sum_items(int64_t terms, int shift) {
    return power_of_two_up(ocl_min(ocl_min(terms, OCL_SUM_ITEMS) << shift, OCL_SUM_ITEMS));
}

void ocl_launch_groups(const ocl_target *target, ocl_launch *launch, int64_t items, int64_t groups,
                       int64_t blocks, int64_t images) {
    launch->local[0] = group_items(target, items);
    launch->local[1] = launch->local[2] = 1;
    launch->global[0] = (size_t)groups * launch->local[0];
    launch->global[1] = (size_t)blocks;
    launch->global[2] = (size_t)images;
}

void ocl_arg_summed(ocl_launch *launch, const ocl_view *view, int shift, int64_t items) {
    ocl_arg_int(launch, view->positions);
    ocl_arg_int(launch, view->valid);
    ocl_arg_int(launch, shift);
    ocl_arg_int(launch, items);
}
