/* Fusion on random graphs: from a seed, a network of convolutions, normalisations, activations, dropouts,
 * concatenations and detached readers, with random results as outputs. Losses, outputs, gradients and running
 * statistics must be the same with all fusions as with none.
 *
 * With the argument "reference" the comparison is in double precision, also on a device with blocks and
 * derived filters and on one that refuses fusions. Any other address compares that device with itself (equal
 * bits without sharing of memory and in check mode) and with the reference. A failure prints the seed. A
 * first seed and a count are optional arguments.
 */
#include "p2p_philox.h"
#include "plan/session.h"
#include "support/picky_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_plan.h"

enum {
    BATCH = 2,
    SIDE = 5,
    MOST_STEPS = 20,
    MOST_VALUES = 2 + 4 * MOST_STEPS,
    MOST_OUTPUTS = 4,
    MOST_CHANNELS = 40,
    MOST_LOSSES = MOST_VALUES
};

static int fused[PLAN_FUSION_COUNT]; /* in all plans so far */
static const char *address_now;
static unsigned first_seed = 1, seed_count, seed_now;

/* ---- Drawing a graph ---------------------------------------------------------------------------------- */

typedef struct {
    p2p_draw draw;
    uint64_t index;
    p2p_graph *graph;
    p2p_network *network;
    p2p_value values[MOST_VALUES];
    bool read[MOST_VALUES]; /* by a node through which gradients pass */
    int count, params, losses, outputs;
    p2p_value loss[MOST_LOSSES];
} drawing;

static int pick(drawing *d, int bound) {
    return (int)p2p_draw_below(&d->draw, d->index++, (uint32_t)bound);
}

static int64_t channels(const drawing *d, p2p_value value) {
    int64_t extents[4];
    p2p_value_shape(d->graph, value, extents);
    return extents[1];
}

static const char *param_name(drawing *d, char name[32]) {
    snprintf(name, 32, "p%d", d->params++);
    return name;
}

static p2p_param vector(drawing *d, int64_t c, double mean) {
    char name[32];
    return p2p_network_vector(d->network, param_name(d, name), c, mean, 0.3);
}

static p2p_value draw_conv(drawing *d, p2p_value x) {
    char name[32];
    int64_t from = channels(d, x), to = 1 + pick(d, 6);
    bool transposed = pick(d, 2);
    p2p_param w = transposed ? p2p_network_filter(d->network, param_name(d, name), from, to, 3, 3, 0, 0.3)
                             : p2p_network_filter(d->network, param_name(d, name), to, from, 3, 3, 0, 0.3);
    p2p_param bias = pick(d, 2) ? vector(d, to, 0) : (p2p_param){-1};
    return transposed ? p2p_conv_transposed(d->graph, x, d->network, w, bias, 1, 1)
                      : p2p_conv(d->graph, x, d->network, w, bias, 1, 1);
}

static p2p_value draw_norm(drawing *d, p2p_value x) {
    char name[32];
    int64_t c = channels(d, x);
    p2p_norm_options options = {.over = pick(d, 3) ? P2P_STATS_BATCH : P2P_STATS_IMAGE,
                                .update_running = pick(d, 2),
                                .eps = 1e-3,
                                .momentum = 0.1};
    p2p_param scale = vector(d, c, 1), shift = vector(d, c, 0);
    p2p_param running =
        options.update_running ? p2p_network_running(d->network, param_name(d, name), c) : (p2p_param){-1};
    return p2p_norm(d->graph, x, d->network, scale, shift, running, &options);
}

static p2p_value draw_activation(drawing *d, p2p_value x) {
    static const p2p_act acts[] = {P2P_ACT_relu, P2P_ACT_lrelu, P2P_ACT_lrelu, P2P_ACT_tanh};
    p2p_act act = acts[pick(d, 4)];
    return p2p_activation(d->graph, x, act, act == P2P_ACT_lrelu ? 0.2 : 0);
}

static void add(drawing *d, p2p_value value) {
    d->values[d->count++] = value;
}

/* Chooses a value: mostly the last one, so that chains grow, sometimes any, so that results are shared. */
static int choose(drawing *d) {
    return pick(d, 3) ? d->count - 1 : pick(d, d->count);
}

/* Concatenates a value with any other, unless the result would be too large. */
static void draw_concat(drawing *d, int at) {
    int other = pick(d, d->count);
    if (channels(d, d->values[at]) + channels(d, d->values[other]) > MOST_CHANNELS) return;
    d->read[at] = d->read[other] = true;
    add(d, p2p_concat(d->graph, d->values[at], d->values[other]));
}

