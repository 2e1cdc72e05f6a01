/* Products of matrices. See blas_compute.h. */
#include "blas_compute.h"

#include "../../support/float_bits.h"

#include <stdlib.h>
#include <string.h>

static float load(const void *from, bool bf16, int64_t at) {
    if (!bf16) return ((const float *)from)[at];
    return float_of_bf16(((const uint16_t *)from)[at]);
}

static void store(void *to, bool bf16, int64_t at, float value) {
    if (!bf16) {
        ((float *)to)[at] = value;
        return;
    }
    const uint32_t bits = bits_of_float(value);
    const bool nan = value != value;
    ((uint16_t *)to)[at] = nan ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float round_factor(const blas_shape *shape, float value) {
    const uint32_t bits = bits_of_float(value);
    if (!shape->tf32 || shape->bf16 || (bits & 0x7f800000) == 0x7f800000) return value;
    return float_of_bits((bits + 0xfff + (bits >> 13 & 1)) & ~UINT32_C(0x1fff));
}

/* A as columns of m floats, one for each term; B as columns of k floats, one for each column of C. */
static float *gather(const blas_shape *shape, const void *from, bool of_a) {
    const int64_t inner = of_a ? shape->m : shape->k, outer = of_a ? shape->k : shape->n,
                  distance = of_a ? shape->a_distance : shape->b_distance;
    const bool transpose = of_a ? shape->transpose_a : shape->transpose_b;
    float *to = malloc((size_t)(inner * outer + 1) * sizeof *to);
    if (!to) abort();
    for (int64_t j = 0; j < outer; j++)
        for (int64_t i = 0; i < inner; i++)
            to[j * inner + i] =
                round_factor(shape, load(from, shape->bf16, transpose ? j + i * distance : i + j * distance));
    return to;
}

/* total[i] = the sum over the terms of a[term][i] b[term], in chunks. */
static void add_column(const blas_shape *shape, const float *a, const float *b, float *sum, float *total) {
    memset(total, 0, (size_t)shape->m * sizeof *total);
    for (int64_t begin = 0; begin < shape->k; begin += shape->chunk) {
        const int64_t end = begin + shape->chunk < shape->k ? begin + shape->chunk : shape->k;
        memset(sum, 0, (size_t)shape->m * sizeof *sum);
        for (int64_t count = 0; count < end - begin; count++) {
            const int64_t term = shape->last_first ? end - 1 - count : begin + count;
            for (int64_t i = 0; i < shape->m; i++) sum[i] += a[term * shape->m + i] * b[term];
        }
        for (int64_t i = 0; i < shape->m; i++) total[i] += sum[i];
    }
}

void blas_compute(const blas_shape *shape, float alpha, const void *a, const void *b, float beta, void *c) {
    float *columns_a = alpha == 0 ? NULL : gather(shape, a, true),
          *columns_b = alpha == 0 ? NULL : gather(shape, b, false);
    float *sums = calloc((size_t)shape->m * 2 + 1, sizeof *sums), *total = sums + shape->m;
    if (!sums) abort();
    for (int64_t j = 0; j < shape->n; j++) {
        if (alpha != 0) add_column(shape, columns_a, columns_b + j * shape->k, sums, total);
        for (int64_t i = 0; i < shape->m; i++) {
            const int64_t at = i + j * shape->c_distance;
            float value = alpha * total[i];
            if (beta != 0) value += beta * load(c, shape->c_bf16, at);
            store(c, shape->c_bf16, at, value);
        }
    }
    free(columns_a);
    free(columns_b);
    free(sums);
}
