/* Communicators and collectives. See cuda_comm.h. */
#include "cuda_comm.h"

#include "cuda_abort.h"
#include "cuda_trial.h"

#include "device/cuda_list.h"
#include "device/cuda_memory.h"
#include "device/cuda_standstill.h"
#include "device/cuda_ticket.h"
#include "library/cuda_library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>

/* Collectives that may be under way: each has an incomplete ticket of every member. */
enum { RECENT = CUDA_IN_FLIGHT };

typedef struct {
    p2p_be_comm *comm;
    p2p_be_device *device;
    ncclComm_t nccl;
    CUstream stream;
    p2p_ticket after[RECENT], done[RECENT]; /* of collective c: [c % RECENT] */
} member;

typedef struct {
    p2p_kind kind;
    p2p_type type;
    int64_t elements;
} collective;

struct p2p_be_comm {
    int count, world;
    const p2p_processes *processes; /* NULL: none but this one, or NCCL finds them */
    bool opened;                    /* a failure makes devices unusable; before, there is another way */
    bool by_others;                 /* the failure is perhaps that of another process */
    bool stuck;                     /* an abort has not ended: the devices are lost */
    double deadline;                /* of opening, as clock_now; 0: none */
    mtx_t lock;                     /* of members' `nccl` and of `hung` while threads wait for devices */
    collective recent[RECENT];      /* collective c: [c % RECENT] */
    int64_t started;                /* collectives */
    const member *hung;             /* whose work has reached the time limit; NULL: none's */
    cuda_abort_one *aborted;        /* room for all members */
    member member[];
};

#define TRY_NCCL(one, function, ...)                                                                         \
    P2P_TRY(check_nccl((one)->comm, one, cuda_nccl.function(__VA_ARGS__), #function))

/* ---- Failures -------------------------------------------------------------------------------------- */

/* NCCL reports the loss of any device, so each device is queried. `one` made the call. */
static p2p_status check_nccl(p2p_be_comm *comm, const member *one, ncclResult_t code, const char *what) {
    if (code == ncclSuccess || code == ncclInProgress) return P2P_OK;
    for (int i = 0; i < comm->count; i++) P2P_TRY(cuda_check_device(&comm->member[i].device->queue, what));
    comm->by_others = code == ncclRemoteError;
    return cuda_check_nccl(&one->device->queue, one->nccl, code, what);
}

/* Later calls for a device that is broken because another one was lost name that one, or the collective that
 * all have joined, whose message only the device has that was waited for. */
static void mark_broken(p2p_be_comm *comm) {
    const char *loss = "";
    for (int i = 0; i < comm->count; i++) {
        const cuda_queue *queue = &comm->member[i].device->queue;
        if (queue->lost || !loss[0]) loss = queue->loss;
    }
    if (comm->hung) loss = comm->hung->device->queue.loss;
    for (int i = 0; i < comm->count; i++) {
        cuda_queue *queue = &comm->member[i].device->queue;
        if (loss[0] && !queue->lost && queue->loss != loss)
            snprintf(queue->loss, sizeof queue->loss, "%s", loss);
        queue->broken = true; /* from now on other threads read the message */
    }
}

/* Any call for the member's device may hang as the abort does. */
static void mark_stuck(member *one) {
    cuda_queue *queue = &one->device->queue;
    if (!queue->loss[0])
        snprintf(queue->loss, sizeof queue->loss,
                 "%s: the device was lost: NCCL's collectives on it could not be ended within %d s",
                 queue->name, CUDA_ABORT_SECONDS);
    queue->lost = true;
    one->comm->stuck = true;
}

/* Lost devices are left alone. */
static void abort_members(p2p_be_comm *comm) {
    int count = 0;
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        if (one->nccl && !cuda_enter_release(&one->device->queue)) one->nccl = NULL;
        if (one->nccl) comm->aborted[count++] = (cuda_abort_one){one->device->queue.context, one->nccl};
    }
    const bool ended = cuda_abort_all(comm->aborted, count);
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        if (one->nccl && !ended) mark_stuck(one);
        one->nccl = NULL;
    }
}

/* Ends all collectives of this process, so that those of other processes do not wait for it. Results of its
 * devices are not valid any more: which collectives are complete is not known. Returns `status`, whose
 * message stays, or P2P_DEVICE_LOST if one could not be ended. */
