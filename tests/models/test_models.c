/* The models as descriptions: parameters and their names against PyTorch's (golden/state_dicts.txt), settings
 * and sizes that are refused, and the contents of the step graphs. Then data parallelism: two replicas of a
 * whole pix2pix against one. test_golden tests the numbers.
 */
#include "graph/ir.h"
#include "pix2pix.h"
#include "support/test_files.h"
#include "support/test_graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_plan.h"

static pix2pix *create(const pix2pix_config *config) {
    pix2pix *model;
    OK(pix2pix_create(&model, config));
    return model;
}

/* ---- Parameters --------------------------------------------------------------------------------------- */

/* The next line of the network `name` in PyTorch's list: "key extent extent ...". */
static bool next_line(FILE *list, const char *name, char *line, int size) {
    while (fgets(line, size, list)) {
        line[strcspn(line, "\n")] = '\0';
        const size_t length = strlen(name);
        if (strncmp(line, name, length) != 0 || line[length] != ' ') continue;
        memmove(line, line + length + 1, strlen(line + length + 1) + 1);
        return true;
    }
    return false;
}

static void assert_line(FILE *list, const char *name, const char *expected) {
    char line[256];
    if (!next_line(list, name, line, sizeof line))
        fail_msg("PyTorch has no further tensor like %s", expected);
    assert_string_equal(line, expected);
}

/* The network's parameters are PyTorch's tensors, in PyTorch's order, running statistics three at a time. */
static void check_names(const p2p_network *network, const char *name, int64_t trainable) {
    FILE *list = fopen(test_golden("state_dicts.txt"), "r");
    assert_non_null(list);
    for (int p = 0; p < p2p_network_param_count(network); p++) {
        const p2p_param_info *info = p2p_network_param(network, (p2p_param){p});
        const long long *s =
            (const long long[]){info->shape[0], info->shape[1], info->shape[2], info->shape[3]};
        char expected[256];
        if (info->kind != P2P_PARAM_RUNNING) {
            if (info->kind == P2P_PARAM_FILTER)
                snprintf(expected, sizeof expected, "%s %lld %lld %lld %lld", info->name, s[0], s[1], s[2],
                         s[3]);
            else
                snprintf(expected, sizeof expected, "%s %lld", info->name, s[0]);
            assert_line(list, name, expected);
            continue;
        }
        const char *part = strrchr(info->name, '.');
        assert_string_equal(part, ".running");
        const int layer = (int)(part - info->name);
        snprintf(expected, sizeof expected, "%.*s.running_mean %lld", layer, info->name, s[1]);
        assert_line(list, name, expected);
        snprintf(expected, sizeof expected, "%.*s.running_var %lld", layer, info->name, s[1]);
        assert_line(list, name, expected);
        snprintf(expected, sizeof expected, "%.*s.num_batches_tracked", layer, info->name);
        assert_line(list, name, expected);
    }
    char line[256];
    if (next_line(list, name, line, sizeof line)) fail_msg("PyTorch also has %s", line);
    fclose(list);
    assert_int_equal(pix2pix_parameters(network), trainable);
}

static void test_names(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    pix2pix *model = create(&config);
    check_names(model->generator.network, "unet_256", 54413955);
    check_names(model->discriminator.network, "patchgan_70", 2768705);
    pix2pix_destroy(model);
    config.height = config.width = 128;
    config.depth = pix2pix_depth_for(128, 128);
    config.discriminator_layers = 1;
    model = create(&config);
    check_names(model->generator.network, "unet_128", 41828995);
    check_names(model->discriminator.network, "patchgan_16", 139585);
    pix2pix_destroy(model);
}

/* Both networks of a configuration against PyTorch's lists. */
static void check_variant(const pix2pix_config *config, const char *generator_name, int64_t generator_numbers,
                          const char *discriminator_name, int64_t discriminator_numbers) {
    pix2pix *model = create(config);
    check_names(model->generator.network, generator_name, generator_numbers);
    check_names(model->discriminator.network, discriminator_name, discriminator_numbers);
    pix2pix_destroy(model);
}

