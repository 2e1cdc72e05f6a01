/* Runs a kernel over a grid, block by block, and the warps of a block in turn until each has left or waits at
 * a barrier.
 *
 * The lanes of a warp are groups that have the same place in the code. Of the groups, the one furthest behind
 * runs until it reaches the place of another: there they join. So lanes meet again where the code does.
 */
#include "ptx_code.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

const ptx_op *ptx_find_op(const char *name) {
    const ptx_op *ops = ptx_ops_plain;
#if defined(PTX_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) ops = ptx_ops_avx2;
#endif
    while (ops->name && strcmp(ops->name, name) != 0) ops++;
    return ops->name ? ops : NULL;
}

/* ---- Messages ------------------------------------------------------------------------------------------ */

static void add_place(const ptx_run_state *run, char *text, size_t size) {
    const size_t used = strlen(text);
    snprintf(text + used, size - used, ", in kernel %s, PTX line %d, block %u %u %u, warp %d",
             run->kernel->name, run->now ? run->now->line : 0, run->block[0], run->block[1], run->block[2],
             run->warp ? run->warp->index : -1);
}

_Noreturn void ptx_fail(ptx_run_state *run, CUresult error, const char *format, ...) {
    ptx_launch *launch = run->launch;
    va_list list;
    va_start(list, format);
    vsnprintf(launch->message, sizeof launch->message - 120, format, list);
    va_end(list);
    add_place(run, launch->message, sizeof launch->message);
    launch->error = error;
    longjmp(run->failed, 1);
}

void ptx_report(ptx_run_state *run, const char *format, ...) {
    char text[500];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text - 160, format, list);
    va_end(list);
    if (run->reports++ > 0) return; /* one is enough, and a race has thousands */
    add_place(run, text, sizeof text);
    machine_refuse("%s", text);
}

/* ---- Lanes --------------------------------------------------------------------------------------------- */

static uint32_t bits_of_lanes(const int32_t *lanes) {
#if defined(__SSE2__)
    uint32_t bits = 0;
    for (int i = 0; i < PTX_LANES / 4; i++) {
        const __m128i four = _mm_loadu_si128((const __m128i *)(const void *)(lanes + 4 * i));
        bits |= (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(four)) << 4 * i;
    }
    return bits;
#else
    uint32_t bits = 0;
    for (int l = 0; l < PTX_LANES; l++) bits |= (uint32_t)(lanes[l] != 0) << l;
    return bits;
#endif
}

static void lanes_of_bits(int32_t *lanes, uint32_t bits) {
    for (int l = 0; l < PTX_LANES; l++) lanes[l] = -(int32_t)(bits >> l & 1);
}

/* Lanes in which a predicate holds, or doesn't. */
static void select_lanes(int32_t *to, const int32_t *lanes, const int32_t *predicate, int32_t flip) {
    for (int l = 0; l < PTX_LANES; l++) to[l] = lanes[l] & (predicate[l] ^ flip);
}

/* ---- One warp ------------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t instructions, lanes;
} tally;

/* Groups at the same place join. */
static void join_groups(ptx_warp *warp) {
    for (int a = 0; a < warp->group_count; a++) {
        ptx_group *one = &warp->groups[a];
        for (int b = a + 1; b < warp->group_count; b++) {
            const ptx_group *two = &warp->groups[b];
            if (one->pc != two->pc || (one->state == PTX_AT_BARRIER) != (two->state == PTX_AT_BARRIER))
                continue;
            one->mask |= two->mask;
            if (one->state == PTX_AT_MEETING) one->state = PTX_RUNS;
            warp->groups[b--] = warp->groups[--warp->group_count];
        }
    }
}

/* The group that runs next: the one furthest behind; -1: all wait. `limit` is where it meets another. */
static int choose_group(const ptx_warp *warp, int *limit) {
    int best = -1;
    for (int i = 0; i < warp->group_count; i++) {
        const ptx_group *group = &warp->groups[i];
        if (group->state == PTX_RUNS && (best < 0 || group->pc < warp->groups[best].pc)) best = i;
    }
    *limit = warp->run->kernel->count;
    for (int i = 0; i < warp->group_count && best >= 0; i++) {
        const ptx_group *group = &warp->groups[i];
        if (i != best && group->state != PTX_AT_BARRIER && group->pc > warp->groups[best].pc &&
            group->pc < *limit)
            *limit = group->pc;
    }
    return best;
}

static void remove_group(ptx_warp *warp, int position) {
    warp->groups[position] = warp->groups[--warp->group_count];
}