/* A result, normalised or not, that two activations read, as in the encoder of a U-Net. */
static void draw_pair(drawing *d, p2p_value x) {
    if (pick(d, 2)) {
        add(d, draw_norm(d, x));
        x = d->values[d->count - 1];
        d->read[d->count - 1] = true;
    }
    if (pick(d, 3) == 0) {
        add(d, p2p_dropout(d->graph, x, 0.25, "pair"));
        x = d->values[d->count - 1];
        d->read[d->count - 1] = true;
    }
    add(d, p2p_activation(d->graph, x, P2P_ACT_lrelu, 0.2));
    add(d, p2p_activation(d->graph, x, P2P_ACT_relu, 0));
}

static void draw_output(drawing *d) {
    char name[32];
    snprintf(name, sizeof name, "o%d", d->outputs++);
    p2p_output(d->graph, name, d->values[pick(d, d->count)], P2P_TYPE_f64);
}

static void draw_step(drawing *d) {
    int at = choose(d), kind = pick(d, 14);
    p2p_value x = d->values[at];
    char layer[32];
    snprintf(layer, sizeof layer, "dropout%d", d->count);
    if (kind < 9 || kind > 11) d->read[at] = true;
    if (kind < 3) {
        add(d, draw_conv(d, x));
    } else if (kind < 5) {
        add(d, draw_norm(d, x));
    } else if (kind < 8) {
        add(d, draw_activation(d, x));
    } else if (kind < 9) {
        add(d, p2p_dropout(d->graph, x, 0.5, layer));
    } else if (kind < 11) {
        draw_concat(d, at);
    } else if (kind > 11) {
        draw_pair(d, x);
    } else { /* a detached reader, followed by a layer with parameters */
        add(d, draw_conv(d, p2p_detach(d->graph, x)));
    }
    if (d->outputs < MOST_OUTPUTS && pick(d, 6) == 0) draw_output(d);
}

static void draw_losses(drawing *d) {
    for (int i = 0; i < d->count; i++) {
        if (d->read[i] && pick(d, 8)) continue;
        char name[32];
        snprintf(name, sizeof name, "l%d", d->losses);
        d->loss[d->losses++] = p2p_loss_bce(d->graph, d->values[i], pick(d, 2), 1, name);
    }
}

static drawing draw_graph(unsigned seed) {
    drawing d = {.draw = {.seed = seed, .stream = p2p_name_hash("graph")}};
    d.graph = p2p_graph_create(BATCH, BATCH, 1);
    d.network = p2p_network_create("random");
    p2p_value x = p2p_input(d.graph, "x", P2P_TYPE_f64, 4, SIDE, SIDE);
    d.read[0] = true;
    add(&d, x);
    add(&d, draw_conv(&d, x)); /* gradients need a parameter before all other nodes */
    d.values[0] = d.values[1];
    d.count = 1;
    d.read[0] = false;
    int steps = 4 + pick(&d, MOST_STEPS - 3);
    for (int i = 0; i < steps; i++) draw_step(&d);
    draw_losses(&d);
    p2p_backward(d.graph, d.loss, d.losses, d.network, NULL, 0, NULL);
    return d;
}

/* ---- Running it --------------------------------------------------------------------------------------- */

typedef struct {
    double *numbers;
    int64_t count, capacity;
} results;

static double *append(results *r, int64_t count) {
    if (r->count + count > r->capacity) {
        r->capacity = 2 * (r->count + count);
        r->numbers = realloc(r->numbers, (size_t)r->capacity * sizeof(double));
        assert_non_null(r->numbers);
    }
    r->count += count;
    return r->numbers + r->count - count;
}

static void collect(const drawing *d, p2p_session *session, p2p_plan *plan, results *r) {
    for (int i = 0; i < d->graph->output_count; i++) {
        const ir_output *output = &d->graph->outputs[i];
        const ir_value *value = &d->graph->values[output->value];
        if (output->loss) {
            OK(p2p_plan_loss(plan, output->name, append(r, 1)));
        } else {
            OK(p2p_plan_output(plan, 0, output->name, append(r, value->n * value->c * value->h * value->w)));
        }
    }
    for (int i = 0; i < p2p_network_param_count(d->network); i++) {
        const p2p_param_info *info = p2p_network_param(d->network, (p2p_param){i});
        p2p_state_part part = info->kind == P2P_PARAM_RUNNING ? P2P_STATE_VALUE : P2P_STATE_GRADIENT;
        OK(p2p_session_read(session, d->network, (p2p_param){i}, part, P2P_TYPE_f64,
                            append(r, p2p_param_elements(info))));
    }
}