/* Without batch normalisation every convolution has a bias: 16 of them, 32 tensors. */
static void test_names_of_variants(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    config.norm = NN_NORM_instance;
    check_variant(&config, "unet_256_instance", 54409603, "patchgan_70_instance", 2767809);
    pix2pix *model = create(&config);
    assert_int_equal(p2p_network_param_count(model->generator.network), 32);
    pix2pix_destroy(model);
    config.discriminator_net = DISCRIMINATOR_pixel;
    check_variant(&config, "unet_256_instance", 54409603, "pixel_instance", 8897);
    config.norm = NN_NORM_none;
    config.bottleneck_norm = true; /* does not add tensors either */
    config.discriminator_net = DISCRIMINATOR_patch;
    check_variant(&config, "unet_256_none", 54409603, "patchgan_70_none", 2767809);
    config.norm = NN_NORM_batch;
    config.bottleneck_norm = true;
    config.discriminator_net = DISCRIMINATOR_pixel;
    check_variant(&config, "unet_256_tensorflow", 54413955 + 2 * 512, "pixel", 9024);
    config.bottleneck_norm = false;
    config.height = config.width = 128;
    config.depth = 7;
    config.input_channels = 1;
    config.output_channels = 4;
    config.discriminator_net = DISCRIMINATOR_patch;
    config.discriminator_layers = 5;
    check_variant(&config, "unet_128_channels", 41828996, "patchgan_286_channels", 11158337);
}

/* Initial distributions by kind of parameter. */
static void check_distributions(const p2p_network *network, double stddev, double scale_stddev) {
    for (int p = 0; p < p2p_network_param_count(network); p++) {
        const p2p_param_info *info = p2p_network_param(network, (p2p_param){p});
        const bool weight = strstr(info->name, ".weight") != NULL, filter = info->kind == P2P_PARAM_FILTER;
        if (info->kind == P2P_PARAM_RUNNING) continue;
        assert_true(info->mean == (weight && !filter ? 1 : 0));
        assert_true(info->stddev == (!weight ? 0 : filter ? stddev : scale_stddev));
    }
}

static int count_resizing(const p2p_network *network) {
    int count = 0;
    for (int p = 0; p < p2p_network_param_count(network); p++)
        count += p2p_network_param(network, (p2p_param){p})->resizing;
    return count;
}

/* With init_resizing the filters of all blocks of the decoder, and no others. */
static void test_resizing_filters(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    for (int on = 0; on < 2; on++) {
        config.init_resizing = on == 1;
        pix2pix *model = create(&config);
        assert_int_equal(count_resizing(model->generator.network), on ? config.depth : 0);
        assert_int_equal(count_resizing(model->discriminator.network), 0);
        check_distributions(model->generator.network, config.init_stddev, config.init_scale_stddev);
        pix2pix_destroy(model);
    }
}

static void test_distributions(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    for (int round = 0; round < 2; round++) {
        pix2pix *model = create(&config);
        check_distributions(model->generator.network, config.init_stddev, config.init_scale_stddev);
        check_distributions(model->discriminator.network, config.init_stddev, config.init_scale_stddev);
        pix2pix_destroy(model);
        assert_true(round == 1 || (config.init_stddev == 0.02 && config.init_scale_stddev == 0.02));
        config.init_stddev = 0.25;
        config.init_scale_stddev = 0; /* exactly 1, as in Keras */
    }
}

/* ---- Settings and sizes ------------------------------------------------------------------------------- */

static void test_depths(void **state) {
    (void)state;
    assert_int_equal(pix2pix_depth_for(256, 256), 8);
    assert_int_equal(pix2pix_depth_for(128, 128), 7);
    assert_int_equal(pix2pix_depth_for(512, 1024), 8);
    assert_int_equal(pix2pix_depth_for(96, 256), 5);
    assert_int_equal(pix2pix_depth_for(4, 4), 2);
    assert_int_equal(pix2pix_depth_for(2, 2), 0);
    assert_int_equal(pix2pix_depth_for(255, 256), 0);
    assert_int_equal(pix2pix_depth_for(0, 0), 0);
}

