/* Data parallelism: replicas that share a batch, with statistics and gradients reduced over all, train like
 * one device with the whole batch, whatever the shares are. On the reference, reductions go through its own
 * communicator and, with devices of a module that has none, through host memory.
 *
 *     test_replicas [opencl]    opencl: on its devices, of which there are at least four
 */
#include "plan/session.h"
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

enum {
    STEPS = PLAN_TRAINING_STEPS,
    BATCH = PLAN_TRAINING_BATCH,
    LOSSES = PLAN_TRAINING_LOSSES,
    MOST_REPLICAS = 4
};

static plan_training train_step(const char *backend, int replicas, int64_t batch, int steps,
                                const plan_net_step *step, const p2p_session_options *options) {
    plan_training result;
    OK(plan_train_steps(backend, 0, replicas, batch, steps, step, options, &result));
    return result;
}

static plan_training train_batch(const char *backend, int replicas, int64_t batch, bool sync, int steps,
                                 const p2p_session_options *options) {
    const plan_net_step step = {.sync = sync, .dropout = 0.5};
    return train_step(backend, replicas, batch, steps, &step, options);
}

static plan_training train(const char *backend, int replicas, bool sync, const p2p_session_options *options) {
    return train_batch(backend, replicas, BATCH, sync, STEPS, options);
}

static void test_two_equal_one(void **state) {
    (void)state;
    plan_training one = train("reference", 1, true, NULL);
    plan_training two = train("reference", 2, true, NULL);
    plan_training four =
        train("reference", 4, true, &(p2p_session_options){.check = true, .no_fusion = true});
    assert_int_equal(one.collectives, 0);
    /* 6 normalisations forward, 6 backward, 2 networks' gradients; statistics stay apart from their use. */
    assert_int_equal(two.collectives, 14);
    assert_int_equal(two.statistics, 6);
    assert_int_equal(one.statistics, 0);
    assert_true(plan_training_distance(&two, &one) < 1e-9);
    assert_true(plan_training_distance(&four, &one) < 1e-9);
    free(one.parameters);
    free(two.parameters);
    free(four.parameters);
}

static void expect_equal(const char *backend, int replicas, int64_t batch, const plan_training *several,
                         const plan_training *one, double bound) {
    const double found = plan_training_distance(several, one);
    if (!(found <= bound))
        fail_msg("%s: %d replicas with a batch of %d differ from one by %g after %d steps", backend, replicas,
                 (int)batch, found, one->steps);
}

static void expect_equal_batches(int64_t batch, int replicas) {
    plan_training one = train_batch("reference", 1, batch, true, STEPS, NULL);
    plan_training several = train_batch("reference", replicas, batch, true, STEPS, NULL);
    expect_equal("reference", replicas, batch, &several, &one, 1e-9);
    free(one.parameters);
    free(several.parameters);
}

/* Batches that do not divide evenly, and batches of fewer images than replicas. */
static void test_uneven_batches(void **state) {
    (void)state;
    for (int replicas = 2; replicas <= MOST_REPLICAS; replicas++)
        for (int64_t batch = 1; batch <= 2 * replicas + 1; batch++) expect_equal_batches(batch, replicas);
}

/* Replicas without images add nothing, in the check mode either, where they read no memory that is not
 * written. Alone with its image, a replica needs no other statistics. */
static void test_empty_shares(void **state) {
    (void)state;
    plan_training one = train_batch("reference", 1, 1, false, STEPS, NULL);
    plan_training all = train_batch("reference", 3, 1, false, STEPS,
                                    &(p2p_session_options){.check = true, .no_fusion = true});
    for (int s = 0; s < STEPS; s++)
        for (int l = 0; l < LOSSES; l++) assert_true(fabs(all.losses[s][l] - one.losses[s][l]) < 1e-9);
    free(one.parameters);
    free(all.parameters);
}

