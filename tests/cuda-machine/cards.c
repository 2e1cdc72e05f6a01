/* The devices: cards by name, as P2P_MACHINE_CARD chooses them, and the queries that need no context.
 *
 * P2P_MACHINE_CARD is a list, "h200" or "v100,a100:exclusive:busy,h200:mig"; the last is repeated for further
 * devices. After a card's name: `exclusive` or `prohibited` compute mode, `busy` (another process has it
 * exclusively), `mig` (a seventh of the card), `divided` (by MIG, without an instance), `noecc`, `front` (its
 * PCI address is below those of the cards before it, while the driver lists it after them). A process
 * sees one MIG instance, and then no other card. CUDA_VISIBLE_DEVICES is a list of positions or UUIDs that
 * ends before the first wrong one.
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *id;
    driver_device device;
} card_kind;

#define GIB(n) ((size_t)(n) << 30)
#define MIB(n) ((size_t)(n) << 20)
#define CARD(key, name, major, minor, processors, memory, opt_in, shared, l2, bus, memory_khz, khz)          \
    {                                                                                                        \
        key, {                                                                                               \
            .card = {name, major, minor, processors, memory}, .shared_per_block = opt_in,                    \
            .shared_per_multiprocessor = shared, .memory_clock = memory_khz, .bus_width = bus, .clock = khz, \
            .l2_bytes = l2, .ecc = true                                                                      \
        }                                                                                                    \
    }

/* From NVIDIA's data sheets and the table of compute capabilities in the programming guide. */
static const card_kind kinds[] = {
    CARD("v100", "Tesla V100-SXM2-32GB", 7, 0, 80, MIB(32494), 98304, 98304, 6 << 20, 4096, 877000, 1530000),
    CARD("t4", "Tesla T4", 7, 5, 40, MIB(14930), 65536, 65536, 4 << 20, 256, 5001000, 1590000),
    CARD("a100", "NVIDIA A100-SXM4-80GB", 8, 0, 108, MIB(81038), 166912, 167936, 40 << 20, 5120, 1593000,
         1410000),
    CARD("a10", "NVIDIA A10", 8, 6, 72, MIB(22515), 101376, 102400, 6 << 20, 384, 6251000, 1695000),
    CARD("l40s", "NVIDIA L40S", 8, 9, 142, MIB(45488), 101376, 102400, 96 << 20, 384, 9001000, 2520000),
    CARD("h100", "NVIDIA H100 80GB HBM3", 9, 0, 132, MIB(81079), 232448, 233472, 50 << 20, 5120, 2619000,
         1980000),
    CARD("h200", "NVIDIA H200", 9, 0, 132, MIB(143156), 232448, 233472, 60 << 20, 6144, 3201000, 1980000),
    CARD("b200", "NVIDIA B200", 10, 0, 148, MIB(182642), 232448, 233472, 126 << 20, 8192, 3996000, 1965000),
    CARD("rtx5090", "NVIDIA GeForce RTX 5090", 12, 0, 170, MIB(32109), 101376, 102400, 96 << 20, 512,
         14001000, 2407000),
    CARD("p100", "Tesla P100-PCIE-16GB", 6, 0, 56, MIB(16276), 49152, 65536, 4 << 20, 4096, 715000, 1328000),
};

static driver_device devices[DRIVER_DEVICES];
static int visible[DRIVER_DEVICES];
static int visible_count;

static void wrong(const char *name, const char *text) {
    fprintf(stderr, "cuda machine: %s=%s: not understood\n", name, text);
    exit(MACHINE_EXIT);
}

static void make_mig(driver_device *device) {
    device->mig = true;
    device->card.memory /= 8;
    device->card.multiprocessors /= 8;
    device->l2_bytes /= 8;
}

static void apply_word(driver_device *device, const char *word) {
    if (strcmp(word, "exclusive") == 0)
        device->mode = DRIVER_MODE_EXCLUSIVE;
    else if (strcmp(word, "prohibited") == 0)
        device->mode = DRIVER_MODE_PROHIBITED;
    else if (strcmp(word, "busy") == 0)
        device->busy = true;
    else if (strcmp(word, "mig") == 0)
        make_mig(device);
    else if (strcmp(word, "divided") == 0)
        device->divided = true;
    else if (strcmp(word, "front") == 0)
        device->in_front = true;
    else if (strcmp(word, "noecc") == 0)
        device->ecc = false;
    else
        wrong("P2P_MACHINE_CARD", word);
}

