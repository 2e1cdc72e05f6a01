/* Normalisation on devices other than CPUs, by quads and work-groups as described in quads.clh.
 *
 * Statistics are summaries (count, mean, squared deviations from the mean) of up to 8 values held in
 * registers, merged pairwise by Chan's formula: there is no cancellation, and x is read once for its
 * statistics. Small maps take one launch: a work-group sums a block of channels and then normalises it.
 * Larger maps take two: the first summarises chunks of positions; in the second every work-group merges the
 * same few partial results before it normalises its part. Groups of images are processed in sequence if
 * running statistics or parameter gradients depend on their order.
 */

typedef struct {
    float4 mean, m2;
    float count;
} summary;

/* The summary of both; an empty one (count 0) has no effect. */
static inline summary merged(summary a, summary b) {
    summary s;
    s.count = a.count + b.count;
    const float share = s.count > 0.0f ? b.count / s.count : 0.0f;
    const float4 d = b.mean - a.mean;
    s.mean = a.mean + d * share;
    s.m2 = a.m2 + b.m2 + d * d * (a.count * share);
    return s;
}

static inline summary no_summary(void) {
    summary s;
    s.mean = s.m2 = 0.0f;
    s.count = 0.0f;
    return s;
}
#define MERGE(a, b) all[a] = merged(all[a], all[b])

/* Adds every pace-th position from `first` to `end` to `s`, 8 at a time. */
static inline summary summarise(summary s, __global const STORED *from, uint first, uint end, uint pace, int numbers) {
    for (uint p = first; p < end; p += 8 * pace) {
        float4 x[8], sum = 0.0f;
        const uint count = min((end - p + pace - 1) / pace, 8u);
        UNROLL for (uint i = 0; i < 8; i++) {
            x[i] = i < count ? load_quad(from + (ulong)(p + i * pace) * 16, numbers) : (float4)(0.0f);
            sum += x[i];
        }
        summary few;
        few.count = (float)count;
        few.mean = sum / few.count;
        few.m2 = 0.0f;
        UNROLL for (uint i = 0; i < 8; i++) {
            const float4 d = i < count ? x[i] - few.mean : (float4)(0.0f);
            few.m2 += d * d;
        }
        s = merged(s, few);
    }
    return s;
}

/* Mean and squared deviations of one chunk of positions of one image. */
KERNEL void norm_part(SUMMED, VIEWED(const STORED, x), MEMORY(float, partial), const int chunk, const int chunks) {
    __local summary all[SUM_ITEMS];
    const uint first = (uint)GROUP_INDEX(0) * chunk, end = min(first + chunk, (uint)positions);
    EACH_LEAF(v, items) {
        all[v] = summarise(no_summary(), LEAF_START(x, IMAGE, v), first + LEAF_POSITION(v), end, PACE, LEAF_NUMBERS(v));
    }
    TREE(4, MERGE)
    EACH_LEAF(v, 4) {
        __global float *to = PARTIAL_AT(IMAGE * chunks + GROUP_INDEX(0), 2);
        vstore4(all[v].mean, v, to);
        vstore4(all[v].m2, 4 + v, to);
    }
}

/* Outputs: the statistics, and the running statistics if running_flags is set. */
#define OUTPUTS MEMORY(float, stats), MEMORY(float, running), const int running_flags, const float momentum

/* running += momentum * (new - running) for the quad from `channel` on. */
static inline void move_running(__global float *running, int channels, ulong channel, int numbers, float momentum,
                                float count, float4 mean, float4 m2) {
    __global float *to_mean = running + channel, *to_variance = to_mean + channels;
    const float4 m = load_plain(to_mean, numbers), v = load_plain(to_variance, numbers);
    store_plain(m + momentum * (mean - m), to_mean, numbers);
    store_plain(v + momentum * (m2 / max(count - 1.0f, 1.0f) - v), to_variance, numbers);
}

