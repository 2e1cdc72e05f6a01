/* Gradients against finite differences, in double precision on the reference backend: every rule, shared
 * weights and values, two replicas, and a generator and discriminator together. Each case runs with and
 * without fusion. Finally Adam's updates are compared with the formula.
 *
 * The derivative of the summed losses by every parameter and every element of the inputs is estimated with
 * the fourth-order central stencil. It is wrong if an activation has its kink within the stencil, so the data
 * is redrawn until every kink is far enough away (see choose_data).
 */
#include "graph/ir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/test_plan.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double STEP = 2e-5, BEND_MARGIN = 1e-3, RELATIVE = 1e-6, ABSOLUTE = 1e-9;
static const double BETA1 = 0.5, BETA2 = 0.999, ADAM_EPS = 1e-8, LEARNING_RATE = 0.01;

enum { WORLD = 2, TERMS = 4, INPUTS = 4, PASSES = 2, BENDS = 16, TRIES = 2000 };

/* ---- Models: networks and a graph with what is to be checked in it ------------------------------------ */

typedef struct {
    p2p_network *target; /* NULL: only inputs are checked */
    bool inputs;         /* also check the gradients of the inputs */
    p2p_value losses[TERMS];
    const char *names[TERMS];
    double weights[TERMS];
    int count;
} pass;

typedef struct {
    const char *name;
    p2p_value value;
    bool far; /* magnitudes of 1.5 to 2.5: the sign of no distance to a tanh changes */
    int64_t elements;
    double *data[WORLD];
} input;

typedef struct {
    p2p_network *nets[2];
    double **params[2]; /* by network and parameter: the values on the devices */
    p2p_graph *graph;   /* the one being built; later the one to be checked */
    p2p_graph *bending; /* the same, forward only, with the activations' inputs as outputs; a graph of its
                           own, because outputs prevent fusion */
    pass passes[PASSES];
    input inputs[INPUTS];
    p2p_value bends[BENDS];
    int input_count, bend_count;
    bool probing; /* building `bending` */
    int world;
    p2p_session *session;
    p2p_plan *plan, *probe;
    uint64_t random;
} model;

static const p2p_param NO_PARAM = {-1};

/* The parameter of this name, declared by the first build. */
static p2p_param declared(p2p_network *network, const char *name) {
    for (int i = 0; i < p2p_network_param_count(network); i++)
        if (strcmp(p2p_network_param(network, (p2p_param){i})->name, name) == 0) return (p2p_param){i};
    return NO_PARAM;
}

static p2p_param filter(p2p_network *network, const char *name, int64_t k, int64_t c, int64_t r, int64_t s) {
    p2p_param param = declared(network, name);
    return param.id >= 0 ? param : p2p_network_filter(network, name, k, c, r, s, 0, 0.5);
}

static p2p_param vector(p2p_network *network, const char *name, int64_t c, double mean) {
    p2p_param param = declared(network, name);
    return param.id >= 0 ? param : p2p_network_vector(network, name, c, mean, 0.5);
}

static p2p_param running(p2p_network *network, const char *name, int64_t c) {
    p2p_param param = declared(network, name);
    return param.id >= 0 ? param : p2p_network_running(network, name, c);
}

static p2p_value data(model *m, const char *name, int64_t c, int64_t h, int64_t w) {
    p2p_value value = p2p_input(m->graph, name, P2P_TYPE_f64, c, h, w);
    m->inputs[m->input_count++] =
        (input){.name = name, .value = value, .elements = m->graph->local_batch * c * h * w};
    return value;
}

static p2p_value far_data(model *m, const char *name, int64_t c, int64_t h, int64_t w) {
    p2p_value value = data(m, name, c, h, w);
    m->inputs[m->input_count - 1].far = true;
    return value;
}

static const char *bend_name(int bend, char text[16]) {
    snprintf(text, 16, "bend%d", bend);
    return text;
}

static p2p_value act(model *m, p2p_value x, p2p_act kind) {
    char name[16];
    if (m->probing && kind != P2P_ACT_tanh) {
        p2p_output(m->graph, bend_name(m->bend_count, name), x, P2P_TYPE_f64);
        m->bends[m->bend_count++] = x;
    }
    return p2p_activation(m->graph, x, kind, kind == P2P_ACT_lrelu ? 0.2 : 0);
}

