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
INLINED int depth_of(int e) {
    return e % 4 * 4;
}
INLINED int column_of(int e) {
    return e / 4;
}
#else
#define PUT_W    put_quad
#define TURNED_B false
INLINED int depth_of(int e) {
    return e / (WIDTH / 4) % 16;
}
INLINED int column_of(int e) {
    return e / (WIDTH * 4) * 16 + e % (WIDTH / 4) * 4;
}
#endif

/* Lanes of a block that are not channels may hold NaN. Without EMPTY_LANES there are none. */
#ifdef EMPTY_LANES
#define REAL_LANES(v, lanes) first_lanes(v, lanes)
#else
#define REAL_LANES(v, lanes) (v)
#endif

/* ---- Addresses ------------------------------------------------------------------------------------- */

/* Where a work-item reads its vectors of 4 in each step: addresses without the step's offset, and where rows
 * meet the input at tap (0, 0), which decides whether a tap is inside the image. */
typedef struct {
    __global const STORED *row[A_LOADS];
    __global const float *column[B_LOADS];
    int row_h[A_LOADS], row_w[A_LOADS];
} sources;

INLINED void find_rows(sources *from, __global const STORED *x, ulong image_size, const phase *p, long first_row,
                             int item, GEOMETRY) {
    for (int j = 0; j < A_LOADS; j++) {
        const int e = item + j * GROUP;
        const long row = first_row + e / 4;
        const place at = place_of(p, row, images);
        from->row_h[j] = at.h, from->row_w[j] = at.w;
        from->row[j] = x + e % 4 * 4 % WALKED;
        if (row < rows_of(p, images)) from->row[j] += input_of(p, row, at.h, at.w, in_w, image_size);
    }
}

/* Columns beyond the last block read the first block instead, and are not stored. */
INLINED void find_columns(sources *from, __global const float *w, int first_column, int item, GEOMETRY) {
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const long taps = (long)taps_h * taps_w;
    for (int j = 0; j < B_LOADS; j++) {
        const int e = item + j * GROUP, lane = depth_of(e) % WALKED;
        const int column = first_column + column_of(e) < out_blocks * 16 ? first_column + column_of(e) : 0;
#ifdef TRANSPOSED
        from->column[j] = w + column / 16 * taps * 256 + column % 16 * 16 + lane;
#else
        from->column[j] = w + column / 16 * in_blocks * taps * 256 + lane * 16 + column % 16;
#endif
    }
}

/* ---- Steps ----------------------------------------------------------------------------------------- */

/* The next step to load. Pointers are constant; the offset that a step adds is the same for the whole group
 * or, if a step has several taps, for all vectors of a tap. */
#if WALKED == 16
/* Steps iterate over the taps of a row, the rows, then the blocks. Offsets within an image and a filter are
 * ints. */
typedef struct {
    int h, w, end_h, end_w; /* of the tap, from tap (0, 0) in the input */
    int x, next_row_x, next_block_x; /* offset in the input, and what is added at the end of a row and a block */
    int filter, next_row_filter, next_block_filter;
    int channels_left;
} walk;

INLINED walk walk_from(long step, const phase *p, GEOMETRY) {
#ifdef TRANSPOSED
    const int block_taps = (out_channels + 15) / 16 * taps_h * taps_w;
#else
    const int block_taps = taps_h * taps_w;
#endif
    const int taps_of_phase = max(p->count_r * p->count_s, 1), tap = (int)(step % taps_of_phase);
    const int a = tap / max(p->count_s, 1), b = tap % max(p->count_s, 1), block = (int)(step / taps_of_phase);
    walk at = {a * p->direction, b * p->direction, p->count_r * p->direction, p->count_s * p->direction};
    at.x = (block * in_h * in_w + in_w * at.h + at.w) * 16;
    at.next_row_x = (in_w * p->direction - at.end_w) * 16;
    at.next_block_x = (in_h * in_w - in_w * at.end_h) * 16;
    at.filter = (block * block_taps + tap_at(p, a, b, taps_w)) * 256;
    at.next_row_filter = p->tap_step * (taps_w - p->count_s) * 256;
    at.next_block_filter = (block_taps - p->count_r * p->tap_step * taps_w) * 256;
    at.channels_left = in_channels - block * 16;
    return at;
}

INLINED void walk_on(walk *at, const phase *p) {
    at->w += p->direction, at->x += p->direction * 16, at->filter += p->tap_step * 256;
    if (at->w != at->end_w) return;
    at->w = 0, at->x += at->next_row_x, at->filter += at->next_row_filter, at->h += p->direction;
    if (at->h != at->end_h) return;
    at->h = 0, at->x += at->next_block_x, at->filter += at->next_block_filter, at->channels_left -= 16;
}

