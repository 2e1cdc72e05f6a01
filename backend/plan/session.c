/* Sessions: joining of devices, planning of graphs, destruction.
 *
 * All plans of a session exist before it allocates, so the size of every space is known: a part of a
 * network's state is allocated only if a plan uses it, and the arena has the size of the largest plan's.
 * session.h lists the other files.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---- Creation ----------------------------------------------------------------------------------------- */

static bool same_storage(p2p_storage a, p2p_storage b) {
    return a.type == b.type && a.layout == b.layout && a.block == b.block;
}

static p2p_storage activation_of(const p2p_session *session, const p2p_device_info *info) {
    return session->options.precision == P2P_PRECISION_bf16 ? info->activation_bf16 : info->activation;
}

/* The type of filters' gradients that are written once. */
static p2p_type gradient_of(const p2p_session *session, const p2p_device_info *info) {
    return session->options.precision == P2P_PRECISION_bf16 ? info->gradient_bf16 : info->filter.type;
}

/* Checks that the device stores tensors as the first one does, because gradients are reduced and parameters
 * written without conversion, and takes its limits into account. */
static p2p_status admit_device(p2p_session *session, p2p_device *device) {
    const p2p_device_info *info = p2p_device_describe(device);
    bool same = same_storage(session->activation, activation_of(session, info)) &&
                same_storage(session->filter, info->filter) && same_storage(session->vector, info->vector) &&
                session->gradient == gradient_of(session, info);
    if (!same) {
        p2p_fail(P2P_UNSUPPORTED, "%s and %s store tensors differently: they can't be replicas of one run",
                 p2p_device_address(session->replicas[0].device), p2p_device_address(device));
        return p2p_hint(P2P_UNSUPPORTED, "choose devices of one backend");
    }
    if (info->filter.type != info->vector.type)
        return p2p_fail(P2P_UNSUPPORTED,
                        "%s stores filters and vectors in different types: no update can run over both",
                        p2p_device_address(device));
    if (info->alignment > session->cut.alignment) session->cut.alignment = info->alignment;
    if (info->channel_alignment > session->channel_alignment)
        session->channel_alignment = info->channel_alignment;
    if (info->max_alloc_bytes < session->cut.chunk_bytes) session->cut.chunk_bytes = info->max_alloc_bytes;
    return P2P_OK;
}

/* Why the device has no sessions of this precision; NULL if it has. */
static const char *lack_of(const p2p_device_info *info, p2p_precision precision) {
    const char *reason = precision == P2P_PRECISION_bf16   ? info->no_bf16
                         : precision == P2P_PRECISION_tf32 ? info->no_tf32
                                                           : "";
    return reason[0] ? reason : NULL;
}

p2p_status p2p_device_check_precision(const p2p_device *device, p2p_precision precision) {
    const char *reason = lack_of(p2p_device_describe(device), precision);
    if (!reason) return P2P_OK;
    return p2p_fail(P2P_UNSUPPORTED, "%s has no %s: %s", p2p_device_address(device),
                    p2p_precision_name(precision), reason);
}

/* A chunk holds whole alignments in narrower types, too: session_networks.c. */
static void cut_whole_alignments(p2p_session *session) {
    session->cut.chunk_bytes -=
        session->cut.chunk_bytes % (session->cut.alignment * p2p_type_bytes(session->filter.type));
}

static p2p_status join_devices(p2p_session *session, p2p_device *const *devices, int replicas) {
    enum { LEAST_ALIGNMENT = 64 }; /* a cache line, and a multiple of every element size */
    const p2p_device_info *info = p2p_device_describe(devices[0]);
    session->replicas = calloc((size_t)replicas, sizeof *session->replicas);
    session->devices = calloc((size_t)replicas, sizeof *session->devices);
    if (!session->replicas || !session->devices) return plan_no_memory("a session");
    session->replica_count = replicas;
    session->activation = activation_of(session, info);
    session->filter = info->filter;
    session->vector = info->vector;
    session->gradient = gradient_of(session, info);
    session->cut.alignment = LEAST_ALIGNMENT;
    session->channel_alignment = 1;
    session->cut.chunk_bytes = SIZE_MAX / 4; /* sums of a few offsets do not overflow */
    for (int i = 0; i < replicas; i++) {
        session->replicas[i].device = session->devices[i] = devices[i];
        P2P_TRY(admit_device(session, devices[i]));
        P2P_TRY(p2p_device_check_precision(devices[i], session->options.precision));
    }
    P2P_TRY(session_join_processes(session));
    cut_whole_alignments(session);
    if (session->cut.chunk_bytes == 0)
        return p2p_fail(P2P_UNSUPPORTED, "%s allows no allocation at all", p2p_device_address(devices[0]));
    return P2P_OK;
}

