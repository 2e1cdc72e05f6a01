/* Filter gradient of a Winograd convolution on CPUs.
 *
 * The inputs are those of the forward convolution (conv_winograd_input in conv_winograd_input.cl); a tile
 * is OUTPUTS x OUTPUTS positions of dy. Each pass over rows of tiles adds to dw. Scratch memory holds, for
 * each of the POINTS * POINTS points, `distance` floats apart:
 *
 *   inputs     [block of 16 input rows][tile, `tiles` of them][16]
 *   gradients  [group of VECS blocks of dy][tile, `tiles` of them][VECS][16]
 *
 * With BF16 (and TILE_PAIRS) words hold pairs of neighbouring tiles, and "tile" means such a pair.
 *
 * Compile-time, besides winograd.clh's: VECS; ROWS, which divides 16. One work-item per work-group.
 */

#ifdef BF16
#define TILES_AT_ONCE 2
#define ADD_WORD(sum, x, g) ADD_PAIRS(sum, x, g)
#else
#define TILES_AT_ONCE 1
#define ADD_WORD(sum, x, g) sum = x * g + sum;
#endif

/* One channel block of an image of dy; pixels outside the image are zero. */
typedef struct {
    __global const float *plane;
    int height, width, lanes;
} gradient_image;

/* Transforms each column of the tile's positions from (top, left) on. */
static void transform_columns(const gradient_image *from, int top, int left, float16 *columns) {
    UNROLL for (int j = 0; j < OUTPUTS; j++) {
        float16 d[OUTPUTS];
        UNROLL for (int i = 0; i < OUTPUTS; i++) {
            const int h = top + i, w = left + j;
            d[i] = h < from->height && w < from->width
                       ? load_lanes(from->plane + ((long)h * from->width + w) * 16, from->lanes)
                       : (float16)(0.0f);
        }
        TRANSFORM(POINTS, OUTPUTS, TRANSPOSED_OUTPUT, columns + j, OUTPUTS, d, 1)
    }
}

/* A work-item transforms one row of tiles of one group of dy's blocks. Grid: (rows of tiles of a pass, groups). */
KERNEL void conv_winograd_gradient(VIEWED(const float, dy), int dy_c, int dy_h, int dy_w, MEMORY(float, gradients),
                                   ulong distance, int tiles, int images, int tiles_h, int tiles_w, int first_row) {
    const int row = first_row + get_global_id(0), group = get_global_id(1), blocks = (dy_c + 15) / 16;
    if (row >= images * tiles_h) return;
    gradients += gradients_start + ((long)group * tiles + get_global_id(0) * tiles_w) * VECS * 16;
    for (int v = 0; v < VECS && group * VECS + v < blocks; v++) {
        const int block = group * VECS + v, top = row % tiles_h * OUTPUTS;
        const gradient_image from = {
            .plane = dy + dy_start + dy_at + row / tiles_h * dy_image + (long)block * dy_h * dy_w * 16,
            .height = dy_h, .width = dy_w, .lanes = min(16, dy_c - block * 16)};
        for (int t = 0; t < tiles_w; t++) {
            const int left = t * TILES_AT_ONCE * OUTPUTS;
            float16 columns[POINTS * OUTPUTS];
            transform_columns(&from, top, left, columns);
#ifdef BF16
            float16 next_columns[POINTS * OUTPUTS];
            transform_columns(&from, top, left + OUTPUTS, next_columns);
#endif
            __global float *to = gradients + (t * VECS + v) * 16;
            UNROLL for (int i = 0; i < POINTS; i++) {
                float16 r[POINTS];
                TRANSFORM(POINTS, OUTPUTS, TRANSPOSED_OUTPUT, r, 1, columns + i * OUTPUTS, 1)
#ifdef BF16
                float16 next[POINTS];
                TRANSFORM(POINTS, OUTPUTS, TRANSPOSED_OUTPUT, next, 1, next_columns + i * OUTPUTS, 1)
                UNROLL for (int j = 0; j < POINTS; j++) r[j] = pair_lanes(r[j], next[j]);
#endif
                UNROLL for (int j = 0; j < POINTS; j++) vstore16(r[j], 0, to + (i * POINTS + j) * distance);
            }
        }
    }
}