static void term(pass *to, p2p_value loss, const char *name, double weight) {
    to->losses[to->count] = loss;
    to->names[to->count] = name;
    to->weights[to->count++] = weight;
}

static void bce(model *m, pass *to, p2p_value logits, int target, double weight, const char *name) {
    term(to, p2p_loss_bce(m->graph, logits, target, weight, name), name, weight);
}

static void mse(model *m, pass *to, p2p_value x, int target, double weight, const char *name) {
    term(to, p2p_loss_mse(m->graph, x, target, weight, name), name, weight);
}

static void l1(model *m, pass *to, p2p_value x, p2p_value target, double weight, const char *name) {
    term(to, p2p_loss_l1(m->graph, x, target, weight, name), name, weight);
}

typedef struct {
    int64_t out, r, s; /* channels of the result, extents of the filter */
    int stride, pad;
    bool bias;
} window;

/* A convolution, or a transposed one, with the parameters "<name>" and "<name>.bias". */
static p2p_value conv_either(model *m, bool transposed, p2p_network *network, p2p_value x, const char *name,
                             window f) {
    int64_t shape[4];
    char bias_name[32];
    p2p_value_shape(m->graph, x, shape);
    int64_t k = transposed ? shape[1] : f.out, c = transposed ? f.out : shape[1];
    p2p_param w = filter(network, name, k, c, f.r, f.s), bias = NO_PARAM;
    snprintf(bias_name, sizeof bias_name, "%s.bias", name);
    if (f.bias) bias = vector(network, bias_name, f.out, 0);
    if (transposed) return p2p_conv_transposed(m->graph, x, network, w, bias, f.stride, f.pad);
    return p2p_conv(m->graph, x, network, w, bias, f.stride, f.pad);
}

static p2p_value conv(model *m, p2p_network *network, p2p_value x, const char *name, window f) {
    return conv_either(m, false, network, x, name, f);
}

static p2p_value conv_transposed(model *m, p2p_network *network, p2p_value x, const char *name, window f) {
    return conv_either(m, true, network, x, name, f);
}

/* Normalisation with parameters of its own. */
static p2p_value norm(model *m, p2p_network *network, p2p_value x, const char *name,
                      p2p_norm_options options) {
    int64_t shape[4];
    char names[3][32];
    static const char *const parts[] = {"scale", "shift", "running"};
    for (int i = 0; i < 3; i++) snprintf(names[i], sizeof names[i], "%s.%s", name, parts[i]);
    p2p_value_shape(m->graph, x, shape);
    p2p_param scale = vector(network, names[0], shape[1], 1), shift = vector(network, names[1], shape[1], 0);
    options.eps = 1e-3;
    options.momentum = 0.1;
    options.update_running = options.over == P2P_STATS_BATCH;
    return p2p_norm(m->graph, x, network, scale, shift, running(network, names[2], shape[1]), &options);
}

/* Normalisation without parameters. */
static p2p_value bare_norm(model *m, p2p_network *network, p2p_value x, p2p_norm_options options) {
    options.eps = 1e-3;
    return p2p_norm(m->graph, x, network, NO_PARAM, NO_PARAM, NO_PARAM, &options);
}

static const p2p_norm_options over_batch = {.over = P2P_STATS_BATCH}, over_image = {.over = P2P_STATS_IMAGE},
                              over_replicas = {.over = P2P_STATS_BATCH, .sync = true};

/* ---- Cases -------------------------------------------------------------------------------------------- */

/* A convolution that does not reach the last row of a padded input, then one with an oblong filter. */
static void build_conv(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value y = data(m, "x", 3, 7, 6);
    y = conv(m, g, y, "w", (window){4, 4, 4, .stride = 2, .pad = 1, .bias = true});
    y = conv(m, g, y, "oblong", (window){2, 3, 2, .stride = 1, .pad = 1});
    bce(m, &m->passes[0], y, 1, 1, "loss");
}

static void build_conv_transposed(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value y = data(m, "x", 3, 3, 2);
    y = conv_transposed(m, g, y, "w", (window){4, 4, 4, .stride = 2, .pad = 1, .bias = true});
    y = conv_transposed(m, g, y, "gaps", (window){2, 2, 3, .stride = 3});
    bce(m, &m->passes[0], y, 0, 2.5, "loss");
}

