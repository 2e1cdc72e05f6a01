/* The generator: pix2pix's U-Net of any depth, from an image in [-1, 1] to one in (-1, 1).
 *
 * Block b (0 outermost, depth - 1 innermost) halves the sides with a convolution, passes the result to block
 * b + 1, and doubles the sides with a transposed convolution. The input of the latter is the concatenation of
 * the encoder's result (the skip connection) and the inner block's. Layers and names are those of the
 * published PyTorch code. Losses and training are in pix2pix.c.
 */
#ifndef GENERATOR_H
#define GENERATOR_H

#include "nn.h"

enum { GENERATOR_MIN_DEPTH = 2, GENERATOR_MAX_DEPTH = 12 };

/* X(name): which decoder blocks have dropout; the outermost never has. middle, as in the published PyTorch
 * code: the blocks inside the fourth, except the innermost (three at depth 8, none up to depth 5). innermost,
 * as in the paper and the published TensorFlow code: the three innermost blocks. */
#define GENERATOR_DROPOUT_LIST(X) X(middle) X(innermost)

typedef enum {
#define X(name) GENERATOR_DROPOUT_##name,
    GENERATOR_DROPOUT_LIST(X)
#undef X
} generator_dropout;

extern const char *const generator_dropout_names[]; /* in that order, terminated by NULL */

typedef struct {
    int64_t input_channels, output_channels;
    int64_t filters; /* channels of the outermost encoder; block b has filters * min(2^b, 8) */
    int depth;       /* halvings; every side must be a multiple of 2^depth */
    generator_dropout dropout_blocks;
    bool bottleneck_norm; /* normalise the innermost encoder too */
    nn_style style;
} generator_config;

typedef struct {
    generator_config config;
    p2p_network *network;
    nn_conv encoder[GENERATOR_MAX_DEPTH], decoder[GENERATOR_MAX_DEPTH]; /* one per block */
    nn_norm encoder_norm[GENERATOR_MAX_DEPTH]; /* all but the outermost and, without bottleneck_norm, the
                                                  innermost */
    nn_norm decoder_norm[GENERATOR_MAX_DEPTH]; /* all but the outermost */
} generator;

/* The name, in PyTorch's state dictionary, of the layer at `position` in the Sequential of `block`. The
 * convolution is at 0 in the outermost block and at 1 in the others; generator.c lists the others. */
void generator_layer_name(char name[NN_NAME_BYTES], int block, int position);

/* Declare the parameters in `network`, in the order of PyTorch's state dictionary. `config` is valid, its
 * depth within the limits above. */
generator generator_declare(p2p_network *network, const generator_config *config);

/* x: n, input_channels, h, w. The result: n, output_channels, h, w. */
p2p_value generator_apply(p2p_graph *graph, const nn_pass *pass, const generator *g, p2p_value x);

#endif