/* Sums of one point are [16 input rows][VECS][16], plus one line between points, so that the sums of one
 * element at all points do not map to the same cache set. */
#define SUMS (16 * VECS * 16 + 16)

/* The sums of one point over `count` tiles, in order. */
static void add_tiles(float *sums, __global const float *inputs, __global const float *gradients, int count) {
    for (int c = 0; c < 16; c += ROWS) {
        float16 sum[ROWS * VECS];
        UNROLL for (int i = 0; i < ROWS * VECS; i++) sum[i] = (float16)(0.0f);
        __global const float *x = inputs + c, *y = gradients;
        for (int t = 0; t < count; t++, x += 16, y += VECS * 16) {
            float16 g[VECS];
            UNROLL for (int v = 0; v < VECS; v++) g[v] = vload16(v, y);
            UNROLL for (int r = 0; r < ROWS; r++) {
                const float16 xr = (float16)(x[r]);
                UNROLL for (int v = 0; v < VECS; v++) { ADD_WORD(sum[r * VECS + v], xr, g[v]) }
            }
        }
        UNROLL for (int i = 0; i < ROWS * VECS; i++) vstore16(sum[i], c * VECS + i, sums);
    }
}

/* The taps of one input row and vector of dy from the sums of all points. */
static void transform_sums(float16 *to, const float *sums) {
    float16 columns[TAPS * POINTS];
    UNROLL for (int j = 0; j < POINTS; j++) {
        float16 m[POINTS];
        UNROLL for (int i = 0; i < POINTS; i++) m[i] = vload16(0, sums + (i * POINTS + j) * SUMS);
        TRANSFORM(TAPS, POINTS, TRANSPOSED_FILTER, columns + j, POINTS, m, 1)
    }
    UNROLL for (int a = 0; a < TAPS; a++)
        TRANSFORM(TAPS, POINTS, TRANSPOSED_FILTER, to + a * TAPS, 1, columns + a * POINTS, 1)
}

/* A work-item computes the taps of one phase, one block of x and one group of dy's blocks. Passes after the
 * first add to dw. Grid: (blocks of x times phases, groups). */
KERNEL void conv_winograd_filter_sums(MEMORY(const float, inputs), ulong inputs_distance,
                                      MEMORY(const float, gradients), ulong gradients_distance, int tiles,
                                      MEMORY(float, dw), int dw_blocks, int accumulate, int pass, int images,
                                      int tiles_h, int tiles_w, int first_row) {
    const int block = get_global_id(0), group = get_global_id(1);
    const int count = min(tiles, (images * tiles_h - first_row) * tiles_w);
    float sums[POINTS * POINTS * SUMS];
    inputs += inputs_start + (long)block * tiles * 16;
    gradients += gradients_start + (long)group * tiles * VECS * 16;
    for (int p = 0; p < POINTS * POINTS; p++)
        add_tiles(sums + p * SUMS, inputs + p * inputs_distance, gradients + p * gradients_distance, count);
    for (int v = 0; v < VECS && group * VECS + v < dw_blocks; v++) {
        __global float *to =
            dw + dw_start +
            ((long)(group * VECS + v) * (get_global_size(0) / PHASES_IN) + block / PHASES_IN) *
                FILTER_TAPS * 256;
        for (int c = 0; c < 16; c++) {
            float16 results[TAPS * TAPS];
            transform_sums(results, sums + (c * VECS + v) * 16);
            UNROLL for (int t = 0; t < TAPS * TAPS; t++)
                add_lanes(results[t], to + (tap_of(block % PHASES_IN, t / TAPS, t % TAPS) * 16 + c) * 16, 16,
                          accumulate || pass > 0);
        }
    }
}
