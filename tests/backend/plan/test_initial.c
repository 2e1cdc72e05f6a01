/* The initial state of a session's networks: every element by the formulas of p2p_philox.h and p2p.h, with
 * any number of threads; zero moments and gradients, also after a training; and no clearing of memory that is
 * zero already. test_op tests the distributions.
 */
#include "device/device.h"
#include "p2p_philox.h"
#include "support/plan_net.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_expect.h"

/* Filters larger than a piece, and larger than what one thread draws at a time. */
static const plan_net shape = {.in = 3, .out = 3, .filters = 64};
static const plan_net_step training = {.dropout = 0.5};

static void open_rig(plan_rig *rig, const p2p_session_options *options) {
    OK(plan_rig_open(rig, "reference", 0, 1, 1, &shape, &training, options));
}

/* ---- Elements ----------------------------------------------------------------------------------------- */

static double *read_param(const plan_rig *rig, const p2p_network *network, int id, p2p_state_part part) {
    const int64_t count = p2p_param_elements(p2p_network_param(network, (p2p_param){id}));
    double *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    OK(p2p_session_read(rig->session, network, (p2p_param){id}, part, P2P_TYPE_f64, values));
    return values;
}

static void expect_drawn(const plan_rig *rig, const p2p_network *network, int id) {
    const p2p_param_info *info = p2p_network_param(network, (p2p_param){id});
    if (info->kind == P2P_PARAM_RUNNING) return;
    char name[256];
    snprintf(name, sizeof name, "%s/%s", p2p_network_name(network), info->name);
    const p2p_draw stream = {.seed = 1, .stream = p2p_name_hash(name)};
    double *values = read_param(rig, network, id, P2P_STATE_VALUE);
    for (int64_t e = 0; e < p2p_param_elements(info); e++) {
        const double expected = info->mean + info->stddev * p2p_draw_normal(&stream, (uint64_t)e);
        if (values[e] != expected)
            fail_msg("element %lld of %s is %.17g, not %.17g", (long long)e, name, values[e], expected);
    }
    free(values);
}

static void expect_all_drawn(const p2p_session_options *options) {
    plan_rig rig;
    open_rig(&rig, options);
    for (int id = 0; id < p2p_network_param_count(rig.net.g); id++) expect_drawn(&rig, rig.net.g, id);
    for (int id = 0; id < p2p_network_param_count(rig.net.d); id++) expect_drawn(&rig, rig.net.d, id);
    plan_rig_close(&rig);
}

static void test_elements_follow_the_formula(void **state) {
    (void)state;
    expect_all_drawn(NULL);
}

static int most_jobs;

static void last_first(p2p_job job, void *context, int count) {
    if (count > most_jobs) most_jobs = count;
    for (int i = count; i-- > 0;) job(context, i);
}

static void test_jobs_come_in_any_order(void **state) {
    (void)state;
    expect_all_drawn(&(p2p_session_options){.parallel = last_first});
    assert_true(most_jobs > 1);
}

/* ---- Resizing filters --------------------------------------------------------------------------------- */

enum { FROM = 40, TO = 64, SMALL = 9, FILTER = 16 };

typedef struct {
    p2p_network *network;
    p2p_device *device;
    p2p_graph *graph;
    p2p_session *session;
} enlarger;

/* A single transposed convolution, initialised. */
static enlarger open_enlarger(const p2p_session_options *options) {
    enlarger e = {.network = p2p_network_create("n"), .graph = p2p_graph_create(1, 1, 1)};
    p2p_plan *plan;
    const p2p_param w = p2p_network_filter_resizing(e.network, "up", FROM, TO, 0.5);
    const p2p_value x = p2p_input(e.graph, "x", P2P_TYPE_f64, FROM, 4, 4);
    p2p_output(e.graph, "y", p2p_conv_transposed(e.graph, x, e.network, w, (p2p_param){-1}, 2, 1),
               P2P_TYPE_f64);
    OK(p2p_device_open("reference", &e.device));
    OK(p2p_session_create(&e.device, 1, options, &e.session));
    OK(p2p_session_plan(e.session, "enlarge", &e.graph, &plan));
    OK(p2p_session_allocate(e.session, NULL, NULL));
    OK(p2p_session_initialise(e.session, e.network, 1));
    return e;
}

static void close_enlarger(enlarger *e) {
    p2p_session_destroy(e->session);
    p2p_device_close(e->device);
    p2p_graph_destroy(e->graph);
    p2p_network_destroy(e->network);
}

/* What the small filter gives a pixel from a constant input reaches it through four elements, whatever the
 * pixel's place: of even or odd rows and columns. */
