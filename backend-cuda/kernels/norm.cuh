/* What the forward and backward kernels of normalisations share: coefficients of a pack of channels. */
#ifndef CUDA_NORM_CUH
#define CUDA_NORM_CUH

#include "reduce.cuh"

/* scale and bias (the shift) are NULL if absent. */
#define AFFINE  const float eps, const float *scale, const float *bias
#define AFFINED eps, scale, bias

/* z = fmaf(x - mean, factor, shift), the same expression in both directions, so that signs agree. */
template <int N> struct normaliser { pack<N> mean, rstd, factor, shift; };

template <int N>
INLINE normaliser<N> make_normaliser(const pack<N> &mean, const pack<N> &variance, int channel, int count,
                                     AFFINE) {
    normaliser<N> n;
    n.mean = mean;
    n.shift = bias ? load_vector<N>(bias + channel, count) : filled<N>(0.0f);
    const pack<N> scales = scale ? load_vector<N>(scale + channel, count) : filled<N>(1.0f);
    EACH(i, N) {
        n.rstd.v[i] = 1.0f / sqrtf(variance.v[i] + eps);
        n.factor.v[i] = n.rstd.v[i] * scales.v[i];
    }
    return n;
}

/* The count of a group's statistics; it is the same for every channel. */
INLINE float load_count(const float *stats, int group, int channels) {
    return stats[(size_t)group * 3 * (size_t)channels];
}

/* The coefficients from finished statistics. */
template <int N>
INLINE normaliser<N> stats_normaliser(const float *stats, int group, int channels, int channel, int count,
                                      AFFINE) {
    const float *from = stats + (size_t)group * 3 * (size_t)channels + channel;
    const float n = load_count(stats, group, channels);
    pack<N> variance = load_vector<N>(from + 2 * (size_t)channels, count);
    EACH(i, N) variance.v[i] /= n;
    return make_normaliser(load_vector<N>(from + channels, count), variance, channel, count, AFFINED);
}

/* z of a quad, after dropout, and its mask: 1 without dropout. */
struct normal {
    pack<4> z, mask;
};

template <int N>
INLINE normal normalised(const normaliser<N> &n, const pack<4> &x, int quad, unsigned position, int channel,
                         DROPOUT) {
    normal r;
    r.mask = filled<4>(1.0f);
    if (threshold) r.mask = dropout_mask<4>(position, channel, DROPPED);
    EACH(i, 4) {
        const int lane = 4 * quad + i;
        r.z.v[i] = fmaf(x.v[i] - n.mean.v[lane], n.factor.v[lane], n.shift.v[lane]) * r.mask.v[i];
    }
    return r;
}

#define ACTS  const int act, const float slope, const int act2, const float slope2
#define ACTED act, slope, act2, slope2

#endif
