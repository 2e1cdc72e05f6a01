/* Queues of commands over the reference's table. See shuffled_backend.h. */
#include "shuffled_backend.h"

#include "wrapped_device.h"

#include <stdlib.h>
#include <string.h>

enum { DEVICES = 4, MOST_NEEDS = 64, MOST_TICKETS = 1 << 20 };

typedef struct {
    p2p_be_op *inner;
    p2p_kind kind;
} shuffled_op;

typedef struct {
    enum { COMMAND_RUN, COMMAND_WRITE, COMMAND_READ, COMMAND_COPY, COMMAND_MARK } kind;
    const shuffled_op *op;
    p2p_binding from, to;
    const void *source;
    void *target;
    size_t bytes;
    p2p_ticket ticket; /* COMMAND_MARK: complete after it */
    p2p_ticket needs[MOST_NEEDS];
    int need_count;
} command;

typedef struct shuffled_recording {
    p2p_be_op **ops;
    int count, capacity;
} shuffled_recording;

typedef struct {
    p2p_be_device *inner; /* first, for wrapped_device.h */
    command *queue;
    int first, count, capacity;
    bool *complete; /* per ticket */
    p2p_ticket last;
    p2p_ticket needs[MOST_NEEDS]; /* of the next command */
    int need_count;
    shuffled_recording *recording;
} shuffled_device;

typedef struct {
    p2p_op op;
    p2p_contribution replicas[DEVICES];
    p2p_ticket done[DEVICES];
} collective;

typedef struct {
    p2p_be_comm *inner;
    shuffled_device *devices[DEVICES];
    int count;
    collective *queue;
    int first, queued, capacity;
} shuffled_comm;

static const p2p_module *reference;
static const p2p_host *host;
static shuffled_device *open_devices[DEVICES];
static shuffled_comm *open_comm;
static uint32_t state = 1;
static bool forgets;
static int overlaps;
static shuffled_time collectives;
static p2p_kind *trace;
static int traced, trace_size;

void shuffled_seed(uint32_t seed) {
    state = seed * 2654435761u + 1;
}

void shuffled_forget_order(bool forget) {
    forgets = forget;
}

int shuffled_overlaps(void) {
    return overlaps;
}

void shuffled_collectives(shuffled_time time) {
    collectives = time;
}

void shuffled_trace(p2p_kind *kinds, int size) {
    trace = kinds;
    trace_size = size;
    traced = 0;
}

int shuffled_traced(void) {
    return traced;
}

static void note(p2p_kind kind) {
    if (trace && traced < trace_size) trace[traced++] = kind;
}

static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

static shuffled_device *device_of(p2p_be_device *device) {
    return (shuffled_device *)(void *)device;
}

static shuffled_comm *comm_of(p2p_be_comm *comm) {
    return (shuffled_comm *)(void *)comm;
}

static p2p_status no_memory(void) {
    return host->fail(P2P_OUT_OF_MEMORY, "shuffled: no host memory");
}

/* Returns the array with room for one more element; NULL if there is no memory. */
static void *grow(void *array, int count, int *capacity, size_t element) {
    if (count < *capacity) return array;
    *capacity = *capacity ? 2 * *capacity : 64;
    return realloc(array, (size_t)*capacity * element);
}

/* ---- Running ------------------------------------------------------------------------------------------ */

static p2p_status run_command(shuffled_device *device, const command *c) {
    const p2p_device_table *table = &reference->device;
    switch (c->kind) {
    case COMMAND_RUN:
        if (device == open_devices[0]) note(c->op->kind);
        return table->op_run(device->inner, c->op->inner);
    case COMMAND_WRITE:
        return table->buffer_write(device->inner, c->to, c->source, c->bytes);
    case COMMAND_READ:
        return table->buffer_read(device->inner, c->from, c->target, c->bytes);
    case COMMAND_COPY:
        return table->buffer_copy(device->inner, c->from, c->to, c->bytes);
    case COMMAND_MARK:
        device->complete[c->ticket] = true;
    }
    return P2P_OK;
}

