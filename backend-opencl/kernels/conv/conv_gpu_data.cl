/* Forward convolutions and data gradients for GPUs: implicit matrix products on tiles in local memory.
 *
 * y (+)= act(bias + sum over taps and input channels). Rows of the product are output positions, columns
 * are output channels. A step of the sum covers 16 input channels at one tap or, with WALKED 4 or 8 (an
 * upper bound of the input channels, when most of the 16 lanes of their block are empty), those of 4 or 2
 * taps. Tap indices increase with the input's position forward, and against it with TRANSPOSED (the data
 * gradient), where a phase consists of the outputs whose positions have the same remainder modulo the
 * stride: they share their taps, every stride-th one, and together the phases cover every output once. Taps
 * that meet only padding in all positions of a phase are omitted.
 *
 * Group (tile of rows, tile of columns, phase and part). With PARTS the steps of the sum are divided into
 * `parts` nearly equal parts, whose results go to scratch memory, [part][image][block][position][16], to be
 * added by conv_gpu_sums.cl. w: ckrs, blocks of 16 x 16, [block of k][block of c][tap][c][k]; forward sums
 * over c, TRANSPOSED over k.
 */

#define TURNED_A     true
#define TAPS_OF_STEP (16 / WALKED)
#define WIDTH        (TILE_N < 16 ? TILE_N : 16) /* columns of the tile in one block of the filter */

/* Vector `e` of the filter in a step: four columns at one depth or, if the filter is stored the other way,
 * four depths of one column. Neighbouring vectors are neighbours in memory. */
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

/* Lanes of a block that are not channels may hold NaN. Without EMPTY_LANES there are none. */
#ifdef EMPTY_LANES
#define REAL_LANES(v, lanes) first_lanes(v, lanes)
#else
#define REAL_LANES(v, lanes) (v)
#endif

/* Loads the current step's factors from global memory to registers and advances to the next step. Pointers
 * are constant; the offset that a step adds is the same for the whole group or, if a step has several taps,
 * for all vectors of a tap. */
#if WALKED == 16
#define FETCH                                                                                                \
    {                                                                                                        \
        for (int j = 0; j < A_LOADS; j++) {                                                                  \
            next_a[j] = 0.0f;                                                                                \
            if ((uint)(row_h[j] + step_h) < (uint)in_h && (uint)(row_w[j] + step_w) < (uint)in_w)            \
                next_a[j] = REAL_LANES(load_stored4(from_row[j] + x_shift),                                  \
                                       channels_left - (item + j * GROUP) % 4 * 4);                          \
        }                                                                                                    \
        for (int j = 0; j < B_LOADS; j++)                                                                    \
            next_b[j] = *(__global const float4 *)(from_column[j] + w_shift);                                \
        step_w += direction, x_shift += direction * 16, w_shift += tap_step * 256;                           \
        if (step_w == end_w) {                                                                               \
            step_w = 0, x_shift += next_row_x, w_shift += next_row_w, step_h += direction;                   \
            if (step_h == end_h)                                                                             \
                step_h = 0, x_shift += next_block_x, w_shift += next_block_w, channels_left -= 16;           \
        }                                                                                                    \
    }
#else
#define FETCH                                                                                                \
    {                                                                                                        \
        for (int j = 0; j < A_LOADS; j++) {                                                                  \
            const int q = (item + j * GROUP) % 4, t = first_tap + q / (WALKED / 4);                          \
            const int a = t / count_s, h = a * direction, v = t % count_s * direction;                       \
            next_a[j] = 0.0f;                                                                                \
            if (a < count_r && (uint)(row_h[j] + h) < (uint)in_h && (uint)(row_w[j] + v) < (uint)in_w)       \
                next_a[j] = REAL_LANES(load_stored4(from_row[j] + (h * in_w + v) * 16),                      \
                                       in_channels - q * 4 % WALKED);                                        \
        }                                                                                                    \
        for (int j = 0; j < B_LOADS; j++) {                                                                  \
            const int t = first_tap + depth_of(item + j * GROUP) / WALKED, a = t / count_s;                  \
            const int tap = (first_r + a * tap_step) * taps_w + first_s + t % count_s * tap_step;            \
            next_b[j] = 0.0f;                                                                                \
            if (a < count_r) next_b[j] = *(__global const float4 *)(from_column[j] + tap * 256);             \
        }                                                                                                    \
        first_tap += TAPS_OF_STEP;                                                                           \
    }
