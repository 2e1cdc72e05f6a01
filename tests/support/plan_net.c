/* The tiny GAN of the planner's tests. See plan_net.h. */
#include "plan_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const p2p_param NONE = {-1};
static const double SLOPE = 0.2;

/* ---- Parameters --------------------------------------------------------------------------------------- */

static p2p_param filter(p2p_network *network, const char *name, int64_t k, int64_t c) {
    return p2p_network_filter(network, name, k, c, 4, 4, 0, 0.1);
}

#define DECLARE_NORM(layer, network, name, c)                                                                \
    do {                                                                                                     \
        (layer).scale = p2p_network_vector(network, name ".scale", c, 1, 0.1);                               \
        (layer).shift = p2p_network_vector(network, name ".shift", c, 0, 0.1);                               \
        (layer).running = p2p_network_running(network, name ".running", c);                                  \
    } while (0)

plan_net plan_net_create(int64_t in, int64_t out, int64_t filters) {
    plan_net net = {
        .g = p2p_network_create("g"), .d = p2p_network_create("d"), .in = in, .out = out, .filters = filters};
    int64_t f = filters;
    net.e0.w = filter(net.g, "e0", f, in);
    net.e1.w = filter(net.g, "e1", 2 * f, f);
    DECLARE_NORM(net.e1, net.g, "e1", 2 * f);
    net.e2.w = filter(net.g, "e2", 2 * f, 2 * f);
    net.e2.bias = p2p_network_vector(net.g, "e2.bias", 2 * f, 0, 0.1);
    net.d2.w = filter(net.g, "d2", 2 * f, 2 * f);
    DECLARE_NORM(net.d2, net.g, "d2", 2 * f);
    net.d1.w = filter(net.g, "d1", 4 * f, f);
    DECLARE_NORM(net.d1, net.g, "d1", f);
    net.d0.w = filter(net.g, "d0", 2 * f, out);
    net.d0.bias = p2p_network_vector(net.g, "d0.bias", out, 0, 0.1);
    net.c0.w = filter(net.d, "c0", f, in + out);
    net.c0.bias = p2p_network_vector(net.d, "c0.bias", f, 0, 0.1);
    net.c1.w = filter(net.d, "c1", 2 * f, f);
    DECLARE_NORM(net.c1, net.d, "c1", 2 * f);
    net.c2.w = filter(net.d, "c2", 1, 2 * f);
    net.c2.bias = p2p_network_vector(net.d, "c2.bias", 1, 0, 0.1);
    return net;
}

void plan_net_destroy(plan_net *net) {
    p2p_network_destroy(net->g);
    p2p_network_destroy(net->d);
    *net = (plan_net){0};
}

/* ---- The graph ---------------------------------------------------------------------------------------- */

typedef struct {
    p2p_graph *graph;
    const plan_net *net;
    double dropout;
    p2p_norm_options norm;
} builder;

#define NORM(b, network, layer, x)                                                                           \
    p2p_norm((b)->graph, x, network, (layer).scale, (layer).shift, (layer).running, &(b)->norm)

static p2p_value relu(const builder *b, p2p_value x) {
    return p2p_activation(b->graph, x, P2P_ACT_relu, 0);
}

static p2p_value leaky(const builder *b, p2p_value x) {
    return p2p_activation(b->graph, x, P2P_ACT_lrelu, SLOPE);
}

static p2p_value generate(const builder *b, p2p_value x) {
    const plan_net *n = b->net;
    p2p_graph *graph = b->graph;
    p2p_value e0 = p2p_conv(graph, x, n->g, n->e0.w, NONE, 2, 1);
    p2p_value e1 = NORM(b, n->g, n->e1, p2p_conv(graph, leaky(b, e0), n->g, n->e1.w, NONE, 2, 1));
    p2p_value e2 = p2p_conv(graph, leaky(b, e1), n->g, n->e2.w, n->e2.bias, 2, 1);
    p2p_value d2 = NORM(b, n->g, n->d2, p2p_conv_transposed(graph, relu(b, e2), n->g, n->d2.w, NONE, 2, 1));
    d2 = relu(b, p2p_dropout(graph, d2, b->dropout, "d2"));
    p2p_value d1 = p2p_conv_transposed(graph, p2p_concat(graph, relu(b, e1), d2), n->g, n->d1.w, NONE, 2, 1);
    d1 = relu(b, NORM(b, n->g, n->d1, d1));
    p2p_value y =
        p2p_conv_transposed(graph, p2p_concat(graph, relu(b, e0), d1), n->g, n->d0.w, n->d0.bias, 2, 1);
    return p2p_activation(graph, y, P2P_ACT_tanh, 0);
}

