/* The graph builder and the structure of gradients, without any device: shapes, refusals with their messages,
 * and small graphs compared with their text, a line per node. test_grad.c tests the numbers.
 */
#include "support/test_graph.h"
#include "graph/ir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const p2p_param NO_PARAM = {-1};

/* ---- Helpers ------------------------------------------------------------------------------------------ */

/* The caller frees *text. */
static void graph_text(const p2p_graph *graph, char **text) {
    size_t size = 0;
    FILE *stream = open_memstream(text, &size);
    assert_non_null(stream);
    ir_print(graph, stream);
    fclose(stream);
}

static void expect_text(const p2p_graph *graph, const char *expected) {
    if (p2p_graph_status(graph) != P2P_OK) fail_msg("%s", p2p_message());
    char *text = NULL;
    graph_text(graph, &text);
    assert_string_equal(text, expected);
    free(text);
}

static void expect_shape(const p2p_graph *graph, p2p_value value, int64_t n, int64_t c, int64_t h,
                         int64_t w) {
    int64_t shape[4];
    if (p2p_graph_status(graph) != P2P_OK) fail_msg("%s", p2p_message());
    p2p_value_shape(graph, value, shape);
    assert_int_equal(shape[0], n);
    assert_int_equal(shape[1], c);
    assert_int_equal(shape[2], h);
    assert_int_equal(shape[3], w);
}

/* The graph has failed with a message that contains both texts. */
static void expect_failure(const p2p_graph *graph, const char *word, const char *other) {
    assert_int_equal(p2p_graph_status(graph), P2P_INVALID);
    if (!strstr(p2p_message(), word) || !strstr(p2p_message(), other))
        fail_msg("'%s' and '%s' are not both in: %s", word, other, p2p_message());
}

/* A network with one parameter of every kind: conv 3 -> 4 of 4x4, its bias, a normalisation over 4. */
typedef struct {
    p2p_network *network;
    p2p_param w, bias, scale, shift, running;
} layer;

static layer layer_create(const char *name) {
    layer l = {.network = p2p_network_create(name)};
    l.w = p2p_network_filter(l.network, "conv.weight", 4, 3, 4, 4, 0, 0.02);
    l.bias = p2p_network_vector(l.network, "conv.bias", 4, 0, 0);
    l.scale = p2p_network_vector(l.network, "norm.weight", 4, 1, 0.02);
    l.shift = p2p_network_vector(l.network, "norm.bias", 4, 0, 0);
    l.running = p2p_network_running(l.network, "norm.running", 4);
    return l;
}

static const p2p_norm_options batch_norm = {
    .over = P2P_STATS_BATCH, .update_running = true, .eps = 1e-5, .momentum = 0.1};

/* ---- Networks ----------------------------------------------------------------------------------------- */

static void test_network(void **state) {
    (void)state;
    layer l = layer_create("G");
    assert_int_equal(p2p_network_status(l.network), P2P_OK);
    assert_string_equal(p2p_network_name(l.network), "G");
    assert_int_equal(p2p_network_param_count(l.network), 5);
    const p2p_param_info *w = p2p_network_param(l.network, l.w);
    assert_string_equal(w->name, "conv.weight");
    assert_int_equal(w->kind, P2P_PARAM_FILTER);
    assert_int_equal(p2p_param_elements(w), 4 * 3 * 4 * 4);
    assert_true(w->mean == 0 && w->stddev == 0.02);
    assert_int_equal(p2p_param_elements(p2p_network_param(l.network, l.running)), 8);
    assert_null(p2p_network_param(l.network, (p2p_param){5}));
    assert_null(p2p_network_param(l.network, NO_PARAM));
    p2p_network_destroy(l.network);
}

static void expect_bad_network(p2p_network *network, const char *word) {
    assert_int_equal(p2p_network_status(network), P2P_INVALID);
    if (!strstr(p2p_message(), word)) fail_msg("'%s' is not in: %s", word, p2p_message());
    assert_int_equal(p2p_network_vector(network, "later", 1, 0, 0).id, -1);
    p2p_network_destroy(network);
}

static void test_network_refusals(void **state) {
    (void)state;
    expect_bad_network(p2p_network_create(""), "name");
    p2p_network *network = p2p_network_create("G");
    p2p_network_vector(network, "a", 3, 0, 0);
    assert_int_equal(p2p_network_filter(network, "a", 1, 1, 1, 1, 0, 0).id, -1);
    expect_bad_network(network, "taken");
    network = p2p_network_create("G");
    p2p_network_filter(network, "a", 4, 0, 3, 3, 0, 1);
    expect_bad_network(network, "'a'");
    network = p2p_network_create("G");
    p2p_network_filter(network, "huge", INT64_MAX / 2, 8, 3, 3, 0, 1);
    expect_bad_network(network, "'huge'");
    network = p2p_network_create("G");
    p2p_network_vector(network, "a", 4, 0, -1);
    expect_bad_network(network, "deviation");
    assert_int_equal(p2p_network_status(NULL), P2P_INVALID);
}

/* ---- Shapes and forward nodes ------------------------------------------------------------------------- */

