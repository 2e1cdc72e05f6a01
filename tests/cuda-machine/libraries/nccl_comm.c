/* The commands of collectives, and settings. See nccl_comm.h. */
#include "machine_link.h"

#include "../../support/test_clock.h"
#include "double_version.h"
#include "nccl_algorithm.h"
#include "nccl_comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Settings ------------------------------------------------------------------------------------------ */

/* The value behind "NAME:" in P2P_MACHINE_NCCL, or NULL. */
static const char *setting(const char *name) {
    const char *list = getenv("P2P_MACHINE_NCCL");
    const size_t length = strlen(name);
    for (const char *at = list; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && at[length] == ':') return at + length + 1;
    return NULL;
}

double nccl_limit(void) {
    const char *value = setting("limit");
    return value ? strtod(value, NULL) : 15;
}

bool nccl_abort_is_stuck(void) {
    const char *value = setting("abort");
    return value && strncmp(value, "stuck", 5) == 0;
}

/* Whether the collective never ends. */
static bool is_stuck(uint64_t number) {
    const char *value = setting("stuck");
    return value && number >= strtoull(value, NULL, 10);
}

bool nccl_keeps_silent(void) {
    const char *value = setting("killed");
    return value && strncmp(value, "silent", 6) == 0;
}

int nccl_version(void) {
    const char *value = setting("version");
    int major, minor, patch;
    if (!value || sscanf(value, "%d.%d.%d", &major, &minor, &patch) != 3) return DOUBLE_NCCL_VERSION;
    return NCCL_VERSION(major, minor, patch);
}

/* ---- Life ---------------------------------------------------------------------------------------------- */

void nccl_hold(ncclComm_t comm) {
    comm->references++;
}

void nccl_drop(ncclComm_t comm) {
    if (--comm->references > 0) return;
    if (comm->world) nccl_world_leave(comm->world);
    pthread_mutex_destroy(&comm->user);
    free(comm);
}

/* ---- Commands ------------------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    ncclComm_t comm;
    nccl_call call;
    CUdeviceptr from, to;
    uint64_t number;
    double since;
    int looks;
    bool arrived, given_up, reported;
} command;

static size_t bytes_of(const command *c) {
    return (size_t)c->call.count * nccl_type_bytes((ncclDataType_t)c->call.type);
}

static void set_error(ncclComm_t comm, ncclResult_t error) {
    int none = ncclSuccess;
    atomic_compare_exchange_strong(&comm->error, &none, (int)error);
}

/* A rank that ended causes an asynchronous error, or nothing: then only a limit of the caller ends
 * the wait. A rank that is merely absent is reported after the double's limit, because nothing else would end
 * the wait.
 */
static void look_for_absent(command *c) {
    const int awaited = nccl_world_awaited(c->comm->world, c->number), dead = nccl_world_dead(c->comm->world);
    const double limit = nccl_limit();
    if (dead >= 0 && !nccl_keeps_silent()) set_error(c->comm, ncclRemoteError);
    if (dead >= 0 || limit <= 0 || test_clock() - c->since < limit || awaited < 0) return;
    machine.refuse("%s: rank %d has waited for rank %d for %g s", c->name, c->comm->rank, awaited, limit);
    set_error(c->comm, ncclInternalError);
    c->given_up = true;
}

static bool ready(void *data) {
    command *c = data;
    bool failed = false;
    if (c->comm->aborted || c->given_up) return true;
    if (is_stuck(c->number)) return false;
    if (c->looks == 0) c->since = test_clock();
    if (!c->arrived)
        c->arrived = nccl_world_arrive(c->comm->world, c->number, &c->call, machine.memory(c->from),
                                       bytes_of(c), &failed);
    if (failed) {
        machine.refuse("%s: no shared memory for %zu bytes", c->name, bytes_of(c));
        c->given_up = true;
    }
    if (c->arrived && nccl_world_awaited(c->comm->world, c->number) < 0) return true;
    if (c->looks++ % 16 == 0) look_for_absent(c);
    return c->given_up;
}

/* All ranks must make the same call; otherwise the results are undefined. */
static bool is_agreed(const command *c) {
    for (int i = 0; i < c->comm->ranks; i++) {
        const nccl_call *other = nccl_world_call(c->comm->world, i, c->number);
        if (memcmp(other, &c->call, sizeof *other) == 0) continue;
        machine.refuse(
            "%s: rank %d calls %s of %llu elements of type %d (operation %d, root %d), rank %d %s of %llu of "
            "type %d (operation %d, root %d)",
            c->name, c->comm->rank, c->call.broadcast ? "a broadcast" : "an all-reduce",
            (unsigned long long)c->call.count, c->call.type, c->call.operation, c->call.root, i,
            other->broadcast ? "a broadcast" : "an all-reduce", (unsigned long long)other->count, other->type,
            other->operation, other->root);
        set_error(c->comm, ncclInvalidUsage);
        return false;
    }
    return true;
}

/* A switch adds in an order of its own, here another one for each call. */
static void sum(const command *c, void *to) {
    const int ranks = c->comm->ranks;
    const nccl_order order = nccl_order_of(setting("order"), c->call.count);
    const uint64_t first = order == NCCL_ORDER_SWITCH ? c->number : 0;
    const void *from[NCCL_MOST_RANKS];
    for (int i = 0; i < ranks; i++)
        from[i] = nccl_world_data(c->comm->world, (int)((first + (uint64_t)i) % (uint64_t)ranks), c->number);
    nccl_sum(order, (ncclDataType_t)c->call.type, c->call.count, ranks, from, to);
    if (setting("damage")) ((unsigned char *)to)[bytes_of(c) - 1] ^= 0x40;
}

static void run(void *data) {
    command *c = data;
    void *to = machine.memory(c->to);
    if (c->comm->aborted || c->given_up || !is_agreed(c)) {
        memset(to, 0xff, bytes_of(c));
    } else if (c->call.broadcast) {
        if (bytes_of(c) > 0)
            memcpy(to, nccl_world_data(c->comm->world, c->call.root, c->number), bytes_of(c));
    } else {
        sum(c, to);
    }
    nccl_world_finish(c->comm->world, c->number);
    nccl_drop(c->comm);
}

/* The device is lost: the others must not wait for this rank. */
static void drop(void *data) {
    command *c = data;
    nccl_world_abort(c->comm->world);
    nccl_drop(c->comm);
}

ncclResult_t nccl_launch(const nccl_operation *operation) {
    ncclComm_t comm = operation->comm;
    command c = {.name = operation->name,
                 .comm = comm,
                 .call = operation->call,
                 .from = operation->from,
                 .to = operation->to,
                 .number = ++comm->number};
    const bool in_place = c.from == c.to;
    const machine_range ranges[2] = {
        {"the result", c.to, bytes_of(&c), in_place ? MACHINE_UPDATE : MACHINE_WRITE},
        {"the data", c.from, bytes_of(&c), MACHINE_READ}};
    CUcontext before = NULL;
    machine.get_context(&before);
    nccl_hold(comm);
    machine.use_context(comm->context);
    const CUresult result = machine.enqueue_when(operation->stream, operation->name, ranges, in_place ? 1 : 2,
                                                 ready, run, drop, &c, sizeof c);
    machine.use_context(before);
    if (result == CUDA_SUCCESS) return ncclSuccess;
    nccl_drop(comm);
    return ncclUnhandledCudaError;
}
