/* Philox-4x32-10 and the words of dropout masks (p2p_op.h, "Dropout mask"), for C and for CUDA C: no other
 * header, no type of the host. Draws made of the words, and what else hosts need, are in p2p_philox.h.
 */
#ifndef P2P_PHILOX_CORE_H
#define P2P_PHILOX_CORE_H

#ifdef __CUDACC__
#define P2P_PHILOX_INLINE static __device__ __forceinline__
#else
#define P2P_PHILOX_INLINE static inline
#endif

enum { P2P_PHILOX_ROUNDS = 10 };

/* One round of one block, in place. */
P2P_PHILOX_INLINE void p2p_philox_round(unsigned key0, unsigned key1, unsigned *x0, unsigned *x1,
                                        unsigned *x2, unsigned *x3) {
    const unsigned long long product0 = 0xD2511F53ULL * *x0;
    const unsigned long long product1 = 0xCD9E8D57ULL * *x2;
    *x0 = (unsigned)(product1 >> 32) ^ *x1 ^ key0;
    *x1 = (unsigned)product1;
    *x2 = (unsigned)(product0 >> 32) ^ *x3 ^ key1;
    *x3 = (unsigned)product0;
}

/* The key of the next round: the golden ratio and sqrt(3) - 1, as Weyl sequences. */
P2P_PHILOX_INLINE void p2p_philox_next_key(unsigned *key0, unsigned *key1) {
    *key0 += 0x9E3779B9U;
    *key1 += 0xBB67AE85U;
}

/* The four words for channels 4 * quad to 4 * quad + 3 at (h, w) of an image with the key `sample`. An
 * element is kept if its word is at least p * 2^32. */
P2P_PHILOX_INLINE void p2p_dropout_words(unsigned seed_lo, unsigned seed_hi, unsigned layer, unsigned step,
                                         unsigned sample, unsigned quad, unsigned h, unsigned w,
                                         unsigned words[4]) {
    unsigned key0 = seed_lo ^ layer, key1 = seed_hi;
    words[0] = quad;
    words[1] = h * 65536U + w;
    words[2] = sample;
    words[3] = step;
    for (int round = 0; round < P2P_PHILOX_ROUNDS; round++) {
        p2p_philox_round(key0, key1, &words[0], &words[1], &words[2], &words[3]);
        p2p_philox_next_key(&key0, &key1);
    }
}

#endif
