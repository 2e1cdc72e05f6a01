/* See trainer_replicas.h. */
#include "trainer_replicas.h"

#include <inttypes.h>
#include <stdio.h>

enum { REPLICA_BYTES = 192 };

/* "cuda:1 of rank 2 on host (number 10 of 32 devices)" */
static void name_replica(const trainer *t, int replica, char text[REPLICA_BYTES]) {
    const int rank = replica / t->devices.count, device = replica % t->devices.count;
    const bool is_own = rank == ranks_number(t->ranks);
    char where[128] = "";
    if (t->ranks) snprintf(where, sizeof where, " of rank %d on %s", rank, ranks_host(t->ranks, rank));
    snprintf(text, REPLICA_BYTES, "%s%s (number %d of %d devices)",
             is_own ? p2p_device_address(t->devices.list[device]) : "a device", where, replica + 1,
             t->replicas);
}

static p2p_status report_replica(const trainer *t, int replica) {
    char named[REPLICA_BYTES];
    name_replica(t, replica, named);
    p2p_fail(P2P_FAILED, "after step %" PRId64 " the weights on %s are no longer those of the others",
             t->at.step, named);
    if (replica / t->devices.count != ranks_number(t->ranks)) return P2P_FAILED;
    const char *address = p2p_device_address(t->devices.list[replica % t->devices.count]);
    return p2p_hint(P2P_FAILED,
                    "%s, its memory or its link is faulty: p2p doctor --device %s; train without it", address,
                    address);
}

/* Of two devices, or of two and two, either may be the faulty one. */
static p2p_status report_pair(const trainer *t, const p2p_difference *found) {
    char one[REPLICA_BYTES], other[REPLICA_BYTES];
    const bool in_order = found->like < found->replica;
    name_replica(t, in_order ? found->like : found->replica, one);
    name_replica(t, in_order ? found->replica : found->like, other);
    p2p_fail(P2P_FAILED,
             "after step %" PRId64
             " the weights on %s and on %s differ, and no majority shows which are right",
             t->at.step, one, other);
    return p2p_hint(P2P_FAILED, "one of these devices, its memory or its link is faulty: check both with p2p "
                                "doctor --device ADDRESS");
}

p2p_status trainer_check_replicas(const trainer *t, bool *equal) {
    p2p_difference found;
    *equal = false;
    P2P_TRY(p2p_session_compare(t->session, &found));
    *equal = found.replica < 0;
    if (*equal) return P2P_OK;
    return found.outvoted ? report_replica(t, found.replica) : report_pair(t, &found);
}