static void build_norms(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value y = norm(m, g, data(m, "x", 3, 4, 3), "batch", over_batch);
    y = conv(m, g, y, "w", (window){3, 3, 3, .stride = 1, .pad = 1, .bias = true});
    y = norm(m, g, y, "image", over_image);
    bce(m, &m->passes[0], y, 1, 1, "loss");
}

/* Statistics over one element: the output is the shift, whatever the input. */
static void build_norm_of_one(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value x = data(m, "x", 3, 1, 1);
    p2p_value y = act(m, norm(m, g, x, "norm", over_image), P2P_ACT_tanh);
    y = conv(m, g, p2p_concat(m->graph, y, x), "w", (window){2, 1, 1, .stride = 1});
    bce(m, &m->passes[0], y, 1, 1, "loss");
}

/* Instance normalisation as published, with what fuses into it; then over the batch, and over one element. */
static void build_bare_norms(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value y = data(m, "x", 2, 4, 4);
    y = conv(m, g, y, "w", (window){3, 3, 3, .stride = 1, .pad = 1, .bias = true});
    y = act(m, p2p_dropout(m->graph, bare_norm(m, g, y, over_image), 0.3, "drop"), P2P_ACT_lrelu);
    y = conv(m, g, y, "w2", (window){3, 3, 3, .stride = 1, .pad = 1});
    y = act(m, bare_norm(m, g, y, over_batch), P2P_ACT_tanh);
    p2p_value one = conv(m, g, y, "w3", (window){2, 4, 4, .stride = 1});
    one = conv_transposed(m, g, p2p_concat(m->graph, bare_norm(m, g, one, over_image), one), "w4",
                          (window){2, 4, 4, .stride = 1});
    mse(m, &m->passes[0], y, 1, 0.5, "y");
    mse(m, &m->passes[0], one, 0, 2, "one");
}

static void build_norm_over_replicas(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value y = conv(m, g, data(m, "x", 2, 4, 4), "w", (window){3, 3, 3, .stride = 1, .pad = 1});
    y = act(m, norm(m, g, y, "norm", over_replicas), P2P_ACT_lrelu);
    y = conv(m, g, y, "w2", (window){2, 4, 4, .stride = 2, .pad = 1});
    bce(m, &m->passes[0], norm(m, g, y, "own", over_batch), 1, 1, "loss");
}

static void build_activations(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value y = data(m, "x", 2, 4, 4), truth = far_data(m, "truth", 2, 4, 4);
    y = act(m, conv(m, g, y, "w1", (window){3, 3, 3, .stride = 1, .pad = 1, .bias = true}), P2P_ACT_relu);
    y = act(m, conv(m, g, y, "w2", (window){3, 3, 3, .stride = 1, .pad = 1, .bias = true}), P2P_ACT_lrelu);
    y = act(m, conv(m, g, y, "w3", (window){2, 3, 3, .stride = 1, .pad = 1}), P2P_ACT_tanh);
    l1(m, &m->passes[0], y, truth, 3, "loss");
}

/* Dropout alone, and between a normalisation and an activation. */
static void build_dropout(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value y = p2p_dropout(m->graph, data(m, "x", 5, 4, 4), 0.3, "first");
    y = norm(m, g, conv(m, g, y, "w", (window){6, 3, 3, .stride = 1, .pad = 1}), "norm", over_batch);
    y = act(m, p2p_dropout(m->graph, y, 0.5, "second"), P2P_ACT_tanh);
    y = conv(m, g, y, "v", (window){2, 1, 1, .stride = 1});
    bce(m, &m->passes[0], y, 1, 1, "loss");
}

/* Values with several readers: x three times, its tanh as both halves of one concatenation and alone. */
static void build_readers(model *m) {
    p2p_network *g = m->nets[0];
    p2p_value x = data(m, "x", 2, 4, 4), truth = far_data(m, "truth", 2, 4, 4);
    p2p_value a = act(m, x, P2P_ACT_tanh), twice = p2p_concat(m->graph, a, a);
    p2p_value y = p2p_concat(m->graph, x, twice);
    y = conv(m, g, y, "w", (window){2, 3, 3, .stride = 1, .pad = 1, .bias = true});
    bce(m, &m->passes[0], y, 1, 0.5, "y");
    bce(m, &m->passes[0], y, 0, 0.25, "not y");
    bce(m, &m->passes[0], x, 1, 1, "x");
    l1(m, &m->passes[0], a, truth, 2, "a");
}

