/* What tests say of a status: that it is success, or which failure with which words. Include it after cmocka.
 */
#ifndef P2P_TEST_EXPECT_H
#define P2P_TEST_EXPECT_H

#include "p2p_status.h"

#include <string.h>

static inline void ok(p2p_status status) {
    if (status != P2P_OK) fail_msg("%s", p2p_message());
}

/* Failed with this code, and a message that contains `fragment`. */
static inline void refused(p2p_status status, p2p_status code, const char *fragment) {
    assert_int_equal(status, code);
    if (!strstr(p2p_message(), fragment)) fail_msg("\"%s\" doesn't say \"%s\"", p2p_message(), fragment);
}

#endif
