/* Direct convolution on CPUs, forward and data gradient alike: register tiles over blocked channels.
 *
 *   dst[n, k, STEP_OUT*i + ph, STEP_OUT*j + pw] =
 *       act(bias[k] + sum over c, a, b of filter[k, c, tap(ph, a), tap(pw, b)] src[n, c, h + a, w + b])
 *
 * Forward: one phase (STEP_OUT 1), h = STEP_IN*i - pad_top. Data gradient: the rows of dst with one remainder
 * ph modulo the stride meet the same taps, the r with (ph + pad_top - r) divisible by the stride, so each
 * phase is a convolution of its own over reversed taps (STEP_IN 1, STEP_OUT the stride, `flip` set). A phase
 * without taps gives act(bias).
 *
 * A work-item owns up to MAX_TILES tiles of TILE_N x TILE_H x TILE_W positions (i, j), `groups_each` groups of
 * VECS blocks of 16 output channels, and a range of phases. It walks the input channels in chunks of CHUNK
 * blocks: copies what its tiles see of a chunk into `patches`, zeros outside the image, so that there are no
 * border cases; then lets every tile use the chunk's filters while they are in the nearest cache. A tile's
 * sums are registers within a chunk and lie in `sums` in between. So filters come from memory once per
 * work-item. Every sum runs over channel block, tap, channel in this order, whatever the tile and the grid:
 * the bits don't depend on them.
 *
 * Grid: (groups of tiles, groups of output channels, groups of phases), one work-item per work-group.
 * Compile-time: STEP_IN; STEP_OUT; REACH_H, REACH_W: rows and columns of src under one position, all phases
 * together; TILE_N, TILE_H, TILE_W; VECS; CHUNK. And at most one of
 *   TURN    `filter` has its lanes along src's channels, blocks [src/16][dst/16][tap][16 dst][16 src], and is
 *           turned here, TAPS being all its taps;
 *   DOT     VECS single output channels: lanes run along src's channels and are added at the end; filter
 *           [dst][src/16][tap][16 src], as conv_repack_dot makes it;
 *   SPREAD  the data gradient for few output channels: the lanes of the sums are (phase, channel), SPREAD
 *           lanes per phase, so all phases are one convolution; filter as conv_repack_spread makes it.
 */
#define TILE      (TILE_N * TILE_H * TILE_W)
#define PATCH_H   ((TILE_H - 1) * STEP_IN + REACH_H)
#define PATCH_W   ((TILE_W - 1) * STEP_IN + REACH_W)
#define PATCH     (TILE_N * PATCH_H * PATCH_W * 16)
#define TILE_SUMS (TILE * VECS * 16)

/* The vector of a patch where position p of the tile begins. */
#define IN_PATCH(p)                                                                                          \
    (((p / (TILE_H * TILE_W)) * PATCH_H + (p / TILE_W % TILE_H) * STEP_IN) * PATCH_W + p % TILE_W * STEP_IN)

#ifdef TURN
#define FILTER_SPACE __private
#else
#define FILTER_SPACE __global
#endif
#ifdef DOT
#define FILTER_BLOCK 16 /* filter elements of one tap of one channel block */
#else
#define FILTER_BLOCK 256
#endif

#ifdef SPREAD
#define DST_STEP SPREAD_STEP
#else
#define DST_STEP STEP_OUT
#endif

typedef struct {
    int n, i, j; /* first image and position */
    int h, w;    /* row and column of src at the patch's corner */
} tile;

/* One direction of a phase. */
typedef struct {
    int taps;
    int first; /* the tap that meets the first row */
    int from;  /* the first row, counted from the patch's first */
} axis;

/* The row of src at the corner of the patch of position 0. */
inline int patch_origin(int extent, int pad, int flip) {
    return flip ? pad / STEP_OUT - ((extent + STEP_OUT - 1) / STEP_OUT - 1) : -pad;
}

inline axis phase_axis(int phase, int extent, int pad, int flip) {
    axis x;
    const int remainder = flip ? (phase + pad) % STEP_OUT : 0;
    x.taps = remainder < extent ? (extent - remainder + STEP_OUT - 1) / STEP_OUT : 0;
    x.first = flip ? remainder + STEP_OUT * (x.taps - 1) : 0;
    x.from = flip ? (phase + pad) / STEP_OUT - (x.taps - 1) - patch_origin(extent, pad, flip) : 0;
    return x;
}