static void test_shapes(void **state) {
    (void)state;
    p2p_network *g = p2p_network_create("G");
    p2p_param down = p2p_network_filter(g, "down", 8, 3, 4, 4, 0, 1);
    p2p_param up = p2p_network_filter(g, "up", 8, 5, 4, 4, 0, 1);
    p2p_param one = p2p_network_filter(g, "one", 2, 8, 1, 1, 0, 1);
    p2p_param wide = p2p_network_filter(g, "wide", 1, 3, 3, 5, 0, 1);
    p2p_graph *graph = p2p_graph_create(2, 6, 3);
    p2p_value image = p2p_input_image(graph, "photo", P2P_TYPE_u8, 3, 16, 12);
    expect_shape(graph, image, 2, 3, 16, 12);
    p2p_value y = p2p_conv(graph, image, g, down, NO_PARAM, 2, 1);
    expect_shape(graph, y, 2, 8, 8, 6);
    expect_shape(graph, p2p_conv_transposed(graph, y, g, up, NO_PARAM, 2, 1), 2, 5, 16, 12);
    expect_shape(graph, p2p_conv(graph, y, g, one, NO_PARAM, 3, 0), 2, 2, 3, 2);
    expect_shape(graph, p2p_conv(graph, image, g, wide, NO_PARAM, 1, 1), 2, 1, 16, 10);
    p2p_value z = p2p_input(graph, "z", P2P_TYPE_f64, 1, 8, 6);
    expect_shape(graph, p2p_concat(graph, y, z), 2, 9, 8, 6);
    expect_shape(graph, p2p_detach(graph, y), 2, 8, 8, 6);
    expect_shape(graph, p2p_loss_bce(graph, y, 1, 1, "loss"), 1, 1, 1, 1);
    int64_t shape[4] = {1, 1, 1, 1};
    p2p_value_shape(graph, P2P_NONE, shape);
    assert_int_equal(shape[0] | shape[1] | shape[2] | shape[3], 0);
    p2p_graph_destroy(graph);
    p2p_network_destroy(g);
}

static void test_forward_nodes(void **state) {
    (void)state;
    layer l = layer_create("G");
    p2p_graph *graph = p2p_graph_create(2, 2, 1);
    p2p_value x = p2p_input_image(graph, "photo", P2P_TYPE_u8, 3, 8, 8);
    p2p_value y = p2p_conv(graph, x, l.network, l.w, l.bias, 2, 1);
    p2p_value n = p2p_norm(graph, y, l.network, l.scale, l.shift, l.running, &batch_norm);
    p2p_value a = p2p_activation(graph, n, P2P_ACT_lrelu, 0.25);
    p2p_value d = p2p_dropout(graph, a, 0.5, "a");
    p2p_value c = p2p_concat(graph, p2p_detach(graph, d), y);
    p2p_loss_l1(graph, c, c, 3, "distance");
    p2p_output(graph, "c", c, P2P_TYPE_f32);
    expect_text(graph,
                "prepare x=photo y=%2:2x3x8x8 alpha=0.00784313725490196 offset=-1\n"
                "conv_fwd x=%2 w=G.conv.weight y=%5:2x4x4x4 stride=2 pad_top=1 pad_left=1 pad_bottom=1 "
                "pad_right=1\n"
                "axpby x=G.conv.bias y+=%5:2x4x4x4 alpha=1\n"
                "norm_stats x=%5 stats=%9:1x3x1x4\n"
                "norm_apply x=%5 stats=%9:1x3x1x4 scale=G.norm.weight shift=G.norm.bias "
                "running=G.norm.running y=%10:2x4x4x4 eps=1e-05 momentum=0.1\n"
                "act_fwd x=%10 y=%11:2x4x4x4 act=lrelu slope=0.25\n"
                "dropout x=%11 step=step y=%13:2x4x4x4 layer=3826002220 dropout=0.5\n"
                "copy x=detached %13 y=%15[0:4]\n"
                "copy x=%5 y=%15[4:8]\n"
                "loss_l1 x=%15 target=%15 loss=%18:1x1x1x1 loss_scale=0.00390625 grad_scale=0.01171875\n");
    assert_int_equal(graph->output_count, 2);
    assert_true(graph->outputs[0].loss);
    assert_string_equal(graph->outputs[1].name, "c");
    assert_int_equal(graph->outputs[1].value, c.id);
    p2p_graph_destroy(graph);
    p2p_network_destroy(l.network);
}

/* Statistics: over every image, over all replicas, and the running ones. */
static void test_norm_kinds(void **state) {
    (void)state;
    layer l = layer_create("G");
    p2p_graph *graph = p2p_graph_create(3, 6, 2);
    p2p_value x = p2p_input(graph, "x", P2P_TYPE_f32, 4, 2, 2);
    p2p_norm(graph, x, l.network, l.scale, l.shift, NO_PARAM,
             &(p2p_norm_options){.over = P2P_STATS_IMAGE, .eps = 1});
    p2p_norm(graph, x, l.network, l.scale, l.shift, NO_PARAM,
             &(p2p_norm_options){.over = P2P_STATS_BATCH, .sync = true, .eps = 1});
    p2p_norm(graph, x, l.network, l.scale, l.shift, l.running,
             &(p2p_norm_options){.over = P2P_STATS_RUNNING, .eps = 1});
    expect_text(graph, "norm_stats x=x stats=%4:3x3x1x4 images=1\n"
                       "norm_apply x=x stats=%4:3x3x1x4 scale=G.norm.weight shift=G.norm.bias y=%5:3x4x2x2 "
                       "images=1 eps=1\n"
                       "norm_stats x=x stats=%6:1x3x1x4\n"
                       "all_reduce y=%6:1x3x1x4 reduction=moments\n"
                       "norm_apply x=x stats=%6:1x3x1x4 scale=G.norm.weight shift=G.norm.bias y=%7:3x4x2x2 "
                       "eps=1\n"
                       "norm_apply x=x scale=G.norm.weight shift=G.norm.bias running=G.norm.running "
                       "y=%9:3x4x2x2 use_running=1 eps=1\n");
    p2p_graph_destroy(graph);
    p2p_network_destroy(l.network);
}

