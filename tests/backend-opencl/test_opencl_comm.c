/* The communicator between OpenCL devices: sums, moments and broadcasts against the host's, in place and
 * through staging memory; many at once; the order with other commands; and a device whose command fails,
 * which must end the waits of all. A failed communicator exchanges nothing more, and waits for others count
 * as no device's time. Two of the three replicas are on one device if there is only one.
 */
#include "comm/ocl_comm.h"
#include "comm/ocl_comm_internal.h"
#include "device/device.h"
#include "device/ocl_buffer.h"
#include "device/ocl_pocl.h"
#include "device/ocl_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "support/test_expect.h"
#include "support/test_skip.h"

enum { REPLICAS = 3, LIMIT = 300 /* seconds, after which a wait that never ends kills the test */ };

static const p2p_module *module;

typedef struct {
    p2p_be_device *devices[REPLICAS];
    p2p_be_buffer *buffers[REPLICAS];
    p2p_be_comm *comm;
    size_t bytes;
} team;

static void open_team_among(team *t, size_t bytes, bool in_host, const p2p_processes *processes) {
    *t = (team){.bytes = bytes};
    for (int r = 0; r < REPLICAS; r++) {
        if (module->device_open(r, &t->devices[r]) != P2P_OK) OK(module->device_open(0, &t->devices[r]));
        t->devices[r]->info.in_host_memory = in_host && t->devices[r]->info.in_host_memory;
        OK(ocl_buffer_create(t->devices[r], bytes, &t->buffers[r]));
    }
    OK(ocl_comm_open(t->devices, REPLICAS, REPLICAS, 0, processes, &t->comm));
}

static void open_team(team *t, size_t bytes, bool in_host) {
    open_team_among(t, bytes, in_host, NULL);
}

static void close_team(team *t) {
    ocl_comm_close(t->comm);
    for (int r = 0; r < REPLICAS; r++) {
        ocl_buffer_destroy(t->devices[r], t->buffers[r]);
        module->device.close(t->devices[r]);
    }
}

static p2p_contribution contribution(team *t, int r, size_t offset) {
    p2p_contribution made = {.binding = {t->buffers[r], offset}};
    OK(ocl_queue_submit(t->devices[r], &made.after));
    return made;
}

static p2p_status start(team *t, const p2p_op *op, size_t offset, p2p_ticket done[REPLICAS]) {
    p2p_contribution replicas[REPLICAS];
    for (int r = 0; r < REPLICAS; r++) replicas[r] = contribution(t, r, offset);
    OK(ocl_comm_query(t->devices, REPLICAS, REPLICAS, op));
    return op->kind == P2P_KIND_all_reduce ? ocl_comm_all_reduce(t->comm, op, replicas, done)
                                           : ocl_comm_broadcast(t->comm, op, replicas, done);
}

/* Numbers whose sum depends on the order of additions. */
static float value_at(int replica, size_t i) {
    static const float scale[REPLICAS] = {1, 1e4F, -1e4F};
    return (0.1F + (float)(i * 7 % 201) / 3) * scale[replica];
}

static void write_values(team *t, float *values) {
    for (int r = 0; r < REPLICAS; r++) {
        for (size_t i = 0; i < t->bytes / sizeof *values; i++) values[i] = value_at(r, i);
        OK(ocl_buffer_write(t->devices[r], (p2p_binding){t->buffers[r], 0}, values, t->bytes));
        OK(ocl_queue_finish(t->devices[r]));
    }
}

static void read_ordered(team *t, int r, p2p_ticket after, float *values) {
    OK(ocl_queue_order(t->devices[r], after));
    OK(ocl_buffer_read(t->devices[r], (p2p_binding){t->buffers[r], 0}, values, t->bytes));
    OK(ocl_queue_finish(t->devices[r]));
}

/* ---- Values ------------------------------------------------------------------------------------------- */

static float expected_at(const p2p_op *op, size_t i) {
    float sum = 0;
    if (op->kind == P2P_KIND_broadcast) return value_at((int)op->root, i);
    for (int r = 0; r < REPLICAS; r++) sum += value_at(r, i);
    return sum;
}

/* Elements before and after the operand stay. */
static void check_flat(const p2p_op *op, bool in_host) {
    enum { BEFORE = 16, BEHIND = 3 };
    const size_t count = (size_t)op->t[0].w, all = BEFORE + count + BEHIND;
    float *values = malloc(all * sizeof *values);
    team t;
    p2p_ticket done[REPLICAS];
    assert_non_null(values);
    open_team(&t, all * sizeof *values, in_host);
    write_values(&t, values);
    OK(start(&t, op, BEFORE * sizeof *values, done));
    for (int r = 0; r < REPLICAS; r++) {
        read_ordered(&t, r, done[r], values);
        for (size_t i = 0; i < all; i++) {
            const bool inside = i >= BEFORE && i < BEFORE + count;
            const float expected = inside ? expected_at(op, i) : value_at(r, i);
            if (values[i] != expected)
                fail_msg("replica %d, element %d: %g, not %g", r, (int)i, (double)values[i],
                         (double)expected);
        }
    }
    close_team(&t);
    free(values);
}

