/* Direct convolution on CPUs, forward and data gradient: register tiles over blocked channels.
 *
 *   dst[n, k, STEP_OUT*i + ph, STEP_OUT*j + pw] =
 *       act(bias[k] + sum over c, a, b of filter[k, c, tap(ph, a), tap(pw, b)] src[n, c, h + a, w + b])
 *
 * Forward: one phase (STEP_OUT 1), h = STEP_IN*i - pad_top. Data gradient: the rows of dst with one
 * remainder ph modulo the stride meet the same taps, the r with (ph + pad_top - r) divisible by the stride,
 * so each phase is a convolution of its own over reversed taps (STEP_IN 1, STEP_OUT the stride, `flip`
 * set). A phase without taps gives act(bias).
 *
 * A work-item computes up to MAX_TILES tiles of TILE_N x TILE_H x TILE_W positions (i, j), `groups_each`
 * groups of VECS blocks of 16 output channels, and a range of phases. It processes the input channels in
 * chunks of CHUNK blocks. It copies the pixels under its tiles to `patches`, with zeros outside the image,
 * so that there are no border cases; then every tile uses the chunk's filters while they are in the nearest
 * cache. So filters are read from memory once per work-item. A tile's sums are registers within a chunk and
 * are kept in `sums` between chunks. Every sum runs over channel block, tap, channel in this order for
 * every tile and grid, so the bits do not depend on tile and grid.
 *
 * With BF16 the patches hold pairs of input channels, and so do the filters, which a work-item always packs
 * itself: `packed` has lanes along dst's channels, [chunk][VECS][TAPS][8 pairs of src][16 dst].
 *
 * Grid: (groups of tiles, groups of output channels, groups of phases), one work-item per work-group.
 * Compile-time: STEP_IN; STEP_OUT; REACH_H, REACH_W: rows and columns of src under one position, all phases
 * together; TILE_N, TILE_H, TILE_W; VECS; CHUNK; with TURN or BF16, TAPS: the number of taps of the filter.
 * And at most one of
 *   TURN    `filter` has its lanes along src's channels, blocks [src/16][dst/16][tap][16 dst][16 src], and is
 *           transposed here;
 *   DOT     VECS single output channels: lanes run along src's channels and are added at the end; filter
 *           [dst][src/16][tap][16 src], as conv_direct_repack_dot makes it;
 *   SPREAD  the data gradient for few output channels: the lanes of the sums are (phase, channel), SPREAD
 *           lanes per phase, so all phases are one convolution; filter as conv_direct_repack_spread makes it.
 */
#ifdef BF16
#define PIXEL 8 /* words of one position and block in a patch */
#else
#define PIXEL 16
#endif
#define TILE      (TILE_N * TILE_H * TILE_W)
#define PATCH_H   ((TILE_H - 1) * STEP_IN + REACH_H)
#define PATCH_W   ((TILE_W - 1) * STEP_IN + REACH_W)
#define PATCH     (TILE_N * PATCH_H * PATCH_W * PIXEL)
#define TILE_SUMS (TILE * VECS * 16)

/* Offset of the sums of a tile, group and phase. */
#define SUMS_AT(my, t, g, p) (((t * (my)->groups + (g)) * (my)->phases + p) * TILE_SUMS)

/* Index of the vector of a patch at which position p of the tile begins. */
#define IN_PATCH(p)                                                                                          \
    (((p / (TILE_H * TILE_W)) * PATCH_H + (p / TILE_W % TILE_H) * STEP_IN) * PATCH_W + p % TILE_W * STEP_IN)

#if defined(TURN) || defined(BF16)
#define PACKED /* the work-item multiplies by a repacked copy of its filters */
#define FILTER_SPACE __private
#else
#define FILTER_SPACE __global
#endif
#ifdef DOT
#define FILTER_BLOCK 16 /* elements of one tap of one channel block of `filter` */
#else
#define FILTER_BLOCK 256
#endif
#ifdef BF16
#define PACKED_BLOCK 128 /* the same in the repacked copy, in words */
#else
#define PACKED_BLOCK FILTER_BLOCK
#endif

