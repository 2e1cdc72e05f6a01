/* Gradients of normalisations: g = mask * (act'(y) dy + act2'(y2) dy2), with y and y2 recomputed from x; the
 * sums of g and of g xhat; dx = scale rstd (g - sum0/count - xhat sum1/count). In one or two launches, like
 * the forward kernels. */
#include "norm.cuh"

/* dy2 is absent with has_dy2 = 0. `stats` are finished. */
#define GRADIENTS(T)                                                                                         \
    VIEW(const T, x), const float *stats, AFFINE, DROPOUT, VIEW(const T, dy), VIEW(const T, dy2),            \
        const int has_dy2, ACTS
#define GRADED VIEWED(x), stats, AFFINED, DROPPED, VIEWED(dy), VIEWED(dy2), has_dy2, ACTED

/* What is read at a position. */
struct sources {
    uint4 x, dy, dy2;
};

template <typename T> INLINE sources load_sources(unsigned position, int channel, int count, GRADIENTS(T)) {
    sources s;
    s.x = load_raw(AT(x, position, channel), count);
    s.dy = load_raw(AT(dy, position, channel), count);
    s.dy2 = has_dy2 ? load_raw(AT(dy2, position, channel), count) : make_uint4(0, 0, 0, 0);
    return s;
}

/* x - mean and g of a quad. */
struct gradient {
    pack<4> centred, g;
};

template <int N, typename T>
INLINE gradient gradient_at(const normaliser<N> &n, const sources &s, int quad, unsigned position,
                            int channel, int count, GRADIENTS(T)) {
    gradient r;
    const pack<4> one = quad_lanes<T>(s.x, quad, count);
    const normal z = normalised(n, one, quad, position, channel, DROPPED);
    const pack<4> d = quad_lanes<T>(s.dy, quad, count), a = act_slope_at(act, slope, z.z);
    EACH(i, 4) r.g.v[i] = a.v[i] * d.v[i];
    if (has_dy2) {
        const pack<4> d2 = quad_lanes<T>(s.dy2, quad, count), a2 = act_slope_at(act2, slope2, z.z);
        EACH(i, 4) r.g.v[i] = fmaf(a2.v[i], d2.v[i], r.g.v[i]);
    }
    EACH(i, 4) {
        r.g.v[i] *= z.mask.v[i];
        r.centred.v[i] = one.v[i] - n.mean.v[4 * quad + i];
    }
    return r;
}

/* Executes a statement for quad `quad` of every pack of this thread, with its gradient `d`; `after` follows
 * each pack. */
#define EACH_GRADIENT(n, at, statement, after)                                                               \
    for (unsigned p = (at).first + (unsigned)(at).row; p < (at).end; p += (unsigned)(at).rows) {             \
        const unsigned position = (unsigned)(at).group * (unsigned)span + p;                                 \
        const sources s = load_sources<T>(position, (at).channel, (at).count, GRADED);                       \
        EACH(quad, N / 4) {                                                                                  \
            const gradient d = gradient_at<N, T>(n, s, quad, position, (at).channel + 4 * quad,              \
                                                 (at).count - 4 * quad, GRADED);                             \
            EACH(i, 4) {                                                                                     \
                const int lane = 4 * quad + i;                                                               \
                statement;                                                                                   \
            }                                                                                                \
        }                                                                                                    \
        after;                                                                                               \
    }

/* The sums of this thread's positions to sum0 and sum1. */
#define SUM_GRADIENTS(n, at, sum0, sum1)                                                                     \
    EACH_GRADIENT(n, at,                                                                                     \
                  (sum0.v[lane] += d.g.v[i], sum1.v[lane] = fmaf(d.g.v[i], d.centred.v[i], sum1.v[lane])), ) \
    EACH(i, N) sum1.v[i] *= (n).rstd.v[i];

/* dx of this thread's positions from the sums of its group; exactly 0 if count is 1. */
#define PUT_ALL_DX(n, at, sum0, sum1)                                                                        \
    {                                                                                                        \
        const float size = load_count(stats, (at).group, channels);                                          \
        pack<N> out;                                                                                         \
        EACH(i, N) {                                                                                         \
            sum0.v[i] /= size;                                                                               \
            sum1.v[i] = sum1.v[i] / size * (n).rstd.v[i];                                                    \
        }                                                                                                    \
        EACH_GRADIENT(                                                                                       \
            n, at,                                                                                           \
            {                                                                                                \
                const float rest = d.g.v[i] - sum0.v[lane] - d.centred.v[i] * sum1.v[lane];                  \
                out.v[lane] = size == 1.0f ? 0.0f : (n).factor.v[lane] * rest;                               \
            },                                                                                               \
            put_lanes(AT(dx, position, (at).channel), out, (at).count, dx_flags))                            \
    }

/* Outputs: the sums of each group of images, and their totals, unless NULL. By the threads of the first row.
 */
#define BWD_OUTPUTS float *sums, float *dscale, const int dscale_flags, float *dshift, const int dshift_flags
#define PUT_SUMS(group)                                                                                      \
    if (at.row == 0 && at.count > 0) {                                                                       \
        float *to = sums + (size_t)(group)*2 * (size_t)channels + at.channel;                                \
        store_vector(to, sum0, at.count);                                                                    \
        store_vector(to + channels, sum1, at.count);                                                         \
    }
#define PUT_TOTALS(first, second)                                                                            \
    if (at.row == 0) EACH(i, N) if (i < at.count) {                                                          \
            if (dshift) add_one(dshift + at.channel + i, first, dshift_flags);                               \
            if (dscale) add_one(dscale + at.channel + i, second, dscale_flags);                              \
        }

