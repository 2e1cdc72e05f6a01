/* Common part of all kernels: storage of activations, packs of channels, activation functions, dropout masks.
 *
 * Activations are [position][channel], positions counted over images and pixels, channels rounded up to a
 * multiple of 8. A tensor's pitch is its stored channels; an operand is the range of channels from `first`
 * on. A thread accesses a pack, 16 bytes of consecutive channels of one position: 4 in float, 8 in bf16.
 * Consecutive threads have consecutive packs, so a warp reads whole sectors.
 *
 * Lanes of a pack that are not channels of the range are read as zero. They are written as zero if the
 * range ends with the tensor's last channel, because they are padding then, and are kept otherwise.
 *
 * Files are compiled with -fmad=false: products and sums are fused where fmaf stands, on every card.
 */
#ifndef CUDA_COMMON_CUH
#define CUDA_COMMON_CUH

#include "backend/p2p_kernel_core.h"
#include "backend/p2p_philox_core.h"

#include <cuda_bf16.h>

enum { BLOCK_THREADS = 256 }; /* of every kernel */

/* blocks: that a multiprocessor has room for, at least; registers are limited accordingly. */
#define KERNEL_OF(blocks) extern "C" __global__ void __launch_bounds__(BLOCK_THREADS, blocks)
#define KERNEL            KERNEL_OF(1)

#define INLINE     static __device__ __forceinline__
#define UNROLL     _Pragma("unroll")
#define EACH(i, n) UNROLL for (int i = 0; i < (n); i++)
#define UNROLL_4   _Pragma("unroll 4")

/* Defines the entries NAME_f32 and NAME_bf16 of a function template NAME_of<type>: PARAMETERS and ARGUMENTS
 * are lists in parentheses, in which T is the type. */
#define STRIP(...) __VA_ARGS__
#define ENTRY(name, suffix, type, blocks, PARAMETERS, ARGUMENTS)                                             \
    KERNEL_OF(blocks) name##suffix(PARAMETERS(type)) {                                                       \
        name##_of<type>(STRIP ARGUMENTS);                                                                    \
    }
#define ENTRIES_OF(name, blocks_f32, blocks_bf16, PARAMETERS, ARGUMENTS)                                     \
    ENTRY(name, _f32, float, blocks_f32, PARAMETERS, ARGUMENTS)                                              \
    ENTRY(name, _bf16, bf16, blocks_bf16, PARAMETERS, ARGUMENTS)
#define ENTRIES(name, PARAMETERS, ARGUMENTS) ENTRIES_OF(name, 1, 1, PARAMETERS, ARGUMENTS)

/* ---- Types ----------------------------------------------------------------------------------------- */

/* The upper half of a float. */
struct bf16 {
    unsigned short bits;
};

INLINE float widened(unsigned bits) {
    return __uint_as_float(bits << 16);
}

/* CUDA's function for it is missing before compute capability 8.0 in CUDA 12.1. */
INLINE unsigned bits_of(const __nv_bfloat16 &one) {
    return *(const unsigned short *)&one;
}

/* The bits of the nearest bf16s of two numbers, the first in the lower half. Ties go to even; a NaN stays
 * one. */
INLINE unsigned two_narrowed(float low, float high) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
    return bits_of(both.x) | bits_of(both.y) << 16;
}

INLINE float load_one(const float *from) {
    return *from;
}

INLINE float load_one(const bf16 *from) {
    return widened(from->bits);
}

INLINE void store_one(float *to, float v) {
    *to = v;
}

INLINE void store_one(bf16 *to, float v) {
    to->bits = (unsigned short)bits_of(__float2bfloat16_rn(v));
}

/* ---- Packs ----------------------------------------------------------------------------------------- */

template <int N> struct pack { float v[N]; };

template <typename T> struct lanes_of {
    enum { count = 16 / sizeof(T) };
};

/* Loads and stores of 4 and 8 elements, aligned to their size, or to 16 bytes if that is more. */
INLINE pack<4> load_pack(const float *from, pack<4>) {
    const float4 a = *(const float4 *)from;
    return {{a.x, a.y, a.z, a.w}};
}

INLINE pack<4> load_pack(const bf16 *from, pack<4>) {
    const uint2 a = *(const uint2 *)from;
    return {
        {widened(a.x), __uint_as_float(a.x & 0xffff0000u), widened(a.y), __uint_as_float(a.y & 0xffff0000u)}};
}

INLINE pack<8> load_pack(const bf16 *from, pack<8>) {
    const uint4 a = *(const uint4 *)from;
    return {{widened(a.x), __uint_as_float(a.x & 0xffff0000u), widened(a.y),
             __uint_as_float(a.y & 0xffff0000u), widened(a.z), __uint_as_float(a.z & 0xffff0000u),
             widened(a.w), __uint_as_float(a.w & 0xffff0000u)}};
}