/* Stores `s`, the statistics of the quad from `channel` on in group g of images. */
static inline void put_statistics(summary s, ulong g, int channels, ulong channel, OUTPUTS) {
    const int numbers = numbers_left(channels, channel);
    __global float *to = stats + stats_start + 3 * g * channels + channel;
    store_plain((float4)(s.count), to, numbers);
    store_plain(s.mean, to + channels, numbers);
    store_plain(s.m2, to + 2 * channels, numbers);
    if (running_flags)
        move_running(running + running_start, channels, channel, numbers, momentum, s.count, s.mean, s.m2);
}
#define PUT_STATISTICS(v, g)                                                                                 \
    put_statistics(all[v], g, channels, BLOCK * 16 + 4 * (v), stats, stats_start, running, running_start,    \
                   running_flags, momentum)

/* Leaf `v` of the tree over the partial results of group g of images. */
#define PARTS const int images, MEMORY(const float, partial), const int chunk, const int chunks
static inline summary merge_parts(int v, ulong g, ulong block, int positions, int channels, int items, PARTS) {
    const uint shift = 2;
    summary s = no_summary();
    for (uint i = (uint)v >> shift; i < (uint)(images * chunks); i += PACE) {
        __global const float *from =
            partial + partial_start + ((g * images * chunks + i) * SUM_BLOCKS + block) * 32 + 4 * ((uint)v & 3);
        summary one;
        one.count = (float)min(chunk, positions - (int)(i % (uint)chunks) * chunk);
        one.mean = vload4(0, from);
        one.m2 = vload4(4, from);
        s = merged(s, one);
    }
    return s;
}
#define MERGE_PARTS(v, g)                                                                                    \
    merge_parts(v, g, BLOCK, positions, channels, items, images, partial, partial_start, chunk, chunks)