/* The sums of each group; the last block of a slab adds the totals in the order of the groups. */
#define BWD_STATS(T) SLABS, GRADIENTS(T), MERGE, const int groups, BWD_OUTPUTS
template <typename T> INLINE void norm_bwd_stats_of(BWD_STATS(T)) {
    enum { N = lanes_of<T>::count };
    TREE_MEMORY(2, N)
    const place at = block_place<N>(SLABBED);
    const normaliser<N> n = stats_normaliser<N>(stats, at.group, channels, at.channel, at.count, AFFINED);
    pack<N> sum0 = filled<N>(0.0f), sum1 = sum0;
    SUM_GRADIENTS(n, at, sum0, sum1)
    sum_rows(tree, sum0, sum1, at.row, rows_with(at.rows, part), shift);
    if (parts > 1) {
        if (at.row == 0) {
            float *to = partial_at<N>(partial, 2, at.index, parts, slabs, shift, at);
            store_floats(to, sum0);
            store_floats(to + (N << shift), sum1);
        }
        if (!is_last(counters + at.group * slabs + at.slab, parts)) return;
        sum0 = sum1 = filled<N>(0.0f);
        for (int i = at.row; i < parts; i += at.rows) {
            const float *from = partial_at<N>(partial, 2, i, parts, slabs, shift, at);
            add_pack(sum0, load_stored(from, pack<N>()));
            add_pack(sum1, load_stored(from + (N << shift), pack<N>()));
        }
        sum_rows(tree, sum0, sum1, at.row, rows_with(at.rows, parts), shift);
    }
    PUT_SUMS(at.group)
    if (!dscale && !dshift) return;
    if (groups > 1) {
        if (!is_last(counters + groups * slabs + at.slab, groups)) return;
        sum0 = sum1 = filled<N>(0.0f);
        for (int g = 0; at.row == 0 && g < groups; g++) {
            const float *from = sums + (size_t)g * 2 * (size_t)channels + at.channel;
            add_pack(sum0, load_stored_vector<N>(from, at.count));
            add_pack(sum1, load_stored_vector<N>(from + channels, at.count));
        }
    }
    PUT_TOTALS(sum0.v[i], sum1.v[i])
}
ENTRIES_OF(norm_bwd_stats, 3, 2, BWD_STATS,
           (SLABBED, GRADED, MERGED, groups, sums, dscale, dscale_flags, dshift, dshift_flags))

/* dx from finished sums. */
#define BWD_APPLY(T) SLABS, GRADIENTS(T), const float *sums, VIEW(T, dx), const int dx_flags
template <typename T> INLINE void norm_bwd_apply_of(BWD_APPLY(T)) {
    enum { N = lanes_of<T>::count };
    const place at = block_place<N>(SLABBED);
    const float *from = sums + (size_t)at.group * 2 * (size_t)channels + at.channel;
    pack<N> sum0 = load_vector<N>(from, at.count), sum1 = load_vector<N>(from + channels, at.count);
    const normaliser<N> n = stats_normaliser<N>(stats, at.group, channels, at.channel, at.count, AFFINED);
    PUT_ALL_DX(n, at, sum0, sum1)
}
ENTRIES(norm_bwd_apply, BWD_APPLY, (SLABBED, GRADED, sums, VIEWED(dx), dx_flags))

/* Totals over the groups, in shared memory: each number belongs to one thread of the first row. */
#define TOTALS_MEMORY(N) __shared__ float total0[N][WIDEST_SLAB / 4], total1[N][WIDEST_SLAB / 4];
#define CLEAR_TOTALS                                                                                         \
    if (at.row == 0) EACH(i, N) total0[i][threadIdx.x] = total1[i][threadIdx.x] = 0.0f;
#define ADD_TOTALS                                                                                           \
    if (at.row == 0) EACH(i, N) {                                                                            \
            total0[i][threadIdx.x] += sum0.v[i];                                                             \
            total1[i][threadIdx.x] += sum1.v[i];                                                             \
        }

/* Sums and dx in one launch. A block per slab has `each` groups of images, one after the other. */
#define BWD_WHOLE(T) SLABS, GRADIENTS(T), const int each, BWD_OUTPUTS, VIEW(T, dx), const int dx_flags
template <typename T> INLINE void norm_bwd_whole_of(BWD_WHOLE(T)) {
    enum { N = lanes_of<T>::count };
    TREE_MEMORY(2, N)
    TOTALS_MEMORY(N)
    place at = block_place<N>(SLABBED);
    const int first = at.group * each;
    CLEAR_TOTALS
    for (at.group = first; at.group < first + each; at.group++) {
        const normaliser<N> n = stats_normaliser<N>(stats, at.group, channels, at.channel, at.count, AFFINED);
        pack<N> sum0 = filled<N>(0.0f), sum1 = sum0;
        SUM_GRADIENTS(n, at, sum0, sum1)
        sum_rows(tree, sum0, sum1, at.row, rows_with(at.rows, part), shift);
        __syncthreads();
        PUT_SUMS(at.group)
        ADD_TOTALS
        PUT_ALL_DX(n, at, sum0, sum1)
    }
    PUT_TOTALS(total0[i][threadIdx.x], total1[i][threadIdx.x])
}
ENTRIES(norm_bwd_whole, BWD_WHOLE,
        (SLABBED, GRADED, each, sums, dscale, dscale_flags, dshift, dshift_flags, VIEWED(dx), dx_flags))