INLINE void store_pack(float *to, const pack<4> &p) {
    *(float4 *)to = make_float4(p.v[0], p.v[1], p.v[2], p.v[3]);
}

INLINE void store_pack(bf16 *to, const pack<4> &p) {
    *(uint2 *)to = make_uint2(two_narrowed(p.v[0], p.v[1]), two_narrowed(p.v[2], p.v[3]));
}

INLINE void store_pack(bf16 *to, const pack<8> &p) {
    *(uint4 *)to = make_uint4(two_narrowed(p.v[0], p.v[1]), two_narrowed(p.v[2], p.v[3]),
                              two_narrowed(p.v[4], p.v[5]), two_narrowed(p.v[6], p.v[7]));
}

template <int N> INLINE pack<N> filled(float value) {
    pack<N> p;
    EACH(i, N) p.v[i] = value;
    return p;
}

/* The first `count` elements; zeros for the others. */
template <int N, typename T> INLINE pack<N> load_lanes(const T *from, int count) {
    if (count <= 0) return filled<N>(0.0f);
    pack<N> p = load_pack(from, pack<N>());
    if (count < N) EACH(i, N) p.v[i] = i < count ? p.v[i] : 0.0f;
    return p;
}

/* The 16 bytes of a pack as they are stored; zeros if it has no channels. */
template <typename T> INLINE uint4 load_raw(const T *from, int count) {
    return count > 0 ? *(const uint4 *)from : make_uint4(0, 0, 0, 0);
}

INLINE pack<4> quad_of(const uint4 &raw, int, const float *) {
    return {{__uint_as_float(raw.x), __uint_as_float(raw.y), __uint_as_float(raw.z), __uint_as_float(raw.w)}};
}

INLINE pack<4> quad_of(const uint4 &raw, int quad, const bf16 *) {
    const unsigned a = quad ? raw.z : raw.x, b = quad ? raw.w : raw.y;
    return {{widened(a), __uint_as_float(a & 0xffff0000u), widened(b), __uint_as_float(b & 0xffff0000u)}};
}

/* Four lanes of a pack of T, of which `count` from the first are channels. Long computations take a pack by
 * quads, because registers for whole packs of bf16 would leave room for few threads. */
template <typename T> INLINE pack<4> quad_lanes(const uint4 &raw, int quad, int count) {
    pack<4> p = quad_of(raw, quad, (const T *)nullptr);
    if (count < 4) EACH(i, 4) p.v[i] = i < count ? p.v[i] : 0.0f;
    return p;
}

template <int N> INLINE pack<4> quad_part(const pack<N> &p, int quad) {
    pack<4> part;
    EACH(i, 4) part.v[i] = p.v[4 * quad + i];
    return part;
}

INLINE bool is_aligned(const float *at) {
    return ((size_t)at & 15) == 0;
}

/* Elements of a plain vector, which may end after the last of them and start at any. */
template <int N> INLINE pack<N> load_vector(const float *from, int count) {
    pack<N> p;
    if (count >= N && is_aligned(from)) {
        EACH(quad, N / 4) {
            const float4 a = *(const float4 *)(from + 4 * quad);
            p.v[4 * quad] = a.x, p.v[4 * quad + 1] = a.y, p.v[4 * quad + 2] = a.z, p.v[4 * quad + 3] = a.w;
        }
    } else {
        EACH(i, N) p.v[i] = i < count ? from[i] : 0.0f;
    }
    return p;
}

template <int N> INLINE void store_vector(float *to, const pack<N> &p, int count) {
    if (count >= N && is_aligned(to)) {
        EACH(quad, N / 4)
        *(float4 *)(to + 4 * quad) =
            make_float4(p.v[4 * quad], p.v[4 * quad + 1], p.v[4 * quad + 2], p.v[4 * quad + 3]);
    } else {
        EACH(i, N) if (i < count) to[i] = p.v[i];
    }
}

/* ---- Outputs --------------------------------------------------------------------------------------- */

/* Flags of an output, as in plan/cuda_view.h; 0 if it is absent. */
enum {
    ACCUMULATES = 1,  /* added to */
    OWNS_PADDING = 2, /* lanes that are not channels become zero */
    PRESENT = 4
};

/* Stores the first `count` elements, and nothing after them. A sum is rounded once. */
template <int N, typename T> INLINE void put_first(T *to, const pack<N> &p, int count, int flags) {
    EACH(i, N)
    if (i < count) store_one(to + i, flags & ACCUMULATES ? load_one(to + i) + p.v[i] : p.v[i]);
}

