/* Numbers in the bytes of files: `count` bytes, at most 8, the lowest or the highest first. */
#ifndef P2P_TEST_BYTES_H
#define P2P_TEST_BYTES_H

#include <stdint.h>

static inline uint64_t get_low_first(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static inline void put_low_first(uint8_t *bytes, uint64_t value, int count) {
    for (int i = 0; i < count; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static inline void put_high_first(uint8_t *bytes, uint64_t value, int count) {
    for (int i = 0; i < count; i++) bytes[i] = (uint8_t)(value >> (8 * (count - 1 - i)));
}

#endif
