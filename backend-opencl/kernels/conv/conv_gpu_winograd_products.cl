/* The matrix products of Winograd convolutions on GPUs, one per point: sums = A' B, summed over a depth.
 * gpu_tile.clh multiplies the tiles.
 *
 * A factor is an array of [block][index][16 lanes] for each point, `distance` floats apart. With A_SUMMED
 * or B_SUMMED its lanes run along the depth, and indices are rows or columns of the product; otherwise
 * indices run along the depth and lanes along rows or columns, of which there are then whole blocks. The
 * depth is a multiple of 16 if lanes run along it. Sums are [part][block of 16 columns][row][16]: the depth
 * is divided into `parts` of nearly equal length, each summed by groups of its own; the kernel that reads
 * them adds them in order. With `accumulate` the sums of an earlier pass are continued.
 *
 * Group (tile of rows, tile of columns, point * parts + part).
 */

/* Depth and result of vector `e` of a factor in a step. SUMMED: lanes run along the depth. */
#define SUMMED_DEPTH(e, tile)  ((e) % 4 * 4)
#define SUMMED_RESULT(e, tile) ((e) / 4)
/* KEPT: lanes run along the results; a tile has whole blocks of them or a part of one. */
#define WIDTH(tile)          ((tile) < 16 ? (tile) : 16)
#define KEPT_DEPTH(e, tile)  ((e) / (WIDTH(tile) / 4) % 16)
#define KEPT_RESULT(e, tile) ((e) / (WIDTH(tile) * 4) * 16 + (e) % (WIDTH(tile) / 4) * 4)

/* Offset of the vector in step 0 (a point has less than 2^28 floats); -1: none. */
#define SUMMED_PLACE(first, e, tile, extent)                                                                 \
    ((first) + SUMMED_RESULT(e, tile) < (extent) && (e) < (tile)*4                                           \
         ? ((first) + SUMMED_RESULT(e, tile)) * 16 + SUMMED_DEPTH(e, tile)                             \
         : -1)
#define KEPT_PLACE(first, e, tile, extent)                                                                   \
    ((first) + KEPT_RESULT(e, tile) < (extent) && (e) < (tile)*4                                             \
         ? (((first) + KEPT_RESULT(e, tile)) / 16 * depth + KEPT_DEPTH(e, tile)) * 16 +              \
               ((first) + KEPT_RESULT(e, tile)) % 16                                                         \
         : -1)
/* Distance from one step to the next. */
#define SUMMED_STRIDE(extent) ((long)(extent)*16)
#define KEPT_STRIDE(extent)   256L
/* Whether the vector lies within the depth. */
#define SUMMED_DEEP(step, e, tile) true
#define KEPT_DEEP(step, e, tile)   ((step)*16 + KEPT_DEPTH(e, tile) < depth)

#ifdef A_SUMMED
#define OF_A(name) SUMMED_##name
#define TURNED_A   true
#define PUT_A      put_column
#else
#define OF_A(name) KEPT_##name
#define TURNED_A   false
#define PUT_A      put_quad
#endif
#ifdef B_SUMMED
#define OF_B(name) SUMMED_##name
#define TURNED_B   true
#define PUT_B      put_column
#else
#define OF_B(name) KEPT_##name
#define TURNED_B   false
#define PUT_B      put_quad
#endif

/* FETCH loads the next step's factors from global memory to registers; STASH stores them to local memory. */
#define FETCH                                                                                                \
    {                                                                                                        \
        UNROLL for (int j = 0; j < A_LOADS; j++) {                                                           \
            const bool inside = a_at[j] >= 0 && OF_A(DEEP)(next, item + j * GROUP, TILE_M);                  \
            next_a[j] = inside ? *(__global const float4 *)(a + a_at[j]) : (float4)(0.0f);                   \
        }                                                                                                    \
        UNROLL for (int j = 0; j < B_LOADS; j++) {                                                           \
            const bool inside = b_at[j] >= 0 && OF_B(DEEP)(next, item + j * GROUP, TILE_N);                  \
            next_b[j] = inside ? *(__global const float4 *)(b + b_at[j]) : (float4)(0.0f);                   \
        }                                                                                                    \
        a += OF_A(STRIDE)(rows);                                                                             \
        b += OF_B(STRIDE)(columns);                                                                          \
        next++;                                                                                              \
    }
#define STASH(to_a, to_b)                                                                                    \
    {                                                                                                        \
        UNROLL for (int j = 0; j < A_LOADS; j++) {                                                           \
            const int e = item + j * GROUP;                                                                  \
            if (e < TILE_M * 4) PUT_A(to_a, TILE_M, OF_A(DEPTH)(e, TILE_M), OF_A(RESULT)(e, TILE_M), next_a[j]); \
        }                                                                                                    \
        UNROLL for (int j = 0; j < B_LOADS; j++) {                                                           \
            const int e = item + j * GROUP;                                                                  \
            if (e < TILE_N * 4) PUT_B(to_b, TILE_N, OF_B(DEPTH)(e, TILE_N), OF_B(RESULT)(e, TILE_N), next_b[j]); \
        }                                                                                                    \
    }

#define SUM_AT(m, n) ((__global float4 *)(sums + ((long)((n) / 16) * rows + (m)) * 16 + (n) % 16))

TILED void conv_gpu_winograd_products(MEMORY(const float, a), const ulong a_distance, MEMORY(const float, b),
                                      const ulong b_distance, MEMORY(float, sums), const ulong sums_distance,
                                      const int rows, const int columns, const int depth, const int parts,
                                      const int accumulate) {
    TILES_IN_LOCAL_MEMORY
    const int item = get_local_id(0), item_n = item % GROUP_N, item_m = item / GROUP_N;
    const int first_m = (int)GROUP_INDEX(0) * TILE_M, first_n = (int)GROUP_INDEX(1) * TILE_N;
    const int point = (int)GROUP_INDEX(2) / parts, part = (int)GROUP_INDEX(2) % parts;
    const int steps = (depth + 15) / 16, begin = (long)steps * part / parts, end = (long)steps * (part + 1) / parts;
    a += a_start + point * a_distance + begin * OF_A(STRIDE)(rows);
    b += b_start + point * b_distance + begin * OF_B(STRIDE)(columns);
    sums += sums_start + point * sums_distance + (ulong)part * rows * columns;

    int a_at[A_LOADS], b_at[B_LOADS];
    UNROLL for (int j = 0; j < A_LOADS; j++) a_at[j] = OF_A(PLACE)(first_m, item + j * GROUP, TILE_M, rows);
    UNROLL for (int j = 0; j < B_LOADS; j++) b_at[j] = OF_B(PLACE)(first_n, item + j * GROUP, TILE_N, columns);
    float4 acc[ITEM_M][QUADS], next_a[A_LOADS], next_b[B_LOADS];
    UNROLL for (int i = 0; i < ITEM_M; i++) UNROLL for (int j = 0; j < QUADS; j++) {
        const int m = first_m + ROW(item_m, i), n = first_n + COLUMN(item_n, j);
        acc[i][j] = accumulate && m < rows && n < columns ? *SUM_AT(m, n) : (float4)(0.0f);
    }

    int next = begin;
    FOR_STEPS(begin, end)

    UNROLL for (int i = 0; i < ITEM_M; i++) UNROLL for (int j = 0; j < QUADS; j++) {
        const int m = first_m + ROW(item_m, i), n = first_n + COLUMN(item_n, j);
        if (m < rows && n < columns) *SUM_AT(m, n) = acc[i][j];
    }
}