static bool may_run(const shuffled_device *device) {
    if (!device || device->first == device->count) return false;
    const command *c = &device->queue[device->first];
    for (int i = 0; i < c->need_count; i++)
        if (!device->complete[c->needs[i]]) return false;
    return true;
}

static bool may_reduce(const shuffled_comm *comm) {
    if (!comm || comm->first == comm->queued) return false;
    for (int i = 0; i < comm->count; i++)
        if (!comm->devices[i]->complete[comm->queue[comm->first].replicas[i].after]) return false;
    return true;
}

/* Reduces over the replicas in descending order. */
static p2p_status reduce(shuffled_comm *comm) {
    const collective *c = &comm->queue[comm->first++];
    p2p_contribution reversed[DEVICES];
    p2p_ticket done[DEVICES];
    p2p_op op = c->op;
    for (int i = 0; i < comm->count; i++) {
        reversed[i] = c->replicas[comm->count - 1 - i];
        reversed[i].after = 0;
    }
    note(op.kind);
    if (op.kind == P2P_KIND_broadcast) op.root = comm->count - 1 - op.root;
    P2P_TRY(op.kind == P2P_KIND_broadcast ? reference->comm.broadcast(comm->inner, &op, reversed, done)
                                          : reference->comm.all_reduce(comm->inner, &op, reversed, done));
    for (int i = 0; i < comm->count; i++) comm->devices[i]->complete[c->done[i]] = true;
    return P2P_OK;
}

/* The device that has run the fewest commands. */
static int slowest(const int *candidates, int count) {
    int least = candidates[0];
    for (int i = 1; i < count; i++)
        if (open_devices[candidates[i]]->first < open_devices[least]->first) least = candidates[i];
    return least;
}

/* One of the devices that may run a command, or DEVICES for the collective that may run. */
static int choose(const int *candidates, int count, bool reduces) {
    if (collectives == SHUFFLED_ANY_TIME) {
        const uint32_t drawn = draw((uint32_t)(count + reduces));
        return drawn == (uint32_t)count ? DEVICES : candidates[drawn];
    }
    const bool now = reduces && (collectives == SHUFFLED_EARLY || count == 0);
    return now ? DEVICES : slowest(candidates, count);
}

/* Runs one of the commands and collectives that may run. */
static p2p_status run_one(void) {
    int candidates[DEVICES], count = 0;
    for (int i = 0; i < DEVICES; i++)
        if (may_run(open_devices[i])) candidates[count++] = i;
    const bool reduces = may_reduce(open_comm);
    if (count == 0 && !reduces) return host->fail(P2P_FAILED, "shuffled: a ticket is never complete");
    const int chosen = choose(candidates, count, reduces);
    if (chosen == DEVICES) return reduce(open_comm);
    overlaps += reduces;
    shuffled_device *device = open_devices[chosen];
    return run_command(device, &device->queue[device->first++]);
}

static p2p_status add(shuffled_device *device, command c) {
    command *queue = grow(device->queue, device->count, &device->capacity, sizeof *queue);
    if (!queue) return no_memory();
    device->queue = queue;
    memcpy(c.needs, device->needs, sizeof c.needs);
    c.need_count = device->need_count;
    device->need_count = 0;
    queue[device->count++] = c;
    return P2P_OK;
}

static p2p_status new_ticket(shuffled_device *device, p2p_ticket *ticket) {
    if (device->last + 1 == MOST_TICKETS) return host->fail(P2P_FAILED, "shuffled: too many tickets");
    *ticket = ++device->last;
    return P2P_OK;
}

static p2p_status submit(p2p_be_device *device, p2p_ticket *ticket) {
    P2P_TRY(new_ticket(device_of(device), ticket));
    return add(device_of(device), (command){.kind = COMMAND_MARK, .ticket = *ticket});
}

