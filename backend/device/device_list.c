/* The list of all devices, and opening of a device by its address.
 *
 * A device given by name is opened or the call fails with the reason; no other device is substituted. The
 * functions of an open device are in device.c.
 */
#include "device_internal.h"
#include "host/cache.h"
#include "host/log.h"
#include "p2p_printable.h"

#include <stdlib.h>
#include <string.h>

/* A device of a module, or a module without devices (index -1). */
typedef struct {
    const char *module_name;
    const p2p_module *module;
    int index;
    p2p_presence presence;
    char reason[P2P_PATH_BYTES]; /* "" if the device is usable */
    p2p_device_info info;
} found_device;

typedef struct {
    found_device *items;
    int count;
} found_list;

static p2p_status found_append(found_list *list, const found_device *item) {
    found_device *items = realloc(list->items, (size_t)(list->count + 1) * sizeof *items);
    if (!items) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for the list of devices");
    list->items = items;
    items[list->count++] = *item;
    return P2P_OK;
}

static found_device find_device(const p2p_module_slot *slot, int index) {
    found_device item = {.module_name = slot->name, .module = slot->module, .index = index};
    if (P2P_CALL("device_info", slot->module->device_info(index, &item.info)) == P2P_OK)
        snprintf(item.reason, sizeof item.reason, "%s", item.info.unusable);
    else
        snprintf(item.reason, sizeof item.reason, "%s", p2p_message());
    item.presence = item.reason[0] ? P2P_PRESENCE_UNUSABLE : P2P_PRESENCE_USABLE;
    return item;
}

/* The number of the backend's devices. If it is 0, *item describes the backend. */
static int count_devices(const p2p_module_slot *slot, found_device *item) {
    int count = 0;
    *item = (found_device){.module_name = slot->name, .module = slot->module, .index = -1};
    if (slot->module) {
        p2p_module_count(slot, &count, &item->presence, item->reason, sizeof item->reason);
    } else {
        item->presence = slot->presence;
        memcpy(item->reason, slot->reason, sizeof item->reason);
    }
    return count;
}

/* Appends all devices of a module. Fails only if out of memory. */
static p2p_status find_in_module(found_list *list, const p2p_module_slot *slot) {
    found_device without;
    const int count = count_devices(slot, &without);
    if (count == 0) return found_append(list, &without);
    for (int i = 0; i < count; i++) {
        found_device item = find_device(slot, i);
        P2P_TRY(found_append(list, &item));
    }
    return P2P_OK;
}

/* Those of a backend; NULL: of all. The drivers of others are not started. */
static p2p_status find_of(const char *backend, found_list *list) {
    const p2p_module_slot *slot;
    for (int i = 0; (slot = p2p_module_slot_at(i)) != NULL; i++)
        if (!backend || strcmp(slot->name, backend) == 0) P2P_TRY(find_in_module(list, slot));
    return P2P_OK;
}

static p2p_status find_all(found_list *list) {
    return find_of(NULL, list);
}

static bool usable(const found_device *item) {
    return item->presence == P2P_PRESENCE_USABLE;
}

static bool is_reference(const found_device *item) {
    return strcmp(item->module_name, "reference") == 0;
}

/* Smaller is better. The reference is last, because it is slow. */
static int preference(const found_device *item) {
    if (is_reference(item)) return 3;
    switch (item->info.type) {
    case P2P_DEVICE_GPU:
        return 0;
    case P2P_DEVICE_CPU:
        return 1;
    default:
        return 2;
    }
}

/* The device that "auto" selects; NULL if no device is usable. */
static const found_device *choose_default(const found_list *list) {
    const found_device *best = NULL;
    for (int i = 0; i < list->count; i++) {
        const found_device *item = &list->items[i];
        if (usable(item) && (!best || preference(item) < preference(best))) best = item;
    }
    return best;
}

static void print_address(const found_device *item, char *text, size_t size) {
    if (item->index < 0) {
        snprintf(text, size, "%s", item->module_name);
    } else {
        snprintf(text, size, "%s:%d", item->module_name, item->index);
    }
}

static const char *type_name(const found_device *item) {
    if (!usable(item)) return "";
    return item->info.type == P2P_DEVICE_GPU ? "GPU" : item->info.type == P2P_DEVICE_CPU ? "CPU" : "";
}

