/* Training steps of pix2pix whose batch is shared: by replicas with statistics over all of them, which
 * compute what one device with the whole batch does, and by parts that one device computes one after the
 * other, which compute what replicas do. Last batches are uneven, or smaller than the number of shares.
 *
 *     test_shares reference|opencl     opencl: on its devices, of which there are at least four
 *
 * Prints the greatest difference of each case; train/NOTES.md has them.
 */
#include "pix2pix.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { SIDE = 16, MOST_SHARES = 4, STEPS = 5, LOSSES = 4, PIXELS = SIDE * SIDE * 3 };

static const char *const loss_names[LOSSES] = {"d_fake", "d_real", "g_gan", "g_l1"};
static const char *backend;

typedef struct {
    int replicas, parts, steps;
    int64_t batch; /* of all */
    bool sync;
    nn_norm_kind norm;
    pix2pix_d_order order;
} sharing;

/* What a training has computed: losses of its steps and, of both networks, all parameters but running
 * statistics and those without a gradient, after the first step and after the last. */
typedef struct {
    int steps;
    double losses[STEPS][LOSSES];
    double *first, *last;
    int64_t count;
} result;

typedef struct {
    pix2pix *model;
    p2p_device *devices[MOST_SHARES];
    p2p_graph *graphs[MOST_SHARES];
    p2p_session *session;
    p2p_plan *plan;
} rig;

static void open_rig(rig *r, const sharing *how) {
    pix2pix_config config = pix2pix_config_default();
    config.height = config.width = SIDE;
    config.depth = 3;
    config.ngf = config.ndf = 4;
    config.discriminator_layers = 1;
    config.dropout_blocks = GENERATOR_DROPOUT_innermost;
    config.norm = how->norm;
    config.sync_norm = how->sync;
    config.d_order = how->order;
    *r = (rig){0};
    OK(pix2pix_create(&r->model, &config));
    for (int i = 0; i < how->replicas; i++) {
        char address[32];
        pix2pix_graph_options options = pix2pix_graph_options_for(r->model, how->batch);
        snprintf(address, sizeof address, "%s:%d", backend, i);
        OK(p2p_device_open(address, &r->devices[i]));
        options.local_batch = pix2pix_share(how->batch, how->replicas, i);
        options.world = how->replicas;
        options.parts = how->parts;
        OK(pix2pix_graph_train(r->model, &options, &r->graphs[i]));
    }
    OK(p2p_session_create(r->devices, how->replicas, NULL, &r->session));
    OK(p2p_session_plan(r->session, "step", r->graphs, &r->plan));
    OK(p2p_session_allocate(r->session, NULL, NULL));
    OK(p2p_session_initialise(r->session, r->model->generator.network, 1));
    OK(p2p_session_initialise(r->session, r->model->discriminator.network, 1));
    OK(p2p_session_broadcast(r->session));
}

static void close_rig(rig *r) {
    p2p_session_destroy(r->session);
    for (int i = 0; i < MOST_SHARES; i++) {
        p2p_graph_destroy(r->graphs[i]);
        p2p_device_close(r->devices[i]);
    }
    pix2pix_destroy(r->model);
}

/* Smooth pictures, different for each pair and step. */
static void draw(uint8_t *pixels, int64_t pair, int step) {
    for (int i = 0; i < PIXELS; i++)
        pixels[i] = (uint8_t)((i / 3 % SIDE * (7 + pair) + i / 3 / SIDE * (11 + step) + i % 3 * 50) % 256);
}

