/* NCCL's double, libnccl.so.2: communicators over the devices of one process and over processes, all-reduce
 * and broadcast, as the backend calls them, and stricter than the real library.
 *
 * What the real library turns into a wait that never ends is refused: calls for several devices of one
 * thread outside a group, a group without one of them, ranks that call different things, a rank that never
 * comes. A communicator with `blocking` 0 enqueues nothing until its state was queried twice: without that
 * wait a collective runs after commands enqueued later.
 *
 * Sums of three ranks and more are not repeatable if NCCL may take NVLS, as on a machine with NVSwitch.
 *
 * P2P_MACHINE_NCCL is a list, separated by commas: order:ring|tree|reversed of sums, instead of NCCL_ALGO's
 * or the size's; limit:SECONDS until an absent rank is reported (15; 0: never); killed:silent, no
 * asynchronous error when a rank's process ends; version:2.20.5; stuck:4, a rank's collectives from the
 * fourth on end only when they are aborted; abort:stuck, an abort never returns, as NCCL's if a device
 * hangs; damage:1, the last number of a sum is wrong. NCCL_COMM_ID=HOST:PORT makes ncclGetUniqueId return
 * the same in all processes.
 */
#include "machine_link.h"

#include "../../support/test_clock.h"
#include "nccl_algorithm.h"
#include "nccl_comm.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Errors -------------------------------------------------------------------------------------------- */

static const char *const names[ncclNumResults] = {
    "ncclSuccess",         "ncclUnhandledCudaError", "ncclSystemError", "ncclInternalError",
    "ncclInvalidArgument", "ncclInvalidUsage",       "ncclRemoteError", "ncclInProgress"};

/* Begins a call: a planted failure (P2P_MACHINE_FAIL) is returned. */
static ncclResult_t begin(const char *call) {
    machine_call_begin(call);
    if (!machine_load()) return MACHINE_NOTED(ncclUnhandledCudaError, "there is no driver");
    const char *planted = machine.should_fail(call, true);
    for (int i = 0; planted && i < ncclNumResults; i++)
        if (strcmp(names[i], planted) == 0) return MACHINE_NOTED((ncclResult_t)i, "planted failure");
    if (!planted) return ncclSuccess;
    return MACHINE_NOTED(machine_is_drivers(planted) ? ncclUnhandledCudaError : ncclInternalError,
                         "planted failure %s", planted);
}

MACHINE_EXPORT const char *ncclGetErrorString(ncclResult_t result) {
    return (unsigned)result < ncclNumResults ? names[result] : "unknown result";
}

MACHINE_EXPORT const char *ncclGetLastError(ncclComm_t comm) {
    (void)comm;
    return machine_last_note();
}

MACHINE_EXPORT ncclResult_t ncclGetVersion(int *version) {
    *version = nccl_version();
    return ncclSuccess;
}

/* ---- Communicators ------------------------------------------------------------------------------------- */

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static ncclComm_t list;

static ncclComm_t live(ncclComm_t comm) {
    pthread_mutex_lock(&list_lock);
    ncclComm_t found = list;
    while (found && found != comm) found = found->next;
    if (found) nccl_hold(found);
    pthread_mutex_unlock(&list_lock);
    if (!found)
        machine_note_misuse("%s", comm ? "a communicator that was destroyed, or never was one"
                                       : "the communicator is NULL");
    return found;
}

/* The caller's: alive, and of no other thread just now. Every success is followed by release. */
static ncclResult_t use(ncclComm_t comm) {
    if (!live(comm)) return ncclInvalidArgument;
    if (pthread_mutex_trylock(&comm->user) == 0) {
        sched_yield();
        return ncclSuccess;
    }
    nccl_drop(comm);
    return MACHINE_MISUSE(ncclInvalidUsage, "another thread is using the communicator");
}

static ncclResult_t release(ncclComm_t comm, ncclResult_t result) {
    pthread_mutex_unlock(&comm->user);
    nccl_drop(comm);
    return result;
}

static void add_to_list(ncclComm_t comm) {
    pthread_mutex_lock(&list_lock);
    comm->next = list;
    list = comm;
    pthread_mutex_unlock(&list_lock);
}

