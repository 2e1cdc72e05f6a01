/* The settings of pix2pix, their limits, and its graphs. */
#include "pix2pix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Limits far beyond any use, and small enough that no count of elements overflows. */
enum { MAX_SIDE = 1 << 16, MAX_FILTERS = 1024, MAX_CHANNELS = 64, DEFAULT_DEPTH = 8 };

/* Weight of both parts of the discriminator's loss: slows the discriminator relative to the generator. */
static const double discriminator_loss_weight = 0.5;

enum { LABEL_FAKE = 0, LABEL_REAL = 1 };

const char *const pix2pix_d_order_names[] = {
#define X(name) #name,
    PIX2PIX_D_ORDER_LIST(X)
#undef X
        NULL};

const char *const pix2pix_gan_mode_names[] = {
#define X(name) #name,
    PIX2PIX_GAN_MODE_LIST(X)
#undef X
        NULL};

int pix2pix_name_index(const char *const *names, const char *text) {
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0) return i;
    }
    return -1;
}

pix2pix_config pix2pix_config_default(void) {
    return (pix2pix_config){
        .height = 256,
        .width = 256,
        .input_channels = 3,
        .output_channels = 3,
        .depth = DEFAULT_DEPTH,
        .ngf = 64,
        .ndf = 64,
        .norm = NN_NORM_batch,
        .norm_eps = 1e-5,
        .norm_momentum = 0.1,
        .leaky_slope = 0.2,
        .dropout = 0.5,
        .dropout_blocks = GENERATOR_DROPOUT_middle,
        .discriminator_net = DISCRIMINATOR_patch,
        .discriminator_layers = 3,
        .d_order = PIX2PIX_D_first,
        .gan_mode = PIX2PIX_GAN_bce,
        .lambda_l1 = 100,
        .beta1 = 0.5,
        .beta2 = 0.999,
        .adam_eps = 1e-8,
        .init_stddev = 0.02,
        .init_scale_stddev = 0.02,
    };
}

int pix2pix_depth_for(int64_t height, int64_t width) {
    int depth = 0;
    while (depth < DEFAULT_DEPTH && height > 0 && width > 0 && height % 2 == 0 && width % 2 == 0) {
        height /= 2;
        width /= 2;
        depth++;
    }
    return depth >= GENERATOR_MIN_DEPTH ? depth : 0;
}

/* ---- Checks ------------------------------------------------------------------------------------------- */

static p2p_status check_count(const char *name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s is %lld: it must be between %lld and %lld", name, (long long)value,
                    (long long)low, (long long)high);
}

/* At least `low` and below `high`; NaN fails. */
static p2p_status check_real(const char *name, double value, double low, double high) {
    if (value >= low && value < high) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s is %g: it must be at least %g and below %g", name, value, low, high);
}

static int64_t nearest_multiple(int64_t value, int64_t unit) {
    const int64_t nearest = (value + unit / 2) / unit * unit;
    return nearest < unit ? unit : nearest;
}

p2p_status pix2pix_sides_check(int depth, int64_t height, int64_t width) {
    P2P_TRY(check_count("the depth", depth, GENERATOR_MIN_DEPTH, GENERATOR_MAX_DEPTH));
    P2P_TRY(check_count("the height", height, 1, MAX_SIDE));
    P2P_TRY(check_count("the width", width, 1, MAX_SIDE));
    const int64_t unit = (int64_t)1 << depth;
    if (height % unit == 0 && width % unit == 0) return P2P_OK;
    return p2p_fail(P2P_INPUT,
                    "a U-Net of depth %d can't take %lldx%lld pixels (width x height): both sides must be "
                    "multiples of %lld, the nearest size is %lldx%lld",
                    depth, (long long)width, (long long)height, (long long)unit,
                    (long long)nearest_multiple(width, unit), (long long)nearest_multiple(height, unit));
}

/* The shortest side that gives the discriminator at least one patch. */
static int64_t shortest_side(discriminator_net net, int layers) {
    int64_t side = 1;
    while (discriminator_patches(net, layers, side) < 1) side++;
    return side;
}

