/* Faults injected into calls of a backend's tables, for tests: all calls are counted, and a chosen one fails,
 * or loses the device.
 */
#include "device_internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Atomic, because devices may be used in different threads. */
static atomic_uint_fast64_t calls_counted, call_to_fail;
/* From P2P_LOSE_DEVICE_AT: devices are lost from this call on; 0: never. */
static atomic_uint_fast64_t call_to_lose;

uint64_t p2p_fault_inject(uint64_t nth) {
    atomic_store(&call_to_fail, 0);
    uint64_t counted = atomic_exchange(&calls_counted, 0);
    atomic_store(&call_to_fail, nth);
    return counted;
}

p2p_status p2p_fault_read_environment(void) {
    const char *text = getenv("P2P_LOSE_DEVICE_AT");
    const size_t digits = text ? strlen(text) : 0;
    if (digits > 18 || (digits > 0 && strspn(text, "0123456789") != digits))
        return p2p_fail(P2P_USAGE, "P2P_LOSE_DEVICE_AT is '%s', but must be a whole number, 0 for never",
                        text);
    atomic_store(&call_to_lose, digits > 0 ? strtoull(text, NULL, 10) : 0);
    return P2P_OK;
}

p2p_status p2p_call_count(const char *function) {
    const uint64_t number = atomic_fetch_add(&calls_counted, 1) + 1;
    const uint64_t lost = atomic_load(&call_to_lose);
    if (lost > 0 && number >= lost)
        return p2p_fail(P2P_DEVICE_LOST,
                        "injected fault: the device is lost since backend call %" PRIu64 ", %s", lost,
                        function);
    if (number != atomic_load(&call_to_fail)) return P2P_OK;
    return p2p_fail(P2P_FAILED, "injected fault: backend call %" PRIu64 ", %s", number, function);
}

p2p_status p2p_call_failure(void) {
    return atomic_load(&call_to_lose) > 0 ? P2P_DEVICE_LOST : P2P_FAILED;
}