static void take_from_list(ncclComm_t comm) {
    pthread_mutex_lock(&list_lock);
    ncclComm_t *at = &list;
    while (*at && *at != comm) at = &(*at)->next;
    if (*at) *at = comm->next;
    pthread_mutex_unlock(&list_lock);
}

/* The number of ranks of the same communicator that this thread has. */
static int ranks_of_thread(const struct ncclComm *comm) {
    int count = 0;
    pthread_mutex_lock(&list_lock);
    for (ncclComm_t other = list; other; other = other->next)
        count += strcmp(other->name, comm->name) == 0 && pthread_equal(other->owner, comm->owner);
    pthread_mutex_unlock(&list_lock);
    return count;
}

/* ---- Groups -------------------------------------------------------------------------------------------- */

enum { MOST_IN_GROUP = 1024 };

static _Thread_local struct {
    int depth;
    ncclResult_t failure; /* the first of the calls */
    ncclComm_t made[NCCL_MOST_RANKS];
    int made_count;
    nccl_operation operation[MOST_IN_GROUP];
    int count;
} group;

/* Blocking communicators: waits until all ranks have joined; reports those that do not. */
static ncclResult_t wait_for_ranks(ncclComm_t comm) {
    const struct timespec pause = {.tv_nsec = 1000000};
    const double begun = test_clock(), limit = nccl_limit();
    int absent;
    while ((absent = nccl_world_absent(comm->world)) >= 0) {
        if (limit > 0 && test_clock() - begun > limit)
            return MACHINE_MISUSE(ncclSystemError, "rank %d has waited for rank %d for %g s", comm->rank,
                                  absent, limit);
        nanosleep(&pause, NULL);
    }
    return ncclSuccess;
}

static ncclResult_t check_connected(ncclComm_t comm) {
    int pair[2];
    if (nccl_world_absent(comm->world) >= 0) return ncclInProgress;
    if (nccl_world_duplicate(comm->world, pair))
        return MACHINE_MISUSE(ncclInvalidUsage, "ranks %d and %d are on one device", pair[0], pair[1]);
    comm->phase = NCCL_READY;
    return ncclSuccess;
}

static ncclResult_t connect_made(void) {
    ncclResult_t result = ncclSuccess;
    for (int i = 0; i < group.made_count && result == ncclSuccess; i++)
        if (group.made[i]->blocking) result = wait_for_ranks(group.made[i]);
    for (int i = 0; i < group.made_count && result == ncclSuccess; i++) {
        if (group.made[i]->blocking) result = check_connected(group.made[i]);
    }
    const bool failed = result != ncclSuccess;
    for (int i = 0; i < group.made_count; i++) {
        if (failed) group.made[i]->phase = NCCL_BROKEN;
        if (!failed && !group.made[i]->blocking) result = ncclInProgress;
    }
    return result;
}

/* Each rank that the thread has of a communicator takes part in a group as often as the others. */
static ncclResult_t check_whole(void) {
    for (int i = 0; i < group.count; i++) {
        const struct ncclComm *comm = group.operation[i].comm;
        int own = 0, all = 0;
        for (int j = 0; j < group.count; j++) {
            own += group.operation[j].comm == comm;
            all += strcmp(group.operation[j].comm->name, comm->name) == 0;
        }
        if (all != own * ranks_of_thread(comm))
            return MACHINE_MISUSE(
                ncclInvalidUsage,
                "the group has %d collectives of rank %d, but not as many of each rank of this thread", own,
                comm->rank);
    }
    return ncclSuccess;
}

/* A nonblocking communicator's collectives wait until its state was queried. */
static ncclResult_t put_off(const nccl_operation *operation) {
    nccl_operation *copy = malloc(sizeof *copy), **last = &operation->comm->pending;
    if (!copy) return MACHINE_NOTED(ncclSystemError, "no memory");
    *copy = *operation;
    copy->next = NULL;
    while (*last) last = &(*last)->next;
    *last = copy;
    operation->comm->busy = true;
    operation->comm->asked = 0;
    return ncclInProgress;
}