static p2p_status check_discriminator(const pix2pix_config *config) {
    P2P_TRY(check_count("ndf", config->ndf, 1, MAX_FILTERS));
    const int layers = config->discriminator_layers;
    P2P_TRY(check_count("discriminator_layers", layers, DISCRIMINATOR_MIN_LAYERS, DISCRIMINATOR_MAX_LAYERS));
    const int64_t shortest = shortest_side(config->discriminator_net, layers);
    if (config->height >= shortest && config->width >= shortest) return P2P_OK;
    return p2p_fail(P2P_INPUT,
                    "images of %lldx%lld are too small for a discriminator of %d layers: it needs sides of "
                    "at least %lld",
                    (long long)config->width, (long long)config->height, layers, (long long)shortest);
}

/* Batch normalisation of a single number returns its shift; instance normalisation has no shift. */
static p2p_status check_bottleneck(const pix2pix_config *config) {
    const bool one_pixel = config->height >> config->depth == 1 && config->width >> config->depth == 1;
    if (config->norm != NN_NORM_instance || !config->bottleneck_norm || !one_pixel) return P2P_OK;
    return p2p_fail(P2P_INPUT,
                    "bottleneck_norm is on: instance normalisation of a bottleneck of one pixel would give 0 "
                    "whatever the image");
}

static p2p_status check_generator(const pix2pix_config *config) {
    P2P_TRY(check_count("input_channels", config->input_channels, 1, MAX_CHANNELS));
    P2P_TRY(check_count("output_channels", config->output_channels, 1, MAX_CHANNELS));
    P2P_TRY(check_count("ngf", config->ngf, 1, MAX_FILTERS));
    P2P_TRY(check_real("dropout", config->dropout, 0, 1));
    P2P_TRY(check_real("norm_eps", config->norm_eps, 0, 1));
    P2P_TRY(check_real("leaky_slope", config->leaky_slope, 0, 1));
    P2P_TRY(check_real("init_stddev", config->init_stddev, 0, HUGE_VAL));
    P2P_TRY(check_real("init_scale_stddev", config->init_scale_stddev, 0, HUGE_VAL));
    P2P_TRY(pix2pix_sides_check(config->depth, config->height, config->width));
    return check_bottleneck(config);
}

static p2p_status check_training(const pix2pix_config *config) {
    P2P_TRY(check_real("lambda_l1", config->lambda_l1, 0, HUGE_VAL));
    P2P_TRY(check_real("beta1", config->beta1, 0, 1));
    P2P_TRY(check_real("beta2", config->beta2, 0, 1));
    P2P_TRY(check_real("adam_eps", config->adam_eps, 0, 1));
    return check_real("norm_momentum", config->norm_momentum, 0, 1);
}

p2p_status pix2pix_config_check(const pix2pix_config *config) {
    P2P_TRY(check_generator(config));
    P2P_TRY(check_discriminator(config));
    return check_training(config);
}

/* ---- Networks ----------------------------------------------------------------------------------------- */

static nn_style style_of(const pix2pix_config *config) {
    return (nn_style){.norm = config->norm,
                      .init_stddev = config->init_stddev,
                      .init_resizing = config->init_resizing,
                      .init_scale_stddev = config->init_scale_stddev};
}

static p2p_status declare_generator(pix2pix *model) {
    p2p_network *network = p2p_network_create("generator");
    if (!network) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the generator");
    const pix2pix_config *config = &model->config;
    const generator_config shape = {.input_channels = config->input_channels,
                                    .output_channels = config->output_channels,
                                    .filters = config->ngf,
                                    .depth = config->depth,
                                    .dropout_blocks = config->dropout_blocks,
                                    .bottleneck_norm =
                                        config->bottleneck_norm && config->norm != NN_NORM_none,
                                    .style = style_of(config)};
    model->generator = generator_declare(network, &shape);
    return p2p_network_status(network);
}

static p2p_status declare_discriminator(pix2pix *model) {
    p2p_network *network = p2p_network_create("discriminator");
    if (!network) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the discriminator");
    const pix2pix_config *config = &model->config;
    const discriminator_config shape = {.net = config->discriminator_net,
                                        .input_channels = config->input_channels + config->output_channels,
                                        .filters = config->ndf,
                                        .layers = config->discriminator_layers,
                                        .style = style_of(config)};
    model->discriminator = discriminator_declare(network, &shape);
    return p2p_network_status(network);
}

