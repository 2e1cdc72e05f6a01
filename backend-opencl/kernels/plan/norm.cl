/* Normalisation over groups of images and all positions, forward and backward, on CPUs.
 *
 * Lanes are channels, so no sum crosses lanes. Sums have two stages with a partition that depends on the
 * shape alone: one partial result per chunk of positions of one image and block, then one work-item per
 * block adds them in order. Variances are computed from squared deviations, first from the chunk's own
 * mean, then from the group's, so there is no cancellation. Partial results are stored
 * [image][chunk][block][2][16].
 */

/* Mean of one chunk, and the sum of squared deviations from it. */
KERNEL void norm_partial(VIEW, VIEWED(const STORED, x), MEMORY(float, partial), const int chunks) {
    if (get_global_id(0) >= chunks) return;
    __global const STORED *from = PLANE(x);
    const int lanes = LANES(0);
    const long end = END;
    float16 sum = 0.0f, squares = 0.0f;
    for (long p = FIRST; p < end; p += 32) {
        float16 run = 0.0f; /* short runs first: the error grows with the length of a sum */
        for (long q = p; q < min(p + 32, end); q++) run += load_viewed(from + 16 * q, lanes);
        sum += run;
    }
    const float16 mean = sum / (float)(end - FIRST);
    for (long p = FIRST; p < end; p += 32) {
        float16 run = 0.0f;
        for (long q = p; q < min(p + 32, end); q++) {
            const float16 d = load_viewed(from + 16 * q, lanes) - mean;
            run += d * d;
        }
        squares += run;
    }
    __global float *to = partial + partial_start +
                         32 * PARTIAL((ulong)chunks, IMAGE, get_global_id(0), BLOCK, get_global_size(1));
    vstore16(mean, 0, to);
    vstore16(squares, 1, to);
}

/* running += momentum * (new - running) for 16 channels of one group. */
static inline void move_running(__global float *mean, int channels, float momentum, float count, float16 new_mean,
                         float16 squares, int lanes) {
    __global float *variance = mean + channels;
    const float16 m = load_exactly(mean, lanes), v = load_exactly(variance, lanes);
    store_lanes(m + momentum * (new_mean - m), mean, lanes);
    store_lanes(v + momentum * (squares / max(count - 1.0f, 1.0f) - v), variance, lanes);
}

/* Updates running statistics from finished statistics, group after group. One work-item per block. */
KERNEL void norm_running(MEMORY(const float, stats), MEMORY(float, running), const float momentum,
                         const int groups, const int channels) {
    const ulong block = get_global_id(0), blocks = (channels + 15) / 16;
    if (block >= blocks) return;
    const int lanes = min(channels - (int)block * 16, 16);
    __global const float *from = stats + stats_start + block * 16;
    for (int g = 0; g < groups; g++, from += 3 * channels)
        move_running(running + running_start + block * 16, channels, momentum, from[0],
                     load_lanes(from + channels, lanes), load_lanes(from + 2 * channels, lanes), lanes);
}

/* Count, mean and squared deviations of each group from its partial results; also updates the running mean
 * and variance, group after group. One work-item per block. */