/* Every parameter is used twice: in convolutions and transposed ones, biases and normalisations. */
static void build_shared_weights(model *m) {
    p2p_network *g = m->nets[0];
    const window same = {2, 3, 3, .stride = 1, .pad = 1, .bias = true};
    p2p_value y = data(m, "x", 2, 5, 4);
    for (int i = 0; i < 2; i++) {
        y = act(m, norm(m, g, conv(m, g, y, "w", same), "norm", over_image), P2P_ACT_tanh);
        y = conv_transposed(m, g, y, "w", same);
    }
    bce(m, &m->passes[0], y, 1, 1, "loss");
}

/* ---- A small generator and discriminator -------------------------------------------------------------- */

static const char *layer_name(char text[32], const char *name, int level) {
    snprintf(text, 32, "%s%d", name, level);
    return text;
}

/* U-Net block: halve, inner block, double; concatenated with the input unless it is the outermost. */
static p2p_value unet_block(model *m, p2p_value x, int level, int depth) {
    p2p_network *g = m->nets[0];
    char name[32];
    const window down = {3 + level, 4, 4, .stride = 2, .pad = 1};
    const window up = {level == 0 ? 2 : 2 + level, 4, 4, .stride = 2, .pad = 1, .bias = level == 0};
    p2p_value y = level == 0 ? x : act(m, x, P2P_ACT_lrelu);
    y = conv(m, g, y, layer_name(name, "down", level), down);
    if (level > 0 && level < depth - 1) y = norm(m, g, y, layer_name(name, "down norm", level), over_batch);
    if (level < depth - 1) y = unet_block(m, y, level + 1, depth);
    y = conv_transposed(m, g, act(m, y, P2P_ACT_relu), layer_name(name, "up", level), up);
    if (level == 0) return act(m, y, P2P_ACT_tanh);
    y = norm(m, g, y, layer_name(name, "up norm", level), over_batch);
    if (level == 1) y = p2p_dropout(m->graph, y, 0.5, "up1");
    return p2p_concat(m->graph, x, y);
}

static p2p_value patch_logits(model *m, p2p_value condition, p2p_value image) {
    p2p_network *d = m->nets[1];
    p2p_value y = p2p_concat(m->graph, condition, image);
    y = act(m, conv(m, d, y, "conv0", (window){3, 4, 4, .stride = 2, .pad = 1, .bias = true}), P2P_ACT_lrelu);
    y = conv(m, d, y, "conv1", (window){4, 4, 4, .stride = 1, .pad = 1});
    y = act(m, norm(m, d, y, "norm1", over_batch), P2P_ACT_lrelu);
    return conv(m, d, y, "conv2", (window){1, 4, 4, .stride = 1, .pad = 1, .bias = true});
}

/* Both steps of a GAN at the same parameters: the discriminator's, then the generator's through it. */
static void build_gan(model *m) {
    pass *g_pass = &m->passes[0], *d_pass = &m->passes[1];
    p2p_value x = data(m, "x", 2, 8, 8), truth = far_data(m, "truth", 2, 8, 8);
    p2p_value real = data(m, "real", 2, 8, 8);
    p2p_value fake = unet_block(m, x, 0, 3);
    d_pass->target = m->nets[1];
    bce(m, d_pass, patch_logits(m, x, real), 1, 0.5, "d real");
    bce(m, d_pass, patch_logits(m, x, p2p_detach(m->graph, fake)), 0, 0.5, "d fake");
    bce(m, g_pass, patch_logits(m, x, fake), 1, 1, "g");
    l1(m, g_pass, fake, truth, 3, "l1");
}

/* The same with one pass over the fake for both networks, without detaching it. */
static void build_simultaneous_gan(model *m) {
    pass *g_pass = &m->passes[0], *d_pass = &m->passes[1];
    p2p_value x = data(m, "x", 2, 8, 8), truth = far_data(m, "truth", 2, 8, 8);
    p2p_value real = data(m, "real", 2, 8, 8);
    p2p_value fake = unet_block(m, x, 0, 3), judged = patch_logits(m, x, fake);
    d_pass->target = m->nets[1];
    mse(m, d_pass, patch_logits(m, x, real), 1, 0.5, "d real");
    mse(m, d_pass, judged, 0, 0.5, "d fake");
    mse(m, g_pass, judged, 1, 1, "g");
    l1(m, g_pass, fake, truth, 3, "l1");
}