static p2p_status create(pix2pix **model, const pix2pix_config *config, bool with_discriminator) {
    *model = NULL;
    pix2pix *created = calloc(1, sizeof *created);
    if (!created) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a model");
    created->config = *config;
    p2p_status status = declare_generator(created);
    if (status == P2P_OK && with_discriminator) status = declare_discriminator(created);
    if (status != P2P_OK) {
        pix2pix_destroy(created);
        return status;
    }
    *model = created;
    return P2P_OK;
}

p2p_status pix2pix_create(pix2pix **model, const pix2pix_config *config) {
    *model = NULL;
    P2P_TRY(pix2pix_config_check(config));
    return create(model, config, true);
}

p2p_status pix2pix_create_translator(pix2pix **model, const pix2pix_config *config) {
    *model = NULL;
    P2P_TRY(check_generator(config));
    return create(model, config, false);
}

void pix2pix_destroy(pix2pix *model) {
    if (!model) return;
    p2p_network_destroy(model->generator.network);
    p2p_network_destroy(model->discriminator.network);
    free(model);
}

/* ---- Graphs ------------------------------------------------------------------------------------------- */

pix2pix_graph_options pix2pix_graph_options_for(const pix2pix *model, int64_t batch) {
    return (pix2pix_graph_options){
        .local_batch = batch,
        .global_batch = batch,
        .world = 1,
        .height = model->config.height,
        .width = model->config.width,
        .input_type = P2P_TYPE_u8,
        .target_type = P2P_TYPE_u8,
        .output_type = P2P_TYPE_f32,
        .statistics = P2P_STATS_IMAGE,
    };
}

int64_t pix2pix_share(int64_t images, int shares, int number) {
    return images / shares + (number < images % shares);
}

int64_t pix2pix_share_first(int64_t images, int shares, int number) {
    const int64_t larger = images % shares;
    return images / shares * number + (number < larger ? number : larger);
}

static p2p_value add_pictures(p2p_graph *graph, const pix2pix_graph_options *options, const char *name,
                              p2p_type type, int64_t channels) {
    if (type == P2P_TYPE_u8 || type == P2P_TYPE_u16)
        return p2p_input_image(graph, name, type, channels, options->height, options->width);
    return p2p_input(graph, name, type, channels, options->height, options->width);
}

static p2p_value add_input(p2p_graph *graph, const pix2pix *model, const pix2pix_graph_options *options) {
    return add_pictures(graph, options, "input", options->input_type, model->config.input_channels);
}

static p2p_value add_target(p2p_graph *graph, const pix2pix *model, const pix2pix_graph_options *options) {
    return add_pictures(graph, options, "target", options->target_type, model->config.output_channels);
}

static nn_pass training_pass(const pix2pix_config *config) {
    return (nn_pass){.norm = {.over = P2P_STATS_BATCH,
                              .sync = config->sync_norm,
                              .update_running = true,
                              .eps = config->norm_eps,
                              .momentum = config->norm_momentum},
                     .slope = config->leaky_slope,
                     .dropout = config->dropout};
}

/* The pass, with its layers as outputs if the options request them. */
static nn_pass with_outputs(nn_pass pass, const pix2pix_graph_options *options, const char *layer_names) {
    pass.output_type = options->output_type;
    pass.layer_names = options->layer_outputs ? layer_names : NULL;
    return pass;
}

/* The mean over patches of the distance from the label. */
static p2p_value gan_loss(p2p_graph *graph, const pix2pix_config *config, p2p_value logits, int label,
                          double weight, const char *name) {
    if (config->gan_mode == PIX2PIX_GAN_lsgan) return p2p_loss_mse(graph, logits, label, weight, name);
    return p2p_loss_bce(graph, logits, label, weight, name);
}

/* The values that both halves of a step use. */
typedef struct {
    p2p_graph *graph;
    const pix2pix *model;
    const pix2pix_graph_options *options;
    p2p_value input, target, fake;
    p2p_value fake_pair, real_pair; /* concatenated with the input */
    bool adds;                      /* to the gradients of the parts before */
} training_step;

