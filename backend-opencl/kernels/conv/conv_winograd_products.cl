/* The second launch of a Winograd convolution on CPUs, forward and data gradient. conv_winograd_input.cl
 * defines input rows, output vectors and tiles.
 *
 * A work-item computes a group of VECS output vectors for up to `tiles_each` tiles. It processes the input
 * rows in chunks of CHUNK blocks of 16. It transforms the chunk's part of the filter into private memory,
 * which stays in an inner cache, and adds a matrix product per point to the sums of its tiles:
 *
 *   sums[point][tile][v] += sum over the chunk's rows of inputs[point][row][tile] filter[point][row][v]
 *
 * So the stored filter is read directly; a transformed filter, 2.25 to 6.25 times as large, is never
 * written to memory. Sums run over the input rows in order for any chunks, tiles and grid. At the end the
 * work-item transforms the sums and applies the epilogue. Sums are in scratch memory, [group][share of
 * tiles] [point][tile][VECS][16], with one more line per point, so that the sums of one tile do not map to
 * the same cache set.
 *
 * With BF16 inputs and filters are rounded after their transforms, and a word holds two neighbouring input
 * rows.
 *
 * Grid: (shares of `tiles_each` tiles, groups), one work-item per work-group. Compile-time, besides
 * winograd.clh's: VECS; TILE, the number of tiles in registers, which divides `tiles` and `tiles_each`;
 * CHUNK; TURN if the filter has its lanes along src's channels.
 */
#ifdef BF16
#define WORDS 8 /* of a block of input rows */
#define ADD_WORD(sum, x, w) ADD_PAIRS(sum, x, w)
#else
#define WORDS 16
#define ADD_WORD(sum, x, w) sum = x * w + sum;
#endif
#define CHUNK_POINT ((CHUNK * WORDS * VECS + 1) * 16) /* words; one line between points */

/* ---- Filter ---------------------------------------------------------------------------------------- */

#ifdef TURN
#define FILTER_SPACE __private
#else
#define FILTER_SPACE __global
#endif

/* Transforms one input row and output vector along columns; the taps are at row `c` of tap[]. */
static void transform_columns(FILTER_SPACE const float *const *tap, int c, float16 *columns) {
    UNROLL for (int b = 0; b < TAPS; b++) {
        float16 g[TAPS];
        UNROLL for (int a = 0; a < TAPS; a++) g[a] = vload16(c, tap[a * TAPS + b]);
        TRANSFORM(POINTS, TAPS, FILTER, columns + b, TAPS, g, 1)
    }
}

/* Transforms one word of input rows for one output vector. */
static void transform_filter(FILTER_SPACE const float *const *tap, int word, float *to) {
    float16 columns[POINTS * TAPS];
    transform_columns(tap, word * 16 / WORDS, columns);
#ifdef BF16
    float16 next_columns[POINTS * TAPS];
    transform_columns(tap, 2 * word + 1, next_columns);
#endif
    UNROLL for (int i = 0; i < POINTS; i++) {
        float16 row[POINTS];
        TRANSFORM(POINTS, TAPS, FILTER, row, 1, columns + i * TAPS, 1)
#ifdef BF16
        float16 next[POINTS];
        TRANSFORM(POINTS, TAPS, FILTER, next, 1, next_columns + i * TAPS, 1)
        UNROLL for (int j = 0; j < POINTS; j++) row[j] = pair_lanes(row[j], next[j]);
#endif
        UNROLL for (int j = 0; j < POINTS; j++) vstore16(row[j], 0, to + (i * POINTS + j) * CHUNK_POINT);
    }
}

/* Transforms a block of 16 input rows for one output vector. `at`: the 16 x 16 channels of tap 0; `phase`:
 * the sum of the input's and the output's phase, of which one is 0. */
static void transform_block(__global const float *at, int phase, float *to) {
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
    for (int c = 0; c < WORDS; c++) transform_filter(tap, c, to + c * VECS * 16);
}

/* Transforms row blocks [first, end) for a group of output vectors. Vectors beyond the last repeat the last
 * one. */
static void transform_chunk(__global const float *filter, int first, int end, int row_blocks, int group,
                            int out_blocks, float *to) {
    const int blocks = row_blocks / PHASES_IN;
    for (int v = 0; v < VECS; v++) {
        const int vector = min(group * VECS + v, PHASES_OUT * out_blocks - 1), out = vector % out_blocks;
        for (int b = first; b < end; b++) {
            const int block = b / PHASES_IN;
#ifdef TURN
            __global const float *at = filter + ((long)block * out_blocks + out) * FILTER_TAPS * 256;
#else
            __global const float *at = filter + ((long)out * blocks + block) * FILTER_TAPS * 256;
#endif
            transform_block(at, vector / out_blocks + b % PHASES_IN,
                            to + ((b - first) * WORDS * VECS + v) * 16);
        }
    }
}

/* ---- Products -------------------------------------------------------------------------------------- */

/* Adds the products of `count` row blocks of one point for TILE tiles; blocks of x are `block_step` floats
 * apart. */