/* Taps [first, end) of an axis that touch the image somewhere in a tile whose patch begins at row `h`. */
inline int2 inside(axis x, int h, int tile_extent, int src_extent) {
    return (int2)(max(0, -(h + x.from + (tile_extent - 1) * STEP_IN)), min(x.taps, src_extent - h - x.from));
}

/* Copies one channel block of a tile's surroundings, and asks for what the next chunk will copy. */
inline void fill_patch(float *patch, const tile t, __global const float *plane, ulong image, int images, int src_h,
                       int src_w) {
    const int j0 = clamp(-t.w, 0, PATCH_W), j1 = clamp(src_w - t.w, j0, PATCH_W);
    for (int n = 0; n < TILE_N; n++)
        for (int i = 0; i < PATCH_H; i++, patch += PATCH_W * 16) {
            const int h = t.h + i;
            const bool in_image = t.n + n < images && h >= 0 && h < src_h;
            const int begin = in_image ? j0 : PATCH_W, end = in_image ? j1 : PATCH_W;
            __global const float *row = plane + (t.n + n) * image + ((long)h * src_w + t.w) * 16;
            int j = 0;
            for (; j < begin; j++) vstore16((float16)(0.0f), j, patch);
            for (; j < end; j++) {
                vstore16(vload16(j, row), j, patch);
                PREFETCH_NEAR(row + ((long)CHUNK * src_h * src_w + j) * 16);
            }
            for (; j < PATCH_W; j++) vstore16((float16)(0.0f), j, patch);
        }
}

/* Adds one chunk of one phase to a tile's sums. `patch` and `filter[v]` are at the phase's first row, column
 * and tap; `block_distance` is that of channel blocks in `filter`. `ahead` walks through filters that this
 * work-item will want next. */
inline void add_taps(float *sums, bool fresh, const float *patch, FILTER_SPACE const float *const *filter,
                     int block_distance, int channels, int rows, int columns, int tap_row, int tap_column,
                     __global const float *ahead) {
    float16 sum[TILE * VECS];
    UNROLL for (int i = 0; i < TILE * VECS; i++) sum[i] = fresh ? (float16)(0.0f) : vload16(i, sums);
    for (int from = 0; channels > 0; channels -= 16, from += block_distance, patch += PATCH)
        for (int a = 0; a < rows; a++)
            for (int b = 0; b < columns; b++) {
                const float *x = patch + (a * PATCH_W + b) * 16;
                FILTER_SPACE const float *f[VECS];
                UNROLL for (int v = 0; v < VECS; v++) f[v] = filter[v] + from + a * tap_row + b * tap_column;
#ifdef DOT
                float16 w[VECS];
                UNROLL for (int v = 0; v < VECS; v++) w[v] = vload16(0, f[v]);
                UNROLL for (int p = 0; p < TILE; p++) {
                    const float16 xp = real_lanes(vload16(IN_PATCH(p), x), min(channels, 16));
                    UNROLL for (int v = 0; v < VECS; v++) sum[p * VECS + v] = xp * w[v] + sum[p * VECS + v];
                }
#else
                const int count = min(channels, 16);
                UNROLL_TWICE for (int c = 0; c < count; c++, ahead += 16) {
                    float16 w[VECS];
                    UNROLL for (int v = 0; v < VECS; v++) w[v] = vload16(c, f[v]);
                    UNROLL for (int p = 0; p < TILE; p++) {
                        const float16 xp = (float16)(x[IN_PATCH(p) * 16 + c]);
                        UNROLL for (int v = 0; v < VECS; v++) sum[p * VECS + v] = xp * w[v] + sum[p * VECS + v];
                    }
                    PREFETCH_FAR(ahead);
                }
#endif
            }
    UNROLL for (int i = 0; i < TILE * VECS; i++) vstore16(sum[i], i, sums);
}

#ifdef TURN
/* The filters of one group and chunk with lanes along dst's channels: [chunk][VECS][TAPS][16 src][16 dst]. */
inline void turn_filters(float *turned, __global const float *filter, int first, int filter_blocks, int chunk,
                         const bool *used) {
    for (int block = 0; block < chunk; block++)
        for (int v = 0; v < VECS; v++)
            for (int tap = 0; tap < TAPS; tap++) {
                if (!used[tap]) continue;
                const int k = min(first + v, filter_blocks - 1);
                TRANSPOSE(turned + ((block * VECS + v) * TAPS + tap) * 256,
                          filter + (((long)block * filter_blocks + k) * TAPS + tap) * 256)
            }
}
#endif

