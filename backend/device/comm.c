/* Collectives over the devices of a session.
 *
 * If all devices are of one module that has a communicator, and it supports the collective, it performs it
 * beside the devices' other commands. Otherwise the data passes through host memory: a chunk at a time is
 * read from all replicas, reduced in replica order, then over the processes, and written to all replicas, and
 * every transfer is waited for. This works for any mix of devices, and is slow. All processes take the same
 * way. Sums are in the precision of those over processes (p2p_processes.h), so replicas of one process have
 * the bits of as many processes with one each.
 */
#include "device_internal.h"
#include "host/log.h"
#include "p2p_moments.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_ELEMENTS = 1 << 20 };

struct p2p_comm {
    p2p_device **devices;
    p2p_be_device **be_devices; /* the same, as the module has them */
    int count;
    int world;
    const p2p_processes *processes; /* NULL: none, or the module finds them */
    const p2p_module *module;       /* of communicator `be`; NULL: collectives pass through host memory */
    p2p_be_comm *be;
    double (*clock)(void);      /* NULL: none */
    double waited;              /* for collectives through host memory, during which devices stand still */
    bool warned;                /* that a collective passes through host memory */
    p2p_contribution *replicas; /* of the collective under way */
    char *staging;              /* a chunk of every replica: replica i's begins at i * staging_bytes */
    size_t staging_bytes;
    void *sum; /* two rows of sum_elements, in double precision at most */
    size_t sum_elements;
};

/* ---- Opening ------------------------------------------------------------------------------------------ */

/* A device with two replicas, which may have been opened twice; NULL: there is none. */
static const p2p_device *repeated_device(p2p_device *const *devices, int count) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(devices[i]->address, devices[j]->address) == 0) return devices[i];
    return NULL;
}

static void take_be_devices(p2p_device *const *devices, int count, p2p_be_device **be) {
    for (int i = 0; i < count; i++) be[i] = devices[i]->be;
}

enum { REASON_BYTES = 160 };

/* The module of all devices if it has a communicator for them; else NULL, and `reason` is why. */
static const p2p_module *common_module(p2p_device *const *devices, int count, char reason[REASON_BYTES]) {
    const p2p_module *module = devices[0]->module;
    const p2p_device *repeated = repeated_device(devices, count);
    for (int i = 1; i < count; i++) {
        if (devices[i]->module == module) continue;
        snprintf(reason, REASON_BYTES, "%s and %s are of different backends", devices[0]->address,
                 devices[i]->address);
        return NULL;
    }
    if (module->comm_open && (!repeated || module->comm.repeats_devices)) return module;
    if (module->comm_open)
        snprintf(reason, REASON_BYTES, "%s is several replicas", repeated->address);
    else
        snprintf(reason, REASON_BYTES, "%s has no communicator", module->name);
    return NULL;
}

static p2p_status open_own(p2p_comm *comm, const p2p_module *module, int world, int rank0) {
    p2p_be_device *const *be = (p2p_be_device *const *)comm->be_devices;
    const p2p_status status =
        P2P_CALL("comm_open", module->comm_open(be, comm->count, world, rank0, comm->processes, &comm->be));
    if (status == P2P_OK) comm->module = module;
    return status;
}

/* ---- Refusals ----------------------------------------------------------------------------------------- */

/* Replicas whose collectives pass through host memory, as text. In this process no communicator is opened for
 * them again, which may take the devices' time limit, and the reason is not repeated. */
typedef struct refusal {
    struct refusal *next;
    char replicas[];
} refusal;

static refusal *refusals;

static refusal *refusal_create(const p2p_comm *comm, int rank0) {
    const size_t address = sizeof comm->devices[0]->address, size = 64 + (size_t)comm->count * (address + 1);
    refusal *created = malloc(sizeof *created + size);
    if (!created) return NULL;
    int used = snprintf(created->replicas, size, "%d from %d", comm->world, rank0);
    for (int i = 0; i < comm->count; i++)
        used += snprintf(created->replicas + used, size - (size_t)used, " %s", comm->devices[i]->address);
    return created;
}

static bool is_refused(const refusal *asked) {
    for (const refusal *known = asked ? refusals : NULL; known; known = known->next)
        if (strcmp(known->replicas, asked->replicas) == 0) return true;
    return false;
}

/* Takes ownership of `added`, which may be NULL. */
static void refusal_keep(refusal *added, bool refused) {
    if (!added || !refused || is_refused(added)) {
        free(added);
        return;
    }
    added->next = refusals;
    refusals = added;
}

