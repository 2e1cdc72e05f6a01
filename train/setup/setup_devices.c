/* The devices of --backend, --device and --gpus. See setup_devices.h. */
#include "setup_devices.h"

#include "host/text.h"

#include <stdlib.h>
#include <string.h>

enum { ADDRESS_BYTES = 64 };

/* ---- Options ------------------------------------------------------------------------------------------ */

static bool gives_count(const settings *all) {
    return settings_given(all, "gpus");
}

static int names_in(const char *list) {
    int count = 1;
    for (const char *at = list; (at = strchr(at, ',')) != NULL; at++) count++;
    return count;
}

int setup_devices_asked(const settings *all) {
    if (all->device) return names_in(all->device);
    return gives_count(all) ? (int)all->gpus : 1;
}

int setup_replicas_asked(const settings *all) {
    return (all->ranks > 1 ? all->ranks : 1) * setup_devices_asked(all);
}

static p2p_status check_count(const settings *all) {
    const int named = all->device ? names_in(all->device) : 0;
    if (named > SETUP_MOST_DEVICES)
        return p2p_fail(P2P_USAGE, "--device names %d devices; at most %d are possible", named,
                        SETUP_MOST_DEVICES);
    if (named == 0 || !gives_count(all) || named == all->gpus) return P2P_OK;
    p2p_fail(P2P_USAGE, "--gpus %d contradicts --device %s, which names %d", (int)all->gpus, all->device,
             named);
    return p2p_hint(P2P_USAGE, "one of the two options is enough");
}

/* Whether the address is of a device of the backend. */
static bool is_of(const char *address, const char *backend) {
    const size_t length = strlen(backend);
    return strncmp(address, backend, length) == 0 && address[length] == ':';
}

static bool is_any(const char *backend) {
    return strcmp(backend, "auto") == 0;
}

p2p_status setup_backend_check(const settings *all) {
    if (!strchr(all->backend, ':')) return P2P_OK;
    p2p_fail(P2P_USAGE, "--backend %s: a backend's name has no colon", all->backend);
    return p2p_hint(P2P_USAGE, "--device %s names one of its devices", all->backend);
}

/* ---- Opening ------------------------------------------------------------------------------------------ */

static p2p_device *find_open(const setup_devices *devices, const char *address) {
    for (int i = 0; i < devices->count; i++)
        if (strcmp(p2p_device_address(devices->list[i]), address) == 0) return devices->list[i];
    return NULL;
}

/* Append the device, which may be in the list already. */
static p2p_status append(setup_devices *devices, const char *address) {
    p2p_device *device = find_open(devices, address);
    if (!device) P2P_TRY(p2p_device_open(address, &device));
    p2p_device *same = find_open(devices, p2p_device_address(device)); /* "opencl" may be "opencl:0" */
    if (same && same != device) {
        p2p_device_close(device);
        device = same;
    }
    devices->list[devices->count++] = device;
    return P2P_OK;
}

/* Copy the next name of the list; *list moves past it. */
static p2p_status next_name(const settings *all, const char **list, char name[ADDRESS_BYTES]) {
    const size_t length = strcspn(*list, ",");
    if (length == 0) {
        p2p_fail(P2P_USAGE, "--device %s: a name of the list is empty", all->device);
        return p2p_hint(P2P_USAGE, "write addresses of p2p devices with commas between them and no blanks");
    }
    if (length >= ADDRESS_BYTES)
        return p2p_fail(P2P_USAGE, "--device %.*s: there is no such device", (int)length, *list);
    memcpy(name, *list, length);
    name[length] = '\0';
    *list += length + ((*list)[length] == ',');
    return P2P_OK;
}

static p2p_status open_named(const settings *all, setup_devices *devices) {
    const int count = names_in(all->device);
    const char *list = all->device;
    for (int i = 0; i < count; i++) {
        char name[ADDRESS_BYTES];
        P2P_TRY(next_name(all, &list, name));
        if (settings_given(all, "backend") && !is_any(all->backend) && !is_of(name, all->backend))
            return p2p_fail(P2P_USAGE, "--device %s contradicts --backend %s", all->device, all->backend);
        P2P_TRY(append(devices, name));
    }
    return P2P_OK;
}

/* ---- The first devices of a kind ---------------------------------------------------------------------- */

typedef struct {
    p2p_device_entry *entries;
    int count;
} device_list;

static bool is_candidate(const settings *all, const p2p_device_entry *entry) {
    return entry->presence == P2P_PRESENCE_USABLE &&
           (is_any(all->backend) || is_of(entry->address, all->backend));
}

static bool is_gpu(const p2p_device_entry *entry) {
    return strcmp(entry->type, "GPU") == 0;
}