static void read_card(char *text, driver_device *device) {
    char *rest;
    const char *word = strtok_r(text, ":", &rest);
    size_t kind = 0;
    const size_t count = sizeof kinds / sizeof *kinds;
    while (word && kind < count && strcmp(kinds[kind].id, word) != 0) kind++;
    if (!word || kind == count) wrong("P2P_MACHINE_CARD", word ? word : "");
    *device = kinds[kind].device;
    while ((word = strtok_r(NULL, ":", &rest))) apply_word(device, word);
}

/* A device's UUID is made of its position, and never changes. */
static void identify(driver_device *device, int position) {
    device->pci_bus = device->in_front ? 0x06 - position : 0x07 + 0x10 * position;
    for (int i = 0; i < 16; i++) device->uuid[i] = (unsigned char)(0xa1 + 29 * i + 7 * position * (i + 1));
}

static void uuid_text(const driver_device *device, char text[64]) {
    const unsigned char *u = device->uuid;
    snprintf(text, 64, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             device->mig ? "MIG" : "GPU", u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
             u[11], u[12], u[13], u[14], u[15]);
}

/* The position that an element of CUDA_VISIBLE_DEVICES means; -1: none. */
static int find_visible(const char *word, int count) {
    char *end;
    const long position = strtol(word, &end, 10);
    if (end != word && *end == 0) return position >= 0 && position < count ? (int)position : -1;
    for (int i = 0; i < count; i++) {
        char uuid[64];
        uuid_text(&devices[i], uuid);
        if (strlen(word) > 4 && strncmp(uuid, word, strlen(word)) == 0) return i;
    }
    return -1;
}

/* The first instance of MIG alone, if there is one, else the cards that are not divided. */
static void show_all(int count) {
    int instance = 0;
    while (instance < count && !devices[instance].mig) instance++;
    if (instance < count) {
        visible[visible_count++] = instance;
        return;
    }
    for (int i = 0; i < count; i++)
        if (!devices[i].divided) visible[visible_count++] = i;
}

static void hide_devices(int count) {
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    visible_count = 0;
    if (!list) {
        show_all(count);
        return;
    }
    char text[1024], *rest;
    snprintf(text, sizeof text, "%s", list);
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        const int position = find_visible(word, count);
        if (position < 0 || visible_count == DRIVER_DEVICES) break;
        visible[visible_count++] = position;
    }
}

int driver_read_cards(void) {
    const char *number = getenv("P2P_MACHINE_DEVICES"), *list = getenv("P2P_MACHINE_CARD");
    const int count = number && *number ? atoi(number) : 1;
    if (count < 0 || count > DRIVER_DEVICES) wrong("P2P_MACHINE_DEVICES", number);
    char text[1024], *rest;
    snprintf(text, sizeof text, "%s", list && *list ? list : "h200");
    char *word = strtok_r(text, ",", &rest);
    for (int i = 0; i < count; i++) {
        if (word) {
            read_card(word, &devices[i]);
            word = strtok_r(NULL, ",", &rest);
        } else if (i > 0)
            devices[i] = devices[i - 1];
        else
            wrong("P2P_MACHINE_CARD", list);
    }
    for (int i = 0; i < count; i++) identify(&devices[i], i);
    hide_devices(count);
    return visible_count;
}

const driver_device *driver_get_device(int device) {
    return device >= 0 && device < visible_count ? &devices[visible[device]] : NULL;
}

size_t driver_memory_bytes(int device) {
    return driver_setting.memory ? driver_setting.memory : driver_get_device(device)->card.memory;
}

bool machine_device_card(int device, machine_card *card) {
    driver_lock();
    const driver_device *found = driver_get_device(device);
    if (found) *card = found->card;
    driver_unlock();
    return found != NULL;
}

/* ---- Queries ------------------------------------------------------------------------------------------- */

/* driver_enter for a query of a device. */
static CUresult enter_query(const char *call, CUdevice device, const driver_device **found) {
    CUresult result = driver_enter(call, DRIVER_INITIALIZED, NULL);
    if (result != CUDA_SUCCESS) return result;
    *found = driver_get_device(device);
    if (*found) return CUDA_SUCCESS;
    return driver_leave(driver_refuse(CUDA_ERROR_INVALID_DEVICE, "no device %d", device));
}

