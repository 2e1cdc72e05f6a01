/* Winograd convolution on CPUs in bf16 after winograd_input, forward and data gradient alike. Transforms are in
 * float32; the transformed inputs and filters are rounded to bf16 and multiplied.
 *
 *   input rows      (block of 16 channels of src, phase or part of the filter, channel)
 *   output vectors  (phase of dst, block of 16 channels of dst)
 *
 * A filter is transformed where it is used, a chunk at a time, and never written: that costs less than to read
 * it transformed, 16 points for 4 taps. Compile-time, besides winograd.clh's: VECS, TILE, TILES, CHUNK; TURN
 * where the filter has its lanes along src's channels. One work-item per work-group.
 */
#define SQUARE (POINTS * POINTS)

/* ---- Filter ------------------------------------------------------------------------------------------- */

/* Words of a point's filters in a chunk, and a line between points. */
#define CHUNK_POINT ((CHUNK * 8 * VECS + 1) * 16)

#ifdef TURN
#define FILTER_SPACE __private
#else
#define FILTER_SPACE __global
#endif

/* The points of one input row for one output vector; the taps lie at row `c` of tap[]. */
static void transform_row(float16 *to, FILTER_SPACE const float *const *tap, int c) {
    float16 columns[POINTS * TAPS];
    UNROLL for (int b = 0; b < TAPS; b++) {
        float16 g[TAPS];
        UNROLL for (int a = 0; a < TAPS; a++) g[a] = vload16(c, tap[a * TAPS + b]);
        TRANSFORM(POINTS, TAPS, FILTER, columns + b, TAPS, g, 1)
    }
    UNROLL for (int i = 0; i < POINTS; i++)
        TRANSFORM(POINTS, TAPS, FILTER, to + i * POINTS, 1, columns + i * TAPS, 1)
}

/* A block of 16 input rows for one output vector, as pairs of rows. `at`: the 16 x 16 channels of tap 0;
 * `phase`: of src or of dst, of which one has but phase 0. */
static void transform_block(float *to, __global const float *at, int phase) {
    FILTER_SPACE const float *tap[TAPS * TAPS];
#ifdef TURN
    float turned[TAPS * TAPS * 256];
#endif
    UNROLL for (int t = 0; t < TAPS * TAPS; t++) {
        __global const float *from = at + tap_of(phase, t / TAPS, t % TAPS) * 256;
#ifdef TURN
        tap[t] = turned + t * 256;
        TRANSPOSE(turned + t * 256, from)
#else
        tap[t] = from;
#endif
    }
    for (int c = 0; c < 8; c++) {
        float16 first[SQUARE], second[SQUARE];
        transform_row(first, tap, 2 * c);
        transform_row(second, tap, 2 * c + 1);
        UNROLL for (int p = 0; p < SQUARE; p++)
            vstore16(pair_lanes(first[p], second[p]), 0, to + p * CHUNK_POINT + c * VECS * 16);
    }
}

/* Blocks [first, end) of input rows for a group of output vectors. Vectors beyond the last repeat it. */
static void transform_chunk(float *to, __global const float *filter, int first, int end, int row_blocks, int group,
                            int out_blocks) {
    const int blocks = row_blocks / PHASES_IN;
    for (int v = 0; v < VECS; v++) {
        const int vector = min(group * VECS + v, PHASES_OUT * out_blocks - 1), out = vector % out_blocks;
        for (int b = first; b < end; b++) {
            const int block = b / PHASES_IN;
#ifdef TURN
            const long pair = (long)block * out_blocks + out;
#else
            const long pair = (long)out * blocks + block;
#endif
            transform_block(to + ((b - first) * 8 * VECS + v) * 16, filter + pair * FILTER_TAPS * 256,
                            vector / out_blocks + b % PHASES_IN);
        }
    }
}

/* ---- Products ----------------------------------------------------------------------------------------- */

/* Adds `count` blocks of rows of one point to the sums of TILE tiles. */
static void add_products(float *sums, __global const float *x, long block_distance, const float *f, int count,
                         bool fresh) {
    float16 sum[TILE * VECS];
    UNROLL for (int i = 0; i < TILE * VECS; i++) sum[i] = fresh ? (float16)(0.0f) : vload16(i, sums);
    for (int b = 0; b < count; b++, x += block_distance)
        for (int c = 0; c < 8; c++, f += VECS * 16) {
            float16 w[VECS];
            UNROLL for (int v = 0; v < VECS; v++) w[v] = vload16(v, f);
            UNROLL for (int t = 0; t < TILE; t++) {
                const float16 xt = (float16)(x[t * 8 + c]);
                UNROLL for (int v = 0; v < VECS; v++) ADD_PAIRS(sum[t * VECS + v], xt, w[v])
            }
        }
    UNROLL for (int i = 0; i < TILE * VECS; i++) vstore16(sum[i], i, sums);
}