/* ---- Transport ---------------------------------------------------------------------------------------- */

/* Sets *same to whether all processes have the same text. */
static p2p_status compare_texts(const p2p_comm *comm, const char *text, bool *same) {
    const p2p_processes *processes = comm->processes;
    char mine[P2P_MODULE_NAME_BYTES] = "";
    *same = true;
    if (!processes) return P2P_OK;
    char *all = malloc((size_t)processes->size * sizeof mine);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    snprintf(mine, sizeof mine, "%s", text);
    const p2p_status status = processes->gather(processes->context, mine, sizeof mine, all);
    for (int i = 0; status == P2P_OK && i < processes->size; i++)
        *same = *same && strcmp(all + (size_t)i * sizeof mine, mine) == 0;
    free(all);
    return status;
}

static void close_own(p2p_comm *comm) {
    if (comm->module) comm->module->comm.close(comm->be);
    comm->module = NULL;
    comm->be = NULL;
}

/* Opens the module's communicator, unless it refuses in a process. */
static p2p_status try_own(p2p_comm *comm, const p2p_module *module, int world, int rank0) {
    bool same;
    const p2p_status status = open_own(comm, module, world, rank0);
    if (status != P2P_OK && status != P2P_UNSUPPORTED) return status;
    if (status != P2P_OK) {
        const char *hint = p2p_message_hint();
        p2p_warn("%s: its communicator refuses (%s); gradients are reduced through host memory, which is "
                 "slower%s%s",
                 module->name, p2p_message(), hint[0] ? "; hint: " : "", hint);
    }
    P2P_TRY(compare_texts(comm, status == P2P_OK ? "" : "refused", &same));
    if (!same && status == P2P_OK)
        p2p_warn(
            "%s: the communicator of another process refuses; gradients are reduced through host memory, "
            "which is slower",
            module->name);
    if (!same) close_own(comm);
    return P2P_OK;
}

/* Fails if replicas of other processes would have to pass through the memory of this host. */
static p2p_status check_on_host(const p2p_comm *comm) {
    if (comm->world == comm->count || comm->processes) return P2P_OK;
    return p2p_fail(P2P_UNSUPPORTED,
                    "%d of %d replicas are in this process; reduction through host memory needs all",
                    comm->count, comm->world);
}

/* Collective: all processes call it, also those with `refused`, which is true after an earlier refusal. */
static p2p_status choose_transport(p2p_comm *comm, int rank0, bool refused) {
    char reason[REASON_BYTES];
    const p2p_module *module = common_module(comm->devices, comm->count, reason);
    bool same;
    if (!module && !refused)
        p2p_warn("%s: gradients are reduced through host memory, which is slower", reason);
    if (refused) module = NULL;
    P2P_TRY(compare_texts(comm, module ? module->name : "", &same));
    if (module && same) P2P_TRY(try_own(comm, module, comm->world, rank0));
    return comm->module ? P2P_OK : check_on_host(comm);
}

static p2p_status open_transport(p2p_comm *comm, int rank0) {
    refusal *replicas = refusal_create(comm, rank0);
    const p2p_status status = choose_transport(comm, rank0, is_refused(replicas));
    refusal_keep(replicas, status == P2P_OK && !comm->module);
    return status;
}

p2p_status p2p_comm_open(p2p_device *const *devices, int count, int world, int rank0,
                         const p2p_processes *processes, p2p_comm **comm) {
    *comm = NULL;
    if (count < 1 || world < count || rank0 < 0 || rank0 > world - count) {
        return p2p_fail(P2P_INVALID, "a communicator of %d replicas from %d on, of %d", count, rank0, world);
    }
    p2p_comm *opened = calloc(1, sizeof *opened);
    if (!opened) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    opened->count = count;
    opened->world = world;
    opened->processes = processes;
    opened->devices = malloc((size_t)count * sizeof(p2p_device *));
    opened->be_devices = malloc((size_t)count * sizeof(p2p_be_device *));
    opened->replicas = calloc((size_t)count, sizeof *opened->replicas);
    if (!opened->devices || !opened->be_devices || !opened->replicas) {
        p2p_comm_close(opened);
        return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    }
    memcpy(opened->devices, devices, (size_t)count * sizeof(p2p_device *));
    take_be_devices(devices, count, opened->be_devices);
    p2p_status status = open_transport(opened, rank0);
    if (status != P2P_OK) {
        p2p_comm_close(opened);
        return status;
    }
    *comm = opened;
    return P2P_OK;
}