/* Vectors of output lanes, and the contents of the k-th of them. */
#if defined(SPREAD)
#define DST_STEP             SPREAD_STEP
#define OUTPUT_BLOCKS(count) (count)
#define DST_BLOCK(k)         0
#define FIRST_PHASE(k)       ((k)*16 / SPREAD)
#elif defined(DOT)
#define DST_STEP             1
#define OUTPUT_BLOCKS(count) 1
#define DST_BLOCK(k)         0
#define FIRST_PHASE(k)       0
#else
#define DST_STEP             STEP_OUT
#define OUTPUT_BLOCKS(count) (count)
#define DST_BLOCK(k)         (k)
#define FIRST_PHASE(k)       0
#endif

typedef struct {
    int n, i, j; /* first image and position */
    int h, w;    /* row and column of src at the patch's corner */
} tile;

/* The work of one work-item: the operands, the convolution, and its share of the grid. */
typedef struct {
    __global const float *src, *filter;
    ulong src_image; /* floats from one image to the next */
    int images, src_c, src_h, src_w, src_blocks, filter_blocks;
    int taps_h, taps_w, taps, flip, pad_top, pad_left;
    int tap_row, tap_column; /* from the index of one tap of a phase to that of the next */
    int tiles, group, groups, phase, phases;
} share;

/* ---- Geometry -------------------------------------------------------------------------------------- */

/* One direction of a phase. */
typedef struct {
    int taps;
    int first; /* the tap that meets the first row */
    int from;  /* the first row, relative to the patch's first */
} axis;

/* The row of src at the corner of the patch of position 0. */
static int patch_origin(int extent, int pad, int flip) {
    return flip ? pad / STEP_OUT - ((extent + STEP_OUT - 1) / STEP_OUT - 1) : -pad;
}

static axis phase_axis(int phase, int extent, int pad, int flip) {
    axis x;
    const int remainder = flip ? (phase + pad) % STEP_OUT : 0;
    x.taps = remainder < extent ? (extent - remainder + STEP_OUT - 1) / STEP_OUT : 0;
    x.first = flip ? remainder + STEP_OUT * (x.taps - 1) : 0;
    x.from = flip ? (phase + pad) / STEP_OUT - (x.taps - 1) - patch_origin(extent, pad, flip) : 0;
    return x;
}

static axis rows_of(const share *my, int p) {
    return phase_axis((my->phase + p) / STEP_OUT, my->taps_h, my->pad_top, my->flip);
}

static axis columns_of(const share *my, int p) {
    return phase_axis((my->phase + p) % STEP_OUT, my->taps_w, my->pad_left, my->flip);
}

/* The taps [first, end) of an axis that meet the image for some position of a tile whose patch begins at
 * row `h`. */
static int2 inside(axis x, int h, int tile_extent, int src_extent) {
    return (int2)(max(0, -(h + x.from + (tile_extent - 1) * STEP_IN)), min(x.taps, src_extent - h - x.from));
}

static tile tile_at(const share *my, int number, int tiles_h, int tiles_w) {
    tile t;
    t.n = number / tiles_w / tiles_h * TILE_N;
    t.i = number / tiles_w % tiles_h * TILE_H;
    t.j = number % tiles_w * TILE_W;
    t.h = patch_origin(my->taps_h, my->pad_top, my->flip) + t.i * STEP_IN;
    t.w = patch_origin(my->taps_w, my->pad_left, my->flip) + t.j * STEP_IN;
    return t;
}

/* ---- Patches --------------------------------------------------------------------------------------- */

#ifdef BF16
#define STORE_PIXEL(v, j, to) vstore8(pair_halves(real_lanes(v, lanes)), j, to)
#define NO_PIXEL(j, to)       vstore8((float8)(0.0f), j, to)
#else
#define STORE_PIXEL(v, j, to) vstore16(v, j, to)
#define NO_PIXEL(j, to)       vstore16((float16)(0.0f), j, to)
#endif

/* Copies the pixels of one channel block under a tile to its patch, and prefetches those at distance
 * `ahead`. A bf16 pair may consist of one channel and one lane that is not a channel. */
