/* Seconds of a clock that never goes back. */
#ifndef P2P_TEST_CLOCK_H
#define P2P_TEST_CLOCK_H

#include <time.h>

static inline double test_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
