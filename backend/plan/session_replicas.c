/* Equality of the replicas: one begins from the other's state, and checksums show whether they are still
 * equal. The state is taken as it is stored, a stretch of a network's arena at a time. */
#include "session.h"

#include "p2p_checksum.h"

#include <stdlib.h>
#include <string.h>

int p2p_session_replicas(const p2p_session *session) {
    return session->world;
}

bool p2p_session_waited(const p2p_session *session, double *seconds) {
    const double waited = session->comm ? p2p_comm_waited(session->comm) : 0;
    *seconds = waited > 0 ? waited : 0;
    return waited >= 0;
}

static p2p_status check_memory(const p2p_session *session) {
    if (session->allocated && !session->broken) return P2P_OK;
    return p2p_fail(P2P_INVALID, "the session has no memory");
}

/* ---- Broadcast ---------------------------------------------------------------------------------------- */

typedef struct {
    p2p_place *places;
    p2p_ticket *after, *done;
} broadcast;

static p2p_status wait_for(const p2p_session *session, const broadcast *b) {
    for (int r = 0; r < session->replica_count; r++)
        P2P_TRY(p2p_device_order(session->replicas[r].device, b->done[r]));
    return session_finish_all(session);
}

static p2p_status spread(const p2p_session *session, const broadcast *b, const p2p_tensor *tensor,
                         plan_address at) {
    p2p_op op = {.kind = P2P_KIND_broadcast};
    op.t[0] = *tensor;
    P2P_TRY(p2p_comm_prepare(session->comm, &op));
    for (int r = 0; r < session->replica_count; r++) {
        b->places[r] = session_place(session, r, at);
        P2P_TRY(p2p_device_submit(session->replicas[r].device, &b->after[r]));
    }
    P2P_TRY(p2p_comm_run(session->comm, &op, b->places, b->after, b->done));
    return wait_for(session, b);
}

static p2p_status spread_network(p2p_session *session, const broadcast *b, int network) {
    static const p2p_state_part parts[] = {P2P_STATE_VALUE, P2P_STATE_MOMENT1, P2P_STATE_MOMENT2};
    plan_network *known = &session->networks[network];
    for (int i = 0; i < 3; i++) {
        if (!known->needed[parts[i]]) continue;
        for (plan_stretch stretch = {0};
             session_next_stretch(session, network, known->bytes[PLAN_SPACE_value], &stretch);) {
            plan_address at;
            const p2p_tensor tensor = session_stretch_part(session, network, &stretch, parts[i], &at);
            P2P_TRY(spread(session, b, &tensor, at));
        }
    }
    known->stale = true;
    return P2P_OK;
}

p2p_status p2p_session_broadcast(p2p_session *session) {
    P2P_TRY(check_memory(session));
    if (session->world == 1) return P2P_OK;
    P2P_TRY(session_open_comm(session));
    P2P_TRY(session_share_running(session));
    const size_t count = (size_t)session->replica_count;
    broadcast b = {.places = calloc(count, sizeof *b.places),
                   .after = calloc(count, sizeof *b.after),
                   .done = calloc(count, sizeof *b.done)};
    p2p_status status = b.places && b.after && b.done ? P2P_OK : plan_no_memory("a broadcast");
    for (int i = 0; i < session->network_count && status == P2P_OK; i++)
        status = spread_network(session, &b, i);
    free(b.places);
    free(b.after);
    free(b.done);
    return status;
}

/* ---- Comparison --------------------------------------------------------------------------------------- */

enum { PIECE = 1 << 20 };

typedef struct {
    const p2p_session *session;
    bool moments;
    p2p_checksum *sums; /* per replica of all processes */
} comparison;

static p2p_status add_space(const p2p_session *session, int replica, plan_address at, size_t bytes,
                            void *piece, p2p_checksum_state *state) {
    p2p_device *device = session->replicas[replica].device;
    for (size_t done = 0; done < bytes; done += PIECE) {
        const size_t size = bytes - done < PIECE ? bytes - done : PIECE;
        const p2p_place from = session_place(session, replica, (plan_address){at.space, at.offset + done});
        P2P_TRY(p2p_buffer_read(device, from, piece, size));
        P2P_TRY(p2p_device_finish(device));
        p2p_checksum_add(state, piece, size);
    }
    return P2P_OK;
}