static p2p_device_entry entry_of(const found_device *item, bool is_default) {
    p2p_device_entry entry = {.memory_bytes = item->info.memory_bytes,
                              .max_alloc_bytes = item->info.max_alloc_bytes,
                              .compute_units = item->info.compute_units,
                              .type = type_name(item),
                              .presence = item->presence,
                              .is_default = is_default};
    print_address(item, entry.address, sizeof entry.address);
    snprintf(entry.name, sizeof entry.name, "%s", item->info.name);
    snprintf(entry.driver, sizeof entry.driver, "%s", item->info.driver);
    snprintf(entry.details, sizeof entry.details, "%s", item->info.details);
    memcpy(entry.unusable, item->reason, sizeof entry.unusable);
    entry.stores_bf16 = item->info.activation_bf16.type == P2P_TYPE_bf16;
    snprintf(entry.no_bf16, sizeof entry.no_bf16, "%s", item->info.no_bf16);
    snprintf(entry.no_tf32, sizeof entry.no_tf32, "%s", item->info.no_tf32);
    return entry;
}

p2p_status p2p_device_list(const char *backend, p2p_device_entry **entries, int *count) {
    *entries = NULL;
    *count = 0;
    found_list list = {0};
    p2p_status status = find_of(backend, &list);
    p2p_device_entry *made = NULL;
    if (status == P2P_OK) {
        made = calloc((size_t)list.count + 1, sizeof *made);
        if (!made) status = p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for the list of devices");
    }
    if (status == P2P_OK) {
        const found_device *chosen = choose_default(&list);
        for (int i = 0; i < list.count; i++) {
            made[i] = entry_of(&list.items[i], chosen == &list.items[i]);
        }
        *entries = made;
        *count = list.count;
    }
    free(list.items);
    return status;
}

/* ---- Opening ------------------------------------------------------------------------------------------ */

/* Checks properties of a device on which the core relies. */
static p2p_status check_info(const char *address, const p2p_device_info *info) {
    if (info->alignment == 0 || (info->alignment & (info->alignment - 1)) != 0) {
        return p2p_fail(P2P_FAILED, "%s: alignment %zu is not a power of two", address, info->alignment);
    }
    if (info->channel_alignment < 1) {
        return p2p_fail(P2P_FAILED, "%s: channel alignment %d", address, info->channel_alignment);
    }
    if (info->vector.layout != P2P_LAYOUT_plain) {
        return p2p_fail(P2P_FAILED, "%s: vectors must be plain", address);
    }
    return P2P_OK;
}

/* Reads all environment variables of the core. Without a cache folder the program only takes longer, so this
 * is not a failure. */
static p2p_status read_environment(void) {
    const char *folder = NULL;
    if (p2p_cache_folder(&folder) != P2P_OK) p2p_log("cache: %s", p2p_message());
    return p2p_fault_read_environment();
}

static p2p_status open_found(const found_device *item, p2p_device **device) {
    P2P_TRY(read_environment());
    p2p_device *opened = malloc(sizeof *opened);
    if (!opened) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a device's record");
    *opened = (p2p_device){.module = item->module, .info = item->info};
    print_address(item, opened->address, sizeof opened->address);
    p2p_status status = check_info(opened->address, &item->info);
    if (status == P2P_OK) {
        status = P2P_CALL("device_open", item->module->device_open(item->index, &opened->be));
    }
    p2p_log("%s: open %s: %s", opened->address, opened->info.name, p2p_status_name(status));
    if (status != P2P_OK) {
        free(opened);
        return status;
    }
    *device = opened;
    return P2P_OK;
}

/* Whether the user may have expected this device, or one of this backend, in place of the chosen one. Without
 * its driver or a device a backend is for other hardware, which matters only if nothing else is left. */
static bool is_missed(const found_device *item, const found_device *chosen) {
    switch (item->presence) {
    case P2P_PRESENCE_USABLE:
    case P2P_PRESENCE_ABSENT:
        return false;
    case P2P_PRESENCE_UNUSABLE:
        return is_reference(chosen) || preference(item) < preference(chosen);
    case P2P_PRESENCE_NO_DRIVER:
    case P2P_PRESENCE_NO_DEVICE:
        return is_reference(chosen);
    case P2P_PRESENCE_NO_LIBRARY:
    case P2P_PRESENCE_OLD_DRIVER:
    case P2P_PRESENCE_FAILED:
    case P2P_PRESENCE_REFUSED:
    case P2P_PRESENCE_OTHER_ABI:
        break;
    }
    return true;
}

/* The reason in a sentence. */
static const char *reason_of(const found_device *item, char text[P2P_PATH_BYTES + 32]) {
    const bool words = item->presence == P2P_PRESENCE_OTHER_ABI || item->presence == P2P_PRESENCE_ABSENT;
    snprintf(text, P2P_PATH_BYTES + 32, "%s%s%s", words ? p2p_presence_words(item->presence) : "",
             words ? ": " : "", item->reason);
    return text;
}