typedef struct {
    const char *name;
    void (*build)(model *m);
    int64_t batch; /* per replica */
    int world;
    bool inputs;          /* also check gradients of inputs that are not far */
    const char *vanishes; /* the parameter whose true gradient is 0 */
    bool adam;            /* followed by an update of the first network */
} grad_case;

static const grad_case cases[] = {
    {"conv", build_conv, 2, 1, true, "", false},
    {"conv_transposed", build_conv_transposed, 2, 1, true, "", false},
    {"norms", build_norms, 2, 1, true, "w.bias", false},
    {"norm_of_one", build_norm_of_one, 3, 1, true, "norm.scale", false},
    {"bare_norms", build_bare_norms, 2, 1, true, "w.bias", false},
    {"norm_over_replicas", build_norm_over_replicas, 1, 2, true, "", false},
    {"activations", build_activations, 1, 1, true, "", false},
    {"dropout", build_dropout, 2, 1, true, "", false},
    {"dropout on replicas", build_dropout, 1, 2, true, "", false},
    {"readers", build_readers, 2, 1, true, "", false},
    {"shared_weights", build_shared_weights, 2, 1, true, "", false},
    {"gan", build_gan, 1, 1, false, "", false},
    {"gan on replicas", build_gan, 1, 2, false, "", false},
    {"simultaneous gan", build_simultaneous_gan, 1, 1, false, "", false},
    {"simultaneous gan on replicas", build_simultaneous_gan, 1, 2, false, "", false},
};

/* ---- Data --------------------------------------------------------------------------------------------- */

/* Uniform in [-1, 1): splitmix64. */
static double draw(model *m) {
    uint64_t z = m->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ z >> 31) >> 11) / 4503599627370496.0 - 1;
}

static void draw_everything(model *m) {
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < p2p_network_param_count(m->nets[n]); i++) {
            const p2p_param_info *info = p2p_network_param(m->nets[n], (p2p_param){i});
            if (info->kind == P2P_PARAM_RUNNING) continue;
            for (int64_t e = 0; e < p2p_param_elements(info); e++)
                m->params[n][i][e] = info->mean + info->stddev * draw(m);
            OK(p2p_session_write(m->session, m->nets[n], (p2p_param){i}, P2P_STATE_VALUE, P2P_TYPE_f64,
                                 m->params[n][i]));
        }
    for (int i = 0; i < m->input_count; i++)
        for (int r = 0; r < m->world; r++)
            for (int64_t e = 0; e < m->inputs[i].elements; e++) {
                double u = draw(m);
                m->inputs[i].data[r][e] = m->inputs[i].far ? 0.5 * u + copysign(2, draw(m)) : u;
            }
}

static void run(model *m, p2p_plan *plan, uint32_t step, double learning_rate) {
    for (int i = 0; i < m->input_count; i++)
        for (int r = 0; r < m->world; r++) {
            void *host = test_plan_input(plan, r, m->inputs[i].name);
            memcpy(host, m->inputs[i].data[r], (size_t)m->inputs[i].elements * sizeof(double));
        }
    OK(p2p_plan_run(plan, &(p2p_step){.seed = 11, .step = step, .learning_rate = learning_rate}));
    OK(p2p_plan_wait(plan));
}

/* The smallest distance of any activation's input from the activation's kink. An exact 0 is a dropped
 * element, which does not move. */
static double nearest_bend(model *m) {
    double nearest = HUGE_VAL;
    char name[16];
    run(m, m->probe, 0, 0);
    for (int b = 0; b < m->bend_count; b++) {
        int64_t shape[4];
        p2p_value_shape(m->bending, m->bends[b], shape);
        int64_t elements = shape[0] * shape[1] * shape[2] * shape[3];
        double *x = malloc((size_t)elements * sizeof *x);
        assert_non_null(x);
        for (int r = 0; r < m->world; r++) {
            OK(p2p_plan_output(m->probe, r, bend_name(b, name), x));
            for (int64_t e = 0; e < elements; e++)
                if (x[e] != 0) nearest = fmin(nearest, fabs(x[e]));
        }
        free(x);
    }
    return nearest;
}

