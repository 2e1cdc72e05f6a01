/* The bits of a float32, and the float32 of bits. */
#ifndef P2P_FLOAT_BITS_H
#define P2P_FLOAT_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float float_of_bf16(uint16_t bits) {
    return float_of_bits((uint32_t)bits << 16);
}

#endif
