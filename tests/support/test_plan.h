/* A plan's input, for tests that fill it. Include it after cmocka. */
#ifndef P2P_TEST_PLAN_H
#define P2P_TEST_PLAN_H

#include "p2p.h"
#include "test_expect.h"

/* The place to fill for the next run; never NULL. */
static inline void *test_plan_input(p2p_plan *plan, int replica, const char *name) {
    void *place = NULL;
    OK(p2p_plan_input(plan, replica, name, &place));
    return place;
}

#endif