void p2p_comm_close(p2p_comm *comm) {
    if (!comm) return;
    close_own(comm);
    free(comm->staging);
    free(comm->sum);
    free(comm->devices);
    free(comm->be_devices);
    free(comm->replicas);
    free(comm);
}

/* ---- The backend's own communicator ------------------------------------------------------------------- */

static p2p_status run_own(p2p_comm *comm, const p2p_op *op, const p2p_place *places, const p2p_ticket *after,
                          p2p_ticket *done) {
    const p2p_comm_table *table = &comm->module->comm;
    for (int i = 0; i < comm->count; i++)
        comm->replicas[i] = (p2p_contribution){p2p_place_binding(places[i]), after[i]};
    return op->kind == P2P_KIND_all_reduce
               ? P2P_CALL("all_reduce", table->all_reduce(comm->be, op, comm->replicas, done))
               : P2P_CALL("broadcast", table->broadcast(comm->be, op, comm->replicas, done));
}

/* Whether a communicator of the module performs the collective; `module` may be NULL. */
static p2p_status query_own(const p2p_module *module, p2p_be_device *const *devices, int count, int world,
                            const p2p_op *op, bool *own) {
    *own = false;
    if (!module) return P2P_OK;
    const p2p_status status = P2P_CALL("comm_query", module->comm.query(devices, count, world, op));
    *own = status == P2P_OK;
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

/* Whether the module's communicator performs the collective. */
static p2p_status find_own(const p2p_comm *comm, const p2p_op *op, bool *own) {
    return query_own(comm->module, (p2p_be_device *const *)comm->be_devices, comm->count, comm->world, op,
                     own);
}

/* ---- Through host memory ------------------------------------------------------------------------------ */

/* Allocates memory for a chunk of every replica and for the sums, unless it exists: runs after the first do
 * not allocate. */
static p2p_status reserve(p2p_comm *comm, size_t elements, size_t element_bytes) {
    size_t count = (size_t)comm->count;
    if (elements > SIZE_MAX / sizeof(double) / 2 / count) {
        return p2p_fail(P2P_OUT_OF_MEMORY, "%zu elements are too many to reduce", elements);
    }
    if (comm->staging_bytes < elements * element_bytes) {
        free(comm->staging);
        comm->staging_bytes = 0;
        comm->staging = malloc(count * elements * element_bytes);
        if (comm->staging) comm->staging_bytes = elements * element_bytes;
    }
    if (comm->sum_elements < elements) {
        free(comm->sum);
        comm->sum_elements = 0;
        comm->sum = malloc(2 * elements * sizeof(double));
        if (comm->sum) comm->sum_elements = elements;
    }
    if (comm->staging_bytes && comm->sum_elements) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory to reduce %zu elements of %d replicas", elements,
                    comm->count);
}

static p2p_status finish_all(p2p_comm *comm) {
    for (int i = 0; i < comm->count; i++) P2P_TRY(p2p_device_finish(comm->devices[i]));
    return P2P_OK;
}

static p2p_place chunk_place(p2p_place place, size_t offset) {
    return (p2p_place){place.buffer, place.offset + offset};
}

static p2p_status read_chunk(p2p_comm *comm, const p2p_place *places, size_t offset, size_t bytes) {
    for (int i = 0; i < comm->count; i++) {
        char *to = comm->staging + (size_t)i * comm->staging_bytes;
        P2P_TRY(p2p_buffer_read(comm->devices[i], chunk_place(places[i], offset), to, bytes));
    }
    return finish_all(comm);
}

/* Writes the staged chunk of replica 0 to every replica. */
static p2p_status write_chunk(p2p_comm *comm, const p2p_place *places, size_t offset, size_t bytes) {
    for (int i = 0; i < comm->count; i++) {
        P2P_TRY(p2p_buffer_write(comm->devices[i], chunk_place(places[i], offset), comm->staging, bytes));
    }
    return finish_all(comm);
}

static double staged(const p2p_comm *comm, int replica, size_t i, p2p_type type) {
    const p2p_tensor one = p2p_tensor_flat(type, 1);
    double value;
    p2p_tensor_unpack(&one, comm->staging + (size_t)replica * comm->staging_bytes + i * p2p_type_bytes(type),
                      &value, P2P_TYPE_f64);
    return value;
}

/* Sets replica 0's staged element i. */
static void stage(p2p_comm *comm, size_t i, p2p_type type, double value) {
    const p2p_tensor one = p2p_tensor_flat(type, 1);
    p2p_tensor_pack(&one, &value, P2P_TYPE_f64, comm->staging + i * p2p_type_bytes(type));
}

