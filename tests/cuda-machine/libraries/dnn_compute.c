/* The arithmetic of cuDNN's double. See dnn_compute.h.
 *
 * All three kinds are sums of products of matrices, C (rows x lanes) += A (rows x terms) B (terms x lanes),
 * of which B is packed into panels of 8 lanes. For the forward convolution and the data gradient a row is an
 * output pixel, and there is one B for each filter tap, made from the filter. For the filter gradient a row
 * is an output channel of one tap, the terms are the pixels, and B is gathered from x.
 */
#include "dnn_compute.h"

#include "../../support/float_bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8, ROWS = 4 };

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

static float *new_floats(int64_t count) {
    float *memory = calloc((size_t)count + LANES, sizeof *memory);
    if (!memory) {
        fprintf(stderr, "libcudnn: the host has no memory for %lld numbers\n", (long long)count);
        abort();
    }
    return memory;
}

/* ---- Types --------------------------------------------------------------------------------------------- */

/* tf32 has 11 significant bits of float's 24. */
static float round_factor(float value, dnn_rounding rounding) {
    uint32_t bits = bits_of_float(value);
    if (rounding == DNN_EXACT || (bits & 0x7f800000) == 0x7f800000) return value;
    if (rounding == DNN_TF32_NEAREST) bits += 0xfff + (bits >> 13 & 1);
    return float_of_bits(bits & ~UINT32_C(0x1fff));
}

static float load(const void *tensor, bool bf16, int64_t at) {
    if (!bf16) return ((const float *)tensor)[at];
    return float_of_bf16(((const uint16_t *)tensor)[at]);
}

