/* Philox-4x32-10 and the words of dropout masks (p2p_op.h, "Dropout mask"), for C, CUDA C and OpenCL C: no
 * other header, no type of the host. Draws made of the words, and what else hosts need, are in p2p_philox.h.
 */
#ifndef P2P_PHILOX_CORE_H
#define P2P_PHILOX_CORE_H

#ifdef __CUDACC__
#define P2P_PHILOX_INLINE static __device__ __forceinline__
#else
#define P2P_PHILOX_INLINE static inline
#endif

/* The type of a counter's words; in OpenCL C it may be a vector, of several counters side by side. */
#ifndef P2P_PHILOX_WORD
#define P2P_PHILOX_WORD unsigned
#endif

enum { P2P_PHILOX_ROUNDS = 10 };

/* Upper and lower half of factor * x. */
P2P_PHILOX_INLINE void p2p_philox_multiply(unsigned factor, P2P_PHILOX_WORD x, P2P_PHILOX_WORD *high,
                                           P2P_PHILOX_WORD *low) {
#if defined(__OPENCL_VERSION__) || defined(__OPENCL_C_VERSION__) /* has no unsigned long long */
    *high = mul_hi(x, (P2P_PHILOX_WORD)(factor));
    *low = x * factor;
#else
    const unsigned long long product = (unsigned long long)factor * x;
    *high = (unsigned)(product >> 32);
    *low = (unsigned)product;
#endif
}

/* One round of one block, in place. */
P2P_PHILOX_INLINE void p2p_philox_round(unsigned key0, unsigned key1, P2P_PHILOX_WORD *x0,
                                        P2P_PHILOX_WORD *x1, P2P_PHILOX_WORD *x2, P2P_PHILOX_WORD *x3) {
    P2P_PHILOX_WORD high0, low0, high1, low1;
    p2p_philox_multiply(0xD2511F53U, *x0, &high0, &low0);
    p2p_philox_multiply(0xCD9E8D57U, *x2, &high1, &low1);
    *x0 = high1 ^ *x1 ^ key0;
    *x1 = low1;
    *x2 = high0 ^ *x3 ^ key1;
    *x3 = low0;
}

/* The key of the next round: the golden ratio and sqrt(3) - 1, as Weyl sequences. */
P2P_PHILOX_INLINE void p2p_philox_next_key(unsigned *key0, unsigned *key1) {
    *key0 += 0x9E3779B9U;
    *key1 += 0xBB67AE85U;
}

/* The four words for channels 4 * quad to 4 * quad + 3 at (h, w) of an image with the key `sample`. An
 * element is kept if its word is at least p * 2^32. */
P2P_PHILOX_INLINE void p2p_dropout_words(unsigned seed_lo, unsigned seed_hi, unsigned layer, unsigned step,
                                         unsigned sample, P2P_PHILOX_WORD quad, unsigned h, unsigned w,
                                         P2P_PHILOX_WORD words[4]) {
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