static void add_f32(float *sum, const float *part, size_t elements) {
    for (size_t i = 0; i < elements; i++) sum[i] += part[i];
}

static void add_f64(double *sum, const double *part, size_t elements) {
    for (size_t i = 0; i < elements; i++) sum[i] += part[i];
}

/* Adds in replica order, whole rows at a time: float64 in float64, narrower types in float32. */
static void sum_staged(p2p_comm *comm, size_t elements, p2p_type type) {
    const p2p_tensor row = p2p_tensor_flat(type, (int64_t)elements);
    const p2p_type wide = type == P2P_TYPE_f64 ? P2P_TYPE_f64 : P2P_TYPE_f32;
    void *part = (char *)comm->sum + elements * p2p_type_bytes(wide);
    p2p_tensor_unpack(&row, comm->staging, comm->sum, wide);
    for (int replica = 1; replica < comm->count; replica++) {
        p2p_tensor_unpack(&row, comm->staging + (size_t)replica * comm->staging_bytes, part, wide);
        if (wide == P2P_TYPE_f64)
            add_f64(comm->sum, part, elements);
        else
            add_f32(comm->sum, part, elements);
    }
    p2p_tensor_pack(&row, comm->sum, wide, comm->staging);
}

static void combine_moments(p2p_comm *comm, const p2p_tensor *stats) {
    p2p_type type = stats->type;
    for (int64_t g = 0; g < stats->n; g++) {
        for (int64_t c = 0; c < stats->w; c++) {
            size_t at[3];
            for (int row = 0; row < 3; row++) at[row] = (size_t)p2p_tensor_index(stats, g, row, 0, c);
            p2p_moments all = {0};
            for (int i = 0; i < comm->count; i++) {
                all = p2p_moments_unite(all, (p2p_moments){staged(comm, i, at[0], type),
                                                           staged(comm, i, at[1], type),
                                                           staged(comm, i, at[2], type)});
            }
            stage(comm, at[0], type, all.count);
            stage(comm, at[1], type, all.mean);
            stage(comm, at[2], type, all.m2);
        }
    }
}

/* Elements of a chunk that is reduced at once. Moments are combined over all rows of the tensor. */
static size_t chunk_of(const p2p_op *op) {
    const size_t stored = (size_t)p2p_tensor_stored(&op->t[0]);
    const bool is_moments = op->kind == P2P_KIND_all_reduce && op->reduction == P2P_REDUCE_MOMENTS;
    return is_moments || stored < CHUNK_ELEMENTS ? stored : CHUNK_ELEMENTS;
}

/* Combines the staged chunks of all replicas in that of replica 0, then over the processes. */
static p2p_status combine_staged(p2p_comm *comm, const p2p_op *op, size_t elements, size_t bytes) {
    const bool is_sum = op->kind == P2P_KIND_all_reduce && op->reduction != P2P_REDUCE_MOMENTS;
    if (op->kind == P2P_KIND_broadcast)
        memmove(comm->staging, comm->staging + (size_t)op->root * comm->staging_bytes, bytes);
    else if (is_sum)
        sum_staged(comm, elements, op->t[0].type);
    else
        combine_moments(comm, &op->t[0]);
    if (!comm->processes) return P2P_OK;
    return comm->processes->combine(comm->processes->context, op, comm->staging, bytes);
}

/* Sums are over stored elements, padding lanes included: those of vectors and filters are zero on all
 * replicas and stay zero, those of activations are undefined. */
static p2p_status run_on_host(p2p_comm *comm, const p2p_op *op, const p2p_place *places) {
    const p2p_tensor *y = &op->t[0];
    size_t element_bytes = p2p_type_bytes(y->type), stored = (size_t)p2p_tensor_stored(y);
    const size_t chunk = chunk_of(op);
    P2P_TRY(reserve(comm, chunk, element_bytes));
    for (size_t first = 0; first < stored; first += chunk) {
        size_t elements = stored - first < chunk ? stored - first : chunk;
        size_t offset = first * element_bytes, bytes = elements * element_bytes;
        P2P_TRY(read_chunk(comm, places, offset, bytes));
        P2P_TRY(combine_staged(comm, op, elements, bytes));
        P2P_TRY(write_chunk(comm, places, offset, bytes));
    }
    return P2P_OK;
}

static bool is_real(p2p_type type) {
    return type == P2P_TYPE_f32 || type == P2P_TYPE_f64 || type == P2P_TYPE_bf16;
}

