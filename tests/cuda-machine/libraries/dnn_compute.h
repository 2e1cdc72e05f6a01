/* Convolutions as the engines of cuDNN's double compute them: in NHWC, channels packed, with the rounding and
 * the order of sums that an engine has. Neither descriptors nor the driver are used here.
 */
#ifndef DNN_COMPUTE_H
#define DNN_COMPUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { DNN_FORWARD, DNN_DATA_GRADIENT, DNN_FILTER_GRADIENT } dnn_kind;

/* y[n,p,q,k] = sum over r, s, c of x[n, p stride - before + r dilation, ...][c] w[k,r,s,c], and its
 * gradients. */
typedef struct {
    dnn_kind kind;
    bool bf16; /* all three tensors, else f32 */
    int64_t n, c, h, w, k, r, s, p, q;
    int64_t stride[2], before[2], after[2], dilation[2];
    float alpha, beta;
} dnn_shape;

/* What becomes of a factor before it is multiplied. bf16 factors are exact in f32 and in tf32. */
typedef enum { DNN_EXACT, DNN_TF32_NEAREST, DNN_TF32_TOWARD_ZERO } dnn_rounding;

/* The order of a sum over filter taps and, in each, over the reduced index (channels, or pixels for filter
 * gradients). Sums are f32. */
typedef struct {
    dnn_rounding rounding;
    bool last_tap_first, last_first;
    int first_tap;     /* where the round of taps begins, at most r * s - 1 */
    int64_t chunk;     /* terms that are summed before the sum is added to the total; 0: all of a tap's */
    int64_t parts;     /* at least 1: the reduced index is cut into parts, whose totals are added */
    bool without_last; /* planted fault: one tap is left out */
} dnn_arithmetic;

/* Elements of the tensor that the operation writes. */
int64_t dnn_output_elements(const dnn_shape *shape);

/* Computes. x, w, y are the whole tensors in the type of `shape`; that of the kind's output is written, after
 * it was read if beta is not 0. `partial` is room for parts * dnn_output_elements floats. */
void dnn_compute(const dnn_shape *shape, const dnn_arithmetic *arithmetic, void *x, void *w, void *y,
                 float *partial);

#endif
