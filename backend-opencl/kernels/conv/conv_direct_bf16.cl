/* Filter gradient of a direct convolution on CPUs in bf16:
 *
 *   dw[k, c, r, s] (+)=
 *       sum over n, i, j of dy[n, k, i, j] x[n, c, STRIDE*i - pad_top + r, STRIDE*j - pad_left + s]
 *
 * Products are of pairs of pixels. A pair of dy holds the pixels of two rows `pair_rows` = (dy_h + 1) / 2
 * apart; a pair of x holds the pixels that these rows meet. So one packed copy of x serves all taps, odd
 * widths cost nothing, and an odd height costs one row of zeros. The packed copies hold zeros around the
 * image and in lanes that are not channels, so the sums have no border cases:
 *
 *   pixels     [image][block of x][row q][column][16]: rows q - pad_top and q - pad_top + STRIDE*pair_rows of x
 *   gradients  [image][group of VECS blocks of dy][row i][column][VECS][16]: rows i and i + pair_rows of dy
 *
 * Compile-time: STRIDE, ROWS, VECS. ROWS divides 16. One work-item per work-group.
 */

/* The two vectors of a pair; zeros outside the image. */
static float16 load_pair(__global const float *plane, int h, int distance, int w, int height, int width, int lanes) {
    const bool inside = w >= 0 && w < width, upper = inside && h >= 0 && h < height;
    const bool lower = inside && h + distance >= 0 && h + distance < height;
    const float16 a = upper ? load_lanes(plane + ((long)h * width + w) * 16, lanes) : (float16)(0.0f);
    const float16 b =
        lower ? load_lanes(plane + ((long)(h + distance) * width + w) * 16, lanes) : (float16)(0.0f);
    return pair_lanes(a, b);
}

/* A work-item packs one row of one block of an image. Grid: (rows of pairs, blocks of x, images). */
KERNEL void conv_direct_bf16_pack_pixels(VIEWED(const float, x), int x_c, int x_h, int x_w, MEMORY(float, pixels),
                                         int pad_top, int pad_left, int distance, int columns) {
    const long q = get_global_id(0), block = get_global_id(1), n = get_global_id(2);
    const int lanes = min(16, x_c - (int)block * 16);
    __global const float *plane = x + x_start + x_at + n * x_image + block * x_h * x_w * 16;
    __global float *to =
        pixels + pixels_start + ((n * get_global_size(1) + block) * get_global_size(0) + q) * columns * 16;
    for (int j = 0; j < columns; j++)
        vstore16(load_pair(plane, q - pad_top, distance, j - pad_left, x_h, x_w, lanes), j, to);
}

/* Packs one row of pairs of one group of blocks of dy. Grid: (rows of pairs, groups, images). */
KERNEL void conv_direct_bf16_pack_gradients(VIEWED(const float, dy), int dy_c, int dy_h, int dy_w,
                                            MEMORY(float, gradients)) {
    const long i = get_global_id(0), group = get_global_id(1), n = get_global_id(2);
    __global float *to =
        gradients + gradients_start +
        ((n * get_global_size(1) + group) * get_global_size(0) + i) * dy_w * VECS * 16;
    for (int v = 0; v < VECS; v++) {
        const int block = min((int)group * VECS + v, (dy_c - 1) / 16), lanes = min(16, dy_c - block * 16);
        __global const float *plane = dy + dy_start + dy_at + n * dy_image + (long)block * dy_h * dy_w * 16;
        for (int j = 0; j < dy_w; j++)
            vstore16(load_pair(plane, i, get_global_size(0), j, dy_h, dy_w, lanes), j * VECS + v, to);
    }
}

/* A work-item computes all taps of one block of x by one group of dy's blocks, over a part of the images'
 * rows of pairs. It processes them in chunks of `rows` that fit the nearest caches and keeps its sums in dw
 * between chunks. As in conv_direct_filter.cl, conv_direct_add_parts adds the parts. Grid: (blocks of x,
 * groups, parts). */
KERNEL void conv_direct_bf16_filter(MEMORY(const float, pixels), int pixel_rows, int pixel_columns,
                                    MEMORY(const float, gradients), int pair_rows, int dy_w, int dy_blocks,
                                    MEMORY(float, dw), ulong part_size, int taps_h, int taps_w, int images, int rows,
                                    int parts, int accumulate) {
    const int block = get_global_id(0), group = get_global_id(1), part = get_global_id(2);
    const int x_blocks = get_global_size(0), groups = get_global_size(1), taps = taps_h * taps_w;
    const int vecs = min(VECS, dy_blocks - group * VECS), chunks = (pair_rows + rows - 1) / rows;
    const int begin = (long)images * chunks * part / parts, end = (long)images * chunks * (part + 1) / parts;
    __global float *sums[VECS];
    UNROLL for (int v = 0; v < VECS; v++)
        sums[v] = dw + dw_start + part * part_size +
                  ((long)(group * VECS + min(v, vecs - 1)) * x_blocks + block) * taps * 256;
    for (int q = begin; q < end; q++) {
        const long n = q / chunks, row = q % chunks * rows, row_end = min((int)row + rows, pair_rows);
        const bool fresh = q == begin && !accumulate;
        __global const float *x =
            pixels + pixels_start + (n * x_blocks + block) * pixel_rows * pixel_columns * 16;
        __global const float *dy = gradients + gradients_start + (n * groups + group) * pair_rows * dy_w * VECS * 16;
        for (int tap = 0; tap < taps; tap++)
            for (int c = 0; c < 16; c += ROWS) {
                float16 sum[ROWS * VECS];
                UNROLL for (int a = 0; a < ROWS; a++)
                    UNROLL for (int v = 0; v < VECS; v++)
                        sum[a * VECS + v] = fresh ? (float16)(0.0f) : vload16(tap * 16 + c + a, sums[v]);
                for (int i = row; i < row_end; i++) {
                    __global const float *p =
                        x + ((long)(STRIDE * i + tap / taps_w) * pixel_columns + tap % taps_w) * 16 + c;
                    __global const float *g = dy + (long)i * dy_w * VECS * 16;
                    for (int j = 0; j < dy_w; j++, p += STRIDE * 16, g += VECS * 16) {
                        float16 pairs[VECS];
                        UNROLL for (int v = 0; v < VECS; v++) pairs[v] = vload16(v, g);
                        UNROLL for (int a = 0; a < ROWS; a++) {
                            const float16 pa = (float16)(p[a]);
                            UNROLL for (int v = 0; v < VECS; v++) ADD_PAIRS(sum[a * VECS + v], pa, pairs[v])
                        }
                    }
                }
                UNROLL for (int a = 0; a < ROWS; a++)
                    UNROLL for (int v = 0; v < VECS; v++)
                        if (v < vecs) vstore16(sum[a * VECS + v], tap * 16 + c + a, sums[v]);
            }
    }
}
