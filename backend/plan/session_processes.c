/* Sessions whose replicas are in several processes: what all must agree on, and running statistics of
 * replicas that are elsewhere. Reductions are the communicator's (device/comm.c).
 *
 * Storage, alignment and the cut of arenas are agreed when the session is created, so that the buckets of
 * gradients are the same everywhere. Running statistics have a copy in host memory for all replicas: only
 * p2p_session_gather and p2p_session_broadcast update it.
 */
#include "session.h"

#include "p2p_philox.h"

#include <stdlib.h>
#include <string.h>

bool session_is_apart(const p2p_session *session) {
    return session->world > session->replica_count;
}

/* ---- Agreement ---------------------------------------------------------------------------------------- */

/* What a process sends about its devices. Numbers only, so that it has no padding that differs. */
typedef struct {
    int64_t replicas, activation[3], filter[3], vector[3], gradient;
    int64_t alignment, channel_alignment, chunk_bytes;
    int64_t widens_gradients;
} process_facts;

static void take_storage(p2p_storage storage, int64_t facts[3]) {
    facts[0] = storage.type;
    facts[1] = storage.layout;
    facts[2] = storage.block;
}

static process_facts facts_of(const p2p_session *session, bool widens) {
    process_facts facts = {.replicas = session->replica_count,
                           .gradient = session->gradient,
                           .alignment = (int64_t)session->cut.alignment,
                           .channel_alignment = session->channel_alignment,
                           .chunk_bytes = (int64_t)session->cut.chunk_bytes,
                           .widens_gradients = widens};
    take_storage(session->activation, facts.activation);
    take_storage(session->filter, facts.filter);
    take_storage(session->vector, facts.vector);
    return facts;
}

static p2p_status admit_process(p2p_session *session, const process_facts *first, const process_facts *other,
                                int number, bool *widens) {
    const size_t same = offsetof(process_facts, alignment), storage = offsetof(process_facts, activation);
    if (other->replicas != first->replicas)
        return p2p_fail(P2P_USAGE, "rank %d has %lld devices, rank 0 has %lld: all must have as many", number,
                        (long long)other->replicas, (long long)first->replicas);
    if (memcmp((const char *)first + storage, (const char *)other + storage, same - storage) != 0)
        return p2p_fail(P2P_UNSUPPORTED,
                        "ranks 0 and %d have devices that store tensors differently: they can't share a run",
                        number);
    if ((size_t)other->alignment > session->cut.alignment) session->cut.alignment = (size_t)other->alignment;
    if (other->channel_alignment > session->channel_alignment)
        session->channel_alignment = (int)other->channel_alignment;
    if ((size_t)other->chunk_bytes < session->cut.chunk_bytes)
        session->cut.chunk_bytes = (size_t)other->chunk_bytes;
    *widens = *widens && other->widens_gradients;
    return P2P_OK;
}

/* *widens: whether all processes would store gradients in the wider type. */
static p2p_status agree(p2p_session *session, bool *widens) {
    const p2p_processes *processes = session->options.processes;
    const process_facts mine = facts_of(session, *widens);
    process_facts *all = malloc((size_t)processes->size * sizeof *all);
    if (!all) return plan_no_memory("a session");
    p2p_status status = processes->gather(processes->context, &mine, sizeof mine, all);
    for (int i = 0; i < processes->size && status == P2P_OK; i++)
        status = admit_process(session, &all[0], &all[i], i, widens);
    free(all);
    return status;
}

p2p_status session_join_processes(p2p_session *session) {
    const p2p_processes *processes = session->options.processes;
    const bool alone = !processes || processes->size == 1;
    bool widens;
    session->world = session->replica_count * (alone ? 1 : processes->size);
    session->rank0 = alone ? 0 : processes->rank * session->replica_count;
    P2P_TRY(session_widens_gradients(session, &widens));
    if (!alone) P2P_TRY(agree(session, &widens));
    if (widens) session->gradient = session->filter.type;
    return P2P_OK;
}

/* A hash of the descriptors of a plan's collectives, in order. */
static uint64_t hash_collectives(const plan_part *part) {
    uint64_t hash = 0;
    for (int s = 0; s < part->step_count; s++) {
        char text[P2P_OP_TEXT];
        if (!part->steps[s].collective) continue;
        p2p_op_print(&part->steps[s].op, text, sizeof text);
        hash = hash * 31 + p2p_name_hash(text) + 1;
    }
    return hash;
}

p2p_status session_compare_collectives(const p2p_plan *plan) {
    const p2p_session *session = plan->session;
    const p2p_processes *processes = session->options.processes;
    if (!session_is_apart(session)) return P2P_OK;
    const uint64_t mine = hash_collectives(&plan->parts[0]);
    uint64_t *all = malloc((size_t)processes->size * sizeof *all);
    if (!all) return plan_no_memory("a plan");
    p2p_status status = processes->gather(processes->context, &mine, sizeof mine, all);
    for (int i = 1; i < processes->size && status == P2P_OK; i++)
        if (all[i] != all[0])
            status = p2p_fail(P2P_UNSUPPORTED, "plan %s: ranks 0 and %d have different collectives",
                              plan->name, i);
    free(all);
    return status;
}

/* ---- Choices ------------------------------------------------------------------------------------------ */