/* The result of a position from its sums, before bias and activation. */
inline float16 result(const float *sum) {
#ifdef DOT
    float16 z = (float16)(0.0f);
    for (int v = 0; v < VECS; v++) {
        const float16 s = vload16(v, sum);
        const float8 s8 = s.lo + s.hi;
        const float4 s4 = s8.lo + s8.hi;
        const float2 s2 = s4.lo + s4.hi;
        ((float *)&z)[v] = s2.x + s2.y;
    }
    return z;
#else
    return vload16(0, sum);
#endif
}

/* Finishes one block of output channels of a tile. (first_h, first_w) is the pixel of the tile's first
 * position, `sum` its sums, `plane` the block's plane in the first image. */
inline void store_tile(const float *sum, float16 bias, __global float *plane, ulong image, int lanes, int images,
                       int first_h, int first_w, int dst_h, int dst_w, int act, float slope, int accumulate) {
    for (int p = 0; p < TILE; p++) {
        const int n = p / (TILE_H * TILE_W);
        const int h = first_h + p / TILE_W % TILE_H * DST_STEP, w = first_w + p % TILE_W * DST_STEP;
        if (n < images && h >= 0 && h < dst_h && w >= 0 && w < dst_w)
            put_lanes(act_value(act, slope, result(sum + p * VECS * 16) + bias),
                      plane + n * image + ((long)h * dst_w + w) * 16, lanes, accumulate);
    }
}

