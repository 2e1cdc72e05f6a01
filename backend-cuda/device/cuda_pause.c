/* See cuda_pause.h. */
#include "cuda_pause.h"

static const double yields = 200e-6; /* seconds of a wait that keep a processor busy */
static const double shortest = 20e3, longest = 1e6;

long cuda_pause(double waited) {
    if (waited < yields) return 0;
    const double pause = 1e9 / 8 * waited;
    return (long)(pause < shortest ? shortest : pause < longest ? pause : longest);
}