static p2p_status abort_locked(p2p_be_comm *comm, p2p_status status) {
    abort_members(comm);
    if (comm->opened) mark_broken(comm);
    if (!comm->stuck || status == P2P_OK || status == P2P_DEVICE_LOST) return status;
    return cuda_host->fail(P2P_DEVICE_LOST, "%s; the device was lost: NCCL could not be ended within %d s",
                           cuda_host->message(), CUDA_ABORT_SECONDS);
}

static p2p_status abort_all(p2p_be_comm *comm, p2p_status status) {
    mtx_lock(&comm->lock);
    status = abort_locked(comm, status);
    mtx_unlock(&comm->lock);
    return status;
}

/* The process that has caused a failure reports it. After the abort of an open communicator, this process
 * delays its own message so that the other's is printed first. */
static void let_others_report(const p2p_be_comm *comm) {
    if (!comm->opened || !comm->processes || !comm->by_others) return;
    (void)thrd_sleep(&(struct timespec){.tv_sec = CUDA_OTHERS_SECONDS}, NULL);
}

/* The state of a member's communicator; ncclInProgress while a call is not finished. */
static p2p_status check_member(member *one, bool *busy) {
    ncclResult_t state = ncclSuccess;
    TRY_NCCL(one, ncclCommGetAsyncError, one->nccl, &state);
    *busy = state == ncclInProgress;
    return check_nccl(one->comm, one, state, "a collective");
}

/* Seconds. */
static double clock_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* While a communicator is opened, a limit of its own precedes the device's, after which the device is lost.
 */
static p2p_status check_deadline(const member *one) {
    if (one->comm->opened || one->comm->deadline <= 0 || clock_now() < one->comm->deadline) return P2P_OK;
    one->comm->by_others = true;
    return cuda_host->fail(P2P_FAILED, "%s: NCCL has not finished its first collectives within %g s",
                           one->device->queue.name, one->device->environment.timeout);
}

/* Ends all collectives if the member's have failed. */
static p2p_status check_locked(member *one) {
    bool busy;
    if (!one->nccl) return P2P_OK;
    p2p_status status = check_member(one, &busy);
    if (status == P2P_OK) status = check_deadline(one);
    return status == P2P_OK ? P2P_OK : abort_locked(one->comm, status);
}

/* cuda_watch.check: called while the host waits for a ticket of the member's device. Other threads may wait
 * for other members. */
static p2p_status check_watched(void *context) {
    member *one = context;
    mtx_lock(&one->comm->lock);
    p2p_status status = check_locked(one);
    mtx_unlock(&one->comm->lock);
    if (status == P2P_OK || status == P2P_DEVICE_LOST || !one->comm->opened) return status;
    let_others_report(one->comm);
    status =
        cuda_host->fail(P2P_DEVICE_LOST, "%s: the device was lost to its collectives", cuda_host->message());
    return cuda_host->hint(status, "NCCL_DEBUG=WARN makes NCCL print more");
}

/* cuda_watch.abort. */
static void abort_watched(void *context) {
    member *one = context;
    (void)abort_all(one->comm, P2P_DEVICE_LOST);
}

/* ---- What hangs ------------------------------------------------------------------------------------ */

static bool is_pending(member *one, p2p_ticket ticket) {
    return cuda_enter(&one->device->queue) == P2P_OK && cuda_ticket_is_pending(one->device, ticket);
}

static bool has_ended(p2p_be_comm *comm, int64_t number) {
    for (int i = 0; i < comm->count; i++)
        if (is_pending(&comm->member[i], comm->member[i].done[number % RECENT])) return false;
    return true;
}

/* The first collective that has not ended; -1: all have. */
static int64_t find_stuck(p2p_be_comm *comm) {
    for (int64_t c = comm->started > RECENT ? comm->started - RECENT : 0; c < comm->started; c++)
        if (!has_ended(comm, c)) return c;
    return -1;
}

/* The first member whose part of the collective is missing; NULL: all have given theirs. Its earlier commands
 * depend only on collectives that have ended. */
static const member *find_missing(p2p_be_comm *comm, int64_t number) {
    for (int i = 0; i < comm->count; i++)
        if (is_pending(&comm->member[i], comm->member[i].after[number % RECENT])) return &comm->member[i];
    return NULL;
}

