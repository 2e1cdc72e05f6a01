/* The operations whose lanes are independent, each as a loop over 32 lanes that the compiler makes vectors
 * of. This file is compiled for any processor as ptx_ops_plain and, on x86, for AVX2 and FMA as ptx_ops_avx2:
 * PTX_OPS names the table. The results are the same bits. */
#include "../support/float_bits.h"
#include "ptx_code.h"

#include <math.h>

#ifndef PTX_OPS
#define PTX_OPS ptx_ops_plain
#endif

typedef int32_t t_pred, t_s32;
typedef uint32_t t_u32, t_u16;
typedef int64_t t_s64;
typedef uint64_t t_u64;
typedef float t_f32;
typedef double t_f64;
typedef uint32_t t_none;

#define HALF(x)         ((x)&0xffffu)
#define JOIN(high, low) ((t_u64)(high) << 32 | (low))
#define KEEP(x)         (x)
#define FLUSH(x)        flush(x)
#define FMA_32(a, b, c) fmaf(a, b, c)
#define FMA_64(a, b, c) fma(a, b, c)
#define FABS_32(a)      fabsf(a)
#define FABS_64(a)      fabs(a)
#define SQRT_32(a)      sqrtf(a)
#define SQRT_64(a)      sqrt(a)
#define COPYSIGN(a, b)  copysignf(a, b)
#define SIGN_32(x)      (bits_of_float(x) >> 31)
#define SIGN_64(x)      (signbit(x) != 0)
/* Of a NaN and a number the number; -0 is less than +0. */
#define LESSER(a, b, n)                                                                                      \
    ((a) != (a) ? (b) : (b) != (b) ? (a) : (a) < (b) ? (a) : (a) > (b) ? (b) : SIGN_##n(a) ? (a) : (b))
#define GREATER(a, b, n)                                                                                     \
    ((a) != (a) ? (b) : (b) != (b) ? (a) : (a) > (b) ? (a) : (a) < (b) ? (b) : SIGN_##n(a) ? (b) : (a))
/* Conversions to integers saturate; NaN becomes 0. */
#define TO_S32(x)                                                                                            \
    ((x) != (x)                     ? 0                                                                      \
     : (double)(x) <= -2147483648.0 ? INT32_MIN                                                              \
     : (double)(x) >= 2147483647.0  ? INT32_MAX                                                              \
                                    : (t_s32)(x))
#define TO_U32(x)                                                                                            \
    ((x) != (x) ? 0 : (double)(x) <= 0 ? 0 : (double)(x) >= 4294967295.0 ? UINT32_MAX : (t_u32)(x))

static inline float flush(float value) {
    const uint32_t bits = bits_of_float(value);
    return float_of_bits(bits & 0x7f800000u ? bits : bits & 0x80000000u);
}

static inline float saturate(float value) {
    return value > 0 ? value < 1 ? value : 1 : 0; /* NaN becomes 0 */
}

static inline t_s32 divide_s32(t_s32 a, t_s32 b) {
    return b == 0 ? -1 : b == -1 ? (t_s32)(0 - (t_u32)a) : a / b;
}

static inline t_s64 divide_s64(t_s64 a, t_s64 b) {
    return b == 0 ? -1 : b == -1 ? (t_s64)(0 - (t_u64)a) : a / b;
}

static inline t_u64 multiply_high(t_u64 a, t_u64 b) {
    const t_u64 low = (a & 0xffffffff) * (b & 0xffffffff), one = (a >> 32) * (b & 0xffffffff),
                two = (a & 0xffffffff) * (b >> 32);
    const t_u64 middle = (low >> 32) + (one & 0xffffffff) + (two & 0xffffffff);
    return (a >> 32) * (b >> 32) + (one >> 32) + (two >> 32) + (middle >> 32);
}

static inline t_u32 reverse_bits(t_u32 a) {
    t_u32 r = 0;
    for (int i = 0; i < 32; i++) r |= (a >> i & 1) << (31 - i);
    return r;
}

static inline t_u32 extract_bits(t_u32 a, t_u32 at, t_u32 count) {
    at &= 255, count &= 255;
    const t_u32 shifted = at < 32 ? a >> at : 0;
    return count < 32 ? shifted & ((1u << count) - 1) : shifted;
}

static inline t_s32 extract_signed(t_s32 a, t_u32 at, t_u32 count) {
    at &= 255, count &= 255;
    if (count == 0) return 0;
    const t_u32 last = at + count - 1 < 31 ? at + count - 1 : 31;
    const t_u32 sign = (t_u32)a >> last & 1, low = extract_bits((t_u32)a, at, count);
    const t_u32 have = at <= 31 ? last - at + 1 : 0;
    return (t_s32)(sign && have < 32 ? low | ~0u << have : low);
}

static inline t_u32 permute_bytes(t_u32 a, t_u32 b, t_u32 selectors) {
    const t_u64 all = JOIN(b, a);
    t_u32 result = 0;
    for (int i = 0; i < 4; i++) {
        const t_u32 selector = selectors >> 4 * i & 15;
        t_u32 byte = (t_u32)(all >> 8 * (selector & 7)) & 255;
        if (selector & 8) byte = byte & 128 ? 255 : 0;
        result |= byte << 8 * i;
    }
    return result;
}

/* To nearest even; NaN becomes the canonical one. */
static inline t_u32 to_bf16(float value) {
    const uint32_t bits = bits_of_float(value);
    return value != value ? 0x7fffu : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline float from_bf16(t_u32 half) {
    return float_of_bits(half << 16);
}

/* A double rounded to the float at or below its magnitude. */
static inline float toward_zero(double value) {
    float rounded = (float)value;
    if (fabs((double)rounded) > fabs(value)) rounded = float_of_bits(bits_of_float(rounded) - 1);
    return rounded;
}

/* The sum in double may be rounded itself; the sign of the remainder shows on which side of it the exact sum
 * lies. */
static inline float add_toward_zero(float a, float b) {
    const double x = a, y = b, sum = x + y, from_y = sum - x, rest = (x - (sum - from_y)) + (y - from_y);
    const float rounded = (float)sum;
    const double beyond = ((double)rounded - sum) - rest; /* how far the float is above the exact sum */
    const bool away = rounded > 0 ? beyond > 0 : beyond < 0;
    return isfinite(sum) && away ? float_of_bits(bits_of_float(rounded) - 1) : rounded;
}

/* a * b + c rounded down. The product is exact in double; the sign of the sum's remainder shows on which
 * side of it the exact sum lies. */
static inline float fma_down(float a, float b, float c) {
    const double x = (double)a * b, y = c, sum = x + y, from_y = sum - x,
                 rest = (x - (sum - from_y)) + (y - from_y);
    const float rounded = (float)sum;
    if (sum == 0 && rest == 0) return x == 0 && !signbit(x) && !signbit(y) ? 0.0f : -0.0f; /* an exact zero */
    if (!isfinite(sum) || ((double)rounded - sum) - rest <= 0) return rounded;
    if (rounded == 0) return -0x1p-149f;
    return float_of_bits(rounded > 0 ? bits_of_float(rounded) - 1 : bits_of_float(rounded) + 1);
}

/* What a card's approximate function may give: the exact value, moved by at most `worst` units in the last
 * place, in a direction that depends on the argument's bits. PTX documents such bounds; results of this
 * interpreter are not nearer. */
static inline float approximate(double exact, float argument, int worst) {
    const float value = (float)exact;
    const uint32_t bits = bits_of_float(value), scaled = bits & 0x7f800000u;
    const uint32_t hash = (bits_of_float(argument) * 0x9e3779b1u) >> 16;
    if (scaled == 0 || scaled == 0x7f800000u || value == exact) return value;
    return float_of_bits(bits + hash % (uint32_t)(2 * worst - 1) - (uint32_t)(worst - 1));
}

#define AT(type, offset) ((t_##type *)(void *)(warp->registers + (offset)))
#if defined(__clang__)
#define LANES _Pragma("clang loop vectorize(assume_safety)") for (int l = 0; l < PTX_LANES; l++)
#else
#define LANES _Pragma("GCC ivdep") for (int l = 0; l < PTX_LANES; l++)
#endif

/* A source that the operation hasn't is read at the result's place, which no expression uses. */
#define OP(name, id, td, ta, tb, tc, value)                                                                  \
    static void id(ptx_warp *warp, const ptx_insn *insn) {                                                   \
        t_##td *d = AT(td, insn->d);                                                                         \
        const t_##ta *as = AT(ta, insn->a);                                                                  \
        const t_##tb *bs = AT(tb, insn->b);                                                                  \
        const t_##tc *cs = AT(tc, insn->c);                                                                  \
        LANES {                                                                                              \
            const t_##ta a = as[l];                                                                          \
            const t_##tb b = bs[l];                                                                          \
            const t_##tc c = cs[l];                                                                          \
            (void)a, (void)b, (void)c;                                                                       \
            d[l] = (t_##td)(value);                                                                          \
        }                                                                                                    \
    }                                                                                                        \
    static void id##_masked(ptx_warp *warp, const ptx_insn *insn) {                                          \
        t_##td *d = AT(td, insn->d);                                                                         \
        const t_##ta *as = AT(ta, insn->a);                                                                  \
        const t_##tb *bs = AT(tb, insn->b);                                                                  \
        const t_##tc *cs = AT(tc, insn->c);                                                                  \
        const int32_t *on = warp->lanes;                                                                     \
        LANES {                                                                                              \
            const t_##ta a = as[l];                                                                          \
            const t_##tb b = bs[l];                                                                          \
            const t_##tc c = cs[l];                                                                          \
            (void)a, (void)b, (void)c;                                                                       \
            d[l] = on[l] ? (t_##td)(value) : d[l];                                                           \
        }                                                                                                    \
    }
#include "ptx_ops_list.h"
#undef OP

#define OP(name, id, td, ta, tb, tc, value) {name, id, id##_masked, ptx_##td, ptx_##ta, ptx_##tb, ptx_##tc},
const ptx_op PTX_OPS[] = {
#include "ptx_ops_list.h"
    {0}};
