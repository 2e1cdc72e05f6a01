/* Normalisation, forward. Statistics are moments (count, mean, squared deviations from the mean) of 8 values
 * in registers, merged pairwise by Chan's formula: there is no cancellation, and x is read once for its
 * statistics.
 *
 * Small maps take one launch: a block has a slab of a group of images, sums it and normalises it. Larger ones
 * take two: in the first each block has a part of the positions, and the last block of a group and slab
 * merges the moments of all parts; the second normalises.
 */
#include "norm.cuh"

template <int N> struct moments {
    float count;
    pack<N> mean, m2;
};

template <int N> INLINE moments<N> no_moments() {
    return {0.0f, filled<N>(0.0f), filled<N>(0.0f)};
}

/* Adds b to a. Empty ones (count 0) have no effect. */
template <int N> INLINE void merge(moments<N> &a, const moments<N> &b) {
    const float total = a.count + b.count, share = total > 0.0f ? b.count / total : 0.0f,
                weight = a.count * share;
    EACH(i, N) {
        const float d = b.mean.v[i] - a.mean.v[i];
        a.mean.v[i] = fmaf(d, share, a.mean.v[i]);
        a.m2.v[i] = fmaf(d * d, weight, a.m2.v[i] + b.m2.v[i]);
    }
    a.count = total;
}

/* The moments of COUNT positions, from x on, `pace` elements apart. They are kept as they are stored. */
template <int COUNT, typename T, int N = lanes_of<T>::count>
INLINE moments<N> few_moments(const T *x, size_t pace, int count) {
    uint4 raw[COUNT];
    moments<N> few = no_moments<N>();
    few.count = COUNT;
    EACH(j, COUNT) raw[j] = make_uint4(0, 0, 0, 0);
    if (count > 0) EACH(j, COUNT) raw[j] = *(const uint4 *)(x + (size_t)j * pace);
    EACH(quad, N / 4) {
        pack<4> sum = filled<4>(0.0f), squares = sum;
        EACH(j, COUNT) add_pack(sum, quad_lanes<T>(raw[j], quad, count - 4 * quad));
        EACH(i, 4) sum.v[i] *= 1.0f / COUNT;
        EACH(j, COUNT) {
            const pack<4> v = quad_lanes<T>(raw[j], quad, count - 4 * quad);
            EACH(i, 4) squares.v[i] = fmaf(v.v[i] - sum.v[i], v.v[i] - sum.v[i], squares.v[i]);
        }
        EACH(i, 4) {
            few.mean.v[4 * quad + i] = sum.v[i];
            few.m2.v[4 * quad + i] = squares.v[i];
        }
    }
    return few;
}

/* Merges over the rows of a block, like sum_rows. */
template <int N> INLINE void leave_moments(float (*tree)[BLOCK_THREADS], const moments<N> &m) {
    leave(tree, m.mean);
    leave(tree + N, m.m2);
    tree[2 * N][threadIdx.x] = m.count;
}

template <int N> INLINE moments<N> fetch_moments(float (*tree)[BLOCK_THREADS], unsigned thread) {
    return {tree[2 * N][thread], fetch<N>(tree, thread), fetch<N>(tree + N, thread)};
}

template <int N>
INLINE void merge_rows(float (*tree)[BLOCK_THREADS], moments<N> &m, int row, int rows, int shift) {
    if (row < rows) leave_moments(tree, m);
    for (int behind = rows >> 1; behind > 0; behind >>= 1) {
        __syncthreads();
        if (row >= behind) continue;
        merge(m, fetch_moments<N>(tree, threadIdx.x + (unsigned)(behind << shift)));
        leave_moments(tree, m);
    }
    __syncthreads();
    m = fetch_moments<N>(tree, threadIdx.x & ((1u << shift) - 1u));
    __syncthreads();
}
#define MOMENTS_MEMORY(N) __shared__ float tree[2 * (N) + 1][BLOCK_THREADS];

