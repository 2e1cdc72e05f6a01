/* The plan that is measured, and whole steps of it. See bench.h. */
#include "bench.h"

#include "bench_noise.h"
#include "host/sys.h"
#include "image/image.h"
#include "setup/setup_memory.h"
#include "setup/setup_progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 2 };

/* ---- Opening ------------------------------------------------------------------------------------------ */

/* Batches of a device per step. */
static int64_t accumulated(const bench *b) {
    return b->training ? b->all->grad_accumulate : 1;
}

/* Replicas of the run, in all ranks. */
static int replicas(const bench *b) {
    return ranks_size(b->ranks) * b->devices.count;
}

int64_t bench_images(const bench *b) {
    return replicas(b) * b->all->batch * accumulated(b);
}

static size_t batch_values(const bench *b, int64_t channels) {
    return (size_t)accumulated(b) * (size_t)b->all->batch * (size_t)b->all->size * (size_t)b->all->size *
           (size_t)channels;
}

static size_t input_values(const bench *b) {
    return batch_values(b, b->model->config.input_channels);
}

static size_t output_values(const bench *b) {
    return batch_values(b, b->model->config.output_channels);
}

/* Noise from a linear congruential generator: incompressible, and equal on every machine. */
static p2p_status make_pixels(bench *b) {
    size_t count = input_values(b) + output_values(b);
    void *pixels;
    P2P_TRY(p2p_session_host_alloc(b->session, 0, count, &pixels));
    b->pixels = pixels;
    b->generated = malloc(output_values(b) * sizeof(float));
    if (!b->generated) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a batch of noise");
    bench_noise(b->pixels, count, 1);
    return P2P_OK;
}

/* The memory of a training or translation with these settings: what a training needs beside its steps is
 * small. */
static p2p_status check_memory(const bench *b) {
    const pix2pix_config *config = &b->model->config;
    memory_subject subject = {.all = b->all,
                              .devices = &b->devices,
                              .format = {{(int)config->input_channels, 8}, {(int)config->output_channels, 8}},
                              .training = b->training};
    memory_question question = setup_memory_question(&subject);
    return setup_memory_check_ranks(&question, b->ranks);
}

static p2p_status plan_step(bench *b) {
    pix2pix_graph_options options = pix2pix_graph_options_for(b->model, b->all->batch);
    const setup_planning planning = {.session = b->session,
                                     .model = b->model,
                                     .options = &options,
                                     .replicas = b->devices.count,
                                     .world = replicas(b),
                                     .first = ranks_number(b->ranks) * b->devices.count,
                                     .training = b->training};
    options.parts = (int)accumulated(b);
    P2P_TRY(setup_plan_make(&planning, b->training ? "training step" : "translation", bench_images(b),
                            &b->planned));
    b->plan = b->planned.plan;
    return P2P_OK;
}

static p2p_status make_plan(bench *b) {
    P2P_TRY(setup_session_create(b->all, &b->devices, &setup_tuning_train, &b->session));
    P2P_TRY(plan_step(b));
    P2P_TRY(p2p_session_allocate(b->session, setup_show_preparing, stderr));
    P2P_TRY(p2p_session_initialise(b->session, b->model->generator.network, 1));
    return b->training ? p2p_session_initialise(b->session, b->model->discriminator.network, 1) : P2P_OK;
}

p2p_status bench_open(bench *b, const settings *all, ranks *r, bool training) {
    *b = (bench){.all = all, .ranks = r, .training = training, .started = sys_clock()};
    pix2pix_config config;
    P2P_TRY(setup_model_config(all, &config));
    P2P_TRY(pix2pix_create(&b->model, &config));
    P2P_TRY(setup_devices_open(all, &b->devices));
    P2P_TRY(check_memory(b));
    b->devices.processes = ranks_processes(r);
    P2P_TRY(make_plan(b));
    return make_pixels(b);
}

