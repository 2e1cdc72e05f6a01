/* Filter gradients for GPUs, as matrix products on tiles in local memory.
 *
 * dw[k][c][tap] (+)= sum over images and output positions of dy[k] x[c] at the tap. Rows of the product are (block
 * of c, tap, c), as a filter's blocks are stored, so that a tile covers several taps of a block, shares its part of
 * dy among them, and is written as whole vectors; columns are channels k. With WALKED 4 or 8 (as many channels c) the
 * other rows of a block are left out. A step of the sum is 16 output positions. Padding lanes of dw become zero.
 *
 * Group (tile of rows, tile of columns, part). With PARTS the positions are cut into `parts`, whose results go to
 * scratch memory, each stored as dw is, for conv_gpu_sums.cl to add. `in` is x, `out` is dy.
 */

#define TURNED_A false
#define TURNED_B false

/* A pixel of the sum on its way, by 16 at a time: no division within the loop. */
typedef struct {
    int image, h, w;
} pixel;

static inline pixel pixel_at(long index, long plane, int width) {
    const int in_image = (int)(index % plane);
    return (pixel){(int)(index / plane), in_image / width, in_image % width};
}

static inline pixel next_pixel(pixel p, pixel step, int height, int width) {
    p.w += step.w;
    const int next_row = p.w >= width;
    p.w -= next_row ? width : 0;
    p.h += step.h + next_row;
    const int next_image = p.h >= height;
    p.h -= next_image ? height : 0;
    p.image += step.image + next_image;
    return p;
}

#define A_QUADS (TILE_M / 4) /* of a pixel */
#define B_QUADS (TILE_N / 4)

#define FETCH                                                                                                \
    {                                                                                                        \
        for (int j = 0; j < A_LOADS; j++) {                                                                  \
            const pixel p = a_pixel[j];                                                                      \
            const int h = p.h * stride + tap_h, v = p.w * stride + tap_w;                                    \
            next_a[j] = 0.0f;                                                                                \
            if (p.image < images && (uint)h < (uint)in_h && (uint)v < (uint)in_w)                            \
                next_a[j] = first_lanes(load_stored4(from_x + p.image * x_image + ((long)h * in_w + v) * 16), \
                                        row_lanes);                                                          \
            a_pixel[j] = next_pixel(p, step_pixel, out_h, out_w);                                            \
        }                                                                                                    \
        for (int j = 0; j < B_LOADS; j++) {                                                                  \
            const pixel p = b_pixel[j];                                                                      \
            const int c = first_n + (item + j * GROUP) % B_QUADS * 4;                                        \
            next_b[j] = 0.0f;                                                                                \
            if (p.image < images && c < out_channels)                                                        \
                next_b[j] = first_lanes(load_stored4(from_dy + p.image * dy_image +                          \
                                                     (c / 16 * out_plane + p.h * out_w + p.w) * 16 + c % 16), \
                                        out_channels - c);                                                   \
            b_pixel[j] = next_pixel(p, step_pixel, out_h, out_w);                                            \
        }                                                                                                    \
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

/* Where row m of the product lies: block of c, tap, channel within the block. */
typedef struct {
    long block;
    int tap, lane;
} filter_row;

static inline filter_row row_of(long m, int taps) {
    const long t = m / WALKED;
    return (filter_row){t / taps, (int)(t % taps), (int)(m % WALKED)};
}

TILED void conv_filter_tile(VIEWED(const STORED, x), VIEWED(const STORED, dy), MEMORY(float, dw),
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

    /* The rows that a work-item reads stay the same: GROUP is a multiple of A_QUADS. */
    const long read_row = first_m + item % A_QUADS * 4;
    const filter_row read = row_of(read_row, taps);
    const int tap_h = read.tap / taps_w - pad_top, tap_w = read.tap % taps_w - pad_left;
    const int row_lanes = read_row < rows ? (int)min(in_channels - read.block * 16 - read.lane, 4L) : 0;
    __global const STORED *from_x = x + x_start + x_at;
    if (read_row < rows) from_x += read.block * in_plane * 16 + read.lane;
    __global const STORED *from_dy = dy + dy_start + dy_at;
    const pixel step_pixel = pixel_at(DEPTH, out_plane, out_w);
    pixel a_pixel[A_LOADS], b_pixel[B_LOADS];
    for (int j = 0; j < A_LOADS; j++)
        a_pixel[j] = pixel_at(first_step * DEPTH + (item + j * GROUP) / A_QUADS, out_plane, out_w);
    for (int j = 0; j < B_LOADS; j++) {
        b_pixel[j] = pixel_at(first_step * DEPTH + (item + j * GROUP) / B_QUADS, out_plane, out_w);
        if (item + j * GROUP >= TILE_N * 4) b_pixel[j].image = images; /* more work-items than vectors */
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