static p2p_status wait(p2p_be_device *device, p2p_ticket ticket) {
    shuffled_device *shuffled = device_of(device);
    if (ticket > shuffled->last) return host->fail(P2P_INVALID, "shuffled: a ticket was never given");
    while (!shuffled->complete[ticket]) P2P_TRY(run_one());
    if (shuffled->first == shuffled->count) shuffled->first = shuffled->count = 0;
    return P2P_OK;
}

static p2p_status order(p2p_be_device *device, p2p_ticket after) {
    shuffled_device *shuffled = device_of(device);
    if (after > shuffled->last) return host->fail(P2P_INVALID, "shuffled: a ticket was never given");
    if (forgets) return P2P_OK;
    if (shuffled->need_count == MOST_NEEDS) return host->fail(P2P_FAILED, "shuffled: too many needs");
    shuffled->needs[shuffled->need_count++] = after;
    return P2P_OK;
}

/* ---- Devices, buffers, operations --------------------------------------------------------------------- */

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = DEVICES;
    return P2P_OK;
}

static void device_close(p2p_be_device *device) {
    shuffled_device *shuffled = device_of(device);
    for (int i = 0; i < DEVICES; i++)
        if (open_devices[i] == shuffled) open_devices[i] = NULL;
    if (shuffled->recording) free(shuffled->recording->ops);
    free(shuffled->recording);
    reference->device.close(shuffled->inner);
    free(shuffled->queue);
    free(shuffled->complete);
    free(shuffled);
}

static p2p_status device_open(int index, p2p_be_device **device) {
    shuffled_device *opened = calloc(1, sizeof *opened);
    if (opened) opened->complete = calloc(MOST_TICKETS, sizeof *opened->complete);
    if (!opened || !opened->complete) {
        free(opened);
        return no_memory();
    }
    opened->complete[0] = true;
    const p2p_status status = reference->device_open(index, &opened->inner);
    if (status != P2P_OK) {
        free(opened->complete);
        free(opened);
        return status;
    }
    open_devices[index] = opened;
    *device = (p2p_be_device *)(void *)opened;
    return P2P_OK;
}

static p2p_status buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    return add(device_of(device), (command){.kind = COMMAND_WRITE, .to = to, .source = from, .bytes = bytes});
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    return add(device_of(device),
               (command){.kind = COMMAND_READ, .from = from, .target = to, .bytes = bytes});
}

static p2p_status buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    return add(device_of(device), (command){.kind = COMMAND_COPY, .from = from, .to = to, .bytes = bytes});
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    shuffled_op *own = calloc(1, sizeof *own);
    if (!own) return no_memory();
    own->kind = op->kind;
    const p2p_status status =
        reference->device.op_create(device_of(device)->inner, op, bindings, scratch, &own->inner);
    if (status == P2P_OK)
        *created = (p2p_be_op *)(void *)own;
    else
        free(own);
    return status;
}

static void op_destroy(p2p_be_device *device, p2p_be_op *op) {
    shuffled_op *own = (shuffled_op *)(void *)op;
    reference->device.op_destroy(device_of(device)->inner, own->inner);
    free(own);
}

static p2p_status record(shuffled_recording *recording, p2p_be_op *op) {
    p2p_be_op **ops = grow(recording->ops, recording->count, &recording->capacity, sizeof(p2p_be_op *));
    if (!ops) return no_memory();
    recording->ops = ops;
    ops[recording->count++] = op;
    return P2P_OK;
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    shuffled_device *shuffled = device_of(device);
    if (shuffled->recording) return record(shuffled->recording, op);
    return add(shuffled, (command){.kind = COMMAND_RUN, .op = (const shuffled_op *)(const void *)op});
}

/* ---- Recordings --------------------------------------------------------------------------------------- */

static p2p_status record_begin(p2p_be_device *device) {
    device_of(device)->recording = calloc(1, sizeof(shuffled_recording));
    return device_of(device)->recording ? P2P_OK : no_memory();
}