static ncclResult_t launch_group(void) {
    ncclResult_t result = check_whole();
    for (int i = 0; i < group.count && (result == ncclSuccess || result == ncclInProgress); i++) {
        const nccl_operation *operation = &group.operation[i];
        const ncclResult_t one = operation->comm->blocking ? nccl_launch(operation) : put_off(operation);
        if (one != ncclSuccess) result = one;
    }
    return result;
}

static ncclResult_t end_group(void) {
    ncclResult_t result = group.failure;
    if (result == ncclSuccess && group.made_count > 0) result = connect_made();
    if (group.failure != ncclSuccess)
        for (int i = 0; i < group.made_count; i++) group.made[i]->phase = NCCL_BROKEN;
    if ((result == ncclSuccess || result == ncclInProgress) && group.count > 0) {
        const ncclResult_t launched = launch_group();
        if (launched != ncclSuccess) result = launched;
    }
    for (int i = 0; i < group.count; i++) nccl_drop(group.operation[i].comm);
    group.failure = ncclSuccess;
    group.made_count = group.count = 0;
    return result;
}

/* nccl.h declares these two without a prototype. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
MACHINE_EXPORT ncclResult_t ncclGroupStart(void) {
    const ncclResult_t result = begin("ncclGroupStart");
    if (result == ncclSuccess) group.depth++;
    return result;
}

MACHINE_EXPORT ncclResult_t ncclGroupEnd(void) {
    const ncclResult_t planted = begin("ncclGroupEnd");
    if (group.depth == 0) return MACHINE_MISUSE(ncclInvalidUsage, "no group was started");
    if (planted != ncclSuccess) group.failure = planted;
    return --group.depth > 0 ? ncclSuccess : end_group();
}
#pragma GCC diagnostic pop

/* The result of a call that belongs to a group, if there is one. */
static ncclResult_t in_group(ncclResult_t result) {
    if (group.depth > 0 && result != ncclSuccess && group.failure == ncclSuccess) group.failure = result;
    return group.depth > 0 || result != ncclSuccess ? result : end_group();
}

/* ---- Making -------------------------------------------------------------------------------------------- */

static const char id_mark[8] = "p2pnccl";

MACHINE_EXPORT ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    static _Atomic unsigned made;
    const char *address = getenv("NCCL_COMM_ID");
    ncclResult_t result = begin("ncclGetUniqueId");
    if (!machine_load()) result = ncclSuccess; /* needs none */
    if (result != ncclSuccess) return result;
    if (!id) return MACHINE_MISUSE(ncclInvalidArgument, "no place for the identifier");
    memset(id, 0, sizeof *id);
    memcpy(id->internal, id_mark, sizeof id_mark);
    char *name = id->internal + sizeof id_mark;
    if (address && address[0]) {
        uint64_t hash = UINT64_C(14695981039346656037);
        for (const char *c = address; *c; c++) hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
        snprintf(name, 64, "at-%016llx", (unsigned long long)hash);
    } else {
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        snprintf(name, 64, "%ld-%u-%lld%09ld", (long)getpid(), ++made, (long long)time.tv_sec, time.tv_nsec);
    }
    return ncclSuccess;
}

static ncclResult_t check_config(const ncclConfig_t *config) {
    const ncclConfig_t right = NCCL_CONFIG_INITIALIZER;
    if (!config) return ncclSuccess;
    if (config->size != right.size || config->magic != right.magic || config->version != right.version)
        return MACHINE_MISUSE(ncclInvalidArgument,
                              "the configuration was not initialized with NCCL_CONFIG_INITIALIZER");
    if (config->blocking != NCCL_CONFIG_UNDEF_INT && config->blocking != 0 && config->blocking != 1)
        return MACHINE_MISUSE(ncclInvalidArgument, "blocking is %d", config->blocking);
    return ncclSuccess;
}