/* All members are ready for the collective. */
static void describe_stuck(const p2p_be_comm *comm, const char *what, cuda_hang *hang) {
    const bool apart = comm->world > comm->count;
    hang->device = NULL;
    hang->by_others = comm->processes != NULL;
    snprintf(hang->text, sizeof hang->text,
             "cuda: the devices were lost to their collectives: %s, which all devices of this process have "
             "joined%s, has not ended",
             what, apart ? ", and those of others may not have" : ", over a connection that may be faulty");
}

static void find_locked(p2p_be_comm *comm, cuda_hang *hang) {
    const int64_t stuck = find_stuck(comm);
    if (stuck < 0) return;
    const collective *c = &comm->recent[stuck % RECENT];
    char what[80];
    snprintf(what, sizeof what, "%s of %lld %s", p2p_kind_name(c->kind), (long long)c->elements,
             p2p_type_name(c->type));
    comm->hung = find_missing(comm, stuck);
    if (!comm->hung) {
        describe_stuck(comm, what, hang);
        return;
    }
    hang->device = comm->hung->device;
    snprintf(hang->text, sizeof hang->text, "; %s waits for it", what);
}

/* cuda_watch.find. */
static void find_watched(void *context, cuda_hang *hang) {
    p2p_be_comm *comm = ((member *)context)->comm;
    mtx_lock(&comm->lock);
    find_locked(comm, hang);
    mtx_unlock(&comm->lock);
}

/* ---- Calls that do not block ----------------------------------------------------------------------- */

static p2p_status fail_timeout(const member *one, const char *what, double timeout) {
    p2p_be_comm *comm = one->comm;
    p2p_status status =
        cuda_host->fail(comm->opened ? P2P_DEVICE_LOST : P2P_FAILED,
                        "%s: NCCL has not finished %s within %g s", one->device->queue.name, what, timeout);
    comm->by_others = !comm->opened;
    status = abort_all(comm, status);
    return cuda_host->hint(status, "NCCL_DEBUG=WARN makes NCCL print more; --device-timeout SECONDS or "
                                   "P2P_CUDA_TIMEOUT=SECONDS raises the limit");
}

/* Waits until NCCL has finished its call for all members: until then it may not have enqueued anything. */
static p2p_status finish_call(p2p_be_comm *comm, const char *what) {
    const double timeout = comm->member[0].device->environment.timeout;
    const double limit = timeout + (comm->opened && comm->processes ? CUDA_OTHERS_SECONDS : 0);
    double waited = 0;
    for (int i = 0; i < comm->count;) {
        bool busy = false;
        P2P_TRY(check_member(&comm->member[i], &busy));
        if (!busy) {
            i++;
            continue;
        }
        if (timeout > 0 && waited > limit) return fail_timeout(&comm->member[i], what, timeout);
        waited += cuda_pause_after(waited);
    }
    return P2P_OK;
}

/* Ends a group, also after a failure inside it. */
static p2p_status end_group(p2p_be_comm *comm, p2p_status status, const char *what) {
    const ncclResult_t ended = cuda_nccl.ncclGroupEnd();
    if (status != P2P_OK) return status;
    P2P_TRY(check_nccl(comm, &comm->member[0], ended, "ncclGroupEnd"));
    return finish_call(comm, what);
}

static p2p_status begin_group(p2p_be_comm *comm) {
    return check_nccl(comm, &comm->member[0], cuda_nccl.ncclGroupStart(), "ncclGroupStart");
}

/* ---- Collectives ----------------------------------------------------------------------------------- */

/* Whether NCCL has sums of the type, and rounds them once. */
static bool has_sum(int world, p2p_type type) {
    if (type == P2P_TYPE_bf16) return world <= 2; /* two summands: one rounding */
    return type == P2P_TYPE_f32 || type == P2P_TYPE_f64;
}

/* NCCL's type of such a sum. */
static ncclDataType_t sum_type(p2p_type type) {
    if (type == P2P_TYPE_bf16) return ncclBfloat16;
    return type == P2P_TYPE_f64 ? ncclFloat64 : ncclFloat32;
}

/* A library that is missing is not looked for again. */
static p2p_status load_nccl(void) {
    static char missing[1024]; /* the reason */
    if (missing[0]) return cuda_host->fail(P2P_UNSUPPORTED, "%s", missing);
    const p2p_status status = cuda_nccl_load();
    if (status != P2P_OK) snprintf(missing, sizeof missing, "%s", cuda_host->message());
    return status;
}

