/* The PatchGAN as one loop over its convolutions: `layers` of stride 2, one of stride 1, and the judge. */
#include "discriminator.h"

#include <string.h>

enum { WIDEST_FACTOR_LOG2 = 3 };

static int conv_count(int layers) {
    return layers + 2;
}

static int conv_stride(int layers, int index) {
    return index < layers ? 2 : 1;
}

static int64_t conv_channels(const discriminator_config *config, int index) {
    if (index == conv_count(config->layers) - 1) return 1;
    return config->filters << (index < WIDEST_FACTOR_LOG2 ? index : WIDEST_FACTOR_LOG2);
}

/* In PyTorch's Sequential the first convolution and its activation take two positions, each further one
 * three (convolution, normalisation, activation): 0, 2, 5, 8, ... */
static void layer_name(char name[NN_NAME_BYTES], int index, int offset) {
    snprintf(name, NN_NAME_BYTES, "model.%d", (index == 0 ? 0 : 3 * index - 1) + offset);
}

discriminator discriminator_declare(p2p_network *network, const discriminator_config *config) {
    discriminator d;
    memset(&d, 0, sizeof d);
    d.config = *config;
    d.network = network;
    const int last = conv_count(config->layers) - 1;
    for (int i = 0; i <= last; i++) {
        const bool normalised = i > 0 && i < last; /* the shift stands for the bias there */
        const int64_t from = i == 0 ? config->input_channels : conv_channels(config, i - 1);
        const int64_t to = conv_channels(config, i);
        char name[NN_NAME_BYTES];
        layer_name(name, i, 0);
        d.conv[i] = nn_conv_declare(network, name, NN_CONV, conv_stride(config->layers, i), from, to,
                                    !normalised, config->init_stddev);
        if (!normalised) continue;
        layer_name(name, i, 1);
        d.norm[i] = nn_norm_declare(network, name, to, config->init_stddev);
    }
    return d;
}

p2p_value discriminator_apply(p2p_graph *graph, const nn_pass *pass, const discriminator *d, p2p_value pair) {
    const int last = conv_count(d->config.layers) - 1;
    p2p_value x = pair;
    for (int i = 0; i <= last; i++) {
        x = nn_conv_apply(graph, pass, d->network, &d->conv[i], x);
        if (i == last) break;
        if (i > 0) x = nn_norm_apply(graph, pass, d->network, &d->norm[i], x);
        x = nn_leaky_relu(graph, x);
    }
    return x;
}

int64_t discriminator_patches(int layers, int64_t extent) {
    for (int i = 0; i < conv_count(layers); i++) extent = nn_conv_extent(extent, conv_stride(layers, i));
    return extent;
}
