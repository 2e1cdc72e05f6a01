/* Forward convolutions and data gradients for GPUs: implicit matrix products on tiles in local memory.
 *
 * y (+)= act(bias + sum over taps and input channels). Rows of the product are output positions, columns output
 * channels, and a step of the sum 16 input channels at one tap, or, with WALKED 4 or 8 (as many input channels, and
 * the 16 lanes of their block mostly empty), those of 4 or 2 taps. Tap indices run with the input's position
 * forward, and against it with TRANSPOSED (the data gradient), where outputs whose positions leave the same
 * remainder by the stride are a phase: they share their taps, every stride-th one, and together the phases cover
 * every output once. Taps that reach the input from no position of the phase are left out.
 *
 * Group (tile of rows, tile of columns, phase and part). With PARTS the sum is cut into `parts` of equal numbers of
 * steps, whose results go to scratch memory, [part][image][block][position][16], for conv_gpu_sums.cl to add.
 * w: ckrs, blocks of 16 x 16, [block of k][block of c][tap][c][k]; forward sums over c, TRANSPOSED over k.
 */

#define TURNED_A     true
#define TAPS_OF_STEP (16 / WALKED)
#define WIDTH        (TILE_N < 16 ? TILE_N : 16) /* columns of the tile in one block of the filter */

/* The tap of the vector `q` of 4 channels of a step, and its first channel within the block. */
#if WALKED == 16
#define TAP_OF(q) const int a = step_a, b = step_b, lane = (q) * 4;
#define IS_TAP    true
#define NEXT_STEP                                                                                            \
    if (++step_b == count_s) {                                                                               \
        step_b = 0;                                                                                          \
        if (++step_a == count_r) step_a = 0, block++;                                                        \
    }
#else
#define TAP_OF(q)                                                                                            \
    const int tap_index = step_tap + (q) / (WALKED / 4), lane = (q) % (WALKED / 4) * 4;                        \
    const int a = tap_index / count_s, b = tap_index % count_s;
#define IS_TAP    (a < count_r)
#define NEXT_STEP step_tap += TAPS_OF_STEP;
#endif

/* Vector `e` of the filter's part of a step: four columns at one depth, or, where the filter lies the other way,
 * four depths of one column; neighbours are neighbours in memory. */
#ifdef TRANSPOSED
#define PUT_W    put_column
#define TURNED_B true
static inline int depth_of(int e) {
    return e % 4 * 4;
}
static inline int column_of(int e) {
    return e / 4;
}
#else
#define PUT_W    put_quad
#define TURNED_B false
static inline int depth_of(int e) {
    return e / (WIDTH / 4) % 16;
}
static inline int column_of(int e) {
    return e / (WIDTH * 4) * 16 + e % (WIDTH / 4) * 4;
}
#endif

/* Global memory to registers: the step at hand, which is then the next one. */
#define FETCH                                                                                                \
    {                                                                                                        \
        for (int j = 0; j < A_LOADS; j++) {                                                                  \
            TAP_OF((item + j * GROUP) % 4)                                                                   \
            const int h = row_h[j] + a * direction, v = row_w[j] + b * direction;                            \
            const long shift = (block * in_plane + (a * in_w + b) * direction) * 16 + lane;                  \
            next_a[j] = 0.0f;                                                                                \
            if (IS_TAP && (uint)h < (uint)in_h && (uint)v < (uint)in_w)                                      \
                next_a[j] = first_lanes(load_stored4(from_row[j] + shift),                                   \
                                        in_channels - block * 16 - lane);                                    \
        }                                                                                                    \
        for (int j = 0; j < B_LOADS; j++) {                                                                  \
            TAP_OF(depth_of(item + j * GROUP) / 4)                                                           \
            const int tap = (first_r + a * tap_step) * taps_w + first_s + b * tap_step;                      \
            next_b[j] = 0.0f;                                                                                \
            if (IS_TAP && from_column[j])                                                                    \
                next_b[j] =                                                                                  \
                    *(__global const float4 *)(from_column[j] + (block * block_taps + tap) * 256);           \
        }                                                                                                    \
        NEXT_STEP                                                                                            \
    }