static ncclResult_t make(ncclComm_t *made, int ranks, const ncclUniqueId *id, int rank,
                         const ncclConfig_t *config) {
    char bus_id[NCCL_BUS_ID] = "", why[300] = "";
    if (!made) return MACHINE_MISUSE(ncclInvalidArgument, "no place for the communicator");
    *made = NULL;
    if (memcmp(id->internal, id_mark, sizeof id_mark) != 0)
        return MACHINE_MISUSE(ncclInvalidArgument, "no identifier");
    if (ranks < 1 || ranks > NCCL_MOST_RANKS || rank < 0 || rank >= ranks)
        return MACHINE_MISUSE(ncclInvalidArgument, "rank %d of %d", rank, ranks);
    const int device = machine.current_device();
    if (device < 0) return MACHINE_MISUSE(ncclInvalidUsage, "no context is current on the calling thread");
    if (machine.device_error(device) != CUDA_SUCCESS)
        return MACHINE_NOTED(ncclUnhandledCudaError, "device %d is lost", device);
    if (!nccl_algorithms_known(nccl_version()))
        return MACHINE_NOTED(ncclInvalidUsage, "NCCL_ALGO=%s has an unknown name", getenv("NCCL_ALGO"));
    if (group.made_count == NCCL_MOST_RANKS)
        return MACHINE_MISUSE(ncclInvalidUsage, "too many communicators in a group");
    machine.bus_id(bus_id, sizeof bus_id, device);
    ncclComm_t comm = calloc(1, sizeof *comm);
    if (!comm) return MACHINE_NOTED(ncclSystemError, "no memory");
    pthread_mutex_init(&comm->user, NULL);
    snprintf(comm->name, sizeof comm->name, "%.64s", id->internal + sizeof id_mark);
    comm->ranks = ranks;
    comm->rank = rank;
    comm->device = device;
    comm->owner = pthread_self();
    comm->blocking = !config || config->blocking != 0;
    comm->references = 1;
    machine.get_context(&comm->context);
    comm->world = nccl_world_join(comm->name, ranks, rank, bus_id, why, sizeof why);
    if (!comm->world) {
        nccl_drop(comm);
        return MACHINE_MISUSE(ncclInvalidUsage, "%s", why);
    }
    add_to_list(comm);
    group.made[group.made_count++] = *made = comm;
    return ncclSuccess;
}

MACHINE_EXPORT ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                                   ncclConfig_t *config) {
    ncclResult_t result = begin("ncclCommInitRankConfig");
    if (result == ncclSuccess) result = check_config(config);
    if (result == ncclSuccess) result = make(comm, ranks, &id, rank, config);
    return in_group(result);
}

MACHINE_EXPORT ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank) {
    ncclResult_t result = begin("ncclCommInitRank");
    if (result == ncclSuccess) result = make(comm, ranks, &id, rank, NULL);
    return in_group(result);
}

/* ---- State and end ------------------------------------------------------------------------------------- */

/* The deferred call continues; the second query returns that it has finished. */
static ncclResult_t ask(ncclComm_t comm) {
    ncclResult_t result = ncclSuccess;
    if (comm->phase == NCCL_BROKEN) return ncclInvalidUsage;
    if (comm->phase == NCCL_CONNECTING) {
        result = check_connected(comm);
        if (result != ncclSuccess && result != ncclInProgress) comm->phase = NCCL_BROKEN;
        return result;
    }
    if (!comm->busy) return ncclSuccess;
    if (comm->asked++ == 0) return ncclInProgress;
    comm->busy = false;
    while (comm->pending) {
        nccl_operation *first = comm->pending;
        comm->pending = first->next;
        if (result == ncclSuccess) result = nccl_launch(first);
        free(first);
    }
    return result;
}

MACHINE_EXPORT ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state) {
    const ncclResult_t result = begin("ncclCommGetAsyncError");
    if (result != ncclSuccess) return result;
    if (!state) return MACHINE_MISUSE(ncclInvalidArgument, "no place for the state");
    if (!live(comm)) return ncclInvalidArgument;
    /* May be queried by any thread: by a watchdog, too. */
    pthread_mutex_lock(&comm->user);
    *state = (ncclResult_t)comm->error;
    if (*state == ncclSuccess) *state = ask(comm);
    return release(comm, ncclSuccess);
}

