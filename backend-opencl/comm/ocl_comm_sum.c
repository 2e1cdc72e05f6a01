/* Sums, moments and copies between memories of replicas. See ocl_comm_sum.h. */
#include "ocl_comm_sum.h"

#include "p2p_moments.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK = 2048 }; /* elements that are in the processor's first cache while all replicas' are added */

bool ocl_comm_can(const p2p_op *op, const char **reason) {
    const p2p_tensor *y = &op->t[0];
    *reason = NULL;
    if (!p2p_tensor_is_whole(y))
        *reason = "a channel range";
    else if (op->kind == P2P_KIND_all_reduce && op->reduction == P2P_REDUCE_MOMENTS &&
             y->type != P2P_TYPE_f32)
        *reason = "moments that are not float32";
    else if (op->kind == P2P_KIND_all_reduce && y->type != P2P_TYPE_f32 && y->type != P2P_TYPE_bf16)
        *reason = "a sum of this type";
    return *reason == NULL;
}

/* ---- Sums --------------------------------------------------------------------------------------------- */

static void add_f32(unsigned char *const *parts, int count, size_t offset, size_t elements) {
    float sum[BLOCK];
    memcpy(sum, parts[0] + offset, elements * sizeof *sum);
    for (int r = 1; r < count; r++) {
        const float *part = (const float *)(const void *)(parts[r] + offset);
        for (size_t i = 0; i < elements; i++) sum[i] += part[i];
    }
    for (int r = 0; r < count; r++) memcpy(parts[r] + offset, sum, elements * sizeof *sum);
}

/* Sums in float32, rounded once. */
static void add_bf16(unsigned char *const *parts, int count, size_t offset, size_t elements) {
    const p2p_tensor row = p2p_tensor_flat(P2P_TYPE_bf16, (int64_t)elements);
    float sum[BLOCK], part[BLOCK];
    p2p_tensor_unpack(&row, parts[0] + offset, sum, P2P_TYPE_f32);
    for (int r = 1; r < count; r++) {
        p2p_tensor_unpack(&row, parts[r] + offset, part, P2P_TYPE_f32);
        for (size_t i = 0; i < elements; i++) sum[i] += part[i];
    }
    for (int r = 0; r < count; r++) p2p_tensor_pack(&row, sum, P2P_TYPE_f32, parts[r] + offset);
}

static void add_all(p2p_type type, unsigned char *const *parts, int count, size_t bytes) {
    const size_t element = p2p_type_bytes(type), elements = bytes / element;
    for (size_t first = 0; first < elements; first += BLOCK) {
        const size_t left = elements - first, now = left < BLOCK ? left : BLOCK;
        if (type == P2P_TYPE_f32)
            add_f32(parts, count, first * element, now);
        else
            add_bf16(parts, count, first * element, now);
    }
}

/* ---- Moments ------------------------------------------------------------------------------------------ */

static void combine_moments(const p2p_tensor *y, unsigned char *const *parts, int count) {
    for (int64_t g = 0; g < y->n; g++)
        for (int64_t c = 0; c < y->w; c++) {
            int64_t at[3];
            p2p_moments all = {0};
            for (int row = 0; row < 3; row++) at[row] = p2p_tensor_index(y, g, row, 0, c);
            for (int r = 0; r < count; r++) {
                const float *part = (const float *)(const void *)parts[r];
                all = p2p_moments_unite(all, (p2p_moments){part[at[0]], part[at[1]], part[at[2]]});
            }
            for (int r = 0; r < count; r++) {
                float *part = (float *)(void *)parts[r];
                part[at[0]] = (float)all.count;
                part[at[1]] = (float)all.mean;
                part[at[2]] = (float)all.m2;
            }
        }
}

void ocl_comm_combine(const p2p_op *op, unsigned char *const *parts, int count, size_t bytes) {
    if (op->kind == P2P_KIND_broadcast) {
        for (int r = 0; r < count; r++)
            if (r != op->root) memcpy(parts[r], parts[op->root], bytes);
    } else if (op->reduction == P2P_REDUCE_MOMENTS) {
        combine_moments(&op->t[0], parts, count);
    } else {
        add_all(op->t[0].type, parts, count, bytes);
    }
}
