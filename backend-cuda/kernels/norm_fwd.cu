/* Normalisation, forward. Statistics are moments (count, mean, squared deviations from the mean) of 8 values
 * in registers, merged pairwise by Chan's formula: there is no cancellation, and x is read once for its
 * statistics.
 *
 * Small maps take one launch: a block has a slab of a group of images, sums it and normalises it. Larger ones
 * take two: the first makes the moments of parts of the positions; in the second every block merges the
 * moments of its slab before it normalises its part. If that would be much work, a launch of its own merges
 * them.
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
    EACH(j, COUNT) raw[j] = load_raw(x + (size_t)j * pace, count);
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

/* ---- Statistics ------------------------------------------------------------------------------------------
 */

/* The moments of a part. */
#define NORM_PART(T) SLABS, VIEW(const T, x), float *partial
template <typename T> INLINE void norm_part_of(NORM_PART(T)) {
    enum { N = lanes_of<T>::count };
    MOMENTS_MEMORY(N)
    const place at = block_place<N>(SLABBED);
    moments<N> m = thread_moments<N>(GROUP_OF(x, at.group, at.channel), (size_t)x_pitch, at);
    merge_rows(tree, m, at.row, rows_with(at.rows, part), shift);
    if (at.row > 0) return;
    float *to = partial_at<N>(partial, 2, at.index, parts, slabs, shift, at);
    store_floats(to, m.mean);
    store_floats(to + (N << shift), m.m2);
}
ENTRIES(norm_part, NORM_PART, (SLABBED, VIEWED(x), partial))

/* The moments of a group from its partial results: `merged_parts` of `merged_part` positions. */
#define PARTS const float *partial, const int merged_part, const int merged_parts
template <int N>
INLINE moments<N> merge_parts(float (*tree)[BLOCK_THREADS], place at, int group, int span, int slabs,
                              int shift, PARTS) {
    moments<N> m = no_moments<N>();
    at.group = group;
    for (int i = at.row; i < merged_parts; i += at.rows) {
        const float *from = partial_at<N>((float *)partial, 2, i, merged_parts, slabs, shift, at);
        merge(m, {(float)min(merged_part, span - i * merged_part), load_floats(from, pack<N>()),
                  load_floats(from + (N << shift), pack<N>())});
    }
    merge_rows(tree, m, at.row, rows_with(at.rows, merged_parts), shift);
    return m;
}

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

/* Statistics of each group of images from its partial results. A block per slab. The partial results of both
 * types have the same form. */
KERNEL norm_combine(const int span, const int channels, const int shift, const int slabs, const int groups,
                    PARTS, OUTPUTS) {
    enum { N = 4 };
    MOMENTS_MEMORY(N)
    const place at = block_place<N>(span, channels, shift, slabs, 0, 1);
    for (int g = 0; g < groups; g++) {
        const moments<N> m =
            merge_parts<N>(tree, at, g, span, slabs, shift, partial, merged_part, merged_parts);
        put_statistics(m, g, channels, at, stats, running, momentum);
    }
}

/* ---- Normalising -----------------------------------------------------------------------------------------
 */

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

/* Where mean and variance come from. */
#define FROM_STATS   0
#define FROM_RUNNING 1
#define FROM_PARTS   2 /* the first block of each slab merges every group, and writes their statistics */

/* With FROM_STATS, `running` is updated group after group, unless NULL. */
#define NORM_APPLY(T)                                                                                        \
    SLABS, VIEW(const T, x), const int source, PARTS, const int groups, OUTPUTS, AFFINE, RESULTS(T)
template <typename T> INLINE void norm_apply_of(NORM_APPLY(T)) {
    enum { N = lanes_of<T>::count };
    MOMENTS_MEMORY(N)
    const place at = block_place<N>(SLABBED);
    const bool leads = at.group == 0 && at.index == 0;
    normaliser<N> n;
    if (source == FROM_PARTS) {
        for (int g = at.group; g < (leads ? groups : at.group + 1); g++) {
            const moments<N> m =
                merge_parts<N>(tree, at, g, span, slabs, shift, partial, merged_part, merged_parts);
            if (g == at.group) n = moments_normaliser(m, at, AFFINED);
            if (leads) put_statistics(m, g, channels, at, stats, running, momentum);
        }
    } else if (source == FROM_RUNNING) {
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
        (SLABBED, VIEWED(x), source, partial, merged_part, merged_parts, groups, stats, running, momentum,
         AFFINED, RESULTED))

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
