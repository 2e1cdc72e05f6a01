/* See bench_noise.h. */
#include "bench_noise.h"

void bench_noise(uint8_t *pixels, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(seed >> 24);
    }
}
