/* Modules: the backends linked into this program and those that are shared objects (module_find.c), and the
 * services that they may use.
 *
 * A module that cannot be loaded stays in the list with the reason, which `p2p devices` prints. Of a module's
 * functions only the entry function and those that set limits are called here.
 */
#include "device_internal.h"
#include "host/cache.h"
#include "host/cache_driver.h"
#include "host/log.h"
#include "p2p_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Modules ------------------------------------------------------------------------------------------ */

const p2p_host *p2p_host_services(void) {
    static const p2p_host services = {
        .fail = p2p_fail,
        .hint = p2p_hint,
        .fail_v = p2p_fail_v,
        .hint_v = p2p_hint_v,
        .message = p2p_message,
        .message_hint = p2p_message_hint,
        .log = p2p_log,
        .logging = p2p_logging,
        .warn = p2p_warn,
        .op_print = p2p_op_print,
        .cache_get = p2p_cache_get,
        .cache_put = p2p_cache_put,
        .driver_folder = p2p_driver_folder,
        .driver_folder_record = p2p_driver_folder_record,
        .check_private_folder = p2p_folder_check_private,
        .check_private_path = p2p_path_check_private,
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

enum { BUILT_IN_COUNT = sizeof built_in / sizeof built_in[0], SLOT_CAPACITY = P2P_MODULE_FILES + 16 };

#ifndef P2P_CUDA_LEFT_OUT
#define P2P_CUDA_LEFT_OUT ""
#endif

/* Backends that are listed even if they are not installed. `left_out` is why the build did not make it; "" if
 * it did. */
static const struct { const char *name, *left_out; } optional[] = {{"cuda", P2P_CUDA_LEFT_OUT}};
enum { OPTIONAL_COUNT = sizeof optional / sizeof optional[0] };

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
    if (!device->time_begin != !device->time_end) return "time_begin or time_end";
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
    if (!loaded->name || !loaded->name[0] || strlen(loaded->name) >= P2P_MODULE_NAME_BYTES ||
        strpbrk(loaded->name, ": ")) {
        return p2p_fail(P2P_FAILED, "%s has no usable name", known);
    }
    const char *missing = missing_function(loaded);
    if (missing) return p2p_fail(P2P_FAILED, "module %s lacks %s", loaded->name, missing);
    *module = loaded;
    return P2P_OK;
}

static p2p_module_slot *slot_named(const char *name) {
    for (int i = 0; i < slot_count; i++) {
        if (strcmp(slots[i].name, name) == 0) return &slots[i];
    }
    return NULL;
}

static p2p_module_slot *add_slot(const char *name) {
    p2p_module_slot *slot = &slots[slot_count++];
    snprintf(slot->name, sizeof slot->name, "%s", name);
    return slot;
}

/* The reason is the message, after the file if there is one. */
static void refuse(p2p_module_slot *slot, const char *path) {
    slot->module = NULL;
    slot->presence = P2P_PRESENCE_REFUSED;
    snprintf(slot->reason, sizeof slot->reason, "%s%s%s", path, path[0] ? ": " : "", p2p_message());
}

static void load_file(p2p_module_file *file) {
    p2p_module_slot *slot = add_slot(file->name);
    slot->presence = file->presence;
    memcpy(slot->reason, file->reason, sizeof slot->reason);
    if (!file->entry) return;
    p2p_status status = load(file->entry, slot->name, &slot->module);
    if (status == P2P_OK && strcmp(slot->module->name, slot->name) != 0)
        status = p2p_fail(P2P_FAILED, "the module's name is %s; the file must be p2p_%s.so",
                          slot->module->name, slot->module->name);
    if (status != P2P_OK) refuse(slot, file->path);
}

static void load_files(void) {
    p2p_module_file *files = calloc(P2P_MODULE_FILES, sizeof *files);
    if (!files) {
        p2p_warn("no memory to look for backends");
        return;
    }
    const int count = p2p_module_find(files, P2P_MODULE_FILES);
    for (int i = 0; i < count; i++) {
        bool is_built_in = false;
        for (int k = 0; k < BUILT_IN_COUNT; k++)
            is_built_in = is_built_in || strcmp(files[i].name, built_in[k].name) == 0;
        if (is_built_in)
            p2p_warn("%s is not used: the backend %s is part of this program", files[i].path, files[i].name);
        else
            load_file(&files[i]);
    }
    free(files);
}

static void add_absent(const char *name, const char *left_out) {
    if (slot_named(name)) return;
    p2p_module_slot *slot = add_slot(name);
    char folders[P2P_PATH_BYTES - 512];
    p2p_module_folders(folders, sizeof folders);
    slot->presence = P2P_PRESENCE_ABSENT;
    snprintf(slot->reason, sizeof slot->reason, "looked for p2p_%s.so in %s%s%.320s", name, folders,
             left_out[0] ? "; this program was built without it: " : "", left_out);
}

static void load_all(void) {
    if (slot_count > 0) return;
    load_files();
    for (int i = 0; i < BUILT_IN_COUNT; i++) {
        p2p_module_slot *slot = add_slot(built_in[i].name);
        if (load(built_in[i].entry, slot->name, &slot->module) != P2P_OK) refuse(slot, "");
    }
    for (int i = 0; i < OPTIONAL_COUNT; i++) add_absent(optional[i].name, optional[i].left_out);
}

const p2p_module_slot *p2p_module_slot_at(int index) {
    load_all();
    return index >= 0 && index < slot_count ? &slots[index] : NULL;
}

const p2p_module *p2p_module_at(int index) {
    load_all();
    for (int i = 0; i < slot_count; i++) {
        if (slots[i].module && index-- == 0) return slots[i].module;
    }
    return NULL;
}

p2p_status p2p_module_register(p2p_module_entry entry) {
    load_all();
    const p2p_module *module = NULL;
    P2P_TRY(load(entry, NULL, &module));
    if (slot_named(module->name))
        return p2p_fail(P2P_INVALID, "there is already a module named %s", module->name);
    if (slot_count == SLOT_CAPACITY) {
        return p2p_fail(P2P_INVALID, "no room for module %s: at most %d", module->name, (int)SLOT_CAPACITY);
    }
    add_slot(module->name)->module = module;
    return P2P_OK;
}

/* ---- Limits ------------------------------------------------------------------------------------------- */

static p2p_status check_limit(const p2p_module *module, const p2p_limit *limit, double value) {
    if (value >= limit->least && value <= limit->most) return P2P_OK;
    return p2p_fail(P2P_USAGE, "%s: the limit \"%s\" is from %.10g to %.10g, not %g", module->name,
                    limit->name, limit->least, limit->most, value);
}

/* Checks the value for every limit of this name, or sets it. */
static p2p_status for_limits(const char *name, double value, bool set) {
    const p2p_module *module;
    for (int i = 0; (module = p2p_module_at(i)) != NULL; i++) {
        for (int k = 0; k < module->limit_count; k++) {
            const p2p_limit *limit = &module->limits[k];
            if (strcmp(limit->name, name) != 0) continue;
            P2P_TRY(check_limit(module, limit, value));
            if (set) limit->set(value);
        }
    }
    return P2P_OK;
}

p2p_status p2p_limit_set(const char *name, double value) {
    P2P_TRY(for_limits(name, value, false));
    return for_limits(name, value, true);
}