static void test_sides(void **state) {
    (void)state;
    OK(pix2pix_sides_check(8, 256, 512));
    OK(pix2pix_sides_check(2, 4, 20));
    REFUSED(pix2pix_sides_check(8, 300, 500), P2P_INPUT, "500x300");
    REFUSED(pix2pix_sides_check(8, 300, 500), P2P_INPUT, "nearest size is 512x256");
    REFUSED(pix2pix_sides_check(8, 100, 256), P2P_INPUT, "multiples of 256, the nearest size is 256x256");
    REFUSED(pix2pix_sides_check(8, 0, 256), P2P_INPUT, "height is 0");
    REFUSED(pix2pix_sides_check(8, 256, INT64_MAX), P2P_INPUT, "width is 9223372036854775807");
    REFUSED(pix2pix_sides_check(1, 2, 2), P2P_INPUT, "depth is 1");
    REFUSED(pix2pix_sides_check(13, 8192, 8192), P2P_INPUT, "depth is 13");
}

static void test_refused_settings(void **state) {
    (void)state;
    pix2pix *model;
#define REFUSED_FIELD(field, value, fragment)                                                                \
    do {                                                                                                     \
        pix2pix_config config = pix2pix_config_default();                                                    \
        config.field = value;                                                                                \
        REFUSED(pix2pix_create(&model, &config), P2P_INPUT, fragment);                                       \
        assert_null(model);                                                                                  \
    } while (0)
    REFUSED_FIELD(height, 255, "256x255");
    REFUSED_FIELD(input_channels, 0, "input_channels is 0");
    REFUSED_FIELD(output_channels, 65, "output_channels is 65");
    REFUSED_FIELD(ngf, 0, "ngf is 0");
    REFUSED_FIELD(ndf, 1025, "ndf is 1025");
    REFUSED_FIELD(discriminator_layers, 0, "discriminator_layers is 0");
    REFUSED_FIELD(dropout, 1, "dropout is 1");
    REFUSED_FIELD(dropout, NAN, "dropout is nan");
    REFUSED_FIELD(lambda_l1, -1, "lambda_l1 is -1");
    REFUSED_FIELD(beta1, 1, "beta1 is 1");
    REFUSED_FIELD(beta2, -0.5, "beta2 is -0.5");
    REFUSED_FIELD(adam_eps, NAN, "adam_eps is nan");
    REFUSED_FIELD(norm_eps, -1, "norm_eps is -1");
    REFUSED_FIELD(norm_momentum, 1.5, "norm_momentum is 1.5");
    REFUSED_FIELD(leaky_slope, 1, "leaky_slope is 1");
    REFUSED_FIELD(leaky_slope, -0.1, "leaky_slope is -0.1");
    REFUSED_FIELD(init_stddev, INFINITY, "init_stddev is inf");
    REFUSED_FIELD(init_scale_stddev, -1, "init_scale_stddev is -1");
#undef REFUSED_FIELD
}

/* With three layers, 24 pixels give one patch and 22 none. */
static void test_small_images(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    config.depth = 3;
    config.height = config.width = 24;
    pix2pix_destroy(create(&config));
    config.width = 16;
    pix2pix *model;
    REFUSED(pix2pix_create(&model, &config), P2P_INPUT, "needs sides of at least 24");
    config.discriminator_layers = 2;
    pix2pix_destroy(create(&config));
    assert_int_equal(discriminator_patches(DISCRIMINATOR_patch, 3, 256), 30);
    config.depth = 2;
    config.height = config.width = 4; /* the pixel discriminator takes any size */
    REFUSED(pix2pix_create(&model, &config), P2P_INPUT, "needs sides of at least");
    config.discriminator_net = DISCRIMINATOR_pixel;
    pix2pix_destroy(create(&config));
    assert_int_equal(discriminator_patches(DISCRIMINATOR_pixel, 3, 256), 256);
}

/* Over one pixel, instance normalisation would return 0 for every image; batch normalisation returns its
 * shift. A larger bottleneck is valid. */
static void test_bottleneck_of_one_pixel(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    config.bottleneck_norm = true;
    pix2pix_destroy(create(&config));
    config.norm = NN_NORM_instance;
    pix2pix *model;
    REFUSED(pix2pix_create(&model, &config), P2P_INPUT, "bottleneck_norm is on");
    config.width = 512;
    pix2pix_destroy(create(&config));
}

