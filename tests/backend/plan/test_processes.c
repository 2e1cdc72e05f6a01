/* Sessions with replicas in several processes: they compute what one session with all replicas computes, by
 * the reference's communicator and through host memory; state is shared, gathered and compared over all; they
 * agree on the type of gradients before a communicator is open;
 * processes that do not fit together are refused by all. The processes are forked.
 */
#include "p2p_moments.h"
#include "plan/session.h"
#include "support/forked_processes.h"
#include "support/null_backend.h"
#include "support/picky_backend.h"
#include "support/plan_training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

enum { MOST_PARAMETERS = 1 << 16 };

/* A training, and what the parent compares. */
typedef struct {
    const char *backend;
    int replicas; /* of a process */
    int64_t batch;
    bool sync;
    double losses[PLAN_TRAINING_STEPS][PLAN_TRAINING_LOSSES];
    int64_t count;
    double parameters[MOST_PARAMETERS]; /* of rank 0 */
} training;

/* ---- Trainings ---------------------------------------------------------------------------------------- */

static int train(const p2p_processes *processes, void *context) {
    training *t = context;
    plan_training own;
    const plan_net_step step = {.sync = t->sync, .dropout = 0.5};
    const p2p_session_options options = {.processes = processes};
    FORKED_CHECK(plan_train_steps(t->backend, processes->rank * t->replicas, t->replicas, t->batch,
                                  PLAN_TRAINING_STEPS, &step, &options, &own) == P2P_OK);
    double all[FORKED_MOST * PLAN_TRAINING_STEPS * PLAN_TRAINING_LOSSES];
    FORKED_CHECK(processes->gather(processes->context, own.losses, sizeof own.losses, all) == P2P_OK);
    if (processes->rank > 0) return 0;
    for (int r = 0; r < processes->size; r++)
        for (int i = 0; i < PLAN_TRAINING_STEPS * PLAN_TRAINING_LOSSES; i++)
            (&t->losses[0][0])[i] += all[r * PLAN_TRAINING_STEPS * PLAN_TRAINING_LOSSES + i];
    FORKED_CHECK(own.count <= MOST_PARAMETERS);
    t->count = own.count;
    memcpy(t->parameters, own.parameters, (size_t)own.count * sizeof(double));
    return 0;
}

/* Compares with one session that has all replicas. Statistics of replicas are in the parameters as means. */
static void expect_equal(const char *backend, int size, int replicas, int64_t batch, bool sync,
                         double bound) {
    plan_training one, apart = {.steps = PLAN_TRAINING_STEPS};
    const plan_net_step step = {.sync = sync, .dropout = 0.5};
    training *t = forked_memory(sizeof *t);
    *t = (training){.backend = backend, .replicas = replicas, .batch = batch, .sync = sync};
    assert_int_equal(forked_run(size, train, t), 0);
    OK(plan_train_steps("reference", 0, size * replicas, batch, PLAN_TRAINING_STEPS, &step, NULL, &one));
    memcpy(apart.losses, t->losses, sizeof apart.losses);
    apart.parameters = t->parameters;
    apart.count = t->count;
    const double found = plan_training_distance(&apart, &one);
    if (!(found <= bound))
        fail_msg("%s: %d processes of %d replicas with a batch of %d differ by %g", backend, size, replicas,
                 (int)batch, found);
    free(one.parameters);
}

static void equal_one_session(void **state) {
    (void)state;
    for (int sync = 0; sync < 2; sync++) {
        expect_equal("reference", 2, 1, 4, sync, 0);
        expect_equal("reference", 3, 1, 4, sync, 0);
        expect_equal("reference", 3, 1, 2, sync, 0); /* one has no image */
        expect_equal("reference", 2, 2, 3, sync, 1e-12);
        expect_equal("twins", 2, 1, 4, sync, 1e-12);
        expect_equal("twins", 2, 2, 5, sync, 1e-12);
    }
}

/* ---- State -------------------------------------------------------------------------------------------- */

static p2p_status open_rig(const p2p_processes *processes, const char *backend, bool sync, plan_rig *rig) {
    const plan_net_step step = {.sync = sync, .dropout = 0.5};
    const p2p_session_options options = {.processes = processes};
    return plan_rig_open(rig, backend, processes->rank, 1, 4, &plan_training_net, &step, &options);
}