static void choose_data(model *m) {
    for (int i = 0; i < TRIES; i++) {
        draw_everything(m);
        if (nearest_bend(m) > BEND_MARGIN) return;
    }
    fail_msg("no data keeps away from the activations' bends");
}

/* ---- Setting up --------------------------------------------------------------------------------------- */

static p2p_device *devices[WORLD];

static int open_devices(void **state) {
    (void)state;
    for (int r = 0; r < WORLD; r++) {
        char address[32];
        snprintf(address, sizeof address, "reference:%d", r);
        if (p2p_device_open(address, &devices[r]) != P2P_OK) {
            print_error("%s\n", p2p_message());
            return -1;
        }
    }
    return 0;
}

static int close_devices(void **state) {
    (void)state;
    for (int r = 0; r < WORLD; r++) p2p_device_close(devices[r]);
    return 0;
}

static void d_name(const char *name, char text[32]) {
    snprintf(text, 32, "d %s", name);
}

/* The gradients of every pass, summed over replicas; in the first pass the inputs' too, as outputs. */
static void add_backward(model *m, pass *p) {
    p2p_value values[INPUTS], gradients[INPUTS];
    int count = 0;
    for (int i = 0; p->inputs && i < m->input_count; i++)
        if (!m->inputs[i].far) values[count++] = m->inputs[i].value;
    p2p_backward(m->graph, p->losses, p->count, p->target, values, count, gradients);
    count = 0;
    for (int i = 0; p->inputs && i < m->input_count; i++) {
        char name[32];
        d_name(m->inputs[i].name, name);
        if (!m->inputs[i].far) p2p_output(m->graph, name, gradients[count++], P2P_TYPE_f64);
    }
    p2p_all_reduce_gradients(m->graph, p->target);
}

static p2p_graph *build(model *m, const grad_case *c, bool probing) {
    m->graph = p2p_graph_create(c->batch, c->batch * c->world, c->world);
    m->probing = probing;
    m->input_count = 0;
    memset(m->passes, 0, sizeof m->passes);
    m->passes[0].target = m->nets[0];
    m->passes[0].inputs = c->inputs;
    c->build(m);
    for (int p = 0; p < PASSES && !probing; p++)
        if (m->passes[p].count) add_backward(m, &m->passes[p]);
    if (c->adam && !probing) p2p_adam(m->graph, m->nets[0], BETA1, BETA2, ADAM_EPS);
    OK(p2p_graph_status(m->graph));
    return m->graph;
}

static void allocate_data(model *m) {
    for (int n = 0; n < 2; n++) {
        int count = p2p_network_param_count(m->nets[n]);
        m->params[n] = calloc((size_t)count + 1, sizeof *m->params[n]);
        assert_non_null(m->params[n]);
        for (int i = 0; i < count; i++) {
            int64_t elements = p2p_param_elements(p2p_network_param(m->nets[n], (p2p_param){i}));
            m->params[n][i] = calloc((size_t)elements, sizeof(double));
            assert_non_null(m->params[n][i]);
        }
    }
    for (int i = 0; i < m->input_count; i++)
        for (int r = 0; r < m->world; r++) {
            m->inputs[i].data[r] = calloc((size_t)m->inputs[i].elements, sizeof(double));
            assert_non_null(m->inputs[i].data[r]);
        }
}

static void make_plan(model *m, p2p_graph *graph, const char *name, p2p_plan **plan) {
    p2p_graph *graphs[WORLD];
    for (int r = 0; r < WORLD; r++) graphs[r] = graph;
    OK(p2p_session_plan(m->session, name, graphs, plan));
}

static model *model_create(const grad_case *c, const p2p_session_options *options) {
    model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->world = c->world;
    m->nets[0] = p2p_network_create("G");
    m->nets[1] = p2p_network_create("D");
    m->bending = build(m, c, true);
    m->graph = build(m, c, false);
    allocate_data(m);
    OK(p2p_session_create(devices, c->world, options, &m->session));
    make_plan(m, m->graph, "checked", &m->plan);
    make_plan(m, m->bending, "bending", &m->probe);
    OK(p2p_session_allocate(m->session, NULL, NULL));
    return m;
}