/* Warns of devices and backends that are missed, and of the reference. */
static void warn_of_unusable(const found_list *list, const found_device *chosen) {
    for (int i = 0; i < list->count; i++) {
        const found_device *item = &list->items[i];
        char address[64], reason[P2P_PATH_BYTES + 32];
        if (!is_missed(item, chosen)) continue;
        print_address(item, address, sizeof address);
        p2p_warn("%s can't be used: %s", address, reason_of(item, reason));
    }
    if (is_reference(chosen))
        p2p_warn("no other device can be used: the reference backend computes, many times more slowly");
}

static p2p_status open_auto(const found_list *list, p2p_device **device) {
    const found_device *chosen = choose_default(list);
    if (chosen) {
        warn_of_unusable(list, chosen);
        return open_found(chosen, device);
    }
    p2p_fail(P2P_NO_DEVICE, "no device can be used");
    return p2p_hint(P2P_NO_DEVICE, "`p2p devices` prints the reasons");
}

static p2p_status fail_unknown_backend(const char *address, size_t name_length) {
    char names[512] = "";
    const p2p_module_slot *slot;
    for (int i = 0; (slot = p2p_module_slot_at(i)) != NULL; i++)
        p2p_list_append(names, sizeof names, slot->name);
    p2p_fail(P2P_NO_DEVICE, "there is no backend named \"%.*s\" (of device \"%s\")", (int)name_length,
             address, address);
    return p2p_hint(P2P_NO_DEVICE, "the backends of this program: %s; or auto", names);
}

/* The number after the colon; -1 if there is no colon, -2 if it is not followed by a number. */
static int parse_index(const char *suffix) {
    if (*suffix == '\0') return -1;
    const char *digits = suffix + 1;
    size_t length = strlen(digits);
    if (length == 0 || length > 6 || strspn(digits, "0123456789") != length) return -2;
    return atoi(digits);
}

static p2p_status open_index(const p2p_module_slot *slot, int index, const char *address,
                             p2p_device **device) {
    found_device item = find_device(slot, index);
    if (usable(&item)) return open_found(&item, device);
    return p2p_fail(P2P_NO_DEVICE, "device \"%s\" can't be used: %s", address, item.reason);
}

/* Opens the first usable device. If there is none, the message has the first device's reason. */
static p2p_status open_first(const p2p_module_slot *slot, int count, p2p_device **device) {
    char reason[P2P_PATH_BYTES] = "none was found";
    for (int i = 0; i < count; i++) {
        found_device item = find_device(slot, i);
        if (usable(&item)) return open_found(&item, device);
        if (i == 0) memcpy(reason, item.reason, sizeof reason);
    }
    return p2p_fail(P2P_NO_DEVICE, "%s has no device that can be used, of %d: %s", slot->name, count, reason);
}

static p2p_status open_in_module(const p2p_module_slot *slot, int index, const char *address,
                                 p2p_device **device) {
    found_device without;
    char reason[P2P_PATH_BYTES + 32];
    const int count = count_devices(slot, &without);
    if (count == 0)
        return p2p_fail(P2P_NO_DEVICE, "there is no device \"%s\": %s", address, reason_of(&without, reason));
    if (index < count) {
        return index >= 0 ? open_index(slot, index, address, device) : open_first(slot, count, device);
    }
    p2p_fail(P2P_NO_DEVICE, "there is no device \"%s\": %s has %d, counted from 0", address, slot->name,
             count);
    return p2p_hint(P2P_NO_DEVICE, "`p2p devices` lists them");
}

p2p_status p2p_device_open(const char *address, p2p_device **device) {
    *device = NULL;
    if (strcmp(address, "auto") == 0) {
        found_list list = {0};
        p2p_status status = find_all(&list);
        if (status == P2P_OK) status = open_auto(&list, device);
        free(list.items);
        return status;
    }
    size_t name_length = strcspn(address, ":");
    int index = parse_index(address + name_length);
    if (index == -2) {
        p2p_fail(P2P_NO_DEVICE, "\"%s\" is not the address of a device", address);
        return p2p_hint(P2P_NO_DEVICE, "use BACKEND, BACKEND:NUMBER or auto; `p2p devices` lists them");
    }
    const p2p_module_slot *slot;
    for (int i = 0; (slot = p2p_module_slot_at(i)) != NULL; i++) {
        if (strlen(slot->name) == name_length && strncmp(slot->name, address, name_length) == 0) {
            return open_in_module(slot, index, address, device);
        }
    }
    return fail_unknown_backend(address, name_length);
}