KERNEL void conv_tile(VIEWED(const float, src), int src_c, int src_h, int src_w, MEMORY(const float, filter),
                      int filter_blocks, int taps_h, int taps_w, int flip, MEMORY(const float, bias), int has_bias,
                      VIEWED(float, dst), int dst_c, int dst_h, int dst_w, int first_h, int first_w, int images,
                      int pad_top, int pad_left, int tiles_h, int tiles_w, int tiles, int tiles_each,
                      int groups_each, int phases_each, int act, float slope, int accumulate) {
    const int taps = taps_h * taps_w, src_blocks = (src_c + 15) / 16;
    const int tile0 = get_global_id(0) * tiles_each, tile_count = min(tiles_each, tiles - tile0);
    const int group0 = get_global_id(1) * groups_each;
    const int group_count = min(groups_each, (filter_blocks + VECS - 1) / VECS - group0);
    const int phase0 = get_global_id(2) * phases_each;
    const int phase_count = min(phases_each, STEP_OUT * STEP_OUT - phase0);
    const int tap_column = (flip ? -STEP_OUT : 1) * FILTER_BLOCK, tap_row = tap_column * taps_w;
    float sums[MAX_SUMS * TILE_SUMS + 16];
    float patches[MAX_TILES * CHUNK * PATCH];
    tile at[MAX_TILES];
    src += src_start + src_at;
    filter += filter_start;

    for (int t = 0; t < tile_count; t++) {
        const int column = (tile0 + t) % tiles_w, row = (tile0 + t) / tiles_w;
        at[t].n = row / tiles_h * TILE_N;
        at[t].i = row % tiles_h * TILE_H;
        at[t].j = column * TILE_W;
        at[t].h = patch_origin(taps_h, pad_top, flip) + at[t].i * STEP_IN;
        at[t].w = patch_origin(taps_w, pad_left, flip) + at[t].j * STEP_IN;
    }
#ifdef TURN
    float turned[CHUNK * VECS * TAPS * 256];
    bool used[TAPS];
    for (int tap = 0; tap < TAPS; tap++) used[tap] = false;
    for (int t = 0; t < tile_count; t++)
        for (int p = phase0; p < phase0 + phase_count; p++) {
            const axis y = phase_axis(p / STEP_OUT, taps_h, pad_top, flip);
            const axis x = phase_axis(p % STEP_OUT, taps_w, pad_left, flip);
            const int2 a = inside(y, at[t].h, TILE_H, src_h), b = inside(x, at[t].w, TILE_W, src_w);
            for (int i = a.x; i < a.y; i++)
                for (int j = b.x; j < b.y; j++)
                    used[(y.first - i * STEP_OUT) * taps_w + x.first - j * STEP_OUT] = true;
        }
#endif
    for (int block0 = 0; block0 < src_blocks; block0 += CHUNK) {
        const int chunk = min(CHUNK, src_blocks - block0);
        for (int t = 0; t < tile_count; t++)
            for (int block = 0; block < chunk; block++)
                fill_patch(patches + (t * CHUNK + block) * PATCH, at[t],
                           src + (long)(block0 + block) * src_h * src_w * 16, src_image, images, src_h, src_w);
        for (int g = 0; g < group_count; g++) {
            const bool last = g + 1 == group_count;
            const int next_block = last ? block0 + CHUNK : block0, next_group = group0 + (last ? 0 : g + 1);
            FILTER_SPACE const float *f[VECS];
#ifdef TURN
            const int block_distance = VECS * TAPS * 256;
            turn_filters(turned, filter + (long)block0 * filter_blocks * TAPS * 256, (group0 + g) * VECS,
                         filter_blocks, chunk, used);
            UNROLL for (int v = 0; v < VECS; v++) f[v] = turned + v * TAPS * 256;
#else
            const int block_distance = taps * FILTER_BLOCK;
            UNROLL for (int v = 0; v < VECS; v++) {
                const int k = min((group0 + g) * VECS + v, filter_blocks - 1);
                f[v] = filter + ((long)k * src_blocks + block0) * taps * FILTER_BLOCK;
            }
#endif
            for (int t = 0; t < tile_count; t++)
                for (int p = 0; p < phase_count; p++) {
                    const axis y = phase_axis((phase0 + p) / STEP_OUT, taps_h, pad_top, flip);
                    const axis x = phase_axis((phase0 + p) % STEP_OUT, taps_w, pad_left, flip);
                    const int2 a = inside(y, at[t].h, TILE_H, src_h), b = inside(x, at[t].w, TILE_W, src_w);
                    const int tap = (y.first * taps_w + x.first) * FILTER_BLOCK + a.x * tap_row + b.x * tap_column;
                    FILTER_SPACE const float *ft[VECS];
                    UNROLL for (int v = 0; v < VECS; v++) ft[v] = f[v] + tap;
                    /* Each tile asks for another part of the next filters, each phase for its share. */
#ifdef TURN
                    const long ahead = (long)(next_block + t % CHUNK) * filter_blocks + next_group * VECS + t / CHUNK % VECS;
#else
                    const long ahead = (long)(next_group * VECS + t % VECS) * src_blocks + next_block;
#endif
                    add_taps(sums + ((t * group_count + g) * phase_count + p) * TILE_SUMS, block0 == 0,
                             patches + t * CHUNK * PATCH + ((y.from + a.x) * PATCH_W + x.from + b.x) * 16, ft,
                             block_distance, min(16 * CHUNK, src_c - block0 * 16), a.y - a.x, b.y - b.x, tap_row,
                             tap_column, filter + ahead * taps * FILTER_BLOCK + p * (taps * FILTER_BLOCK / phase_count));
                }
        }
    }
    for (int t = 0; t < tile_count; t++)
#ifdef SPREAD
        for (int p = 0, k = 0; p < DST_STEP * DST_STEP; p++) {
            const float *sum = sums + (t * group_count + p * SPREAD / (VECS * 16)) * TILE_SUMS + p * SPREAD % (VECS * 16);
#else
        for (int p = 0; p < phase_count; p++)
            for (int k = group0 * VECS; k < min((group0 + group_count) * VECS, (dst_c + 15) / 16); k++) {
                const float *sum = sums + ((t * group_count + k / VECS - group0) * phase_count + p) * TILE_SUMS + k % VECS * 16;
#endif
            const int lanes = min(16, dst_c - k * 16);
            store_tile(sum, has_bias ? load_lanes(bias + bias_start + k * 16, lanes) : (float16)(0.0f),
                       dst + dst_start + dst_at + at[t].n * dst_image + (long)k * dst_h * dst_w * 16, dst_image, lanes,
                       images - at[t].n, first_h + at[t].i * DST_STEP + (phase0 + p) / DST_STEP,
                       first_w + at[t].j * DST_STEP + (phase0 + p) % DST_STEP, dst_h, dst_w, act, slope, accumulate);
        }
}
