/* What processes that train together share of their machine's memory. See setup_sharing.h.
 *
 * Each gives all others the scopes of its limits and the identities of its devices, as numbers, and counts
 * those that are also another's of its machine.
 */
#include "setup_sharing.h"

#include "p2p_checksum.h"

#include <stdlib.h>
#include <string.h>

/* ---- Counting ----------------------------------------------------------------------------------------- */

static int count_in(const uint64_t *numbers, int count, uint64_t wanted) {
    int found = 0;
    for (int i = 0; i < count && wanted != 0; i++) found += numbers[i] == wanted;
    return found;
}

static void count_limit(const memory_scopes *processes, int process_count, const sys_memory *limit,
                        memory_sharing *sharing) {
    int sharers = 0;
    for (int i = 0; i < process_count; i++)
        sharers += count_in(processes[i].limits, SYS_MEMORY_LIMITS, limit->scope) > 0;
    if (sharers == 0) sharers = 1; /* a limit of its own */
    const uint64_t least = sharing->available.bytes / (uint64_t)sharing->processes;
    if (limit->bytes / (uint64_t)sharers >= least) return;
    sharing->available = *limit;
    sharing->processes = sharers;
}

static void count_device(const memory_scopes *processes, int process_count, int own, int place,
                         memory_sharing *sharing) {
    sharing->devices[place].processes = 1;
    for (int i = 0; i < process_count; i++) {
        const int replicas =
            count_in(processes[i].devices, SETUP_MOST_DEVICES, processes[own].devices[place]);
        if (i == own) continue;
        sharing->devices[place].others += replicas;
        sharing->devices[place].processes += replicas > 0;
    }
}

void setup_sharing_count(const memory_scopes *processes, int process_count, int own, const sys_memory *limits,
                         int limit_count, memory_sharing *sharing) {
    *sharing = (memory_sharing){.available = {.bytes = UINT64_MAX}, .processes = 1};
    for (int i = 0; i < limit_count; i++) count_limit(processes, process_count, &limits[i], sharing);
    for (int i = 0; i < SETUP_MOST_DEVICES; i++) count_device(processes, process_count, own, i, sharing);
}

/* ---- Ranks -------------------------------------------------------------------------------------------- */

static bool has_uuid(const char *details) {
    return strstr(details, "GPU-") || strstr(details, "MIG-");
}

/* The address is part of it because tiles of one card may have its details in common. */
static uint64_t identity_of(const p2p_device *device, bool in_host) {
    char text[1024];
    uint64_t number;
    const char *details = p2p_device_details(device);
    if (!details[0] && !in_host) return 0;
    snprintf(text, sizeof text, "%s/%s/%s", has_uuid(details) ? "" : p2p_device_address(device),
             p2p_device_name(device), details);
    const p2p_checksum hash = p2p_checksum_of(text, strlen(text));
    memcpy(&number, &hash, sizeof number);
    return number;
}

static void describe_own(const setup_devices *devices, memory_scopes *own) {
    sys_memory limits[SYS_MEMORY_LIMITS];
    const int count = sys_memory_limits(limits);
    memset(own, 0, sizeof *own);
    for (int i = 0; i < count; i++) own->limits[i] = limits[i].scope;
    for (int i = 0; i < devices->count; i++) {
        p2p_device_memory memory;
        p2p_device_memory_of(devices->list[i], false, &memory);
        own->devices[i] = identity_of(devices->list[i], memory.in_host);
    }
}

/* Moves the ranks of this machine to the front. Returns their number, and in *own the place of this one. */
static int select_here(const ranks *r, memory_scopes *all, int *own) {
    int here = 0;
    for (int rank = 0; rank < ranks_size(r); rank++) {
        if (!ranks_is_here(r, rank)) continue;
        if (rank == ranks_number(r)) *own = here;
        all[here++] = all[rank];
    }
    return here;
}

p2p_status setup_share_memory(const ranks *r, const setup_devices *devices, memory_sharing *sharing) {
    sys_memory limits[SYS_MEMORY_LIMITS];
    memory_scopes mine, *all = calloc((size_t)ranks_size(r), sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d ranks", ranks_size(r));
    describe_own(devices, &mine);
    const p2p_status status = ranks_gather(r, &mine, sizeof mine, all);
    if (status == P2P_OK) {
        int own = 0;
        const int here = select_here(r, all, &own);
        const int count =
            sys_memory_limits(limits); /* now that no rank has memory of earlier work any more */
        setup_sharing_count(all, here, own, limits, count, sharing);
    }
    free(all);
    return status;
}