/* Statistics of each group of images from its partial results. One work-group per block of channels. */
KERNEL void norm_combine(SUMMED, PARTS, const int groups, OUTPUTS) {
    __local summary all[SUM_ITEMS];
    for (int g = 0; g < groups; g++) {
        EACH_LEAF(v, items) all[v] = MERGE_PARTS(v, g);
        TREE(4, MERGE)
        EACH_LEAF(v, 4) PUT_STATISTICS(v, g);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

/* ---- Normalising ----------------------------------------------------------------------------------- */

#define AFFINE const float eps, const int affine, MEMORY(const float, scale), MEMORY(const float, bias)
/* Source of mean and variance: rows of `stats`, or of the running statistics. */
#define SOURCES MEMORY(const float, stats), const int from_running, const int images, const int channels

typedef struct {
    float4 mean, rstd, scale, shift;
} normaliser;

/* The coefficients of the quad from `channel` on. */
static inline normaliser make_normaliser(float4 mean, float4 variance, ulong channel, int numbers, AFFINE) {
    normaliser n;
    n.mean = mean;
    n.rstd = 1.0f / sqrt(variance + eps);
    n.scale = affine ? load_plain(scale + scale_start + channel, numbers) : (float4)(1.0f);
    n.shift = affine ? load_plain(bias + bias_start + channel, numbers) : (float4)(0.0f);
    return n;
}
#define MAKE_NORMALISER(mean, variance, channel, numbers)                                                    \
    make_normaliser(mean, variance, channel, numbers, eps, affine, scale, scale_start, bias, bias_start)

/* The coefficients from finished statistics. */
static inline normaliser load_normaliser(ulong image, ulong channel, int numbers, SOURCES, AFFINE) {
    __global const float *from = stats + stats_start + channel;
    if (from_running)
        return MAKE_NORMALISER(load_plain(from, numbers), load_plain(from + channels, numbers), channel, numbers);
    from += image / images * 3 * channels;
    const float4 count = numbers > 0 ? from[0] : 1.0f;
    return MAKE_NORMALISER(load_plain(from + channels, numbers), load_plain(from + 2 * channels, numbers) / count,
                           channel, numbers);
}
#define LOAD_NORMALISER(image, channel, numbers)                                                             \
    load_normaliser(image, channel, numbers, stats, stats_start, from_running, images, channels, eps, affine, \
                    scale, scale_start, bias, bias_start)

#define ACTS const int act, const float slope, const int act2, const float slope2

#define MASK(image, channel, p)                                                                              \
    (threshold ? dropout_quad(step + step_start, image, (channel) / 4, p, layer, threshold, kept, width)     \
               : (float4)(1.0f))

/* y (+)= act(dropout(scale xhat + shift)), and y2 with act2, for the quad at offset `at` from the start of
 * its image. */
#define RESULTS                                                                                              \
    MEMORY(const uint, step), DROPOUT, VIEWED(STORED, y), const int y_flags, VIEWED(STORED, y2),             \
        const int y2_flags, ACTS
static inline void put_results(float4 x, normaliser n, ulong image, uint channel, uint p, ulong at, int numbers,
                               RESULTS) {
    const float4 xhat = (x - n.mean) * n.rstd;
    const float4 z = (xhat * n.scale + n.shift) * MASK(image, channel, p); /* as in gradient_at, for equal
                                                                            * signs */
    put_quad(act_value4(act, slope, z), y + y_start + y_at + image * y_image + at, numbers, y_flags & HAS_ACCUMULATE);
    if (y2_flags)
        put_quad(act_value4(act2, slope2, z), y2 + y2_start + y2_at + image * y2_image + at, numbers,
                 y2_flags & HAS_ACCUMULATE);
}
#define PUT_RESULTS(x, n, image, channel, p, at, numbers)                                                    \
    put_results(x, n, image, channel, p, at, numbers, step, step_start, layer, threshold, kept, width, y, y_start, \
                y_at, y_image, y_flags, y2, y2_start, y2_at, y2_image, y2_flags, act, slope, act2, slope2)

/* Offset of this work-item's quad at position p from the start of the image. */
#define PLANE_AT(p) (BLOCK * positions * 16 + 4 * QUAD + (ulong)(p) * 16)
#define QUAD_OF(name, image, at, numbers) load_quad(name + name##_start + name##_at + (image) * name##_image + (at), numbers)

/* Normalises with finished statistics. With running_flags it also updates the running statistics, group
 * after group. */
KERNEL void norm_apply(WALK, VIEWED(const STORED, x), SOURCES, AFFINE, const int groups, MEMORY(float, running),
                       const int running_flags, const float momentum, RESULTS) {
    const int numbers = BLOCK < (ulong)blocks ? NUMBERS(0) : 0;
    if (numbers == 0) return;
    if (running_flags && IMAGE == 0 && get_global_id(0) >> shift == 0)
        for (int g = 0; g < groups; g++) {
            __global const float *from = stats + stats_start + (ulong)(3 * g) * channels + CHANNEL;
            move_running(running + running_start, channels, CHANNEL, numbers, momentum, from[0],
                         load_plain(from + channels, numbers), load_plain(from + 2 * channels, numbers));
        }
    const normaliser n = LOAD_NORMALISER(IMAGE, CHANNEL, numbers);
    EACH_POSITION(p)
    PUT_RESULTS(QUAD_OF(x, IMAGE, PLANE_AT(p), numbers), n, IMAGE, CHANNEL, p, PLANE_AT(p), numbers);
}

/* Normalises with partial results. The first work-group of each block merges all groups of images and
 * stores their statistics. */
KERNEL void norm_apply_parts(WALK, VIEWED(const STORED, x), const int channels, const int items, PARTS,
                             const int groups, OUTPUTS, AFFINE, RESULTS) {
    __local summary all[SUM_ITEMS], own[4];
    const bool leads = IMAGE == 0 && GROUP_INDEX(0) == 0;
    const int mine = (int)(IMAGE / (ulong)images), last = leads ? groups : mine + 1;
    for (int g = mine; g < last; g++) {
        EACH_LEAF(v, items) all[v] = MERGE_PARTS(v, g);
        TREE(4, MERGE)
        EACH_LEAF(v, 4) {
            if (g == mine) own[v] = all[v];
            if (leads) PUT_STATISTICS(v, g);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int numbers = NUMBERS(0);
    if (numbers == 0) return;
    const summary s = own[QUAD];
    const normaliser n = MAKE_NORMALISER(s.mean, s.m2 / s.count, CHANNEL, numbers);
    EACH_POSITION(p)
    PUT_RESULTS(QUAD_OF(x, IMAGE, PLANE_AT(p), numbers), n, IMAGE, CHANNEL, p, PLANE_AT(p), numbers);
}

/* Statistics and results in one launch. One work-group per block handles `each` groups of images in
 * sequence. */
KERNEL void norm_whole(SUMMED, VIEWED(const STORED, x), const int images, const int each, OUTPUTS, AFFINE, RESULTS) {
    __local summary all[SUM_ITEMS];
    for (ulong g = IMAGE * each; g < (IMAGE + 1) * each; g++) {
        EACH_LEAF(v, items) {
            summary s = no_summary();
            for (ulong image = g * images; image < (g + 1) * images; image++)
                s = summarise(s, LEAF_START(x, image, v), LEAF_POSITION(v), positions, PACE, LEAF_NUMBERS(v));
            all[v] = s;
        }
        TREE(4, MERGE)
        EACH_LEAF(v, 4) PUT_STATISTICS(v, g);
        EACH_LEAF(v, items) {
            const int numbers = LEAF_NUMBERS(v);
            const uint channel = (uint)BLOCK * 16 + 4 * LEAF_QUAD(v);
            const summary s = all[LEAF_QUAD(v)];
            const normaliser n = MAKE_NORMALISER(s.mean, s.m2 / s.count, channel, numbers);
            if (numbers > 0)
                for (ulong image = g * images; image < (g + 1) * images; image++)
                    for (uint p = LEAF_POSITION(v); p < (uint)positions; p += PACE) {
                        const ulong at = (BLOCK * positions + p) * 16 + 4 * LEAF_QUAD(v);
                        PUT_RESULTS(QUAD_OF(x, image, at, numbers), n, image, channel, p, at, numbers);
                    }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

/* ---- Backward -------------------------------------------------------------------------------------- */

#define GRADIENTS                                                                                            \
    VIEWED(const STORED, x), SOURCES, AFFINE, MEMORY(const uint, step), DROPOUT, VIEWED(const STORED, dy),   \
        VIEWED(const STORED, dy2), const int dy2_flags, ACTS

typedef struct {
    float4 xhat, g;
} gradient;

/* g = mask * (act'(y) dy + act2'(y2) dy2); y and y2 are recomputed from xhat. */
static inline gradient gradient_at(float4 x, normaliser n, float4 mask, float4 dy, float4 dy2, int dy2_flags, ACTS) {
    gradient r;
    r.xhat = (x - n.mean) * n.rstd;
    const float4 z = (r.xhat * n.scale + n.shift) * mask;
    float4 g = act_slope4(act, slope, act_value4(act, slope, z)) * dy;
    if (dy2_flags) g += act_slope4(act2, slope2, act_value4(act2, slope2, z)) * dy2;
    r.g = mask * g;
    return r;
}
#define GRADIENT_AT(n, image, channel, p, at, numbers)                                                       \
    gradient_at(QUAD_OF(x, image, at, numbers), n, MASK(image, channel, p), QUAD_OF(dy, image, at, numbers), \
                dy2_flags ? QUAD_OF(dy2, image, at, numbers) : (float4)(0.0f), dy2_flags, act, slope, act2, slope2)

#define ADD(a, b)                                                                                            \
    all0[a] += all0[b];                                                                                      \
    all1[a] += all1[b]

/* Adds g and g xhat over leaf v's positions of one image, from `first` to `end`, to sum0 and sum1. */
#define ADD_LEAF(v, image, first, end)                                                                       \
    {                                                                                                        \
        const int numbers = LEAF_NUMBERS(v);                                                                 \
        const uint channel = (uint)BLOCK * 16 + 4 * LEAF_QUAD(v);                                            \
        const normaliser n = LOAD_NORMALISER(image, channel, numbers);                                       \
        for (uint p = first + LEAF_POSITION(v); p < end; p += PACE) {                                        \
            const ulong at = (BLOCK * positions + p) * 16 + 4 * LEAF_QUAD(v);                                \
            const gradient d = GRADIENT_AT(n, image, channel, p, at, numbers);                               \
            sum0 += d.g;                                                                                     \
            sum1 += d.g * d.xhat;                                                                            \
        }                                                                                                    \
    }

/* Sums of g and of g xhat over one chunk of positions of one image. */
KERNEL void norm_bwd_part(const int positions, const int shift, const int items, GRADIENTS, MEMORY(float, partial),
                          const int chunk, const int chunks) {
    __local float4 all0[SUM_ITEMS], all1[SUM_ITEMS];
    const uint from = (uint)GROUP_INDEX(0) * chunk, end = min(from + chunk, (uint)positions);
    EACH_LEAF(v, items) {
        float4 sum0 = 0.0f, sum1 = 0.0f;
        ADD_LEAF(v, IMAGE, from, end)
        all0[v] = sum0;
        all1[v] = sum1;
    }
    TREE(4, ADD)
    EACH_LEAF(v, 4) {
        __global float *to = PARTIAL_AT(IMAGE * chunks + GROUP_INDEX(0), 2);
        vstore4(all0[v], v, to);
        vstore4(all1[v], 4 + v, to);
    }
}

/* Outputs: the sums of each group of images, and their totals over all groups, if given. */
#define BWD_OUTPUTS                                                                                          \
    MEMORY(float, sums), MEMORY(float, dscale), const int dscale_flags, MEMORY(float, dshift), const int dshift_flags

#define PUT_SUMS(v, g)                                                                                       \
    {                                                                                                        \
        __global float *to = sums + sums_start + (ulong)(2 * (g)) * channels + BLOCK * 16 + 4 * (v);         \
        store_plain(all0[v], to, LEAF_NUMBERS(v));                                                           \
        store_plain(all1[v], to + channels, LEAF_NUMBERS(v));                                                \
        total0[v] += all0[v];                                                                                \
        total1[v] += all1[v];                                                                                \
    }

#define PUT_TOTALS(v)                                                                                        \
    {                                                                                                        \
        const ulong channel_ = BLOCK * 16 + 4 * (v);                                                         \
        if (dshift_flags)                                                                                    \
            add_plain(total0[v], dshift + dshift_start + channel_, LEAF_NUMBERS(v), dshift_flags & HAS_ACCUMULATE); \
        if (dscale_flags)                                                                                    \
            add_plain(total1[v], dscale + dscale_start + channel_, LEAF_NUMBERS(v), dscale_flags & HAS_ACCUMULATE); \
    }

/* The value of dx: scale rstd (g - sum0/count - xhat sum1/count); exactly 0 if count is 1. */
static inline float4 input_gradient(gradient d, normaliser n, float count, float4 sum0, float4 sum1) {
    const float4 factor = count == 1.0f ? (float4)(0.0f) : n.scale * n.rstd;
    return factor * (d.g - sum0 / count - d.xhat * (sum1 / count));
}
#define PUT_DX(d, n, count, sum0, sum1, image, at, numbers)                                                  \
    put_quad(input_gradient(d, n, count, sum0, sum1), dx + dx_start + dx_at + (image) * dx_image + (at), numbers, \
             accumulate)

/* Computes dx for the quads of a work-item from the sums of their group. */
#define WALK_DX(sum0, sum1)                                                                                  \
    {                                                                                                        \
        const normaliser n = LOAD_NORMALISER(IMAGE, CHANNEL, numbers);                                       \
        const float count = stats[stats_start + IMAGE / images * 3 * channels + CHANNEL];                    \
        EACH_POSITION(p) {                                                                                   \
            const ulong at = PLANE_AT(p);                                                                    \
            const gradient d = GRADIENT_AT(n, IMAGE, CHANNEL, p, at, numbers);                               \
            PUT_DX(d, n, count, sum0, sum1, IMAGE, at, numbers);                                             \
        }                                                                                                    \
    }

/* dx from finished sums. */
KERNEL void norm_bwd_apply(WALK, GRADIENTS, MEMORY(const float, sums), VIEWED(STORED, dx), const int accumulate) {
    const int numbers = BLOCK < (ulong)blocks ? NUMBERS(0) : 0;
    if (numbers == 0) return;
    __global const float *from = sums + sums_start + IMAGE / images * 2 * channels + CHANNEL;
    const float4 sum0 = load_plain(from, numbers), sum1 = load_plain(from + channels, numbers);
    WALK_DX(sum0, sum1)
}

/* dx from partial results, like norm_apply_parts. */
KERNEL void norm_bwd_apply_parts(WALK, GRADIENTS, const int items, MEMORY(const float, partial), const int chunks,
                                 const int groups, BWD_OUTPUTS, VIEWED(STORED, dx), const int accumulate) {
    __local float4 all0[SUM_ITEMS], all1[SUM_ITEMS], total0[4], total1[4], own0[4], own1[4];
    const bool leads = IMAGE == 0 && GROUP_INDEX(0) == 0;
    const int mine = (int)(IMAGE / (ulong)images), last = leads ? groups : mine + 1;
    EACH_LEAF(v, 4) total0[v] = total1[v] = 0.0f;
    for (int g = mine; g < last; g++) {
        EACH_LEAF(v, items) {
            float4 sum0 = 0.0f, sum1 = 0.0f;
            for (uint i = LEAF_POSITION(v); i < (uint)(images * chunks); i += PACE) {
                __global const float *one = PARTIAL_AT((ulong)g * images * chunks + i, 2);
                sum0 += vload4(LEAF_QUAD(v), one);
                sum1 += vload4(4 + LEAF_QUAD(v), one);
            }
            all0[v] = sum0;
            all1[v] = sum1;
        }
        TREE(4, ADD)
        EACH_LEAF(v, 4) {
            if (g == mine) {
                own0[v] = all0[v];
                own1[v] = all1[v];
            }
            if (leads) PUT_SUMS(v, g)
            if (leads && g + 1 == last) PUT_TOTALS(v)
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int numbers = NUMBERS(0);
    if (numbers == 0) return;
    WALK_DX(own0[QUAD], own1[QUAD])
}

/* Sums and dx in one launch, like norm_whole. */
KERNEL void norm_bwd_whole(const int positions, const int shift, const int items, GRADIENTS, const int each,
                           BWD_OUTPUTS, VIEWED(STORED, dx), const int accumulate) {
    __local float4 all0[SUM_ITEMS], all1[SUM_ITEMS], total0[4], total1[4];
    EACH_LEAF(v, 4) total0[v] = total1[v] = 0.0f;
    for (ulong g = IMAGE * each; g < (IMAGE + 1) * each; g++) {
        EACH_LEAF(v, items) {
            float4 sum0 = 0.0f, sum1 = 0.0f;
            for (ulong image = g * images; image < (g + 1) * images; image++)
                ADD_LEAF(v, image, 0, (uint)positions)
            all0[v] = sum0;
            all1[v] = sum1;
        }
        TREE(4, ADD)
        EACH_LEAF(v, 4) PUT_SUMS(v, g)
        EACH_LEAF(v, items) {
            const int numbers = LEAF_NUMBERS(v);
            const uint channel = (uint)BLOCK * 16 + 4 * LEAF_QUAD(v);
            if (numbers > 0)
                for (ulong image = g * images; image < (g + 1) * images; image++) {
                    const normaliser n = LOAD_NORMALISER(image, channel, numbers);
                    const float count = stats[stats_start + g * 3 * channels + channel];
                    for (uint p = LEAF_POSITION(v); p < (uint)positions; p += PACE) {
                        const ulong at = (BLOCK * positions + p) * 16 + 4 * LEAF_QUAD(v);
                        const gradient d = GRADIENT_AT(n, image, channel, p, at, numbers);
                        PUT_DX(d, n, count, all0[LEAF_QUAD(v)], all1[LEAF_QUAD(v)], image, at, numbers);
                    }
                }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    EACH_LEAF(v, 4) PUT_TOTALS(v)
}
