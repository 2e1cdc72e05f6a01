/* What device.c shares with comm.c and module.c: the objects behind device.h and the guard in front of every
 * call of a backend's table. No other file of the core includes this.
 */
#ifndef P2P_CORE_DEVICE_INTERNAL_H
#define P2P_CORE_DEVICE_INTERNAL_H

#include "device.h"

struct p2p_device {
    const p2p_module *module;
    p2p_be_device *be;
    p2p_device_info info;
    char address[64];
};

struct p2p_buffer {
    p2p_device *device;
    p2p_be_buffer *be;
    size_t bytes;
};

/* A backend of this build: loaded, or (module NULL) not, with the reason. */
typedef struct {
    const char *name;
    const p2p_module *module;
    char reason[512];
} p2p_module_slot;

/* Every backend of this build, then registered ones; NULL past the end. module.c. Loads modules on the first
 * call, which must not race with another. */
const p2p_module_slot *p2p_module_slot_at(int index);

/* Count one fallible table call; it must not be made, and fails, where p2p_fault_inject chose it (P2P_FAILED)
 * or the device was lost on purpose (P2P_DEVICE_LOST). */
p2p_status p2p_call_count(const char *function);
/* The status of a call that must fail. */
p2p_status p2p_call_failure(void);
/* For tests of whole programs: P2P_LOSE_DEVICE_AT=N in the environment loses every device at the Nth table
 * call. Read whenever a device is opened. P2P_USAGE where it is no number. */
p2p_status p2p_fault_read_environment(void);

/* Make one fallible table call, unless it is the one that must fail. */
#define P2P_CALL(function, call) (p2p_call_count(function) == P2P_OK ? (call) : p2p_call_failure())

/* The backend's form of a place of this device; {0} for an absent one. */
p2p_binding p2p_place_binding(p2p_place place);

/* P2P_INVALID unless [offset, offset + bytes) lies in a buffer of `device` and the offset is aligned. `what`
 * names the operand or the call in messages. */
p2p_status p2p_place_check(const p2p_device *device, const char *what, p2p_place place, size_t bytes);

#endif
