/* Access to a plan's inputs for tests. Include it after cmocka. */
#ifndef P2P_TEST_PLAN_H
#define P2P_TEST_PLAN_H

#include "p2p.h"
#include "test_expect.h"

/* The memory of an input of the next run. Fails the test if there is no such input. */
static inline void *test_plan_input(p2p_plan *plan, int replica, const char *name) {
    void *place = NULL;
    OK(p2p_plan_input(plan, replica, name, &place));
    return place;
}

#endif