CUresult CUDAAPI cuDeviceGetCount(int *count) {
    CUresult result = driver_enter("cuDeviceGetCount", DRIVER_INITIALIZED, NULL);
    if (result != CUDA_SUCCESS) return result;
    *count = visible_count;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceGet(CUdevice *device, int position) {
    const driver_device *found;
    CUresult result = enter_query("cuDeviceGet", position, &found);
    if (result != CUDA_SUCCESS) return result;
    *device = position;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceGetName(char *name, int size, CUdevice device) {
    const driver_device *found;
    CUresult result = enter_query("cuDeviceGetName", device, &found);
    if (result != CUDA_SUCCESS) return result;
    snprintf(name, (size_t)size, "%s%s", found->card.name, found->mig ? " MIG 1g" : "");
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceTotalMem(size_t *bytes, CUdevice device) {
    const driver_device *found;
    CUresult result = enter_query("cuDeviceTotalMem_v2", device, &found);
    if (result != CUDA_SUCCESS) return result;
    *bytes = driver_memory_bytes(device);
    return driver_leave(CUDA_SUCCESS);
}

/* The first version gives the card's UUID, the second that of the MIG instance. Here an instance's last byte
 * differs. */
static CUresult get_uuid(const char *call, CUuuid *uuid, CUdevice device, bool instance) {
    const driver_device *found;
    CUresult result = enter_query(call, device, &found);
    if (result != CUDA_SUCCESS) return result;
    memcpy(uuid->bytes, found->uuid, 16);
    if (found->mig && !instance) uuid->bytes[15] = (char)(uuid->bytes[15] ^ 0x5a);
    return driver_leave(CUDA_SUCCESS);
}

#undef cuDeviceGetUuid
CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice device);
CUresult CUDAAPI cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
    return get_uuid("cuDeviceGetUuid", uuid, device, false);
}

CUresult CUDAAPI cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    return get_uuid("cuDeviceGetUuid_v2", uuid, device, true);
}

CUresult CUDAAPI cuDeviceGetPCIBusId(char *text, int size, CUdevice device) {
    const driver_device *found;
    CUresult result = enter_query("cuDeviceGetPCIBusId", device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (size < 13)
        return driver_leave(
            driver_refuse(CUDA_ERROR_INVALID_VALUE, "%d bytes are too few for a PCI address", size));
    snprintf(text, (size_t)size, "0000:%02X:00.0", (unsigned)found->pci_bus & 0xff);
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer) {
    const driver_device *found;
    CUresult result = enter_query("cuDeviceCanAccessPeer", device, &found);
    if (result != CUDA_SUCCESS) return result;
    *can = peer != device && driver_get_device(peer) != NULL;
    return driver_leave(CUDA_SUCCESS);
}

static int threads_per_multiprocessor(const driver_device *d) {
    if (d->card.major == 7 && d->card.minor == 5) return 1024;
    if (d->card.major == 12 || (d->card.major == 8 && d->card.minor > 0)) return 1536;
    return 2048;
}

/* Attributes of every card of the machine. */
static const struct {
    CUdevice_attribute attribute;
    int value;
} common_attributes[] = {
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
    {CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, 0},
    {CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, 0},
    {CU_DEVICE_ATTRIBUTE_INTEGRATED, 0},
    {CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT, 0},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 3},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
};

static bool common_attribute(CUdevice_attribute attribute, int *value) {
    for (size_t i = 0; i < sizeof common_attributes / sizeof common_attributes[0]; i++)
        if (common_attributes[i].attribute == attribute) return *value = common_attributes[i].value, true;
    return false;
}

/* Attributes in which the cards differ. */
static bool own_attribute(const driver_device *d, CUdevice_attribute attribute, int *value) {
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        return *value = d->card.major, true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        return *value = d->card.minor, true;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        return *value = d->card.multiprocessors, true;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
        return *value = threads_per_multiprocessor(d), true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        return *value = d->shared_per_block, true;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
        return *value = d->shared_per_multiprocessor, true;
    case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
        return *value = d->card.major >= 8 ? 1024 : 0, true;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
        return *value = d->l2_bytes, true;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
        return *value = d->clock, true;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
        return *value = d->memory_clock, true;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
        return *value = d->bus_width, true;
    case CU_DEVICE_ATTRIBUTE_ECC_ENABLED:
        return *value = d->ecc, true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE:
        return *value = (int)d->mode, true;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
        return *value = d->pci_bus, true;
    default:
        return false;
    }
}

CUresult CUDAAPI cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    const driver_device *found;
    CUresult result = enter_query("cuDeviceGetAttribute", device, &found);
    if (result != CUDA_SUCCESS) return result;
    if (!own_attribute(found, attribute, value) && !common_attribute(attribute, value))
        result = driver_refuse(CUDA_ERROR_INVALID_VALUE, "the machine has no attribute %d", (int)attribute);
    return driver_leave(result);
}
