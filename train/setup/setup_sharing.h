/* What processes that train together share of the memory of their machine. */
#ifndef P2P_SETUP_SHARING_H
#define P2P_SETUP_SHARING_H

#include "host/sys.h"
#include "ranks/ranks.h"
#include "setup_devices.h"

/* How many processes take part of the same memory, this one included, when each needs the same. */
typedef struct {
    sys_memory available; /* of the host: the limit that leaves each the least */
    int processes;        /* that share it */
    struct {
        int processes, others;     /* of the device, and how many replicas the other ones have there */
    } devices[SETUP_MOST_DEVICES]; /* in the order of the list */
} memory_sharing;

/* What is shared, by numbers: of a process's limits (sys_memory.scope) and of the devices of its list. What
 * has the number 0 is not shared. */
typedef struct {
    uint64_t limits[SYS_MEMORY_LIMITS], devices[SETUP_MOST_DEVICES];
} memory_scopes;

/* Count for process `own` of those of a machine, whose limits these are. */
void setup_sharing_count(const memory_scopes *processes, int process_count, int own, const sys_memory *limits,
                         int limit_count, memory_sharing *sharing);

/* Find what the ranks of a machine share: limits of memory of one scope, and devices with the same details,
 * of which an address is part unless a UUID is. A GPU without details is not recognised in another rank.
 * Called by all ranks; the caller compares before any rank takes memory: ranks_agree after that. */
p2p_status setup_share_memory(const ranks *r, const setup_devices *devices, memory_sharing *sharing);

#endif
