/* Moments of samples, as all_reduce combines them (P2P_REDUCE_MOMENTS of p2p_op.h), for the core and for
 * backends. The reference has its own, with which they are compared.
 */
#ifndef P2P_MOMENTS_H
#define P2P_MOMENTS_H

typedef struct {
    double count, mean;
    double m2; /* sum of squared deviations from the mean */
} p2p_moments;

/* Those of the union of two disjoint samples, by Chan, Golub and LeVeque. An empty sample changes nothing. */
static inline p2p_moments p2p_moments_unite(p2p_moments a, p2p_moments b) {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double count = a.count + b.count, delta = b.mean - a.mean;
    return (p2p_moments){count, a.mean + delta * b.count / count,
                         a.m2 + (b.m2 + delta * delta * a.count * b.count / count)};
}

#endif
