/* Element-wise kernels on activations, one pack per thread. */
#include "common.cuh"

/* y (+)= alpha x. */
#define AXPBY(T) WALK, VIEW(const T, x), VIEW(T, y), const int flags, const float alpha
template <typename T> INLINE void axpby_of(AXPBY(T)) {
    enum { N = lanes_of<T>::count };
    WALK_ITEM(N)
    pack<N> v = load_lanes<N>(AT(x, position, channel), count);
    EACH(i, N) v.v[i] = alpha * v.v[i];
    put_lanes(AT(y, position, channel), v, count, flags);
}
ENTRIES(axpby, AXPBY, (WALKED, VIEWED(x), VIEWED(y), flags, alpha))

/* y (+)= alpha x with a number of x for each channel. */
#define AXPBY_VECTOR(T) WALK, const float *x, VIEW(T, y), const int flags, const float alpha
template <typename T> INLINE void axpby_vector_of(AXPBY_VECTOR(T)) {
    enum { N = lanes_of<T>::count };
    WALK_ITEM(N)
    pack<N> v = load_vector<N>(x + channel, count);
    EACH(i, N) v.v[i] = alpha * v.v[i];
    put_lanes(AT(y, position, channel), v, count, flags);
}
ENTRIES(axpby_vector, AXPBY_VECTOR, (WALKED, x, VIEWED(y), flags, alpha))

/* y (+)= act(x + bias). bias may be NULL, and x may be y. */
#define BIAS_ACT(T)                                                                                          \
    WALK, VIEW(const T, x), const float *bias, VIEW(T, y), const int flags, const int act, const float slope
template <typename T> INLINE void bias_act_of(BIAS_ACT(T)) {
    enum { N = lanes_of<T>::count };
    WALK_ITEM(N)
    pack<N> v = load_lanes<N>(AT(x, position, channel), count);
    if (bias) {
        const pack<N> b = load_vector<N>(bias + channel, count);
        EACH(i, N) v.v[i] += b.v[i];
    }
    put_lanes(AT(y, position, channel), act_value(act, slope, v), count, flags);
}
ENTRIES(bias_act, BIAS_ACT, (WALKED, VIEWED(x), bias, VIEWED(y), flags, act, slope))

/* dx (+)= act'(x) dy from y = act(x). */
#define ACT_BWD(T)                                                                                           \
    WALK, VIEW(const T, y), VIEW(const T, dy), VIEW(T, dx), const int flags, const int act, const float slope
template <typename T> INLINE void act_bwd_of(ACT_BWD(T)) {
    enum { N = lanes_of<T>::count };
    WALK_ITEM(N)
    pack<N> v = act_slope(act, slope, load_lanes<N>(AT(y, position, channel), count));
    const pack<N> d = load_lanes<N>(AT(dy, position, channel), count);
    EACH(i, N) v.v[i] *= d.v[i];
    put_lanes(AT(dx, position, channel), v, count, flags);
}
ENTRIES(act_bwd, ACT_BWD, (WALKED, VIEWED(y), VIEWED(dy), VIEWED(dx), flags, act, slope))

/* y (+)= x mask. */
#define DROP(T) WALK, VIEW(const T, x), DROPOUT, VIEW(T, y), const int flags
template <typename T> INLINE void dropout_of(DROP(T)) {
    enum { N = lanes_of<T>::count };
    WALK_ITEM(N)
    pack<N> v = load_lanes<N>(AT(x, position, channel), count);
    const pack<N> mask = dropout_mask<N>(position, channel, DROPPED);
    EACH(i, N) v.v[i] *= mask.v[i];
    put_lanes(AT(y, position, channel), v, count, flags);
}
ENTRIES(dropout, DROP, (WALKED, VIEWED(x), DROPPED, VIEWED(y), flags))

/* y (+)= alpha x + offset from images of interleaved integer samples. */
#define PREPARE(T, sample)                                                                                   \
    WALK, VIEW(const sample, x), VIEW(T, y), const int flags, const float alpha, const float offset
template <typename T, typename S> INLINE void prepare_of(PREPARE(T, S)) {
    enum { N = lanes_of<T>::count };
    WALK_ITEM(N)
    const S *from = AT(x, position, channel);
    pack<N> v;
    EACH(i, N) v.v[i] = fmaf(i < count ? (float)from[i] : 0.0f, alpha, offset);
    put_lanes(AT(y, position, channel), v, count, flags);
}
#define PREPARE_ENTRY(name, type, sample)                                                                    \
    KERNEL name(PREPARE(type, sample)) {                                                                     \
        prepare_of<type, sample>(WALKED, VIEWED(x), VIEWED(y), flags, alpha, offset);                        \
    }
PREPARE_ENTRY(prepare_u8_f32, float, unsigned char)
PREPARE_ENTRY(prepare_u8_bf16, bf16, unsigned char)
PREPARE_ENTRY(prepare_u16_f32, float, unsigned short)
PREPARE_ENTRY(prepare_u16_bf16, bf16, unsigned short)