/* The moments of this thread's positions of a group, which begins at x. */
template <int N, typename T> INLINE moments<N> thread_moments(const T *x, size_t pitch, const place &at) {
    enum { AT_ONCE = 8 };
    const unsigned rows = (unsigned)at.rows;
    const size_t pace = rows * pitch;
    moments<N> m = no_moments<N>();
    unsigned p = at.first + (unsigned)at.row;
    for (; p + (AT_ONCE - 1) * rows < at.end; p += AT_ONCE * rows)
        merge(m, few_moments<AT_ONCE>(x + p * pitch, pace, at.count));
    for (; p < at.end; p += rows) merge(m, few_moments<1>(x + p * pitch, pace, at.count));
    return m;
}
/* Of the view x, from the start of a group. */
#define GROUP_OF(name, group, channel) AT(name, (size_t)(group) * (size_t)span, channel)

/* ---- Statistics ------------------------------------------------------------------------------------ */

/* Outputs: the statistics, and the running ones, unless NULL. */
#define OUTPUTS float *stats, float *running, const float momentum

template <int N>
INLINE void move_running(float *running, float momentum, int channels, const moments<N> &m, const place &at) {
    float *mean = running + at.channel, *variance = mean + channels;
    const float divisor = fmaxf(m.count - 1.0f, 1.0f);
    EACH(i, N) {
        if (i >= at.count) continue;
        mean[i] = fmaf(momentum, m.mean.v[i] - mean[i], mean[i]);
        variance[i] = fmaf(momentum, m.m2.v[i] / divisor - variance[i], variance[i]);
    }
}

/* By the threads of the first row. */
template <int N>
INLINE void put_statistics(const moments<N> &m, int group, int channels, const place &at, OUTPUTS) {
    if (at.row > 0 || at.count <= 0) return;
    float *to = stats + (size_t)group * 3 * (size_t)channels + at.channel;
    store_vector(to, filled<N>(m.count), at.count);
    store_vector(to + channels, m.mean, at.count);
    store_vector(to + 2 * (size_t)channels, m.m2, at.count);
    if (running) move_running(running, momentum, channels, m, at);
}

/* The moments of a group and slab from those of its parts. */
template <int N>
INLINE moments<N> merge_parts(float (*tree)[BLOCK_THREADS], const place &at, SLABS, float *partial) {
    moments<N> m = no_moments<N>();
    for (int i = at.row; i < parts; i += at.rows) {
        const float *from = partial_at<N>(partial, 2, i, parts, slabs, shift, at);
        merge(m, {(float)min(part, span - i * part), load_stored(from, pack<N>()),
                  load_stored(from + (N << shift), pack<N>())});
    }
    merge_rows(tree, m, at.row, rows_with(at.rows, parts), shift);
    return m;
}

/* The statistics of each group of images. */
#define NORM_STATS(T) SLABS, VIEW(const T, x), MERGE, float *stats
template <typename T> INLINE void norm_stats_of(NORM_STATS(T)) {
    enum { N = lanes_of<T>::count };
    MOMENTS_MEMORY(N)
    const place at = block_place<N>(SLABBED);
    moments<N> m = thread_moments<N>(GROUP_OF(x, at.group, at.channel), (size_t)x_pitch, at);
    merge_rows(tree, m, at.row, rows_with(at.rows, part), shift);
    if (parts > 1) {
        if (at.row == 0) {
            float *to = partial_at<N>(partial, 2, at.index, parts, slabs, shift, at);
            store_floats(to, m.mean);
            store_floats(to + (N << shift), m.m2);
        }
        if (!is_last(counters + at.group * slabs + at.slab, parts)) return;
        m = merge_parts<N>(tree, at, SLABBED, partial);
    }
    put_statistics(m, at.group, channels, at, stats, nullptr, 0.0f);
}
ENTRIES_OF(norm_stats, 4, 2, NORM_STATS, (SLABBED, VIEWED(x), MERGED, stats))

/* ---- Normalising ----------------------------------------------------------------------------------- */

template <int N> INLINE normaliser<N> moments_normaliser(const moments<N> &m, const place &at, AFFINE) {
    pack<N> variance;
    EACH(i, N) variance.v[i] = m.m2.v[i] / m.count;
    return make_normaliser(m.mean, variance, at.channel, at.count, AFFINED);
}

