/* The transforms of Winograd convolutions on GPUs, and of their filter gradients.
 * conv_gpu_winograd_products.cl computes the products between them. winograd.clh has the matrices and
 * defines phases.
 *
 * Forward and data gradient are both correlations. Forward, the phases of src are separate input channels
 * (STEP_IN is the stride). In the data gradient the phases of dst are separate output channels that share
 * one input (STEP_OUT is the stride), and taps are reversed. So
 *
 *   input rows      (block of 16 channels of src, phase of src, channel)
 *   output columns  (phase of dst, block of 16 channels of dst, channel)
 *
 * A tile is OUTPUTS x OUTPUTS positions of one image; tiles are numbered along the rows of tiles of all
 * images. A pass handles `tiles` of them, whole rows of tiles from first_row on, numbered from 0. For each
 * of the POINTS * POINTS points there is an array of each kind in scratch memory, `distance` floats apart:
 *
 *   inputs     [block of 16 input rows][tile][16]
 *   filters    [block of 16 output columns][input row][16], with TURN [block of 16 input rows][output column][16]
 *   sums       [block of 16 output columns][tile][16]
 *   gradients  [block of 16 channels of dy][tile][16]
 *   filter sums  [part][block of 16 channels of dy][input row][16]
 *
 * A work-item transforms one channel, or one pair of channels. Neighbouring work-items have the 16 lanes of
 * a block, so that all accesses are to whole lines of 16. No barriers. VECTOR is float.
 */

#define SQUARE (POINTS * POINTS)

/* One channel's pixels of a tile: (h + step*i, w + step*j). Pixels outside the image and in lanes that are
 * not channels are 0. */
typedef struct {
    __global const STORED *plane; /* of the image and block, at the lane */
    int h, w, height, width, real;
} patch;

static float load_pixel(const patch *from, int step, int i, int j) {
    const int h = from->h + step * i, w = from->w + step * j;
    if (!from->real || h < 0 || h >= from->height || w < 0 || w >= from->width) return 0.0f;
    return load_stored(from->plane + ((long)h * from->width + w) * 16);
}

/* The patch of a tile: its first pixel is at `step` * OUTPUTS * tile, plus (h, w), from the image's corner.
 * Rows of tiles after the last are empty. */
