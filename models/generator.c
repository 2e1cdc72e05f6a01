/* The U-Net, written as two loops over its blocks: parameters once, the graph once. */
#include "generator.h"

#include <string.h>

enum { STRIDE = 2, FIRST_DROPOUT_BLOCK = 4, WIDEST_FACTOR_LOG2 = 3 };

static int64_t block_channels(const generator_config *config, int block) {
    return config->filters << (block < WIDEST_FACTOR_LOG2 ? block : WIDEST_FACTOR_LOG2);
}

/* PyTorch nests the blocks: each is the submodule at position 1 (in the outermost) or 3 of the next outer
 * one's Sequential. Writes the name of the layer at `position` of block `block`. */
static void layer_name(char name[NN_NAME_BYTES], int block, int position) {
    int length = snprintf(name, NN_NAME_BYTES, "model.model");
    for (int b = 1; b <= block; b++)
        length += snprintf(name + length, NN_NAME_BYTES - (size_t)length, b == 1 ? ".1.model" : ".3.model");
    snprintf(name + length, NN_NAME_BYTES - (size_t)length, ".%d", position);
}

static void declare_encoder(generator *g, int block) {
    const generator_config *config = &g->config;
    const bool outermost = block == 0, innermost = block == config->depth - 1;
    char name[NN_NAME_BYTES];
    layer_name(name, block, outermost ? 0 : 1);
    g->encoder[block] =
        nn_conv_declare(g->network, name, NN_CONV, STRIDE,
                        outermost ? config->input_channels : block_channels(config, block - 1),
                        block_channels(config, block), false, config->init_stddev);
    if (outermost || innermost) return;
    layer_name(name, block, 2);
    g->encoder_norm[block] =
        nn_norm_declare(g->network, name, block_channels(config, block), config->init_stddev);
}

static void declare_decoder(generator *g, int block) {
    const generator_config *config = &g->config;
    const bool outermost = block == 0, innermost = block == config->depth - 1;
    const int position = outermost || innermost ? 3 : 5;
    const int64_t from = block_channels(config, block) * (innermost ? 1 : 2); /* the skip doubles them */
    const int64_t to = outermost ? config->output_channels : block_channels(config, block - 1);
    char name[NN_NAME_BYTES];
    layer_name(name, block, position);
    g->decoder[block] = nn_conv_declare(g->network, name, NN_CONV_TRANSPOSED, STRIDE, from, to, outermost,
                                        config->init_stddev);
    if (outermost) return;
    layer_name(name, block, position + 1);
    g->decoder_norm[block] = nn_norm_declare(g->network, name, to, config->init_stddev);
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

bool generator_block_drops(int depth, int block) {
    return block >= FIRST_DROPOUT_BLOCK && block < depth - 1;
}

/* relu(dropout(norm(conv_transposed(x)))), the inner side of block's outer skip connection. */
static p2p_value decode(p2p_graph *graph, const nn_pass *pass, const generator *g, int block, p2p_value x) {
    p2p_value y = nn_conv_apply(graph, pass, g->network, &g->decoder[block], x);
    y = nn_norm_apply(graph, pass, g->network, &g->decoder_norm[block], y);
    if (generator_block_drops(g->config.depth, block)) {
        char layer[32];
        snprintf(layer, sizeof layer, "generator.dropout%d", block);
        y = p2p_dropout(graph, y, pass->dropout, layer);
    }
    return nn_relu(graph, y);
}

/* The published code activates the concatenation: relu([skip, inner]), where an in-place LeakyReLU has
 * already changed the skip. Activating each half before it is concatenated is the same function, because
 * relu(leaky_relu(x)) = relu(x) and relu works element by element. Here an encoder's result has two readers
 * in two forms, and each half can be written by its producer straight into its place. */
p2p_value generator_apply(p2p_graph *graph, const nn_pass *pass, const generator *g, p2p_value x) {
    const int depth = g->config.depth;
    p2p_value encoded[GENERATOR_MAX_DEPTH];
    for (int block = 0; block < depth; block++) {
        p2p_value from = block == 0 ? x : nn_leaky_relu(graph, encoded[block - 1]);
        encoded[block] = nn_conv_apply(graph, pass, g->network, &g->encoder[block], from);
        if (block > 0 && block < depth - 1)
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
