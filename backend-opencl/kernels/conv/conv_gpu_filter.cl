/* Filter gradients for GPUs, as matrix products on tiles in local memory.
 *
 * dw[k][c][tap] (+)= sum over images and output positions of dy[k] x[c] at the tap. Rows of the product are
 * (block of c, tap, c), the storage order of a filter's blocks, so that a tile covers several taps of a
 * block, shares its part of dy among them, and is written as whole vectors; columns are channels k. With
 * WALKED 4 or 8 (an upper bound of the channels c) the other rows of a block are omitted. A step of the sum
 * is 16 output positions. Padding lanes of dw become zero.
 *
 * Group (tile of rows, tile of columns, part). With PARTS the positions are divided into `parts`, whose
 * results go to scratch memory, each stored like dw, to be added by conv_gpu_sums.cl. `in` is x, `out` is
 * dy.
 */

#define TURNED_A false
#define TURNED_B false

#define A_QUADS (TILE_M / 4) /* of a pixel */
#define B_QUADS (TILE_N / 4)

/* Pixel (and column) of a work-item's vector j within a step. */
#define A_PIXEL(j) (item / A_QUADS + (j) * (GROUP / A_QUADS))
#define B_PIXEL(j) ((item + (j) * GROUP) / B_QUADS)
#define B_COLUMN(j) ((item + (j) * GROUP) % B_QUADS * 4)

/* Lanes of a block that are not channels may hold NaN. Without EMPTY_LANES there are none. */
#ifdef EMPTY_LANES
#define REAL_LANES(v, lanes) first_lanes(v, lanes)
#else
#define REAL_LANES(v, lanes) (v)
#endif

/* Loads the current step's factors from global memory to registers and advances to the next step. Pointers
 * and positions advance by 16 pixels without multiplications: a correction is added at the end of a row and
 * of an image. */
#define FETCH                                                                                                \
    {                                                                                                        \
        for (int j = 0; j < A_LOADS; j++) {                                                                  \
            next_a[j] = 0.0f;                                                                                \
            if (A_PIXEL(j) < pixels_left && (uint)a_h[j] < (uint)in_h && (uint)a_w[j] < (uint)in_w)          \
                next_a[j] = REAL_LANES(load_stored4(a_from[j]), row_lanes);                                  \
            int on = step_x;                                                                                 \
            a_w[j] += step_w, a_h[j] += step_h;                                                              \
            if (a_w[j] >= end_w) a_w[j] -= out_w * stride, a_h[j] += stride, on += next_row_x;               \
            if (a_h[j] >= end_h) a_h[j] -= out_h * stride, on += next_image_x;                               \
            a_from[j] += on;                                                                                 \
        }                                                                                                    \
        for (int j = 0; j < B_LOADS; j++) {                                                                  \
            next_b[j] = 0.0f;                                                                                \
            if (B_PIXEL(j) < min(pixels_left, DEPTH))                                                        \
                next_b[j] = REAL_LANES(load_stored4(b_from[j]), out_channels - first_n - B_COLUMN(j));       \
            int on = step_dy;                                                                                \
            b_at[j] += step_at;                                                                              \
            if (b_at[j] >= (int)out_plane) b_at[j] -= (int)out_plane, on += next_image_dy;                   \
            b_from[j] += on;                                                                                 \
        }                                                                                                    \
        pixels_left -= DEPTH;                                                                                \
    }

#define STASH(a, b)                                                                                          \
    {                                                                                                        \
        for (int j = 0; j < A_LOADS; j++) {                                                                  \
            const int e = item + j * GROUP;                                                                  \
            if (e < TILE_M * 4) put_quad(a, TILE_M, e / A_QUADS, e % A_QUADS * 4, next_a[j]);                \
        }                                                                                                    \
        for (int j = 0; j < B_LOADS; j++) {                                                                  \
            const int e = item + j * GROUP;                                                                  \
            if (e < TILE_N * 4) put_quad(b, TILE_N, e / B_QUADS, e % B_QUADS * 4, next_b[j]);                \
        }                                                                                                    \
    }

/* Coordinates of row m of the product: block of c, tap, channel within the block. */
typedef struct {
    long block;
    int tap, lane;
} filter_row;

static inline filter_row row_of(long m, int taps) {
    const long t = m / WALKED;
    return (filter_row){t / taps, (int)(t % taps), (int)(m % WALKED)};
}

