/* See op_rng.h. */
#include "op_rng.h"

uint64_t op_rng_next(op_rng *rng) {
    uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

int64_t op_rng_range(op_rng *rng, int64_t low, int64_t high) {
    return low + (int64_t)(op_rng_next(rng) % (uint64_t)(high - low + 1));
}

double op_rng_uniform(op_rng *rng, double low, double high) {
    return low + (high - low) * ((double)(op_rng_next(rng) >> 11) * 0x1p-53);
}

bool op_rng_chance(op_rng *rng, int one_in) {
    return op_rng_range(rng, 1, one_in) == 1;
}