/* ---- Graphs ------------------------------------------------------------------------------------------- */

/* 16 layers in the generator; 5 in the discriminator, which is applied to three pairs. The generator's half
 * computes no gradient of the discriminator's filters, the discriminator's half none of the generator. */
static void test_training_graph(void **state) {
    (void)state;
    const pix2pix_config config = pix2pix_config_default();
    pix2pix *model = create(&config);
    const pix2pix_graph_options options = pix2pix_graph_options_for(model, 2);
    p2p_graph *graph;
    OK(pix2pix_graph_train(model, &options, &graph));
    assert_int_equal(count_nodes(graph, P2P_KIND_conv_bwd_filter), 16 + 2 * 5);
    /* Forward: 8 + 3 * 5, and the gradients of 8 transposed layers. */
    assert_int_equal(count_nodes(graph, P2P_KIND_conv_fwd), 8 + 3 * 5 + 8);
    /* Forward 8; gradients of 7 encoders, 2 * 4 layers in the discriminator's half, all 5 in the other. */
    assert_int_equal(count_nodes(graph, P2P_KIND_conv_bwd_data), 8 + 7 + 2 * 4 + 5);
    assert_int_equal(count_nodes(graph, P2P_KIND_adam), 2);
    assert_int_equal(count_nodes(graph, P2P_KIND_loss_bce), 3);
    assert_int_equal(count_nodes(graph, P2P_KIND_loss_l1), 1);
    assert_int_equal(count_nodes(graph, P2P_KIND_all_reduce), 0);
    p2p_graph_destroy(graph);
    pix2pix_destroy(model);
}

/* Both gradients are those of the old discriminator: one of its forward passes is gone, and no gradient. Both
 * updates follow both gradients. */
static void test_simultaneous_graph(void **state) {
    (void)state;
    int counts[2][P2P_KIND_COUNT];
    for (int order = 0; order < 2; order++) {
        pix2pix_config config = pix2pix_config_default();
        config.d_order = (pix2pix_d_order)order;
        pix2pix *model = create(&config);
        const pix2pix_graph_options options = pix2pix_graph_options_for(model, 2);
        p2p_graph *graph;
        OK(pix2pix_graph_train(model, &options, &graph));
        for (int kind = 0; kind < P2P_KIND_COUNT; kind++)
            counts[order][kind] = count_nodes(graph, (p2p_kind)kind);
        if (order == PIX2PIX_D_simultaneous)
            for (int i = 0; i < graph->node_count; i++)
                assert_true((graph->nodes[i].op.kind == P2P_KIND_adam) == (i >= graph->node_count - 2));
        assert_int_equal(pix2pix_passes(model, model->discriminator.network, 10),
                         order == PIX2PIX_D_simultaneous ? 20 : 30);
        p2p_graph_destroy(graph);
        pix2pix_destroy(model);
    }
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++) {
        int gone = counts[PIX2PIX_D_first][kind] - counts[PIX2PIX_D_simultaneous][kind];
        switch (kind) {
        case P2P_KIND_conv_fwd: /* five layers, four activations, three normalisations, two biases */
            assert_int_equal(gone, 5);
            break;
        case P2P_KIND_act_fwd:
            assert_int_equal(gone, 4);
            break;
        case P2P_KIND_norm_stats:
        case P2P_KIND_norm_apply:
            assert_int_equal(gone, 3);
            break;
        case P2P_KIND_axpby:
            assert_int_equal(gone, 2);
            break;
        default:
            if (gone != 0) fail_msg("%d of %s are gone", gone, p2p_kind_name((p2p_kind)kind));
        }
    }
}

