/* The reference backend with additional refusals: test doubles of a backend that breaks the rule of
 * backend/EXTENDING.md or has lost an optional form. The operation runner must fail on each but the first, on
 * the last one even if its refusals in the table are listed.
 */
#ifndef REFUSING_BACKEND_H
#define REFUSING_BACKEND_H

#include "p2p_backend.h"

enum {
    REFUSING_NOTHING,    /* the reference itself, for comparison */
    REFUSING_UNFUSED,    /* one unfused case: conv_fwd by 5x5 filters of stride 3 */
    REFUSING_OPTIONAL,   /* everything that a backend may refuse */
    REFUSING_ONE_FUSION, /* dropout in a merged normalisation */
    REFUSING_A_SHAPE, /* activations of conv_fwd without a bias, and with one by 4x5 filters: not in the table
                       */
    REFUSING_DEVICES
};

const p2p_module *refusing_module(uint32_t abi, const p2p_host *host);

#endif