/* Losses are means over the global batch, independently of this replica's share. */
static void test_loss_scale(void **state) {
    (void)state;
    p2p_graph *graph = p2p_graph_create(2, 8, 3);
    p2p_value x = p2p_input(graph, "x", P2P_TYPE_f32, 2, 2, 4);
    p2p_loss_bce(graph, x, 0, 4, "loss");
    expect_text(graph, "loss_bce x=x loss=%2:1x1x1x1 loss_scale=0.0078125 grad_scale=0.03125\n");
    p2p_graph_destroy(graph);
}

/* Identities add no node. */
static void test_identities(void **state) {
    (void)state;
    layer l = layer_create("G");
    p2p_graph *graph = p2p_graph_create(1, 1, 1);
    p2p_value x = p2p_input(graph, "x", P2P_TYPE_f32, 4, 2, 2);
    assert_int_equal(p2p_dropout(graph, x, 0, "a").id, x.id);
    assert_int_equal(p2p_activation(graph, x, P2P_ACT_none, 0).id, x.id);
    p2p_all_reduce_gradients(graph, l.network);
    assert_int_equal(graph->node_count, 0);
    assert_int_equal(p2p_graph_status(graph), P2P_OK);
    p2p_graph_destroy(graph);
    p2p_network_destroy(l.network);
}

static void test_update_nodes(void **state) {
    (void)state;
    layer l = layer_create("G");
    p2p_graph *graph = p2p_graph_create(1, 2, 2);
    p2p_all_reduce_gradients(graph, l.network);
    p2p_adam(graph, l.network, 0.5, 0.999, 1e-8);
    expect_text(graph, "all_reduce y=dG\n"
                       "adam p=G g=dG m=mG v=vG step=step eps=1e-08 beta1=0.5 beta2=0.999\n");
    p2p_graph_destroy(graph);
    p2p_network_destroy(l.network);
}

/* ---- Refusals: the message names the layer and the reason, and nothing is added afterwards ------------ */

typedef struct {
    p2p_graph *graph;
    layer l;
    p2p_value x; /* 1x3x8x8 */
} bench;

static bench bench_create(void) {
    bench b = {.graph = p2p_graph_create(1, 1, 1), .l = layer_create("G")};
    b.x = p2p_input(b.graph, "x", P2P_TYPE_f32, 3, 8, 8);
    return b;
}

static void refused(bench *b, const char *word, const char *other) {
    expect_failure(b->graph, word, other);
    int nodes = b->graph->node_count;
    assert_int_equal(p2p_activation(b->graph, b->x, P2P_ACT_relu, 0).id, 0);
    assert_int_equal(b->graph->node_count, nodes);
    expect_failure(b->graph, word, other);
    p2p_graph_destroy(b->graph);
    p2p_network_destroy(b->l.network);
    *b = bench_create();
}

static void test_conv_refusals(void **state) {
    (void)state;
    bench b = bench_create();
    layer *l = &b.l;
    p2p_value y = p2p_conv(b.graph, b.x, l->network, l->w, NO_PARAM, 2, 1);
    assert_int_equal(p2p_conv(b.graph, y, l->network, l->w, NO_PARAM, 2, 1).id, 0);
    refused(&b, "layer 3, conv G.conv.weight", "w (f32:plain:4x3x4x4)"); /* 4 channels into 3 */
    p2p_conv_transposed(b.graph, b.x, l->network, l->w, NO_PARAM, 2, 1);
    refused(&b, "conv_transposed G.conv.weight", "w (f32:plain:4x3x4x4)");
    p2p_value small = p2p_input(b.graph, "small", P2P_TYPE_f32, 3, 8, 1);
    p2p_conv(b.graph, small, l->network, l->w, NO_PARAM, 1, 1);
    refused(&b, "conv G.conv.weight", "filter of 4x4 does not fit into 8x1 padded by 1");
    p2p_param narrow = p2p_network_vector(l->network, "narrow", 3, 0, 0);
    p2p_conv(b.graph, b.x, l->network, l->w, narrow, 2, 1);
    refused(&b, "conv G.conv.weight", "axpby");
    p2p_conv(b.graph, b.x, l->network, l->w, NO_PARAM, 0, 1);
    refused(&b, "conv G.conv.weight", "stride 0");
    p2p_conv(b.graph, b.x, l->network, l->w, NO_PARAM, 1, -1);
    refused(&b, "conv G.conv.weight", "padding -1");
    p2p_value dot = p2p_input(b.graph, "dot", P2P_TYPE_f32, 4, 1, 1);
    p2p_conv_transposed(b.graph, dot, l->network, l->w, NO_PARAM, 1, 2);
    refused(&b, "conv_transposed", "leaves nothing");
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(l->network);
}

