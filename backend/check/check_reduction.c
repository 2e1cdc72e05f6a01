/* p2p_devices_check_reduction: a sum over devices, compared with the host's. */
#include "p2p_check.h"

#include "device/device.h"

#include <stdlib.h>

enum { ELEMENTS = 100003 }; /* more than a tile, and odd */

typedef struct {
    p2p_device *const *devices;
    int count;
    p2p_place *places;
    p2p_ticket *after, *done;
    p2p_comm *comm;
    p2p_op op;
    float *values; /* of one device */
} reduction;

/* Small enough for exact sums over any number of devices; different on each. */
static float value_at(int device, int element) {
    return (float)((element * 7 + device * 31) % 201 - 100);
}

static p2p_status reserve(reduction *r) {
    r->places = calloc((size_t)r->count, sizeof *r->places);
    r->after = calloc((size_t)r->count, sizeof *r->after);
    r->done = calloc((size_t)r->count, sizeof *r->done);
    r->values = malloc(ELEMENTS * sizeof *r->values);
    if (!r->places || !r->after || !r->done || !r->values)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a reduction over %d devices", r->count);
    for (int i = 0; i < r->count; i++)
        P2P_TRY(p2p_buffer_create(r->devices[i], ELEMENTS * sizeof(float), &r->places[i].buffer));
    P2P_TRY(p2p_comm_open(r->devices, r->count, r->count, 0, NULL, &r->comm));
    return p2p_comm_prepare(r->comm, &r->op);
}

static p2p_status write_values(reduction *r, int device) {
    for (int e = 0; e < ELEMENTS; e++) r->values[e] = value_at(device, e);
    P2P_TRY(p2p_buffer_write(r->devices[device], r->places[device], r->values, ELEMENTS * sizeof(float)));
    P2P_TRY(p2p_device_submit(r->devices[device], &r->after[device]));
    return p2p_device_wait(r->devices[device], r->after[device]); /* `values` is then free again */
}

static p2p_status check_values(reduction *r, int device) {
    p2p_device *at = r->devices[device];
    P2P_TRY(p2p_device_order(at, r->done[device]));
    P2P_TRY(p2p_buffer_read(at, r->places[device], r->values, ELEMENTS * sizeof(float)));
    P2P_TRY(p2p_device_finish(at));
    for (int e = 0; e < ELEMENTS; e++) {
        float sum = 0;
        for (int i = 0; i < r->count; i++) sum += value_at(i, e);
        if (r->values[e] != sum)
            return p2p_fail(P2P_FAILED, "%s has %.9g as sum number %d over the devices, not %.9g",
                            p2p_device_address(at), (double)r->values[e], e, (double)sum);
    }
    return P2P_OK;
}

static p2p_status run(reduction *r, bool *direct) {
    P2P_TRY(reserve(r));
    P2P_TRY(p2p_comm_is_direct(r->comm, &r->op, direct));
    for (int i = 0; i < r->count; i++) P2P_TRY(write_values(r, i));
    P2P_TRY(p2p_comm_run(r->comm, &r->op, r->places, r->after, r->done));
    for (int i = 0; i < r->count; i++) P2P_TRY(check_values(r, i));
    return P2P_OK;
}

static void release(reduction *r) {
    p2p_comm_close(r->comm);
    for (int i = 0; r->places && i < r->count; i++) p2p_buffer_destroy(r->places[i].buffer);
    free(r->places);
    free(r->after);
    free(r->done);
    free(r->values);
}

p2p_status p2p_devices_check_reduction(p2p_device *const *devices, int count, bool *direct) {
    reduction r = {.devices = devices, .count = count, .op = {.kind = P2P_KIND_all_reduce}};
    r.op.t[0] = p2p_tensor_flat(P2P_TYPE_f32, ELEMENTS);
    *direct = false;
    if (count < 2) return p2p_fail(P2P_INVALID, "a reduction over %d devices", count);
    const p2p_status status = run(&r, direct);
    if (status != P2P_OK) /* pending commands must not access freed memory */
        for (int i = 0; i < count; i++) (void)p2p_device_finish(devices[i]);
    release(&r);
    return status;
}