/* A process that changes a weight is found by all, and gets the others' again from rank 0. */
static int compare(const p2p_processes *processes, void *context) {
    plan_rig rig;
    p2p_difference found;
    double value[3] = {0.5, 0.25, 0.125};
    (void)context;
    FORKED_CHECK(open_rig(processes, "reference", false, &rig) == P2P_OK);
    FORKED_CHECK(p2p_session_replicas(rig.session) == processes->size);
    FORKED_CHECK(plan_rig_step(&rig, 0) == P2P_OK);
    FORKED_CHECK(p2p_session_compare(rig.session, false, &found) == P2P_OK && found.replica == -1);
    const p2p_param bias = rig.net.d0.bias;
    FORKED_CHECK(p2p_param_elements(p2p_network_param(rig.net.g, bias)) == 3);
    if (processes->rank == 2)
        FORKED_CHECK(p2p_session_write(rig.session, rig.net.g, bias, P2P_STATE_VALUE, P2P_TYPE_f64, value) ==
                     P2P_OK);
    FORKED_CHECK(p2p_session_compare(rig.session, false, &found) == P2P_OK && found.replica == 2 &&
                 found.outvoted);
    FORKED_CHECK(p2p_session_broadcast(rig.session) == P2P_OK);
    FORKED_CHECK(p2p_session_compare(rig.session, false, &found) == P2P_OK && found.replica == -1);
    plan_rig_close(&rig);
    return 0;
}

static void compared_over_all(void **state) {
    (void)state;
    assert_int_equal(forked_run(3, compare, NULL), 0);
}

/* Statistics of each replica: gathered by all, written by rank 0 for all, and brought there by a broadcast.
 */
static int move_statistics(const p2p_processes *processes, void *context) {
    plan_rig rig;
    double read[2][64], mean[64];
    (void)context;
    FORKED_CHECK(open_rig(processes, "reference", false, &rig) == P2P_OK);
    const p2p_param running = rig.net.e1.running;
    const int64_t count = p2p_param_elements(p2p_network_param(rig.net.g, running));
    FORKED_CHECK(count > 0 && count <= 64);
    FORKED_CHECK(plan_rig_step(&rig, 0) == P2P_OK);
    FORKED_CHECK(p2p_session_gather(rig.session) == P2P_OK);
    for (int r = 0; r < 2; r++)
        FORKED_CHECK(p2p_session_read_running(rig.session, rig.net.g, running, r, P2P_TYPE_f64, read[r]) ==
                     P2P_OK);
    FORKED_CHECK(memcmp(read[0], read[1], (size_t)count * sizeof(double)) != 0);
    FORKED_CHECK(p2p_session_read(rig.session, rig.net.g, running, P2P_STATE_VALUE, P2P_TYPE_f64, mean) ==
                 P2P_OK);
    for (int64_t i = 0; i < count; i++) FORKED_CHECK(fabs(mean[i] - (read[0][i] + read[1][i]) / 2) < 1e-12);
    if (processes->rank == 0) /* exchanged */
        for (int r = 0; r < 2; r++)
            FORKED_CHECK(p2p_session_write_running(rig.session, rig.net.g, running, r, P2P_TYPE_f64,
                                                   read[1 - r]) == P2P_OK);
    FORKED_CHECK(p2p_session_broadcast(rig.session) == P2P_OK);
    FORKED_CHECK(p2p_session_read_running(rig.session, rig.net.g, running, processes->rank, P2P_TYPE_f64,
                                          mean) == P2P_OK);
    FORKED_CHECK(memcmp(mean, read[1 - processes->rank], (size_t)count * sizeof(double)) == 0);
    FORKED_CHECK(p2p_session_read_running(rig.session, rig.net.g, running, 2, P2P_TYPE_f64, mean) ==
                 P2P_INVALID);
    plan_rig_close(&rig);
    return 0;
}

static void statistics_of_all(void **state) {
    (void)state;
    assert_int_equal(forked_run(2, move_statistics, NULL), 0);
}

