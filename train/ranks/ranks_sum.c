/* Sums and moments over ranks. See ranks_sum.h. */
#include "ranks_sum.h"

#include "p2p_moments.h"

#include <string.h>

enum { BLOCK = 1024 }; /* elements that are in the processor's first cache while all rows are added */

/* A block of the rows, the partial sums before it, and where its sums go. */
typedef struct {
    const unsigned char *rows, *before;
    size_t elements;
    unsigned char *to;
    p2p_type to_type;
} block;

static void sum_f64(const ranks_rows *added, const block *b) {
    double sum[BLOCK], part[BLOCK];
    memcpy(sum, b->before ? b->before : b->rows, b->elements * sizeof *sum);
    for (int r = b->before ? 0 : 1; r < added->count; r++) {
        memcpy(part, b->rows + (size_t)r * added->stride, b->elements * sizeof *part);
        for (size_t i = 0; i < b->elements; i++) sum[i] += part[i];
    }
    memcpy(b->to, sum, b->elements * sizeof *sum);
}

static void sum_f32(const ranks_rows *added, const block *b) {
    const p2p_tensor row = p2p_tensor_flat(added->type, (int64_t)b->elements);
    const p2p_tensor to = p2p_tensor_flat(b->to_type, (int64_t)b->elements);
    float sum[BLOCK], part[BLOCK];
    if (b->before)
        memcpy(sum, b->before, b->elements * sizeof *sum);
    else
        p2p_tensor_unpack(&row, b->rows, sum, P2P_TYPE_f32);
    for (int r = b->before ? 0 : 1; r < added->count; r++) {
        p2p_tensor_unpack(&row, b->rows + (size_t)r * added->stride, part, P2P_TYPE_f32);
        for (size_t i = 0; i < b->elements; i++) sum[i] += part[i];
    }
    p2p_tensor_pack(&to, sum, P2P_TYPE_f32, b->to);
}

p2p_type ranks_partial_type(p2p_type type) {
    return type == P2P_TYPE_f64 ? P2P_TYPE_f64 : P2P_TYPE_f32;
}

p2p_status ranks_sum_on(const ranks_rows *added, const unsigned char *before, bool partial,
                        unsigned char *to) {
    const p2p_type type = added->type, wide = ranks_partial_type(type), to_type = partial ? wide : type;
    if (type != P2P_TYPE_f32 && type != P2P_TYPE_f64 && type != P2P_TYPE_bf16)
        return p2p_fail(P2P_UNSUPPORTED, "sums of type %s over ranks", p2p_type_name(type));
    for (size_t first = 0; first < added->elements; first += BLOCK) {
        const size_t left = added->elements - first;
        const block b = {.rows = added->rows + first * p2p_type_bytes(type),
                         .before = before ? before + first * p2p_type_bytes(wide) : NULL,
                         .elements = left < BLOCK ? left : BLOCK,
                         .to = to + first * p2p_type_bytes(to_type),
                         .to_type = to_type};
        if (type == P2P_TYPE_f64)
            sum_f64(added, &b);
        else
            sum_f32(added, &b);
    }
    return P2P_OK;
}

p2p_status ranks_sum(const ranks_rows *added, unsigned char *to) {
    return ranks_sum_on(added, NULL, false, to);
}

/* ---- Moments ------------------------------------------------------------------------------------------ */

static double number_at(p2p_type type, const unsigned char *tensor, int64_t index) {
    const p2p_tensor one = p2p_tensor_flat(type, 1);
    double value;
    p2p_tensor_unpack(&one, tensor + (size_t)index * p2p_type_bytes(type), &value, P2P_TYPE_f64);
    return value;
}

static void set_number(p2p_type type, unsigned char *tensor, int64_t index, double value) {
    const p2p_tensor one = p2p_tensor_flat(type, 1);
    p2p_tensor_pack(&one, &value, P2P_TYPE_f64, tensor + (size_t)index * p2p_type_bytes(type));
}

static void unite_channel(const p2p_tensor *stats, const unsigned char *all, int count, size_t stride,
                          unsigned char *to, const int64_t at[3]) {
    p2p_moments sum = {0};
    for (int r = 0; r < count; r++) {
        const unsigned char *one = all + (size_t)r * stride;
        sum = p2p_moments_unite(sum, (p2p_moments){number_at(stats->type, one, at[0]),
                                                   number_at(stats->type, one, at[1]),
                                                   number_at(stats->type, one, at[2])});
    }
    set_number(stats->type, to, at[0], sum.count);
    set_number(stats->type, to, at[1], sum.mean);
    set_number(stats->type, to, at[2], sum.m2);
}

void ranks_unite(const p2p_tensor *stats, const unsigned char *all, int count, size_t stride,
                 unsigned char *to) {
    for (int64_t g = 0; g < stats->n; g++)
        for (int64_t c = 0; c < stats->w; c++) {
            int64_t at[3];
            for (int row = 0; row < 3; row++) at[row] = p2p_tensor_index(stats, g, row, 0, c);
            unite_channel(stats, all, count, stride, to, at);
        }
}