/* The device that is opened without --gpus, or the backend's first GPU; NULL: there is none. */
static const p2p_device_entry *find_best(const settings *all, const device_list *found) {
    const p2p_device_entry *best = NULL;
    for (int i = 0; i < found->count; i++) {
        const p2p_device_entry *entry = &found->entries[i];
        if (!is_candidate(all, entry)) continue;
        if (entry->is_default) return entry;
        if (!best || (is_gpu(entry) && !is_gpu(best))) best = entry;
    }
    return best;
}

/* What the driver and other settings keep of a card's memory differs a little from card to card. */
static bool similar_memory(size_t a, size_t b) {
    const size_t smaller = a < b ? a : b, larger = a < b ? b : a;
    return larger - smaller <= larger / 8;
}

static bool same_type(const p2p_device_entry *a, const p2p_device_entry *b) {
    const size_t backend = strcspn(a->address, ":");
    return strcmp(a->type, b->type) == 0 && strncmp(a->address, b->address, backend + 1) == 0;
}

/* Cards that differ would all be as slow as the slowest, in a precision and in memory that all have. */
static bool same_kind(const p2p_device_entry *a, const p2p_device_entry *b) {
    if (!same_type(a, b)) return false;
    return !is_gpu(a) || (strcmp(a->name, b->name) == 0 && similar_memory(a->memory_bytes, b->memory_bytes));
}

static p2p_status too_few(const settings *all, const p2p_device_entry *best, int count) {
    p2p_fail(P2P_NO_DEVICE, "--gpus %d: %.*s has %d usable device%s of the type of %s%s%s", (int)all->gpus,
             (int)strcspn(best->address, ":"), best->address, count, count == 1 ? "" : "s", best->address,
             is_gpu(best) ? ", " : "", is_gpu(best) ? best->name : "");
    const bool part = strstr(best->details, "MIG instance") != NULL;
    return p2p_hint(
        P2P_NO_DEVICE,
        "p2p devices lists all, with the reasons for unusable ones; --device names any of them, "
        "one also several times: --device %s,%s%s",
        best->address, best->address,
        part ? ". A process has one MIG instance at most: `nvidia-smi -mig 0`, as root, gives whole "
               "cards"
             : "");
}

/* The device `number` of those of a device's kind, from 0; NULL past the end. */
static const p2p_device_entry *entry_at(const settings *all, const device_list *found,
                                        const p2p_device_entry *kind, int number) {
    for (int i = 0; i < found->count; i++) {
        const p2p_device_entry *entry = &found->entries[i];
        if (is_candidate(all, entry) && same_kind(kind, entry) && number-- == 0) return entry;
    }
    return NULL;
}

static int count_kind(const settings *all, const device_list *found, const p2p_device_entry *kind) {
    int count = 0;
    while (entry_at(all, found, kind, count)) count++;
    return count;
}

/* The best device, or the first one of its backend and type of whose kind there are enough: the best may be a
 * small card that a screen is connected to. */
static const p2p_device_entry *find_kind(const settings *all, const device_list *found, int wanted) {
    const p2p_device_entry *best = find_best(all, found);
    if (!best || count_kind(all, found, best) >= wanted) return best;
    for (int i = 0; i < found->count; i++) {
        const p2p_device_entry *entry = &found->entries[i];
        if (is_candidate(all, entry) && same_type(best, entry) && count_kind(all, found, entry) >= wanted)
            return entry;
    }
    return best;
}

static p2p_status open_first(const settings *all, const device_list *found, setup_devices *devices) {
    const int wanted = setup_devices_asked(all);
    const p2p_device_entry *kind = find_kind(all, found, wanted);
    if (!kind) return append(devices, all->backend); /* fails, with the reason */
    const int count = count_kind(all, found, kind);
    if (count < wanted) return too_few(all, kind, count);
    for (int i = 0; i < wanted; i++)
        P2P_TRY(append(devices, entry_at(all, found, kind, (all->local_rank * wanted + i) % count)->address));
    return P2P_OK;
}

static p2p_status open_counted(const settings *all, setup_devices *devices) {
    device_list found;
    P2P_TRY(p2p_device_list(is_any(all->backend) ? NULL : all->backend, &found.entries, &found.count));
    const p2p_status status = open_first(all, &found, devices);
    free(found.entries);
    return status;
}

/* ---- The list ----------------------------------------------------------------------------------------- */

int setup_devices_times(const setup_devices *devices, int index) {
    int times = 0;
    for (int i = 0; i < devices->count; i++) {
        if (devices->list[i] != devices->list[index]) continue;
        if (i < index) return 0;
        times++;
    }
    return times;
}

/* Writes ", 9.1 of 85.0 GB free" if much of the device's memory is taken, as by other processes; else "". A
 * context and its libraries take less. */