#endif

/* Stores the registers to local memory. */
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

TILED void conv_gpu_data_tile(VIEWED(const STORED, x), MEMORY(const float, w), MEMORY(const float, bias),
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
    count_s = COUNT_S; /* a constant, so that divisions by it are cheap */
#endif
    const long plane = max((long)rows_h * rows_w, 1L), rows = images * (long)rows_h * rows_w;

    /* Addresses at which this work-item reads, without the step's offset, and the positions that decide
     * whether a tap is inside the image. Columns beyond the last block read the first block instead, and
     * are not stored. */
    __global const STORED *from_row[A_LOADS];
    __global const float *from_column[B_LOADS];
    int row_h[A_LOADS], row_w[A_LOADS];
    for (int j = 0; j < A_LOADS; j++) {
        const long row = first_m + (item + j * GROUP) / 4;
        const int in_image = (int)(row % plane), lane = (item + j * GROUP) % 4 * 4 % WALKED;
        const bool real = row < rows;
        row_h[j] = real ? in_image / rows_w * in_step + origin_h : -(1 << 30);
        row_w[j] = real ? in_image % rows_w * in_step + origin_w : 0;
        from_row[j] = x + x_start + x_at + lane;
        if (real) from_row[j] += row / plane * (long)x_image + ((long)row_h[j] * in_w + row_w[j]) * 16;
    }
    for (int j = 0; j < B_LOADS; j++) {
        const int e = item + j * GROUP, lane = depth_of(e) % WALKED;
        const int column = first_n + column_of(e) < out_blocks * 16 ? first_n + column_of(e) : 0;
#ifdef TRANSPOSED
        const long at = column / 16 * taps * 256 + column % 16 * 16 + lane;
#else
        const long at = column / 16 * in_blocks * taps * 256 + lane * 16 + column % 16;
#endif
        from_column[j] = w + w_start + at;
    }

    float4 acc[ITEM_M][QUADS], next_a[A_LOADS], next_b[B_LOADS];
    clear_sums(acc);
    const int taps_of_phase = count_r * count_s;
    const long steps = first_m < rows ? (in_blocks * (long)taps_of_phase + TAPS_OF_STEP - 1) / TAPS_OF_STEP : 0;
    const long first_step = part_of(steps, part, parts), end_step = part_of(steps, part + 1, parts);
#if WALKED == 16
    /* Steps iterate over the taps of a row, the rows, then the blocks. Offsets within an image and a filter
     * are ints. */
#ifdef TRANSPOSED
    const int block_taps = out_blocks * (int)taps;
#else
    const int block_taps = (int)taps;
#endif
    const int first_tap = (int)(first_step % max(taps_of_phase, 1)), first_a = first_tap / max(count_s, 1);
    const int first_b = first_tap % max(count_s, 1), block = (int)(first_step / max(taps_of_phase, 1));
    const int end_w = count_s * direction, end_h = count_r * direction;
    const int next_row_x = (in_w * direction - end_w) * 16, next_row_w = tap_step * (taps_w - count_s) * 256;
    const int next_block_x = ((int)in_plane - in_w * end_h) * 16;
    const int next_block_w = (block_taps - count_r * tap_step * taps_w) * 256;
    int step_h = first_a * direction, step_w = first_b * direction, channels_left = in_channels - block * 16;
    int x_shift = (block * (int)in_plane + in_w * step_h + step_w) * 16;
    int w_shift = (block * block_taps + (first_r + first_a * tap_step) * taps_w + first_s + first_b * tap_step) * 256;
#else
    int first_tap = (int)first_step * TAPS_OF_STEP;
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
