/* Noise as the pixels of steps that read no picture. */
#ifndef P2P_BENCH_NOISE_H
#define P2P_BENCH_NOISE_H

#include <stddef.h>
#include <stdint.h>

/* Fills `pixels` from a linear congruential generator: equal on every machine. */
void bench_noise(uint8_t *pixels, size_t count, uint32_t seed);

#endif