static p2p_value discriminate(const training_step *step, p2p_value pair, const char *pass_name) {
    const nn_pass pass = with_outputs(training_pass(&step->model->config), step->options, pass_name);
    return discriminator_apply(step->graph, &pass, &step->model->discriminator, pair);
}

static void backward(const training_step *step, const p2p_value losses[2], p2p_network *network) {
    if (step->adds)
        p2p_backward_add(step->graph, losses, 2, network);
    else
        p2p_backward(step->graph, losses, 2, network, NULL, 0, NULL);
}

/* Gradients of the discriminator's two losses. The fake pair comes before the real one, as published; the
 * order affects only the running statistics. */
static void discriminator_gradients(const training_step *step, p2p_value fake_logits) {
    const pix2pix_config *config = &step->model->config;
    p2p_graph *graph = step->graph;
    p2p_value real_logits = discriminate(step, step->real_pair, "d_real");
    const p2p_value losses[] = {
        gan_loss(graph, config, fake_logits, LABEL_FAKE, discriminator_loss_weight, "d_fake"),
        gan_loss(graph, config, real_logits, LABEL_REAL, discriminator_loss_weight, "d_real"),
    };
    backward(step, losses, step->model->discriminator.network);
}

/* Gradients of the generator's losses: the GAN loss of the fake labelled real, and the distance from the
 * target. */
static void generator_gradients(const training_step *step, p2p_value fake_logits) {
    const pix2pix_config *config = &step->model->config;
    p2p_graph *graph = step->graph;
    const p2p_value losses[] = {
        gan_loss(graph, config, fake_logits, LABEL_REAL, 1, "g_gan"),
        p2p_loss_l1(graph, step->fake, step->target, config->lambda_l1, "g_l1"),
    };
    backward(step, losses, step->model->generator.network);
}

/* One update, with the sum of the gradients over replicas. */
static void update(const training_step *step, p2p_network *network) {
    const pix2pix_config *config = &step->model->config;
    p2p_all_reduce_gradients(step->graph, network);
    p2p_adam(step->graph, network, config->beta1, config->beta2, config->adam_eps);
}

/* ---- Parts of the batch ------------------------------------------------------------------------------- */

typedef struct {
    p2p_graph *graph;
    const pix2pix *model;
    const pix2pix_graph_options *options;
    int parts;
    training_step steps[PIX2PIX_MOST_PARTS];
} training_build;

static void begin_part(const training_build *b, int part) {
    const int64_t batch = b->options->local_batch;
    if (b->parts > 1)
        p2p_graph_part(b->graph, pix2pix_share_first(batch, b->parts, part),
                       pix2pix_share(batch, b->parts, part));
}

static void generate(training_step *step, bool update_running) {
    nn_pass pass = with_outputs(training_pass(&step->model->config), step->options, "generator");
    pass.norm.update_running = update_running;
    step->fake = generator_apply(step->graph, &pass, &step->model->generator, step->input);
}

/* The part's inputs and its generator's pass. */
static training_step *begin_step(training_build *b, int part) {
    training_step *step = &b->steps[part];
    begin_part(b, part);
    *step = (training_step){.graph = b->graph, .model = b->model, .options = b->options, .adds = part > 0};
    step->input = add_input(b->graph, b->model, b->options);
    step->target = add_target(b->graph, b->model, b->options);
    generate(step, true);
    if (b->options->layer_outputs) p2p_output(b->graph, "generated", step->fake, b->options->output_type);
    step->fake_pair = p2p_concat(b->graph, step->input, step->fake);
    step->real_pair = p2p_concat(b->graph, step->input, step->target);
    return step;
}

/* Computes the generator's pass again, whose results are not kept from part to part. */
static training_step *repeat_step(training_build *b, int part) {
    training_step *step = &b->steps[part];
    if (b->parts == 1) return step;
    begin_part(b, part);
    generate(step, false);
    step->fake_pair = p2p_concat(b->graph, step->input, step->fake);
    return step;
}

static void train_discriminator_first(training_build *b) {
    for (int part = 0; part < b->parts; part++) {
        const training_step *step = begin_step(b, part);
        discriminator_gradients(step, discriminate(step, p2p_detach(b->graph, step->fake_pair), "d_fake"));
    }
    update(&b->steps[0], b->model->discriminator.network);
    for (int part = 0; part < b->parts; part++) {
        const training_step *step = repeat_step(b, part);
        generator_gradients(step, discriminate(step, step->fake_pair, "g_gan"));
    }
    update(&b->steps[0], b->model->generator.network);
}

