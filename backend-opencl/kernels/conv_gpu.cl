/* Convolutions for GPUs: implicit matrix products on tiles in local memory.
 *
 * A work-group computes TILE_M x TILE_N results, each work-item ITEM_M x ITEM_N of them, in steps of 16 of
 * the summed dimension. GROUP_M x GROUP_N work-items; TILE_M = GROUP_M * ITEM_M, TILE_N = GROUP_N * ITEM_N, a
 * multiple of 16. Barriers stand at the top level of loops whose length is the same for the whole group, and
 * no work-item leaves early. The order of every sum depends on the shape alone.
 */

#define GROUP  (GROUP_M * GROUP_N)
#define TILE_M (GROUP_M * ITEM_M)
#define TILE_N (GROUP_N * ITEM_N)
#define TILED  __kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))

/* One step: acc += a' b. Items of a work-item lie GROUP_M and GROUP_N apart, so neighbours read neighbours.
 */
#define ACCUMULATE(acc, a, b, item_m, item_n)                                                                \
    for (int k = 0; k < 16; k++) {                                                                           \
        float av[ITEM_M], bv[ITEM_N];                                                                        \
        for (int i = 0; i < ITEM_M; i++) av[i] = a[k][item_m + i * GROUP_M];                                 \
        for (int j = 0; j < ITEM_N; j++) bv[j] = b[k][item_n + j * GROUP_N];                                 \
        for (int i = 0; i < ITEM_M; i++)                                                                     \
            for (int j = 0; j < ITEM_N; j++) acc[i][j] += av[i] * bv[j];                                     \
    }

/* Extents of the input, the output and the filter of this kernel's sum. */
#define GEOMETRY                                                                                             \
    const int images, const int in_h, const int in_w, const int in_channels, const int out_h,                \
        const int out_w, const int out_channels, const int taps_h, const int taps_w, const int stride,       \
        const int pad_top, const int pad_left

/* ---- Forward, and the gradient of the data ------------------------------------------------------------ */

/* y (+)= act(bias + sum over taps and input channels). Rows of the tile are output positions, columns output
 * channels. Group (m, n, phase). Forward has one phase. With TRANSPOSED (the data gradient) the outputs whose
 * position leaves the same remainder by the stride are a phase: they share their taps, which are every
 * stride-th one, and together the phases cover every output once.
 * w: ckrs, blocks of 16 x 16, [block of k][block of c][tap][c][k]; forward sums over c, TRANSPOSED over k. */