TILED void conv_gpu_filter_tile(VIEWED(const STORED, x), VIEWED(const STORED, dy), MEMORY(float, dw),
                                const int accumulate, const int parts, const ulong part_size, GEOMETRY) {
    TILES_IN_LOCAL_MEMORY
    const int item = get_local_id(0), item_n = item % GROUP_N, item_m = item / GROUP_N;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int taps = taps_h * taps_w, part = (int)GROUP_INDEX(2), first_n = (int)GROUP_INDEX(1) * TILE_N;
    const long first_m = (long)GROUP_INDEX(0) * TILE_M, rows = (long)in_blocks * taps * WALKED;
    const long in_plane = (long)in_h * in_w, out_plane = (long)out_h * out_w;

    /* Tiles without a real column are zero. */
    const long steps = first_n < out_channels ? (images * out_plane + DEPTH - 1) / DEPTH : 0;
    const long first_step = part_of(steps, part, parts), end_step = part_of(steps, part + 1, parts);

    /* A work-item always reads the same rows, because GROUP is a multiple of A_QUADS. Rows and columns
     * beyond the last block read the first block instead, and are not stored. */
    const long read_row = first_m + item % A_QUADS * 4 < rows ? first_m + item % A_QUADS * 4 : 0;
    const filter_row read = row_of(read_row, taps);
    const int tap_h = read.tap / taps_w - pad_top, tap_w = read.tap % taps_w - pad_left;
    const int row_lanes = in_channels - (int)read.block * 16 - read.lane;
    const int end_h = out_h * stride + tap_h, end_w = out_w * stride + tap_w;

    /* An advance by 16 pixels in images, rows and columns; each may carry once into the next. */
    const int in_step = (int)(DEPTH % out_plane), images_on = (int)(DEPTH / out_plane);
    const int step_h = in_step / out_w * stride, step_w = in_step % out_w * stride, step_at = in_step;
    const int step_x = images_on * (int)x_image + (step_h * in_w + step_w) * 16;
    const int step_dy = images_on * (int)dy_image + in_step * 16;
    const int next_row_x = (stride * in_w - out_w * stride) * 16;
    const int next_image_x = (int)x_image - out_h * stride * in_w * 16;
    const int next_image_dy = (int)(dy_image - out_plane * 16);

    const long first_pixel = first_step * DEPTH;
    int pixels_left = (int)(images * out_plane - first_pixel);
    __global const STORED *a_from[A_LOADS], *b_from[B_LOADS];
    int a_h[A_LOADS], a_w[A_LOADS], b_at[B_LOADS];
    for (int j = 0; j < A_LOADS; j++) {
        const long p = first_pixel + A_PIXEL(j);
        const int in_image = (int)(p % out_plane);
        a_h[j] = in_image / out_w * stride + tap_h;
        a_w[j] = in_image % out_w * stride + tap_w;
        a_from[j] = x + x_start + x_at + p / out_plane * (long)x_image + read.block * in_plane * 16 + read.lane +
                    ((long)a_h[j] * in_w + a_w[j]) * 16;
    }
    for (int j = 0; j < B_LOADS; j++) {
        const long p = first_pixel + B_PIXEL(j);
        const int k = first_n + B_COLUMN(j) < out_blocks * 16 ? first_n + B_COLUMN(j) : 0;
        b_at[j] = (int)(p % out_plane);
        b_from[j] = dy + dy_start + dy_at + p / out_plane * (long)dy_image +
                    (k / 16 * out_plane + b_at[j]) * 16 + k % 16;
    }

    float4 acc[ITEM_M][QUADS], next_a[A_LOADS], next_b[B_LOADS];
    clear_sums(acc);
    FOR_STEPS(first_step, end_step)

    FOR_ROWS {
        const long m = first_m + ROW(item_m, i);
        if (m >= rows) continue;
        const filter_row row = row_of(m, taps);
#pragma unroll
        for (int j = 0; j < QUADS; j++) {
            const int k = first_n + COLUMN(item_n, j);
            if (k >= out_blocks * 16) continue;
            __global float *to = dw + dw_start + part * part_size +
                                 ((k / 16 * (long)in_blocks + row.block) * taps + row.tap) * 256 + k % 16;
            store_float4(acc[0][j], to + row.lane * 16, 4, accumulate);
            for (int lane = row.lane + WALKED; lane < 16 && !accumulate; lane += WALKED)
                *(__global float4 *)(to + lane * 16) = 0.0f;
        }
    }
}