/* Lanes that an instruction names but that aren't there. */
static uint32_t missing_lanes(const ptx_warp *warp, const ptx_insn *insn, uint32_t active) {
    uint32_t members = 0;
    const uint32_t *named = (const uint32_t *)(const void *)(warp->registers + insn->c);
    for (int l = 0; l < PTX_LANES; l++)
        if (active >> l & 1) members |= named[l];
    return members & warp->all & ~active;
}

/* Ends the group's turn, or continues: what instructions other than PTX_DO do. True: the turn ends. */
static bool control(ptx_warp *warp, int position, const ptx_insn *insn, int *pc, uint32_t active) {
    ptx_run_state *run = warp->run;
    ptx_group *group = &warp->groups[position];
    const uint32_t mask = group->mask;
    run->now = insn;
    switch (insn->class) {
    case PTX_BRANCH:
        if (active == mask) return *pc = insn->target, false;
        run->launch->counters.divergent_branches++;
        *group = (ptx_group){*pc + 1, mask & ~active, PTX_RUNS};
        warp->groups[warp->group_count++] = (ptx_group){insn->target, active, PTX_RUNS};
        return true;
    case PTX_EXIT:
        warp->live &= ~active;
        if (active == mask)
            remove_group(warp, position);
        else
            *group = (ptx_group){*pc + 1, mask & ~active, PTX_RUNS};
        return true;
    case PTX_BARRIER:
        run->launch->counters.barriers++;
        if (active != mask)
            ptx_fail(run, CUDA_ERROR_LAUNCH_FAILED,
                     "lanes %08x come to a barrier whose predicate others don't share", active);
        *group = (ptx_group){*pc + 1, mask, PTX_AT_BARRIER};
        return true;
    default: /* PTX_MEET */
        if (missing_lanes(warp, insn, active)) {
            *group = (ptx_group){*pc, mask, PTX_AT_MEETING};
            return true;
        }
        insn->full(warp, insn);
        ++*pc;
        return false;
    }
}

/* Runs a group until it meets another, waits or leaves. */
static void run_group(ptx_warp *warp, int position, int limit, tally *count) {
    const ptx_insn *code = warp->run->kernel->code;
    const uint32_t mask = warp->groups[position].mask;
    int32_t group_lanes[PTX_LANES], selected[PTX_LANES];
    int pc = warp->groups[position].pc;
    lanes_of_bits(group_lanes, mask);
    for (; pc < limit;) {
        const ptx_insn *insn = &code[pc];
        uint32_t active = mask;
        warp->lanes = group_lanes;
        if (insn->predicate >= 0) {
            const int32_t *predicate = (const int32_t *)(const void *)(warp->registers + insn->predicate);
            select_lanes(selected, group_lanes, predicate, insn->negate ? -1 : 0);
            active = bits_of_lanes(selected);
            warp->lanes = selected;
        }
        count->instructions += !insn->hidden;
        count->lanes += insn->hidden ? 0 : active == ~0u ? PTX_LANES : (unsigned)__builtin_popcount(active);
        if (active == 0) {
            pc++;
            continue;
        }
        warp->mask = active;
        if (insn->class == PTX_DO) {
            warp->run->now = insn;
            (active == ~0u ? insn->full : insn->masked)(warp, insn);
            pc++;
        } else {
            const int before = pc;
            if (control(warp, position, insn, &pc, active)) return;
            if (pc <= before && warp->group_count > 1) break; /* another group may be further behind now */
        }
    }
    warp->groups[position].pc = pc;
}

static void run_warp(ptx_warp *warp) {
    ptx_run_state *run = warp->run;
    tally count = {0, 0};
    run->warp = warp;
    for (;;) {
        int limit;
        if (warp->group_count > 1) join_groups(warp);
        const int position = choose_group(warp, &limit);
        if (position < 0) break;
        run_group(warp, position, limit, &count);
    }
    for (int i = 0; i < warp->group_count; i++) {
        if (warp->groups[i].state != PTX_AT_MEETING) continue;
        run->now = &run->kernel->code[warp->groups[i].pc];
        ptx_fail(run, CUDA_ERROR_LAUNCH_FAILED, "lanes %08x wait for lanes that never come",
                 warp->groups[i].mask);
    }
    run->launch->counters.warp_instructions += count.instructions;
    run->launch->counters.lane_instructions += count.lanes;
}

/* ---- One block ----------------------------------------------------------------------------------------- */

static void fill(ptx_warp *warp, int special, const uint32_t *values) {
    const int32_t at = warp->run->kernel->special[special];
    if (at >= 0) memcpy(warp->registers + at, values, sizeof *values * PTX_LANES);
}

static void fill_all(ptx_warp *warp, int special, uint32_t value) {
    uint32_t values[PTX_LANES];
    for (int l = 0; l < PTX_LANES; l++) values[l] = value;
    fill(warp, special, values);
}