static p2p_status check_host_op(const p2p_comm *comm, const p2p_op *op) {
    const p2p_tensor *y = &op->t[0];
    const char *kind = p2p_kind_name(op->kind);
    P2P_TRY(check_on_host(comm));
    if (!p2p_tensor_is_whole(y)) return p2p_fail(P2P_UNSUPPORTED, "%s of a channel range", kind);
    if (op->kind == P2P_KIND_all_reduce && !is_real(y->type))
        return p2p_fail(P2P_UNSUPPORTED, "all_reduce of type %s through host memory", p2p_type_name(y->type));
    if (op->kind == P2P_KIND_broadcast && op->root >= (comm->processes ? 1 : comm->count))
        return p2p_fail(P2P_INVALID, "broadcast from replica %lld of %d%s", (long long)op->root, comm->count,
                        comm->processes ? " in several processes" : "");
    return P2P_OK;
}

static p2p_status run_through_host(p2p_comm *comm, const p2p_op *op, const p2p_place *places,
                                   const p2p_ticket *after, p2p_ticket *done) {
    P2P_TRY(check_host_op(comm, op));
    for (int i = 0; i < comm->count; i++) P2P_TRY(p2p_device_wait(comm->devices[i], after[i]));
    const double begin = comm->clock ? comm->clock() : 0;
    P2P_TRY(run_on_host(comm, op, places));
    if (comm->clock) comm->waited += comm->clock() - begin;
    for (int i = 0; i < comm->count; i++) done[i] = 0;
    return P2P_OK;
}

void p2p_comm_set_clock(p2p_comm *comm, double (*clock)(void)) {
    comm->clock = clock;
}

double p2p_comm_waited(const p2p_comm *comm) {
    if (!comm->clock || (comm->module && !comm->module->comm.waited)) return -1;
    return comm->waited + (comm->module ? comm->module->comm.waited(comm->be) : 0);
}

/* ---- Either way --------------------------------------------------------------------------------------- */

static p2p_status check_kind(const p2p_op *op) {
    P2P_TRY(p2p_op_validate(op));
    if (op->kind == P2P_KIND_all_reduce || op->kind == P2P_KIND_broadcast) return P2P_OK;
    return p2p_fail(P2P_INVALID, "%s is not a collective", p2p_kind_name(op->kind));
}

p2p_status p2p_comm_prepare(p2p_comm *comm, const p2p_op *op) {
    bool own;
    P2P_TRY(check_kind(op));
    P2P_TRY(find_own(comm, op, &own));
    if (own) return P2P_OK;
    if (comm->module && !comm->warned)
        p2p_warn(
            "%s: its communicator lacks a collective, which passes through host memory and is slower: %s",
            comm->module->name, p2p_message());
    comm->warned = true;
    P2P_TRY(check_host_op(comm, op));
    return reserve(comm, chunk_of(op), p2p_type_bytes(op->t[0].type));
}

p2p_status p2p_comm_foresee(p2p_device *const *devices, int count, int world, const p2p_processes *processes,
                            const p2p_op *op, bool *direct) {
    char reason[REASON_BYTES];
    const p2p_comm group = {.count = count, .world = world, .processes = processes};
    *direct = false;
    P2P_TRY(check_kind(op));
    p2p_be_device **be = malloc((size_t)count * sizeof *be);
    if (!be) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    take_be_devices(devices, count, be);
    const p2p_status status = query_own(common_module(devices, count, reason), (p2p_be_device *const *)be,
                                        count, world, op, direct);
    free(be);
    if (status != P2P_OK || *direct) return status;
    return check_host_op(&group, op);
}

p2p_status p2p_comm_is_direct(p2p_comm *comm, const p2p_op *op, bool *direct) {
    return find_own(comm, op, direct);
}

p2p_status p2p_comm_run(p2p_comm *comm, const p2p_op *op, const p2p_place *places, const p2p_ticket *after,
                        p2p_ticket *done) {
    bool own;
    P2P_TRY(check_kind(op));
    for (int i = 0; i < comm->count; i++) {
        char what[64];
        snprintf(what, sizeof what, "replica %d of %s", i, p2p_kind_name(op->kind));
        P2P_TRY(p2p_place_check(comm->devices[i], what, places[i], p2p_tensor_bytes(&op->t[0])));
    }
    P2P_TRY(find_own(comm, op, &own));
    return own ? run_own(comm, op, places, after, done) : run_through_host(comm, op, places, after, done);
}
