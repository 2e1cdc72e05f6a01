/* A backend as a shared object, p2p_NAME.so, that the program loads when it first needs the list of devices.
 *
 * One source file of the module has P2P_MODULE_EXPORT(entry function), outside of functions. The module is
 * built by p2p_add_module of backend/CMakeLists.txt: it links p2p_op_module, whose functions report failures
 * to the program, instead of p2p_op, and exports nothing but the symbol below. A module is never unloaded.
 * How the program finds modules is in device/module_find.c.
 */
#ifndef P2P_MODULE_H
#define P2P_MODULE_H

#include "p2p_backend.h"

/* What a module exports. The program reads it before it calls anything, so `magic` and `abi` must never
 * change their places. */
typedef struct {
    char magic[8]; /* P2P_MODULE_MAGIC, without the final 0 */
    uint32_t abi;  /* P2P_BACKEND_ABI of the module's build */
    p2p_module_entry entry;
} p2p_module_header;

#define P2P_MODULE_MAGIC  "p2pmodul"
#define P2P_MODULE_SYMBOL "p2p_module_exported"

extern const p2p_module_header p2p_module_exported;

/* Sets the host to which p2p_fail, p2p_hint and the others of p2p_status.h forward in this module. */
void p2p_module_use_host(const p2p_host *host);

#define P2P_MODULE_EXPORT(entry_function)                                                                    \
    static const p2p_module *p2p_module_enter(uint32_t abi_, const p2p_host *host_) {                        \
        p2p_module_use_host(host_);                                                                          \
        return entry_function(abi_, host_);                                                                  \
    }                                                                                                        \
    __attribute__((visibility("default")))                                                                   \
    const p2p_module_header p2p_module_exported = {.magic = {'p', '2', 'p', 'm', 'o', 'd', 'u', 'l'},        \
                                                   .abi = P2P_BACKEND_ABI,                                   \
                                                   .entry = p2p_module_enter}

#endif