/* The reduction matters: without it two halves of a batch have other statistics. */
static void test_unsynchronised_differ(void **state) {
    (void)state;
    plan_training one = train("reference", 1, false, NULL);
    plan_training two = train("reference", 2, false, NULL);
    assert_int_equal(two.collectives, 2);
    assert_true(plan_training_distance(&two, &one) > 1e-6);
    free(one.parameters);
    free(two.parameters);
}

/* "twins" are devices of a module without a communicator. */
static void test_through_host_memory(void **state) {
    (void)state;
    plan_training own = train("reference", 2, true, NULL);
    int before = picky_recordings_run();
    plan_training host = train("twins", 2, true, NULL);
    assert_int_equal(picky_recordings_run() - before, STEPS * 2 * 15); /* segments of two replicas */
    assert_true(plan_training_distance(&host, &own) < 1e-12);
    free(own.parameters);
    free(host.parameters);
}

/* The same training after one step and after all of them: building the programs of a session takes most of
 * its time. */
typedef struct {
    plan_training one_step, all;
} both_lengths;

static both_lengths train_on_opencl(int replicas, int64_t batch) {
    const plan_net_step step = {.sync = true, .dropout = 0.5};
    both_lengths result;
    OK(plan_train_two_lengths("opencl", replicas, batch, &step, &result.one_step, &result.all));
    return result;
}

static void free_both(both_lengths *lengths) {
    free(lengths->one_step.parameters);
    free(lengths->all.parameters);
}

/* Batches of 5 and of 2 images: uneven, and fewer than three or four replicas. */
static void test_opencl(void **state) {
    (void)state;
    for (int64_t batch = 2; batch <= 5; batch += 3) {
        both_lengths one = train_on_opencl(1, batch);
        for (int replicas = 2; replicas <= MOST_REPLICAS; replicas++) {
            both_lengths several = train_on_opencl(replicas, batch);
            expect_equal("opencl", replicas, batch, &several.one_step, &one.one_step, 1e-5);
            expect_equal("opencl", replicas, batch, &several.all, &one.all, 1e-3);
            free_both(&several);
        }
        free_both(&one);
    }
}

/* ---- One device several times, and the equality of replicas ------------------------------------------- */

static const plan_net_step two_of_three = {.sync = true, .dropout = 0.5, .devices = 2};

static void test_one_device_twice(void **state) {
    (void)state;
    plan_training one = train_step("reference", 1, 5, STEPS, &two_of_three, NULL);
    plan_training three = train_step("reference", 3, 5, STEPS, &two_of_three, NULL);
    assert_true(plan_training_distance(&three, &one) < 1e-9);
    free(one.parameters);
    free(three.parameters);
}

/* Adds a little to one stored parameter of a replica, or to its moments. */
static void spoil_part(const plan_rig *rig, int replica, p2p_state_part part) {
    plan_address at;
    p2p_device *device = rig->session->replicas[replica].device;
    double value;
    (void)session_param(rig->session, 1, 0, part, &at);
    const p2p_place place = session_place(rig->session, replica, at);
    OK(p2p_buffer_read(device, place, &value, sizeof value));
    OK(p2p_device_finish(device));
    value += 1e-12;
    OK(p2p_buffer_write(device, place, &value, sizeof value));
    OK(p2p_device_finish(device));
}

static void spoil(const plan_rig *rig, int replica) {
    spoil_part(rig, replica, P2P_STATE_VALUE);
}

static void expect_moments(plan_rig *rig, int expected) {
    p2p_difference found;
    OK(p2p_session_compare(rig->session, true, &found));
    assert_int_equal(found.replica, expected);
}

static void expect_other(plan_rig *rig, int expected, bool outvoted) {
    p2p_difference found;
    OK(p2p_session_compare(rig->session, false, &found));
    assert_int_equal(found.replica, expected);
    assert_int_equal(found.outvoted, outvoted);
    assert_true(expected < 0 || found.like != expected);
}