/* y (+)= act(dropout(z)) and, if present, y2 (+)= act2(dropout(z)). */
#define RESULTS(T) DROPOUT, VIEW(T, y), const int y_flags, VIEW(T, y2), const int y2_flags, ACTS
#define RESULTED   DROPPED, VIEWED(y), y_flags, VIEWED(y2), y2_flags, ACTED

template <int N, typename T>
INLINE void put_results(const normaliser<N> &n, const uint4 &raw, unsigned position, int channel, int count,
                        RESULTS(T)) {
    pack<N> one, two;
    EACH(quad, N / 4) {
        const pack<4> x = quad_lanes<T>(raw, quad, count - 4 * quad);
        const pack<4> z = normalised(n, x, quad, position, channel + 4 * quad, DROPPED).z;
        const pack<4> first = act_value(act, slope, z), second = act_value(act2, slope2, z);
        EACH(i, 4) {
            one.v[4 * quad + i] = first.v[i];
            two.v[4 * quad + i] = second.v[i];
        }
    }
    put_lanes(AT(y, position, channel), one, count, y_flags);
    if (y2_flags & PRESENT) put_lanes(AT(y2, position, channel), two, count, y2_flags);
}

/* Results of this thread's positions. */
#define PUT_ALL_RESULTS(n, at)                                                                               \
    for (unsigned p = (at).first + (unsigned)(at).row; p < (at).end; p += (unsigned)(at).rows) {             \
        const unsigned position = (unsigned)(at).group * (unsigned)span + p;                                 \
        put_results(n, load_raw(AT(x, position, (at).channel), (at).count), position, (at).channel,          \
                    (at).count, RESULTED);                                                                   \
    }

/* From finished statistics; then the first block of each slab updates `running` group after group, unless it
 * is NULL. Or, with use_running, from `running`. */
#define NORM_APPLY(T)                                                                                        \
    SLABS, VIEW(const T, x), const int use_running, const int groups, const float *stats, float *running,    \
        const float momentum, AFFINE, RESULTS(T)
template <typename T> INLINE void norm_apply_of(NORM_APPLY(T)) {
    enum { N = lanes_of<T>::count };
    const place at = block_place<N>(SLABBED);
    const bool leads = at.group == 0 && at.index == 0;
    normaliser<N> n;
    if (use_running) {
        n = make_normaliser(load_vector<N>(running + at.channel, at.count),
                            load_vector<N>(running + channels + at.channel, at.count), at.channel, at.count,
                            AFFINED);
    } else {
        n = stats_normaliser<N>(stats, at.group, channels, at.channel, at.count, AFFINED);
        for (int g = 0; leads && running && at.row == 0 && g < groups; g++) {
            const float *from = stats + (size_t)g * 3 * (size_t)channels + at.channel;
            move_running<N>(running, momentum, channels,
                            {load_count(stats, g, channels), load_vector<N>(from + channels, at.count),
                             load_vector<N>(from + 2 * (size_t)channels, at.count)},
                            at);
        }
    }
    PUT_ALL_RESULTS(n, at)
}
ENTRIES(norm_apply, NORM_APPLY,
        (SLABBED, VIEWED(x), use_running, groups, stats, running, momentum, AFFINED, RESULTED))

/* Statistics and results in one launch. A block per slab has `each` groups of images, one after the other. */
#define NORM_WHOLE(T) SLABS, VIEW(const T, x), const int each, OUTPUTS, AFFINE, RESULTS(T)
template <typename T> INLINE void norm_whole_of(NORM_WHOLE(T)) {
    enum { N = lanes_of<T>::count };
    MOMENTS_MEMORY(N)
    place at = block_place<N>(SLABBED);
    const int first = at.group * each;
    for (at.group = first; at.group < first + each; at.group++) {
        moments<N> m = thread_moments<N>(GROUP_OF(x, at.group, at.channel), (size_t)x_pitch, at);
        merge_rows(tree, m, at.row, rows_with(at.rows, part), shift);
        put_statistics(m, at.group, channels, at, stats, running, momentum);
        const normaliser<N> n = moments_normaliser(m, at, AFFINED);
        PUT_ALL_RESULTS(n, at)
    }
}
ENTRIES(norm_whole, NORM_WHOLE, (SLABBED, VIEWED(x), each, stats, running, momentum, AFFINED, RESULTED))