static ncclResult_t check_idle(ncclComm_t comm) {
    if (comm->pending || comm->references > 2)
        return MACHINE_MISUSE(ncclInvalidUsage, "collectives of rank %d are under way", comm->rank);
    return ncclSuccess;
}

MACHINE_EXPORT ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    ncclResult_t result = begin("ncclCommFinalize");
    if (result == ncclSuccess) result = use(comm);
    if (result != ncclSuccess) return result;
    result = check_idle(comm);
    if (result == ncclSuccess && comm->phase != NCCL_READY)
        result = MACHINE_MISUSE(ncclInvalidUsage, "rank %d is not connected, or finalized", comm->rank);
    if (result == ncclSuccess) {
        comm->phase = NCCL_FINALIZED;
        comm->busy = !comm->blocking;
        comm->asked = 0;
        if (comm->busy) result = ncclInProgress;
    }
    return release(comm, result);
}

MACHINE_EXPORT ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    ncclResult_t result = begin("ncclCommDestroy");
    if (result == ncclSuccess) result = use(comm);
    if (result != ncclSuccess) return result;
    result = check_idle(comm);
    if (result == ncclSuccess && comm->busy)
        result = MACHINE_MISUSE(ncclInvalidUsage, "a call of rank %d has not finished", comm->rank);
    if (result != ncclSuccess) return release(comm, result);
    take_from_list(comm);
    nccl_drop(comm);
    return release(comm, ncclSuccess);
}

static void hang(void) {
    for (;;) pause();
}

static atomic_int aborting; /* calls of ncclCommAbort that have not returned */

/* Ends waits in any thread, and takes the communicator. It waits for kernels, so it takes a while. */
static ncclResult_t abort_alone(ncclComm_t comm) {
    const struct timespec a_while = {.tv_nsec = 5000000};
    if (!live(comm)) return ncclInvalidArgument;
    if (atomic_exchange(&comm->aborted, 1)) {
        const ncclResult_t refused = MACHINE_MISUSE(ncclInvalidUsage, "rank %d is aborted twice", comm->rank);
        nccl_drop(comm);
        return refused;
    }
    if (nccl_abort_is_stuck()) hang();
    nccl_world_abort(comm->world);
    nanosleep(&a_while, NULL);
    pthread_mutex_lock(&comm->user);
    while (comm->pending) {
        nccl_operation *first = comm->pending;
        comm->pending = first->next;
        free(first);
    }
    take_from_list(comm);
    nccl_drop(comm);
    return release(comm, ncclSuccess);
}

/* One at a time: NCCL up to 2.21 joins the thread of a group at the first abort, and looks unprotected
 * whether it has. */
MACHINE_EXPORT ncclResult_t ncclCommAbort(ncclComm_t comm) {
    ncclResult_t result = begin("ncclCommAbort");
    if (result != ncclSuccess) return result;
    if (atomic_fetch_add(&aborting, 1) > 0) machine_note_misuse("two threads abort communicators at once");
    result = abort_alone(comm);
    atomic_fetch_sub(&aborting, 1);
    return result;
}

MACHINE_EXPORT ncclResult_t ncclCommCount(const ncclComm_t comm, int *count) {
    if (begin("ncclCommCount") != ncclSuccess || !live(comm)) return ncclInvalidArgument;
    *count = comm->ranks;
    nccl_drop(comm);
    return ncclSuccess;
}

/* ---- Collectives --------------------------------------------------------------------------------------- */

static ncclResult_t check_memory(const struct ncclComm *comm, const char *what, const void *memory,
                                 size_t bytes) {
    machine_allocation found;
    if (!machine.find(machine_address(memory), &found) || found.device != comm->device)
        return MACHINE_MISUSE(ncclInvalidArgument, "%s of rank %d is not in memory of device %d", what,
                              comm->rank, comm->device);
    if (found.begin + found.bytes - machine_address(memory) < bytes)
        return MACHINE_MISUSE(ncclInvalidArgument, "%s of rank %d is longer than its memory", what,
                              comm->rank);
    return ncclSuccess;
}

