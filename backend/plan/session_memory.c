/* A session's memory: sizes and buffers of spaces, operations bound to addresses, host memory for inputs, and
 * waiting until no command accesses memory. */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>

static int space_count(const p2p_session *session) {
    return PLAN_SESSION_SPACES + session->network_count * PLAN_NETWORK_SPACES;
}

size_t session_space_bytes(const p2p_session *session, int space) {
    if (space < PLAN_SESSION_SPACES) return session->space_bytes[space];
    const plan_network *network = &session->networks[(space - PLAN_SESSION_SPACES) / PLAN_NETWORK_SPACES];
    int which = (space - PLAN_SESSION_SPACES) % PLAN_NETWORK_SPACES;
    if (which <= PLAN_SPACE_moment2 && !network->needed[which]) return 0;
    return network->bytes[which];
}

/* Host memory of all plans' runs of replica 0, as plan_prepare_part allocates it. */
static size_t run_bytes(const p2p_session *session) {
    size_t bytes = 0;
    for (int i = 0; i < session->plan_count; i++)
        for (int r = 0; r < session->replica_count; r++)
            bytes += plan_run_bytes(&session->plans[i]->parts[r]);
    return bytes;
}

void p2p_session_memory_use(const p2p_session *session, p2p_session_memory *memory) {
    *memory = (p2p_session_memory){.activations = session->space_bytes[PLAN_SPACE_arena],
                                   .inputs_outputs = session->space_bytes[PLAN_SPACE_io],
                                   .host = run_bytes(session)};
    for (int i = 0; i < session->network_count; i++) {
        size_t bytes[PLAN_NETWORK_SPACES];
        for (int which = 0; which < PLAN_NETWORK_SPACES; which++)
            bytes[which] = session_space_bytes(session, plan_space_of(i, (plan_network_space)which));
        memory->parameters += bytes[PLAN_SPACE_value] + bytes[PLAN_SPACE_running];
        memory->gradients += bytes[PLAN_SPACE_gradient];
        memory->moments += bytes[PLAN_SPACE_moment1] + bytes[PLAN_SPACE_moment2];
        memory->derived += bytes[PLAN_SPACE_mirror] + bytes[PLAN_SPACE_derived];
    }
    memory->total = memory->activations + memory->inputs_outputs + memory->parameters + memory->gradients +
                    memory->moments + memory->derived;
}

p2p_place session_place(const p2p_session *session, int replica, plan_address at) {
    if (at.space < 0) return (p2p_place){0};
    const plan_space *space = &session->replicas[replica].spaces[at.space];
    return (p2p_place){space->chunks[at.offset / session->cut.chunk_bytes],
                       at.offset % session->cut.chunk_bytes};
}

/* Fails with the backend's reason and hint, and the session's memory by purpose. */
static p2p_status explain_shortage(const p2p_session *session, int replica, int space) {
    char reason[512], hint[512];
    snprintf(reason, sizeof reason, "%s", p2p_message());
    snprintf(hint, sizeof hint, "%s", p2p_message_hint());
    p2p_session_memory use;
    p2p_session_memory_use(session, &use);
    p2p_fail(
        P2P_OUT_OF_MEMORY,
        "%s: no room for %.1f MB of %s: %s; in all: parameters %.1f MB, gradients %.1f MB, Adam's moments "
        "%.1f MB, derived filters %.1f MB, activations and scratch %.1f MB, inputs %.1f MB, together "
        "%.1f MB",
        p2p_device_address(session->replicas[replica].device),
        (double)session_space_bytes(session, space) / 1e6, plan_space_text(space), reason,
        (double)use.parameters / 1e6, (double)use.gradients / 1e6, (double)use.moments / 1e6,
        (double)use.derived / 1e6, (double)use.activations / 1e6, (double)use.inputs_outputs / 1e6,
        (double)use.total / 1e6);
    return p2p_hint(P2P_OUT_OF_MEMORY, "%s",
                    hint[0] ? hint : "a smaller batch needs less memory for activations");
}

