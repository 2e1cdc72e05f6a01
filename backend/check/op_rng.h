/* A generator of random numbers for the contents of operands and for random cases. */
#ifndef OP_RNG_H
#define OP_RNG_H

#include <stdbool.h>
#include <stdint.h>

/* SplitMix64, independent of the generator that operations use. */
typedef struct {
    uint64_t state;
} op_rng;

uint64_t op_rng_next(op_rng *rng);
/* An integer in [low, high]. */
int64_t op_rng_range(op_rng *rng, int64_t low, int64_t high);
/* A number in [low, high). */
double op_rng_uniform(op_rng *rng, double low, double high);
bool op_rng_chance(op_rng *rng, int one_in);

#endif