/* Both gradients are computed before either update, and one pass over the fake serves both: the generator's
 * half computes no gradients of the discriminator, the discriminator's half none of the generator. */
static void train_simultaneously(training_build *b) {
    for (int part = 0; part < b->parts; part++) {
        const training_step *step = begin_step(b, part);
        p2p_value fake_logits = discriminate(step, step->fake_pair, "d_fake");
        discriminator_gradients(step, fake_logits);
        generator_gradients(step, fake_logits);
    }
    update(&b->steps[0], b->model->discriminator.network);
    update(&b->steps[0], b->model->generator.network);
}

static int parts_of(const pix2pix_graph_options *options) {
    const int64_t most =
        options->local_batch < PIX2PIX_MOST_PARTS ? options->local_batch : PIX2PIX_MOST_PARTS;
    return options->parts < 2 || most < 2 ? 1 : options->parts < most ? options->parts : (int)most;
}

static void build_training(p2p_graph *graph, const pix2pix *model, const pix2pix_graph_options *options) {
    training_build b = {.graph = graph, .model = model, .options = options, .parts = parts_of(options)};
    if (model->config.d_order == PIX2PIX_D_simultaneous)
        train_simultaneously(&b);
    else
        train_discriminator_first(&b);
}

static void build_evaluation(p2p_graph *graph, const pix2pix *model, const pix2pix_graph_options *options,
                             bool target) {
    const pix2pix_config *config = &model->config;
    p2p_graph_images_apart(graph);
    p2p_value input = add_input(graph, model, options);
    nn_pass pass = training_pass(config);
    pass.norm.over = options->statistics;
    pass.norm.sync = false;
    pass.norm.update_running = false;
    if (options->no_dropout) pass.dropout = 0;
    pass = with_outputs(pass, options, "generator");
    p2p_value generated = generator_apply(graph, &pass, &model->generator, input);
    p2p_output(graph, "generated", generated, options->output_type);
    if (target) p2p_loss_l1(graph, generated, add_target(graph, model, options), 1, "l1");
}

static p2p_status create_graph(const pix2pix *model, const pix2pix_graph_options *options,
                               p2p_graph **graph) {
    *graph = NULL;
    P2P_TRY(pix2pix_sides_check(model->config.depth, options->height, options->width));
    *graph = p2p_graph_create(options->local_batch, options->global_batch, options->world);
    return *graph ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a graph");
}

static p2p_status finish_graph(p2p_graph **graph) {
    p2p_status status = p2p_graph_status(*graph);
    if (status == P2P_OK) return P2P_OK;
    p2p_graph_destroy(*graph);
    *graph = NULL;
    return status;
}

p2p_status pix2pix_graph_train(const pix2pix *model, const pix2pix_graph_options *options,
                               p2p_graph **graph) {
    *graph = NULL;
    if (!model->discriminator.network)
        return p2p_fail(P2P_INVALID, "a model made for translation has no training step");
    P2P_TRY(create_graph(model, options, graph));
    build_training(*graph, model, options);
    return finish_graph(graph);
}

p2p_status pix2pix_graph_evaluate(const pix2pix *model, const pix2pix_graph_options *options, bool target,
                                  p2p_graph **graph) {
    P2P_TRY(create_graph(model, options, graph));
    build_evaluation(*graph, model, options, target);
    return finish_graph(graph);
}

int64_t pix2pix_parameters(const p2p_network *network) {
    int64_t elements = 0;
    for (int p = 0; p < p2p_network_param_count(network); p++) {
        const p2p_param_info *info = p2p_network_param(network, (p2p_param){p});
        if (info->kind != P2P_PARAM_RUNNING) elements += p2p_param_elements(info);
    }
    return elements;
}

int64_t pix2pix_passes(const pix2pix *model, const p2p_network *network, int64_t steps) {
    if (network != model->discriminator.network) return steps;
    return model->config.d_order == PIX2PIX_D_simultaneous ? 2 * steps : 3 * steps;
}
