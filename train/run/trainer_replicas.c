/* See trainer_replicas.h. */
#include "trainer_replicas.h"

#include <inttypes.h>
#include <stdio.h>

enum { REPLICA_BYTES = 256 };

/* "cuda:1 of rank 2 on host (number 10 of 32 devices)" */
static void name_replica(const trainer *t, int replica, char text[REPLICA_BYTES]) {
    const int rank = replica / t->devices.count;
    char where[128] = "";
    if (t->ranks) snprintf(where, sizeof where, " of rank %d on %s", rank, ranks_host(t->ranks, rank));
    snprintf(text, REPLICA_BYTES, "%s%s (number %d of %d devices)", t->addresses[replica], where, replica + 1,
             t->replicas);
}

/* "p2p doctor --device cuda:1 on host" */
static void name_check(const trainer *t, int replica, char text[REPLICA_BYTES]) {
    const char *host = t->ranks ? ranks_host(t->ranks, replica / t->devices.count) : "";
    snprintf(text, REPLICA_BYTES, "p2p doctor --device %s%s%s", t->addresses[replica], t->ranks ? " on " : "",
             host);
}

static p2p_status report_replica(const trainer *t, const char *what, int replica) {
    char named[REPLICA_BYTES], check[REPLICA_BYTES];
    name_replica(t, replica, named);
    name_check(t, replica, check);
    p2p_fail(P2P_FAILED, "after step %" PRId64 " %s on %s are no longer those of the others", t->at.step,
             what, named);
    return p2p_hint(P2P_FAILED, "%s, its memory or its link is faulty: %s; train without it",
                    t->addresses[replica], check);
}

/* Of two devices, or of two and two, either may be the faulty one. */
static p2p_status report_pair(const trainer *t, const char *what, const p2p_difference *found) {
    char one[REPLICA_BYTES], other[REPLICA_BYTES];
    const bool in_order = found->like < found->replica;
    const int first = in_order ? found->like : found->replica,
              second = in_order ? found->replica : found->like;
    name_replica(t, first, one);
    name_replica(t, second, other);
    p2p_fail(P2P_FAILED,
             "after step %" PRId64 " %s on %s and on %s differ, and no majority shows which are right",
             t->at.step, what, one, other);
    name_check(t, first, one);
    name_check(t, second, other);
    return p2p_hint(P2P_FAILED, "one of these devices, its memory or its link is faulty: %s, and %s", one,
                    other);
}

static p2p_status check(const trainer *t, bool moments, bool *equal) {
    p2p_difference found;
    *equal = false;
    P2P_TRY(p2p_session_compare(t->session, moments, &found));
    *equal = found.replica < 0;
    if (*equal) return P2P_OK;
    const char *what = moments ? "Adam's moments" : "the weights";
    return found.outvoted ? report_replica(t, what, found.replica) : report_pair(t, what, &found);
}

p2p_status trainer_check_replicas(const trainer *t, bool saves, bool *equal) {
    P2P_TRY(check(t, false, equal));
    return saves ? check(t, true, equal) : P2P_OK;
}
