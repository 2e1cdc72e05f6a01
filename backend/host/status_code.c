/* Names and exit codes of statuses. Messages are in status.c. */
#include "p2p_status.h"

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
