/* Operands of the reference backend: where they lie in memory, how elements are stored, which ones dropout
 * keeps. See ref.h.
 */
#include "ref.h"

#include "p2p_philox.h"

#include <string.h>

const p2p_host *p2p_ref_host;

p2p_status p2p_ref_locate_bytes(p2p_binding at, size_t bytes, const char *what, void **memory) {
    if (at.buffer == NULL) return p2p_ref_host->fail(P2P_INVALID, "reference: %s has no buffer", what);
    if (at.offset > at.buffer->size || bytes > at.buffer->size - at.offset)
        return p2p_ref_host->fail(
            P2P_INVALID, "reference: %s takes %zu bytes from offset %zu on, past the end of a buffer of %zu",
            what, bytes, at.offset, at.buffer->size);
    *memory = at.buffer->bytes + at.offset;
    return P2P_OK;
}

p2p_status p2p_ref_locate(const p2p_tensor *tensor, const char *what, p2p_binding binding, void **raw) {
    if (binding.offset % REF_ALIGNMENT != 0)
        return p2p_ref_host->fail(P2P_INVALID, "reference: offset %zu of %s is not a multiple of %d",
                                  binding.offset, what, (int)REF_ALIGNMENT);
    return p2p_ref_locate_bytes(binding, p2p_tensor_bytes(tensor), what, raw);
}

/* Whether writers of the tensor must set its padding lanes to zero: filters, and vectors that are not a range
 * of a larger tensor. Those of activations are undefined. */
static bool owns_padding(const p2p_tensor *t) {
    if (p2p_layout_is_filter(t->layout)) return true;
    return p2p_tensor_is_whole(t) && t->n == 1 && t->h == 1 && t->w == 1 && p2p_tensor_stored(t) != t->c;
}

void p2p_ref_store(const p2p_tensor *tensor, const double *values, void *raw) {
    if (owns_padding(tensor)) memset(raw, 0, p2p_tensor_bytes(tensor));
    p2p_tensor_pack(tensor, values, P2P_TYPE_f64, raw);
}

double p2p_ref_mask(const p2p_ref_run *run, int64_t n, int64_t c, int64_t h, int64_t w) {
    const p2p_op *op = run->op;
    if (op->dropout == 0) return 1;
    const p2p_step_block *step = run->step;
    bool kept = p2p_dropout_keeps(op->dropout, step->seed_lo, step->seed_hi, (uint32_t)op->layer, step->step,
                                  step->sample[n], (uint64_t)c, (uint32_t)h, (uint32_t)w);
    return kept ? 1 / (1 - op->dropout) : 0;
}