static void store(void *tensor, bool bf16, int64_t at, float value) {
    if (!bf16) {
        ((float *)tensor)[at] = value;
        return;
    }
    const uint32_t bits = bits_of_float(value);
    const bool nan = (bits & 0x7fffffff) > 0x7f800000;
    ((uint16_t *)tensor)[at] = nan ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* A factor as floats, rounded. */
static float *load_all(const dnn_shape *shape, const dnn_arithmetic *arithmetic, const void *tensor,
                       int64_t count) {
    float *floats = new_floats(count);
    for (int64_t i = 0; i < count; i++)
        floats[i] =
            round_factor(load(tensor, shape->bf16, i), shape->bf16 ? DNN_EXACT : arithmetic->rounding);
    return floats;
}

/* ---- Products of matrices ------------------------------------------------------------------------------ */

/* B: terms x lanes, in panels. */
typedef struct {
    int64_t terms, lanes, panels;
    float *packed; /* [panel][term][LANES] */
} matrix;

static matrix new_matrix(int64_t terms, int64_t width) {
    matrix b = {.terms = terms, .lanes = width, .panels = (width + LANES - 1) / LANES};
    b.packed = new_floats(b.panels * terms * LANES);
    return b;
}

static float *element(const matrix *b, int64_t term, int64_t lane) {
    return b->packed + (lane / LANES * b->terms + term) * LANES + lane % LANES;
}

/* total[i] += sum over the terms [from, to) of a[i][term] b[term]; one panel, ROWS rows. */
static void add_terms(lanes total[ROWS], const float *const a[ROWS], const float *panel, int64_t from,
                      int64_t to, bool last_first) {
    lanes t0 = {0}, t1 = {0}, t2 = {0}, t3 = {0};
    const int64_t step = last_first ? -1 : 1;
    int64_t term = last_first ? to - 1 : from;
    for (int64_t count = to - from; count > 0; count--, term += step) {
        const lanes b = *(const lanes *)(panel + term * LANES);
        t0 += a[0][term] * b;
        t1 += a[1][term] * b;
        t2 += a[2][term] * b;
        t3 += a[3][term] * b;
    }
    total[0] += t0;
    total[1] += t1;
    total[2] += t2;
    total[3] += t3;
}

/* c[i] += a[i] B over the terms [from, to). A row without c is absent. The rows of c have padded widths. */
static void add_product(float *const c[ROWS], const float *const a[ROWS], const matrix *b, int64_t from,
                        int64_t to, const dnn_arithmetic *arithmetic) {
    const int64_t chunk = arithmetic->chunk > 0 ? arithmetic->chunk : to - from;
    const float *present[ROWS];
    const float *any = a[0] ? a[0] : a[1] ? a[1] : a[2] ? a[2] : a[3];
    for (int i = 0; i < ROWS; i++) present[i] = a[i] ? a[i] : any;
    for (int64_t panel = 0; panel < b->panels; panel++) {
        lanes total[ROWS];
        for (int i = 0; i < ROWS; i++) total[i] = a[i] ? *(lanes *)(c[i] + panel * LANES) : (lanes){0};
        for (int64_t begin = from; begin < to; begin += chunk) {
            const int64_t end = begin + chunk < to ? begin + chunk : to;
            add_terms(total, present, b->packed + panel * b->terms * LANES, begin, end,
                      arithmetic->last_first);
        }
        for (int i = 0; i < ROWS; i++)
            if (a[i]) *(lanes *)(c[i] + panel * LANES) = total[i];
    }
}

/* ---- Order --------------------------------------------------------------------------------------------- */

/* The tap that comes at `position`; -1 if it is left out. */
static int64_t tap_at(const dnn_shape *shape, const dnn_arithmetic *arithmetic, int64_t position) {
    const int64_t taps = shape->r * shape->s, turned = (position + arithmetic->first_tap) % taps;
    const int64_t tap = arithmetic->last_tap_first ? taps - 1 - turned : turned;
    return arithmetic->without_last && tap == taps - 1 ? -1 : tap;
}

static int64_t part_begin(int64_t terms, const dnn_arithmetic *arithmetic, int64_t part) {
    return terms * part / arithmetic->parts;
}

/* ---- Forward and data gradient ------------------------------------------------------------------------- */

/* The tensor from which the rows of A come. */
typedef struct {
    int64_t terms, rows, columns; /* its channels, and the extents of an image */
    const float *tensor;
} source;

/* The coordinate that tap `tap` of output coordinate `at` reads; negative if it is outside the image. */
static int64_t source_coordinate(const dnn_shape *shape, int axis, int64_t at, int64_t tap, int64_t extent) {
    int64_t found;
    if (shape->kind == DNN_FORWARD) {
        found = at * shape->stride[axis] - shape->before[axis] + tap * shape->dilation[axis];
    } else {
        found = at + shape->before[axis] - tap * shape->dilation[axis];
        if (found < 0 || found % shape->stride[axis] != 0) return -1;
        found /= shape->stride[axis];
    }
    return found < extent ? found : -1;
}

/* B of each tap, from the filter: terms and lanes are its channels and outputs, or the reverse. */
static matrix *filter_matrices(const dnn_shape *shape, const float *w) {
    const int64_t taps = shape->r * shape->s;
    matrix *b = malloc((size_t)taps * sizeof *b);
    if (!b) abort();
    for (int64_t tap = 0; tap < taps; tap++) {
        const bool forward = shape->kind == DNN_FORWARD;
        b[tap] = forward ? new_matrix(shape->c, shape->k) : new_matrix(shape->k, shape->c);
        for (int64_t k = 0; k < shape->k; k++)
            for (int64_t c = 0; c < shape->c; c++) {
                const float value = w[(k * taps + tap) * shape->c + c];
                *(forward ? element(&b[tap], c, k) : element(&b[tap], k, c)) = value;
            }
    }
    return b;
}

/* Adds all taps to up to ROWS pixels (i, j + step * n) of the output; c: their sums. */
static void add_taps(const dnn_shape *shape, const dnn_arithmetic *arithmetic, const source *from,
                     int64_t image, int64_t i, int64_t j, int64_t step, int64_t count, float *const c[ROWS],
                     const matrix *b, int64_t part) {
    const int64_t begin = part_begin(from->terms, arithmetic, part),
                  end = part_begin(from->terms, arithmetic, part + 1);
    for (int64_t position = 0; position < shape->r * shape->s; position++) {
        const int64_t tap = tap_at(shape, arithmetic, position);
        if (tap < 0) continue;
        const int64_t row = source_coordinate(shape, 0, i, tap / shape->s, from->rows);
        if (row < 0) continue;
        const float *a[ROWS] = {NULL};
        bool any = false;
        for (int64_t n = 0; n < count; n++) {
            const int64_t column = source_coordinate(shape, 1, j + step * n, tap % shape->s, from->columns);
            if (column < 0) continue;
            a[n] = from->tensor + ((image * from->rows + row) * from->columns + column) * from->terms;
            any = true;
        }
        if (any) add_product(c, a, &b[tap], begin, end, arithmetic);
    }
}

static void compute_pixels(const dnn_shape *shape, const dnn_arithmetic *arithmetic, const float *tensor,
                           const float *w, float *partial) {
    const bool forward = shape->kind == DNN_FORWARD;
    const source from = {.terms = forward ? shape->c : shape->k,
                         .rows = forward ? shape->h : shape->p,
                         .columns = forward ? shape->w : shape->q,
                         .tensor = tensor};
    const int64_t rows = forward ? shape->p : shape->h, columns = forward ? shape->q : shape->w,
                  width = forward ? shape->k : shape->c, step = forward ? 1 : shape->stride[1];
    const int64_t padded = (width + LANES - 1) / LANES * LANES;
    matrix *b = filter_matrices(shape, w);
    float *sums = new_floats(ROWS * padded);
    float *const c[ROWS] = {sums, sums + padded, sums + 2 * padded, sums + 3 * padded};
    for (int64_t part = 0; part < arithmetic->parts; part++)
        for (int64_t line = 0; line < shape->n * rows; line++)
            for (int64_t j = 0; j < columns; j += j % step == step - 1 ? 1 + step * (ROWS - 1) : 1) {
                int64_t count = 0;
                while (count < ROWS && j + step * count < columns) count++;
                memset(sums, 0, (size_t)(ROWS * padded) * sizeof *sums);
                add_taps(shape, arithmetic, &from, line / rows, line % rows, j, step, count, c, b, part);
                for (int64_t n = 0; n < count; n++)
                    memcpy(partial + ((part * shape->n * rows + line) * columns + j + step * n) * width, c[n],
                           (size_t)width * sizeof *partial);
            }
    for (int64_t tap = 0; tap < shape->r * shape->s; tap++) free(b[tap].packed);
    free(b);
    free(sums);
}

/* ---- Filter gradient ----------------------------------------------------------------------------------- */

/* Gathers, for one tap, the pixels of dy whose source in x exists: B from x, A (transposed) from dy. */
static int64_t gather(const dnn_shape *shape, int64_t tap, const float *x, const float *dy, matrix *b,
                      float *a) {
    const dnn_shape forward = {.kind = DNN_FORWARD,
                               .stride = {shape->stride[0], shape->stride[1]},
                               .before = {shape->before[0], shape->before[1]},
                               .dilation = {shape->dilation[0], shape->dilation[1]}};
    int64_t terms = 0;
    for (int64_t line = 0; line < shape->n * shape->p; line++) {
        const int64_t row = source_coordinate(&forward, 0, line % shape->p, tap / shape->s, shape->h);
        if (row < 0) continue;
        for (int64_t q = 0; q < shape->q; q++) {
            const int64_t column = source_coordinate(&forward, 1, q, tap % shape->s, shape->w);
            if (column < 0) continue;
            const float *from = x + ((line / shape->p * shape->h + row) * shape->w + column) * shape->c;
            for (int64_t c = 0; c < shape->c; c++) *element(b, terms, c) = from[c];
            for (int64_t k = 0; k < shape->k; k++)
                a[k * b->terms + terms] = dy[(line * shape->q + q) * shape->k + k];
            terms++;
        }
    }
    return terms;
}

static void compute_filter(const dnn_shape *shape, const dnn_arithmetic *arithmetic, const float *x,
                           const float *dy, float *partial) {
    const int64_t pixels = shape->n * shape->p * shape->q, taps = shape->r * shape->s,
                  padded = (shape->c + LANES - 1) / LANES * LANES;
    matrix b = new_matrix(pixels, shape->c);
    float *a = new_floats(pixels * shape->k), *sums = new_floats(ROWS * padded);
    float *const c[ROWS] = {sums, sums + padded, sums + 2 * padded, sums + 3 * padded};
    memset(partial, 0, (size_t)(arithmetic->parts * dnn_output_elements(shape)) * sizeof *partial);
    for (int64_t position = 0; position < taps; position++) {
        const int64_t tap = tap_at(shape, arithmetic, position);
        if (tap < 0) continue;
        const int64_t terms = gather(shape, tap, x, dy, &b, a);
        for (int64_t part = 0; part < arithmetic->parts && terms > 0; part++)
            for (int64_t k = 0; k < shape->k; k += ROWS) {
                const float *row[ROWS] = {NULL};
                for (int64_t i = 0; i < ROWS && k + i < shape->k; i++) row[i] = a + (k + i) * pixels;
                memset(sums, 0, (size_t)(ROWS * padded) * sizeof *sums);
                add_product(c, row, &b, part_begin(terms, arithmetic, part),
                            part_begin(terms, arithmetic, part + 1), arithmetic);
                for (int64_t i = 0; i < ROWS && k + i < shape->k; i++)
                    memcpy(partial + ((part * shape->k + k + i) * taps + tap) * shape->c, c[i],
                           (size_t)shape->c * sizeof *partial);
            }
    }
    free(b.packed);
    free(a);
    free(sums);
}

/* ---- All ----------------------------------------------------------------------------------------------- */

int64_t dnn_output_elements(const dnn_shape *shape) {
    if (shape->kind == DNN_FORWARD) return shape->n * shape->k * shape->p * shape->q;
    if (shape->kind == DNN_DATA_GRADIENT) return shape->n * shape->c * shape->h * shape->w;
    return shape->k * shape->c * shape->r * shape->s;
}

void dnn_compute(const dnn_shape *shape, const dnn_arithmetic *arithmetic, void *x, void *w, void *y,
                 float *partial) {
    const int64_t x_count = shape->n * shape->c * shape->h * shape->w,
                  w_count = shape->k * shape->c * shape->r * shape->s,
                  y_count = shape->n * shape->k * shape->p * shape->q, count = dnn_output_elements(shape);
    void *output = shape->kind == DNN_FORWARD ? y : shape->kind == DNN_DATA_GRADIENT ? x : w;
    float *first = shape->kind == DNN_DATA_GRADIENT ? load_all(shape, arithmetic, y, y_count)
                                                    : load_all(shape, arithmetic, x, x_count);
    float *second = shape->kind == DNN_FILTER_GRADIENT ? load_all(shape, arithmetic, y, y_count)
                                                       : load_all(shape, arithmetic, w, w_count);
    if (shape->kind == DNN_FILTER_GRADIENT)
        compute_filter(shape, arithmetic, first, second, partial);
    else
        compute_pixels(shape, arithmetic, first, second, partial);
    for (int64_t i = 0; i < count; i++) {
        float sum = partial[i];
        for (int64_t part = 1; part < arithmetic->parts; part++) sum += partial[part * count + i];
        sum *= shape->alpha;
        if (shape->beta != 0) sum += shape->beta * load(output, shape->bf16, i);
        store(output, shape->bf16, i, sum);
    }
    free(first);
    free(second);
}