static p2p_status allocate_space(const p2p_session *session, int replica, int id) {
    plan_space *space = &session->replicas[replica].spaces[id];
    size_t bytes = session_space_bytes(session, id), chunk = session->cut.chunk_bytes;
    if (bytes == 0) return P2P_OK;
    size_t count = (bytes - 1) / chunk + 1;
    space->chunks = calloc(count, sizeof(p2p_buffer *));
    if (!space->chunks) return plan_no_memory("a session");
    for (size_t i = 0; i < count; i++) {
        size_t length = i + 1 < count ? chunk : bytes - i * chunk;
        P2P_TRY(p2p_buffer_create(session->replicas[replica].device, length, &space->chunks[i]));
        space->chunk_count++;
    }
    return P2P_OK;
}

p2p_status session_memory_allocate(p2p_session *session, int replica) {
    int count = space_count(session);
    session->replicas[replica].spaces = calloc((size_t)count, sizeof(plan_space));
    if (!session->replicas[replica].spaces) return plan_no_memory("a session");
    for (int i = 0; i < count; i++) {
        p2p_status status = allocate_space(session, replica, i);
        if (status == P2P_OUT_OF_MEMORY) return explain_shortage(session, replica, i);
        if (status != P2P_OK) return status;
    }
    return P2P_OK;
}

static void release_space(plan_space *space) {
    for (int i = 0; i < space->chunk_count; i++) p2p_buffer_destroy(space->chunks[i]);
    free(space->chunks);
    *space = (plan_space){0};
}

void session_memory_release(p2p_session *session, int replica) {
    plan_replica *from = &session->replicas[replica];
    for (int i = 0; from->spaces && i < space_count(session); i++) release_space(&from->spaces[i]);
    free(from->spaces);
    from->spaces = NULL;
}

p2p_status session_operation(p2p_session *session, int replica, const p2p_op *op, const plan_address *at,
                             plan_address scratch, p2p_operation **operation) {
    p2p_place places[P2P_MAX_OPERANDS] = {{0}};
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++)
        places[i] = session_place(session, replica, at[i]);
    return p2p_operation_create(session->replicas[replica].device, op, places,
                                session_place(session, replica, scratch), operation);
}

/* ---- Commands in flight -------------------------------------------------------------------------------- */

p2p_status session_finish_all(const p2p_session *session) {
    p2p_failure *first = NULL;
    p2p_status status = P2P_OK;
    for (int r = 0; r < session->replica_count; r++) {
        const p2p_status finished = p2p_device_finish(session->replicas[r].device);
        if (finished == P2P_OK || status != P2P_OK) continue;
        status = finished;
        first = malloc(sizeof *first);
        if (first) p2p_failure_take(first, status);
    }
    if (first) status = p2p_failure_give(first);
    free(first);
    return status;
}

/* The message is that of the failure that ended the session, or the run: waiting for a lost device fails. */
void session_finish_devices(const p2p_session *session) {
    p2p_failure earlier;
    p2p_failure_take(&earlier, P2P_OK);
    if (session->allocated) (void)session_finish_all(session);
    (void)p2p_failure_give(&earlier);
}

/* ---- Host memory -------------------------------------------------------------------------------------- */

p2p_status p2p_session_host_alloc(p2p_session *session, int replica, size_t bytes, void **memory) {
    *memory = NULL;
    if (replica < 0 || replica >= session->replica_count)
        return p2p_fail(P2P_INVALID, "the session has no replica %d", replica);
    session_host_piece *pieces = ir_grow(session->host_pieces, session->host_piece_count,
                                         &session->host_piece_capacity, sizeof *session->host_pieces);
    if (!pieces) return plan_no_memory("a session");
    session->host_pieces = pieces;
    session_host_piece *piece = &pieces[session->host_piece_count];
    piece->device = session->replicas[replica].device;
    P2P_TRY(p2p_host_memory_alloc(piece->device, bytes, &piece->memory));
    session->host_piece_count++;
    *memory = piece->memory.bytes;
    return P2P_OK;
}

void p2p_session_host_free(p2p_session *session, void *memory) {
    if (!memory) return;
    session_finish_devices(session);
    for (int i = 0; i < session->host_piece_count; i++) {
        session_host_piece *piece = &session->host_pieces[i];
        if (piece->memory.bytes != memory) continue;
        p2p_host_memory_free(piece->device, &piece->memory);
        *piece = session->host_pieces[--session->host_piece_count];
        return;
    }
}

void session_host_release(p2p_session *session) {
    for (int i = 0; i < session->host_piece_count; i++)
        p2p_host_memory_free(session->host_pieces[i].device, &session->host_pieces[i].memory);
    free(session->host_pieces);
}
