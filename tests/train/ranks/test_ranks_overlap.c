/* Sums of gradients run beside the backward pass on OpenCL devices, over the devices of a process and over
 * ranks. Shown by forced orders, without times: the last gradient of a network is not enqueued before the
 * first sum has begun, and that sum does not end before the last gradient is computed. Gradients that are
 * reduced in one piece can't keep the first order.
 */
#include "host/sys.h"
#include "plan/session.h"
#include "ranks/ranks.h"
#include "ranks/ranks_mpi.h"
#include "support/forked_processes.h"
#include "support/mpi_double.h"
#include "support/plan_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "support/test_expect.h"

enum { REPLICAS = 2, BATCH = 4, MOST_FILTERS = 256 };
static const double PATIENCE = 60; /* seconds for an order that is kept */

static const plan_net shape = {.in = 3, .out = 3, .filters = 4};

/* ---- The order ---------------------------------------------------------------------------------------- */

/* What is watched in a step. The last gradient is that of the filters before the network's first update. */
static struct {
    atomic_bool watching, sum_begun, sum_may_end;
    atomic_bool sum_ended; /* by its own patience */
    double sum_end;        /* clock reading at which that ends */
    double patience;       /* seconds that the last gradient waits for the first sum */
    int position;          /* of the last gradient among those of the first device */
    int enqueued;          /* gradients of the first device */
    bool expired;          /* the first sum had not begun when the patience ended */
    p2p_be_device *device; /* the first; NULL: not known yet */
    p2p_ticket last;       /* complete when the last gradient is */
} order;

static void sum_begins(void) {
    if (atomic_load(&order.watching)) atomic_store(&order.sum_begun, true);
}

/* Whether the first sum must not end yet. Without an overlap it ends by itself, so that nothing hangs. */
static bool sum_is_held(void) {
    if (!atomic_load(&order.watching) || !atomic_load(&order.sum_begun) || atomic_load(&order.sum_may_end))
        return false;
    if (sys_clock() > order.sum_end) atomic_store(&order.sum_ended, true);
    return !atomic_load(&order.sum_ended);
}

static void wait_for_sum(void) {
    const double end = sys_clock() + order.patience;
    while (!atomic_load(&order.sum_begun) && sys_clock() < end) sys_sleep(0.001);
    order.expired = !atomic_load(&order.sum_begun);
}

/* ---- Devices ------------------------------------------------------------------------------------------ */

static const p2p_module *opencl;
static const p2p_be_op *filters[MOST_FILTERS]; /* operations that compute gradients of filters */
static int filter_count;

static p2p_status op_create(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created) {
    P2P_TRY(opencl->device.op_create(device, op, bindings, scratch, created));
    if (op->kind != P2P_KIND_conv_bwd_filter) return P2P_OK;
    assert_true(filter_count < MOST_FILTERS);
    filters[filter_count++] = *created;
    return P2P_OK;
}

static bool is_gradient(const p2p_be_op *op) {
    for (int i = 0; i < filter_count; i++)
        if (filters[i] == op) return true;
    return false;
}

static p2p_status op_run(p2p_be_device *device, p2p_be_op *op) {
    if (!atomic_load(&order.watching) || !is_gradient(op)) return opencl->device.op_run(device, op);
    if (!order.device) order.device = device;
    if (device != order.device || order.enqueued++ != order.position)
        return opencl->device.op_run(device, op);
    wait_for_sum();
    P2P_TRY(opencl->device.op_run(device, op));
    return opencl->device.submit(device, &order.last);
}

static const p2p_module *watched_module(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    opencl = p2p_module_opencl(abi, host);
    if (!opencl) return NULL;
    module = *opencl;
    module.name = "watched";
    module.device.op_create = op_create;
    module.device.op_run = op_run;
    return &module;
}

/* ---- A step ------------------------------------------------------------------------------------------- */

/* The number of gradients of filters before the first update. */
static int count_gradients(const plan_part *part) {
    int count = 0;
    for (int s = 0; s < part->step_count && part->steps[s].op.kind != P2P_KIND_adam; s++)
        count += part->steps[s].op.kind == P2P_KIND_conv_bwd_filter;
    return count;
}

/* Runs a step of `replicas` on the rig, in the order. *kept: the last gradient was computed after the first
 * sum had begun and before it ended. */
