/* Status codes, and the message and hint of each thread. Nothing is printed or logged. */
#include "p2p_status.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char thread_message[P2P_MESSAGE_BYTES];
static _Thread_local char thread_hint[P2P_HINT_BYTES];

p2p_status p2p_fail_v(p2p_status code, const char *format, va_list args) {
    char composed[P2P_MESSAGE_BYTES]; /* an argument may be the old message */
    vsnprintf(composed, sizeof composed, format, args);
    snprintf(thread_message, sizeof thread_message, "%s", composed);
    thread_hint[0] = '\0';
    return code;
}

p2p_status p2p_fail(p2p_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    p2p_fail_v(code, format, args);
    va_end(args);
    return code;
}

p2p_status p2p_hint(p2p_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(thread_hint, sizeof thread_hint, format, args);
    va_end(args);
    return code;
}

const char *p2p_message(void) {
    return thread_message;
}

const char *p2p_message_hint(void) {
    return thread_hint;
}

void p2p_failure_take(p2p_failure *failure, p2p_status status) {
    failure->status = status;
    memcpy(failure->message, thread_message, sizeof thread_message);
    memcpy(failure->hint, thread_hint, sizeof thread_hint);
}

p2p_status p2p_failure_give(const p2p_failure *failure) {
    memcpy(thread_message, failure->message, sizeof thread_message);
    memcpy(thread_hint, failure->hint, sizeof thread_hint);
    return failure->status;
}

static const struct {
    const char *name;
    int exit_code;
} codes[] = {
#define X(name, exit_code, meaning) {#name, exit_code},
    P2P_STATUS_LIST(X)
#undef X
};

enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

const char *p2p_status_name(p2p_status code) {
    return (unsigned)code < CODE_COUNT ? codes[code].name : "UNKNOWN";
}

int p2p_status_exit_code(p2p_status code) {
    return (unsigned)code < CODE_COUNT ? codes[code].exit_code : 1;
}
