/* The reference's table with wrappers. See flipped_backend.h. */
#include "flipped_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 4, MOST_UPDATES = 64 };

static const p2p_module *reference;
static const p2p_host *host;
static p2p_be_device *devices[DEVICES];        /* those that were opened last */
static p2p_be_op *adam[DEVICES][MOST_UPDATES]; /* created on each */
static p2p_binding parameters[DEVICES][MOST_UPDATES], moments[DEVICES][MOST_UPDATES]; /* of these */
static int adams[DEVICES];

static int flips = -1; /* the device */
static bool flips_moment;
static int updates_before, updates;
static int fails = -1; /* the device */
static size_t failing_bytes;

static void flip_after(int device, int before, bool moment) {
    flips = device;
    updates_before = before;
    flips_moment = moment;
    updates = 0;
}

void flipped_bit(int device, int before) {
    flip_after(device, before, false);
}

void flipped_moment(int device, int before) {
    flip_after(device, before, true);
}

void flipped_nan(int device, size_t bytes) {
    fails = device;
    failing_bytes = bytes;
}

/* -1: a device that was opened before. */
static int index_of(const p2p_be_device *device) {
    for (int i = 0; i < DEVICES; i++)
        if (devices[i] == device) return i;
    return -1;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    P2P_TRY(reference->device_open(index, device));
    devices[index] = *device;
    adams[index] = 0;
    return P2P_OK;
}

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    const int at = index_of(device);
    P2P_TRY(reference->device.op_create(device, op, bindings, scratch, created));
    if (op->kind != P2P_KIND_adam || at < 0) return P2P_OK;
    if (adams[at] == MOST_UPDATES) return host->fail(P2P_UNSUPPORTED, "flipped: more updates than it counts");
    parameters[at][adams[at]] = bindings[P2P_AT_adam_p];
    moments[at][adams[at]] = bindings[P2P_AT_adam_m];
    adam[at][adams[at]++] = *created;
    return P2P_OK;
}

static p2p_status finish(p2p_be_device *device) {
    p2p_ticket ticket;
    P2P_TRY(reference->device.submit(device, &ticket));
    return reference->device.wait(device, ticket);
}

/* Changes the highest bit of the fraction of the first number there, a float64, after the update. The lowest
 * one could be lost again when later updates are rounded. */
static p2p_status flip(p2p_be_device *device, p2p_binding binding) {
    uint64_t bits = 0;
    P2P_TRY(reference->device.buffer_read(device, binding, &bits, sizeof bits));
    P2P_TRY(finish(device));
    bits ^= (uint64_t)1 << 51;
    P2P_TRY(reference->device.buffer_write(device, binding, &bits, sizeof bits));
    return finish(device);
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    const int at = index_of(device);
    P2P_TRY(reference->device.op_run(device, op));
    if (at < 0 || at != flips) return P2P_OK;
    for (int i = 0; i < adams[at]; i++)
        if (adam[at][i] == op && updates++ == updates_before)
            return flip(device, flips_moment ? moments[at][i] : parameters[at][i]);
    return P2P_OK;
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    P2P_TRY(reference->device.buffer_read(device, from, to, bytes));
    if (fails < 0 || index_of(device) != fails || bytes != failing_bytes) return P2P_OK;
    P2P_TRY(finish(device));
    memset(to, 0xff, bytes); /* NaN in any precision */
    return P2P_OK;
}

/* The fault of a shared object, which no test calls. */
static void read_fault(void) {
    const char *text = getenv("P2P_FLIPPED");
    int device, count;
    if (text && sscanf(text, "bit:%d:%d", &device, &count) == 2) flipped_bit(device, count);
    if (text && sscanf(text, "nan:%d:%d", &device, &count) == 2) flipped_nan(device, (size_t)count);
}

const p2p_module *flipped_module(uint32_t abi, const p2p_host *services) {
    static p2p_module module;
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    host = services;
    read_fault();
    module = *reference;
    module.name = "flipped";
    module.description = "the reference, of which one device is faulty";
    module.device_open = device_open;
    module.device.op_create = op_create;
    module.device.op_run = op_run;
    module.device.buffer_read = buffer_read;
    return &module;
}