/* The numbers and kinds of a configuration appear in the operations. */
static void test_settings_in_the_graph(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    config.norm_eps = 0.25;
    config.norm_momentum = 0.375;
    config.leaky_slope = 0.125;
    config.dropout = 0.75;
    config.dropout_blocks = GENERATOR_DROPOUT_innermost;
    config.gan_mode = PIX2PIX_GAN_lsgan;
    config.beta1 = 0.5625;
    config.beta2 = 0.625;
    config.adam_eps = 0.0625;
    pix2pix *model = create(&config);
    const pix2pix_graph_options options = pix2pix_graph_options_for(model, 2);
    p2p_graph *graph;
    OK(pix2pix_graph_train(model, &options, &graph));
    assert_int_equal(count_nodes(graph, P2P_KIND_loss_mse), 3);
    assert_int_equal(count_nodes(graph, P2P_KIND_loss_bce), 0);
    assert_int_equal(count_nodes(graph, P2P_KIND_dropout), 2 * 3);
    assert_int_equal(count_nodes(graph, P2P_KIND_norm_apply), 13 + 3 * 3);
    assert_int_equal(count_nodes(graph, P2P_KIND_adam), 2);
    for (int i = 0; i < graph->node_count; i++) {
        const p2p_op *op = &graph->nodes[i].op;
        if (op->kind == P2P_KIND_norm_apply) assert_true(op->eps == 0.25 && op->momentum == 0.375);
        if (op->kind == P2P_KIND_act_fwd && op->act == P2P_ACT_lrelu) assert_true(op->slope == 0.125);
        if (op->kind == P2P_KIND_dropout) assert_true(op->dropout == 0.75);
        if (op->kind == P2P_KIND_adam)
            assert_true(op->beta1 == 0.5625 && op->beta2 == 0.625 && op->eps == 0.0625);
    }
    p2p_graph_destroy(graph);
    pix2pix_destroy(model);
}

/* Instance normalisation uses each image's own statistics in training too and updates none.
 * Without normalisation there is no such operation. */
static void test_norms_in_the_graph(void **state) {
    (void)state;
    for (nn_norm_kind norm = NN_NORM_batch; norm <= NN_NORM_none; norm++) {
        pix2pix_config config = pix2pix_config_default();
        config.norm = norm;
        pix2pix *model = create(&config);
        pix2pix_graph_options options = pix2pix_graph_options_for(model, 2);
        options.statistics = P2P_STATS_RUNNING;
        p2p_graph *graphs[2];
        OK(pix2pix_graph_train(model, &options, &graphs[0]));
        OK(pix2pix_graph_evaluate(model, &options, false, &graphs[1]));
        assert_int_equal(count_nodes(graphs[0], P2P_KIND_norm_apply), norm == NN_NORM_none ? 0 : 13 + 3 * 3);
        assert_int_equal(count_nodes(graphs[1], P2P_KIND_norm_apply), norm == NN_NORM_none ? 0 : 13);
        for (int g = 0; g < 2; g++) {
            for (int i = 0; i < graphs[g]->node_count; i++) {
                const ir_node *node = &graphs[g]->nodes[i];
                if (node->op.kind != P2P_KIND_norm_apply) continue;
                assert_int_equal(node->op.images, norm == NN_NORM_instance);
                assert_int_equal(node->value[P2P_AT_norm_apply_scale] != 0, norm == NN_NORM_batch);
                assert_int_equal(node->value[P2P_AT_norm_apply_running] != 0, norm == NN_NORM_batch);
            }
            p2p_graph_destroy(graphs[g]);
        }
        pix2pix_destroy(model);
    }
}

/* An evaluation changes no state; statistics are each image's own. */
static void test_evaluation_graph(void **state) {
    (void)state;
    const pix2pix_config config = pix2pix_config_default();
    pix2pix *model;
    OK(pix2pix_create_translator(&model, &config));
    pix2pix_graph_options options = pix2pix_graph_options_for(model, 4);
    options.width = 512;
    p2p_graph *graph;
    OK(pix2pix_graph_evaluate(model, &options, false, &graph));
    assert_int_equal(count_nodes(graph, P2P_KIND_dropout), 3);
    assert_int_equal(count_nodes(graph, P2P_KIND_norm_apply), 6 + 7);
    for (int i = 0; i < graph->node_count; i++) {
        const ir_node *node = &graph->nodes[i];
        if (node->op.kind == P2P_KIND_norm_apply) {
            assert_int_equal(node->value[P2P_AT_norm_apply_running], 0);
            assert_int_equal(node->op.images, 1);
        }
        assert_false(node->backward);
    }
    p2p_graph_destroy(graph);
    options.no_dropout = true;
    OK(pix2pix_graph_evaluate(model, &options, true, &graph));
    assert_int_equal(count_nodes(graph, P2P_KIND_dropout), 0);
    assert_int_equal(count_nodes(graph, P2P_KIND_loss_l1), 1);
    p2p_graph_destroy(graph);
    options.width = 500;
    REFUSED(pix2pix_graph_evaluate(model, &options, false, &graph), P2P_INPUT, "500x256");
    assert_null(graph);
    options.width = 256;
    REFUSED(pix2pix_graph_train(model, &options, &graph), P2P_INVALID, "no training step");
    assert_null(graph);
    pix2pix_destroy(model);
}