/* Registers to local memory. */
#define STASH(a, b)                                                                                          \
    {                                                                                                        \
        for (int j = 0; j < A_LOADS; j++) {                                                                  \
            const int e = item + j * GROUP;                                                                  \
            if (e < TILE_M * 4) put_column(a, TILE_M, e % 4 * 4, e / 4, next_a[j]);                          \
        }                                                                                                    \
        for (int j = 0; j < B_LOADS; j++) {                                                                  \
            const int e = item + j * GROUP;                                                                  \
            if (e < TILE_N * 4) PUT_W(b, TILE_N, depth_of(e), column_of(e), next_b[j]);                      \
        }                                                                                                    \
    }

TILED void conv_tile(VIEWED(const STORED, x), MEMORY(const float, w), MEMORY(const float, bias),
                     const int bias_flags, VIEWED(RESULT, y), const int accumulate, const int act,
                     const float slope, const int parts, const ulong part_size, GEOMETRY) {
    TILES_IN_LOCAL_MEMORY
    const int item = get_local_id(0), item_n = item % GROUP_N, item_m = item / GROUP_N;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int first_n = (int)GROUP_INDEX(1) * TILE_N, part = (int)GROUP_INDEX(2) % parts;
    const long first_m = (long)GROUP_INDEX(0) * TILE_M;
    const long in_plane = (long)in_h * in_w, taps = (long)taps_h * taps_w;
    PHASE((int)GROUP_INDEX(2) / parts)
#if WALKED == 16
    DROP_TAPS
#elif defined(COUNT_S)
    count_s = COUNT_S; /* known when compiled: quick to divide by */
#endif
    const long plane = max((long)rows_h * rows_w, 1L), rows = images * (long)rows_h * rows_w;

    /* Where this work-item reads, less what depends on the step, and the positions that decide what is inside. */
    __global const STORED *from_row[A_LOADS];
    __global const float *from_column[B_LOADS];
    int row_h[A_LOADS], row_w[A_LOADS];
    for (int j = 0; j < A_LOADS; j++) {
        const long row = first_m + (item + j * GROUP) / 4;
        const int in_image = (int)(row % plane);
        const bool real = row < rows;
        row_h[j] = real ? in_image / rows_w * in_step + origin_h : -(1 << 30);
        row_w[j] = real ? in_image % rows_w * in_step + origin_w : 0;
        from_row[j] = x + x_start + x_at;
        if (real) from_row[j] += row / plane * (long)x_image + ((long)row_h[j] * in_w + row_w[j]) * 16;
    }
#ifdef TRANSPOSED
    const long block_taps = out_blocks * taps;
#else
    const long block_taps = taps;
#endif
    for (int j = 0; j < B_LOADS; j++) {
        const int e = item + j * GROUP, column = first_n + column_of(e), lane = depth_of(e) % WALKED;
#ifdef TRANSPOSED
        const long at = column / 16 * taps * 256 + column % 16 * 16 + lane;
#else
        const long at = column / 16 * in_blocks * taps * 256 + lane * 16 + column % 16;
#endif
        from_column[j] = e < TILE_N * 4 && column / 16 < out_blocks ? w + w_start + at : 0;
    }

    float4 acc[ITEM_M][QUADS], next_a[A_LOADS], next_b[B_LOADS];
    clear_sums(acc);
    const long taps_of_phase = (long)count_r * count_s;
    const long steps = first_m < rows ? (in_blocks * taps_of_phase + TAPS_OF_STEP - 1) / TAPS_OF_STEP : 0;
    const long first_step = part_of(steps, part, parts), end_step = part_of(steps, part + 1, parts);
#if WALKED == 16
    const long tap_of_first = first_step % max(taps_of_phase, 1L);
    int step_a = (int)tap_of_first / max(count_s, 1), step_b = (int)tap_of_first % max(count_s, 1);
    long block = first_step / max(taps_of_phase, 1L);
#else
    int step_tap = (int)first_step * TAPS_OF_STEP;
    const long block = 0;
#endif
    FOR_STEPS(first_step, end_step)

    FOR_ROWS {
        const long row = first_m + ROW(item_m, i);
        if (row >= rows) continue;
        const int in_image = (int)(row % plane);
        const long position = (long)(in_image / rows_w * out_step + phase_h) * out_w +
                              in_image % rows_w * out_step + phase_w;
        __global RESULT *to = y + y_start + part * part_size + y_at + row / plane * y_image + position * 16;
#pragma unroll
        for (int j = 0; j < QUADS; j++)
            PUT_RESULT(acc[0][j], to, first_n + COLUMN(item_n, j))
    }
}
