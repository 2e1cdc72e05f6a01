/* The U-Net as two loops over its blocks: one declares the parameters, one builds the graph. */
#include "generator.h"

#include <string.h>

enum { FIRST_MIDDLE_BLOCK = 4, INNERMOST_DROPOUTS = 3, WIDEST_FACTOR_LOG2 = 3 };

const char *const generator_dropout_names[] = {
#define X(name) #name,
    GENERATOR_DROPOUT_LIST(X)
#undef X
        NULL};

static int64_t block_channels(const generator_config *config, int block) {
    return config->filters << (block < WIDEST_FACTOR_LOG2 ? block : WIDEST_FACTOR_LOG2);
}

/* PyTorch nests the blocks: each is a submodule in the Sequential of the next outer one, at position 1 of the
 * outermost and at position 3 of the others. */
void generator_layer_name(char name[NN_NAME_BYTES], int block, int position) {
    int length = snprintf(name, NN_NAME_BYTES, "model.model");
    for (int b = 1; b <= block; b++)
        length += snprintf(name + length, NN_NAME_BYTES - (size_t)length, b == 1 ? ".1.model" : ".3.model");
    snprintf(name + length, NN_NAME_BYTES - (size_t)length, ".%d", position);
}

static bool encoder_is_normalised(const generator_config *config, int block) {
    return block > 0 && (block < config->depth - 1 || config->bottleneck_norm);
}

/* The Sequential of a block holds, in this order: LeakyReLU and convolution (in the outermost block the
 * convolution alone), normalisation, the inner block, ReLU and transposed convolution, normalisation. */
static int encoder_position(int block) {
    return block == 0 ? 0 : 1;
}

static int decoder_position(const generator_config *config, int block) {
    const bool has_inner_block = block < config->depth - 1;
    return encoder_position(block) + encoder_is_normalised(config, block) + has_inner_block + 2;
}

static void declare_encoder(generator *g, int block) {
    const generator_config *config = &g->config;
    const int64_t from = block == 0 ? config->input_channels : block_channels(config, block - 1);
    const int64_t to = block_channels(config, block);
    char name[NN_NAME_BYTES];
    generator_layer_name(name, block, encoder_position(block));
    g->encoder[block] =
        nn_conv_declare(g->network, &config->style, name, NN_HALVE, from, to, nn_needs_bias(&config->style));
    if (!encoder_is_normalised(config, block)) return;
    generator_layer_name(name, block, encoder_position(block) + 1);
    g->encoder_norm[block] = nn_norm_declare(g->network, &config->style, name, to);
}

static void declare_decoder(generator *g, int block) {
    const generator_config *config = &g->config;
    const bool outermost = block == 0, innermost = block == config->depth - 1;
    const int64_t from = block_channels(config, block) * (innermost ? 1 : 2); /* the skip doubles them */
    const int64_t to = outermost ? config->output_channels : block_channels(config, block - 1);
    char name[NN_NAME_BYTES];
    generator_layer_name(name, block, decoder_position(config, block));
    g->decoder[block] = nn_conv_declare(g->network, &config->style, name, NN_DOUBLE, from, to,
                                        outermost || nn_needs_bias(&config->style));
    if (outermost) return;
    generator_layer_name(name, block, decoder_position(config, block) + 1);
    g->decoder_norm[block] = nn_norm_declare(g->network, &config->style, name, to);
}

generator generator_declare(p2p_network *network, const generator_config *config) {
    generator g;
    memset(&g, 0, sizeof g);
    g.config = *config;
    g.network = network;
    for (int block = 0; block < config->depth; block++) declare_encoder(&g, block);
    for (int block = config->depth - 1; block >= 0; block--) declare_decoder(&g, block);
    return g;
}

/* Whether the block's decoder has dropout. */
static bool block_drops(const generator_config *config, int block) {
    if (config->dropout_blocks == GENERATOR_DROPOUT_innermost)
        return block > 0 && block >= config->depth - INNERMOST_DROPOUTS;
    return block >= FIRST_MIDDLE_BLOCK && block < config->depth - 1;
}

/* relu(dropout(norm(conv_transposed(x)))): the half of a concatenation that the skip connection is not. */
static p2p_value decode(p2p_graph *graph, const nn_pass *pass, const generator *g, int block, p2p_value x) {
    p2p_value y = nn_conv_apply(graph, pass, g->network, &g->decoder[block], x);
    y = nn_norm_apply(graph, pass, g->network, &g->decoder_norm[block], y);
    if (block_drops(&g->config, block)) {
        char layer[32];
        snprintf(layer, sizeof layer, "generator.dropout%d", block);
        y = p2p_dropout(graph, y, pass->dropout, layer);
    }
    return nn_relu(graph, y);
}

/* The published code computes relu([skip, inner]), where an in-place LeakyReLU has already changed the skip.
 * Activating each half before the concatenation is the same function, because relu(leaky_relu(x)) = relu(x)
 * and relu is elementwise. An encoder's result then has two readers with different activations, and the
 * producer of each half can write it in place. */
p2p_value generator_apply(p2p_graph *graph, const nn_pass *pass, const generator *g, p2p_value x) {
    const int depth = g->config.depth;
    p2p_value encoded[GENERATOR_MAX_DEPTH] = {0};
    for (int block = 0; block < depth; block++) {
        p2p_value from = block == 0 ? x : nn_leaky_relu(graph, pass, encoded[block - 1]);
        encoded[block] = nn_conv_apply(graph, pass, g->network, &g->encoder[block], from);
        if (encoder_is_normalised(&g->config, block))
            encoded[block] = nn_norm_apply(graph, pass, g->network, &g->encoder_norm[block], encoded[block]);
    }
    p2p_value y = nn_relu(graph, encoded[depth - 1]);
    for (int block = depth - 1; block > 0; block--) {
        p2p_value inner = decode(graph, pass, g, block, y);
        y = p2p_concat(graph, nn_relu(graph, encoded[block - 1]), inner);
    }
    y = nn_conv_apply(graph, pass, g->network, &g->decoder[0], y);
    return p2p_activation(graph, y, P2P_ACT_tanh, 0);
}
