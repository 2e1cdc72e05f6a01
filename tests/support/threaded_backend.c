/* Entries that count threads, over the reference's table. See threaded_backend.h. */
#include "threaded_backend.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEVICES = 4, MOST_CREATORS = 64, NO_DEVICE = -1, PATIENCE = 20 /* seconds */ };

typedef struct {
    p2p_be_device *inner;
    int index;
    bool has_met; /* its op_create has waited for the others */
} threaded_device;

static const p2p_module *reference;
static const p2p_host *host;
static _Thread_local int current = NO_DEVICE; /* of the library that this backend pretends to use */
static atomic_bool inside[DEVICES], forgets;
static atomic_int collisions;
static atomic_uint failing;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* Protected by `lock`. */
static int wanted, arrived, creator_count;
static pthread_t creators[MOST_CREATORS];
static char *trace;
static size_t trace_size;

/* ---- Settings ----------------------------------------------------------------------------------------- */

void threaded_forget_current(bool forget) {
    atomic_store(&forgets, forget);
}

void threaded_meet(int devices) {
    pthread_mutex_lock(&lock);
    wanted = devices;
    arrived = 0;
    pthread_mutex_unlock(&lock);
}

int threaded_arrived(void) {
    pthread_mutex_lock(&lock);
    const int count = arrived;
    pthread_mutex_unlock(&lock);
    return count;
}

void threaded_fail_create(unsigned devices) {
    atomic_store(&failing, devices);
}

int threaded_creators(void) {
    pthread_mutex_lock(&lock);
    const int count = creator_count;
    creator_count = 0;
    pthread_mutex_unlock(&lock);
    return count;
}

int threaded_collisions(void) {
    return atomic_load(&collisions);
}

void threaded_trace(char *text, size_t size) {
    pthread_mutex_lock(&lock);
    trace = text;
    trace_size = size;
    if (text) text[0] = '\0';
    pthread_mutex_unlock(&lock);
}

static void note(char what, int device) {
    pthread_mutex_lock(&lock);
    const size_t used = trace ? strlen(trace) : 0;
    if (trace && used + 3 <= trace_size) snprintf(trace + used, 3, "%c%d", what, device);
    pthread_mutex_unlock(&lock);
}

/* ---- Entries ------------------------------------------------------------------------------------------ */

static threaded_device *device_of(p2p_be_device *device) {
    return (threaded_device *)(void *)device;
}

/* On P2P_OK the caller leaves the device. */
static p2p_status enter(const threaded_device *device) {
    if (atomic_exchange(&inside[device->index], true)) {
        atomic_fetch_add(&collisions, 1);
        return host->fail(P2P_FAILED, "threaded: two threads are inside device %d", device->index);
    }
    if (!atomic_load(&forgets)) current = device->index;
    if (current == device->index) return P2P_OK;
    atomic_store(&inside[device->index], false);
    return host->fail(P2P_FAILED, "threaded: a command for device %d reached device %d", device->index,
                      current);
}

static void leave(const threaded_device *device) {
    atomic_store(&inside[device->index], false);
}

/* Returns the status of a call of the reference that is made inside the device. */
#define INSIDE(device, call)                                                                                 \
    do {                                                                                                     \
        const threaded_device *entered = device_of(device);                                                  \
        P2P_TRY(enter(entered));                                                                             \
        const p2p_status status = (call);                                                                    \
        leave(entered);                                                                                      \
        return status;                                                                                       \
    } while (0)

/* A call without a status. It is made in any case, so that nothing leaks. */
#define INSIDE_VOID(device, call)                                                                            \
    do {                                                                                                     \
        const threaded_device *entered = device_of(device);                                                  \
        const bool alone = enter(entered) == P2P_OK;                                                         \
        (call);                                                                                              \
        if (alone) leave(entered);                                                                           \
    } while (0)

#define INNER(device) (device_of(device)->inner)

/* ---- Creation of operations --------------------------------------------------------------------------- */

static void note_creator(void) {
    const pthread_t self = pthread_self();
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < creator_count && !pthread_equal(creators[i], self)) i++;
    if (i == creator_count && i < MOST_CREATORS) creators[creator_count++] = self;
    pthread_mutex_unlock(&lock);
}