static void fill_patch(float *patch, const share *my, const tile t, __global const float *plane, int lanes,
                       long ahead) {
    const int j0 = clamp(-t.w, 0, PATCH_W), j1 = clamp(my->src_w - t.w, j0, PATCH_W);
    for (int n = 0; n < TILE_N; n++)
        for (int i = 0; i < PATCH_H; i++, patch += PATCH_W * PIXEL) {
            const int h = t.h + i;
            const bool in_image = t.n + n < my->images && h >= 0 && h < my->src_h;
            const int begin = in_image ? j0 : PATCH_W, end = in_image ? j1 : PATCH_W;
            __global const float *row = plane + (t.n + n) * my->src_image + ((long)h * my->src_w + t.w) * 16;
            int j = 0;
            for (; j < begin; j++) NO_PIXEL(j, patch);
            for (; j < end; j++) {
                STORE_PIXEL(vload16(j, row), j, patch);
                PREFETCH_NEAR(row + ahead + j * 16);
            }
            for (; j < PATCH_W; j++) NO_PIXEL(j, patch);
        }
}

/* The patches of all tiles for the chunk that begins at `block`: [tile][CHUNK][PATCH]. */
static void fill_patches(float *patches, const share *my, const tile *at, int block) {
    const long plane = (long)my->src_h * my->src_w * 16;
    const long ahead = block + CHUNK < my->src_blocks ? CHUNK * plane : 0;
    for (int t = 0; t < my->tiles; t++)
        for (int b = 0; b < min(CHUNK, my->src_blocks - block); b++)
            fill_patch(patches + (t * CHUNK + b) * PATCH, my, at[t], my->src + (block + b) * plane,
                       min(16, my->src_c - (block + b) * 16), ahead);
}

/* ---- Filters --------------------------------------------------------------------------------------- */

/* The filters that a work-item uses next, for prefetching: the start, and the distances between their
 * blocks of input channels and between their vectors. */
typedef struct {
    __global const float *at;
    long block_distance, vec_distance;
} next_filters;

/* The filters of the chunk that begins at `block` for the group that begins at block `k` of dst. */
static next_filters filters_at(const share *my, int block, int k) {
    next_filters f;
#ifdef TURN
    f.block_distance = (long)my->filter_blocks * my->taps * FILTER_BLOCK;
    f.vec_distance = my->taps * FILTER_BLOCK;
#else
    f.block_distance = my->taps * FILTER_BLOCK;
    f.vec_distance = (long)my->src_blocks * my->taps * FILTER_BLOCK;
#endif
    f.at = my->filter + block * f.block_distance + k * f.vec_distance;
    return f;
}

#ifdef PACKED
/* Marks the taps that meet the image in any of the tiles. */
static void find_used(bool *used, const share *my, const tile *at) {
    for (int tap = 0; tap < TAPS; tap++) used[tap] = false;
    for (int p = 0; p < my->phases; p++) {
        const axis y = rows_of(my, p), x = columns_of(my, p);
        const int first = y.first * my->taps_w + x.first;
        for (int t = 0; t < my->tiles; t++) {
            const int2 a = inside(y, at[t].h, TILE_H, my->src_h), b = inside(x, at[t].w, TILE_W, my->src_w);
            for (int i = a.x; i < a.y; i++)
                for (int j = b.x; j < b.y; j++)
                    used[first + i * my->tap_row + j * my->tap_column] = true;
        }
    }
}

/* One tap of one block of src and one of dst, with lanes along dst's channels. */
#ifndef BF16
#define PACK(to, from) TRANSPOSE(to, from)
#elif defined(TURN)
#define PACK(to, from) TRANSPOSE_PAIRS(to, from)
#else
#define PACK(to, from)                                                                                       \
    UNROLL for (int i = 0; i < 8; i++)                                                                       \
        vstore16(pair_lanes(vload16(2 * i, from), vload16(2 * i + 1, from)), i, to);
#endif

/* Repacks the used filters of a chunk for multiplication: [chunk][VECS][TAPS][16 src][16 dst], or 8 pairs
 * of src. */
