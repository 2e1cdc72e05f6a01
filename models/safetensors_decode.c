/* Elements of a safetensors file, which are little-endian, as numbers of this machine. */
#include "safetensors_internal.h"

#include <string.h>

uint64_t safetensors_load(const unsigned char *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static float f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double f64_from_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Two's complement of `width` bits. */
static int64_t signed_from_bits(uint64_t bits, int width) {
    const uint64_t sign = (uint64_t)1 << (width - 1);
    return bits < sign ? (int64_t)bits : -(int64_t)(sign - (bits - sign) - 1) - 1;
}

/* IEEE half precision: 1 sign, 5 exponent and 10 fraction bits. */
static float f16_from_bits(uint32_t half) {
    const uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 0x1fu, fraction = half & 0x3ffu;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
        const float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 0x1f) return f32_from_bits(sign | 0x7f800000u | fraction << 13);
    return f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13); /* bias 15 becomes 127 */
}

/* One element of any dtype; integers beyond 2^53 are rounded. */
static double decode(safetensors_dtype dtype, const unsigned char *bytes) {
    const uint64_t bits = safetensors_load(bytes, safetensors_dtype_bytes(dtype));
    switch (dtype) {
    case SAFETENSORS_F64:
        return f64_from_bits(bits);
    case SAFETENSORS_F32:
        return f32_from_bits((uint32_t)bits);
    case SAFETENSORS_F16:
        return f16_from_bits((uint32_t)bits);
    case SAFETENSORS_BF16:
        return f32_from_bits((uint32_t)bits << 16); /* the upper half of an f32 */
    case SAFETENSORS_I64:
        return (double)signed_from_bits(bits, 64);
    case SAFETENSORS_I32:
        return (double)signed_from_bits(bits, 32);
    case SAFETENSORS_I16:
        return (double)signed_from_bits(bits, 16);
    case SAFETENSORS_I8:
        return (double)signed_from_bits(bits, 8);
    default:
        return (double)bits;
    }
}

void safetensors_decode(safetensors_dtype dtype, const unsigned char *bytes, size_t count, p2p_type type,
                        void *host) {
    const size_t element = (size_t)safetensors_dtype_bytes(dtype);
    float *as_f32 = host;
    double *as_f64 = host;
    for (size_t i = 0; i < count; i++) {
        const double value = decode(dtype, bytes + i * element);
        if (type == P2P_TYPE_f64)
            as_f64[i] = value;
        else
            as_f32[i] = (float)value;
    }
}