/* ---- Output ------------------------------------------------------------------------------------------- */

/* Words from one point to the next among the sums of TILES tiles. */
#define SUMS_POINT ((TILES * VECS + 1) * 16)

/* The OUTPUTS x OUTPUTS results of the sums at `from`. */
static void transform_sums(float16 *to, const float *from) {
    float16 columns[OUTPUTS * POINTS];
    UNROLL for (int j = 0; j < POINTS; j++) {
        float16 m[POINTS];
        UNROLL for (int i = 0; i < POINTS; i++) m[i] = vload16(0, from + (i * POINTS + j) * SUMS_POINT);
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, columns + j, POINTS, m, 1)
    }
    UNROLL for (int i = 0; i < OUTPUTS; i++)
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, to + i * OUTPUTS, 1, columns + i * POINTS, 1)
}

/* A work-item owns one group of VECS output vectors and TILES tiles, TILE of them at a time; TILE divides TILES,
 * and TILES divides `tiles`. It walks the input rows in chunks of CHUNK blocks; every sum runs over them in
 * order, whatever these numbers. first_h and first_w: the pixel of phase 0 at the first position. Grid: (shares
 * of tiles, groups). */
KERNEL void bf16_winograd_products(MEMORY(const float, inputs), ulong distance, MEMORY(const float, filter),
                                   int row_blocks, int tiles, MEMORY(const float, bias), int has_bias, VIEWED(float, dst),
                                   int dst_c, int dst_h, int dst_w, int first_h, int first_w, int images,
                                   int tiles_h, int tiles_w, int act, float slope, int accumulate) {
    const int first = get_global_id(0) * TILES, group = get_global_id(1), out_blocks = (dst_c + 15) / 16;
    float chunk[SQUARE * CHUNK_POINT], sums[SQUARE * SUMS_POINT];
    inputs += inputs_start + first * 8;
    for (int b = 0; b < row_blocks; b += CHUNK) {
        const int end = min(b + CHUNK, row_blocks);
        transform_chunk(chunk, filter + filter_start, b, end, row_blocks, group, out_blocks);
        for (int p = 0; p < SQUARE; p++)
            for (int t = 0; t < TILES; t += TILE)
                add_products(sums + p * SUMS_POINT + t * VECS * 16, inputs + p * distance + ((long)b * tiles + t) * 8,
                             tiles * 8, chunk + p * CHUNK_POINT, end - b, b == 0);
    }
    for (int v = 0; v < VECS && group * VECS + v < PHASES_OUT * out_blocks; v++) {
        const int phase = (group * VECS + v) / out_blocks, block = (group * VECS + v) % out_blocks;
        const int lanes = min(16, dst_c - block * 16);
        const float16 b =
            has_bias ? load_lanes(bias + bias_start + block * 16, lanes) : (float16)(0.0f);
        for (int t = 0; t < TILES && first + t < images * tiles_h * tiles_w; t++) {
            const int row = (first + t) / tiles_w;
            __global float *plane =
                dst + dst_start + dst_at + row / tiles_h * dst_image + (long)block * dst_h * dst_w * 16;
            float16 results[OUTPUTS * OUTPUTS];
            transform_sums(results, sums + (t * VECS + v) * 16);
            const int top = first_h + row % tiles_h * OUTPUTS * STEP_OUT + phase / STEP_OUT;
            const int left = first_w + (first + t) % tiles_w * OUTPUTS * STEP_OUT + phase % STEP_OUT;
            UNROLL for (int i = 0; i < OUTPUTS * OUTPUTS; i++) {
                const int h = top + i / OUTPUTS * STEP_OUT, w = left + i % OUTPUTS * STEP_OUT;
                if (h >= 0 && h < dst_h && w >= 0 && w < dst_w)
                    put_lanes(act_value(act, slope, results[i] + b), plane + ((long)h * dst_w + w) * 16, lanes,
                              accumulate);
            }
        }
    }
}