static p2p_op flat(p2p_kind kind, int64_t elements) {
    p2p_op op = {.kind = kind, .root = kind == P2P_KIND_broadcast ? 2 : 0};
    op.t[0] = p2p_tensor_flat(P2P_TYPE_f32, elements);
    return op;
}

/* One element, more than a block, and more than two chunks of staging memory. */
static void test_sums_and_broadcasts(void **state) {
    (void)state;
    const int64_t counts[] = {1, 4099, 2 * OCL_COMM_CHUNK / 4 + 77};
    for (int i = 0; i < 3; i++)
        for (int in_host = 0; in_host < 2; in_host++) {
            const p2p_op sum = flat(P2P_KIND_all_reduce, counts[i]),
                         copy = flat(P2P_KIND_broadcast, counts[i]);
            check_flat(&sum, in_host);
            check_flat(&copy, in_host);
        }
}

/* Buffers of PoCL's processors are mapped: nothing is copied. */
static void test_pocl_is_in_place(void **state) {
    (void)state;
    team t;
    open_team(&t, 64, true);
    const bool pocl = ocl_pocl_is_driver(t.devices[0]->info.driver);
    if (pocl && t.devices[0]->target.cpu)
        for (int r = 0; r < REPLICAS; r++) {
            assert_true(t.comm->lanes[r].in_host);
            assert_null(t.comm->lanes[r].staging);
        }
    close_team(&t);
    if (!pocl) TEST_SKIP("the driver is not PoCL");
}

static void test_refusals(void **state) {
    (void)state;
    team t;
    p2p_be_comm *comm;
    p2p_op op = flat(P2P_KIND_all_reduce, 8);
    open_team(&t, 64, true);
    op.t[0].type = P2P_TYPE_f64;
    assert_int_equal(ocl_comm_query(t.devices, REPLICAS, REPLICAS, &op), P2P_UNSUPPORTED);
    op.t[0].type = P2P_TYPE_f32;
    op.t[0].cp = 16;
    assert_int_equal(ocl_comm_query(t.devices, REPLICAS, REPLICAS, &op), P2P_UNSUPPORTED);
    assert_int_equal(ocl_comm_open(t.devices, REPLICAS, 8, 0, NULL, &comm), P2P_UNSUPPORTED);
    assert_null(comm);
    op = flat(P2P_KIND_broadcast, 8);
    op.root = REPLICAS;
    p2p_contribution replicas[REPLICAS];
    p2p_ticket done[REPLICAS];
    for (int r = 0; r < REPLICAS; r++) replicas[r] = contribution(&t, r, 0);
    assert_int_equal(ocl_comm_broadcast(t.comm, &op, replicas, done), P2P_INVALID);
    close_team(&t);
}

/* ---- Many at once ------------------------------------------------------------------------------------- */

/* More collectives than may be under way, each on the result of the one before. */
static void test_many(void **state) {
    (void)state;
    enum { MANY = 3 * OCL_COMM_JOBS };
    const p2p_op copy = flat(P2P_KIND_broadcast, 64), sum = flat(P2P_KIND_all_reduce, 64);
    float values[64];
    team t;
    p2p_ticket done[REPLICAS];
    open_team(&t, sizeof values, true);
    write_values(&t, values);
    OK(start(&t, &sum, 0, done));
    for (int i = 0; i < MANY; i++) {
        for (int r = 0; r < REPLICAS; r++) OK(ocl_queue_order(t.devices[r], done[r]));
        OK(start(&t, &copy, 0, done));
    }
    for (int r = 0; r < REPLICAS; r++) {
        read_ordered(&t, r, done[r], values);
        for (size_t i = 0; i < 64; i++) assert_true(values[i] == expected_at(&sum, i));
    }
    assert_true(ocl_comm_waited(t.comm) >= 0);
    close_team(&t);
}

/* ---- Failure ------------------------------------------------------------------------------------------ */

/* The transfer of the last replica fails, because its operand is outside its buffer. The queues of the others
 * stand at the collective's events; their waits end with a status and the message, and so does every later
 * call. */
static void check_failure(bool in_host) {
    const p2p_op sum = flat(P2P_KIND_all_reduce, 64);
    float values[64];
    team t;
    p2p_contribution replicas[REPLICAS];
    p2p_ticket done[REPLICAS], behind;
    open_team(&t, sizeof values, in_host);
    for (int r = 0; r < REPLICAS; r++) replicas[r] = contribution(&t, r, 0);
    replicas[REPLICAS - 1].binding.offset = 1 << 20;
    alarm(LIMIT);
    OK(ocl_comm_all_reduce(t.comm, &sum, replicas, done));
    if (ocl_queue_order(t.devices[0], done[0]) == P2P_OK) (void)ocl_queue_submit(t.devices[0], &behind);
    for (int r = 0; r < REPLICAS; r++) {
        assert_int_equal(ocl_queue_wait(t.devices[r], done[r]), P2P_DEVICE_LOST);
        MESSAGE_HAS("a reduction over all devices failed");
        MESSAGE_HAS(t.devices[REPLICAS - 1]->info.name);
        assert_int_equal(ocl_queue_submit(t.devices[r], &behind), P2P_DEVICE_LOST);
    }
    assert_int_equal(ocl_comm_all_reduce(t.comm, &sum, replicas, done), P2P_DEVICE_LOST);
    alarm(0);
    close_team(&t);
}