/* Receives the choices of process 0, which are imposed on equal devices of this one. */
static p2p_status receive_choices(p2p_session *session, uint64_t bytes) {
    const p2p_processes *processes = session->options.processes;
    char *text = calloc(1, (size_t)bytes);
    if (!text) return plan_no_memory("a session's choices");
    free(session->imposed);
    session->imposed = text;
    return processes->share(processes->context, text, (size_t)bytes);
}

p2p_status session_share_choices(p2p_session *session, bool chosen) {
    const p2p_processes *processes = session->options.processes;
    char *text = NULL;
    uint64_t bytes = 0;
    if (!session_is_apart(session) || chosen != (processes->rank == 0)) return P2P_OK;
    if (chosen) P2P_TRY(p2p_session_choices_text(session, &text));
    if (chosen) bytes = strlen(text) + 1;
    p2p_status status = processes->share(processes->context, &bytes, sizeof bytes);
    if (status == P2P_OK)
        status = chosen ? processes->share(processes->context, text, (size_t)bytes)
                        : receive_choices(session, bytes);
    free(text);
    return status;
}

/* ---- Running statistics ------------------------------------------------------------------------------- */

static size_t running_bytes(const plan_network *known) {
    return known->bytes[PLAN_SPACE_running];
}

static unsigned char *copy_of(const plan_network *known, int number) {
    return known->running + (size_t)number * running_bytes(known);
}

p2p_status session_allocate_running(p2p_session *session) {
    for (int i = 0; session_is_apart(session) && i < session->network_count; i++) {
        plan_network *known = &session->networks[i];
        if (running_bytes(known) == 0) continue;
        known->running = calloc((size_t)session->world, running_bytes(known));
        if (!known->running) return plan_no_memory("running statistics");
    }
    return P2P_OK;
}

void session_copy_running(const p2p_session *session, int network, int number, size_t offset, void *raw,
                          size_t bytes) {
    memcpy(raw, copy_of(&session->networks[network], number) + offset, bytes);
}

void session_keep_running(const p2p_session *session, int network, int number, size_t offset, const void *raw,
                          size_t bytes) {
    if (session_is_apart(session)) memcpy(copy_of(&session->networks[network], number) + offset, raw, bytes);
}

/* Copies a parameter between the device of a replica of this process and the copy. */
typedef p2p_status (*move_statistics)(const p2p_session *session, const plan_network *known, int replica,
                                      plan_address at, size_t bytes);

static p2p_status move_from_device(const p2p_session *session, const plan_network *known, int replica,
                                   plan_address at, size_t bytes) {
    p2p_device *device = session->replicas[replica].device;
    unsigned char *to = copy_of(known, session->rank0 + replica) + at.offset;
    P2P_TRY(p2p_buffer_read(device, session_place(session, replica, at), to, bytes));
    return p2p_device_finish(device);
}

static p2p_status move_to_device(const p2p_session *session, const plan_network *known, int replica,
                                 plan_address at, size_t bytes) {
    p2p_device *device = session->replicas[replica].device;
    const unsigned char *from = copy_of(known, session->rank0 + replica) + at.offset;
    P2P_TRY(p2p_buffer_write(device, session_place(session, replica, at), from, bytes));
    return p2p_device_finish(device);
}

/* All statistics of a network, of the replicas of this process. */
static p2p_status move_network(const p2p_session *session, int network, move_statistics move) {
    const plan_network *known = &session->networks[network];
    for (int id = 0; id < known->param_count; id++) {
        plan_address at;
        if (known->network->params[id].kind != P2P_PARAM_RUNNING) continue;
        const p2p_tensor tensor = session_param(session, network, id, P2P_STATE_VALUE, &at);
        for (int r = 0; r < session->replica_count; r++)
            P2P_TRY(move(session, known, r, at, p2p_tensor_bytes(&tensor)));
    }
    return P2P_OK;
}

static p2p_status gather_network(const p2p_session *session, int network) {
    const plan_network *known = &session->networks[network];
    const p2p_processes *processes = session->options.processes;
    const size_t mine = (size_t)session->replica_count * running_bytes(known);
    if (!known->running) return P2P_OK;
    P2P_TRY(move_network(session, network, move_from_device));
    unsigned char *own = malloc(mine);
    if (!own) return plan_no_memory("running statistics");
    memcpy(own, copy_of(known, session->rank0), mine);
    const p2p_status status = processes->gather(processes->context, own, mine, known->running);
    free(own);
    return status;
}

p2p_status p2p_session_gather(p2p_session *session) {
    if (!session_is_apart(session)) return P2P_OK;
    P2P_TRY(session_finish_all(session));
    for (int i = 0; i < session->network_count; i++) P2P_TRY(gather_network(session, i));
    return P2P_OK;
}

p2p_status session_share_running(p2p_session *session) {
    const p2p_processes *processes = session->options.processes;
    for (int i = 0; session_is_apart(session) && i < session->network_count; i++) {
        const plan_network *known = &session->networks[i];
        if (!known->running) continue;
        P2P_TRY(processes->share(processes->context, known->running,
                                 (size_t)session->world * running_bytes(known)));
        P2P_TRY(move_network(session, i, move_to_device));
    }
    return P2P_OK;
}