static void model_destroy(model *m) {
    p2p_session_destroy(m->session);
    p2p_graph_destroy(m->graph);
    p2p_graph_destroy(m->bending);
    for (int n = 0; n < 2; n++) {
        for (int i = 0; i < p2p_network_param_count(m->nets[n]); i++) free(m->params[n][i]);
        free(m->params[n]);
        p2p_network_destroy(m->nets[n]);
    }
    for (int i = 0; i < m->input_count; i++)
        for (int r = 0; r < m->world; r++) free(m->inputs[i].data[r]);
    free(m);
}

/* ---- Checking ----------------------------------------------------------------------------------------- */

static double total(model *m, const pass *p) {
    double sum = 0;
    for (int i = 0; i < p->count; i++) {
        double loss = 0;
        OK(p2p_plan_loss(m->plan, p->names[i], &loss));
        sum += p->weights[i] * loss;
    }
    return sum;
}

/* A number that the losses depend on: a parameter's element, or an input's. */
typedef struct {
    double *number;
    p2p_network *network; /* NULL: an input */
    p2p_param param;
    const double *whole; /* the parameter that contains it */
} knob;

static void turn(model *m, const knob *k, double value) {
    *k->number = value;
    if (k->network)
        OK(p2p_session_write(m->session, k->network, k->param, P2P_STATE_VALUE, P2P_TYPE_f64, k->whole));
}

static double loss_at(model *m, const pass *p, const knob *k, double value) {
    turn(m, k, value);
    run(m, m->plan, 0, 0);
    return total(m, p);
}

/* f'(x) = (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h + O(h^4). */
static double derivative(model *m, const pass *p, const knob *k) {
    double x = *k->number;
    double near = loss_at(m, p, k, x + STEP) - loss_at(m, p, k, x - STEP);
    double far = loss_at(m, p, k, x + 2 * STEP) - loss_at(m, p, k, x - 2 * STEP);
    turn(m, k, x);
    return (8 * near - far) / (12 * STEP);
}

static void compare(const char *name, int64_t element, double gradient, double estimate) {
    double allowed = RELATIVE * fmax(fabs(gradient), fabs(estimate)) + ABSOLUTE;
    if (fabs(gradient - estimate) <= allowed) return;
    fail_msg("d %s[%lld] is %.12g, finite differences give %.12g", name, (long long)element, gradient,
             estimate);
}

/* Fails if the gradient is all zeros, which a comparison would not detect. */
static void expect_nonzero(const char *name, const double *gradient, int64_t elements, const char *vanishes) {
    double largest = 0;
    for (int64_t e = 0; e < elements; e++) largest = fmax(largest, fabs(gradient[e]));
    bool dead = largest < 1e-5;
    if (dead != (strcmp(name, vanishes) == 0)) fail_msg("d %s is at most %g", name, largest);
}

/* The argument "thin" checks every fifth element of each tensor. */
static int64_t every = 1;

static int64_t first_element(int number, int64_t elements) {
    return elements < every ? 0 : number % every;
}

static void check_param(model *m, const pass *p, int net, int id, const char *vanishes) {
    p2p_network *network = m->nets[net];
    p2p_param param = {id};
    const p2p_param_info *info = p2p_network_param(network, param);
    if (info->kind == P2P_PARAM_RUNNING) return;
    int64_t elements = p2p_param_elements(info);
    double *gradient = calloc((size_t)elements, sizeof *gradient);
    assert_non_null(gradient);
    run(m, m->plan, 0, 0);
    OK(p2p_session_read(m->session, network, param, P2P_STATE_GRADIENT, P2P_TYPE_f64, gradient));
    expect_nonzero(info->name, gradient, elements, vanishes);
    for (int64_t e = first_element(id, elements); e < elements; e += every) {
        knob k = {&m->params[net][id][e], network, param, m->params[net][id]};
        compare(info->name, e, gradient[e], derivative(m, p, &k));
    }
    free(gradient);
}