KERNEL void norm_combine(MEMORY(const float, partial), MEMORY(float, stats), MEMORY(float, running),
                         const int running_flags, const float momentum, const int positions, const int chunk,
                         const int chunks, const int groups, const int images, const int channels) {
    const ulong block = get_global_id(0), blocks = (channels + 15) / 16;
    if (block >= blocks) return;
    const int lanes = min(channels - (int)block * 16, 16);
    const float count = (float)images * (float)positions;
    __global const float *from = partial + partial_start;
    __global float *to = stats + stats_start + block * 16;
    for (int g = 0; g < groups; g++) {
        float16 mean = 0.0f, squares = 0.0f;
        for (int i = g * images; i < (g + 1) * images; i++) {
            float16 run = 0.0f;
            for (int j = 0; j < chunks; j++)
                run += vload16(0, from + 32 * PARTIAL((ulong)chunks, i, j, block, blocks)) *
                       (float)min(chunk, positions - j * chunk);
            mean += run;
        }
        mean /= count;
        for (int i = g * images; i < (g + 1) * images; i++) {
            float16 run = 0.0f;
            for (int j = 0; j < chunks; j++) {
                __global const float *one = from + 32 * PARTIAL((ulong)chunks, i, j, block, blocks);
                const float16 d = vload16(0, one) - mean;
                run += vload16(1, one) + d * d * (float)min(chunk, positions - j * chunk);
            }
            squares += run;
        }
        store_lanes((float16)(count), to + (ulong)(3 * g) * channels, lanes);
        store_lanes(mean, to + (ulong)(3 * g + 1) * channels, lanes);
        store_lanes(squares, to + (ulong)(3 * g + 2) * channels, lanes);
        if (running_flags)
            move_running(running + running_start + block * 16, channels, momentum, count, mean, squares,
                         lanes);
    }
}

/* ---- Normalising ----------------------------------------------------------------------------------- */

/* Source of mean and variance: rows of `stats`, or of the running statistics. */
#define SOURCES                                                                                              \
    MEMORY(const float, stats), const int from_running, const int images, const int channels,                \
        const float eps, const int affine, MEMORY(const float, scale), MEMORY(const float, shift)

typedef struct {
    float16 mean, rstd, scale, shift;
} normaliser;

/* The coefficients of a block and image. Lanes that are not channels are zero and never stored. */
static inline normaliser load_normaliser(ulong image, ulong block, SOURCES) {
    const int lanes = min(channels - (int)block * 16, 16);
    __global const float *from = stats + stats_start + block * 16;
    normaliser n;
    if (from_running) {
        n.mean = load_lanes(from, lanes);
        n.rstd = 1.0f / sqrt(load_lanes(from + channels, lanes) + eps);
    } else {
        from += image / images * 3 * channels;
        n.mean = load_lanes(from + channels, lanes);
        n.rstd = 1.0f / sqrt(load_lanes(from + 2 * channels, lanes) / load_lanes(from, lanes) + eps);
    }
    n.scale = affine ? load_lanes(scale + scale_start + block * 16, lanes) : (float16)(1.0f);
    n.shift = affine ? load_lanes(shift + shift_start + block * 16, lanes) : (float16)(0.0f);
    return n;
}
#define NORMALISER                                                                                           \
    load_normaliser(IMAGE, BLOCK, stats, stats_start, from_running, images, channels, eps, affine, scale,    \
                    scale_start, shift, shift_start)

#define ACTS const int act, const float slope, const int act2, const float slope2

#define MASK(p)                                                                                              \
    (threshold ? dropout_mask(step + step_start, IMAGE, BLOCK, p, layer, threshold, kept, width)             \
               : (float16)(1.0f))

/* y (+)= act(dropout(scale xhat + shift)), and y2 with act2. */
KERNEL void norm_apply(VIEW, VIEWED(const STORED, x), SOURCES, MEMORY(const uint, step), DROPOUT,
                       VIEWED(STORED, y), const int y_flags, VIEWED(STORED, y2), const int y2_flags, ACTS) {
    if (FIRST >= positions) return;
    const normaliser n = NORMALISER;
    const int lanes = LANES(0);
    __global const STORED *from = PLANE(x);
    __global STORED *to = PLANE(y);
    __global STORED *to2 = PLANE(y2);
    for (long p = FIRST; p < END; p++) {
        const float16 xhat = (load_viewed(from + 16 * p, lanes) - n.mean) * n.rstd;
        const float16 z = (xhat * n.scale + n.shift) * MASK(p); /* as in gradient_at, for equal signs */
        put_lanes(act_value(act, slope, z), to + 16 * p, lanes, y_flags & HAS_ACCUMULATE);
        if (y2_flags) put_lanes(act_value(act2, slope2, z), to2 + 16 * p, lanes, y2_flags & HAS_ACCUMULATE);
    }
}