static p2p_value judge(const builder *b, p2p_value x, p2p_value y) {
    const plan_net *n = b->net;
    p2p_graph *graph = b->graph;
    p2p_value h = leaky(b, p2p_conv(graph, p2p_concat(graph, x, y), n->d, n->c0.w, n->c0.bias, 2, 1));
    h = leaky(b, NORM(b, n->d, n->c1, p2p_conv(graph, h, n->d, n->c1.w, NONE, 2, 1)));
    return p2p_conv(graph, h, n->d, n->c2.w, n->c2.bias, 1, 1);
}

static void update(const builder *b, const p2p_value *losses, p2p_network *network) {
    p2p_backward(b->graph, losses, 2, network, NULL, 0, NULL);
    p2p_all_reduce_gradients(b->graph, network);
    p2p_adam(b->graph, network, 0.5, 0.999, 1e-8);
}

p2p_graph *plan_net_graph(const plan_net *net, const plan_net_step *step) {
    p2p_graph *graph = p2p_graph_create(step->local_batch, step->global_batch, step->world);
    builder b = {.graph = graph,
                 .net = net,
                 .dropout = step->dropout,
                 .norm = {.over = P2P_STATS_BATCH,
                          .sync = step->sync,
                          .update_running = !step->losses_only,
                          .eps = 1e-5,
                          .momentum = 0.1}};
    p2p_value x = p2p_input_image(graph, "x", P2P_TYPE_u8, net->in, PLAN_NET_SIDE, PLAN_NET_SIDE);
    p2p_value t = p2p_input(graph, "t", P2P_TYPE_f32, net->out, PLAN_NET_SIDE, PLAN_NET_SIDE);
    p2p_value y = generate(&b, x);
    p2p_output(graph, "y", y, P2P_TYPE_f64);
    const p2p_value d_losses[2] = {p2p_loss_bce(graph, judge(&b, x, p2p_detach(graph, y)), 0, 0.5, "d_fake"),
                                   p2p_loss_bce(graph, judge(&b, x, t), 1, 0.5, "d_real")};
    if (!step->losses_only) update(&b, d_losses, net->d);
    const p2p_value g_losses[2] = {p2p_loss_bce(graph, judge(&b, x, y), 1, 1, "g_gan"),
                                   p2p_loss_l1(graph, y, t, 10, "g_l1")};
    if (!step->losses_only) update(&b, g_losses, net->g);
    return graph;
}

/* ---- The rig ------------------------------------------------------------------------------------------ */

static int64_t images_of(const plan_rig *rig, int replica) {
    return rig->global_batch / rig->world + (rig->rank0 + replica < rig->global_batch % rig->world);
}

static int64_t first_of(const plan_rig *rig, int replica) {
    int64_t first = 0;
    for (int r = -rig->rank0; r < replica; r++) first += images_of(rig, r);
    return first;
}

static p2p_status open_devices(plan_rig *rig, const char *backend, int first, int replicas, int devices) {
    for (int r = 0; r < replicas; r++) {
        char address[64];
        snprintf(address, sizeof address, "%s:%d", backend, first + r);
        if (devices > 0 && r >= devices)
            rig->devices[r] = rig->devices[r % devices];
        else
            P2P_TRY(p2p_device_open(address, &rig->devices[r]));
        rig->replicas++;
    }
    return P2P_OK;
}