p2p_status cuda_comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op) {
    const p2p_tensor *y = &op->t[0];
    const char *name = devices[0]->queue.name;
    (void)count;
    P2P_TRY(load_nccl());
    if (!p2p_tensor_is_whole(y))
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: NCCL has no %s of a channel range", name,
                               p2p_kind_name(op->kind));
    if (op->kind == P2P_KIND_broadcast) return P2P_OK;
    if (op->reduction != P2P_REDUCE_SUM)
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: NCCL does not combine moments", name);
    if (!has_sum(world, y->type))
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: NCCL would round sums of %s at every addition", name,
                               p2p_type_name(y->type));
    return P2P_OK;
}

static p2p_status order_members(p2p_be_comm *comm, const p2p_contribution *replicas) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        P2P_TRY(cuda_enter(&one->device->queue));
        P2P_TRY(cuda_ticket_order(one->device, one->stream, replicas[i].after));
    }
    return P2P_OK;
}

static p2p_status issue_tickets(p2p_be_comm *comm, p2p_ticket *done) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        P2P_TRY(cuda_enter(&one->device->queue));
        P2P_TRY(cuda_ticket_issue(one->device, &one->stream, 1, &done[i]));
    }
    return P2P_OK;
}

static p2p_status call(member *one, const p2p_op *op, CUdeviceptr address) {
    void *memory = (void *)(uintptr_t)address;
    const p2p_tensor *y = &op->t[0];
    cudaStream_t stream = (cudaStream_t)one->stream;
    if (op->kind == P2P_KIND_broadcast)
        TRY_NCCL(one, ncclBroadcast, memory, memory, p2p_tensor_bytes(y), ncclUint8, (int)op->root, one->nccl,
                 stream);
    else
        TRY_NCCL(one, ncclAllReduce, memory, memory, (size_t)p2p_tensor_stored(y), sum_type(y->type), ncclSum,
                 one->nccl, stream);
    return P2P_OK;
}

static p2p_status call_members(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        P2P_TRY(cuda_enter(&one->device->queue));
        P2P_TRY(call(one, op, cuda_address(replicas[i].binding)));
    }
    return P2P_OK;
}

static void note_started(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                         const p2p_ticket *done) {
    const int64_t at = comm->started++ % RECENT;
    comm->recent[at] = (collective){op->kind, op->t[0].type, p2p_tensor_elements(&op->t[0])};
    for (int i = 0; i < comm->count; i++) {
        comm->member[i].after[at] = replicas[i].after;
        comm->member[i].done[at] = done[i];
    }
}

static p2p_status start(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                        p2p_ticket *done) {
    P2P_TRY(order_members(comm, replicas));
    P2P_TRY(begin_group(comm));
    p2p_status status = end_group(comm, call_members(comm, op, replicas), "to start a collective");
    if (status == P2P_OK) status = issue_tickets(comm, done);
    if (status == P2P_OK) note_started(comm, op, replicas, done);
    if (status == P2P_OK) return P2P_OK;
    status = abort_all(comm, status); /* some members may have started */
    let_others_report(comm);
    return status;
}

p2p_status cuda_comm_all_reduce(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                                p2p_ticket *done) {
    return start(comm, op, replicas, done);
}

p2p_status cuda_comm_broadcast(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                               p2p_ticket *done) {
    return start(comm, op, replicas, done);
}

/* ---- Opening --------------------------------------------------------------------------------------- */

static p2p_status check_distinct(p2p_be_device *const *devices, int count) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            if (devices[i]->id == devices[j]->id)
                return cuda_host->fail(P2P_UNSUPPORTED,
                                       "%s: two replicas are on it, and NCCL needs a device for each",
                                       devices[i]->queue.name);
    return P2P_OK;
}

/* Several processes that are not known to each other have the same identifier if NCCL makes it from
 * NCCL_COMM_ID. */
static p2p_status make_identifier(p2p_be_comm *comm, ncclUniqueId *identifier) {
    const char *address = getenv("NCCL_COMM_ID");
    if (!comm->processes && comm->world > comm->count && (!address || !address[0]))
        return cuda_host->fail(P2P_USAGE,
                               "cuda: %d of %d replicas are in this process: NCCL_COMM_ID=HOST:PORT must "
                               "name a free port of the first process's machine, in all processes",
                               comm->count, comm->world);
    return check_nccl(comm, &comm->member[0], cuda_nccl.ncclGetUniqueId(identifier), "ncclGetUniqueId");
}