#define PATCH(name, block, lane, row, column, step, first_h, first_w)                                        \
    {.plane = name + name##_start + name##_at + (row) / tiles_h * name##_image +                             \
              (ulong)(block)*name##_h * name##_w * 16 + (lane),                                              \
     .h = (first_h) + (step)*OUTPUTS * ((row) % tiles_h),                                                    \
     .w = (first_w) + (step)*OUTPUTS * (column),                                                             \
     .height = name##_h,                                                                                     \
     .width = name##_w,                                                                                      \
     .real = (block)*16 + (lane) < name##_c && (row) < images * tiles_h}

/* Grid: (16 lanes of each tile of the pass, blocks of input rows). first_h and first_w: the pixel under the
 * corner of the first tile. */
KERNEL void conv_gpu_winograd_input(VIEWED(const STORED, src), int src_c, int src_h, int src_w, MEMORY(float, inputs),
                                    ulong distance, int tiles, int first_h, int first_w, int images, int tiles_h,
                                    int tiles_w, int first_row) {
    const int lane = get_global_id(0) % 16, tile = get_global_id(0) / 16, rows = get_global_id(1);
    const int phase = rows % PHASES_IN, row = first_row + tile / tiles_w;
    if (tile >= tiles) return;
    const patch from = PATCH(src, rows / PHASES_IN, lane, row, tile % tiles_w, STEP_IN,
                             first_h + phase / PHASES_SIDE, first_w + phase % PHASES_SIDE);
    float lines[SQUARE];
    UNROLL for (int i = 0; i < POINTS; i++) {
        float d[POINTS];
        UNROLL for (int j = 0; j < POINTS; j++) d[j] = load_pixel(&from, STEP_IN, i, j);
        TRANSFORM(POINTS, POINTS, INPUT, lines + i * POINTS, 1, d, 1)
    }
    __global float *to = inputs + inputs_start + ((ulong)rows * tiles + tile) * 16 + lane;
    UNROLL for (int j = 0; j < POINTS; j++) {
        float column[POINTS];
        TRANSFORM(POINTS, POINTS, INPUT, column, 1, lines + j, POINTS)
        UNROLL for (int i = 0; i < POINTS; i++) to[(i * POINTS + j) * distance] = column[i];
    }
}

/* Index of the 16 x 16 block in `filters` for a pair of blocks of a filter stored [outer blocks][inner
 * blocks][tap][16][16]. */
static ulong filter_place(int outer, int inner, int outer_blocks, int inner_blocks, int phase) {
#ifdef TURN
    const ulong lanes = (ulong)outer * PHASES_IN + phase % PHASES_IN;
    return (lanes * PHASES_OUT + phase / PHASES_IN) * inner_blocks + inner;
#else
    const ulong lanes = (ulong)(phase / PHASES_IN) * outer_blocks + outer;
    return (lanes * inner_blocks + inner) * PHASES_IN + phase % PHASES_IN;
#endif
}

/* Grid: (256 pairs of channels of each pair of blocks, phases). PHASES_IN or PHASES_OUT is 1. */
KERNEL void conv_gpu_winograd_filter(MEMORY(const float, filter), MEMORY(float, filters), ulong distance,
                                     int outer_blocks, int inner_blocks) {
    const int pair = get_global_id(0) % 256, blocks = get_global_id(0) / 256, phase = get_global_id(1);
    if (blocks >= outer_blocks * inner_blocks) return;
    __global const float *tap = filter + filter_start + (ulong)blocks * FILTER_TAPS * 256 + pair;
    float columns[POINTS * TAPS];
    UNROLL for (int b = 0; b < TAPS; b++) {
        float g[TAPS];
        UNROLL for (int a = 0; a < TAPS; a++) g[a] = tap[tap_of(phase, a, b) * 256];
        TRANSFORM(POINTS, TAPS, FILTER, columns + b, TAPS, g, 1)
    }
    __global float *to = filters + filters_start + pair +
                         256 * filter_place(blocks / inner_blocks, blocks % inner_blocks, outer_blocks,
                                            inner_blocks, phase);
    UNROLL for (int i = 0; i < POINTS; i++) {
        float line[POINTS];
        TRANSFORM(POINTS, TAPS, FILTER, line, 1, columns + i * TAPS, 1)
        UNROLL for (int j = 0; j < POINTS; j++) to[(i * POINTS + j) * distance] = line[j];
    }
}

/* Grid: (16 lanes of each tile of the pass, blocks of output columns). first_h and first_w: the pixel of phase 0
 * at the first position. */
KERNEL void conv_gpu_winograd_output(MEMORY(const float, sums), ulong distance, MEMORY(const float, bias),
                                     int has_bias, VIEWED(STORED, dst), int dst_c, int dst_h, int dst_w, int tiles,
                                     int first_h, int first_w, int images, int tiles_h, int tiles_w, int first_row,
                                     int act, float slope, int accumulate) {
    const int lane = get_global_id(0) % 16, tile = get_global_id(0) / 16, vector = get_global_id(1);
    const int blocks = (dst_c + 15) / 16, block = vector % blocks, phase = vector / blocks;
    const int row = first_row + tile / tiles_w, channel = block * 16 + lane;
    if (tile >= tiles || row >= images * tiles_h || channel >= dst_c) return;
    __global const float *from = sums + sums_start + ((ulong)vector * tiles + tile) * 16 + lane;
    float columns[OUTPUTS * POINTS];
    UNROLL for (int j = 0; j < POINTS; j++) {
        float m[POINTS];
        UNROLL for (int i = 0; i < POINTS; i++) m[i] = from[(i * POINTS + j) * distance];
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, columns + j, POINTS, m, 1)
    }
    const float b = has_bias ? bias[bias_start + channel] : 0.0f;
    const int top = first_h + row % tiles_h * OUTPUTS * STEP_OUT + phase / STEP_OUT;
    const int left = first_w + tile % tiles_w * OUTPUTS * STEP_OUT + phase % STEP_OUT;
    __global STORED *plane =
        dst + dst_start + dst_at + row / tiles_h * dst_image + (ulong)block * dst_h * dst_w * 16 + lane;
    UNROLL for (int i = 0; i < OUTPUTS; i++) {
        float y[OUTPUTS];
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, y, 1, columns + i * POINTS, 1)
        const int h = top + i * STEP_OUT;
        UNROLL for (int j = 0; j < OUTPUTS; j++) {
            const int w = left + j * STEP_OUT;
            if (h < 0 || h >= dst_h || w < 0 || w >= dst_w) continue;
            __global STORED *to = plane + ((long)h * dst_w + w) * 16;
            const float value = act_value1(act, slope, y[j] + b);
            store_stored(accumulate ? load_stored(to) + value : value, to);
        }
    }
}

