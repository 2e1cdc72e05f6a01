/* A backend of another version of the program. None of its functions may be called. */
#include "p2p_module.h"

#include <stdlib.h>

static const p2p_module *enter(uint32_t abi, const p2p_host *host) {
    (void)abi, (void)host;
    abort();
}

__attribute__((visibility("default"))) const p2p_module_header p2p_module_exported = {
    .magic = {'p', '2', 'p', 'm', 'o', 'd', 'u', 'l'}, .abi = P2P_BACKEND_ABI - 1, .entry = enter};
