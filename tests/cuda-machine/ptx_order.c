/* Order between the blocks of a launch. A block hands over what it has stored, and others take it:
 *
 *   stores, barrier, fence, atomic operation
 *   atomic operation on the same address, fence, barrier, loads past the first level cache
 *
 * The fences are of the device or the system, and of the thread of the atomic operation. PTX's memory model
 * has more ways; kernels here use this one. */
#include "ptx_code.h"

void ptx_fence(ptx_warp *warp, const ptx_insn *insn) {
    ptx_fences *fences = &warp->fences;
    ptx_order *order = &warp->run->order;
    (void)insn;
    fences->lanes = warp->mask | (fences->epoch == warp->run->epoch ? fences->lanes : 0);
    fences->epoch = warp->run->epoch;
    if (fences->atomic_lanes & warp->mask && order->taken < PTX_TAKEN)
        order->address[order->taken++] = fences->atomic;
    fences->atomic_lanes &= ~warp->mask;
}

void ptx_order_atomic(ptx_warp *warp, const ptx_insn *insn, const uint64_t *at) {
    const ptx_run_state *run = warp->run;
    ptx_fences *fences = &warp->fences;
    const uint32_t fenced = warp->mask & fences->lanes, first = warp->mask & (0 - warp->mask);
    if (fenced && run->stored && run->stored < fences->epoch)
        ptx_touched_hand_over(run->touched, at[__builtin_ctz(fenced)]);
    if (insn->d < 0) return;
    fences->atomic = at[__builtin_ctz(first)];
    fences->atomic_lanes = first;
}