void bench_close(bench *b) {
    p2p_session_destroy(b->session);
    setup_plan_free(&b->planned);
    setup_devices_close(&b->devices);
    pix2pix_destroy(b->model);
    free(b->generated);
    *b = (bench){0};
}

/* ---- Steps -------------------------------------------------------------------------------------------- */

p2p_status bench_give_inputs(const bench *b) {
    for (int r = 0; r < b->devices.count; r++) {
        P2P_TRY(p2p_plan_input_from(b->plan, r, "input", b->pixels));
        if (b->training) P2P_TRY(p2p_plan_input_from(b->plan, r, "target", b->pixels + input_values(b)));
    }
    return P2P_OK;
}

static p2p_status enqueue(bench *b) {
    P2P_TRY(bench_give_inputs(b));
    p2p_step step = {.seed = 1, .step = b->step++, .learning_rate = b->all->lr};
    return p2p_plan_run(b->plan, &step);
}

static p2p_status collect(bench *b) {
    P2P_TRY(p2p_plan_wait(b->plan));
    for (int r = 0; r < b->devices.count && !b->training; r++)
        P2P_TRY(p2p_plan_output(b->plan, r, "generated", b->generated));
    if (!b->training) return P2P_OK;
    double loss = 0;
    P2P_TRY(p2p_plan_loss(b->plan, "g_l1", &loss));
    if (isfinite(loss)) return P2P_OK;
    return p2p_fail(P2P_FAILED, "step %u computed the loss %g, which is not finite: its time is not valid",
                    (unsigned)b->step, loss);
}

/* While one run is ahead of the run that is waited for, some drivers (Intel's for CPUs) return from the wait
 * when both have finished, and from the next wait at once. Therefore a time is the mean over as many steps as
 * are in flight. */
static p2p_status time_steps(bench *b, int steps, double *seconds) {
    int ahead = b->training ? 1 : 0;
    double past[2] = {0}; /* clock readings at the last results, newest first */
    for (int i = 0; i < ahead; i++) P2P_TRY(enqueue(b));
    for (int i = 0; i < WARM_UP + steps; i++) {
        P2P_TRY(enqueue(b));
        P2P_TRY(collect(b));
        double now = sys_clock();
        if (i >= WARM_UP) seconds[i - WARM_UP] = (now - past[ahead]) / (1 + ahead);
        past[1] = past[0];
        past[0] = now;
    }
    for (int i = 0; i < ahead; i++) P2P_TRY(collect(b));
    return P2P_OK;
}

p2p_status bench_time_steps(bench *b, int steps, double *seconds) {
    const int ahead = b->training && steps > 1 ? 1 : 0;
    const double begin = sys_clock();
    for (int i = 0; i < ahead; i++) P2P_TRY(enqueue(b));
    for (int i = 0; i < steps; i++) {
        if (i + ahead < steps) P2P_TRY(enqueue(b));
        P2P_TRY(collect(b));
    }
    *seconds = sys_clock() - begin;
    return P2P_OK;
}

p2p_status bench_measure_speed(bench *b, int steps, bench_speed *speed) {
    double *seconds = calloc((size_t)steps, sizeof *seconds);
    if (!seconds) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the times of %d steps", steps);
    *speed = (bench_speed){.steps = steps};
    p2p_status status = enqueue(b);
    if (status == P2P_OK) status = collect(b);
    speed->first_step_s = sys_clock() - b->started;
    if (status == P2P_OK) status = time_steps(b, steps, seconds);
    if (status == P2P_OK) speed->step_s = bench_summary(seconds, steps);
    p2p_session_memory_use(b->session, &speed->memory);
    speed->host_peak_bytes = sys_peak_memory();
    free(seconds);
    return status;
}

p2p_status bench_profile_take(bench *b, int repeats, bench_profile *profile) {
    *profile = (bench_profile){.repeats = repeats};
    for (int i = 0; i < repeats; i++) {
        P2P_TRY(bench_give_inputs(b));
        P2P_TRY(bench_profile_pass(b->plan, b->step++, profile));
    }
    return P2P_OK;
}