static void test_param_refusals(void **state) {
    (void)state;
    bench b = bench_create();
    layer *l = &b.l;
    p2p_conv(b.graph, b.x, l->network, l->bias, NO_PARAM, 2, 1);
    refused(&b, "'conv.bias' of network 'G' is a vector", "filter is needed");
    p2p_conv(b.graph, b.x, l->network, l->w, l->w, 2, 1);
    refused(&b, "'conv.weight'", "vector is needed");
    p2p_conv(b.graph, b.x, l->network, (p2p_param){99}, NO_PARAM, 2, 1);
    refused(&b, "no parameter number 99", "'G'");
    p2p_conv(b.graph, b.x, l->network, l->w, (p2p_param){-2}, 2, 1);
    refused(&b, "no parameter number -2", "vector");
    p2p_conv(b.graph, b.x, NULL, l->w, NO_PARAM, 2, 1);
    refused(&b, "conv", "no network");
    p2p_network_vector(l->network, "broken", -1, 0, 0);
    p2p_conv(b.graph, b.x, l->network, l->w, NO_PARAM, 2, 1);
    refused(&b, "conv G.conv.weight", "'broken'");
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(l->network);
}

static void test_norm_refusals(void **state) {
    (void)state;
    bench b = bench_create();
    layer *l = &b.l;
    p2p_value y = p2p_input(b.graph, "y", P2P_TYPE_f32, 4, 2, 2);
    static const struct {
        p2p_norm_options options;
        const char *reason;
    } wrong[] = {
        {{.over = P2P_STATS_IMAGE, .sync = true, .eps = 1}, "only statistics over the batch"},
        {{.over = P2P_STATS_RUNNING, .update_running = true, .eps = 1}, "at once"},
        {{.over = P2P_STATS_RUNNING, .eps = 1}, "missing"},
        {{.over = P2P_STATS_BATCH, .update_running = true, .eps = 1}, "missing"},
        {{.over = (p2p_norm_stats_over)7, .eps = 1}, "statistics are over"},
        {{.over = P2P_STATS_BATCH, .eps = 0}, "eps"},
        {{.over = P2P_STATS_BATCH, .eps = -1}, "eps"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bool updates_running = wrong[i].options.over == P2P_STATS_RUNNING && wrong[i].options.update_running;
        p2p_norm(b.graph, y, l->network, l->scale, l->shift, updates_running ? l->running : NO_PARAM,
                 &wrong[i].options);
        refused(&b, "norm G.norm.weight", wrong[i].reason);
        y = p2p_input(b.graph, "y", P2P_TYPE_f32, 4, 2, 2);
    }
    p2p_norm(b.graph, y, l->network, l->scale, l->shift, NO_PARAM, NULL);
    refused(&b, "norm G.norm.weight", "no options");
    p2p_norm(b.graph, b.x, l->network, l->scale, l->shift, l->running, &batch_norm);
    refused(&b, "norm G.norm.weight", "norm_apply"); /* 4 scales for 3 channels */
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(l->network);
}

static void test_other_refusals(void **state) {
    (void)state;
    bench b = bench_create();
    p2p_input(b.graph, "x", P2P_TYPE_f32, 1, 1, 1);
    refused(&b, "input x", "already an input");
    p2p_input(b.graph, "", P2P_TYPE_f32, 1, 1, 1);
    refused(&b, "input", "name");
    p2p_input(b.graph, "y", P2P_TYPE_u8, 1, 1, 1);
    refused(&b, "input y", "f32 or f64");
    p2p_input_image(b.graph, "y", P2P_TYPE_u8, 3, 0, 4);
    refused(&b, "input y", "1x3x0x4");
    p2p_input(b.graph, "y", P2P_TYPE_f32, 1, INT64_MAX, INT64_MAX);
    refused(&b, "input y", "too large");
    p2p_output(b.graph, "out", (p2p_value){77}, P2P_TYPE_f32);
    refused(&b, "output out", "id 77");
    p2p_output(b.graph, "out", b.x, P2P_TYPE_f32);
    p2p_output(b.graph, "out", b.x, P2P_TYPE_f32);
    refused(&b, "output out", "already an output");
    p2p_activation(b.graph, P2P_NONE, P2P_ACT_relu, 0);
    refused(&b, "layer 2, activation", "not a value of this graph");
    p2p_activation(b.graph, b.x, (p2p_act)99, 0);
    refused(&b, "activation", "act=99");
    p2p_activation(b.graph, b.x, P2P_ACT_relu, 0.2);
    refused(&b, "activation", "slope");
    p2p_dropout(b.graph, b.x, 1, "d");
    refused(&b, "dropout d", "dropout=1");
    p2p_dropout(b.graph, b.x, 0.5, NULL);
    refused(&b, "dropout", "name");
    p2p_concat(b.graph, b.x, p2p_input(b.graph, "y", P2P_TYPE_f32, 3, 8, 4));
    refused(&b, "concat", "1x3x8x8 and 1x3x8x4");
    p2p_loss_bce(b.graph, b.x, 2, 1, "loss");
    refused(&b, "loss_bce loss", "target=2");
    p2p_activation(b.graph, p2p_loss_bce(b.graph, b.x, 1, 1, "loss"), P2P_ACT_relu, 0);
    refused(&b, "activation", "is a loss");
    p2p_loss_l1(b.graph, b.x, p2p_input(b.graph, "y", P2P_TYPE_f32, 1, 8, 8), 1, "loss");
    refused(&b, "loss_l1 loss", "target");
    p2p_adam(b.graph, NULL, 0.5, 0.9, 1e-8);
    refused(&b, "adam", "no network");
    p2p_adam(b.graph, b.l.network, 0.5, 1, 1e-8);
    refused(&b, "adam of G", "beta2");
    p2p_adam(b.graph, b.l.network, 0.5, 0.9, 1e-8);
    p2p_adam(b.graph, b.l.network, 0.4, 0.9, 1e-8);
    refused(&b, "adam of G", "beta 0.4");
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(b.l.network);
}

static void test_graph_refusals(void **state) {
    (void)state;
    static const struct {
        int64_t local, global;
        int world;
    } wrong[] = {{0, 1, 1}, {4, 3, 1}, {1, 1, 0}, {-1, 5, 2}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        p2p_graph *graph = p2p_graph_create(wrong[i].local, wrong[i].global, wrong[i].world);
        expect_failure(graph, "is invalid", "replicas");
        assert_int_equal(p2p_input(graph, "x", P2P_TYPE_f32, 1, 1, 1).id, 0);
        p2p_graph_destroy(graph);
    }
    assert_int_equal(p2p_graph_status(NULL), P2P_INVALID);
    p2p_graph_destroy(NULL);
    p2p_network_destroy(NULL);
}

/* ---- Gradients: which nodes, in which order, what overwrites and what accumulates --------------------- */

/* Backward from one loss to a network, and the nodes that it appends as text. */
static void backward(p2p_graph *graph, p2p_value loss, p2p_network *target) {
    p2p_backward(graph, &loss, 1, target, NULL, 0, NULL);
}

static void expect_appended(const p2p_graph *graph, int from, const char *expected) {
    p2p_graph appended = *graph;
    for (int i = from; i < graph->node_count; i++) assert_true(graph->nodes[i].backward);
    appended.nodes += from;
    appended.node_count -= from;
    expect_text(&appended, expected);
}

static void test_layer_gradient(void **state) {
    (void)state;
    layer l = layer_create("G");
    p2p_graph *graph = p2p_graph_create(2, 2, 1);
    p2p_value x = p2p_input(graph, "x", P2P_TYPE_f32, 3, 8, 8);
    p2p_value y = p2p_conv(graph, x, l.network, l.w, l.bias, 2, 1);
    y = p2p_norm(graph, y, l.network, l.scale, l.shift, l.running, &batch_norm);
    y = p2p_activation(graph, y, P2P_ACT_lrelu, 0.25);
    y = p2p_dropout(graph, y, 0.5, "a");
    p2p_value loss = p2p_loss_bce(graph, y, 1, 2, "loss");
    int forward = graph->node_count;
    backward(graph, loss, l.network);
    expect_appended(graph, forward,
                    "dropout x=%14 step=step y=%15:2x4x4x4 layer=3826002220 dropout=0.5\n"
                    "act_bwd y=%10 dy=%15 dx=%16:2x4x4x4 act=lrelu slope=0.25\n"
                    "norm_bwd_stats x=%4 stats=%8 scale=G.norm.weight shift=G.norm.bias dy=%16 "
                    "sums=%17:1x2x1x4 dscale=dG.norm.weight dshift=dG.norm.bias eps=1e-05\n"
                    "norm_bwd_apply x=%4 stats=%8 scale=G.norm.weight shift=G.norm.bias dy=%16 "
                    "sums=%17:1x2x1x4 dx=%20:2x4x4x4 eps=1e-05\n"
                    "bias_grad dy=%20 db=dG.conv.bias\n"
                    "conv_bwd_filter x=x dy=%20 dw=dG.conv.weight stride=2 pad_top=1 pad_left=1 pad_bottom=1 "
                    "pad_right=1\n");
    p2p_graph_destroy(graph);
    p2p_network_destroy(l.network);
}

/* A generator of a transposed convolution and a skip, below a discriminator of a convolution: the step of a
 * GAN in small. */
typedef struct {
    p2p_network *g, *d;
    p2p_param up, judge;
    p2p_graph *graph;
    p2p_value x, fake;
} gan;

static gan gan_create(void) {
    gan n = {.g = p2p_network_create("G"), .d = p2p_network_create("D"), .graph = p2p_graph_create(1, 1, 1)};
    n.up = p2p_network_filter(n.g, "up", 2, 3, 4, 4, 0, 1);
    n.judge = p2p_network_filter(n.d, "judge", 1, 5, 3, 3, 0, 1);
    n.x = p2p_input(n.graph, "x", P2P_TYPE_f32, 2, 4, 4);
    n.fake = p2p_conv_transposed(n.graph, n.x, n.g, n.up, NO_PARAM, 2, 1);
    return n;
}

/* The discriminator's loss on the condition (an input of the loss's name) beside an image. */
static p2p_value gan_judge(gan *n, p2p_value image, const char *loss) {
    p2p_value condition = p2p_input(n->graph, loss, P2P_TYPE_f32, 2, 8, 8);
    p2p_value pair = p2p_concat(n->graph, condition, image);
    p2p_value logits = p2p_conv(n->graph, pair, n->d, n->judge, NO_PARAM, 1, 0);
    return p2p_loss_bce(n->graph, logits, 1, 1, loss);
}

static void gan_destroy(gan *n) {
    p2p_graph_destroy(n->graph);
    p2p_network_destroy(n->g);
    p2p_network_destroy(n->d);
}

/* Through a frozen discriminator: data gradients, but no filter gradients of it; the l1 loss, first in
 * program order, overwrites the gradient of the fake image and the concatenation's part is added. */
static void test_frozen_network(void **state) {
    (void)state;
    gan n = gan_create();
    p2p_value truth = p2p_input(n.graph, "truth", P2P_TYPE_f32, 3, 8, 8);
    p2p_value losses[2] = {gan_judge(&n, n.fake, "judged"), P2P_NONE};
    losses[1] = p2p_loss_l1(n.graph, n.fake, truth, 100, "distance");
    int forward = n.graph->node_count;
    p2p_backward(n.graph, losses, 2, n.g, NULL, 0, NULL);
    expect_appended(n.graph, forward,
                    "conv_bwd_data dy=%13 w=D.judge dx=%15:1x5x8x8\n"
                    "copy x=%15[2:5] y+=%14:1x3x8x8\n"
                    "conv_bwd_filter x=%14 dy=x dw=dG.up stride=2 pad_top=1 pad_left=1 pad_bottom=1 "
                    "pad_right=1\n");
    gan_destroy(&n);
}

/* The generator frozen by detach: no gradient is computed of its output. */
static void test_detach(void **state) {
    (void)state;
    gan n = gan_create();
    p2p_value loss = gan_judge(&n, p2p_detach(n.graph, n.fake), "judged");
    int forward = n.graph->node_count;
    backward(n.graph, loss, n.d);
    expect_appended(n.graph, forward, "conv_bwd_filter x=%6 dy=%12 dw=dD.judge\n");
    gan_destroy(&n);
    n = gan_create();
    loss = gan_judge(&n, p2p_detach(n.graph, n.fake), "judged");
    backward(n.graph, loss, n.g);
    expect_failure(n.graph, "do not reach parameter 'up' of G", "backward to G");
    gan_destroy(&n);
}

/* Shared weights: the discriminator on two images; the second contribution in program order accumulates. */
static void test_shared_weights(void **state) {
    (void)state;
    gan n = gan_create();
    p2p_value losses[2];
    losses[0] = gan_judge(&n, p2p_input(n.graph, "truth", P2P_TYPE_f32, 3, 8, 8), "real");
    losses[1] = gan_judge(&n, p2p_detach(n.graph, n.fake), "fake");
    int forward = n.graph->node_count;
    p2p_backward(n.graph, losses, 2, n.d, NULL, 0, NULL);
    char *text = NULL;
    graph_text(n.graph, &text);
    const char *first = strstr(text, "dw=dD.judge"), *second = strstr(text, "dw+=dD.judge");
    assert_true(first && second && first < second);
    free(text);
    assert_int_equal(n.graph->node_count - forward, 2);
    gan_destroy(&n);
}

/* Two backward passes of one graph, one per network, as in a training step: the second overwrites. */
static void test_two_targets(void **state) {
    (void)state;
    gan n = gan_create();
    p2p_value d_loss = gan_judge(&n, p2p_detach(n.graph, n.fake), "d");
    backward(n.graph, d_loss, n.d);
    p2p_adam(n.graph, n.d, 0.5, 0.999, 1e-8);
    p2p_value g_loss = gan_judge(&n, n.fake, "g");
    backward(n.graph, g_loss, n.g);
    p2p_adam(n.graph, n.g, 0.5, 0.999, 1e-8);
    if (p2p_graph_status(n.graph) != P2P_OK) fail_msg("%s", p2p_message());
    assert_int_equal(count_nodes(n.graph, P2P_KIND_conv_bwd_filter), 2);
    char *text = NULL;
    graph_text(n.graph, &text);
    assert_null(strstr(text, "dw+="));
    free(text);
    gan_destroy(&n);
}

/* A value with two readers: the later reader's gradient, which comes first, overwrites. */
static void test_two_readers(void **state) {
    (void)state;
    bench b = bench_create();
    p2p_value left = p2p_activation(b.graph, b.x, P2P_ACT_tanh, 0);
    p2p_value right = p2p_activation(b.graph, b.x, P2P_ACT_relu, 0);
    p2p_value losses[2] = {p2p_loss_bce(b.graph, left, 1, 1, "left"), P2P_NONE}, gradient;
    losses[1] = p2p_loss_bce(b.graph, right, 1, 1, "right");
    int forward = b.graph->node_count;
    p2p_backward(b.graph, losses, 2, NULL, &b.x, 1, &gradient);
    expect_appended(b.graph, forward,
                    "act_bwd y=%3 dy=%7 dx=%8:1x3x8x8 act=relu\n"
                    "act_bwd y=%2 dy=%6 dx+=%8:1x3x8x8 act=tanh\n");
    assert_int_equal(gradient.id, 8);
    expect_shape(b.graph, gradient, 1, 3, 8, 8);
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(b.l.network);
}

/* Losses write their own gradients: in program order, whatever the order of the call. */
static void test_two_losses(void **state) {
    (void)state;
    bench b = bench_create();
    p2p_value y = p2p_conv(b.graph, b.x, b.l.network, b.l.w, NO_PARAM, 2, 1);
    p2p_value first = p2p_loss_bce(b.graph, y, 1, 1, "first"), gradient;
    p2p_value losses[2] = {p2p_loss_bce(b.graph, y, 0, 0.5, "second"), first};
    p2p_backward(b.graph, losses, 2, NULL, &y, 1, &gradient);
    expect_text(b.graph,
                "conv_fwd x=x w=G.conv.weight y=%3:1x4x4x4 stride=2 pad_top=1 pad_left=1 pad_bottom=1 "
                "pad_right=1\n"
                "loss_bce x=%3 loss=%4:1x1x1x1 dx=%6:1x4x4x4 target=1 loss_scale=0.015625 "
                "grad_scale=0.015625\n"
                "loss_bce x=%3 loss=%5:1x1x1x1 dx+=%6:1x4x4x4 loss_scale=0.015625 grad_scale=0.0078125\n");
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(b.l.network);
}

/* With statistics over all replicas, the sums of the gradient are over all replicas too. Those for scale and
 * shift are the replica's own. */
static void test_synchronised_norm(void **state) {
    (void)state;
    layer l = layer_create("G");
    p2p_graph *graph = p2p_graph_create(1, 2, 2);
    p2p_value x = p2p_input(graph, "x", P2P_TYPE_f32, 3, 8, 8);
    p2p_value y = p2p_conv(graph, x, l.network, l.w, l.bias, 2, 1);
    y = p2p_norm(graph, y, l.network, l.scale, l.shift, NO_PARAM,
                 &(p2p_norm_options){.over = P2P_STATS_BATCH, .sync = true, .eps = 1});
    p2p_value loss = p2p_loss_bce(graph, y, 1, 1, "loss");
    int forward = graph->node_count;
    backward(graph, loss, l.network);
    expect_appended(graph, forward,
                    "norm_bwd_stats x=%4 stats=%7 scale=G.norm.weight shift=G.norm.bias dy=%10 "
                    "sums=%11:1x2x1x4 dscale=dG.norm.weight dshift=dG.norm.bias eps=1\n"
                    "all_reduce y=%11:1x2x1x4\n"
                    "norm_bwd_apply x=%4 stats=%7 scale=G.norm.weight shift=G.norm.bias dy=%10 "
                    "sums=%11:1x2x1x4 dx=%14:1x4x4x4 eps=1\n"
                    "bias_grad dy=%14 db=dG.conv.bias\n"
                    "conv_bwd_filter x=x dy=%14 dw=dG.conv.weight stride=2 pad_top=1 pad_left=1 pad_bottom=1 "
                    "pad_right=1\n");
    p2p_graph_destroy(graph);
    p2p_network_destroy(l.network);
}

/* Values in the middle, at a detached alias, and behind an image; nothing before them gets a gradient. */
static void test_value_gradients(void **state) {
    (void)state;
    gan n = gan_create();
    p2p_value image = p2p_input_image(n.graph, "photo", P2P_TYPE_u8, 3, 8, 8),
              detached = p2p_detach(n.graph, n.fake);
    p2p_value losses[2] = {gan_judge(&n, image, "real"), gan_judge(&n, detached, "fake")};
    p2p_value wanted[2] = {image, detached}, gradients[2];
    int forward = n.graph->node_count;
    p2p_backward(n.graph, losses, 2, NULL, wanted, 2, gradients);
    if (p2p_graph_status(n.graph) != P2P_OK) fail_msg("%s", p2p_message());
    assert_int_equal(n.graph->node_count - forward, 4);
    assert_int_equal(count_nodes(n.graph, P2P_KIND_conv_bwd_data), 3); /* one of them is the generator */
    expect_shape(n.graph, gradients[0], 1, 3, 8, 8);
    expect_shape(n.graph, gradients[1], 1, 3, 8, 8);
    assert_int_not_equal(gradients[0].id, gradients[1].id);
    gan_destroy(&n);
}

/* Long graphs: no recursion, and nothing that grows faster than the graph. */
static void test_long_graph(void **state) {
    (void)state;
    enum { LAYERS = 20000 };
    bench b = bench_create();
    p2p_param w = p2p_network_filter(b.l.network, "loop", 3, 3, 3, 3, 0, 1);
    p2p_value y = b.x;
    for (int i = 0; i < LAYERS; i++) y = p2p_conv(b.graph, y, b.l.network, w, NO_PARAM, 1, 1);
    p2p_value loss = p2p_loss_bce(b.graph, y, 1, 1, "loss"), gradient;
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    if (p2p_graph_status(b.graph) != P2P_OK) fail_msg("%s", p2p_message());
    assert_int_equal(b.graph->node_count, 2 * LAYERS + 1);
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(b.l.network);
}

/* ---- Refusals of p2p_backward ------------------------------------------------------------------------- */

static void test_call_refusals(void **state) {
    (void)state;
    bench b = bench_create();
    p2p_value gradient = {1};
    p2p_backward(b.graph, &b.x, 1, b.l.network, NULL, 0, NULL);
    refused(&b, "backward", "not a loss of this graph");
    p2p_backward(b.graph, &(p2p_value){-4}, 1, b.l.network, NULL, 0, NULL);
    refused(&b, "backward", "id -4");
    p2p_backward(b.graph, NULL, 0, b.l.network, NULL, 0, NULL);
    refused(&b, "backward", "no losses");
    p2p_value loss = p2p_loss_bce(b.graph, b.x, 1, 1, "loss");
    p2p_backward(b.graph, &loss, 1, NULL, NULL, 0, NULL);
    refused(&b, "backward", "neither a network nor values");
    loss = p2p_loss_bce(b.graph, b.x, 1, 1, "loss");
    p2p_backward(b.graph, (p2p_value[]){loss, loss}, 2, NULL, &b.x, 1, &gradient);
    assert_int_equal(gradient.id, 0);
    refused(&b, "backward", "'loss' is given twice");
    loss = p2p_loss_bce(b.graph, b.x, 1, 1, "loss");
    p2p_backward(b.graph, &loss, 1, NULL, &loss, 1, &gradient);
    refused(&b, "backward", "not an activation");
    p2p_value other = p2p_activation(b.graph, b.x, P2P_ACT_tanh, 0);
    loss = p2p_loss_bce(b.graph, b.x, 1, 1, "loss");
    p2p_backward(b.graph, &loss, 1, NULL, &other, 1, &gradient);
    refused(&b, "backward to values", "do not reach number 1");
    p2p_network_vector(b.l.network, "", 1, 0, 0);
    loss = p2p_loss_bce(b.graph, b.x, 1, 1, "loss");
    backward(b.graph, loss, b.l.network);
    refused(&b, "backward", "network 'G'");
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(b.l.network);
}

static void test_gradient_refusals(void **state) {
    (void)state;
    bench b = bench_create();
    p2p_value gradient;
    p2p_value loss = p2p_loss_l1(b.graph, b.x, b.x, 1, "loss");
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    refused(&b, "target of loss 'loss'", "detach");
    loss = p2p_loss_bce(b.graph, b.x, 1, 1, "loss");
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    refused(&b, "'loss' was differentiated before", "backward");
    loss = p2p_loss_bce(b.graph, p2p_activation(b.graph, b.x, P2P_ACT_tanh, 0), 1, 1, "loss");
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    loss = p2p_loss_bce(b.graph, gradient, 1, 1, "penalty");
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    refused(&b, "gradient of a gradient", "act_bwd");
    loss = p2p_loss_bce(b.graph, b.x, 1, 1, "loss");
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    loss = p2p_loss_bce(b.graph, gradient, 1, 1, "penalty");
    p2p_backward(b.graph, &loss, 1, NULL, &b.x, 1, &gradient);
    refused(&b, "gradient of a gradient", "loss_bce");
    layer *l = &b.l;
    p2p_value y = p2p_conv(b.graph, b.x, l->network, l->w, l->bias, 2, 1);
    y = p2p_norm(b.graph, y, l->network, l->scale, l->shift, l->running,
                 &(p2p_norm_options){.over = P2P_STATS_RUNNING, .eps = 1});
    backward(b.graph, p2p_loss_bce(b.graph, y, 1, 1, "loss"), l->network);
    refused(&b, "gradient of layer 3, norm_apply", "running statistics");
    p2p_graph_destroy(b.graph);
    p2p_network_destroy(b.l.network);
}

/* An update between forward and backward would mix old values with new weights. */
static void test_update_in_between(void **state) {
    (void)state;
    gan n = gan_create();
    p2p_value g_loss = gan_judge(&n, n.fake, "g"); /* the discriminator before its update */
    p2p_value d_loss = gan_judge(&n, p2p_detach(n.graph, n.fake), "d");
    backward(n.graph, d_loss, n.d);
    p2p_adam(n.graph, n.d, 0.5, 0.999, 1e-8);
    backward(n.graph, g_loss, n.g);
    expect_failure(n.graph, "parameters of D were updated between forward and backward", "conv_fwd");
    gan_destroy(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_network_refusals),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_forward_nodes),
        cmocka_unit_test(test_norm_kinds),
        cmocka_unit_test(test_loss_scale),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_update_nodes),
        cmocka_unit_test(test_conv_refusals),
        cmocka_unit_test(test_param_refusals),
        cmocka_unit_test(test_norm_refusals),
        cmocka_unit_test(test_other_refusals),
        cmocka_unit_test(test_graph_refusals),
        cmocka_unit_test(test_layer_gradient),
        cmocka_unit_test(test_frozen_network),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_shared_weights),
        cmocka_unit_test(test_two_targets),
        cmocka_unit_test(test_two_readers),
        cmocka_unit_test(test_two_losses),
        cmocka_unit_test(test_synchronised_norm),
        cmocka_unit_test(test_value_gradients),
        cmocka_unit_test(test_long_graph),
        cmocka_unit_test(test_call_refusals),
        cmocka_unit_test(test_gradient_refusals),
        cmocka_unit_test(test_update_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