static ncclResult_t check_call(const struct ncclComm *comm, const nccl_call *call, const void *from,
                               const void *to, CUstream stream) {
    const size_t size = nccl_type_bytes((ncclDataType_t)call->type), bytes = (size_t)call->count * size;
    const int device = machine.stream_device(stream);
    if (comm->phase != NCCL_READY)
        return MACHINE_MISUSE(ncclInvalidUsage, "rank %d is not connected, or finalized", comm->rank);
    if (comm->busy)
        return MACHINE_MISUSE(ncclInvalidUsage, "the last call of rank %d has not finished", comm->rank);
    if (comm->error != ncclSuccess)
        return MACHINE_NOTED((ncclResult_t)comm->error, "rank %d has an asynchronous error", comm->rank);
    if (machine.device_error(comm->device) != CUDA_SUCCESS)
        return MACHINE_NOTED(ncclUnhandledCudaError, "device %d is lost", comm->device);
    if (size == 0 ||
        (!call->broadcast && (!nccl_type_adds((ncclDataType_t)call->type) || call->operation != ncclSum)))
        return MACHINE_MISUSE(ncclInvalidArgument, "type %d or operation %d", call->type, call->operation);
    if (!nccl_has_algorithm(call->broadcast))
        return MACHINE_NOTED(ncclInvalidUsage, "NCCL_ALGO=%s leaves no algorithm", getenv("NCCL_ALGO"));
    if (call->root < 0 || call->root >= comm->ranks)
        return MACHINE_MISUSE(ncclInvalidArgument, "the root is %d", call->root);
    if (device != comm->device)
        return MACHINE_MISUSE(ncclInvalidArgument, "the stream is of device %d, rank %d of %d", device,
                              comm->rank, comm->device);
    ncclResult_t result = check_memory(comm, "the data", from, bytes);
    if (result == ncclSuccess) result = check_memory(comm, "the result", to, bytes);
    if (result == ncclSuccess && from != to && machine_address(from) < machine_address(to) + bytes &&
        machine_address(to) < machine_address(from) + bytes)
        result = MACHINE_MISUSE(ncclInvalidArgument, "data and result of rank %d overlap, but are not equal",
                                comm->rank);
    if (result == ncclSuccess && (machine_address(from) % size != 0 || machine_address(to) % size != 0))
        result = MACHINE_MISUSE(ncclInvalidArgument, "data or result of rank %d is not aligned to its type",
                                comm->rank);
    return result;
}

static ncclResult_t collect(const char *name, ncclComm_t comm, const nccl_call *call, const void *from,
                            void *to, cudaStream_t stream) {
    ncclResult_t result = begin(name);
    if (result == ncclSuccess) result = use(comm);
    if (result != ncclSuccess) return in_group(result);
    result = check_call(comm, call, from, to, (CUstream)stream);
    if (result == ncclSuccess && group.depth == 0 && ranks_of_thread(comm) > 1)
        result = MACHINE_MISUSE(ncclInvalidUsage,
                                "a thread with several ranks of a communicator calls outside a group");
    if (result == ncclSuccess && group.count == MOST_IN_GROUP)
        result = MACHINE_MISUSE(ncclInvalidUsage, "too many in a group");
    if (result == ncclSuccess) {
        nccl_hold(comm); /* until the group ends */
        group.operation[group.count++] = (nccl_operation){.name = name,
                                                          .comm = comm,
                                                          .call = *call,
                                                          .from = machine_address(from),
                                                          .to = machine_address(to),
                                                          .stream = (CUstream)stream};
    }
    release(comm, result);
    return in_group(result);
}

MACHINE_EXPORT ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                                          ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
    nccl_call call;
    memset(&call, 0, sizeof call);
    call.count = count;
    call.type = (int)type;
    call.operation = (int)op;
    return collect("ncclAllReduce", comm, &call, from, to, stream);
}

MACHINE_EXPORT ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type,
                                          int root, ncclComm_t comm, cudaStream_t stream) {
    nccl_call call;
    memset(&call, 0, sizeof call);
    call.broadcast = 1;
    call.count = count;
    call.type = (int)type;
    call.root = root;
    /* Only the root's data are read. */
    return collect("ncclBroadcast", comm, &call, from ? from : to, to, stream);
}