typedef struct {
    bool made;
    ncclUniqueId identifier;
} shared_identifier;

/* Shares process 0's identifier. If process 0 fails, all fail. */
static p2p_status find_identifier(p2p_be_comm *comm, const p2p_processes *processes,
                                  ncclUniqueId *identifier) {
    shared_identifier shared = {.made = false};
    p2p_status status = P2P_OK;
    if (!processes) return make_identifier(comm, identifier);
    if (processes->rank == 0) {
        status = make_identifier(comm, &shared.identifier);
        shared.made = status == P2P_OK;
    }
    P2P_TRY(processes->share(processes->context, &shared, sizeof shared));
    *identifier = shared.identifier;
    if (shared.made || status != P2P_OK) return status;
    return cuda_host->fail(P2P_UNSUPPORTED, "cuda: process 0 could not make NCCL's identifier");
}

static p2p_status init_members(p2p_be_comm *comm, ncclUniqueId identifier, int rank0) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        P2P_TRY(cuda_enter(&one->device->queue));
        TRY_NCCL(one, ncclCommInitRankConfig, &one->nccl, comm->world, identifier, rank0 + i, &config);
    }
    return P2P_OK;
}

static p2p_status create_streams(p2p_be_comm *comm) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        P2P_TRY(cuda_enter(&one->device->queue));
        CUDA_TRY(&one->device->queue, cuStreamCreate, &one->stream, CU_STREAM_NON_BLOCKING);
        P2P_TRY(cuda_standstill_open(one->device));
    }
    return P2P_OK;
}

/* NVLink SHARP (NVLS) adds in the switches, in an order that differs from call to call; NCCL_NVLS_ENABLE=0
 * also spares its memory. Rings and trees add in the order that the topology and the size give; which of the
 * two is taken may depend on NCCL's tables. NCCL reads NCCL_ALGO for every communicator, and has these
 * names since 2.18. The user's own choice stays. */
static void fix_algorithm(const p2p_be_device *device) {
    static bool own; /* NCCL_ALGO is set by this function */
    const char *users = own ? NULL : getenv("NCCL_ALGO");
    if (users) {
        cuda_host->log("%s: NCCL_ALGO=%s is set, and stays", device->queue.name, users);
        return;
    }
    own = true;
    setenv("NCCL_ALGO", device->environment.deterministic ? "Ring" : "^NVLS,NVLSTree", 1);
    setenv("NCCL_NVLS_ENABLE", "0", 0);
}

enum { UUID_BYTES = 64 };
static const char no_uuid[] = "unknown"; /* of cuda_device_uuid, from drivers without it */

/* FAILED_BY_OTHERS: NCCL reports another process, or a wait has reached the limit. */
enum { NO_FAILURE, FAILED_BY_OTHERS, FAILED };
enum { WHY_BYTES = 512 };

/* What the processes exchange before they call NCCL, which would wait for one that can't take part, and when
 * they have tried it. */
typedef struct {
    char failure; /* one of the above */
    char why[WHY_BYTES];
    char uuids[][UUID_BYTES]; /* of the process's devices */
} presence;

static size_t presence_bytes(int count) {
    return sizeof(presence) + (size_t)count * UUID_BYTES;
}

static const presence *presence_of(const char *all, int count, int process) {
    return (const presence *)(all + (size_t)process * presence_bytes(count));
}

static bool share_device(const presence *a, const presence *b, int count) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            if (strcmp(a->uuids[i], no_uuid) != 0 && strcmp(a->uuids[i], b->uuids[j]) == 0) return true;
    return false;
}

/* The process that failed first, as far as known; -1: none did. */
static int find_failed(const char *all, int count, int processes) {
    int found = -1;
    char worst = NO_FAILURE;
    for (int i = 0; i < processes; i++) {
        if (presence_of(all, count, i)->failure <= worst) continue;
        found = i;
        worst = presence_of(all, count, i)->failure;
    }
    return found;
}

