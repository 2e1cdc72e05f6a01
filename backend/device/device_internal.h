/* Private to device/: the structures of device.h, and the count of calls of a backend's table. */
#ifndef P2P_CORE_DEVICE_INTERNAL_H
#define P2P_CORE_DEVICE_INTERNAL_H

#include "device.h"

struct p2p_device {
    const p2p_module *module;
    p2p_be_device *be;
    p2p_device_info info;
    char address[64];
    bool warned[P2P_SLOWER_COUNT]; /* of each slower path */
};

struct p2p_buffer {
    p2p_device *device;
    p2p_be_buffer *be;
    size_t bytes;
};

enum { P2P_MODULE_NAME_BYTES = 33 };

/* A backend. `module` is NULL if it could not be loaded: `presence` and `reason` have the cause. */
typedef struct {
    char name[P2P_MODULE_NAME_BYTES];
    const p2p_module *module;
    p2p_presence presence;
    char reason[P2P_PATH_BYTES];
} p2p_module_slot;

/* Every backend in the order of p2p_device_list, then registered ones; NULL past the end. The first call
 * loads the modules and must not be concurrent with another. module.c */
const p2p_module_slot *p2p_module_slot_at(int index);

/* A file p2p_NAME.so. `entry` is NULL if it is not to be used, for `reason`. */
typedef struct {
    char name[P2P_MODULE_NAME_BYTES];
    char path[P2P_PATH_BYTES];
    p2p_module_entry entry;
    p2p_presence presence;
    char reason[P2P_PATH_BYTES];
} p2p_module_file;

enum { P2P_MODULE_FILES = 32 };

/* Finds and loads the modules that are shared objects, each name once, at most `capacity`. Warns of what
 * can't be listed. module_find.c */
int p2p_module_find(p2p_module_file *files, int capacity);
/* Writes the folders in which it looks, separated by ", ". */
void p2p_module_folders(char *text, size_t size);

/* The number of a loaded module's devices. *count is 0 if the module has none: *presence and `reason` then
 * have the cause. module_state.c */
void p2p_module_count(const p2p_module_slot *slot, int *count, p2p_presence *presence, char *reason,
                      size_t size);

/* Counts a fallible table call. Returns P2P_FAILED if p2p_fault_inject selected this call, and
 * P2P_DEVICE_LOST after P2P_LOSE_DEVICE_AT; then the call must not be made. */
p2p_status p2p_call_count(const char *function);
/* The status that such a call returns. */
p2p_status p2p_call_failure(void);
/* Reads P2P_LOSE_DEVICE_AT=N from the environment, for tests of whole programs: from the Nth table call on
 * every device is lost. Called when a device is opened. P2P_USAGE if the value is not a number. */
p2p_status p2p_fault_read_environment(void);

/* Makes a fallible table call unless it must fail. */
#define P2P_CALL(function, call) (p2p_call_count(function) == P2P_OK ? (call) : p2p_call_failure())

/* The backend's form of a place; {0} for an absent one. */
p2p_binding p2p_place_binding(p2p_place place);

/* P2P_INVALID unless [offset, offset + bytes) is within a buffer of `device` and the offset is aligned.
 * `what` names the operand or the call in messages. */
p2p_status p2p_place_check(const p2p_device *device, const char *what, p2p_place place, size_t bytes);

#endif
