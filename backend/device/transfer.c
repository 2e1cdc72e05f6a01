/* Measures transfers between host and device, and within the device. Returns seconds; the caller provides the
 * clock and evaluates them.
 */
#include "device.h"

#include <stdlib.h>
#include <string.h>

/* Copies within the device that follow each other, so that it does not wait for the host between them. */
enum { COPIES = 4 };

typedef struct {
    p2p_device *device;
    p2p_buffer *from, *to, *scratch;
    p2p_operation *kernel; /* copies all of `from` to `to` */
    void *host;
    size_t bytes;
    double (*clock)(void);
} transfer;

static void release(transfer *t) {
    p2p_operation_destroy(t->kernel);
    p2p_buffer_destroy(t->scratch);
    p2p_buffer_destroy(t->from);
    p2p_buffer_destroy(t->to);
    free(t->host);
}

static p2p_status prepare_kernel(transfer *t) {
    p2p_op op = {.kind = P2P_KIND_copy};
    p2p_query answer;
    op.t[P2P_AT_copy_x] = op.t[P2P_AT_copy_y] =
        p2p_tensor_flat(P2P_TYPE_f32, (int64_t)(t->bytes / sizeof(float)));
    P2P_TRY(p2p_operation_query(t->device, &op, &answer));
    if (answer.scratch_bytes > 0) P2P_TRY(p2p_buffer_create(t->device, answer.scratch_bytes, &t->scratch));
    p2p_place places[P2P_MAX_OPERANDS] = {{0}};
    places[P2P_AT_copy_x] = (p2p_place){t->from, 0};
    places[P2P_AT_copy_y] = (p2p_place){t->to, 0};
    return p2p_operation_create(t->device, &op, places, (p2p_place){t->scratch, 0}, &t->kernel);
}

static p2p_status prepare(transfer *t) {
    P2P_TRY(p2p_buffer_create(t->device, t->bytes, &t->from));
    P2P_TRY(p2p_buffer_create(t->device, t->bytes, &t->to));
    t->host = malloc(t->bytes);
    if (!t->host) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a transfer of %zu bytes", t->bytes);
    memset(t->host, 1, t->bytes); /* makes the operating system allocate the pages */
    return prepare_kernel(t);
}

static p2p_status finish(const transfer *t, double begin, double *seconds) {
    P2P_TRY(p2p_device_finish(t->device));
    *seconds = t->clock() - begin;
    return P2P_OK;
}

static p2p_status time_once(const transfer *t, p2p_transfer_times *times) {
    p2p_place from = {t->from, 0}, to = {t->to, 0};
    double begin = t->clock();
    P2P_TRY(p2p_buffer_write(t->device, from, t->host, t->bytes));
    P2P_TRY(finish(t, begin, &times->write));
    P2P_TRY(p2p_device_time_begin(t->device, t->clock, &begin));
    for (int i = 0; i < COPIES; i++) P2P_TRY(p2p_buffer_copy(t->device, from, to, t->bytes));
    P2P_TRY(p2p_device_time_end(t->device, t->clock, begin, &times->copy));
    P2P_TRY(p2p_device_time_begin(t->device, t->clock, &begin));
    for (int i = 0; i < COPIES; i++) P2P_TRY(p2p_operation_run(t->kernel));
    P2P_TRY(p2p_device_time_end(t->device, t->clock, begin, &times->kernel));
    times->copy /= COPIES;
    times->kernel /= COPIES;
    begin = t->clock();
    P2P_TRY(p2p_buffer_read(t->device, to, t->host, t->bytes));
    return finish(t, begin, &times->read);
}

static p2p_status time_all(const transfer *t, int count, p2p_transfer_times *times) {
    p2p_transfer_times warm_up;
    P2P_TRY(time_once(t, &warm_up));
    for (int i = 0; i < count; i++) P2P_TRY(time_once(t, &times[i]));
    return P2P_OK;
}

p2p_status p2p_device_time_transfers(p2p_device *device, size_t bytes, double (*clock)(void), int count,
                                     p2p_transfer_times *times) {
    transfer t = {.device = device, .bytes = bytes, .clock = clock};
    p2p_status status = prepare(&t);
    if (status == P2P_OK) status = time_all(&t, count, times);
    if (status != P2P_OK) (void)p2p_device_finish(device); /* pending commands must not access freed memory */
    release(&t);
    return status;
}