static void run_step(rig *r, const sharing *how, int number, double losses[LOSSES]) {
    uint8_t *pixels = malloc((size_t)how->batch * 2 * PIXELS);
    uint32_t samples[16];
    assert_non_null(pixels);
    for (int64_t i = 0; i < how->batch; i++) {
        draw(pixels + i * PIXELS, i, number);
        draw(pixels + (how->batch + i) * PIXELS, i + 100, number);
        samples[i] = (uint32_t)(100 * number + i);
    }
    for (int i = 0; i < how->replicas; i++) {
        const int64_t first = pix2pix_share_first(how->batch, how->replicas, i);
        if (pix2pix_share(how->batch, how->replicas, i) == 0) continue;
        OK(p2p_plan_input_from(r->plan, i, "input", pixels + first * PIXELS));
        OK(p2p_plan_input_from(r->plan, i, "target", pixels + (how->batch + first) * PIXELS));
    }
    OK(p2p_plan_run(
        r->plan,
        &(p2p_step){.seed = 5, .step = (uint32_t)number, .learning_rate = 2e-4, .samples = samples}));
    OK(p2p_plan_wait(r->plan));
    for (int l = 0; l < LOSSES; l++) OK(p2p_plan_loss(r->plan, loss_names[l], &losses[l]));
    free(pixels);
}

static bool is_reference(void) {
    return strcmp(backend, "reference") == 0;
}

/* Instance normalisation removes a bias before it, so the true gradient is 0. In float32 it is a rounding
 * error, from which Adam makes a step of up to the learning rate. */
static bool lacks_gradient(const sharing *how, const char *name) {
    static const char *const biases[] = {"model.model.1.model.1.bias", "model.model.1.model.3.model.3.bias",
                                         "model.model.1.model.5.bias", "model.2.bias"};
    for (int i = 0; i < 4; i++)
        if (how->norm == NN_NORM_instance && !is_reference() && strcmp(name, biases[i]) == 0) return true;
    return false;
}

static double *read_parameters(rig *r, const sharing *how, int64_t *count) {
    p2p_network *const networks[] = {r->model->generator.network, r->model->discriminator.network};
    const int64_t most = pix2pix_parameters(networks[0]) + pix2pix_parameters(networks[1]);
    double *values = malloc((size_t)most * sizeof *values), *at = values;
    assert_non_null(values);
    for (int n = 0; n < 2; n++)
        for (int p = 0; p < p2p_network_param_count(networks[n]); p++) {
            const p2p_param_info *info = p2p_network_param(networks[n], (p2p_param){p});
            if (info->kind == P2P_PARAM_RUNNING || lacks_gradient(how, info->name)) continue;
            OK(p2p_session_read(r->session, networks[n], (p2p_param){p}, P2P_STATE_VALUE, P2P_TYPE_f64, at));
            at += p2p_param_elements(info);
        }
    *count = at - values;
    return values;
}

static result train(const sharing *how) {
    rig r;
    result made = {.steps = how->steps};
    open_rig(&r, how);
    for (int step = 0; step < how->steps; step++) {
        run_step(&r, how, step, made.losses[step]);
        if (step == 0) made.first = read_parameters(&r, how, &made.count);
    }
    made.last = read_parameters(&r, how, &made.count);
    close_rig(&r);
    return made;
}

/* The largest difference, relative to values above 1. */
static double distance(const double *a, const double *b, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(a[i] - b[i]) / fmax(1, fabs(b[i])));
    return most;
}

static void expect_near(const sharing *left, const sharing *right, int steps, double found, double bound) {
    if (!(found <= bound))
        fail_msg("%d replicas with %d parts and %d with %d, batch %d: %g after %d steps, not %g",
                 left->replicas, left->parts, right->replicas, right->parts, (int)left->batch, found, steps,
                 bound);
}

static const char *describe(const sharing *how, char text[64]) {
    snprintf(text, 64, "%d x %d%s", how->replicas, how->parts > 1 ? how->parts : 1, how->sync ? " sync" : "");
    return text;
}

/* What is compared, the batch, and the greatest differences of losses and weights after the first step and
 * after all. */
