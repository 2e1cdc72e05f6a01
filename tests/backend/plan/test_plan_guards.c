/* Graphs that fusion must not change. They are made node by node, in orders that the graph builder never
 * produces, each for one condition of a fusion rule. The rule must not be applied, and results must be those
 * without fusion.
 */
#include "plan/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "support/test_plan.h"

enum { BATCH = 2, C = 4, SIDE = 4, ELEMENTS = BATCH * C * SIDE * SIDE, MOST_OUTPUTS = 4 };

/* ---- Making graphs by hand ---------------------------------------------------------------------------- */

typedef struct {
    p2p_graph *graph;
    p2p_network *network;
    p2p_param w, bias, scale, shift;
    int x, g; /* two inputs */
    int outputs;
} hand;

static hand hand_create(void) {
    hand h = {.graph = p2p_graph_create(BATCH, BATCH, 1), .network = p2p_network_create("hand")};
    h.w = p2p_network_filter(h.network, "w", C, C, 3, 3, 0, 0.3);
    h.bias = p2p_network_vector(h.network, "bias", C, 0, 1);
    h.scale = p2p_network_vector(h.network, "scale", C, 1, 0.5);
    h.shift = p2p_network_vector(h.network, "shift", C, 0, 0.5);
    h.x = p2p_input(h.graph, "x", P2P_TYPE_f64, C, SIDE, SIDE).id;
    h.g = p2p_input(h.graph, "g", P2P_TYPE_f64, C, SIDE, SIDE).id;
    ir_state_value(h.graph, h.network, h.w.id, P2P_STATE_VALUE); /* adds the network to the session */
    return h;
}

static int activation(const hand *h) {
    return ir_value_like(h->graph, h->x);
}

static int statistics(const hand *h, int64_t groups, int64_t rows) {
    return ir_value_add(
        h->graph, &(ir_value){.role = IR_VECTOR, .origin = IR_LOCAL, .n = groups, .c = rows, .h = 1, .w = C});
}

static int state_of(const hand *h, p2p_param param) {
    return ir_state_value(h->graph, h->network, param.id, P2P_STATE_VALUE);
}

/* Adds a node with its operands in order, 0 for absent ones. */
static ir_node *put(const hand *h, p2p_op op, const int *values, int count) {
    ir_node *node = ir_node_add(h->graph, op.kind);
    assert_non_null(node);
    node->op = op;
    for (int i = 0; i < count; i++) node->value[i] = values[i];
    return node;
}

