/* Commands that take stated times, over the reference's table. See timed_backend.h. */
#include "timed_backend.h"

#include "p2p_op.h"
#include "test_clock.h"
#include "wrapped_device.h"

#include <stdlib.h>
#include <time.h>

typedef struct {
    p2p_be_device *inner; /* first, for wrapped_device.h */
    double free_at;       /* when it has run all its commands */
    double *times;        /* per ticket: when it is complete */
    int tickets, capacity;
    double stood; /* seconds for which it waited for collectives */
} timed_device;

typedef struct {
    const p2p_be_op *inner;
    double seconds;
} timed_op;

typedef struct {
    p2p_be_comm *inner;
    timed_device *devices[TIMED_DEVICES];
    int count;
    double free_at;
} timed_comm;

static const p2p_module *reference;
static const p2p_host *host;
static double convolution_seconds, reduction_start, reduction_per_byte, pretend;
static bool is_real;

void timed_set(double convolution, double start, double per_byte) {
    convolution_seconds = convolution;
    reduction_start = start;
    reduction_per_byte = per_byte;
}

void timed_set_real(bool real) {
    is_real = real;
}

/* ---- The clock ---------------------------------------------------------------------------------------- */

double timed_clock(void) {
    return is_real ? test_clock() : pretend;
}

static void sleep_until(double then) {
    const double left = then - timed_clock();
    if (left <= 0) return;
    pretend = then;
    if (!is_real) return;
    const time_t whole = (time_t)left;
    nanosleep(&(struct timespec){whole, (long)(1e9 * (left - (double)whole))}, NULL);
}

static double later(double a, double b) {
    return a > b ? a : b;
}

/* ---- Devices ------------------------------------------------------------------------------------------ */

static timed_device *device_of(p2p_be_device *device) {
    return (timed_device *)(void *)device;
}

static p2p_status no_memory(void) {
    return host->fail(P2P_OUT_OF_MEMORY, "timed: no host memory");
}

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = TIMED_DEVICES;
    return P2P_OK;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    (void)index;
    return reference->device_info(0, info);
}

static p2p_status device_open(int index, p2p_be_device **device) {
    (void)index;
    timed_device *opened = calloc(1, sizeof *opened);
    if (!opened) return no_memory();
    const p2p_status status = reference->device_open(0, &opened->inner);
    if (status != P2P_OK) {
        free(opened);
        return status;
    }
    *device = (p2p_be_device *)(void *)opened;
    return P2P_OK;
}

static void device_close(p2p_be_device *device) {
    reference->device.close(device_of(device)->inner);
    free(device_of(device)->times);
    free(device_of(device));
}

static p2p_status add_ticket(timed_device *device, double time, p2p_ticket *ticket) {
    if (device->tickets == device->capacity) {
        const int capacity = device->capacity ? 2 * device->capacity : 256;
        double *times = realloc(device->times, (size_t)capacity * sizeof *times);
        if (!times) return no_memory();
        device->times = times;
        device->capacity = capacity;
    }
    device->times[device->tickets++] = time;
    *ticket = (p2p_ticket)device->tickets;
    return P2P_OK;
}

static double time_of(const timed_device *device, p2p_ticket ticket) {
    return ticket == 0 ? 0 : device->times[ticket - 1];
}

static p2p_status submit(p2p_be_device *device, p2p_ticket *ticket) {
    return add_ticket(device_of(device), device_of(device)->free_at, ticket);
}

static p2p_status wait(p2p_be_device *device, p2p_ticket ticket) {
    sleep_until(time_of(device_of(device), ticket));
    return P2P_OK;
}

static p2p_status order(p2p_be_device *device, p2p_ticket after) {
    timed_device *timed = device_of(device);
    const double now = later(timed->free_at, timed_clock()), then = time_of(timed, after);
    timed->stood += later(then - now, 0);
    timed->free_at = later(now, then);
    return P2P_OK;
}

/* ---- Operations --------------------------------------------------------------------------------------- */

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    p2p_be_op *inner;
    timed_op *timed = calloc(1, sizeof *timed);
    if (!timed) return no_memory();
    const p2p_status status =
        reference->device.op_create(device_of(device)->inner, op, bindings, scratch, &inner);
    if (status != P2P_OK) {
        free(timed);
        return status;
    }
    *timed = (timed_op){inner, p2p_op_is_convolution(op) ? convolution_seconds : 0};
    *created = (p2p_be_op *)(void *)timed;
    return P2P_OK;
}

