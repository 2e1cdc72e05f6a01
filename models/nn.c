/* Layers: parameter names, initial distributions and the constants that all layers of pix2pix share. */
#include "nn.h"

#include <stdio.h>
#include <string.h>

const char *const nn_norm_names[] = {
#define X(name) #name,
    NN_NORM_LIST(X)
#undef X
        NULL};

static const struct {
    int kernel, stride, padding;
    bool transposed;
} geometries[] = {
    [NN_HALVE] = {.kernel = 4, .stride = 2, .padding = 1},
    [NN_DOUBLE] = {.kernel = 4, .stride = 2, .padding = 1, .transposed = true},
    [NN_SLIDE] = {.kernel = 4, .stride = 1, .padding = 1},
    [NN_PIXEL] = {.kernel = 1, .stride = 1, .padding = 0},
};

static const p2p_param no_param = {-1};

enum { PARAMETER_NAME_BYTES = NN_NAME_BYTES + 16 };
_Static_assert(PARAMETER_NAME_BYTES <= sizeof((p2p_param_info *)0)->name, "a network has the whole name");

/* "<layer>.<part>". */
static void parameter_name(char name[PARAMETER_NAME_BYTES], const char *layer, const char *part) {
    snprintf(name, PARAMETER_NAME_BYTES, "%s.%s", layer, part);
}

bool nn_needs_bias(const nn_style *style) {
    return style->norm != NN_NORM_batch;
}

nn_conv nn_conv_declare(p2p_network *network, const nn_style *style, const char *name, nn_conv_kind kind,
                        int64_t from, int64_t to, bool bias) {
    /* A transposed convolution has the filter of the convolution that it transposes: k counts the channels of
     * its input. */
    const bool transposed = geometries[kind].transposed;
    const int64_t k = transposed ? from : to, c = transposed ? to : from, side = geometries[kind].kernel;
    nn_conv conv = {.kind = kind, .bias = no_param};
    snprintf(conv.name, sizeof conv.name, "%s", name);
    char full[PARAMETER_NAME_BYTES];
    parameter_name(full, name, "weight");
    conv.weight = transposed && style->init_resizing
                      ? p2p_network_filter_resizing(network, full, k, c, style->init_stddev)
                      : p2p_network_filter(network, full, k, c, side, side, 0, style->init_stddev);
    if (bias) {
        parameter_name(full, name, "bias");
        conv.bias = p2p_network_vector(network, full, to, 0, 0);
    }
    return conv;
}

nn_norm nn_norm_declare(p2p_network *network, const nn_style *style, const char *name, int64_t c) {
    nn_norm norm = {.kind = style->norm, .scale = no_param, .shift = no_param, .running = no_param};
    snprintf(norm.name, sizeof norm.name, "%s", name);
    if (style->norm != NN_NORM_batch) return norm;
    char full[PARAMETER_NAME_BYTES];
    parameter_name(full, name, "weight");
    norm.scale = p2p_network_vector(network, full, c, 1, style->init_scale_stddev);
    parameter_name(full, name, "bias");
    norm.shift = p2p_network_vector(network, full, c, 0, 0);
    parameter_name(full, name, "running");
    norm.running = p2p_network_running(network, full, c);
    return norm;
}

/* Make a layer's result an output if the pass has layer_names. */
static void expose(p2p_graph *graph, const nn_pass *pass, const char *layer, p2p_value value) {
    if (!pass->layer_names) return;
    char name[2 * NN_NAME_BYTES];
    snprintf(name, sizeof name, "%s.%s", pass->layer_names, layer);
    p2p_output(graph, name, value, pass->output_type);
}

p2p_value nn_conv_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_conv *conv,
                        p2p_value x) {
    const int stride = geometries[conv->kind].stride, padding = geometries[conv->kind].padding;
    p2p_value y = geometries[conv->kind].transposed
                      ? p2p_conv_transposed(graph, x, network, conv->weight, conv->bias, stride, padding)
                      : p2p_conv(graph, x, network, conv->weight, conv->bias, stride, padding);
    expose(graph, pass, conv->name, y);
    return y;
}

p2p_value nn_norm_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_norm *norm,
                        p2p_value x) {
    if (norm->kind == NN_NORM_none) return x;
    p2p_norm_options options = pass->norm;
    if (norm->kind == NN_NORM_instance) {
        options.over = P2P_STATS_IMAGE;
        options.sync = options.update_running = false;
    }
    p2p_value y = p2p_norm(graph, x, network, norm->scale, norm->shift, norm->running, &options);
    expose(graph, pass, norm->name, y);
    return y;
}

p2p_value nn_relu(p2p_graph *graph, p2p_value x) {
    return p2p_activation(graph, x, P2P_ACT_relu, 0);
}

p2p_value nn_leaky_relu(p2p_graph *graph, const nn_pass *pass, p2p_value x) {
    return p2p_activation(graph, x, P2P_ACT_lrelu, pass->slope);
}

int64_t nn_conv_extent(nn_conv_kind kind, int64_t extent) {
    const int64_t reach = extent + 2 * geometries[kind].padding - geometries[kind].kernel;
    return reach < 0 ? 0 : reach / geometries[kind].stride + 1;
}
