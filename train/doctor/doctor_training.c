/* See doctor_training.h. */
#include "doctor_training.h"

#include "bench/bench_noise.h"
#include "host/sys.h"
#include "pix2pix.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { SIDE = 32, FILTERS = 8, BATCH = 2, STEPS = 3, LOSSES = 4 };

static const char *const loss_names[LOSSES] = {"d_fake", "d_real", "g_gan", "g_l1"};

typedef struct {
    double loss[STEPS][LOSSES];
} history;

static p2p_status fill(p2p_plan *plan, const char *name, uint32_t seed) {
    void *input;
    P2P_TRY(p2p_plan_input(plan, 0, name, &input));
    bench_noise(input, (size_t)BATCH * SIDE * SIDE * 3, seed);
    return P2P_OK;
}

static p2p_status run_step(p2p_plan *plan, int number, history *seen) {
    const p2p_step step = {.seed = 1, .step = (uint32_t)number, .learning_rate = 2e-4};
    P2P_TRY(fill(plan, "input", (uint32_t)number + 1));
    P2P_TRY(fill(plan, "target", (uint32_t)number + 1001));
    P2P_TRY(p2p_plan_run(plan, &step));
    P2P_TRY(p2p_plan_wait(plan));
    for (int i = 0; i < LOSSES; i++) P2P_TRY(p2p_plan_loss(plan, loss_names[i], &seen->loss[number][i]));
    return P2P_OK;
}

static p2p_status run_steps(p2p_session *session, const pix2pix *model, p2p_graph *graph, history *seen) {
    p2p_plan *plan;
    P2P_TRY(p2p_session_plan(session, "training step", &graph, &plan));
    P2P_TRY(p2p_session_allocate(session, NULL, NULL));
    P2P_TRY(p2p_session_initialise(session, model->generator.network, 1));
    P2P_TRY(p2p_session_initialise(session, model->discriminator.network, 2));
    for (int i = 0; i < STEPS; i++) P2P_TRY(run_step(plan, i, seen));
    return P2P_OK;
}

static p2p_status train(p2p_device *device, p2p_precision precision, const pix2pix *model, p2p_graph *graph,
                        history *seen) {
    const p2p_session_options options = {
        .precision = precision, .parallel = sys_parallel, .tuning = {.clock = sys_clock}};
    p2p_session *session = NULL;
    p2p_status status = p2p_session_create(&device, 1, &options, &session);
    if (status == P2P_OK) status = run_steps(session, model, graph, seen);
    p2p_session_destroy(session);
    return status;
}

static p2p_status train_on_reference(const pix2pix *model, p2p_graph *graph, history *seen) {
    p2p_device *reference;
    P2P_TRY(p2p_device_open("reference:0", &reference));
    const p2p_status status = train(reference, P2P_PRECISION_fp32, model, graph, seen);
    p2p_device_close(reference);
    return status;
}

/* Many times the differences of devices that are right, and a small part of what a wrong gradient changes. */
static double tolerance(p2p_precision precision) {
    return precision == P2P_PRECISION_fp32 ? 1e-3 : 0.1;
}

static p2p_status compare(const history *got, const history *truth, p2p_precision precision) {
    for (int s = 0; s < STEPS; s++) {
        for (int i = 0; i < LOSSES; i++) {
            const double a = got->loss[s][i], b = truth->loss[s][i];
            if (!(fabs(a - b) <= tolerance(precision) * fabs(b)))
                return p2p_fail(P2P_FAILED, "the loss %s of step %d is %.6g, and %.6g on the reference",
                                loss_names[i], s + 1, a, b);
        }
    }
    return P2P_OK;
}

static p2p_status check(p2p_device *device, p2p_precision precision, const pix2pix *model, p2p_graph *graph) {
    history got = {0}, truth = {0};
    P2P_TRY(train(device, precision, model, graph, &got));
    P2P_TRY(train_on_reference(model, graph, &truth));
    return compare(&got, &truth, precision);
}

p2p_status doctor_training_check(p2p_device *device, p2p_precision precision) {
    pix2pix_config config = pix2pix_config_default();
    config.height = config.width = SIDE;
    config.depth = pix2pix_depth_for(SIDE, SIDE);
    config.ngf = config.ndf = FILTERS;
    config.dropout_blocks = GENERATOR_DROPOUT_innermost; /* few levels have none in the middle */
    pix2pix *model = NULL;
    p2p_graph *graph = NULL;
    p2p_status status = pix2pix_create(&model, &config);
    if (status == P2P_OK) {
        const pix2pix_graph_options options = pix2pix_graph_options_for(model, BATCH);
        status = pix2pix_graph_train(model, &options, &graph);
    }
    if (status == P2P_OK) status = check(device, precision, model, graph);
    p2p_graph_destroy(graph);
    pix2pix_destroy(model);
    return status;
}