#define PUT(h, op, ...)                                                                                      \
    put(h, op, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
#define OP(...) ((p2p_op){__VA_ARGS__})

static void show(hand *h, int value) {
    static const char *const names[MOST_OUTPUTS] = {"o0", "o1", "o2", "o3"};
    p2p_output(h->graph, names[h->outputs++], (p2p_value){value}, P2P_TYPE_f64);
}

/* Adds a value of twice the channels, and its two halves as ranges. */
static int put_double(const hand *h, int halves[2]) {
    int whole = ir_value_add(
        h->graph,
        &(ir_value){.role = IR_ACTIVATION, .origin = IR_LOCAL, .n = BATCH, .c = 2 * C, .h = SIDE, .w = SIDE});
    for (int i = 0; i < 2; i++)
        halves[i] = ir_value_add(h->graph, &(ir_value){.role = IR_ACTIVATION,
                                                       .origin = IR_RANGE,
                                                       .n = BATCH,
                                                       .c = C,
                                                       .h = SIDE,
                                                       .w = SIDE,
                                                       .parent = whole,
                                                       .c0 = i * C});
    return whole;
}

static int put_relu(const hand *h, int x) {
    int y = activation(h);
    PUT(h, OP(.kind = P2P_KIND_act_fwd, .act = P2P_ACT_relu), x, y);
    return y;
}

/* to += from */
static void put_addition(const hand *h, int from, int to) {
    PUT(h, OP(.kind = P2P_KIND_axpby, .alpha = 1, .accumulate = 1u << P2P_AT_axpby_y), from, to);
}

static void put_copy(const hand *h, int from, int to) {
    PUT(h, OP(.kind = P2P_KIND_copy), from, to);
}

static int put_conv(const hand *h, int x) {
    int y = activation(h);
    PUT(h,
        OP(.kind = P2P_KIND_conv_fwd, .stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1,
           .pad_right = 1),
        x, state_of(h, h->w), 0, y);
    return y;
}

/* Adds a normalisation of x over groups of `images`. Sets *stats to its statistics. */
static int put_norm(const hand *h, int x, int64_t images, int *stats) {
    *stats = statistics(h, images ? BATCH / images : 1, 3);
    PUT(h, OP(.kind = P2P_KIND_norm_stats, .images = images), x, *stats);
    int y = activation(h);
    PUT(h, OP(.kind = P2P_KIND_norm_apply, .images = images, .eps = 1e-3), x, *stats, state_of(h, h->scale),
        state_of(h, h->shift), 0, 0, y, 0);
    return y;
}

/* Adds the gradient of that normalisation from dy, in two nodes. Returns dx. */
static int put_norm_gradient(const hand *h, int x, int64_t images, int stats, int dy) {
    int sums = statistics(h, images ? BATCH / images : 1, 2), dx = activation(h);
    int scale = state_of(h, h->scale), shift = state_of(h, h->shift);
    PUT(h, OP(.kind = P2P_KIND_norm_bwd_stats, .images = images, .eps = 1e-3), x, stats, scale, shift, dy, 0,
        0, sums, 0, 0);
    PUT(h, OP(.kind = P2P_KIND_norm_bwd_apply, .images = images, .eps = 1e-3), x, stats, scale, shift, dy, 0,
        0, sums, dx, 0, 0);
    return dx;
}

static int put_dropout(const hand *h, int x, int64_t layer) {
    int y = activation(h);
    PUT(h, OP(.kind = P2P_KIND_dropout, .dropout = 0.5, .layer = layer), x, ir_step_value(h->graph), y);
    return y;
}

static int put_relu_gradient(const hand *h, int y, int dy) {
    int dx = activation(h);
    PUT(h, OP(.kind = P2P_KIND_act_bwd, .act = P2P_ACT_relu), y, dy, dx);
    return dx;
}

/* ---- Comparing ---------------------------------------------------------------------------------------- */

static void run(const hand *h, bool fusion, double results[MOST_OUTPUTS][2 * ELEMENTS],
                int fused[PLAN_FUSION_COUNT]) {
    p2p_device *device = NULL;
    p2p_session *session = NULL;
    p2p_plan *plan = NULL;
    p2p_graph *graph = h->graph;
    OK(p2p_device_open("reference:0", &device));
    OK(p2p_session_create(&device, 1, &(p2p_session_options){.no_fusion = !fusion, .check = true}, &session));
    OK(p2p_session_plan(session, "hand", &graph, &plan));
    OK(p2p_session_allocate(session, NULL, NULL));
    OK(p2p_session_initialise(session, h->network, 1));
    double *x = test_plan_input(plan, 0, "x"), *g = test_plan_input(plan, 0, "g");
    for (int i = 0; i < ELEMENTS; i++) {
        x[i] = sin(1 + 3.7 * i);
        g[i] = cos(2 + 1.3 * i);
    }
    OK(p2p_plan_run(plan, &(p2p_step){.learning_rate = 0.1}));
    OK(p2p_plan_wait(plan));
    for (int o = 0; o < h->outputs; o++) OK(p2p_plan_output(plan, 0, h->graph->outputs[o].name, results[o]));
    for (int i = 0; i < PLAN_FUSION_COUNT; i++) fused[i] = plan->parts[0].fused[i];
    p2p_session_destroy(session);
    p2p_device_close(device);
}

/* Checks that the rule is applied `times` times, and that results are equal with and without it. */
static void expect(hand *h, plan_fusion rule, int times) {
    static double with[MOST_OUTPUTS][2 * ELEMENTS], without[MOST_OUTPUTS][2 * ELEMENTS];
    int fused[PLAN_FUSION_COUNT], none[PLAN_FUSION_COUNT];
    OK(p2p_graph_status(h->graph));
    run(h, true, with, fused);
    run(h, false, without, none);
    for (int o = 0; o < h->outputs; o++)
        for (int i = 0; i < ELEMENTS; i++)
            if (!(fabs(with[o][i] - without[o][i]) < 1e-12))
                fail_msg("output %d, element %d: %g instead of %g", o, i, with[o][i], without[o][i]);
    assert_int_equal(fused[rule], times);
    p2p_graph_destroy(h->graph);
    p2p_network_destroy(h->network);
}

/* ---- Cases -------------------------------------------------------------------------------------------- */

static void test_result_read_before_bias(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        hand h = hand_create();
        int y = put_conv(&h, h.x);
        if (early) show(&h, put_relu(&h, y));
        put_addition(&h, state_of(&h, h.bias), y);
        show(&h, put_relu(&h, y));
        expect(&h, PLAN_FUSED_bias, !early);
    }
}