/* Special registers that are the same in every block. */
static void fill_fixed(ptx_warp *warp) {
    const ptx_launch *launch = warp->run->launch;
    uint32_t values[7][PTX_LANES];
    for (uint32_t l = 0; l < PTX_LANES; l++) {
        const unsigned thread = (unsigned)warp->index * PTX_LANES + l;
        const uint32_t bit = 1u << l;
        values[0][l] = thread % launch->block[0];
        values[1][l] = thread / launch->block[0] % launch->block[1];
        values[2][l] = thread / launch->block[0] / launch->block[1];
        values[3][l] = l;
        values[4][l] = bit;
        values[5][l] = bit - 1;
        values[6][l] = ~(bit - 1) & ~bit;
    }
    for (int i = 0; i < 3; i++) {
        fill(warp, PTX_TID + i, values[i]);
        fill_all(warp, PTX_NTID + i, launch->block[i]);
        fill_all(warp, PTX_NCTAID + i, launch->grid[i]);
    }
    fill(warp, PTX_LANEID, values[3]);
    fill_all(warp, PTX_WARPID, (uint32_t)warp->index);
    fill(warp, PTX_LANEMASK_EQ, values[4]);
    fill(warp, PTX_LANEMASK_LT, values[5]);
    fill(warp, PTX_LANEMASK_GT, values[6]);
    for (int l = 0; l < PTX_LANES; l++) values[5][l] |= values[4][l], values[6][l] |= values[4][l];
    fill(warp, PTX_LANEMASK_LE, values[5]);
    fill(warp, PTX_LANEMASK_GE, values[6]);
}

static void fill_register(unsigned char *to, uint64_t value, bool wide) {
    const uint32_t narrow = (uint32_t)value;
    for (int l = 0; l < PTX_LANES; l++) {
        if (wide)
            memcpy(to + 8 * l, &value, 8);
        else
            memcpy(to + 4 * l, &narrow, 4);
    }
}

static uint64_t argument_value(const unsigned char *from, ptx_type type) {
    uint64_t value = 0;
    const int bytes = ptx_type_bytes(type);
    memcpy(&value, from, (size_t)bytes);
    const bool is_signed = type == ptx_s8 || type == ptx_s16 || type == ptx_s32;
    const int unused = 64 - 8 * bytes;
    return is_signed ? (uint64_t)((int64_t)(value << unused) >> unused) : value;
}

/* Constants and arguments. */
static void fill_values(ptx_warp *warp) {
    const ptx_kernel *kernel = warp->run->kernel;
    for (int i = 0; i < kernel->constant_count; i++) {
        const ptx_constant *constant = &kernel->constants[i];
        fill_register(warp->registers + constant->at, constant->value, constant->wide);
    }
    for (int i = 0; i < kernel->argument_count; i++) {
        const ptx_argument *argument = &kernel->arguments[i];
        const uint64_t value = argument_value(warp->run->launch->params + argument->offset, argument->type);
        fill_register(warp->registers + argument->at, value, argument->wide);
    }
}

static void start_block(ptx_run_state *run, ptx_warp *warps, int count) {
    run->first_epoch = ++run->epoch;
    run->stored = 0;
    run->order = (ptx_order){0};
    memset(run->shared, 0xff, run->shared_bytes);
    for (int n = 0; n < count; n++) {
        ptx_warp *warp = &warps[n];
        for (int i = 0; i < 3; i++) fill_all(warp, PTX_CTAID + i, run->block[i]);
        warp->live = warp->all;
        warp->epoch = 0;
        warp->fences = (ptx_fences){0};
        warp->groups[0] = (ptx_group){0, warp->all, PTX_RUNS};
        warp->group_count = 1;
    }
}

