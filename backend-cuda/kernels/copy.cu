/* Copies, and element-wise kernels on flat arrays: filters, vectors, arenas. */
#include "common.cuh"

/* The first element of a thread that has N, in 64 bits: an arena may have more elements than 2^31. */
#define FLAT_ITEM(N)                                                                                         \
    const long long at = ((long long)blockIdx.x * BLOCK_THREADS + threadIdx.x) * (N);                        \
    if (at >= elements) return;                                                                              \
    const int count = elements - at < (N) ? (int)(elements - at) : (N);

template <int N, typename T> INLINE pack<N> load_flat(const T *from, int count) {
    if (count >= N) return load_pack(from, pack<N>());
    pack<N> p;
    EACH(i, N) p.v[i] = i < count ? load_one(from + i) : 0.0f;
    return p;
}

/* y (+)= alpha x over arrays of one traversal, in any types. */
#define FLAT(X, Y) const long long elements, const X *x, Y *y, const int flags, const float alpha
template <int N, typename X, typename Y> INLINE void flat_of(FLAT(X, Y)) {
    FLAT_ITEM(N)
    pack<N> v = load_flat<N>(x + at, count);
    EACH(i, N) v.v[i] = alpha * v.v[i];
    put_flat(y + at, v, count, flags);
}
#define FLAT_ENTRY(name, X, Y, N)                                                                            \
    KERNEL name(FLAT(X, Y)) {                                                                                \
        flat_of<N>(elements, x, y, flags, alpha);                                                            \
    }
FLAT_ENTRY(flat_f32_f32, float, float, 4)
FLAT_ENTRY(flat_f32_bf16, float, bf16, 4)
FLAT_ENTRY(flat_bf16_f32, bf16, float, 4)
FLAT_ENTRY(flat_bf16_bf16, bf16, bf16, 8)

/* y (+)= x between activations in different types; see axpby of pointwise.cu for equal ones. */
#define CONVERT(X, Y) WALK, VIEW(const X, x), VIEW(Y, y), const int flags
template <typename X, typename Y> INLINE void convert_of(CONVERT(X, Y)) {
    WALK_ITEM(4)
    put_lanes(AT(y, position, channel), load_lanes<4>(AT(x, position, channel), count), count, flags);
}
#define CONVERT_ENTRY(name, X, Y)                                                                            \
    KERNEL name(CONVERT(X, Y)) {                                                                             \
        convert_of(WALKED, VIEWED(x), VIEWED(y), flags);                                                     \
    }
CONVERT_ENTRY(convert_f32_bf16, float, bf16)
CONVERT_ENTRY(convert_bf16_f32, bf16, float)

/* ---- Any two layouts ------------------------------------------------------------------------------- */

/* One side of a copy: the distances, in elements, from an outer index, a position and a channel to the next,
 * and of the first element from the start. */
#define SIDE(type, name)                                                                                     \
    type *name, const long long name##_start, const long long name##_outer, const long long name##_step,     \
        const long long name##_channel
#define SIDES(name)         name, name##_start, name##_outer, name##_step, name##_channel
#define ELEMENT(name, c, p) name[name##_start + n * name##_outer + (p)*name##_step + (c)*name##_channel]

enum { TILE = 1024 };

/* y (+)= x over the stored extents n_stored, positions, c_stored of y: beyond n_real and c_real it becomes
 * zero. A block copies a tile of 1 << c_log channels by TILE >> c_log positions through shared memory, so
 * that both sides are accessed along their contiguous dimension, whichever that is. The grid is [n][tile of
 * c][tile of p]. */
#define TILES(X, Y)                                                                                          \
    SIDE(const X, x), SIDE(Y, y), const int n_real, const int c_real, const int c_stored,                    \
        const int positions, const int c_log, const int c_tiles, const int p_tiles, const int flags
template <typename X, typename Y> INLINE void tiles_of(TILES(X, Y)) {
    __shared__ float tile[TILE + TILE / 8];
    const int p_log = 10 - c_log,
              row = (1 << p_log) + (32 >> c_log); /* the addition spreads a column over banks */
    const unsigned outer = blockIdx.x / (unsigned)p_tiles;
    const int p0 = (int)(blockIdx.x % (unsigned)p_tiles) << p_log, c0 = (int)(outer % (unsigned)c_tiles)
                                                                        << c_log;
    const long long n = outer / (unsigned)c_tiles;
    for (int i = (int)threadIdx.x; i < TILE; i += BLOCK_THREADS) {
        const int c = x_channel == 1 ? i & ((1 << c_log) - 1) : i >> p_log;
        const int p = x_channel == 1 ? i >> c_log : i & ((1 << p_log) - 1);
        const bool real = n < n_real && c0 + c < c_real && p0 + p < positions;
        tile[c * row + p] = real ? load_one(&ELEMENT(x, c0 + c, p0 + p)) : 0.0f;
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < TILE; i += BLOCK_THREADS) {
        const int c = y_channel == 1 ? i & ((1 << c_log) - 1) : i >> p_log;
        const int p = y_channel == 1 ? i >> c_log : i & ((1 << p_log) - 1);
        if (c0 + c >= c_stored || p0 + p >= positions) continue;
        Y *to = &ELEMENT(y, c0 + c, p0 + p);
        const bool adds = flags & ACCUMULATES && n < n_real && c0 + c < c_real;
        store_one(to, adds ? load_one(to) + tile[c * row + p] : tile[c * row + p]);
    }
}
#define TILES_ENTRY(name, X, Y)                                                                              \
    KERNEL name(TILES(X, Y)) {                                                                               \
        tiles_of(SIDES(x), SIDES(y), n_real, c_real, c_stored, positions, c_log, c_tiles, p_tiles, flags);   \
    }
TILES_ENTRY(tiles_f32_f32, float, float)
TILES_ENTRY(tiles_f32_bf16, float, bf16)
TILES_ENTRY(tiles_bf16_f32, bf16, float)
TILES_ENTRY(tiles_bf16_bf16, bf16, bf16)

/* ---- Adam ------------------------------------------------------------------------------------------ */

/* g is float, or bf16 with g_bf16. copy receives the new p in float or bf16, by its flags. */
#define COPY_F32  1
#define COPY_BF16 2
KERNEL adam(const long long elements, float *p, const void *g, const int g_bf16, float *m, float *v,
            const unsigned *step, void *copy, const int copy_type, const float beta1, const float rest1,
            const float beta2, const float rest2, const float eps) {
    FLAT_ITEM(4)
    const float lr = __uint_as_float(step[STEP_LR]), root = __uint_as_float(step[STEP_ROOT_V]);
    const pack<4> d =
        g_bf16 ? load_flat<4>((const bf16 *)g + at, count) : load_flat<4>((const float *)g + at, count);
    pack<4> one = load_flat<4>(p + at, count), first = load_flat<4>(m + at, count),
            second = load_flat<4>(v + at, count);
    EACH(i, 4) ADAM(float, one.v[i], d.v[i], first.v[i], second.v[i]);
    put_flat(p + at, one, count, 0);
    put_flat(m + at, first, count, 0);
    put_flat(v + at, second, count, 0);
    if (copy_type == COPY_F32) put_flat((float *)copy + at, one, count, 0);
    if (copy_type == COPY_BF16) put_flat((bf16 *)copy + at, one, count, 0);
}
