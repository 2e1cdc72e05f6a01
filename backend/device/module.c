/* Modules: the backends linked into this program, and the services that they may use.
 *
 * A module that cannot be loaded stays in the list with the reason, which `p2p devices` prints. Of a module's
 * functions only the entry function is called here.
 */
#include "device_internal.h"
#include "host/cache.h"
#include "host/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Modules ------------------------------------------------------------------------------------------ */

static const char *cache_folder(void) {
    const char *folder = NULL;
    return p2p_cache_folder(&folder) == P2P_OK ? folder : NULL;
}

const p2p_host *p2p_host_services(void) {
    static const p2p_host services = {
        .fail = p2p_fail,
        .hint = p2p_hint,
        .log = p2p_log,
        .warn = p2p_warn,
        .op_print = p2p_op_print,
        .cache_get = p2p_cache_get,
        .cache_put = p2p_cache_put,
        .cache_folder = cache_folder,
    };
    return &services;
}

static const struct {
    const char *name;
    p2p_module_entry entry;
} built_in[] = {
#ifdef P2P_HAVE_OPENCL
    {"opencl", p2p_module_opencl},
#endif
    {"reference", p2p_module_reference},
};

enum { BUILT_IN_COUNT = sizeof built_in / sizeof built_in[0], SLOT_CAPACITY = 16 };

static p2p_module_slot slots[SLOT_CAPACITY];
static int slot_count;

/* The name of a required function that the module lacks; NULL if it is complete. */
static const char *missing_function(const p2p_module *module) {
    const p2p_device_table *device = &module->device;
    const struct {
        const char *name;
        bool present;
    } required[] = {
        {"device_count", module->device_count != NULL},
        {"device_info", module->device_info != NULL},
        {"device_open", module->device_open != NULL},
        {"close", device->close != NULL},
        {"buffer_create", device->buffer_create},
        {"buffer_destroy", device->buffer_destroy},
        {"buffer_write", device->buffer_write},
        {"buffer_read", device->buffer_read},
        {"buffer_copy", device->buffer_copy},
        {"op_query", device->op_query},
        {"op_create", device->op_create},
        {"op_run", device->op_run},
        {"op_destroy", device->op_destroy},
        {"submit", device->submit},
        {"wait", device->wait},
    };
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (!required[i].present) return required[i].name;
    }
    bool records = device->record_begin != NULL;
    if (records && !(device->record_end && device->recording_run && device->recording_destroy)) {
        return "record_end, recording_run or recording_destroy";
    }
    if (!device->op_choose != !device->op_impose) return "op_choose or op_impose";
    if (device->op_list && !device->op_choose) return "op_choose and op_impose, and has op_list";
    if (!device->host_alloc != !device->host_free) return "host_alloc or host_free";
    if (module->comm_open &&
        !(module->comm.close && module->comm.query && module->comm.all_reduce && module->comm.broadcast)) {
        return "a function of its communicator";
    }
    return NULL;
}

/* Calls the entry function and checks its result. `name` is for messages, NULL if not known. */
static p2p_status load(p2p_module_entry entry, const char *name, const p2p_module **module) {
    const char *known = name ? name : "a module";
    const p2p_module *loaded = entry(P2P_BACKEND_ABI, p2p_host_services());
    if (!loaded) {
        return p2p_fail(P2P_FAILED, "%s does not support version %d of the backend interface", known,
                        (int)P2P_BACKEND_ABI);
    }
    if (loaded->abi != P2P_BACKEND_ABI) {
        return p2p_fail(P2P_FAILED, "%s was built for version %u of the backend interface, this is %d", known,
                        (unsigned)loaded->abi, (int)P2P_BACKEND_ABI);
    }
    if (!loaded->name || !loaded->name[0] || strlen(loaded->name) > 32 || strpbrk(loaded->name, ": ")) {
        return p2p_fail(P2P_FAILED, "%s has no usable name", known);
    }
    const char *missing = missing_function(loaded);
    if (missing) return p2p_fail(P2P_FAILED, "module %s lacks %s", loaded->name, missing);
    *module = loaded;
    return P2P_OK;
}

static void load_built_in(void) {
    if (slot_count > 0) return;
    for (int i = 0; i < BUILT_IN_COUNT; i++) {
        p2p_module_slot *slot = &slots[slot_count++];
        slot->name = built_in[i].name;
        if (load(built_in[i].entry, slot->name, &slot->module) != P2P_OK) {
            snprintf(slot->reason, sizeof slot->reason, "%s", p2p_message());
        }
    }
}

const p2p_module_slot *p2p_module_slot_at(int index) {
    load_built_in();
    return index >= 0 && index < slot_count ? &slots[index] : NULL;
}

const p2p_module *p2p_module_at(int index) {
    load_built_in();
    for (int i = 0; i < slot_count; i++) {
        if (slots[i].module && index-- == 0) return slots[i].module;
    }
    return NULL;
}

p2p_status p2p_module_register(p2p_module_entry entry) {
    load_built_in();
    const p2p_module *module = NULL;
    P2P_TRY(load(entry, NULL, &module));
    for (int i = 0; i < slot_count; i++) {
        if (strcmp(slots[i].name, module->name) == 0) {
            return p2p_fail(P2P_INVALID, "there is already a module named %s", module->name);
        }
    }
    if (slot_count == SLOT_CAPACITY) {
        return p2p_fail(P2P_INVALID, "no room for module %s: at most %d", module->name, (int)SLOT_CAPACITY);
    }
    slots[slot_count++] = (p2p_module_slot){.name = module->name, .module = module};
    return P2P_OK;
}
