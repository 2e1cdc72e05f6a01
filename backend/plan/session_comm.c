/* The communicator of a session's replicas. It is opened when the first plan with collectives gets its
 * memory: opening connects the devices, which may take seconds, and a session that only plans needs none of
 * that. Before that, plans foresee what it will do; a refusal when it is opened, also an earlier one,
 * is not considered.
 */
#include "session.h"

p2p_status session_foresee(const p2p_session *session, const p2p_op *op, bool *direct) {
    if (session->comm) return p2p_comm_is_direct(session->comm, op, direct);
    return p2p_comm_foresee(session->devices, session->replica_count, session->world,
                            session->options.processes, op, direct);
}

static p2p_status sums_directly(const p2p_session *session, p2p_type type, bool *direct) {
    p2p_op sum = {.kind = P2P_KIND_all_reduce};
    sum.t[0] = p2p_tensor_flat(type, 1);
    return session_foresee(session, &sum, direct);
}

/* If all sums pass through host memory, the narrow type stays: it is less to transfer. */
p2p_status session_widens_gradients(const p2p_session *session, bool *widens) {
    bool narrow, wide;
    *widens = false;
    if (session->world == 1) return P2P_OK;
    P2P_TRY(sums_directly(session, session->gradient, &narrow));
    P2P_TRY(sums_directly(session, session->filter.type, &wide));
    *widens = !narrow && wide;
    return P2P_OK;
}

p2p_status session_open_comm(p2p_session *session) {
    if (session->comm) return P2P_OK;
    P2P_TRY(p2p_comm_open(session->devices, session->replica_count, session->world, session->rank0,
                          session->options.processes, &session->comm));
    p2p_comm_set_clock(session->comm, session->options.tuning.clock);
    return P2P_OK;
}

/* The collectives of all replicas are equal. */
static p2p_status prepare_part(p2p_session *session, const plan_part *part) {
    for (int s = 0; s < part->step_count; s++) {
        if (!part->steps[s].collective) continue;
        P2P_TRY(session_open_comm(session));
        P2P_TRY(p2p_comm_prepare(session->comm, &part->steps[s].op));
    }
    return P2P_OK;
}

p2p_status session_prepare_collectives(p2p_session *session) {
    for (int i = 0; i < session->plan_count; i++)
        P2P_TRY(prepare_part(session, &session->plans[i]->parts[0]));
    return P2P_OK;
}