static results run(const drawing *d, const char *address, const p2p_session_options *options) {
    results r = {NULL, 0, 0};
    p2p_device *device = NULL;
    p2p_session *session = NULL;
    p2p_plan *plan = NULL;
    p2p_graph *graph = d->graph;
    OK(p2p_device_open(address, &device));
    OK(p2p_session_create(&device, 1, options, &session));
    OK(p2p_session_plan(session, "random", &graph, &plan));
    for (int i = 0; i < PLAN_FUSION_COUNT; i++) fused[i] += plan->parts[0].fused[i];
    OK(p2p_session_allocate(session, NULL, NULL));
    OK(p2p_session_initialise(session, d->network, 3));
    for (uint32_t step = 0; step < 2; step++) { /* the second run uses memory that the first has written */
        double *x = test_plan_input(plan, 0, "x");
        const p2p_draw draw = {.seed = 5, .stream = p2p_name_hash("x"), .epoch = step};
        for (uint64_t i = 0; i < BATCH * 4 * SIDE * SIDE; i++) x[i] = p2p_draw_normal(&draw, i);
        OK(p2p_plan_run(plan, &(p2p_step){.seed = 9, .step = step}));
        OK(p2p_plan_wait(plan));
    }
    collect(d, session, plan, &r);
    p2p_session_destroy(session);
    p2p_device_close(device);
    return r;
}

/* Rounding, amplified by the depth of the network and by division by small deviations. */
static const double tolerance_f64 = 1e-9, tolerance_f32 = 2e-4;

static void expect_same(const char *what, const results *a, const results *b, double tolerance) {
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) {
        double error = a->numbers[i] - b->numbers[i], size = b->numbers[i];
        error = error < 0 ? -error : error;
        size = size < 0 ? -size : size;
        if (!(error <= tolerance * (1 + size)))
            fail_msg("seed %u, %s: number %lld is %.17g instead of %.17g", seed_now, what, (long long)i,
                     a->numbers[i], b->numbers[i]);
    }
}

static void compare(const drawing *d, const char *what, const char *address,
                    const p2p_session_options *options, const results *expected, double tolerance) {
    results r = run(d, address, options);
    expect_same(what, &r, expected, tolerance);
    free(r.numbers);
}

static void compare_in_double(const drawing *d) {
    results plain = run(d, "reference:0", &(p2p_session_options){.no_fusion = true, .no_sharing = true});
    compare(d, "joined", "reference:0", NULL, &plain, tolerance_f64);
    compare(d, "joined and checked", "reference:0", &(p2p_session_options){.check = true}, &plain,
            tolerance_f64);
    compare(d, "blocked", "picky:0", &(p2p_session_options){.check = true}, &plain, tolerance_f64);
    compare(d, "refused", "picky:1", NULL, &plain, tolerance_f64);
    free(plain.numbers);
}

static void compare_device(const drawing *d) {
    results joined = run(d, address_now, NULL);
    compare(d, "without sharing", address_now, &(p2p_session_options){.no_sharing = true}, &joined, 0);
    compare(d, "checked", address_now, &(p2p_session_options){.check = true}, &joined, 0);
    compare(d, "plain", address_now, &(p2p_session_options){.no_fusion = true}, &joined, tolerance_f32);
    compare(d, "the reference", "reference:0", NULL, &joined, tolerance_f32);
    free(joined.numbers);
}

/* Checks that every fusion rule was applied in at least one graph. */
static void expect_every_rule(void) {
    for (int i = 0; i < PLAN_FUSION_COUNT; i++)
        if (fused[i] < 10) fail_msg("rule %d of fusion was met %d times only", i, fused[i]);
}

static void test_random_graphs(void **state) {
    (void)state;
    bool in_double = strcmp(address_now, "reference") == 0;
    for (seed_now = first_seed; seed_now < first_seed + seed_count; seed_now++) {
        drawing d = draw_graph(seed_now);
        OK(p2p_graph_status(d.graph));
        if (in_double) {
            compare_in_double(&d);
        } else {
            compare_device(&d);
        }
        p2p_graph_destroy(d.graph);
        p2p_network_destroy(d.network);
    }
    if (in_double && seed_count >= 100) expect_every_rule();
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s ADDRESS [FIRST-SEED [COUNT]]\n", argv[0]);
        return 2;
    }
    address_now = argv[1];
    seed_count = strcmp(address_now, "reference") == 0 ? 150 : 3; /* each shape compiles kernels */
    if (argc > 2) first_seed = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3) seed_count = (unsigned)strtoul(argv[3], NULL, 10);
    if (p2p_module_register(picky_module) != P2P_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
