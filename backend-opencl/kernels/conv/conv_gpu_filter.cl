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

/* ---- Rows of the product --------------------------------------------------------------------------- */

/* Row m: block of c, tap, channel within the block. */
typedef struct {
    long block;
    int tap, lane;
} filter_row;

INLINED filter_row row_of(long m, int taps) {
    const long t = m / WALKED;
    return (filter_row){t / taps, (int)(t % taps), (int)(m % WALKED)};
}

/* ---- Reading x and dy ------------------------------------------------------------------------------ */

/* Where a work-item reads its vectors of 4 in the next step: rows from x, columns from dy. Pointers and positions
 * advance by 16 pixels without multiplications: a correction is added at the end of a row and of an image. A
 * work-item always reads the same rows, because GROUP is a multiple of A_QUADS. */
typedef struct {
    __global const STORED *row[A_LOADS], *column[B_LOADS];
    int row_h[A_LOADS], row_w[A_LOADS]; /* in the input */
    int column_at[B_LOADS];             /* in the plane of dy */
    int end_h, end_w;                   /* of row_h and row_w */
    int row_lanes;                      /* channels from the vector's first on */
    int pixels_left;
} sources;

/* An advance by 16 pixels in rows, columns and offsets, each of which may carry once into the next. */
typedef struct {
    int h, w, pixels, x, dy, next_row_x, next_image_x, next_image_dy;
} advance;

INLINED advance advance_of(ulong x_image, ulong dy_image, GEOMETRY) {
    const int pixels = DEPTH % (out_h * out_w), on = DEPTH / (out_h * out_w);
    advance by = {pixels / out_w * stride, pixels % out_w * stride, pixels};
    by.x = on * (int)x_image + (by.h * in_w + by.w) * 16;
    by.dy = on * (int)dy_image + pixels * 16;
    by.next_row_x = (stride * in_w - out_w * stride) * 16;
    by.next_image_x = (int)x_image - out_h * stride * in_w * 16;
    by.next_image_dy = (int)(dy_image - (long)out_h * out_w * 16);
    return by;
}

INLINED void find_rows(sources *from, __global const STORED *x, ulong image_size, filter_row read,
                             long first_pixel, int item, GEOMETRY) {
    const long in_plane = (long)in_h * in_w, out_plane = (long)out_h * out_w;
    const int tap_h = read.tap / taps_w - pad_top, tap_w = read.tap % taps_w - pad_left;
    for (int j = 0; j < A_LOADS; j++) {
        const long p = first_pixel + A_PIXEL(j);
        const int in_image = (int)(p % out_plane);
        from->row_h[j] = in_image / out_w * stride + tap_h;
        from->row_w[j] = in_image % out_w * stride + tap_w;
        from->row[j] = x + p / out_plane * (long)image_size + read.block * in_plane * 16 + read.lane +
                       ((long)from->row_h[j] * in_w + from->row_w[j]) * 16;
    }
    from->end_h = out_h * stride + tap_h, from->end_w = out_w * stride + tap_w;
    from->row_lanes = in_channels - (int)read.block * 16 - read.lane;
    from->pixels_left = (int)(images * out_plane - first_pixel);
}

/* Columns beyond the last block read the first block instead, and are not stored. */
INLINED void find_columns(sources *from, __global const STORED *dy, ulong image_size, int first_column,
                                long first_pixel, int item, GEOMETRY) {
    const long out_plane = (long)out_h * out_w, columns = (out_channels + 15) / 16 * 16;
    for (int j = 0; j < B_LOADS; j++) {
        const long p = first_pixel + B_PIXEL(j);
        const int k = first_column + B_COLUMN(j) < columns ? first_column + B_COLUMN(j) : 0;
        from->column_at[j] = (int)(p % out_plane);
        from->column[j] =
            dy + p / out_plane * (long)image_size + (k / 16 * out_plane + from->column_at[j]) * 16 + k % 16;
    }
}