static void describe_free(p2p_device *device, char *text, size_t size) {
    const size_t usual = (size_t)1 << 30;
    p2p_device_memory memory;
    p2p_device_memory_of(device, false, &memory);
    text[0] = '\0';
    if (memory.free_bytes < memory.bytes && memory.bytes - memory.free_bytes > usual)
        snprintf(text, size, ", %.1f of %.1f GB free", 1e-9 * (double)memory.free_bytes,
                 1e-9 * (double)memory.bytes);
}

static void show(const setup_devices *devices) {
    for (int i = 0; i < devices->count; i++) {
        p2p_device *device = devices->list[i];
        const int times = setup_devices_times(devices, i);
        const bool reference = strncmp(p2p_device_address(device), "reference:", strlen("reference:")) == 0;
        char repeated[32] = "", taken[48];
        if (times == 0) continue;
        describe_free(device, taken, sizeof taken);
        if (times > 1) snprintf(repeated, sizeof repeated, ", %d times", times);
        text_line(stderr, "device: %s, %s%s%s%s", p2p_device_address(device), p2p_device_name(device),
                  reference ? " (slow: for tests)" : "", repeated, taken);
    }
}

static p2p_status open_all(const settings *all, setup_devices *devices) {
    P2P_TRY(setup_backend_check(all));
    P2P_TRY(check_count(all));
    if (all->device) return open_named(all, devices);
    const bool counted = (gives_count(all) && all->gpus > 1) || all->ranks > 1;
    return counted ? open_counted(all, devices) : append(devices, all->backend);
}

static p2p_status open_and_show(const settings *all, setup_devices *devices) {
    *devices = (setup_devices){0};
    const p2p_status status = open_all(all, devices);
    if (status == P2P_OK)
        show(devices);
    else
        setup_devices_close(devices);
    return status;
}

static bool have_fast_tf32(const setup_devices *devices) {
    for (int i = 0; i < devices->count; i++)
        if (!p2p_device_fast_tf32(devices->list[i])) return false;
    return true;
}

static p2p_status check_precision(const settings *all, const setup_devices *devices) {
    p2p_status status = P2P_OK;
    for (int i = 0; i < devices->count && status == P2P_OK; i++)
        status = p2p_device_check_precision(devices->list[i], devices->precision);
    if (status == P2P_OK) return P2P_OK;
    if (all->resume)
        return p2p_hint(status, "--allow-other-device --precision fp32 continues in float32, which every "
                                "device has");
    return p2p_hint(
        status, "--precision fp32 is supported by every device; p2p devices lists the precisions of each");
}

/* The option's choices are auto and the names of precisions. */
static void choose_precision(const settings *all, setup_devices *devices) {
    const bool chosen = p2p_precision_parse(all->precision, &devices->precision);
    if (!chosen) devices->precision = have_fast_tf32(devices) ? P2P_PRECISION_tf32 : P2P_PRECISION_fp32;
    if (devices->precision == P2P_PRECISION_fp32) return;
    fprintf(stderr, "precision: %s%s\n", p2p_precision_name(devices->precision),
            chosen ? "" : ", the default on this device; --precision fp32 is exact");
}

p2p_status setup_devices_open(const settings *all, setup_devices *devices) {
    P2P_TRY(open_and_show(all, devices));
    choose_precision(all, devices);
    const p2p_status status = check_precision(all, devices);
    if (status != P2P_OK) setup_devices_close(devices);
    return status;
}

void setup_devices_close(setup_devices *devices) {
    for (int i = 0; i < devices->count; i++)
        if (setup_devices_times(devices, i) > 0) p2p_device_close(devices->list[i]);
    *devices = (setup_devices){0};
}

p2p_status setup_devices_one(const settings *all) {
    if (setup_devices_asked(all) <= 1) return P2P_OK;
    if (all->device) return p2p_fail(P2P_USAGE, "--device %s: this command uses one device", all->device);
    return p2p_fail(P2P_USAGE, "--gpus %d: this command uses one device", (int)all->gpus);
}

p2p_status setup_device_open(const settings *all, p2p_device **device) {
    setup_devices devices;
    *device = NULL;
    P2P_TRY(setup_devices_one(all));
    P2P_TRY(open_and_show(all, &devices));
    *device = devices.list[0];
    return P2P_OK;
}

void setup_devices_print(const setup_devices *devices, char *text, size_t size) {
    size_t used = 0;
    *text = '\0';
    for (int i = 0; i < devices->count && used < size; i++) {
        const char *before = i == 0 ? "" : i + 1 == devices->count ? " and " : ", ";
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", before, p2p_device_address(devices->list[i]));
    }
}

bool setup_few_processors(int allowed, int of_machine, int ranks_of_machine, int devices) {
    return allowed / 2 < devices && (int64_t)allowed * ranks_of_machine < of_machine;
}