/* ---- The type of gradients ----------------------------------------------------------------------------- */

/* The devices of "null" without their communicator. */
static const p2p_module *apart_module(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    module = *null_module(abi, host);
    module.name = "apart";
    module.comm_open = NULL;
    module.comm = (p2p_comm_table){0};
    return &module;
}

typedef struct {
    const char *addresses[2]; /* of each process's two replicas */
    p2p_type gradient;
} gradient_case;

static int decide_gradient(const p2p_processes *processes, void *context) {
    const gradient_case *c = context;
    p2p_device *devices[2];
    p2p_session *session;
    const p2p_session_options options = {.processes = processes, .precision = P2P_PRECISION_bf16};
    for (int i = 0; i < 2; i++)
        FORKED_CHECK(p2p_device_open(c->addresses[processes->rank], &devices[i]) == P2P_OK);
    FORKED_CHECK(p2p_session_create(devices, 2, &options, &session) == P2P_OK);
    FORKED_CHECK(session->gradient == c->gradient);
    FORKED_CHECK(session->comm == NULL);
    p2p_session_destroy(session);
    for (int i = 0; i < 2; i++) p2p_device_close(devices[i]);
    return 0;
}

/* The communicator of "null" sums bf16 over two replicas at most. If one process has none, all sums pass
 * through host memory, in every process. */
static void gradients_have_one_type(void **state) {
    (void)state;
    gradient_case together = {{"null:2", "null:2"}, P2P_TYPE_f32},
                  one = {{"null:2", "apart:2"}, P2P_TYPE_bf16};
    assert_int_equal(forked_run(2, decide_gradient, &together), 0);
    assert_int_equal(forked_run(2, decide_gradient, &one), 0);
}

/* ---- Refusals ----------------------------------------------------------------------------------------- */

static int plan_others(const p2p_processes *processes, void *context) {
    plan_rig rig;
    (void)context;
    FORKED_CHECK(open_rig(processes, "reference", processes->rank == 1, &rig) == P2P_UNSUPPORTED);
    FORKED_CHECK(strstr(p2p_message(), "ranks 0 and 1 have different collectives"));
    plan_rig_close(&rig);
    return 0;
}

static int have_others(const p2p_processes *processes, void *context) {
    p2p_device *devices[2];
    p2p_session *session;
    (void)context;
    for (int i = 0; i < 2; i++) FORKED_CHECK(p2p_device_open("reference:0", &devices[i]) == P2P_OK);
    const p2p_session_options options = {.processes = processes};
    FORKED_CHECK(p2p_session_create(devices, 1 + processes->rank, &options, &session) == P2P_USAGE);
    FORKED_CHECK(strstr(p2p_message(), "rank 1 has 2 devices, rank 0 has 1"));
    for (int i = 0; i < 2; i++) p2p_device_close(devices[i]);
    return 0;
}

static int store_otherwise(const p2p_processes *processes, void *context) {
    p2p_device *device;
    p2p_session *session;
    (void)context;
    char address[32];
    snprintf(address, sizeof address, "picky:%d", processes->rank == 0 ? PICKY_EASY : PICKY_BLOCKED);
    FORKED_CHECK(p2p_device_open(address, &device) == P2P_OK);
    const p2p_session_options options = {.processes = processes};
    FORKED_CHECK(p2p_session_create(&device, 1, &options, &session) == P2P_UNSUPPORTED);
    FORKED_CHECK(strstr(p2p_message(), "store tensors differently"));
    p2p_device_close(device);
    return 0;
}

static void refused_by_all(void **state) {
    (void)state;
    assert_int_equal(forked_run(2, plan_others, NULL), 0);
    assert_int_equal(forked_run(2, have_others, NULL), 0);
    assert_int_equal(forked_run(2, store_otherwise, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_one_session), cmocka_unit_test(compared_over_all),
        cmocka_unit_test(statistics_of_all), cmocka_unit_test(gradients_have_one_type),
        cmocka_unit_test(refused_by_all)};
    const p2p_module_entry entries[] = {picky_module, picky_twins_module, null_module, apart_module};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (p2p_module_register(entries[i]) != P2P_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
