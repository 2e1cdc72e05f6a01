/* Expectations of a status: success, or a failure with its code and part of its message. They are macros, so
 * that a failed expectation reports the test's own line. Include it after cmocka. */
#ifndef P2P_TEST_EXPECT_H
#define P2P_TEST_EXPECT_H

#include "p2p_status.h"

#include <string.h>

#define OK(expression)                                                                                       \
    do {                                                                                                     \
        if ((expression) != P2P_OK) fail_msg("%s: %s", #expression, p2p_message());                          \
    } while (0)

/* The last failure's message contains `fragment`. */
#define MESSAGE_HAS(fragment)                                                                                \
    do {                                                                                                     \
        if (!strstr(p2p_message(), fragment))                                                                \
            fail_msg("the message is \"%s\" and lacks \"%s\"", p2p_message(), fragment);                     \
    } while (0)

/* The last failure's hint contains `fragment`. */
#define HINT_HAS(fragment)                                                                                   \
    do {                                                                                                     \
        if (!strstr(p2p_message_hint(), fragment))                                                           \
            fail_msg("the hint is \"%s\" and lacks \"%s\"", p2p_message_hint(), fragment);                   \
    } while (0)

/* The expression fails with this code, and with a message that contains `fragment`. */
#define REFUSED(expression, code, fragment)                                                                  \
    do {                                                                                                     \
        const p2p_status refused_with = (expression);                                                        \
        if (refused_with != (code) || !strstr(p2p_message(), fragment))                                      \
            fail_msg("%s: wanted %s and \"%s\", got %s: %s", #expression, p2p_status_name(code), fragment,   \
                     p2p_status_name(refused_with), refused_with == P2P_OK ? "" : p2p_message());            \
    } while (0)

#endif