INLINED void load_rows(float4 rows[A_LOADS], sources *from, const advance *by, int item, GEOMETRY) {
    for (int j = 0; j < A_LOADS; j++) {
        rows[j] = 0.0f;
        if (A_PIXEL(j) < from->pixels_left && is_inside(from->row_h[j], from->row_w[j], in_h, in_w))
            rows[j] = REAL_LANES(load_stored4(from->row[j]), from->row_lanes);
        int on = by->x;
        from->row_w[j] += by->w, from->row_h[j] += by->h;
        if (from->row_w[j] >= from->end_w)
            from->row_w[j] -= out_w * stride, from->row_h[j] += stride, on += by->next_row_x;
        if (from->row_h[j] >= from->end_h) from->row_h[j] -= out_h * stride, on += by->next_image_x;
        from->row[j] += on;
    }
}

INLINED void load_columns(float4 columns[B_LOADS], sources *from, const advance *by, int first_column, int item,
                                GEOMETRY) {
    const int out_plane = out_h * out_w;
    for (int j = 0; j < B_LOADS; j++) {
        columns[j] = 0.0f;
        if (B_PIXEL(j) < min(from->pixels_left, DEPTH))
            columns[j] = REAL_LANES(load_stored4(from->column[j]), out_channels - first_column - B_COLUMN(j));
        int on = by->dy;
        from->column_at[j] += by->pixels;
        if (from->column_at[j] >= out_plane) from->column_at[j] -= out_plane, on += by->next_image_dy;
        from->column[j] += on;
    }
}

/* Loads the next step's factors from global memory to registers, and advances. */
#define FETCH                                                                                                \
    {                                                                                                        \
        load_rows(next_a, &from, &by, item, GIVEN_GEOMETRY);                                                 \
        load_columns(next_b, &from, &by, first_n, item, GIVEN_GEOMETRY);                                     \
        from.pixels_left -= DEPTH;                                                                           \
    }

/* Stores the registers to local memory. */
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

/* ---- The product ----------------------------------------------------------------------------------- */

/* Stores 4 channels k of a row. The block's rows that are omitted with WALKED become zero. */
INLINED void store_quad(float4 sum, __global float *to, int lane, int accumulate) {
    store_float4(sum, to + lane * 16, 4, accumulate);
    for (lane += WALKED; lane < 16 && !accumulate; lane += WALKED) *(__global float4 *)(to + lane * 16) = 0.0f;
}

TILED void conv_gpu_filter_tile(VIEWED(const STORED, x), VIEWED(const STORED, dy), MEMORY(float, dw),
                                const int accumulate, const int parts, const ulong part_size, GEOMETRY) {
    TILES_IN_LOCAL_MEMORY
    const int item = get_local_id(0), item_n = item % GROUP_N, item_m = item / GROUP_N;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int taps = taps_h * taps_w, part = (int)GROUP_INDEX(2), first_n = (int)GROUP_INDEX(1) * TILE_N;
    const long first_m = (long)GROUP_INDEX(0) * TILE_M, rows = (long)in_blocks * taps * WALKED;

    /* Tiles without a real column are zero. */
    const long steps = first_n < out_channels ? (images * (long)out_h * out_w + DEPTH - 1) / DEPTH : 0;
    const long first_step = part_of(steps, part, parts), end_step = part_of(steps, part + 1, parts);

    /* Rows beyond the last block read the first block instead, and are not stored. */
    const long read = first_m + item % A_QUADS * 4 < rows ? first_m + item % A_QUADS * 4 : 0;
    sources from;
    find_rows(&from, x + x_start + x_at, x_image, row_of(read, taps), first_step * DEPTH, item, GIVEN_GEOMETRY);
    find_columns(&from, dy + dy_start + dy_at, dy_image, first_n, first_step * DEPTH, item, GIVEN_GEOMETRY);
    const advance by = advance_of(x_image, dy_image, GIVEN_GEOMETRY);
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
            const long block = (k / 16 * (long)in_blocks + row.block) * taps + row.tap;
            if (k < out_blocks * 16)
                store_quad(acc[0][j], dw + dw_start + part * part_size + block * 256 + k % 16, row.lane, accumulate);
        }
    }
}
