/* Winograd convolution on CPUs, forward and data gradient alike: the transforms around winograd_products.
 *
 * Both are correlations. Forward, the phases of src are input channels of their own (STEP_IN is the stride).
 * In the data gradient the phases of dst are output channels of their own that share one input (STEP_OUT is
 * the stride), and taps come reversed. So
 *
 *   input rows      (block of 16 channels of src, phase of src, channel)
 *   output vectors  (phase of dst, block of 16 channels of dst)
 *
 * A tile is OUTPUTS x OUTPUTS positions of one image; tiles are numbered along the rows of tiles of all
 * images. A pass handles the rows from first_row on, and numbers its tiles from 0. In scratch memory lie, for
 * each of the POINTS * POINTS points, `distance` floats apart:
 *
 *   inputs    [block of 16 input rows][tile, `tiles` of them][16]
 *   filters   [group of VECS output vectors][input row][VECS][16]
 *   products  [group of VECS output vectors][tile, `tiles` of them][VECS][16]
 *
 * The filter gradient (winograd_filter.cl) has the same inputs. Compile-time, besides winograd.clh's: VECS,
 * and TURN where the filter has its lanes along src's channels. One work-item per work-group.
 */
/* ---- Input -------------------------------------------------------------------------------------------- */

/* One channel block of the pixels under a tile: those (h + STEP_IN*i, w + STEP_IN*j). */
typedef struct {
    __global const float *plane;
    int h, w, height, width, lanes;
} patch;

static float16 load_pixel(const patch *from, int i, int j, bool inside) {
    const int h = from->h + STEP_IN * i, w = from->w + STEP_IN * j;
    __global const float *at = from->plane + ((long)h * from->width + w) * 16;
    if (inside) return vload16(0, at);
    if (h < 0 || h >= from->height || w < 0 || w >= from->width) return (float16)(0.0f);
    return load_lanes(at, from->lanes);
}

/* `inside`: all pixels are in the image and all lanes are channels. */
static void transform_patch(const patch *from, __global float *to, ulong distance, bool inside) {
    float16 rows[POINTS * POINTS];
    UNROLL for (int i = 0; i < POINTS; i++) {
        float16 d[POINTS];
        UNROLL for (int j = 0; j < POINTS; j++) d[j] = load_pixel(from, i, j, inside);
        TRANSFORM(POINTS, POINTS, INPUT, rows + i * POINTS, 1, d, 1)
    }
    UNROLL for (int j = 0; j < POINTS; j++) {
        float16 column[POINTS];
        TRANSFORM(POINTS, POINTS, INPUT, column, 1, rows + j, POINTS)
        UNROLL for (int i = 0; i < POINTS; i++) vstore16(column[i], 0, to + (i * POINTS + j) * distance);
    }
}

/* A work-item transforms one row of tiles of one channel block. first_h and first_w: the pixel under the
 * corner of the first tile. Grid: (rows of tiles of a pass, blocks). */
KERNEL void winograd_input(VIEWED(const float, src), int src_c, int src_h, int src_w, MEMORY(float, inputs),
                           ulong distance, int tiles, int first_h, int first_w, int images, int tiles_h,
                           int tiles_w, int first_row) {
    const int row = first_row + get_global_id(0), block = get_global_id(1);
    if (row >= images * tiles_h) return;
    patch from = {.plane = src + src_start + src_at + row / tiles_h * src_image +
                           (long)block * src_h * src_w * 16,
                  .height = src_h, .width = src_w, .lanes = min(16, src_c - block * 16)};
    inputs += inputs_start + ((long)block * PHASES_IN * tiles + get_global_id(0) * tiles_w) * 16;
    const int top = first_h + STEP_IN * OUTPUTS * (row % tiles_h), reach = STEP_IN * (POINTS - 1);
    for (int phase = 0; phase < PHASES_IN; phase++)
        for (int t = 0; t < tiles_w; t++) {
            from.h = top + phase / STEP_IN;
            from.w = first_w + STEP_IN * OUTPUTS * t + phase % STEP_IN;
            __global float *to = inputs + ((long)phase * tiles + t) * 16;
            if (from.lanes == 16 && from.h >= 0 && from.h + reach < src_h && from.w >= 0 &&
                from.w + reach < src_w)
                transform_patch(&from, to, distance, true);
            else
                transform_patch(&from, to, distance, false);
        }
}

/* ---- Filter ------------------------------------------------------------------------------------------- */

#ifdef TURN
#define FILTER_SPACE __private
#else
#define FILTER_SPACE __global
#endif