/* Stores a pack of which `count` lanes are channels. */
template <int N, typename T> INLINE void put_lanes(T *to, pack<N> p, int count, int flags) {
    if (count < N && !(flags & OWNS_PADDING)) {
        put_first(to, p, count, flags);
        return;
    }
    if (flags & ACCUMULATES) {
        const pack<N> old = load_pack(to, pack<N>());
        EACH(i, N) p.v[i] = old.v[i] + p.v[i];
    }
    if (count < N) EACH(i, N) p.v[i] = i < count ? p.v[i] : 0.0f;
    store_pack(to, p);
}

/* Stores elements of an array that ends after the last of them. */
template <int N, typename T> INLINE void put_flat(T *to, const pack<N> &p, int count, int flags) {
    if (count >= N)
        put_lanes(to, p, N, flags);
    else
        put_first(to, p, count, flags);
}

INLINE void add_one(float *to, float v, int flags) {
    *to = flags & ACCUMULATES ? *to + v : v;
}

/* ---- Traversal by packs ---------------------------------------------------------------------------- */

/* An operand that is an activation: element `first` of position 0 is its first channel. */
#define VIEW(type, name) type *name, const int name##_pitch, const int name##_first
#define VIEWED(name)     name, name##_pitch, name##_first
#define AT(name, position, channel)                                                                          \
    (name + (size_t)(position) * (size_t)name##_pitch + (size_t)name##_first + (size_t)(channel))

/* The grid has a thread per pack: `packs` of a position (stored channels, with padding), `items` in all. */
#define WALK   const int items, const int packs, const int channels
#define WALKED items, packs, channels
#define WALK_ITEM(N)                                                                                         \
    const unsigned item = blockIdx.x * BLOCK_THREADS + threadIdx.x;                                          \
    if (item >= (unsigned)items) return;                                                                     \
    const unsigned position = item / (unsigned)packs;                                                        \
    const int channel = (int)(item - position * (unsigned)packs) * (N), count = channels - channel;

/* ---- Activation functions -------------------------------------------------------------------------- */

template <int N> INLINE pack<N> act_value(int act, float slope, pack<N> x) {
    if (act == ACT_TANH) {
        EACH(i, N) x.v[i] = tanhf(x.v[i]);
    } else if (act != ACT_NONE) {
        EACH(i, N) {
            const float below = act == ACT_LRELU ? slope * x.v[i] : 0.0f;
            x.v[i] = x.v[i] <= 0.0f ? below : x.v[i]; /* NaN stays NaN */
        }
    }
    return x;
}

/* act'(x) from y = act(x). */
template <int N> INLINE pack<N> act_slope(int act, float slope, pack<N> y) {
    if (act == ACT_TANH) {
        EACH(i, N) y.v[i] = 1.0f - y.v[i] * y.v[i];
    } else {
        const float below = act == ACT_LRELU ? slope : act == ACT_RELU ? 0.0f : 1.0f;
        EACH(i, N) y.v[i] = y.v[i] > 0.0f ? 1.0f : below;
    }
    return y;
}

/* act'(x) from x. Only tanh needs the value. */
template <int N> INLINE pack<N> act_slope_at(int act, float slope, pack<N> x) {
    if (act == ACT_TANH) x = act_value(act, slope, x);
    return act_slope(act, slope, x);
}

/* ---- Dropout --------------------------------------------------------------------------------------- */

/* `threshold` is p * 2^32, `kept` is 1/(1-p); with threshold 0 nothing is dropped and `step` is not read. */
#define DROPOUT                                                                                              \
    const unsigned *step, const int layer, const int threshold, const float kept, const int pixels,          \
        const int width
#define DROPPED step, layer, threshold, kept, pixels, width

/* The factors, 0 or `kept`, of the N channels from `channel` on. */
template <int N> INLINE pack<N> dropout_mask(unsigned position, int channel, DROPOUT) {
    pack<N> mask;
    const unsigned image = position / (unsigned)pixels, pixel = position - image * (unsigned)pixels;
    const unsigned h = pixel / (unsigned)width, w = pixel - h * (unsigned)width;
    const uint4 head = *(const uint4 *)step; /* the seed's two words, and the step */
    EACH(quad, N / 4) {
        unsigned words[4];
        p2p_dropout_words(head.x, head.y, (unsigned)layer, head.z, step[STEP_SAMPLE + image],
                          (unsigned)channel / 4u + (unsigned)quad, h, w, words);
        EACH(i, 4) mask.v[4 * quad + i] = words[i] >= (unsigned)threshold ? kept : 0.0f;
    }
    return mask;
}

#endif
