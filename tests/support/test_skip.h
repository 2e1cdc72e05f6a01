/* Skips, which are loud: each prints the line "SKIPPED: NAME: REASON", which support/skipped.sh collects from
 * the logs of CTest, and a skipped test is counted in the closing line of its program. What can be tested
 * here in another way is tested that way instead; what does not apply at all is not in the list of tests.
 * Include it after cmocka. */
#ifndef P2P_TEST_SKIP_H
#define P2P_TEST_SKIP_H

#include <stdio.h>

/* A part of the test can't run here; the rest does. */
#define TEST_SKIP_PART(reason) (printf("SKIPPED: %s: %s\n", __func__, reason), fflush(stdout))

/* The test can't run here. Ends it. */
#define TEST_SKIP(reason)                                                                                    \
    do {                                                                                                     \
        TEST_SKIP_PART(reason);                                                                              \
        skip();                                                                                              \
    } while (0)

#endif
