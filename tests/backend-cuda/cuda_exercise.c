/* A small plan on two devices with a collective, every result compared, for test_cuda_faults.sh: whatever
 * call fails, everything is released. Exit status 0: all was right; 1: a failure, whose message is printed;
 * 2: a wrong result.
 */
#include "device/device_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 2, CHANNELS = 8, ELEMENTS = 30000, BYTES = ELEMENTS * 4 };

typedef struct {
    p2p_device *device;
    p2p_buffer *x, *y, *sums;
    p2p_host_memory host;
    p2p_operation *relu, *sum; /* of several blocks, which count each other */
} replica;

static float input(int i) {
    return (float)(i % 7 - 3);
}

static const p2p_tensor map = {.type = P2P_TYPE_f32,
                               .layout = P2P_LAYOUT_nhwc,
                               .block = CHANNELS,
                               .n = 1,
                               .c = CHANNELS,
                               .h = 25,
                               .w = ELEMENTS / CHANNELS / 25};

static p2p_status create_relu(replica *r) {
    p2p_op op = {.kind = P2P_KIND_act_fwd, .act = P2P_ACT_relu};
    p2p_place places[P2P_MAX_OPERANDS] = {{0}};
    op.t[P2P_AT_act_fwd_x] = op.t[P2P_AT_act_fwd_y] = map;
    places[P2P_AT_act_fwd_x].buffer = r->x;
    places[P2P_AT_act_fwd_y].buffer = r->y;
    return p2p_operation_create(r->device, &op, places, (p2p_place){0}, &r->relu);
}

/* y has room for scratch memory: relu, which follows, writes it. */
static p2p_status create_sum(replica *r) {
    p2p_op op = {.kind = P2P_KIND_bias_grad};
    p2p_place places[P2P_MAX_OPERANDS] = {{0}};
    op.t[P2P_AT_bias_grad_dy] = map;
    op.t[P2P_AT_bias_grad_db] =
        (p2p_tensor){.type = P2P_TYPE_f32, .layout = P2P_LAYOUT_plain, .n = 1, .c = CHANNELS, .h = 1, .w = 1};
    places[P2P_AT_bias_grad_dy].buffer = r->x;
    places[P2P_AT_bias_grad_db].buffer = r->sums;
    return p2p_operation_create(r->device, &op, places, (p2p_place){r->y, 0}, &r->sum);
}

static p2p_status prepare(replica *r, const char *address) {
    P2P_TRY(p2p_device_open(address, &r->device));
    P2P_TRY(p2p_buffer_create(r->device, BYTES, &r->x));
    P2P_TRY(p2p_buffer_create(r->device, BYTES, &r->y));
    P2P_TRY(p2p_buffer_create(r->device, CHANNELS * sizeof(float), &r->sums));
    P2P_TRY(p2p_host_memory_alloc(r->device, BYTES, &r->host));
    P2P_TRY(create_sum(r));
    return create_relu(r);
}

static p2p_status start(replica *r, p2p_ticket *ticket) {
    float *values = r->host.bytes;
    for (int i = 0; i < ELEMENTS; i++) values[i] = input(i);
    P2P_TRY(p2p_buffer_write(r->device, (p2p_place){r->x, 0}, values, BYTES));
    P2P_TRY(p2p_buffer_copy(r->device, (p2p_place){r->x, 0}, (p2p_place){r->y, 0}, 256));
    for (int i = 0; i < 2; i++) P2P_TRY(p2p_operation_run(r->sum)); /* the second starts as the first did */
    P2P_TRY(p2p_operation_run(r->relu));
    return p2p_device_submit(r->device, ticket);
}

static bool are_right(const float *sums) {
    float right[CHANNELS] = {0};
    for (int i = 0; i < ELEMENTS; i++) right[i % CHANNELS] += input(i);
    return memcmp(sums, right, sizeof right) == 0;
}

/* Memory of malloc passes through the staging memory. */
static p2p_status check(replica *r, p2p_ticket done, bool *right) {
    float sums[CHANNELS] = {0}, *read = calloc(ELEMENTS, sizeof *read);
    if (!read) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory");
    p2p_status status = p2p_device_order(r->device, done);
    if (status == P2P_OK) status = p2p_buffer_read(r->device, (p2p_place){r->y, 0}, read, BYTES);
    if (status == P2P_OK) status = p2p_buffer_read(r->device, (p2p_place){r->sums, 0}, sums, sizeof sums);
    if (status == P2P_OK) status = p2p_device_finish(r->device);
    for (int i = 0; i < ELEMENTS && status == P2P_OK; i++)
        *right &= read[i] == DEVICES * (input(i) > 0 ? input(i) : 0);
    *right &= status != P2P_OK || are_right(sums);
    free(read);
    return status;
}

static p2p_status run(replica *replicas, p2p_comm **comm, bool *right) {
    p2p_device *devices[DEVICES];
    p2p_place places[DEVICES];
    p2p_ticket after[DEVICES], done[DEVICES];
    p2p_op sum = {.kind = P2P_KIND_all_reduce};
    sum.t[0] = p2p_tensor_flat(P2P_TYPE_f32, ELEMENTS);
    for (int i = 0; i < DEVICES; i++) {
        P2P_TRY(prepare(&replicas[i], i == 0 ? "cuda:0" : "cuda:1"));
        devices[i] = replicas[i].device;
        places[i] = (p2p_place){replicas[i].y, 0};
    }
    P2P_TRY(p2p_comm_open(devices, DEVICES, DEVICES, 0, NULL, comm));
    P2P_TRY(p2p_comm_prepare(*comm, &sum));
    for (int i = 0; i < DEVICES; i++) P2P_TRY(start(&replicas[i], &after[i]));
    P2P_TRY(p2p_comm_run(*comm, &sum, places, after, done));
    for (int i = 0; i < DEVICES; i++) P2P_TRY(check(&replicas[i], done[i], right));
    return P2P_OK;
}

static void release(replica *r) {
    if (!r->device) return;
    if (r->relu) p2p_operation_destroy(r->relu);
    if (r->sum) p2p_operation_destroy(r->sum);
    if (r->host.bytes) p2p_host_memory_free(r->device, &r->host);
    if (r->x) p2p_buffer_destroy(r->x);
    if (r->y) p2p_buffer_destroy(r->y);
    if (r->sums) p2p_buffer_destroy(r->sums);
    p2p_device_close(r->device);
}

int main(void) {
    replica replicas[DEVICES] = {{0}};
    p2p_comm *comm = NULL;
    bool right = true;
    p2p_warnings_to(stderr);
    const p2p_status status = run(replicas, &comm, &right);
    if (status != P2P_OK) printf("%s: %s\n", p2p_status_name(status), p2p_message());
    p2p_comm_close(comm);
    for (int i = 0; i < DEVICES; i++) release(&replicas[i]);
    if (status != P2P_OK) return 1;
    if (!right) puts("wrong results");
    return right ? 0 : 2;
}