INLINED void load_rows(float4 rows[A_LOADS], const sources *from, const walk *at, const phase *p, int item,
                             GEOMETRY) {
    for (int j = 0; j < A_LOADS; j++) {
        rows[j] = 0.0f;
        if (is_inside(from->row_h[j] + at->h, from->row_w[j] + at->w, in_h, in_w))
            rows[j] = REAL_LANES(load_stored4(from->row[j] + at->x), at->channels_left - (item + j * GROUP) % 4 * 4);
    }
}

INLINED void load_columns(float4 columns[B_LOADS], const sources *from, const walk *at, const phase *p, int item,
                                int taps_w) {
    for (int j = 0; j < B_LOADS; j++) columns[j] = *(__global const float4 *)(from->column[j] + at->filter);
}
#else
typedef struct {
    int tap; /* the first one of the step */
} walk;

INLINED walk walk_from(long step, const phase *p, GEOMETRY) {
    return (walk){(int)step * TAPS_OF_STEP};
}

INLINED void walk_on(walk *at, const phase *p) {
    at->tap += TAPS_OF_STEP;
}

INLINED void load_rows(float4 rows[A_LOADS], const sources *from, const walk *at, const phase *p, int item,
                             GEOMETRY) {
    for (int j = 0; j < A_LOADS; j++) {
        const int q = (item + j * GROUP) % 4, tap = at->tap + q / (WALKED / 4), a = tap / p->count_s;
        const int h = a * p->direction, w = tap % p->count_s * p->direction;
        rows[j] = 0.0f;
        if (a < p->count_r && is_inside(from->row_h[j] + h, from->row_w[j] + w, in_h, in_w))
            rows[j] = REAL_LANES(load_stored4(from->row[j] + (h * in_w + w) * 16), in_channels - q * 4 % WALKED);
    }
}

INLINED void load_columns(float4 columns[B_LOADS], const sources *from, const walk *at, const phase *p, int item,
                                int taps_w) {
    for (int j = 0; j < B_LOADS; j++) {
        const int tap = at->tap + depth_of(item + j * GROUP) / WALKED, a = tap / p->count_s;
        columns[j] = 0.0f;
        if (a < p->count_r)
            columns[j] = *(__global const float4 *)(from->column[j] + tap_at(p, a, tap % p->count_s, taps_w) * 256);
    }
}
#endif

/* Loads the next step's factors from global memory to registers, and advances. */
#define FETCH                                                                                                \
    {                                                                                                        \
        load_rows(next_a, &from, &at, &p, item, GIVEN_GEOMETRY);                                             \
        load_columns(next_b, &from, &at, &p, item, taps_w);                                                  \
        walk_on(&at, &p);                                                                                    \
    }

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

/* ---- The product ----------------------------------------------------------------------------------- */

TILED void conv_gpu_data_tile(VIEWED(const STORED, x), MEMORY(const float, w), MEMORY(const float, bias),
                              const int bias_flags, VIEWED(RESULT, y), const int accumulate, const int act,
                              const float slope, const int parts, const ulong part_size, GEOMETRY) {
    TILES_IN_LOCAL_MEMORY
    const int item = get_local_id(0), item_n = item % GROUP_N, item_m = item / GROUP_N;
    const int in_blocks = (in_channels + 15) / 16, out_blocks = (out_channels + 15) / 16;
    const int first_n = (int)GROUP_INDEX(1) * TILE_N, part = (int)GROUP_INDEX(2) % parts;
    const long first_m = (long)GROUP_INDEX(0) * TILE_M;
    phase p = phase_of((int)GROUP_INDEX(2) / parts, GIVEN_GEOMETRY);
#if WALKED == 16
    drop_taps_of(&p, in_h, in_w);
#elif defined(COUNT_S)
    p.count_s = COUNT_S; /* a constant, so that divisions by it are cheap */
#endif
    const long rows = rows_of(&p, images), products = in_blocks * (long)(p.count_r * p.count_s);
    const long steps = first_m < rows ? (products + TAPS_OF_STEP - 1) / TAPS_OF_STEP : 0;
    const long first_step = part_of(steps, part, parts), end_step = part_of(steps, part + 1, parts);

    sources from;
    find_rows(&from, x + x_start + x_at, x_image, &p, first_m, item, GIVEN_GEOMETRY);
    find_columns(&from, w + w_start, first_n, item, GIVEN_GEOMETRY);
    walk at = walk_from(first_step, &p, GIVEN_GEOMETRY);
    float4 acc[ITEM_M][QUADS], next_a[A_LOADS], next_b[B_LOADS];
    clear_sums(acc);
    FOR_STEPS(first_step, end_step)

    FOR_ROWS {
        const long row = first_m + ROW(item_m, i);
        if (row >= rows) continue;
        __global RESULT *to = y + y_start + part * part_size + y_at + result_of(&p, row, out_w, y_image);
#pragma unroll
        for (int j = 0; j < QUADS; j++)
            PUT_RESULT(acc[0][j], to, first_n + COLUMN(item_n, j))
    }
}