static void pack_filters(float *packed, const share *my, int block, int k, const bool *used) {
    for (int b = 0; b < min(CHUNK, my->src_blocks - block); b++)
        for (int v = 0; v < VECS; v++) {
            __global const float *from = filters_at(my, block + b, min(k + v, my->filter_blocks - 1)).at;
            for (int tap = 0; tap < TAPS; tap++)
                if (used[tap]) {
                    PACK(packed + ((b * VECS + v) * TAPS + tap) * PACKED_BLOCK, from + tap * 256)
                }
        }
}
#endif

/* ---- Sums ------------------------------------------------------------------------------------------ */

/* Words per block of which `channels` are real, and the accumulation of one word. */
#ifdef BF16
#define WORDS(channels)     ((channels + 1) / 2)
#define ADD_WORD(sum, x, w) ADD_PAIRS(sum, x, w)
#else
#define WORDS(channels)     (channels)
#define ADD_WORD(sum, x, w) sum = x * w + sum;
#endif

/* Accumulates word `c` of the taps at `f` for all positions of a tile that begins at `x`. */
#define ADD_CHANNEL                                                                                          \
    {                                                                                                        \
        float16 w[VECS];                                                                                     \
        UNROLL for (int v = 0; v < VECS; v++) w[v] = vload16(c, f[v]);                                       \
        UNROLL for (int p = 0; p < TILE; p++) {                                                              \
            const float16 xp = (float16)(x[IN_PATCH(p) * PIXEL + c]);                                        \
            UNROLL for (int v = 0; v < VECS; v++) { ADD_WORD(sum[p * VECS + v], xp, w[v]) }                  \
        }                                                                                                    \
    }

/* Accumulates 16 input channels at once, of which `lanes` are real. */
#define ADD_LANES(lanes)                                                                                     \
    {                                                                                                        \
        float16 w[VECS];                                                                                     \
        UNROLL for (int v = 0; v < VECS; v++) w[v] = vload16(0, f[v]);                                       \
        UNROLL for (int p = 0; p < TILE; p++) {                                                              \
            const float16 xp = real_lanes(vload16(IN_PATCH(p), x), lanes);                                   \
            UNROLL for (int v = 0; v < VECS; v++) sum[p * VECS + v] = xp * w[v] + sum[p * VECS + v];         \
        }                                                                                                    \
    }

/* Adds one chunk of one phase, `taps` rows and columns, to the sums of tile `t`. `patch` and `filter[v]`
 * point to the phase's first row, column and tap; `block_distance` is the distance of channel blocks in
 * `filter`. The tiles take turns in prefetching the next filters, one tap each. */
static void add_taps(float *sums, bool fresh, const share *my, const float *patch,
                     FILTER_SPACE const float *const *filter, int block_distance, int channels, int2 taps,
                     next_filters next, int t) {
    float16 sum[TILE * VECS];
    UNROLL for (int i = 0; i < TILE * VECS; i++) sum[i] = fresh ? (float16)(0.0f) : vload16(i, sums);
    for (int block = 0; channels > 0; channels -= 16, block++, patch += PATCH)
        for (int a = 0; a < taps.x; a++)
            for (int b = 0; b < taps.y; b++) {
                const float *x = patch + (a * PATCH_W + b) * PIXEL;
                const int tap = a * my->tap_row + b * my->tap_column;
                FILTER_SPACE const float *f[VECS];
                UNROLL for (int v = 0; v < VECS; v++) f[v] = filter[v] + block * block_distance + tap * PACKED_BLOCK;
#ifdef DOT
                ADD_LANES(min(channels, 16))
#else
                const int count = WORDS(min(channels, 16));
                if (t == 0) {
                    __global const float *ahead = next.at + block * next.block_distance + tap * FILTER_BLOCK;
                    for (int c = 0; c < count; c++) {
                        ADD_CHANNEL
                        UNROLL for (int v = 0; v < VECS * 16 / PIXEL; v++)
                            PREFETCH_FAR(ahead + v % VECS * next.vec_distance +
                                         (c * 16 / PIXEL + v / VECS) * 16);
                    }
                } else {
                    for (int c = 0; c < count; c++) ADD_CHANNEL
                }
                t = t == 0 ? my->tiles - 1 : t - 1;
#endif
            }
    UNROLL for (int i = 0; i < TILE * VECS; i++) vstore16(sum[i], i, sums);
}