p2p_status p2p_session_create(p2p_device *const *devices, int replicas, const p2p_session_options *options,
                              p2p_session **session) {
    *session = NULL;
    if (replicas < 1) return p2p_fail(P2P_INVALID, "a session of %d replicas", replicas);
    p2p_session *created = calloc(1, sizeof *created);
    if (!created) return plan_no_memory("a session");
    if (options) created->options = *options;
    p2p_status status = join_devices(created, devices, replicas);
    if (status == P2P_OK) status = session_check_tuning(created);
    if (status != P2P_OK) {
        p2p_session_destroy(created);
        return status;
    }
    *session = created;
    return P2P_OK;
}

static void release_replica(p2p_session *session, int number) {
    plan_replica *replica = &session->replicas[number];
    for (int i = 0; replica->refresh && i < session->refresh_count; i++)
        p2p_operation_destroy(replica->refresh[i]);
    free(replica->refresh);
    session_memory_release(session, number);
}

static void destroy_plan(p2p_plan *plan) {
    plan_release_runs(plan);
    for (int r = 0; r < plan->session->replica_count; r++) plan_part_free(&plan->parts[r]);
    free(plan->parts);
    free(plan);
}

void p2p_session_destroy(p2p_session *session) {
    if (!session) return;
    session_finish_devices(session);
    p2p_comm_close(session->comm); /* before the memory that a collective under way uses */
    session_host_release(session);
    for (int i = 0; i < session->plan_count; i++) destroy_plan(session->plans[i]);
    for (int r = 0; r < session->replica_count; r++) release_replica(session, r);
    for (int i = 0; i < session->network_count; i++) {
        free(session->networks[i].tensors);
        free(session->networks[i].offsets);
        free(session->networks[i].buckets);
        free(session->networks[i].running);
    }
    free(session->plans);
    free(session->choices);
    free(session->imposed);
    free(session->derived);
    free(session->refreshes);
    free(session->networks);
    free(session->replicas);
    free(session->devices);
    free(session);
}

/* ---- Planning ----------------------------------------------------------------------------------------- */

static p2p_status check_graphs(const p2p_session *session, p2p_graph *const *graphs) {
    int64_t images = 0;
    for (int r = 0; r < session->replica_count; r++) {
        P2P_TRY(p2p_graph_status(graphs[r]));
        if (graphs[r]->world != session->world)
            return p2p_fail(P2P_INVALID, "the graph is for %d replicas, the session has %d", graphs[r]->world,
                            session->world);
        if (graphs[r]->global_batch != graphs[0]->global_batch)
            return p2p_fail(P2P_INVALID, "the replicas' graphs have different global batches");
        images += graphs[r]->local_batch;
    }
    if (images == graphs[0]->global_batch) return P2P_OK;
    if (session_is_apart(session) && images < graphs[0]->global_batch) return P2P_OK;
    return p2p_fail(P2P_INVALID, "the replicas have %lld images, the global batch has %lld",
                    (long long)images, (long long)graphs[0]->global_batch);
}

static void take_betas(p2p_plan *plan, const p2p_graph *graph) {
    for (int i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].op.kind != P2P_KIND_adam) continue;
        plan->beta1 = graph->nodes[i].op.beta1;
        plan->beta2 = graph->nodes[i].op.beta2;
    }
}

static p2p_status plan_replicas(p2p_plan *plan, p2p_graph *const *graphs) {
    p2p_session *session = plan->session;
    int64_t first_sample = 0;
    for (int r = 0; r < session->replica_count; r++) {
        plan_part *part = &plan->parts[r];
        part->session = session;
        part->plan = plan;
        part->device = session->replicas[r].device;
        part->replica = r;
        part->first_sample = first_sample;
        P2P_TRY(session_gradients(session, graphs[r]));
        P2P_TRY(plan_import(part, graphs[r]));
        if (r == 0) P2P_TRY(session_share_choices(session, false));
        P2P_TRY(session_choose(part));
        if (r == 0) P2P_TRY(session_share_choices(session, true));
        if (!session->options.no_fusion) P2P_TRY(plan_fuse(part));
        P2P_TRY(plan_settle(part));
        first_sample += part->local_batch;
    }
    return P2P_OK;
}