p2p_status plan_rig_open(plan_rig *rig, const char *backend, int first, int replicas, int64_t global_batch,
                         const plan_net *shape, const plan_net_step *step,
                         const p2p_session_options *options) {
    *rig = (plan_rig){.net = plan_net_create(shape->in, shape->out, shape->filters)};
    plan_net_step local = *step;
    const p2p_processes *processes = options ? options->processes : NULL;
    rig->world = local.world = replicas * (processes ? processes->size : 1);
    rig->rank0 = replicas * (processes ? processes->rank : 0);
    local.global_batch = global_batch;
    rig->global_batch = global_batch;
    P2P_TRY(open_devices(rig, backend, first, replicas, step->devices));
    for (int r = 0; r < replicas; r++) {
        local.local_batch = images_of(rig, r);
        rig->graphs[r] = plan_net_graph(&rig->net, &local);
    }
    P2P_TRY(p2p_session_create(rig->devices, replicas, options, &rig->session));
    P2P_TRY(p2p_session_plan(rig->session, "tiny", rig->graphs, &rig->plan));
    P2P_TRY(p2p_session_allocate(rig->session, NULL, NULL));
    P2P_TRY(p2p_session_initialise(rig->session, rig->net.g, 1));
    return p2p_session_initialise(rig->session, rig->net.d, 1);
}

/* A pixel of image `image` of step `number`: smooth, and different for every image and step. */
static unsigned char pixel(uint32_t number, int64_t image, int64_t position) {
    return (unsigned char)((number * 37 + (uint32_t)image * 101 + (uint32_t)position * 29 +
                            (uint32_t)(position * position) % 91) %
                           256);
}

void plan_rig_inputs(const plan_rig *rig, int replica, uint32_t number, unsigned char *x, float *t) {
    const int64_t count = images_of(rig, replica), first = first_of(rig, replica);
    int64_t x_size = rig->net.in * PLAN_NET_SIDE * PLAN_NET_SIDE;
    int64_t t_size = rig->net.out * PLAN_NET_SIDE * PLAN_NET_SIDE;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t p = 0; p < x_size; p++) x[i * x_size + p] = pixel(number, first + i, p);
        for (int64_t p = 0; p < t_size; p++)
            t[i * t_size + p] = (float)pixel(number + 5, first + i, p) / 127.5f - 1;
    }
}

p2p_status plan_rig_run(plan_rig *rig, uint32_t number) {
    for (int r = 0; r < rig->replicas; r++) {
        void *x, *t;
        P2P_TRY(p2p_plan_input(rig->plan, r, "x", &x));
        P2P_TRY(p2p_plan_input(rig->plan, r, "t", &t));
        plan_rig_inputs(rig, r, number, x, t);
    }
    uint32_t samples[64];
    for (int i = 0; i < 64; i++) samples[i] = (uint32_t)(first_of(rig, 0) + i);
    const p2p_step step = {.seed = 7, .step = number, .learning_rate = 2e-3, .samples = samples};
    return p2p_plan_run(rig->plan, &step);
}

p2p_status plan_rig_step(plan_rig *rig, uint32_t number) {
    P2P_TRY(plan_rig_run(rig, number));
    return p2p_plan_wait(rig->plan);
}

void plan_rig_close(plan_rig *rig) {
    p2p_session_destroy(rig->session);
    for (int r = 0; r < PLAN_RIG_REPLICAS; r++) {
        p2p_graph_destroy(rig->graphs[r]);
        bool again = false;
        for (int i = 0; i < r; i++) again |= rig->devices[i] == rig->devices[r];
        if (!again) p2p_device_close(rig->devices[r]);
    }
    plan_net_destroy(&rig->net);
    *rig = (plan_rig){0};
}

static int64_t count_elements(const p2p_network *network) {
    int64_t count = 0;
    for (int i = 0; i < p2p_network_param_count(network); i++)
        count += p2p_param_elements(p2p_network_param(network, (p2p_param){i}));
    return count;
}

p2p_status plan_rig_parameters(plan_rig *rig, double **values, int64_t *count) {
    p2p_network *const networks[2] = {rig->net.g, rig->net.d};
    P2P_TRY(p2p_session_gather(rig->session));
    *count = count_elements(rig->net.g) + count_elements(rig->net.d);
    double *at = *values = malloc((size_t)*count * sizeof(double));
    if (!at) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for parameters");
    for (int n = 0; n < 2; n++) {
        for (int i = 0; i < p2p_network_param_count(networks[n]); i++) {
            p2p_status status = p2p_session_read(rig->session, networks[n], (p2p_param){i}, P2P_STATE_VALUE,
                                                 P2P_TYPE_f64, at);
            if (status != P2P_OK) {
                free(*values);
                *values = NULL;
                return status;
            }
            at += p2p_param_elements(p2p_network_param(networks[n], (p2p_param){i}));
        }
    }
    return P2P_OK;
}