/* Adds the chunk that begins at `block` to the sums of group `g` of all tiles. Phases are the outer loop,
 * so that the filters of one phase stay in the nearest cache. */
static void add_chunk(float *sums, const share *my, const tile *at, const float *patches,
                      FILTER_SPACE const float *const *filter, int block_distance, next_filters next,
                      int block, int g) {
    for (int p = 0; p < my->phases; p++) {
        const axis y = rows_of(my, p), x = columns_of(my, p);
        for (int t = 0; t < my->tiles; t++) {
            const int2 a = inside(y, at[t].h, TILE_H, my->src_h), b = inside(x, at[t].w, TILE_W, my->src_w);
            const int tap =
                y.first * my->taps_w + x.first + a.x * my->tap_row + b.x * my->tap_column;
            FILTER_SPACE const float *f[VECS];
            UNROLL for (int v = 0; v < VECS; v++) f[v] = filter[v] + tap * PACKED_BLOCK;
            next_filters next_tap = next;
            next_tap.at += tap * FILTER_BLOCK;
            add_taps(sums + SUMS_AT(my, t, g, p), block == 0, my,
                     patches + t * CHUNK * PATCH + ((y.from + a.x) * PATCH_W + x.from + b.x) * PIXEL, f,
                     block_distance, min(16 * CHUNK, my->src_c - block * 16),
                     (int2)(a.y - a.x, b.y - b.x), next_tap, t);
        }
    }
}

/* Computes the sums of all tiles, groups and phases of this work-item over all input channels. */
static void sum_all(float *sums, const share *my, const tile *at) {
    float patches[MAX_TILES * CHUNK * PATCH];
#ifdef PACKED
    float packed[CHUNK * VECS * TAPS * PACKED_BLOCK];
    bool used[TAPS];
    find_used(used, my, at);
#endif
    for (int block = 0; block < my->src_blocks; block += CHUNK) {
        fill_patches(patches, my, at, block);
        for (int g = 0; g < my->groups; g++) {
            const bool last = g + 1 == my->groups;
            const int k = (my->group + g) * VECS;
            const next_filters next =
                filters_at(my, last ? block + CHUNK : block, last ? my->group * VECS : k + VECS);
            FILTER_SPACE const float *f[VECS];
#ifdef PACKED
            const int block_distance = VECS * TAPS * PACKED_BLOCK;
            pack_filters(packed, my, block, k, used);
            UNROLL for (int v = 0; v < VECS; v++) f[v] = packed + v * TAPS * PACKED_BLOCK;
#else
            const int block_distance = my->taps * FILTER_BLOCK;
            UNROLL for (int v = 0; v < VECS; v++)
                f[v] = filters_at(my, block, min(k + v, my->filter_blocks - 1)).at;
#endif
            add_chunk(sums, my, at, patches, f, block_distance, next, block, g);
        }
    }
}

/* ---- Results --------------------------------------------------------------------------------------- */