/* All warps have left or wait: they must wait at one barrier, with all their lanes and with all warps. */
static void pass_barrier(ptx_run_state *run, ptx_warp *warps, int count) {
    const ptx_warp *waiting = NULL;
    for (int n = 0; n < count; n++)
        if (warps[n].group_count) waiting = &warps[n];
    const int pc = waiting->groups[0].pc;
    run->now = &run->kernel->code[pc - 1];
    for (int n = 0; n < count; n++) {
        ptx_warp *warp = &warps[n];
        run->warp = warp;
        if (warp->live != warp->all)
            ptx_fail(run, CUDA_ERROR_LAUNCH_FAILED, "lanes %08x never come to a barrier at which others wait",
                     warp->all & ~warp->live);
        for (int i = 0; i < warp->group_count; i++) {
            if (warp->groups[i].pc != pc)
                ptx_fail(run, CUDA_ERROR_LAUNCH_FAILED,
                         "lanes %08x wait at the barrier of PTX line %d, others at another",
                         warp->groups[i].mask, run->kernel->code[warp->groups[i].pc - 1].line);
            warp->groups[i].state = PTX_RUNS;
        }
        warp->epoch = 0;
    }
    run->order.visible = run->order.taken;
    run->epoch++;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void run_block(ptx_run_state *run, ptx_warp *warps, int count, uint64_t *seed) {
    int order[PTX_WARPS];
    for (int i = 0; i < count; i++) order[i] = i;
    start_block(run, warps, count);
    for (;;) {
        int waiting = 0;
        for (int i = count - 1; *seed && i > 0; i--) {
            const int j = (int)(next_random(seed) % (unsigned)(i + 1)), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        for (int i = 0; i < count; i++) {
            run_warp(&warps[order[i]]);
            waiting += warps[order[i]].group_count > 0;
        }
        if (waiting == 0) return;
        pass_barrier(run, warps, count);
    }
}

/* ---- A grid -------------------------------------------------------------------------------------------- */

typedef struct {
    ptx_warp warps[PTX_WARPS];
    int count;
    unsigned char *registers, *local;
} block_memory;

static void *allocate(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!memory) abort();
    return memory;
}

/* A new register is NaN, as what a card's register has is not known. */
static void make_warps(ptx_run_state *run, block_memory *memory) {
    const ptx_kernel *kernel = run->kernel;
    const unsigned *block = run->launch->block, threads = block[0] * block[1] * block[2];
    memory->count = (int)(threads + PTX_LANES - 1) / PTX_LANES;
    const size_t register_bytes = (size_t)kernel->register_bytes,
                 local_bytes = kernel->local.bytes * PTX_LANES;
    memory->registers = allocate(register_bytes * (size_t)memory->count);
    memory->local = allocate(local_bytes * (size_t)memory->count);
    memset(memory->registers, 0xff, register_bytes * (size_t)memory->count);
    memset(memory->local, 0xff, local_bytes * (size_t)memory->count);
    for (int n = 0; n < memory->count; n++) {
        ptx_warp *warp = &memory->warps[n];
        const unsigned left = threads - (unsigned)n * PTX_LANES;
        *warp = (ptx_warp){.run = run, .index = n, .all = left >= PTX_LANES ? ~0u : (1u << left) - 1};
        warp->registers = memory->registers + register_bytes * (size_t)n;
        warp->local = memory->local + local_bytes * (size_t)n;
        fill_fixed(warp);
        fill_values(warp);
    }
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Every block once: with a seed from a random one on, in steps that have no divisor in common with their
 * number. */
static void run_blocks(ptx_run_state *run, block_memory *memory) {
    const unsigned *grid = run->launch->grid;
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    uint64_t seed = run->launch->seed, start = 0, step = 1;
    if (seed && blocks > 1) {
        start = next_random(&seed) % blocks;
        do step = next_random(&seed) % blocks;
        while (common_divisor(step, blocks) != 1);
    }
    for (uint64_t n = 0, b = start; n < blocks; n++, b = (b + step) % blocks) {
        run->block[0] = (unsigned)(b % grid[0]);
        run->block[1] = (unsigned)(b / grid[0] % grid[1]);
        run->block[2] = (unsigned)(b / grid[0] / grid[1]);
        run_block(run, memory->warps, memory->count, &seed);
        ptx_touched_end_block(run->touched, run);
    }
}

bool ptx_run(const ptx_kernel *kernel, ptx_launch *launch) {
    ptx_run_state *run = calloc(1, sizeof *run);
    block_memory *memory = calloc(1, sizeof *memory);
    if (!run || !memory) abort();
    run->kernel = kernel;
    run->launch = launch;
    run->touched = ptx_touched_new();
    run->cache = calloc((size_t)kernel->slots + 1, sizeof *run->cache);
    run->shared_bytes = kernel->shared.bytes + launch->dynamic_shared;
    const size_t granules = run->shared_bytes / (size_t)kernel->shared_granule + 1;
    run->shared = allocate(run->shared_bytes);
    run->shared_write = calloc(granules, sizeof *run->shared_write);
    run->shared_read = calloc(granules, sizeof *run->shared_read);
    if (!run->cache || !run->shared_write || !run->shared_read) abort();
    make_warps(run, memory);
    const bool failed = setjmp(run->failed) != 0;
    if (!failed) run_blocks(run, memory);
    ptx_touched_finish(run->touched, launch);
    ptx_touched_free(run->touched);
    free(run->cache);
    free(run->shared);
    free(run->shared_write);
    free(run->shared_read);
    free(memory->registers);
    free(memory->local);
    free(memory);
    free(run);
    return !failed;
}
