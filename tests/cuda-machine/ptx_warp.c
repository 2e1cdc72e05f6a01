/* What the lanes of a warp do together, and the parts of registers. */
#include "ptx_code.h"

#include <string.h>

#define REGISTER(type, at) ((type *)(void *)(warp->registers + (at)))

static void set_predicate(ptx_warp *warp, int32_t at, uint32_t bits) {
    int32_t *to = REGISTER(int32_t, at);
    for (int l = 0; l < PTX_LANES; l++)
        if (warp->mask >> l & 1) to[l] = bits >> l & 1 ? -1 : 0;
}

/* The lane from which a lane reads, and whether it is within the lane's segment. */
static int shuffle_source(int lane, uint32_t b, uint32_t c, int mode, bool *within) {
    const int segment = (int)(c >> 8 & 31), clamp = (int)(c & 31), n = (int)(b & 31);
    const int low = lane & segment, high = low | (clamp & ~segment);
    int from;
    switch (mode) {
    case 1:
        from = lane - n, *within = from >= high;
        break;
    case 2:
        from = lane + n, *within = from <= high;
        break;
    case 3:
        from = lane ^ n, *within = from <= high;
        break;
    default:
        from = low | (n & ~segment), *within = from <= high;
        break;
    }
    return *within ? from : lane;
}

void ptx_shuffle(ptx_warp *warp, const ptx_insn *insn) {
    uint32_t result[PTX_LANES], inside = 0, *d = REGISTER(uint32_t, insn->d);
    const uint32_t *a = REGISTER(const uint32_t, insn->a), *b = REGISTER(const uint32_t, insn->b),
                   *c = REGISTER(const uint32_t, insn->v[0]), *members = REGISTER(const uint32_t, insn->c);
    for (int l = 0; l < PTX_LANES; l++) {
        if (!(warp->mask >> l & 1)) continue;
        bool within;
        const int from = shuffle_source(l, b[l], c[l], insn->mode, &within);
        if (!(members[l] >> l & 1))
            ptx_fail(warp->run, CUDA_ERROR_LAUNCH_FAILED, "shfl: lane %d is not among those it names", l);
        if (!(warp->mask >> from & 1))
            ptx_fail(warp->run, CUDA_ERROR_LAUNCH_FAILED,
                     "shfl: lane %d reads lane %d, which does not take part", l, from);
        inside |= (uint32_t)within << l;
        result[l] = a[from];
    }
    for (int l = 0; l < PTX_LANES; l++)
        if (warp->mask >> l & 1) d[l] = result[l];
    if (insn->e >= 0) set_predicate(warp, insn->e, inside);
}

void ptx_vote(ptx_warp *warp, const ptx_insn *insn) {
    const int32_t *a = REGISTER(const int32_t, insn->a);
    uint32_t votes = 0;
    for (int l = 0; l < PTX_LANES; l++) votes |= (uint32_t)(a[l] != 0) << l;
    if (insn->space) votes = ~votes;
    votes &= warp->mask;
    if (insn->mode == 0) {
        uint32_t *d = REGISTER(uint32_t, insn->d);
        for (int l = 0; l < PTX_LANES; l++)
            if (warp->mask >> l & 1) d[l] = votes;
        return;
    }
    const bool all = votes == warp->mask, any = votes != 0;
    set_predicate(warp, insn->d, (insn->mode == 1 ? any : insn->mode == 2 ? all : all || !any) ? ~0u : 0);
}

static uint32_t combine(uint32_t x, uint32_t y, int mode, bool is_signed) {
    const bool less = is_signed ? (int32_t)x < (int32_t)y : x < y;
    switch (mode) {
    case 0:
        return x + y;
    case 1:
        return less ? x : y;
    case 2:
        return less ? y : x;
    case 3:
        return x & y;
    case 4:
        return x | y;
    default:
        return x ^ y;
    }
}

void ptx_reduce(ptx_warp *warp, const ptx_insn *insn) {
    const uint32_t *a = REGISTER(const uint32_t, insn->a);
    uint32_t *d = REGISTER(uint32_t, insn->d), sum = a[__builtin_ctz(warp->mask)];
    for (uint32_t left = warp->mask & (warp->mask - 1); left; left &= left - 1)
        sum = combine(sum, a[__builtin_ctz(left)], insn->mode, insn->type == ptx_s32);
    for (int l = 0; l < PTX_LANES; l++)
        if (warp->mask >> l & 1) d[l] = sum;
}

void ptx_active(ptx_warp *warp, const ptx_insn *insn) {
    uint32_t *d = REGISTER(uint32_t, insn->d);
    for (int l = 0; l < PTX_LANES; l++)
        if (warp->mask >> l & 1) d[l] = warp->mask;
}

void ptx_sync_warp(ptx_warp *warp, const ptx_insn *insn) {
    (void)insn;
    warp->epoch++;
}

void ptx_trap(ptx_warp *warp, const ptx_insn *insn) {
    (void)insn;
    ptx_fail(warp->run, CUDA_ERROR_LAUNCH_FAILED, "trap");
}

void ptx_nothing(ptx_warp *warp, const ptx_insn *insn) {
    (void)warp, (void)insn;
}

static uint64_t lane_value(const ptx_warp *warp, int32_t at, int lane, bool wide) {
    return wide ? REGISTER(const uint64_t, at)[lane] : REGISTER(const uint32_t, at)[lane];
}

static void set_lane_value(const ptx_warp *warp, int32_t at, int lane, bool wide, uint64_t value) {
    if (wide)
        REGISTER(uint64_t, at)[lane] = value;
    else
        REGISTER(uint32_t, at)[lane] = (uint32_t)value;
}

void ptx_pack(ptx_warp *warp, const ptx_insn *insn) {
    const int bits = 8 * (int)insn->offset;
    const uint64_t part = bits == 32 ? 0xffffffff : ((uint64_t)1 << bits) - 1;
    for (int l = 0; l < PTX_LANES; l++) {
        uint64_t value = 0;
        for (int v = 0; v < insn->vector; v++)
            value |= (lane_value(warp, insn->v[v], l, false) & part) << (v * bits);
        if (warp->mask >> l & 1) set_lane_value(warp, insn->d, l, insn->wide == 8, value);
    }
}

void ptx_unpack(ptx_warp *warp, const ptx_insn *insn) {
    const int bits = 8 * (int)insn->offset;
    const uint64_t part = bits == 32 ? 0xffffffff : ((uint64_t)1 << bits) - 1;
    for (int l = 0; l < PTX_LANES; l++) {
        const uint64_t value = lane_value(warp, insn->a, l, insn->wide == 8);
        for (int v = 0; v < insn->vector && warp->mask >> l & 1; v++)
            set_lane_value(warp, insn->v[v], l, false, value >> (v * bits) & part);
    }
}