/* Grid: (16 lanes of each tile of the pass, blocks of dy). */
KERNEL void conv_gpu_winograd_gradient(VIEWED(const STORED, dy), int dy_c, int dy_h, int dy_w,
                                       MEMORY(float, gradients), ulong distance, int tiles, int images, int tiles_h,
                                       int tiles_w, int first_row) {
    const int lane = get_global_id(0) % 16, tile = get_global_id(0) / 16, block = get_global_id(1);
    const int row = first_row + tile / tiles_w;
    if (tile >= tiles) return;
    const patch from = PATCH(dy, block, lane, row, tile % tiles_w, 1, 0, 0);
    float lines[OUTPUTS * POINTS];
    UNROLL for (int i = 0; i < OUTPUTS; i++) {
        float d[OUTPUTS];
        UNROLL for (int j = 0; j < OUTPUTS; j++) d[j] = load_pixel(&from, 1, i, j);
        TRANSFORM(POINTS, OUTPUTS, TRANSPOSED_OUTPUT, lines + i * POINTS, 1, d, 1)
    }
    __global float *to = gradients + gradients_start + ((ulong)block * tiles + tile) * 16 + lane;
    UNROLL for (int j = 0; j < POINTS; j++) {
        float column[POINTS];
        TRANSFORM(POINTS, OUTPUTS, TRANSPOSED_OUTPUT, column, 1, lines + j, POINTS)
        UNROLL for (int i = 0; i < POINTS; i++) to[(i * POINTS + j) * distance] = column[i];
    }
}

/* The filter gradient from its sums, whose parts are added in order. Grid: (256 pairs of channels of each
 * pair of blocks, phases of x). */
KERNEL void conv_gpu_winograd_filter_sums(MEMORY(const float, sums), ulong distance, int parts, MEMORY(float, dw),
                                          int dy_blocks, int x_blocks, int accumulate) {
    const int pair = get_global_id(0) % 256, blocks = get_global_id(0) / 256, phase = get_global_id(1);
    if (blocks >= dy_blocks * x_blocks) return;
    const ulong part = (ulong)dy_blocks * x_blocks * PHASES_IN * 256;
    __global const float *from = sums + sums_start + ((ulong)blocks * PHASES_IN + phase) * 256 + pair;
    float m[SQUARE], columns[TAPS * POINTS];
    UNROLL for (int i = 0; i < SQUARE; i++) m[i] = from[i * distance];
    for (int p = 1; p < parts; p++) {
        from += part;
        UNROLL for (int i = 0; i < SQUARE; i++) m[i] += from[i * distance];
    }
    UNROLL for (int j = 0; j < POINTS; j++)
        TRANSFORM(TAPS, POINTS, TRANSPOSED_FILTER, columns + j, POINTS, m + j, POINTS)
    __global float *tap = dw + dw_start + (ulong)blocks * FILTER_TAPS * 256 + pair;
    UNROLL for (int a = 0; a < TAPS; a++) {
        float g[TAPS];
        TRANSFORM(TAPS, POINTS, TRANSPOSED_FILTER, g, 1, columns + a * POINTS, 1)
        UNROLL for (int b = 0; b < TAPS; b++) {
            __global float *to = tap + tap_of(phase, a, b) * 256;
            *to = accumulate ? *to + g[b] : g[b];
        }
    }
}