static p2p_status meet(threaded_device *device) {
    struct timespec until;
    int error = 0;
    pthread_mutex_lock(&lock);
    const bool waits = wanted > 0 && !device->has_met;
    if (waits) {
        device->has_met = true;
        arrived++;
        pthread_cond_broadcast(&changed);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PATIENCE;
        while (arrived < wanted && error == 0) error = pthread_cond_timedwait(&changed, &lock, &until);
    }
    pthread_mutex_unlock(&lock);
    if (error == 0) return P2P_OK;
    return host->fail(P2P_FAILED, "threaded: device %d is alone in op_create", device->index);
}

static p2p_status create(threaded_device *device, const p2p_op *op, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created) {
    note_creator();
    P2P_TRY(meet(device));
    if (atomic_load(&failing) & 1u << device->index) {
        host->fail(P2P_FAILED, "threaded: device %d fails", device->index);
        return host->hint(P2P_FAILED, "do without device %d", device->index);
    }
    return reference->device.op_create(device->inner, op, bindings, scratch, created);
}

/* ---- The table ---------------------------------------------------------------------------------------- */

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = DEVICES;
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    threaded_device *opened = calloc(1, sizeof *opened);
    if (!opened) return host->fail(P2P_OUT_OF_MEMORY, "threaded: no host memory");
    opened->index = current = index;
    const p2p_status status = reference->device_open(index, &opened->inner);
    if (status != P2P_OK) {
        free(opened);
        return status;
    }
    *device = (p2p_be_device *)(void *)opened;
    return P2P_OK;
}

static void device_close(p2p_be_device *device) {
    INSIDE_VOID(device, reference->device.close(INNER(device)));
    free(device_of(device));
}

static p2p_status buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **buffer) {
    INSIDE(device, reference->device.buffer_create(INNER(device), bytes, buffer));
}

static void buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    INSIDE_VOID(device, reference->device.buffer_destroy(INNER(device), buffer));
}

static p2p_status buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    note('w', device_of(device)->index);
    INSIDE(device, reference->device.buffer_write(INNER(device), to, from, bytes));
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    INSIDE(device, reference->device.buffer_read(INNER(device), from, to, bytes));
}

static p2p_status buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    INSIDE(device, reference->device.buffer_copy(INNER(device), from, to, bytes));
}

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    INSIDE(device, reference->device.op_query(INNER(device), op, answer));
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    INSIDE(device, create(device_of(device), op, bindings, scratch, created));
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    INSIDE(device, reference->device.op_run(INNER(device), op));
}

static void op_destroy(p2p_be_device *device, p2p_be_op *op) {
    INSIDE_VOID(device, reference->device.op_destroy(INNER(device), op));
}

static p2p_status submit(p2p_be_device *device, p2p_ticket *ticket) {
    INSIDE(device, reference->device.submit(INNER(device), ticket));
}

static p2p_status wait(p2p_be_device *device, p2p_ticket ticket) {
    note('f', device_of(device)->index);
    INSIDE(device, reference->device.wait(INNER(device), ticket));
}

static p2p_status comm_open(p2p_be_device *const *devices, int count, int world, int rank0,
                            const p2p_processes *processes, p2p_be_comm **comm) {
    p2p_be_device *inner[DEVICES];
    for (int i = 0; i < count; i++) inner[i] = INNER(devices[i]);
    return reference->comm_open(inner, count, world, rank0, processes, comm);
}

const p2p_module *threaded_module(uint32_t abi, const p2p_host *services) {
    static p2p_module module;
    if (abi != P2P_BACKEND_ABI) return NULL;
    host = services;
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    module = (p2p_module){.abi = P2P_BACKEND_ABI,
                          .name = "threaded",
                          .description = "the reference with a current device per thread",
                          .device_count = device_count,
                          .device_info = reference->device_info,
                          .device_open = device_open,
                          .comm_open = comm_open,
                          .device = {.close = device_close,
                                     .buffer_create = buffer_create,
                                     .buffer_destroy = buffer_destroy,
                                     .buffer_write = buffer_write,
                                     .buffer_read = buffer_read,
                                     .buffer_copy = buffer_copy,
                                     .op_query = op_query,
                                     .op_create = op_create,
                                     .op_run = op_run,
                                     .op_destroy = op_destroy,
                                     .submit = submit,
                                     .wait = wait},
                          .comm = reference->comm};
    return &module;
}