static void expect_even(const double filter[FILTER], const double small[SMALL]) {
    double sum = 0, part[4] = {0};
    for (int i = 0; i < SMALL; i++) sum += small[i] * 0.5 / 1.5;
    for (int i = 0; i < FILTER; i++) part[i / 4 % 2 * 2 + i % 2] += filter[i];
    for (int i = 0; i < 4; i++) assert_true(fabs(part[i] - sum) < 1e-12);
}

static void expect_resizing(const p2p_session_options *options) {
    static double filters[FROM * TO][FILTER];
    enlarger e = open_enlarger(options);
    const p2p_draw stream = {.seed = 1, .stream = p2p_name_hash("n/up")};
    double squares = 0;
    OK(p2p_session_read(e.session, e.network, (p2p_param){0}, P2P_STATE_VALUE, P2P_TYPE_f64, filters));
    for (uint64_t f = 0; f < FROM * TO; f++) {
        double small[SMALL];
        for (uint64_t i = 0; i < SMALL; i++) small[i] = p2p_draw_normal(&stream, 10 * f + i);
        expect_even(filters[f], small);
        assert_true(fabs(filters[f][0] - small[0] / 3) < 1e-12); /* a corner meets one number */
        assert_true(fabs(filters[f][15] - small[8] / 3) < 1e-12);
        for (int i = 0; i < FILTER; i++) squares += filters[f][i] * filters[f][i];
    }
    assert_true(fabs(sqrt(squares / (FROM * TO * FILTER)) - 0.5) < 0.01);
    close_enlarger(&e);
}

static void test_resizing_filters(void **state) {
    (void)state;
    expect_resizing(NULL);
    expect_resizing(&(p2p_session_options){.parallel = last_first});
}

/* ---- Zeros -------------------------------------------------------------------------------------------- */

static bool all_zero(const plan_rig *rig, const p2p_network *network, p2p_state_part part) {
    bool zero = true;
    for (int id = 0; id < p2p_network_param_count(network); id++) {
        const p2p_param_info *info = p2p_network_param(network, (p2p_param){id});
        if (info->kind == P2P_PARAM_RUNNING) continue;
        double *values = read_param(rig, network, id, part);
        for (int64_t e = 0; e < p2p_param_elements(info); e++) zero = zero && values[e] == 0;
        free(values);
    }
    return zero;
}

static void expect_zeros(const plan_rig *rig, bool zero) {
    for (p2p_state_part part = P2P_STATE_GRADIENT; part <= P2P_STATE_MOMENT2; part++)
        assert_int_equal(all_zero(rig, rig->net.g, part), zero);
}

/* The number of backend calls to initialise the generator again. */
static uint64_t calls_to_initialise(const plan_rig *rig) {
    p2p_fault_inject(0);
    OK(p2p_session_initialise(rig->session, rig->net.g, 1));
    return p2p_fault_inject(0);
}

static void test_a_training_is_forgotten(void **state) {
    (void)state;
    plan_rig rig;
    open_rig(&rig, NULL);
    expect_zeros(&rig, true);
    OK(plan_rig_step(&rig, 0));
    expect_zeros(&rig, false);
    OK(p2p_session_initialise(rig.session, rig.net.g, 1));
    expect_zeros(&rig, true);
    plan_rig_close(&rig);
}

static void test_a_written_moment_is_forgotten(void **state) {
    (void)state;
    plan_rig rig;
    open_rig(&rig, NULL);
    double *values = read_param(&rig, rig.net.g, 0, P2P_STATE_MOMENT1);
    values[0] = 1;
    OK(p2p_session_write(rig.session, rig.net.g, (p2p_param){0}, P2P_STATE_MOMENT1, P2P_TYPE_f64, values));
    free(values);
    assert_false(all_zero(&rig, rig.net.g, P2P_STATE_MOMENT1));
    OK(p2p_session_initialise(rig.session, rig.net.g, 1));
    assert_true(all_zero(&rig, rig.net.g, P2P_STATE_MOMENT1));
    plan_rig_close(&rig);
}

static void test_zeros_are_not_cleared(void **state) {
    (void)state;
    plan_rig rig;
    open_rig(&rig, NULL);
    const uint64_t fresh = calls_to_initialise(&rig);
    OK(plan_rig_step(&rig, 0));
    assert_true(calls_to_initialise(&rig) > fresh);
    plan_rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_follow_the_formula),
        cmocka_unit_test(test_jobs_come_in_any_order),
        cmocka_unit_test(test_resizing_filters),
        cmocka_unit_test(test_a_training_is_forgotten),
        cmocka_unit_test(test_a_written_moment_is_forgotten),
        cmocka_unit_test(test_zeros_are_not_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
