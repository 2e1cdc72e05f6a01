/* The message and hint of each thread. Nothing is printed or logged. Codes are in status_code.c. */
#include "p2p_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char thread_message[P2P_MESSAGE_BYTES];
static _Thread_local char thread_hint[P2P_HINT_BYTES];

/* Copies a text that is too long without its middle. Ends of paths and of messages are more informative than
 * their middles. */
static void copy_without_middle(char *to, size_t size, const char *from, size_t length) {
    static const char mark[] = " [...] ";
    const size_t kept = size - sizeof mark, head = kept / 2, tail = kept - head;
    memcpy(to, from, head);
    memcpy(to + head, mark, sizeof mark - 1);
    memcpy(to + head + sizeof mark - 1, from + length - tail, tail + 1);
}

/* Without memory for a text that is too long, only its beginning is kept. An argument may be the old text. */
static void compose(char *text, size_t size, const char *format, va_list args) {
    char composed[P2P_PATH_BYTES];
    va_list again;
    va_copy(again, args);
    const int length = vsnprintf(composed, sizeof composed, format, args);
    char *whole = length < (int)sizeof composed ? NULL : malloc((size_t)length + 1);
    if (whole) vsnprintf(whole, (size_t)length + 1, format, again);
    va_end(again);
    const char *from = whole ? whole : composed;
    const size_t bytes = strlen(from);
    if (bytes < size)
        memcpy(text, from, bytes + 1);
    else
        copy_without_middle(text, size, from, bytes);
    free(whole);
}

p2p_status p2p_fail_v(p2p_status code, const char *format, va_list args) {
    compose(thread_message, sizeof thread_message, format, args);
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

p2p_status p2p_hint_v(p2p_status code, const char *format, va_list args) {
    compose(thread_hint, sizeof thread_hint, format, args);
    return code;
}

p2p_status p2p_hint(p2p_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    p2p_hint_v(code, format, args);
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
    strcpy(failure->message, thread_message);
    strcpy(failure->hint, thread_hint);
}

p2p_status p2p_failure_give(const p2p_failure *failure) {
    strcpy(thread_message, failure->message);
    strcpy(thread_hint, failure->hint);
    return failure->status;
}