/* ---- Data parallelism --------------------------------------------------------------------------------- */

enum { PARALLEL_STEPS = 5, PARALLEL_BATCH = 4, MOST_REPLICAS = 2, SIDE = 64 };

/* A training over all images by some replicas, dropout included. */
typedef struct {
    pix2pix *model;
    p2p_device *devices[MOST_REPLICAS];
    int replicas;
    p2p_graph *graph;
    p2p_session *session;
    p2p_plan *plan;
    double losses[PARALLEL_STEPS][4];
} parallel;

static void fill_pictures(uint8_t *pixels, int64_t first, int64_t images, int salt) {
    const int64_t size = (int64_t)SIDE * SIDE * 3;
    for (int64_t i = 0; i < images * size; i++) {
        const int64_t pixel = first * size + i;
        pixels[i] = (uint8_t)(127.5 + 120 * sin((double)pixel * (0.01 + 0.003 * salt) + salt));
    }
}

static void run_parallel(parallel *t, int step) {
    static const char *const names[] = {"d_fake", "d_real", "g_gan", "g_l1"};
    const int64_t share = PARALLEL_BATCH / t->replicas;
    for (int r = 0; r < t->replicas; r++) {
        fill_pictures(test_plan_input(t->plan, r, "input"), r * share, share, step);
        fill_pictures(test_plan_input(t->plan, r, "target"), r * share, share, step + 100);
    }
    OK(p2p_plan_run(t->plan, &(p2p_step){.seed = 9, .step = (uint32_t)step, .learning_rate = 2e-4}));
    OK(p2p_plan_wait(t->plan));
    for (int i = 0; i < 4; i++) OK(p2p_plan_loss(t->plan, names[i], &t->losses[step][i]));
}

static void train_parallel(parallel *t, const pix2pix_config *config, int replicas) {
    *t = (parallel){.replicas = replicas};
    t->model = create(config);
    for (int r = 0; r < replicas; r++) {
        char address[32];
        snprintf(address, sizeof address, "reference:%d", r);
        OK(p2p_device_open(address, &t->devices[r]));
    }
    pix2pix_graph_options options = pix2pix_graph_options_for(t->model, PARALLEL_BATCH);
    options.local_batch = PARALLEL_BATCH / replicas;
    options.world = replicas;
    OK(pix2pix_graph_train(t->model, &options, &t->graph));
    p2p_graph *graphs[] = {t->graph, t->graph};
    OK(p2p_session_create(t->devices, replicas, NULL, &t->session));
    OK(p2p_session_plan(t->session, "train", graphs, &t->plan));
    OK(p2p_session_allocate(t->session, NULL, NULL));
    OK(p2p_session_initialise(t->session, t->model->generator.network, 1));
    OK(p2p_session_initialise(t->session, t->model->discriminator.network, 2));
    for (int step = 0; step < PARALLEL_STEPS; step++) run_parallel(t, step);
}

static void close_parallel(parallel *t) {
    p2p_session_destroy(t->session);
    p2p_graph_destroy(t->graph);
    for (int r = 0; r < t->replicas; r++) p2p_device_close(t->devices[r]);
    pix2pix_destroy(t->model);
}