static p2p_status run_in_order(plan_rig *rig, double patience, bool *kept) {
    order.patience = patience;
    order.sum_end = sys_clock() + 2 * PATIENCE;
    order.position = count_gradients(&rig->plan->parts[0]) - 1;
    order.device = NULL;
    order.enqueued = 0;
    atomic_store(&order.sum_begun, false);
    atomic_store(&order.sum_may_end, false);
    atomic_store(&order.sum_ended, false);
    atomic_store(&order.watching, true);
    p2p_status status = plan_rig_run(rig, 0);
    if (status == P2P_OK) status = opencl->device.wait(order.device, order.last);
    *kept = !order.expired && !atomic_load(&order.sum_ended);
    atomic_store(&order.sum_may_end, true);
    if (status == P2P_OK) status = p2p_plan_wait(rig->plan);
    atomic_store(&order.watching, false);
    return status;
}

static p2p_status step_in_order(const p2p_processes *processes, int first, int replicas, bool no_buckets,
                                bool *kept) {
    plan_rig rig;
    const plan_net_step step = {.dropout = 0.5};
    const p2p_session_options options = {.bucket_bytes = 1, .no_buckets = no_buckets, .processes = processes};
    filter_count = 0;
    p2p_status status = plan_rig_open(&rig, "watched", first, replicas, BATCH, &shape, &step, &options);
    if (status == P2P_OK) status = run_in_order(&rig, no_buckets ? 0.5 : PATIENCE, kept);
    plan_rig_close(&rig);
    return status;
}

/* ---- Devices of a process ----------------------------------------------------------------------------- */

static p2p_status share_alone(void *context, void *bytes, size_t size) {
    (void)context, (void)bytes, (void)size;
    return P2P_OK;
}

static p2p_status gather_alone(void *context, const void *mine, size_t size, void *all) {
    (void)context;
    memcpy(all, mine, size);
    return P2P_OK;
}

/* Called by the communicator's thread when it has added what the devices contribute. */
static p2p_status combine_alone(void *context, const p2p_op *op, void *stored, size_t bytes) {
    (void)context, (void)op, (void)stored, (void)bytes;
    sum_begins();
    while (sum_is_held()) sys_sleep(0.001);
    return P2P_OK;
}

static void over_devices(void **state) {
    (void)state;
    const p2p_processes alone = {
        .size = 1, .share = share_alone, .gather = gather_alone, .combine = combine_alone};
    bool kept;
    OK(step_in_order(&alone, 0, REPLICAS, false, &kept));
    assert_true(kept);
    OK(step_in_order(&alone, 0, REPLICAS, true, &kept));
    assert_false(kept);
}

/* ---- Ranks -------------------------------------------------------------------------------------------- */

static void transfer_starts(int channel) {
    if (channel != MPI_CONTROL) sum_begins();
}

static bool transfer_is_held(int channel) {
    return channel != MPI_CONTROL && sum_is_held();
}

/* In each of the forked ranks. Returns its number of failures. */
static int step_of_rank(const p2p_processes *processes, void *context) {
    ranks *together;
    bool kept[2] = {false, true};
    const mpi_table *table =
        mpi_double_table(context, processes->size, processes->rank, transfer_starts, transfer_is_held);
    p2p_status status = p2p_module_register(watched_module);
    if (status == P2P_OK) status = ranks_open_with(table, &(ranks_work){"train", 1}, &together);
    for (int i = 0; i < 2 && status == P2P_OK; i++)
        status = step_in_order(ranks_processes(together), processes->rank, 1, i == 1, &kept[i]);
    if (status == P2P_OK) status = ranks_close(together);
    if (status == P2P_OK && kept[0] && !kept[1]) return 0;
    fprintf(stderr, "rank %d: status %d (%s), with buckets %s, without %s\n", processes->rank, (int)status,
            p2p_message(), kept[0] ? "overlap" : "none", kept[1] ? "overlap" : "none");
    return 1;
}

static void over_ranks(void **state) {
    (void)state;
    assert_int_equal(forked_run(2, step_of_rank, mpi_double_share()), 0);
}

int main(void) {
    /* Ranks are forked first: drivers have threads. */
    const struct CMUnitTest forked[] = {cmocka_unit_test(over_ranks)};
    const struct CMUnitTest here[] = {cmocka_unit_test(over_devices)};
    const int failed = cmocka_run_group_tests(forked, NULL, NULL);
    OK(p2p_module_register(watched_module));
    return failed + cmocka_run_group_tests(here, NULL, NULL);
}