static void print_row(const sharing *left, const sharing *right, const result *a, const result *b) {
    char of[2][64];
    const double *losses = &a->losses[0][0], *others = &b->losses[0][0];
    printf("| %s | %s | %d | %.1e | %.1e | %.1e | %.1e |\n", describe(left, of[0]), describe(right, of[1]),
           (int)left->batch, distance(losses, others, LOSSES), distance(a->first, b->first, a->count),
           distance(losses, others, (int64_t)a->steps * LOSSES), distance(a->last, b->last, a->count));
}

static void expect_equal(const sharing *left, const sharing *right, double first_bound, double bound) {
    result a = train(left), b = train(right);
    const double *losses = &a.losses[0][0], *others = &b.losses[0][0];
    print_row(left, right, &a, &b);
    expect_near(left, right, 1, distance(a.first, b.first, a.count), first_bound);
    expect_near(left, right, 1, distance(losses, others, LOSSES), first_bound);
    expect_near(left, right, a.steps, distance(a.last, b.last, a.count), bound);
    expect_near(left, right, a.steps, distance(losses, others, (int64_t)a.steps * LOSSES), bound);
    free(a.first);
    free(a.last);
    free(b.first);
    free(b.last);
}

/* The bounds of one step and of all. */
static void expect_same(const sharing *left, const sharing *right) {
    expect_equal(left, right, is_reference() ? 1e-9 : 1e-5, is_reference() ? 1e-9 : 1e-3);
}

/* A batch of 2 for each and one more, and one less than there are replicas; on the reference also one of 2
 * each. */
static void compare_replicas(pix2pix_d_order order, int replicas) {
    const int64_t batches[] = {2 * replicas + 1, replicas - 1, 2 * replicas};
    for (int i = 0; i < (is_reference() ? 3 : 2); i++) {
        const sharing many = {
            .replicas = replicas, .batch = batches[i], .steps = STEPS, .sync = true, .order = order};
        sharing one = many;
        one.replicas = 1;
        expect_same(&many, &one);
    }
}

static void test_replicas_equal_one(void **state) {
    (void)state;
    for (int replicas = 2; replicas <= MOST_SHARES; replicas++)
        compare_replicas(replicas == 3 ? PIX2PIX_D_simultaneous : PIX2PIX_D_first, replicas);
}

/* Without reduced statistics each replica, and each part, has its own. */
static void test_parts_equal_replicas(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++)
        for (int64_t batch = 2; batch <= 7; batch++) {
            const sharing replicas = {
                .replicas = 3, .batch = batch, .steps = 3, .order = (pix2pix_d_order)order};
            sharing parts = replicas;
            parts.replicas = 1;
            parts.parts = 3;
            if (is_reference() || batch == 5) expect_same(&parts, &replicas);
        }
}

/* Normalisation by each picture's own statistics does not depend on the division. */
static void test_parts_equal_whole(void **state) {
    (void)state;
    const sharing whole = {.replicas = 1, .batch = 7, .steps = 3, .norm = NN_NORM_instance};
    sharing parts = whole;
    for (parts.parts = 2; parts.parts <= 8; parts.parts += 2)
        if (is_reference() || parts.parts == 4) expect_same(&parts, &whole);
    parts.replicas = 2; /* each divides its share */
    parts.parts = 2;
    expect_same(&parts, &whole);
}

static void test_shares(void **state) {
    (void)state;
    for (int64_t images = 0; images < 20; images++)
        for (int shares = 1; shares < 7; shares++) {
            int64_t first = 0, before = images;
            for (int i = 0; i < shares; i++) {
                const int64_t share = pix2pix_share(images, shares, i);
                assert_true(share <= before && share >= images / shares);
                assert_int_equal(pix2pix_share_first(images, shares, i), first);
                first += share;
                before = share;
            }
            assert_int_equal(first, images);
        }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s reference|opencl\n", argv[0]);
        return 2;
    }
    backend = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares), cmocka_unit_test(test_replicas_equal_one),
        cmocka_unit_test(test_parts_equal_replicas), cmocka_unit_test(test_parts_equal_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