static p2p_status add_part(const p2p_session *session, int replica, int network, p2p_state_part part,
                           void *piece, p2p_checksum_state *state) {
    const plan_network *known = &session->networks[network];
    if (!known->needed[part]) return P2P_OK;
    for (plan_stretch stretch = {0};
         session_next_stretch(session, network, known->bytes[PLAN_SPACE_value], &stretch);) {
        plan_address at;
        const p2p_tensor tensor = session_stretch_part(session, network, &stretch, part, &at);
        P2P_TRY(add_space(session, replica, at, p2p_tensor_bytes(&tensor), piece, state));
    }
    return P2P_OK;
}

static p2p_status add_networks(const comparison *c, int replica, void *piece, p2p_checksum_state *state) {
    for (int network = 0; network < c->session->network_count; network++) {
        const p2p_state_part part = c->moments ? P2P_STATE_MOMENT1 : P2P_STATE_VALUE;
        P2P_TRY(add_part(c->session, replica, network, part, piece, state));
        if (c->moments) P2P_TRY(add_part(c->session, replica, network, P2P_STATE_MOMENT2, piece, state));
    }
    return P2P_OK;
}

static p2p_status sum_replica(void *context, int replica) {
    const comparison *c = context;
    p2p_checksum_state *state;
    P2P_TRY(p2p_checksum_create(&state));
    void *piece = malloc(PIECE);
    p2p_status status =
        piece ? p2p_device_finish(c->session->replicas[replica].device) : plan_no_memory("a checksum");
    if (status == P2P_OK) status = add_networks(c, replica, piece, state);
    if (status != P2P_OK) (void)p2p_device_finish(c->session->replicas[replica].device); /* reads `piece` */
    c->sums[c->session->rank0 + replica] = p2p_checksum_value(state);
    free(piece);
    p2p_checksum_destroy(state);
    return status;
}

/* The checksums of all processes. */
static p2p_status exchange_sums(const comparison *c) {
    const p2p_processes *processes = c->session->options.processes;
    const size_t bytes = (size_t)c->session->replica_count * sizeof *c->sums;
    if (!session_is_apart(c->session)) return P2P_OK;
    p2p_checksum *own = malloc(bytes);
    if (!own) return plan_no_memory("checksums");
    memcpy(own, c->sums + c->session->rank0, bytes);
    const p2p_status status = processes->gather(processes->context, own, bytes, c->sums);
    free(own);
    return status;
}

/* The number of replicas with the checksum of `replica`. */
static int alike(const comparison *c, int replica) {
    int count = 0;
    for (int r = 0; r < c->session->world; r++) count += p2p_checksum_same(&c->sums[r], &c->sums[replica]);
    return count;
}

static p2p_difference find_difference(const comparison *c) {
    p2p_difference found = {.replica = -1};
    for (int r = 1; r < c->session->world; r++)
        if (alike(c, r) > alike(c, found.like)) found.like = r;
    for (int r = c->session->world - 1; r >= 0; r--)
        if (!p2p_checksum_same(&c->sums[r], &c->sums[found.like])) found.replica = r;
    found.outvoted = found.replica >= 0 && 2 * alike(c, found.like) > c->session->world;
    return found;
}

p2p_status p2p_session_compare(p2p_session *session, bool moments, p2p_difference *found) {
    *found = (p2p_difference){.replica = -1};
    P2P_TRY(check_memory(session));
    if (session->world == 1) return P2P_OK;
    comparison c = {
        .session = session, .moments = moments, .sums = calloc((size_t)session->world, sizeof *c.sums)};
    if (!c.sums) return plan_no_memory("checksums");
    p2p_status status = session_each_replica(session, sum_replica, &c);
    if (status == P2P_OK) status = exchange_sums(&c);
    if (status == P2P_OK) *found = find_difference(&c);
    free(c.sums);
    return status;
}