/* ||a - b|| / ||b|| over one parameter. */
static double state_difference(const parallel *a, p2p_network *of_a, const parallel *b, p2p_network *of_b,
                               int p) {
    const int64_t count = p2p_param_elements(p2p_network_param(of_a, (p2p_param){p}));
    double *x = malloc((size_t)count * sizeof *x), *y = malloc((size_t)count * sizeof *y);
    assert_true(x && y);
    OK(p2p_session_read(a->session, of_a, (p2p_param){p}, P2P_STATE_VALUE, P2P_TYPE_f64, x));
    OK(p2p_session_read(b->session, of_b, (p2p_param){p}, P2P_STATE_VALUE, P2P_TYPE_f64, y));
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += (x[i] - y[i]) * (x[i] - y[i]);
        size += y[i] * y[i];
    }
    free(x);
    free(y);
    return sqrt(difference / size);
}

/* A bias that instance normalisation removes has a true gradient of zero: Adam moves it by noise. The other
 * biases belong to convolutions without a normalisation: the U-Net's first, innermost (at depth 6) and last,
 * the pixel discriminator's first and last. */
static bool vanishes(const pix2pix_config *config, const p2p_network *network, int p) {
    static const char *const counted[] = {"model.model.0.bias",
                                          "model.model.1.model.3.model.3.model.3.model.3.model.1.bias",
                                          "model.model.3.bias", "net.0.bias", "net.5.bias"};
    const char *name = p2p_network_param(network, (p2p_param){p})->name;
    if (config->norm != NN_NORM_instance || !strstr(name, ".bias")) return false;
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
        if (strcmp(name, counted[i]) == 0) return false;
    }
    return true;
}

/* Two replicas with half the images each, and statistics reduced over both, equal one with all images. */
static void check_two_replicas(const pix2pix_config *config) {
    const double bound = 1e-9;
    static parallel one, two;
    train_parallel(&one, config, 1);
    train_parallel(&two, config, 2);
    double worst = 0;
    for (int step = 0; step < PARALLEL_STEPS; step++)
        for (int i = 0; i < 4; i++)
            worst = fmax(worst, fabs(two.losses[step][i] - one.losses[step][i]) / one.losses[step][i]);
    p2p_network *of_two[] = {two.model->generator.network, two.model->discriminator.network};
    p2p_network *of_one[] = {one.model->generator.network, one.model->discriminator.network};
    for (int n = 0; n < 2; n++)
        for (int p = 0; p < p2p_network_param_count(of_one[n]); p++)
            if (!vanishes(config, of_one[n], p))
                worst = fmax(worst, state_difference(&two, of_two[n], &one, of_one[n], p));
    print_message("after %d steps, two replicas differ from one by %.1e, allowed is %.0e\n", PARALLEL_STEPS,
                  worst, bound);
    assert_true(worst <= bound);
    close_parallel(&one);
    close_parallel(&two);
}

static void test_two_replicas(void **state) {
    (void)state;
    pix2pix_config config = pix2pix_config_default();
    config.height = config.width = SIDE;
    config.depth = 6; /* with one block of dropout */
    config.ngf = config.ndf = 2;
    config.sync_norm = true;
    check_two_replicas(&config);
    config.d_order = PIX2PIX_D_simultaneous;
    config.bottleneck_norm = true;
    config.dropout_blocks = GENERATOR_DROPOUT_innermost;
    check_two_replicas(&config);
    config.norm = NN_NORM_instance;
    config.bottleneck_norm = false;
    config.gan_mode = PIX2PIX_GAN_lsgan;
    config.discriminator_net = DISCRIMINATOR_pixel;
    check_two_replicas(&config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_of_variants),
        cmocka_unit_test(test_bottleneck_of_one_pixel),
        cmocka_unit_test(test_simultaneous_graph),
        cmocka_unit_test(test_settings_in_the_graph),
        cmocka_unit_test(test_norms_in_the_graph),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_resizing_filters),
        cmocka_unit_test(test_depths),
        cmocka_unit_test(test_sides),
        cmocka_unit_test(test_refused_settings),
        cmocka_unit_test(test_small_images),
        cmocka_unit_test(test_training_graph),
        cmocka_unit_test(test_evaluation_graph),
        cmocka_unit_test(test_two_replicas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
