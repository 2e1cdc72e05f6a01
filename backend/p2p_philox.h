/* Counter-based random numbers: Philox-4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011), and the draws that p2p makes with it.
 *
 * A draw is a pure function of a key and a counter: there is no generator state to save or to share between
 * threads. All random numbers of p2p are made here: dropout masks, initial weights, augmentation, shuffling.
 * The keys of dropout masks and of all other draws differ in their high word, so no draw is used twice.
 * The rounds and the words of dropout masks are in p2p_philox_core.h, which CUDA C and OpenCL C
 * include too.
 */
#ifndef P2P_PHILOX_H
#define P2P_PHILOX_H

#include "p2p_philox_core.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Ten rounds over `count` blocks. The four words of block i are x0[i] to x3[i]: counters on entry, random
 * words on return. The layout by words lets compilers vectorise over blocks. */
static inline void p2p_philox_rounds(const uint32_t key[2], int count, uint32_t *restrict x0,
                                     uint32_t *restrict x1, uint32_t *restrict x2, uint32_t *restrict x3) {
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < P2P_PHILOX_ROUNDS; round++) {
        for (int i = 0; i < count; i++) p2p_philox_round(k0, k1, &x0[i], &x1[i], &x2[i], &x3[i]);
        p2p_philox_next_key(&k0, &k1);
    }
}

/* One block: four random words from a 128-bit counter and a 64-bit key. */
static inline void p2p_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]) {
    for (int i = 0; i < 4; i++) words[i] = counter[i];
    p2p_philox_rounds(key, 1, &words[0], &words[1], &words[2], &words[3]);
}

/* Whether dropout with probability p in [0, 1) keeps element (c, h, w) of an image; h, w < 65536. The formula
 * is in p2p_op.h. `layer` is p2p_name_hash of the layer's name. Kept elements are multiplied by 1/(1-p). */
static inline bool p2p_dropout_keeps(double p, uint32_t seed_lo, uint32_t seed_hi, uint32_t layer,
                                     uint32_t step, uint32_t sample, uint64_t c, uint32_t h, uint32_t w) {
    uint32_t words[4];
    p2p_dropout_words(seed_lo, seed_hi, layer, step, sample, (uint32_t)(c / 4), h, w, words);
    return words[c % 4] >= (uint32_t)(p * 4294967296.0);
}

/* FNV-1a hash, 32 bits, of bytes or of a name, for use in a key. */
static inline uint32_t p2p_bytes_hash(const void *bytes, size_t size) {
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < size; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT32_C(16777619);
    return hash;
}

static inline uint32_t p2p_name_hash(const char *name) {
    return p2p_bytes_hash(name, strlen(name));
}

/* Identifies a draw. Initial weights: stream = p2p_name_hash of "network/parameter", item and
 * epoch 0, index the element's position in plain (k c r s) order. Augmentation: stream = p2p_name_hash of the
 * decision's name, item the sample's number in the data set. Shuffling: item 0, index the position. Counter
 * (index low, index high, item, epoch), key (seed low ^ stream, seed high ^ 0x5EED5EED). */
typedef struct {
    uint64_t seed;
    uint32_t stream;
    uint32_t item;
    uint32_t epoch;
} p2p_draw;

/* Draws are pairs of doubles in [0, 1) with 53 bits each, one pair per block, at most this many pairs at a
 * time. */
enum { P2P_DRAW_PAIRS = 128 };

/* A double in [0, 1) from the upper 27 bits of `high` and the upper 26 bits of `low`. */
static inline double p2p_draw_fraction(uint32_t high, uint32_t low) {
    return (double)(int64_t)((uint64_t)(high >> 5) << 26 | low >> 6) / 9007199254740992.0;
}

/* Draws at most P2P_DRAW_PAIRS pairs from number index on: left[i], right[i] receive pair index + i. */
static inline void p2p_draw_pairs(const p2p_draw *draw, uint64_t index, int count, double *restrict left,
                                  double *restrict right) {
    const uint32_t key[2] = {(uint32_t)draw->seed ^ draw->stream,
                             (uint32_t)(draw->seed >> 32) ^ UINT32_C(0x5EED5EED)};
    uint32_t x[4][P2P_DRAW_PAIRS];
    for (int i = 0; i < count; i++) {
        x[0][i] = (uint32_t)(index + (uint64_t)i);
        x[1][i] = (uint32_t)((index + (uint64_t)i) >> 32);
        x[2][i] = draw->item;
        x[3][i] = draw->epoch;
    }
    p2p_philox_rounds(key, count, x[0], x[1], x[2], x[3]);
    for (int i = 0; i < count; i++) {
        left[i] = p2p_draw_fraction(x[0][i], x[1][i]);
        right[i] = p2p_draw_fraction(x[2][i], x[3][i]);
    }
}

/* A double in [0, 1): the first of pair `index`. */
static inline double p2p_draw_uniform(const p2p_draw *draw, uint64_t index) {
    double left, right;
    p2p_draw_pairs(draw, index, 1, &left, &right);
    return left;
}

/* An integer in [0, bound), bound > 0. The bias, at most bound / 2^53, is negligible. */
static inline uint32_t p2p_draw_below(const p2p_draw *draw, uint64_t index, uint32_t bound) {
    return (uint32_t)(p2p_draw_uniform(draw, index) * bound);
}

/* Draws 2*count standard normal numbers from pairs index to index + count - 1, at most P2P_DRAW_PAIRS, by the
 * Box-Muller transform. Pair i yields elements 2i and 2i+1 of an array, so an element does not depend on how
 * the array is divided into calls. */
static inline void p2p_draw_normals(const p2p_draw *draw, uint64_t index, int count, double *elements) {
    double left[P2P_DRAW_PAIRS], right[P2P_DRAW_PAIRS];
    p2p_draw_pairs(draw, index, count, left, right);
    for (int i = 0; i < count; i++) {
        double radius = sqrt(-2 * log(1 - left[i])); /* 1 - u is in (0, 1]: the logarithm is finite */
        double angle = 6.283185307179586476925286766559 * right[i];
        elements[2 * i] = radius * cos(angle);
        elements[2 * i + 1] = radius * sin(angle);
    }
}

static inline double p2p_draw_normal(const p2p_draw *draw, uint64_t element) {
    double pair[2];
    p2p_draw_normals(draw, element / 2, 1, pair);
    return pair[element % 2];
}

#endif