static void test_value_changed_after_its_copy(void **state) {
    (void)state;
    for (int late = 0; late < 2; late++) {
        hand h = hand_create();
        int halves[2], whole = put_double(&h, halves), a = put_relu(&h, h.x);
        if (!late) put_addition(&h, h.g, a);
        put_copy(&h, a, halves[0]);
        put_copy(&h, h.g, halves[1]);
        if (late) put_addition(&h, h.g, a);
        show(&h, put_relu(&h, a));
        show(&h, whole);
        expect(&h, PLAN_FUSED_elide, !late);
    }
}

/* A range written twice: the first copy's value must not become the range. */
static void test_range_written_again(void **state) {
    (void)state;
    hand h = hand_create();
    int halves[2], whole = put_double(&h, halves), a = put_relu(&h, h.x), b = put_relu(&h, h.g);
    put_copy(&h, a, halves[0]);
    put_copy(&h, h.g, halves[1]);
    int first = put_relu(&h, halves[0]);
    put_copy(&h, b, halves[0]);
    show(&h, put_relu(&h, a));
    show(&h, first);
    show(&h, whole);
    expect(&h, PLAN_FUSED_elide, 0);
}

static void test_view_changed_under_a_reader(void **state) {
    (void)state;
    for (int again = 0; again < 2; again++) {
        hand h = hand_create();
        int halves[2];
        put_double(&h, halves);
        for (int i = 0; i < 2; i++) put_copy(&h, h.g, halves[i]);
        int view = activation(&h);
        put_copy(&h, halves[0], view);
        put_addition(&h, h.x, view);
        if (again) show(&h, put_relu(&h, halves[0]));
        show(&h, put_relu(&h, view));
        expect(&h, PLAN_FUSED_elide_bwd, !again);
    }
}

/* norm, dropout, relu and their gradients, with the mask of another layer in the gradient. */
static void test_another_dropout(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        hand h = hand_create();
        int stats = 0, z = put_norm(&h, h.x, 0, &stats);
        int y = put_relu(&h, put_dropout(&h, z, 5));
        int d = put_dropout(&h, put_relu_gradient(&h, y, h.g), other ? 6 : 5);
        show(&h, put_norm_gradient(&h, h.x, 0, stats, d));
        show(&h, y);
        expect(&h, PLAN_FUSED_act_norm_bwd, !other);
    }
}

/* The gradient belongs to a normalisation of the same input with other statistics. */
static void test_another_normalisation(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        hand h = hand_create();
        int stats[2], z = put_norm(&h, h.x, 0, &stats[0]), z1 = put_norm(&h, h.x, 1, &stats[1]);
        int y = put_relu(&h, z), d = put_relu_gradient(&h, y, h.g);
        show(&h, put_norm_gradient(&h, h.x, other, stats[other], d));
        show(&h, z1);
        show(&h, y);
        expect(&h, PLAN_FUSED_act_norm_bwd, !other);
    }
}