static const plan_step *next_collective(const plan_part *part, int *position) {
    while (*position < part->step_count) {
        const plan_step *step = &part->steps[(*position)++];
        if (step->collective) return step;
    }
    return NULL;
}

static p2p_status check_collectives(const p2p_plan *plan) {
    for (int r = 1; r < plan->session->replica_count; r++) {
        int position0 = 0, position = 0;
        for (;;) {
            const plan_step *a = next_collective(&plan->parts[0], &position0);
            const plan_step *b = next_collective(&plan->parts[r], &position);
            if (!a && !b) break;
            if (!a || !b || !p2p_op_equal(&a->op, &b->op))
                return p2p_fail(P2P_INVALID, "plan %s: replicas 0 and %d have different collectives",
                                plan->name, r);
        }
    }
    return P2P_OK;
}

static void raise_to(size_t *most, size_t bytes) {
    if (bytes > *most) *most = bytes;
}

/* Rebuilds the lists of all plans: a new plan may add derived filters that updates of earlier plans must
 * renew. */
static p2p_status list_all(p2p_session *session) {
    memset(session->space_bytes, 0, sizeof session->space_bytes);
    P2P_TRY(session_list_refreshes(session));
    for (int i = 0; i < session->plan_count; i++) {
        for (int r = 0; r < session->replica_count; r++) {
            plan_part *part = &session->plans[i]->parts[r];
            P2P_TRY(plan_list(part));
            raise_to(&session->space_bytes[PLAN_SPACE_arena], part->arena_bytes);
            raise_to(&session->space_bytes[PLAN_SPACE_io], part->io_bytes);
        }
    }
    return P2P_OK;
}

/* Reserves scratch memory for renewing derived filters before a run: the beginning of the arena, in which
 * nothing is live between runs. */
static p2p_status count_refresh_scratch(p2p_session *session) {
    for (int i = 0; i < session->refresh_count; i++) {
        p2p_query query;
        P2P_TRY(p2p_operation_query(session->replicas[0].device, &session->refreshes[i].op, &query));
        P2P_TRY(
            plan_check_fits(&session->cut, query.scratch_bytes, "the scratch memory of a derived filter"));
        raise_to(&session->space_bytes[PLAN_SPACE_arena], query.scratch_bytes);
    }
    return P2P_OK;
}

static p2p_status add_plan(p2p_session *session, const char *name, p2p_plan **plan) {
    p2p_plan **plans =
        ir_grow(session->plans, session->plan_count, &session->plan_capacity, sizeof *session->plans);
    if (!plans) return plan_no_memory("a session");
    session->plans = plans;
    p2p_plan *added = calloc(1, sizeof *added);
    if (added) added->parts = calloc((size_t)session->replica_count, sizeof *added->parts);
    if (!added || !added->parts) {
        free(added);
        return plan_no_memory("a session");
    }
    plans[session->plan_count++] = added;
    added->session = session;
    snprintf(added->name, sizeof added->name, "%s", name);
    *plan = added;
    return P2P_OK;
}

static p2p_status make_plan(p2p_session *session, const char *name, p2p_graph *const *graphs,
                            p2p_plan **plan) {
    p2p_plan *added = NULL;
    P2P_TRY(add_plan(session, name, &added));
    added->global_batch = graphs[0]->global_batch;
    take_betas(added, graphs[0]);
    P2P_TRY(plan_replicas(added, graphs));
    P2P_TRY(list_all(session));
    P2P_TRY(count_refresh_scratch(session));
    P2P_TRY(check_collectives(added));
    P2P_TRY(session_compare_collectives(added));
    *plan = added;
    return P2P_OK;
}

p2p_status p2p_session_plan(p2p_session *session, const char *name, p2p_graph *const *graphs,
                            p2p_plan **plan) {
    *plan = NULL;
    if (session->allocated)
        return p2p_fail(P2P_INVALID, "plan %s: the session's memory is allocated; plan everything before",
                        name);
    if (session->broken) return p2p_fail(P2P_INVALID, "plan %s: an earlier plan of the session failed", name);
    P2P_TRY(check_graphs(session, graphs));
    p2p_status status = make_plan(session, name, graphs, plan);
    session->broken = status != P2P_OK;
    return status;
}
