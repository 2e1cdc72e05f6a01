/* Skips. Each prints the line "SKIPPED: NAME: REASON", which support/skipped.sh collects from the logs of
 * CTest. The last line of the test program counts skipped tests. A test skips only what this machine cannot
 * run and what no other test can replace; tests that do not apply are not registered. Include it after
 * cmocka. */
#ifndef P2P_TEST_SKIP_H
#define P2P_TEST_SKIP_H

#include <stdio.h>

/* Reports that a part of the test can't run here, and continues. */
#define TEST_SKIP_PART(reason) (printf("SKIPPED: %s: %s\n", __func__, reason), fflush(stdout))

/* Reports that the test can't run here, and ends it. */
#define TEST_SKIP(reason)                                                                                    \
    do {                                                                                                     \
        TEST_SKIP_PART(reason);                                                                              \
        skip();                                                                                              \
    } while (0)

#endif
