/* The first launch of a Winograd convolution on CPUs (forward, data gradient and filter gradient):
 * transforms the input's tiles.
 *
 * Forward and data gradient are both correlations. Forward, the phases of src are separate input channels
 * (STEP_IN is the stride). In the data gradient the phases of dst are separate output channels that share
 * one input (STEP_OUT is the stride), and taps are reversed. So
 *
 *   input rows      (block of 16 channels of src, phase of src, channel)
 *   output vectors  (phase of dst, block of 16 channels of dst)
 *
 * A tile is OUTPUTS x OUTPUTS positions of one image; tiles are numbered along the rows of tiles of all
 * images. A pass handles the rows from first_row on, and numbers its tiles from 0. Scratch memory holds,
 * for each of the POINTS * POINTS points, `distance` floats apart:
 *
 *   inputs    [block of 16 input rows][tile, `tiles` of them][16]
 *
 * With BF16 (after bf16.clh) a word holds a pair: two neighbouring input rows, so that a tile has 8 words
 * per block, or, with TILE_PAIRS, one input row of two neighbouring tiles, and "tile" means such a pair.
 * One work-item per work-group.
 */
#ifdef TILE_PAIRS
#define TILES_AT_ONCE 2
#else
#define TILES_AT_ONCE 1
#endif
#if defined(BF16) && !defined(TILE_PAIRS)
#define WORDS               8 /* of a block of input rows of a tile */
#define STORE_WORDS(v, to) vstore8(pair_halves(v), 0, to)
#else
#define WORDS               16
#define STORE_WORDS(v, to) vstore16(v, 0, to)
#endif
#define TILE_STEP (STEP_IN * OUTPUTS) /* pixels from one tile to the next */

/* One channel block of the pixels under a tile: (h + STEP_IN*i, w + STEP_IN*j). */
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

/* Transforms each row of pixels. `inside`: all pixels are in the image and all lanes are channels. */
static void transform_rows(const patch *from, float16 *rows, bool inside) {
    UNROLL for (int i = 0; i < POINTS; i++) {
        float16 d[POINTS];
        UNROLL for (int j = 0; j < POINTS; j++) d[j] = load_pixel(from, i, j, inside);
        TRANSFORM(POINTS, POINTS, INPUT, rows + i * POINTS, 1, d, 1)
    }
}

static void transform_patch(const patch *from, __global float *to, ulong distance, bool inside) {
    float16 rows[POINTS * POINTS];
    transform_rows(from, rows, inside);
#ifdef TILE_PAIRS
    float16 next_rows[POINTS * POINTS];
    patch next = *from;
    next.w += TILE_STEP;
    transform_rows(&next, next_rows, inside);
#endif
    UNROLL for (int j = 0; j < POINTS; j++) {
        float16 column[POINTS];
        TRANSFORM(POINTS, POINTS, INPUT, column, 1, rows + j, POINTS)
#ifdef TILE_PAIRS
        float16 next_column[POINTS];
        TRANSFORM(POINTS, POINTS, INPUT, next_column, 1, next_rows + j, POINTS)
        UNROLL for (int i = 0; i < POINTS; i++) column[i] = pair_lanes(column[i], next_column[i]);
#endif
        UNROLL for (int i = 0; i < POINTS; i++) STORE_WORDS(column[i], to + (i * POINTS + j) * distance);
    }
}

/* A work-item transforms one row of tiles of one channel block. first_h and first_w: the pixel under the
 * corner of the first tile. Grid: (rows of tiles of a pass, blocks). */
KERNEL void conv_winograd_input(VIEWED(const float, src), int src_c, int src_h, int src_w, MEMORY(float, inputs),
                                ulong distance, int tiles, int first_h, int first_w, int images, int tiles_h,
                                int tiles_w, int first_row) {
    const int row = first_row + get_global_id(0), block = get_global_id(1);
    if (row >= images * tiles_h) return;
    patch from = {.plane = src + src_start + src_at + row / tiles_h * src_image +
                           (long)block * src_h * src_w * 16,
                  .height = src_h, .width = src_w, .lanes = min(16, src_c - block * 16)};
    inputs += inputs_start + ((long)block * PHASES_IN * tiles + get_global_id(0) * tiles_w) * WORDS;
    const int top = first_h + TILE_STEP * (row % tiles_h), reach = STEP_IN * (POINTS - 1);
    const int reach_w = reach + TILE_STEP * (TILES_AT_ONCE - 1);
    for (int phase = 0; phase < PHASES_IN; phase++)
        for (int t = 0; t < tiles_w; t++) {
            from.h = top + pixel_of(phase / PHASES_SIDE);
            from.w = first_w + TILE_STEP * TILES_AT_ONCE * t + pixel_of(phase % PHASES_SIDE);
            __global float *to = inputs + ((long)phase * tiles + t) * WORDS;
            if (from.lanes == 16 && from.h >= 0 && from.h + reach < src_h && from.w >= 0 &&
                from.w + reach_w < src_w)
                transform_patch(&from, to, distance, true);
            else
                transform_patch(&from, to, distance, false);
        }
}