/* The same in all processes. */
static p2p_status check_presences(const char *all, int count, int processes) {
    const int failed = find_failed(all, count, processes);
    if (failed >= 0)
        return cuda_host->fail(P2P_UNSUPPORTED, "cuda: process %d can't use NCCL: %s", failed,
                               presence_of(all, count, failed)->why);
    for (int i = 0; i < processes; i++)
        for (int j = 0; j < i; j++)
            if (share_device(presence_of(all, count, i), presence_of(all, count, j), count))
                return cuda_host->fail(
                    P2P_UNSUPPORTED, "cuda: processes %d and %d use one device, and NCCL needs one for each",
                    j, i);
    return P2P_OK;
}

/* Fails in all processes if one of them fails. `status` is this one's, and its message the failure's. `mine`
 * and `all` are presence_bytes of this process, zeros but for `failure`, and of all. */
static p2p_status exchange(p2p_be_device *const *devices, int count, const p2p_processes *processes,
                           p2p_status status, presence *mine, char *all) {
    if (mine->failure) snprintf(mine->why, sizeof mine->why, "%.*s", WHY_BYTES - 1, cuda_host->message());
    for (int i = 0; i < count; i++) cuda_device_uuid(devices[i]->id, mine->uuids[i]);
    const p2p_status gathered = processes->gather(processes->context, mine, presence_bytes(count), all);
    if (mine->failure == FAILED || gathered != P2P_OK) return mine->failure ? status : gathered;
    return check_presences(all, count, processes->size);
}

static p2p_status agree(p2p_be_device *const *devices, int count, const p2p_processes *processes,
                        p2p_status status, bool by_others) {
    presence *mine = calloc(1, presence_bytes(count));
    char *all = malloc(presence_bytes(count) * (size_t)processes->size);
    if (mine && all) {
        if (status != P2P_OK) mine->failure = by_others ? FAILED_BY_OTHERS : FAILED;
        status = exchange(devices, count, processes, status, mine, all);
    } else if (status == P2P_OK) {
        status = cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    }
    free(mine);
    free(all);
    return status;
}

/* Whether NCCL can be used: it is loaded, and no device has two replicas. */
static p2p_status prepare(p2p_be_device *const *devices, int count, const p2p_processes *processes) {
    p2p_status status = check_distinct(devices, count);
    if (status == P2P_OK) status = load_nccl();
    return processes ? agree(devices, count, processes, status, false) : status;
}

/* Waits for what is under way. */
static p2p_status drain(p2p_be_comm *comm) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        P2P_TRY(cuda_enter(&one->device->queue));
        P2P_TRY(cuda_drain(one->device, one->stream));
    }
    return P2P_OK;
}

/* The devices' channels are connected by their first collectives. */
static p2p_status try_out(p2p_be_comm *comm, p2p_be_device *const *devices, int rank0) {
    cuda_trial *trial = NULL;
    p2p_status status = cuda_trial_create(devices, comm->count, &trial);
    if (status == P2P_OK) status = cuda_trial_run(trial, start, comm, comm->world, rank0);
    if (status != P2P_OK) status = abort_all(comm, status);
    if (status != P2P_OK && !comm->stuck) (void)drain(comm); /* what the abort has ended */
    cuda_trial_destroy(trial);
    return status;
}

static p2p_status connect(p2p_be_comm *comm, int rank0) {
    ncclUniqueId identifier;
    P2P_TRY(find_identifier(comm, comm->processes, &identifier));
    P2P_TRY(create_streams(comm));
    P2P_TRY(begin_group(comm));
    return end_group(comm, init_members(comm, identifier, rank0), "to connect the devices");
}

static void watch(p2p_be_comm *comm) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        one->device->watch = (cuda_watch){check_watched, abort_watched, find_watched, one};
    }
}

static void stop_watching(p2p_be_comm *comm) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        if (one->device->watch.context == one) one->device->watch = (cuda_watch){0};
    }
}

static void destroy_comm(p2p_be_comm *comm) {
    mtx_destroy(&comm->lock);
    free(comm->aborted);
    free(comm);
}