static void test_failure_ends_all_waits(void **state) {
    (void)state;
    check_failure(true);
    check_failure(false);
}

/* ---- Other processes ---------------------------------------------------------------------------------- */

/* Exchanges, which are held until they are released. */
static struct {
    atomic_int begun;
    atomic_bool released;
} exchanges;

static p2p_status exchange(void *context, const p2p_op *op, void *stored, size_t bytes) {
    (void)context, (void)op, (void)stored, (void)bytes;
    atomic_fetch_add(&exchanges.begun, 1);
    while (!atomic_load(&exchanges.released)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return P2P_OK;
}

static const p2p_processes others = {.size = 2, .combine = exchange};

/* Behind an exchange that is held wait a collective that fails in this process, and another one. The latter's
 * exchange would be taken for that of the former by the other processes. */
static void test_failure_ends_exchanges(void **state) {
    (void)state;
    const p2p_op sum = flat(P2P_KIND_all_reduce, 64);
    team t;
    p2p_contribution replicas[3][REPLICAS];
    p2p_ticket done[REPLICAS];
    open_team_among(&t, 64 * sizeof(float), true, &others);
    atomic_store(&exchanges.begun, 0);
    atomic_store(&exchanges.released, false);
    for (int job = 0; job < 3; job++)
        for (int r = 0; r < REPLICAS; r++) replicas[job][r] = contribution(&t, r, 0);
    replicas[1][REPLICAS - 1].binding.offset = 1 << 20;
    alarm(LIMIT);
    for (int job = 0; job < 3; job++) OK(ocl_comm_all_reduce(t.comm, &sum, replicas[job], done));
    atomic_store(&exchanges.released, true);
    assert_int_equal(ocl_queue_wait(t.devices[0], done[0]), P2P_DEVICE_LOST);
    assert_int_equal(atomic_load(&exchanges.begun), 1);
    alarm(0);
    close_team(&t);
}

/* ---- Limits of time ----------------------------------------------------------------------------------- */

/* Has the devices watched as a GPU is. */
static void limit_times(team *t, double seconds) {
    for (int r = 0; r < REPLICAS; r++) {
        t->devices[r]->target.cpu = false;
        t->devices[r]->limits.timeout = seconds;
        snprintf(t->devices[r]->info.name, sizeof t->devices[r]->info.name, "replica %d", r);
    }
}

static void *release_later(void *unused) {
    sleep(2);
    atomic_store(&exchanges.released, true);
    return unused;
}

/* Another process is late: no device of this one is lost. */
static void test_exchanges_are_not_counted(void **state) {
    (void)state;
    const p2p_op sum = flat(P2P_KIND_all_reduce, 64);
    team t;
    p2p_ticket done[REPLICAS];
    pthread_t releasing;
    open_team_among(&t, 64 * sizeof(float), true, &others);
    limit_times(&t, 0.3);
    atomic_store(&exchanges.released, false);
    alarm(LIMIT);
    OK(start(&t, &sum, 0, done));
    assert_int_equal(pthread_create(&releasing, NULL, release_later, NULL), 0);
    for (int r = 0; r < REPLICAS; r++) OK(ocl_queue_wait(t.devices[r], done[r]));
    pthread_join(releasing, NULL);
    alarm(0);
    close_team(&t);
}

/* A device hangs: it is named, and not the one that waits for it, whose wait began before. */
static void test_the_hung_device_is_named(void **state) {
    (void)state;
    const p2p_op sum = flat(P2P_KIND_all_reduce, 64);
    team t;
    p2p_ticket done[REPLICAS];
    cl_int code;
    open_team(&t, 64 * sizeof(float), true);
    if (t.devices[0] == t.devices[1]) TEST_SKIP("there is one device");
    limit_times(&t, 0.5);
    const cl_event never = clCreateUserEvent(t.devices[1]->context, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(clEnqueueBarrierWithWaitList(t.devices[1]->queue, 1, &never, NULL), CL_SUCCESS);
    t.devices[0]->limits.timeout = 0.4; /* as if its wait had begun before */
    alarm(LIMIT);
    OK(start(&t, &sum, 0, done));
    assert_int_equal(ocl_queue_wait(t.devices[0], done[0]), P2P_DEVICE_LOST);
    MESSAGE_HAS("replica 1: a command before a collective");
    clSetUserEventStatus(never, CL_COMPLETE);
    clReleaseEvent(never);
    alarm(0);
    close_team(&t);
}

int main(void) {
    module = p2p_module_opencl(P2P_BACKEND_ABI, p2p_host_services());
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sums_and_broadcasts),
                                       cmocka_unit_test(test_pocl_is_in_place),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_failure_ends_all_waits),
                                       cmocka_unit_test(test_failure_ends_exchanges),
                                       cmocka_unit_test(test_exchanges_are_not_counted),
                                       cmocka_unit_test(test_the_hung_device_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
