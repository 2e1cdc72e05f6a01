/* What processes that train together share of their machine's memory. See setup_memory.h.
 *
 * Each gives all others the scopes of its limits and the identities of its devices, as numbers, and counts
 * those that are also another's of its machine.
 */
#include "p2p_checksum.h"
#include "ranks/ranks.h"
#include "setup_memory.h"

#include <stdlib.h>
#include <string.h>

/* Of one process. 0 is never shared. */
typedef struct {
    uint64_t limits[SYS_MEMORY_LIMITS], devices[SETUP_MOST_DEVICES];
} scopes;

/* A hash, so that all devices' take a number each. */
static uint64_t identity_of(const p2p_device *device, const p2p_device_memory *memory) {
    char text[1024];
    uint64_t number;
    const char *details = p2p_device_details(device);
    if (!details[0] && !memory->in_host) return 0;
    snprintf(text, sizeof text, "%s/%s/%s", p2p_device_address(device), p2p_device_name(device), details);
    const p2p_checksum hash = p2p_checksum_of(text, strlen(text));
    memcpy(&number, &hash, sizeof number);
    return number;
}

static void describe_own(const sys_memory *limits, int count, const setup_devices *devices, scopes *own) {
    memset(own, 0, sizeof *own);
    for (int i = 0; i < count; i++) own->limits[i] = limits[i].scope;
    for (int i = 0; i < devices->count; i++) {
        p2p_device_memory memory;
        p2p_device_memory_of(devices->list[i], false, &memory);
        own->devices[i] = identity_of(devices->list[i], &memory);
    }
}

static int count_in(const uint64_t *numbers, int count, uint64_t wanted) {
    int found = 0;
    for (int i = 0; i < count && wanted != 0; i++) found += numbers[i] == wanted;
    return found;
}

static void count_limit(const ranks *r, const scopes *all, const sys_memory *limit, memory_sharing *sharing) {
    int processes = 0;
    for (int rank = 0; rank < ranks_size(r); rank++)
        processes +=
            ranks_is_here(r, rank) && count_in(all[rank].limits, SYS_MEMORY_LIMITS, limit->scope) > 0;
    if (processes == 0) processes = 1; /* its own */
    const uint64_t least = sharing->available.bytes / (uint64_t)sharing->processes;
    if (limit->bytes / (uint64_t)processes >= least) return;
    sharing->available = *limit;
    sharing->processes = processes;
}

static void count_device(const ranks *r, const scopes *all, int place, memory_sharing *sharing) {
    const uint64_t wanted = all[ranks_number(r)].devices[place];
    sharing->devices[place].processes = 1;
    for (int rank = 0; rank < ranks_size(r); rank++) {
        if (rank == ranks_number(r) || !ranks_is_here(r, rank)) continue;
        const int replicas = count_in(all[rank].devices, SETUP_MOST_DEVICES, wanted);
        sharing->devices[place].others += replicas;
        sharing->devices[place].processes += replicas > 0;
    }
}

p2p_status setup_share_memory(const ranks *r, const setup_devices *devices, memory_sharing *sharing) {
    sys_memory limits[SYS_MEMORY_LIMITS];
    scopes own, *all = calloc((size_t)ranks_size(r), sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d ranks", ranks_size(r));
    const int count = sys_memory_limits(limits);
    describe_own(limits, count, devices, &own);
    const p2p_status status = ranks_gather(r, &own, sizeof own, all);
    *sharing = (memory_sharing){.available = {.bytes = UINT64_MAX}, .processes = 1};
    for (int i = 0; i < count && status == P2P_OK; i++) count_limit(r, all, &limits[i], sharing);
    for (int i = 0; i < devices->count && status == P2P_OK; i++) count_device(r, all, i, sharing);
    free(all);
    return status;
}