static p2p_status record_end(p2p_be_device *device, p2p_be_recording **recording) {
    *recording = (p2p_be_recording *)(void *)device_of(device)->recording;
    device_of(device)->recording = NULL;
    return P2P_OK;
}

static p2p_status recording_run(p2p_be_device *device, p2p_be_recording *recorded) {
    const shuffled_recording *recording = (const shuffled_recording *)(const void *)recorded;
    for (int i = 0; i < recording->count; i++) P2P_TRY(op_run(device, recording->ops[i]));
    return P2P_OK;
}

static void recording_destroy(p2p_be_device *device, p2p_be_recording *recorded) {
    (void)device;
    shuffled_recording *recording = (shuffled_recording *)(void *)recorded;
    free(recording->ops);
    free(recording);
}

/* ---- Collectives -------------------------------------------------------------------------------------- */

static void comm_close(p2p_be_comm *comm) {
    shuffled_comm *shuffled = comm_of(comm);
    while (shuffled->first < shuffled->queued && run_one() == P2P_OK) continue;
    if (open_comm == shuffled) open_comm = NULL;
    reference->comm.close(shuffled->inner);
    free(shuffled->queue);
    free(shuffled);
}

static p2p_status comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                            const p2p_processes *processes, p2p_be_comm **comm) {
    p2p_be_device *inner[DEVICES];
    shuffled_comm *opened = calloc(1, sizeof *opened);
    if (!opened) return no_memory();
    opened->count = count;
    for (int i = 0; i < count; i++) {
        opened->devices[i] = device_of(devices[i]);
        inner[count - 1 - i] = opened->devices[i]->inner;
    }
    const p2p_status status = reference->comm_open(inner, count, world, rank0, processes, &opened->inner);
    if (status != P2P_OK) {
        free(opened);
        return status;
    }
    open_comm = opened;
    *comm = (p2p_be_comm *)(void *)opened;
    return P2P_OK;
}

static p2p_status comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op) {
    (void)devices, (void)count, (void)world;
    if (op->kind != P2P_KIND_all_reduce || op->reduction == P2P_REDUCE_SUM) return P2P_OK;
    return host->fail(P2P_UNSUPPORTED, "shuffled: no moments");
}

static p2p_status start(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                        p2p_ticket *done) {
    shuffled_comm *shuffled = comm_of(comm);
    collective *queue = grow(shuffled->queue, shuffled->queued, &shuffled->capacity, sizeof *queue);
    if (!queue) return no_memory();
    shuffled->queue = queue;
    collective c = {.op = *op};
    for (int i = 0; i < shuffled->count; i++) {
        c.replicas[i] = replicas[i];
        P2P_TRY(new_ticket(shuffled->devices[i], &c.done[i]));
        done[i] = c.done[i];
    }
    queue[shuffled->queued++] = c;
    return P2P_OK;
}

const p2p_module *shuffled_module(uint32_t abi, const p2p_host *services) {
    static p2p_module module;
    if (abi != P2P_BACKEND_ABI) return NULL;
    host = services;
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    module = (p2p_module){
        .abi = P2P_BACKEND_ABI,
        .name = "shuffled",
        .description = "the reference in any permitted order",
        .device_count = device_count,
        .device_info = reference->device_info,
        .device_open = device_open,
        .comm_open = comm_open,
        .device = wrapped_device_table(reference),
        .comm = {.close = comm_close, .query = comm_query, .all_reduce = start, .broadcast = start}};
    module.device.close = device_close;
    module.device.buffer_write = buffer_write;
    module.device.buffer_read = buffer_read;
    module.device.buffer_copy = buffer_copy;
    module.device.op_create = op_create;
    module.device.op_run = op_run;
    module.device.op_destroy = op_destroy;
    module.device.submit = submit;
    module.device.wait = wait;
    module.device.order = order;
    module.device.record_begin = record_begin;
    module.device.record_end = record_end;
    module.device.recording_run = recording_run;
    module.device.recording_destroy = recording_destroy;
    return &module;
}