static void put_update(const hand *h) {
    p2p_graph *graph = h->graph;
    PUT(h, OP(.kind = P2P_KIND_axpby, .alpha = 1), state_of(h, h->bias),
        ir_state_value(graph, h->network, h->shift.id, P2P_STATE_GRADIENT));
    PUT(h, OP(.kind = P2P_KIND_adam, .beta1 = 0.5, .beta2 = 0.9, .eps = 1e-8),
        ir_arena_value(graph, h->network, P2P_STATE_VALUE),
        ir_arena_value(graph, h->network, P2P_STATE_GRADIENT),
        ir_arena_value(graph, h->network, P2P_STATE_MOMENT1),
        ir_arena_value(graph, h->network, P2P_STATE_MOMENT2), ir_step_value(graph));
}

/* The parameters change between the forward and the backward nodes, so that results cannot be recomputed. */
static void test_parameters_changed_between(void **state) {
    (void)state;
    enum { NOTHING, ALL, SCALE, SHIFT, CHANGES };
    for (int change = NOTHING; change < CHANGES; change++) {
        hand h = hand_create();
        int stats = 0, z = put_norm(&h, h.x, 0, &stats), y = put_relu(&h, z);
        if (change == ALL) put_update(&h);
        if (change >= SCALE)
            PUT(&h, OP(.kind = P2P_KIND_axpby, .alpha = -2), state_of(&h, h.bias),
                state_of(&h, change == SCALE ? h.scale : h.shift));
        int d = put_relu_gradient(&h, y, h.g);
        show(&h, put_norm_gradient(&h, h.x, 0, stats, d));
        show(&h, y);
        expect(&h, PLAN_FUSED_act_norm_bwd, change == NOTHING);
    }
}

/* The gradient of the normalisation's result has another reader. */
static void test_gradient_read_elsewhere(void **state) {
    (void)state;
    enum { NOWHERE, BEFORE, AFTER, PLACES };
    for (int read = NOWHERE; read < PLACES; read++) {
        hand h = hand_create();
        int stats = 0, z = put_norm(&h, h.x, 0, &stats), y = put_relu(&h, z);
        int d = put_relu_gradient(&h, y, h.g);
        if (read == BEFORE) show(&h, put_relu(&h, d));
        show(&h, put_norm_gradient(&h, h.x, 0, stats, d));
        if (read == AFTER) show(&h, put_relu(&h, d));
        show(&h, y);
        expect(&h, PLAN_FUSED_act_norm_bwd, read == NOWHERE);
    }
}

/* The incoming gradient is overwritten before the normalisation's own gradient would read it. */
static void test_gradient_changed_before_use(void **state) {
    (void)state;
    hand h = hand_create();
    int stats = 0, z = put_norm(&h, h.x, 0, &stats), y = put_relu(&h, z), dy = put_relu(&h, h.g);
    int d = put_relu_gradient(&h, y, dy);
    put_addition(&h, h.x, dy);
    show(&h, put_norm_gradient(&h, h.x, 0, stats, d));
    show(&h, put_relu(&h, dy));
    show(&h, y);
    expect(&h, PLAN_FUSED_act_norm_bwd, 0);
}

/* Statistics with a second reader, which merging would remove, or of another input. */
static void test_statistics_of_another_input(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        hand h = hand_create();
        int stats = statistics(&h, 1, 3), y = activation(&h);
        PUT(&h, OP(.kind = P2P_KIND_norm_stats), other ? h.g : h.x, stats);
        PUT(&h, OP(.kind = P2P_KIND_norm_apply, .eps = 1e-3), h.x, stats, state_of(&h, h.scale),
            state_of(&h, h.shift), 0, 0, y, 0);
        show(&h, y);
        expect(&h, PLAN_FUSED_merge, !other);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_result_read_before_bias),
                                       cmocka_unit_test(test_value_changed_after_its_copy),
                                       cmocka_unit_test(test_range_written_again),
                                       cmocka_unit_test(test_view_changed_under_a_reader),
                                       cmocka_unit_test(test_another_dropout),
                                       cmocka_unit_test(test_another_normalisation),
                                       cmocka_unit_test(test_parameters_changed_between),
                                       cmocka_unit_test(test_gradient_read_elsewhere),
                                       cmocka_unit_test(test_gradient_changed_before_use),
                                       cmocka_unit_test(test_statistics_of_another_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
