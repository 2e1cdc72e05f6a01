/* The discriminator as one loop over its convolutions. A PatchGAN has `layers` convolutions of stride 2, one
 * of stride 1, and one that gives the logits. The pixel discriminator is built like a PatchGAN of one layer
 * with 1x1 convolutions. */
#include "discriminator.h"

#include <string.h>

enum { WIDEST_FACTOR_LOG2 = 3, PIXEL_LAYERS = 1 };

const char *const discriminator_net_names[] = {
#define X(name) #name,
    DISCRIMINATOR_NET_LIST(X)
#undef X
        NULL};

static int layer_count(discriminator_net net, int layers) {
    return net == DISCRIMINATOR_pixel ? PIXEL_LAYERS : layers;
}

static int conv_count(discriminator_net net, int layers) {
    return layer_count(net, layers) + 2;
}

static nn_conv_kind conv_kind(discriminator_net net, int layers, int index) {
    if (net == DISCRIMINATOR_pixel) return NN_PIXEL;
    return index < layers ? NN_HALVE : NN_SLIDE;
}

static int64_t conv_channels(const discriminator_config *config, int index) {
    if (index == conv_count(config->net, config->layers) - 1) return 1;
    return config->filters << (index < WIDEST_FACTOR_LOG2 ? index : WIDEST_FACTOR_LOG2);
}

/* The first convolution always has a bias, and so has the last of a PatchGAN. In the published pixel
 * discriminator the last one has a bias only if those between have one. */
static bool conv_has_bias(const discriminator_config *config, int index) {
    const int last = conv_count(config->net, config->layers) - 1;
    if (index == 0 || (index == last && config->net == DISCRIMINATOR_patch)) return true;
    return nn_needs_bias(&config->style);
}

/* In PyTorch's Sequential the first convolution and its activation take two positions, each further
 * convolution three (with normalisation and activation): 0, 2, 5, 8, ... */
static void layer_name(char name[NN_NAME_BYTES], discriminator_net net, int index, int offset) {
    snprintf(name, NN_NAME_BYTES, "%s.%d", net == DISCRIMINATOR_pixel ? "net" : "model",
             (index == 0 ? 0 : 3 * index - 1) + offset);
}

discriminator discriminator_declare(p2p_network *network, const discriminator_config *config) {
    discriminator d;
    memset(&d, 0, sizeof d);
    d.config = *config;
    d.network = network;
    const int last = conv_count(config->net, config->layers) - 1;
    for (int i = 0; i <= last; i++) {
        const int64_t from = i == 0 ? config->input_channels : conv_channels(config, i - 1);
        const int64_t to = conv_channels(config, i);
        char name[NN_NAME_BYTES];
        layer_name(name, config->net, i, 0);
        d.conv[i] = nn_conv_declare(network, &config->style, name, conv_kind(config->net, config->layers, i),
                                    from, to, conv_has_bias(config, i));
        if (i == 0 || i == last) continue;
        layer_name(name, config->net, i, 1);
        d.norm[i] = nn_norm_declare(network, &config->style, name, to);
    }
    return d;
}

p2p_value discriminator_apply(p2p_graph *graph, const nn_pass *pass, const discriminator *d, p2p_value pair) {
    const int last = conv_count(d->config.net, d->config.layers) - 1;
    p2p_value x = pair;
    for (int i = 0; i <= last; i++) {
        x = nn_conv_apply(graph, pass, d->network, &d->conv[i], x);
        if (i == last) break;
        if (i > 0) x = nn_norm_apply(graph, pass, d->network, &d->norm[i], x);
        x = nn_leaky_relu(graph, pass, x);
    }
    return x;
}

int64_t discriminator_patches(discriminator_net net, int layers, int64_t extent) {
    for (int i = 0; i < conv_count(net, layers); i++)
        extent = nn_conv_extent(conv_kind(net, layers, i), extent);
    return extent;
}