static void check_input(model *m, const pass *p, input *in, int replica) {
    if (in->far) return;
    char name[32];
    d_name(in->name, name);
    double *gradient = calloc((size_t)in->elements, sizeof *gradient);
    assert_non_null(gradient);
    run(m, m->plan, 0, 0);
    OK(p2p_plan_output(m->plan, replica, name, gradient));
    expect_nonzero(in->name, gradient, in->elements, "");
    for (int64_t e = first_element(replica, in->elements); e < in->elements; e += every) {
        knob k = {.number = &in->data[replica][e]};
        compare(in->name, e, gradient[e], derivative(m, p, &k));
    }
    free(gradient);
}

static void check_pass(model *m, const pass *p, const char *vanishes) {
    int net = p->target == m->nets[0] ? 0 : 1;
    for (int i = 0; i < p2p_network_param_count(p->target); i++) check_param(m, p, net, i, vanishes);
    for (int i = 0; p->inputs && i < m->input_count; i++)
        for (int r = 0; r < m->world; r++) check_input(m, p, &m->inputs[i], r);
}

static void test_case(void **state) {
    const grad_case *c = *state;
    const p2p_session_options options[] = {{.no_fusion = true}, {.no_fusion = false}};
    for (int o = 0; o < 2; o++) {
        model *m = model_create(c, &options[o]);
        int passes = 0;
        choose_data(m);
        for (int p = 0; p < PASSES; p++) {
            if (m->passes[p].count == 0) continue;
            check_pass(m, &m->passes[p], c->vanishes);
            passes++;
        }
        assert_true(passes > 0);
        model_destroy(m);
    }
}

/* ---- Adam by the formula ------------------------------------------------------------------------------ */

enum { LARGEST = 192, UPDATES = 3 }; /* elements of a parameter */

static void read_state(model *m, int param, p2p_state_part part, double *to) {
    OK(p2p_session_read(m->session, m->nets[0], (p2p_param){param}, part, P2P_TYPE_f64, to));
}

/* Kingma and Ba's update in PyTorch's form, from the gradient that the devices computed. */
static void follow_update(model *m, int param, int t, double *first, double *second) {
    double gradient[LARGEST], after[LARGEST], *p = m->params[0][param];
    int64_t elements = p2p_param_elements(p2p_network_param(m->nets[0], (p2p_param){param}));
    assert_in_range(elements, 1, LARGEST);
    read_state(m, param, P2P_STATE_GRADIENT, gradient);
    read_state(m, param, P2P_STATE_VALUE, after);
    for (int64_t e = 0; e < elements; e++) {
        first[e] = BETA1 * first[e] + (1 - BETA1) * gradient[e];
        second[e] = BETA2 * second[e] + (1 - BETA2) * gradient[e] * gradient[e];
        double deviation = sqrt(second[e] / (1 - pow(BETA2, t)));
        p[e] -= LEARNING_RATE * (first[e] / (1 - pow(BETA1, t))) / (deviation + ADAM_EPS);
        if (!(fabs(after[e] - p[e]) <= 1e-12))
            fail_msg("update %d gives %.15g, not %.15g", t, after[e], p[e]);
    }
}

static void test_adam(void **state) {
    (void)state;
    const grad_case c = {"adam", build_conv, 2, 1, false, "", true};
    model *m = model_create(&c, NULL);
    double first[3][LARGEST] = {{0}}, second[3][LARGEST] = {{0}};
    assert_int_equal(p2p_network_param_count(m->nets[0]), 3);
    choose_data(m);
    for (int t = 1; t <= UPDATES; t++) {
        run(m, m->plan, (uint32_t)t - 1, LEARNING_RATE);
        for (int i = 0; i < 3; i++) follow_update(m, i, t, first[i], second[i]);
    }
    double moment[LARGEST];
    read_state(m, 0, P2P_STATE_MOMENT1, moment);
    for (int e = 0; e < LARGEST; e++) assert_true(fabs(moment[e] - first[0][e]) <= 1e-12);
    read_state(m, 0, P2P_STATE_MOMENT2, moment);
    for (int e = 0; e < LARGEST; e++) assert_true(fabs(moment[e] - second[0][e]) <= 1e-12);
    model_destroy(m);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "thin") == 0) every = 5;
    enum { CASES = sizeof cases / sizeof cases[0] };
    struct CMUnitTest tests[CASES + 1] = {cmocka_unit_test(test_adam)};
    for (int i = 0; i < CASES; i++)
        tests[i + 1] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = test_case, .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