static void op_destroy(p2p_be_device *device, p2p_be_op *op) {
    timed_op *timed = (timed_op *)(void *)op;
    reference->device.op_destroy(device_of(device)->inner, (p2p_be_op *)timed->inner);
    free(timed);
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    timed_device *on = device_of(device);
    const timed_op *timed = (const timed_op *)(const void *)op;
    on->free_at = later(on->free_at, timed_clock()) + timed->seconds;
    return reference->device.op_run(on->inner, (p2p_be_op *)timed->inner);
}

/* ---- Collectives -------------------------------------------------------------------------------------- */

static timed_comm *comm_of(p2p_be_comm *comm) {
    return (timed_comm *)(void *)comm;
}

static void comm_close(p2p_be_comm *comm) {
    reference->comm.close(comm_of(comm)->inner);
    free(comm);
}

static p2p_status comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                            const p2p_processes *processes, p2p_be_comm **comm) {
    p2p_be_device *inner[TIMED_DEVICES];
    timed_comm *opened = calloc(1, sizeof *opened);
    if (!opened) return no_memory();
    opened->count = count;
    for (int i = 0; i < count; i++) {
        opened->devices[i] = device_of(devices[i]);
        inner[i] = opened->devices[i]->inner;
    }
    const p2p_status status = reference->comm_open(inner, count, world, rank0, processes, &opened->inner);
    if (status == P2P_OK)
        *comm = (p2p_be_comm *)(void *)opened;
    else
        free(opened);
    return status;
}

static p2p_status comm_query(p2p_be_device *const *devices, int count, int world, const p2p_op *op) {
    p2p_be_device *inner[TIMED_DEVICES];
    for (int i = 0; i < count; i++) inner[i] = device_of(devices[i])->inner;
    return reference->comm.query(inner, count, world, op);
}

/* Runs the collective between the inner devices, whose commands are all complete. */
static p2p_status run_inner(timed_comm *comm, const p2p_op *op, const p2p_contribution *replicas) {
    p2p_contribution inner[TIMED_DEVICES];
    p2p_ticket done[TIMED_DEVICES];
    for (int i = 0; i < comm->count; i++) inner[i] = (p2p_contribution){replicas[i].binding, 0};
    return op->kind == P2P_KIND_broadcast ? reference->comm.broadcast(comm->inner, op, inner, done)
                                          : reference->comm.all_reduce(comm->inner, op, inner, done);
}

static p2p_status start(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                        p2p_ticket *done) {
    timed_comm *timed = comm_of(comm);
    double begin = later(timed->free_at, timed_clock());
    for (int i = 0; i < timed->count; i++)
        begin = later(begin, time_of(timed->devices[i], replicas[i].after));
    timed->free_at = begin + reduction_start + reduction_per_byte * (double)p2p_tensor_bytes(&op->t[0]);
    P2P_TRY(run_inner(timed, op, replicas));
    for (int i = 0; i < timed->count; i++) P2P_TRY(add_ticket(timed->devices[i], timed->free_at, &done[i]));
    return P2P_OK;
}

static double waited(p2p_be_comm *comm) {
    double sum = 0;
    for (int i = 0; i < comm_of(comm)->count; i++) sum += comm_of(comm)->devices[i]->stood;
    return sum / comm_of(comm)->count;
}

const p2p_module *timed_module(uint32_t abi, const p2p_host *services) {
    static p2p_module module;
    if (abi != P2P_BACKEND_ABI) return NULL;
    host = services;
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    module = (p2p_module){.abi = P2P_BACKEND_ABI,
                          .name = "timed",
                          .description = "the reference with stated times",
                          .device_count = device_count,
                          .device_info = device_info,
                          .device_open = device_open,
                          .comm_open = comm_open,
                          .device = wrapped_device_table(reference),
                          .comm = {.close = comm_close,
                                   .query = comm_query,
                                   .all_reduce = start,
                                   .broadcast = start,
                                   .waited = waited}};
    module.device.close = device_close;
    module.device.op_create = op_create;
    module.device.op_run = op_run;
    module.device.op_destroy = op_destroy;
    module.device.submit = submit;
    module.device.wait = wait;
    module.device.order = order;
    return &module;
}
