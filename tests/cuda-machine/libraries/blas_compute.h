/* Products of matrices as cuBLAS's double computes them, column by column. */
#ifndef BLAS_COMPUTE_H
#define BLAS_COMPUTE_H

#include <stdbool.h>
#include <stdint.h>

/* Column-major: element (row, column) of an operand is at row + column * distance. A is m x k or, transposed,
 * k x m. */
typedef struct {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
    bool bf16;   /* A and B, else f32 */
    bool c_bf16; /* C */
    bool tf32;   /* f32 factors are rounded to tf32 */
    int64_t a_distance, b_distance, c_distance;
    int64_t chunk; /* terms that are summed before the sum is added to the total */
    bool last_first;
} blas_shape;

/* c = alpha op(a) op(b) + beta c; sums in f32. C is not read if beta is 0, A and B are not if alpha is 0. */
void blas_compute(const blas_shape *shape, float alpha, const void *a, const void *b, float beta, void *c);

#endif
