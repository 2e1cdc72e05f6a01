/* Sums and moments over ranks. See ranks_sum.h. */
#include "ranks_sum.h"

#include "p2p_moments.h"

#include <string.h>

enum { BLOCK = 1024 }; /* elements that are in the processor's first cache while all rows are added */

static void sum_f64(const unsigned char *rows, int count, size_t stride, size_t elements, unsigned char *to) {
    double sum[BLOCK], part[BLOCK];
    memcpy(sum, rows, elements * sizeof *sum);
    for (int r = 1; r < count; r++) {
        memcpy(part, rows + (size_t)r * stride, elements * sizeof *part);
        for (size_t i = 0; i < elements; i++) sum[i] += part[i];
    }
    memcpy(to, sum, elements * sizeof *sum);
}

static void sum_f32(p2p_type type, const unsigned char *rows, int count, size_t stride, size_t elements,
                    unsigned char *to) {
    const p2p_tensor row = p2p_tensor_flat(type, (int64_t)elements);
    float sum[BLOCK], part[BLOCK];
    p2p_tensor_unpack(&row, rows, sum, P2P_TYPE_f32);
    for (int r = 1; r < count; r++) {
        p2p_tensor_unpack(&row, rows + (size_t)r * stride, part, P2P_TYPE_f32);
        for (size_t i = 0; i < elements; i++) sum[i] += part[i];
    }
    p2p_tensor_pack(&row, sum, P2P_TYPE_f32, to);
}

p2p_status ranks_sum(p2p_type type, const unsigned char *rows, int count, size_t stride, size_t elements,
                     unsigned char *to) {
    const size_t element = p2p_type_bytes(type);
    if (type != P2P_TYPE_f32 && type != P2P_TYPE_f64 && type != P2P_TYPE_bf16)
        return p2p_fail(P2P_UNSUPPORTED, "sums of type %s over ranks", p2p_type_name(type));
    for (size_t first = 0; first < elements; first += BLOCK) {
        const size_t left = elements - first, now = left < BLOCK ? left : BLOCK, at = first * element;
        if (type == P2P_TYPE_f64)
            sum_f64(rows + at, count, stride, now, to + at);
        else
            sum_f32(type, rows + at, count, stride, now, to + at);
    }
    return P2P_OK;
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