TILED void conv_tile(VIEWED(const float, x), MEMORY(const float, w), MEMORY(const float, bias),
                     const int bias_flags, VIEWED(float, y), const int accumulate, const int act,
                     const float slope, GEOMETRY) {
    __local float tile_x[16][TILE_M + 1], tile_w[16][TILE_N + 1];
    __local int row_h[TILE_M], row_w[TILE_M], row_image[TILE_M];
    const int item = get_local_id(0), item_n = item % GROUP_N, item_m = item / GROUP_N;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int first_n = GROUP_INDEX(1) * TILE_N;
    const long first_m = (long)GROUP_INDEX(0) * TILE_M;

#ifdef TRANSPOSED
    const int phase_h = (int)GROUP_INDEX(2) / stride, phase_w = (int)GROUP_INDEX(2) % stride, out_step = stride;
    const int first_r = (phase_h + pad_top) % stride, first_s = (phase_w + pad_left) % stride;
    const int tap_step = stride, direction = -1, in_step = 1;
    const int origin_h = (phase_h + pad_top) / stride, origin_w = (phase_w + pad_left) / stride;
#else
    const int phase_h = 0, phase_w = 0, out_step = 1, first_r = 0, first_s = 0, tap_step = 1, direction = 1;
    const int in_step = stride, origin_h = -pad_top, origin_w = -pad_left;
#endif
    /* Output positions and taps of this phase: none where the image or the filter is smaller. */
    const int rows_h = max((out_h - phase_h + out_step - 1) / out_step, 0);
    const int rows_w = max((out_w - phase_w + out_step - 1) / out_step, 0);
    const int count_r = max((taps_h - first_r + tap_step - 1) / tap_step, 0);
    const int count_s = max((taps_w - first_s + tap_step - 1) / tap_step, 0);
    const long rows = (long)images * rows_h * rows_w;

    for (int m = item; m < TILE_M; m += GROUP) {
        const long row = first_m + m, in_image = row < rows ? row % ((long)rows_h * rows_w) : 0;
        row_image[m] = row < rows ? (int)(row / ((long)rows_h * rows_w)) : -1;
        row_h[m] = row < rows ? (int)(in_image / rows_w) : 0;
        row_w[m] = row < rows ? (int)(in_image % rows_w) : 0;
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    float acc[ITEM_M][ITEM_N];
    for (int i = 0; i < ITEM_M; i++)
        for (int j = 0; j < ITEM_N; j++) acc[i][j] = 0.0f;

    const int steps = first_m < rows ? in_blocks * count_r * count_s : 0;
    for (int step = 0; step < steps; step++) {
        const int block = step / (count_r * count_s), b = step % count_s, a = step / count_s % count_r;
        const int tap = (first_r + a * tap_step) * taps_w + first_s + b * tap_step;
        const int real = min(in_channels - block * 16, 16); /* lanes beyond may hold NaN */
        for (int e = item; e < TILE_M * 16; e += GROUP) {
            const int m = e / 16, lane = e % 16;
            const int h = row_h[m] * in_step + origin_h + a * direction;
            const int v = row_w[m] * in_step + origin_w + b * direction;
            const bool inside = row_image[m] >= 0 && h >= 0 && h < in_h && v >= 0 && v < in_w && lane < real;
            tile_x[lane][m] = inside ? x[x_start + x_at + row_image[m] * x_image +
                                         (((ulong)block * in_h + h) * in_w + v) * 16 + lane]
                                     : 0.0f;
        }
        for (int e = item; e < TILE_N * 16; e += GROUP) {
            const int out_block = first_n / 16 + e / 256, major = e / 16 % 16, minor = e % 16;
#ifdef TRANSPOSED
            const ulong at = ((ulong)block * out_blocks + out_block) * taps_h * taps_w + tap;
            const int k = minor, n = e / 256 * 16 + major;
#else
            const ulong at = ((ulong)out_block * in_blocks + block) * taps_h * taps_w + tap;
            const int k = major, n = e / 256 * 16 + minor;
#endif
            tile_w[k][n] = out_block < out_blocks ? w[w_start + at * 256 + e % 256] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        ACCUMULATE(acc, tile_x, tile_w, item_m, item_n)
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (int i = 0; i < ITEM_M; i++) {
        const int m = item_m + i * GROUP_M;
        if (row_image[m] < 0) continue;
        const ulong position = (ulong)(row_h[m] * out_step + phase_h) * out_w + row_w[m] * out_step + phase_w;
        __global float *to = y + y_start + y_at + row_image[m] * y_image + position * 16;
        for (int j = 0; j < ITEM_N; j++) {
            const int c = first_n + item_n + j * GROUP_N;
            if (c >= out_channels) continue;
            const float sum = acc[i][j] + (bias_flags ? bias[bias_start + c] : 0.0f);
            __global float *one = to + (ulong)(c / 16) * out_h * out_w * 16 + c % 16;
            const float value = act_value(act, slope, (float16)(sum)).s0;
            *one = accumulate ? *one + value : value;
        }
    }
}

/* ---- The gradient of the filter ----------------------------------------------------------------------- */

/* dw[k][c][tap] (+)= sum over images and output positions of dy[k] x[c] at the tap. Rows of the tile are
 * channels c of x, columns channels k of dy; group (c tile, k tile, tap). `in` is x, `out` is dy. Padding
 * lanes of dw become zero. */
TILED void conv_filter_tile(VIEWED(const float, x), VIEWED(const float, dy), MEMORY(float, dw),
                            const int accumulate, GEOMETRY) {
    __local float tile_x[16][TILE_M + 1], tile_dy[16][TILE_N + 1];
    const int item = get_local_id(0), item_n = item % GROUP_N, item_m = item / GROUP_N;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int first_m = GROUP_INDEX(0) * TILE_M, first_n = GROUP_INDEX(1) * TILE_N;
    const int tap = GROUP_INDEX(2), r = tap / taps_w, s = tap % taps_w;
    const long in_plane = (long)in_h * in_w, out_plane = (long)out_h * out_w, rows = images * out_plane;

    float acc[ITEM_M][ITEM_N];
    for (int i = 0; i < ITEM_M; i++)
        for (int j = 0; j < ITEM_N; j++) acc[i][j] = 0.0f;

    for (long first = 0; first < rows; first += 16) {
        for (int e = item; e < TILE_M * 16; e += GROUP) {
            const int m = e % TILE_M, c = first_m + m;
            const long row = first + e / TILE_M, position = row % out_plane;
            const int h = (int)(position / out_w) * stride - pad_top + r;
            const int v = (int)(position % out_w) * stride - pad_left + s;
            const bool inside = row < rows && c < in_channels && h >= 0 && h < in_h && v >= 0 && v < in_w;
            tile_x[e / TILE_M][m] = inside ? x[x_start + x_at + (ulong)(row / out_plane) * x_image +
                                               ((c / 16) * in_plane + (long)h * in_w + v) * 16 + c % 16]
                                           : 0.0f;
        }
        for (int e = item; e < TILE_N * 16; e += GROUP) {
            const int n = e % TILE_N, k = first_n + n;
            const long row = first + e / TILE_N;
            tile_dy[e / TILE_N][n] = row < rows && k < out_channels
                                         ? dy[dy_start + dy_at + (ulong)(row / out_plane) * dy_image +
                                              ((k / 16) * out_plane + row % out_plane) * 16 + k % 16]
                                         : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        ACCUMULATE(acc, tile_x, tile_dy, item_m, item_n)
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    for (int i = 0; i < ITEM_M; i++)
        for (int j = 0; j < ITEM_N; j++) {
            const int c = first_m + item_m + i * GROUP_M, k = first_n + item_n + j * GROUP_N;
            if (c >= in_blocks * 16 || k >= out_blocks * 16) continue;
            const ulong block = ((ulong)(k / 16) * in_blocks + c / 16) * taps_h * taps_w + tap;
            __global float *one = dw + dw_start + block * 256 + c % 16 * 16 + k % 16;
            *one = accumulate ? *one + acc[i][j] : acc[i][j];
        }
}