/* The devices are as good as before if NCCL refuses them. */
static p2p_status give_up(p2p_be_comm *comm, p2p_status status) {
    status = abort_all(comm, status);
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        cuda_standstill_close(one->device);
        if (cuda_enter_release(&one->device->queue) && one->stream)
            CUDA_RELEASE(&one->device->queue, cuStreamDestroy, one->stream);
    }
    for (int i = 0; i < comm->count; i++)
        if (comm->member[i].device->queue.lost) status = P2P_DEVICE_LOST;
    destroy_comm(comm);
    if (status != P2P_FAILED && status != P2P_UNSUPPORTED) return status;
    return cuda_host->hint(
        P2P_UNSUPPORTED,
        "NCCL_DEBUG=WARN makes NCCL print more. A container needs shared memory: `docker run --shm-size=1g`. "
        "NCCL_P2P_DISABLE=1 does without copies from card to card, NCCL_IB_DISABLE=1 without InfiniBand; "
        "NCCL_SOCKET_IFNAME=NAME is the network between machines. --device-timeout SECONDS is the limit");
}

static p2p_be_comm *create_comm(p2p_be_device *const *devices, int count, int world,
                                const p2p_processes *processes) {
    p2p_be_comm *comm = calloc(1, sizeof *comm + (size_t)count * sizeof(member));
    if (comm) comm->aborted = calloc((size_t)count, sizeof *comm->aborted);
    if (!comm || !comm->aborted || mtx_init(&comm->lock, mtx_plain) != thrd_success) {
        if (comm) free(comm->aborted);
        free(comm);
        return NULL;
    }
    comm->count = count;
    comm->world = world;
    comm->processes = processes;
    const double timeout = devices[0]->environment.timeout;
    comm->deadline = timeout > 0 ? clock_now() + timeout : 0;
    for (int i = 0; i < count; i++) comm->member[i] = (member){.comm = comm, .device = devices[i]};
    return comm;
}

/* Connects the devices, and tries that, in all processes or none. */
static p2p_status establish(p2p_be_comm *comm, p2p_be_device *const *devices, int rank0) {
    p2p_status status = connect(comm, rank0);
    watch(comm);
    if (status == P2P_OK) status = try_out(comm, devices, rank0);
    if (status != P2P_OK) status = abort_all(comm, status); /* other processes must not wait for this one */
    if (!comm->processes) return status;
    return agree(devices, comm->count, comm->processes, status, comm->by_others);
}

p2p_status cuda_comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                          const p2p_processes *processes, p2p_be_comm **opened) {
    *opened = NULL;
    P2P_TRY(prepare(devices, count, processes));
    fix_algorithm(devices[0]);
    p2p_be_comm *comm = create_comm(devices, count, world, processes);
    if (!comm) return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a communicator");
    const p2p_status status = establish(comm, devices, rank0);
    if (status != P2P_OK) stop_watching(comm);
    if (status != P2P_OK) return give_up(comm, status);
    comm->opened = true;
    *opened = comm;
    return P2P_OK;
}

/* ---- Closing --------------------------------------------------------------------------------------- */

static bool is_whole(const p2p_be_comm *comm) {
    for (int i = 0; i < comm->count; i++) {
        const cuda_queue *queue = &comm->member[i].device->queue;
        if (queue->lost || queue->broken) return false;
    }
    return true;
}

static p2p_status finalize(p2p_be_comm *comm) {
    for (int i = 0; i < comm->count; i++) {
        member *one = &comm->member[i];
        P2P_TRY(cuda_enter(&one->device->queue));
        TRY_NCCL(one, ncclCommFinalize, one->nccl);
    }
    return finish_call(comm, "its last work");
}

static void release(member *one) {
    cuda_standstill_close(one->device);
    if (!cuda_enter_release(&one->device->queue)) return;
    if (one->nccl) cuda_nccl.ncclCommDestroy(one->nccl);
    (void)cuda_drain(one->device, one->stream);
    CUDA_RELEASE(&one->device->queue, cuStreamDestroy, one->stream);
}

/* If a member is lost, the others' collectives do not end by themselves. */
void cuda_comm_close(p2p_be_comm *comm) {
    const bool finished = is_whole(comm) && drain(comm) == P2P_OK && finalize(comm) == P2P_OK;
    if (!finished) (void)abort_all(comm, P2P_OK);
    stop_watching(comm);
    for (int i = 0; i < comm->count; i++) release(&comm->member[i]);
    destroy_comm(comm);
}

double cuda_comm_waited(p2p_be_comm *comm) {
    double sum = 0;
    for (int i = 0; i < comm->count; i++) sum += cuda_standstill_seconds(comm->member[i].device);
    return sum / comm->count;
}