static void add_products(__global const float *x, long block_step, const float *f, int count, bool first,
                         __global float *to) {
    float16 sum[TILE * VECS];
    UNROLL for (int i = 0; i < TILE * VECS; i++) sum[i] = first ? (float16)(0.0f) : vload16(i, to);
    for (int b = 0; b < count; b++, x += block_step) {
        UNROLL for (int l = 0; l < TILE * WORDS; l += 16) PREFETCH_NEAR(x + TILE * WORDS + l);
        for (int c = 0; c < WORDS; c++, f += VECS * 16) {
            float16 w[VECS];
            UNROLL for (int v = 0; v < VECS; v++) w[v] = vload16(v, f);
            UNROLL for (int p = 0; p < TILE; p++) {
                const float16 xp = (float16)(x[p * WORDS + c]);
                UNROLL for (int v = 0; v < VECS; v++) { ADD_WORD(sum[p * VECS + v], xp, w[v]) }
            }
        }
    }
    UNROLL for (int i = 0; i < TILE * VECS; i++) vstore16(sum[i], i, to);
}

/* ---- Output ---------------------------------------------------------------------------------------- */

/* The OUTPUTS x OUTPUTS results of the sums at `from`. */
static void transform_sums(float16 *to, __global const float *from, long distance) {
    float16 columns[OUTPUTS * POINTS];
    UNROLL for (int j = 0; j < POINTS; j++) {
        float16 m[POINTS];
        UNROLL for (int i = 0; i < POINTS; i++) m[i] = vload16(0, from + (i * POINTS + j) * distance);
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, columns + j, POINTS, m, 1)
    }
    UNROLL for (int i = 0; i < OUTPUTS; i++)
        TRANSFORM(OUTPUTS, POINTS, OUTPUT, to + i * OUTPUTS, 1, columns + i * POINTS, 1)
}

/* first_h and first_w: the pixel of phase 0 at the first position. */
KERNEL void conv_winograd_products(MEMORY(const float, inputs), ulong distance, MEMORY(const float, filter),
                                   MEMORY(float, sums), int row_blocks, int out_blocks, int tiles, int tiles_each,
                                   MEMORY(const float, bias), int has_bias, VIEWED(float, dst), int dst_c, int dst_h,
                                   int dst_w, int first_h, int first_w, int images, int tiles_h, int tiles_w,
                                   int first_row, int rows, int act, float slope, int accumulate) {
    const int group = get_global_id(1), first = get_global_id(0) * tiles_each,
              count = min(tiles_each, tiles - first);
    const long point = (tiles_each * VECS + 1) * 16;
    float chunk[POINTS * POINTS * CHUNK_POINT];
    inputs += inputs_start + (long)first * WORDS;
    sums += sums_start + ((long)group * get_global_size(0) + get_global_id(0)) * POINTS * POINTS * point;
    for (int b = 0; b < row_blocks; b += CHUNK) {
        const int end = min(b + CHUNK, row_blocks);
        transform_chunk(filter + filter_start, b, end, row_blocks, group, out_blocks, chunk);
        for (int p = 0; p < POINTS * POINTS; p++)
            for (int t = 0; t < count; t += TILE)
                add_products(inputs + p * distance + ((long)b * tiles + t) * WORDS, tiles * WORDS,
                             chunk + p * CHUNK_POINT, end - b, b == 0, sums + p * point + t * VECS * 16);
    }
    const int end_row = min(first_row + rows, images * tiles_h);
    for (int v = 0; v < VECS && group * VECS + v < PHASES_OUT * out_blocks; v++) {
        const int phase = (group * VECS + v) / out_blocks, block = (group * VECS + v) % out_blocks;
        const int lanes = min(16, dst_c - block * 16);
        const float16 b =
            has_bias ? load_lanes(bias + bias_start + block * 16, lanes) : (float16)(0.0f);
        for (int t = 0; t < count; t++) {
            const int row = first_row + (first + t) / tiles_w;
            if (row >= end_row) break;
            __global float *plane = dst + dst_start + dst_at + row / tiles_h * dst_image +
                                    (long)block * dst_h * dst_w * 16;
            float16 results[OUTPUTS * OUTPUTS];
            transform_sums(results, sums + (t * VECS + v) * 16, point);
            const int top = first_h + row % tiles_h * OUTPUTS * STEP_OUT + phase / STEP_OUT;
            const int left = first_w + (first + t) % tiles_w * OUTPUTS * STEP_OUT + phase % STEP_OUT;
            UNROLL for (int i = 0; i < OUTPUTS * OUTPUTS; i++) {
                const int h = top + i / OUTPUTS * STEP_OUT, w = left + i % OUTPUTS * STEP_OUT;
                if (h >= 0 && h < dst_h && w >= 0 && w < dst_w)
                    put_lanes(act_value(act, slope, results[i] + b), plane + ((long)h * dst_w + w) * 16,
                              lanes, accumulate);
            }
        }
    }
}