/* ---- Backward -------------------------------------------------------------------------------------- */

#define GRADIENTS                                                                                            \
    VIEW, VIEWED(const STORED, x), SOURCES, MEMORY(const uint, step), DROPOUT, VIEWED(const STORED, dy),     \
        VIEWED(const STORED, dy2), const int dy2_flags, ACTS

/* g = mask * (act'(y) dy + act2'(y2) dy2); y and y2 are recomputed from xhat. */
static inline float16 gradient_at(float16 xhat, const normaliser *n, float16 mask, float16 dy, float16 dy2,
                           int dy2_flags, ACTS) {
    const float16 z = (xhat * n->scale + n->shift) * mask;
    float16 g = act_slope(act, slope, act_value(act, slope, z)) * dy;
    if (dy2_flags) g += act_slope(act2, slope2, act_value(act2, slope2, z)) * dy2;
    return mask * g;
}

/* Declares xhat and g at a position, from the arguments GRADIENTS. */
#define LOAD_GRADIENT(p)                                                                                     \
    const float16 xhat = (load_viewed(from_x + 16 * (p), lanes) - n.mean) * n.rstd;                          \
    const float16 g = gradient_at(xhat, &n, MASK(p), load_viewed(from_dy + 16 * (p), lanes),                 \
                                  dy2_flags ? load_viewed(from_dy2 + 16 * (p), lanes) : (float16)(0.0f),     \
                                  dy2_flags, act, slope, act2, slope2)

/* Sums of g and of g xhat over one chunk. */
KERNEL void norm_bwd_partial(GRADIENTS, MEMORY(float, partial), const int chunks) {
    if (get_global_id(0) >= chunks) return;
    const normaliser n = NORMALISER;
    const int lanes = LANES(0);
    const long end = END;
    __global const STORED *from_x = PLANE(x), *from_dy = PLANE(dy), *from_dy2 = PLANE(dy2);
    float16 sum0 = 0.0f, sum1 = 0.0f;
    for (long p = FIRST; p < end; p += 32) {
        float16 run0 = 0.0f, run1 = 0.0f;
        for (long q = p; q < min(p + 32, end); q++) {
            LOAD_GRADIENT(q);
            run0 += g;
            run1 += g * xhat;
        }
        sum0 += run0;
        sum1 += run1;
    }
    __global float *to = partial + partial_start +
                         32 * PARTIAL((ulong)chunks, IMAGE, get_global_id(0), BLOCK, get_global_size(1));
    vstore16(sum0, 0, to);
    vstore16(sum1, 1, to);
}

/* dx (+)= scale rstd (g - sums0/count - xhat sums1/count); exactly 0 if count is 1. */
KERNEL void norm_bwd_apply(GRADIENTS, MEMORY(const float, sums), VIEWED(STORED, dx), const int accumulate) {
    if (FIRST >= positions) return;
    const normaliser n = NORMALISER;
    const int lanes = LANES(0);
    const ulong group = IMAGE / images;
    __global const STORED *from_x = PLANE(x), *from_dy = PLANE(dy), *from_dy2 = PLANE(dy2);
    __global STORED *to = PLANE(dx);
    const float16 count = load_lanes(stats + stats_start + group * 3 * channels + BLOCK * 16, lanes);
    __global const float *from = sums + sums_start + group * 2 * channels + BLOCK * 16;
    const float16 mean0 = load_lanes(from, lanes) / count, mean1 = load_lanes(from + channels, lanes) / count;
    const float16 factor = select(n.scale * n.rstd, (float16)(0.0f), count == 1.0f);
    for (long p = FIRST; p < END; p++) {
        LOAD_GRADIENT(p);
        put_lanes(factor * (g - mean0 - xhat * mean1), to + 16 * p, lanes, accumulate);
    }
}
