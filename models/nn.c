/* Layers: parameter names, initial distributions and the constants that all layers of pix2pix share. */
#include "nn.h"

#include <stdio.h>
#include <string.h>

enum { KERNEL = 4, PADDING = 1 };

static const double leaky_slope = 0.2;

/* "<layer>.<part>"; a layer's name leaves room for every part (NN_NAME_BYTES of p2p_param_info's 160). */
static void parameter_name(char name[NN_NAME_BYTES + 16], const char *layer, const char *part) {
    snprintf(name, NN_NAME_BYTES + 16, "%s.%s", layer, part);
}

nn_conv nn_conv_declare(p2p_network *network, const char *name, nn_conv_kind kind, int stride, int64_t from,
                        int64_t to, bool bias, double stddev) {
    /* A transposed convolution's filter is that of the convolution it transposes: k counts its input. */
    const int64_t k = kind == NN_CONV ? to : from, c = kind == NN_CONV ? from : to;
    nn_conv conv = {.kind = kind, .stride = stride, .bias = {-1}};
    char full[NN_NAME_BYTES + 16];
    parameter_name(full, name, "weight");
    conv.weight = p2p_network_filter(network, full, k, c, KERNEL, KERNEL, 0, stddev);
    if (bias) {
        parameter_name(full, name, "bias");
        conv.bias = p2p_network_vector(network, full, to, 0, 0);
    }
    return conv;
}

nn_norm nn_norm_declare(p2p_network *network, const char *name, int64_t c, double stddev) {
    nn_norm norm;
    char full[NN_NAME_BYTES + 16];
    parameter_name(full, name, "weight");
    norm.scale = p2p_network_vector(network, full, c, 1, stddev);
    parameter_name(full, name, "bias");
    norm.shift = p2p_network_vector(network, full, c, 0, 0);
    parameter_name(full, name, "running");
    norm.running = p2p_network_running(network, full, c);
    return norm;
}

/* Make the result of the layer that owns `param` an output, where the pass asks for it. */
static void expose(p2p_graph *graph, const nn_pass *pass, const p2p_network *network, p2p_param param,
                   p2p_value value) {
    if (!pass->layer_names) return;
    const p2p_param_info *info = p2p_network_param(network, param);
    if (!info) return; /* the network keeps its own failure */
    const char *part = strrchr(info->name, '.');
    char name[2 * NN_NAME_BYTES];
    snprintf(name, sizeof name, "%s.%.*s", pass->layer_names, (int)(part - info->name), info->name);
    p2p_output(graph, name, value, pass->output_type);
}

p2p_value nn_conv_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_conv *conv,
                        p2p_value x) {
    p2p_value y =
        conv->kind == NN_CONV
            ? p2p_conv(graph, x, network, conv->weight, conv->bias, conv->stride, PADDING)
            : p2p_conv_transposed(graph, x, network, conv->weight, conv->bias, conv->stride, PADDING);
    expose(graph, pass, network, conv->weight, y);
    return y;
}

p2p_value nn_norm_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_norm *norm,
                        p2p_value x) {
    p2p_value y = p2p_norm(graph, x, network, norm->scale, norm->shift, norm->running, &pass->norm);
    expose(graph, pass, network, norm->scale, y);
    return y;
}

p2p_value nn_relu(p2p_graph *graph, p2p_value x) {
    return p2p_activation(graph, x, P2P_ACT_relu, 0);
}

p2p_value nn_leaky_relu(p2p_graph *graph, p2p_value x) {
    return p2p_activation(graph, x, P2P_ACT_lrelu, leaky_slope);
}

int64_t nn_conv_extent(int64_t extent, int stride) {
    const int64_t reach = extent + 2 * PADDING - KERNEL;
    return reach < 0 ? 0 : reach / stride + 1;
}
