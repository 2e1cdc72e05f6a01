/* The functions of p2p_status.h in a module that is a shared object: they forward to the program, whose
 * threads have the messages. With the program's own file, host/status.c, a module would have messages of its
 * own, which are never printed. Codes and their names are in host/status_code.c. */
#include "p2p_module.h"

#include <string.h>

static const p2p_host *host;

void p2p_module_use_host(const p2p_host *services) {
    host = services;
}

p2p_status p2p_fail_v(p2p_status code, const char *format, va_list args) {
    return host->fail_v(code, format, args);
}

p2p_status p2p_fail(p2p_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    host->fail_v(code, format, args);
    va_end(args);
    return code;
}

p2p_status p2p_hint_v(p2p_status code, const char *format, va_list args) {
    return host->hint_v(code, format, args);
}

p2p_status p2p_hint(p2p_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    host->hint_v(code, format, args);
    va_end(args);
    return code;
}

const char *p2p_message(void) {
    return host->message();
}

const char *p2p_message_hint(void) {
    return host->message_hint();
}

void p2p_failure_take(p2p_failure *failure, p2p_status status) {
    failure->status = status;
    strcpy(failure->message, host->message());
    strcpy(failure->hint, host->message_hint());
}

p2p_status p2p_failure_give(const p2p_failure *failure) {
    host->fail(failure->status, "%s", failure->message);
    return host->hint(failure->status, "%s", failure->hint);
}