/* The result of a position from its sums, before bias and activation. */
static float16 result(const float *sum) {
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

/* Destination of a tile's results: its images and first pixel, and one block of channels. */
typedef struct {
    __global float *plane; /* of the block, in the tile's first image */
    ulong image;
    int images, first_h, first_w, height, width, lanes, accumulate;
} target;

/* Stores the result of position `p` of the tile, shifted by `down` and `right` pixels. */
static void store_pixel(const target to, int p, int down, int right, float16 z) {
    const int n = p / (TILE_H * TILE_W);
    const int h = to.first_h + p / TILE_W % TILE_H * DST_STEP + down;
    const int w = to.first_w + p % TILE_W * DST_STEP + right;
    if (n < to.images && h >= 0 && h < to.height && w >= 0 && w < to.width)
        put_lanes(z, to.plane + n * to.image + ((long)h * to.width + w) * 16, to.lanes, to.accumulate);
}

/* Applies bias and activation to one vector of sums of each position and stores it. The vector holds output
 * channels or, with SPREAD, several phases from `phase` on. */
static void store_tile(const target to, const float *sum, float16 bias, int phase, int act, float slope) {
    for (int p = 0; p < TILE; p++, sum += VECS * 16) {
        const float16 z = act_value(act, slope, result(sum) + bias);
#ifdef SPREAD
        float lane[32];
        vstore16(z, 0, lane);
        for (int part = 0; part < 16 / SPREAD && phase + part < DST_STEP * DST_STEP; part++)
            store_pixel(to, p, (phase + part) / DST_STEP, (phase + part) % DST_STEP,
                        vload16(0, lane + part * SPREAD));
#else
        store_pixel(to, p, 0, 0, z);
#endif
    }
}

/* Bias of the lanes of an output vector. */
static float16 load_bias(__global const float *bias, int lanes) {
#ifdef SPREAD
    float16 b = (float16)(0.0f);
    for (int l = 0; l < 16; l++)
        if (l % SPREAD < lanes) ((float *)&b)[l] = bias[l % SPREAD];
    return b;
#else
    return load_lanes(bias, lanes);
#endif
}

KERNEL void conv_direct_tile(VIEWED(const float, src), int src_c, int src_h, int src_w, MEMORY(const float, filter),
                             int filter_blocks, int taps_h, int taps_w, int flip, MEMORY(const float, bias),
                             int has_bias, VIEWED(float, dst), int dst_c, int dst_h, int dst_w, int first_h,
                             int first_w, int images, int pad_top, int pad_left, int tiles_h, int tiles_w, int tiles,
                             int tiles_each, int groups_each, int phases_each, int act, float slope, int accumulate) {
    const int tile0 = get_global_id(0) * tiles_each;
    share my = {.src = src + src_start + src_at, .filter = filter + filter_start, .src_image = src_image,
                .images = images, .src_c = src_c, .src_h = src_h, .src_w = src_w,
                .src_blocks = (src_c + 15) / 16, .filter_blocks = filter_blocks, .taps_h = taps_h,
                .taps_w = taps_w, .taps = taps_h * taps_w, .flip = flip, .pad_top = pad_top,
                .pad_left = pad_left, .tap_column = flip ? -STEP_OUT : 1,
                .tiles = min(tiles_each, tiles - tile0), .group = get_global_id(1) * groups_each,
                .phase = get_global_id(2) * phases_each};
    my.tap_row = my.tap_column * taps_w;
    my.groups = min(groups_each, (filter_blocks + VECS - 1) / VECS - my.group);
    my.phases = min(phases_each, STEP_OUT * STEP_OUT - my.phase);
    tile at[MAX_TILES];
    for (int t = 0; t < my.tiles; t++) at[t] = tile_at(&my, tile0 + t, tiles_h, tiles_w);
    float sums[MAX_SUMS * TILE_SUMS + 16];
    sum_all(sums, &my, at);

    const int k_end = min((my.group + my.groups) * VECS, OUTPUT_BLOCKS(filter_blocks));
    for (int k = my.group * VECS; k < k_end; k++) {
        const int block = DST_BLOCK(k), lanes = min(16, dst_c - block * 16);
        const float16 b = has_bias ? load_bias(bias + bias_start + block * 16, lanes) : (float16)(0.0f);
        __global float *plane = dst + dst_start + dst_at + (long)block * dst_h * dst_w * 16;
        for (int t = 0; t < my.tiles; t++)
            for (int p = 0; p < my.phases; p++) {
                const target to = {.plane = plane + at[t].n * dst_image, .image = dst_image,
                                   .images = images - at[t].n, .height = dst_h, .width = dst_w,
                                   .first_h = first_h + at[t].i * DST_STEP + (my.phase + p) / STEP_OUT,
                                   .first_w = first_w + at[t].j * DST_STEP + (my.phase + p) % STEP_OUT,
                                   .lanes = lanes, .accumulate = accumulate};
                store_tile(to, sums + SUMS_AT(&my, t, k / VECS - my.group, p) + k % VECS * 16, b,
                           FIRST_PHASE(k), act, slope);
            }
    }
}