/* One input row and output vector; the taps lie at offset `c` of tap[]. */
static void transform_filter(FILTER_SPACE const float *const *tap, int c, __global float *to,
                             ulong distance) {
    float16 columns[POINTS * TAPS];
    UNROLL for (int b = 0; b < TAPS; b++) {
        float16 g[TAPS];
        UNROLL for (int a = 0; a < TAPS; a++) g[a] = vload16(c, tap[a * TAPS + b]);
        TRANSFORM(POINTS, TAPS, FILTER, columns + b, TAPS, g, 1)
    }
    UNROLL for (int i = 0; i < POINTS; i++) {
        float16 row[POINTS];
        TRANSFORM(POINTS, TAPS, FILTER, row, 1, columns + i * TAPS, 1)
        UNROLL for (int j = 0; j < POINTS; j++) vstore16(row[j], 0, to + (i * POINTS + j) * distance);
    }
}

/* A work-item transforms one block of input channels for one group of output vectors. Vectors beyond the last
 * repeat it. Grid: (blocks of src, groups). */
KERNEL void winograd_filter(MEMORY(const float, filter), MEMORY(float, filters), ulong distance,
                            int out_blocks) {
    const int block = get_global_id(0), group = get_global_id(1), blocks = get_global_size(0);
    filters += filters_start + ((long)group * blocks + block) * PHASES_IN * 16 * VECS * 16;
    for (int v = 0; v < VECS; v++) {
        const int vector = min(group * VECS + v, PHASES_OUT * out_blocks - 1), out = vector % out_blocks;
        const int taps = STEP * TAPS * STEP * TAPS;
#ifdef TURN
        float turned[TAPS * TAPS * 256];
        __global const float *at = filter + filter_start + ((long)block * out_blocks + out) * taps * 256;
#else
        __global const float *at = filter + filter_start + ((long)out * blocks + block) * taps * 256;
#endif
        for (int p = 0; p < PHASES_IN; p++) {
            FILTER_SPACE const float *tap[TAPS * TAPS];
            UNROLL for (int t = 0; t < TAPS * TAPS; t++) {
                __global const float *from =
                    at + tap_of(vector / out_blocks + p, t / TAPS, t % TAPS) * 256;
#ifdef TURN
                tap[t] = turned + t * 256;
                TRANSPOSE(turned + t * 256, from)
#else
                tap[t] = from;
#endif
            }
            for (int c = 0; c < 16; c++)
                transform_filter(tap, c, filters + ((p * 16 + c) * VECS + v) * 16, distance);
        }
    }
}

/* ---- Output ------------------------------------------------------------------------------------------- */

/* The OUTPUTS x OUTPUTS results of the products at `from`. */
static void transform_products(float16 *to, __global const float *from, ulong distance) {
    float16 columns[OUTPUTS * POINTS];
    UNROLL for (int j = 0; j < POINTS; j++) {
        float16 m[POINTS];
        UNROLL for (int i = 0; i < POINTS; i++) m[i] = vload16(0, from + (i * POINTS + j) * distance);
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, columns + j, POINTS, m, 1)
    }
    UNROLL for (int i = 0; i < OUTPUTS; i++)
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, to + i * OUTPUTS, 1, columns + i * POINTS, 1)
}

/* A work-item finishes one row of tiles of one group of output vectors. first_h and first_w: the pixel of
 * phase 0 at the first position. Grid: (rows of tiles of a pass, groups). */
KERNEL void winograd_output(MEMORY(const float, products), ulong distance, int tiles,
                            MEMORY(const float, bias), int has_bias, VIEWED(float, dst), int dst_c, int dst_h,
                            int dst_w, int first_h, int first_w, int images, int tiles_h, int tiles_w,
                            int first_row, int act, float slope, int accumulate) {
    const int row = first_row + get_global_id(0), group = get_global_id(1), blocks = (dst_c + 15) / 16;
    if (row >= images * tiles_h) return;
    products += products_start + ((long)group * tiles + get_global_id(0) * tiles_w) * VECS * 16;
    dst += dst_start + dst_at + row / tiles_h * dst_image;
    for (int v = 0; v < VECS && group * VECS + v < PHASES_OUT * blocks; v++) {
        const int phase = (group * VECS + v) / blocks, block = (group * VECS + v) % blocks;
        const int lanes = min(16, dst_c - block * 16);
        const float16 b =
            has_bias ? load_lanes(bias + bias_start + block * 16, lanes) : (float16)(0.0f);
        const int top = first_h + row % tiles_h * OUTPUTS * STEP_OUT + phase / STEP_OUT;
        __global float *plane = dst + (long)block * dst_h * dst_w * 16;
        for (int t = 0; t < tiles_w; t++) {
            float16 results[OUTPUTS * OUTPUTS];
            transform_products(results, products + (t * VECS + v) * 16, distance);
            const int left = first_w + t * OUTPUTS * STEP_OUT + phase % STEP_OUT;
            UNROLL for (int i = 0; i < OUTPUTS * OUTPUTS; i++) {
                const int h = top + i / OUTPUTS * STEP_OUT, w = left + i % OUTPUTS * STEP_OUT;
                if (h >= 0 && h < dst_h && w >= 0 && w < dst_w)
                    put_lanes(act_value(act, slope, results[i] + b), plane + ((long)h * dst_w + w) * 16,
                              lanes, accumulate);
            }
        }
    }
}