static void test_comparison(void **state) {
    (void)state;
    plan_rig rig;
    OK(plan_rig_open(&rig, "reference", 0, 3, 3, &plan_training_net, &two_of_three, NULL));
    OK(plan_rig_step(&rig, 0));
    expect_other(&rig, -1, false);
    for (int replica = 0; replica < 3; replica++) {
        spoil(&rig, replica);
        expect_other(&rig, replica, true); /* two agree against it */
        expect_moments(&rig, -1);
        OK(p2p_session_broadcast(rig.session));
        expect_other(&rig, -1, false);
        spoil_part(&rig, replica, replica == 1 ? P2P_STATE_MOMENT2 : P2P_STATE_MOMENT1);
        expect_other(&rig, -1, false);
        expect_moments(&rig, replica);
        OK(p2p_session_broadcast(rig.session));
        expect_moments(&rig, -1);
    }
    plan_rig_close(&rig);
    OK(plan_rig_open(&rig, "reference", 0, 2, 2, &plan_training_net, &two_of_three, NULL));
    spoil(&rig, 0);
    expect_other(&rig, 1, false); /* of two either may have changed */
    plan_rig_close(&rig);
    OK(plan_rig_open(&rig, "reference", 0, 4, 4, &plan_training_net, &two_of_three, NULL));
    spoil(&rig, 1);
    expect_other(&rig, 1, true);
    spoil(&rig, 0);
    expect_other(&rig, 2, false); /* two and two */
    plan_rig_close(&rig);
    OK(plan_rig_open(&rig, "reference", 0, 1, 1, &plan_training_net, &two_of_three, NULL));
    OK(p2p_session_broadcast(rig.session));
    expect_other(&rig, -1, false);
    plan_rig_close(&rig);
}

/* Each replica has statistics of its own images; the network's are their mean. */
static void test_running_statistics(void **state) {
    (void)state;
    enum { FEATURES = 2 * 2 * 4 }; /* of e1: a mean and a variance of each */
    plan_rig rig;
    double of[2][FEATURES], mean[FEATURES], again[FEATURES];
    const plan_net_step step = {.sync = false};
    OK(plan_rig_open(&rig, "reference", 0, 2, 2, &plan_training_net, &step, NULL));
    OK(plan_rig_step(&rig, 0));
    const p2p_param running = rig.net.e1.running;
    for (int r = 0; r < 2; r++)
        OK(p2p_session_read_running(rig.session, rig.net.g, running, r, P2P_TYPE_f64, of[r]));
    OK(p2p_session_read(rig.session, rig.net.g, running, P2P_STATE_VALUE, P2P_TYPE_f64, mean));
    assert_memory_not_equal(of[0], of[1], sizeof of[0]);
    for (int i = 0; i < FEATURES; i++) assert_true(fabs(mean[i] - (of[0][i] + of[1][i]) / 2) < 1e-15);
    OK(p2p_session_write_running(rig.session, rig.net.g, running, 1, P2P_TYPE_f64, of[0]));
    OK(p2p_session_read(rig.session, rig.net.g, running, P2P_STATE_VALUE, P2P_TYPE_f64, again));
    assert_memory_equal(again, of[0], sizeof again); /* the mean of equal ones is exact */
    assert_int_equal(p2p_session_read_running(rig.session, rig.net.g, running, 2, P2P_TYPE_f64, mean),
                     P2P_INVALID);
    assert_int_equal(p2p_session_write_running(rig.session, rig.net.g, rig.net.e1.w, 1, P2P_TYPE_f64, mean),
                     P2P_INVALID);
    plan_rig_close(&rig);
}

int main(int argc, char **argv) {
    const struct CMUnitTest opencl[] = {cmocka_unit_test(test_opencl)};
    if (argc > 1 && strcmp(argv[1], "opencl") == 0) return cmocka_run_group_tests(opencl, NULL, NULL);
    OK(p2p_module_register(picky_twins_module));
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_equal_one),
                                       cmocka_unit_test(test_uneven_batches),
                                       cmocka_unit_test(test_empty_shares),
                                       cmocka_unit_test(test_one_device_twice),
                                       cmocka_unit_test(test_comparison),
                                       cmocka_unit_test(test_running_statistics),
                                       cmocka_unit_test(test_unsynchronised_differ),
                                       cmocka_unit_test(test_through_host_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
