/* The discriminator: pix2pix's PatchGAN, which classifies overlapping patches of a pair of images (70x70
 * pixels with 3 layers), or the pixel discriminator, whose patches are single pixels.
 *
 * It returns logits, one per patch; the sigmoid is in the loss. Layers and names are those of the
 * published PyTorch code. Training is in pix2pix.c.
 */
#ifndef DISCRIMINATOR_H
#define DISCRIMINATOR_H

#include "nn.h"

enum { DISCRIMINATOR_MIN_LAYERS = 1, DISCRIMINATOR_MAX_LAYERS = 6 };

/* X(name): the available networks. */
#define DISCRIMINATOR_NET_LIST(X) X(patch) X(pixel)

typedef enum {
#define X(name) DISCRIMINATOR_##name,
    DISCRIMINATOR_NET_LIST(X)
#undef X
} discriminator_net;

extern const char *const discriminator_net_names[]; /* in that order, terminated by NULL */

typedef struct {
    discriminator_net net;
    int64_t input_channels; /* of the pair: condition, then image */
    int64_t filters;        /* channels of the first layer; layer l has filters * min(2^l, 8) */
    int layers;             /* of patch: convolutions of stride 2; two of stride 1 follow */
    nn_style style;
} discriminator_config;

typedef struct {
    discriminator_config config;
    p2p_network *network;
    nn_conv conv[DISCRIMINATOR_MAX_LAYERS + 2];
    nn_norm norm[DISCRIMINATOR_MAX_LAYERS + 2]; /* all but the first and the last */
} discriminator;

/* Declare the parameters in `network`, in the order of PyTorch's state dictionary. `config` must be valid. */
discriminator discriminator_declare(p2p_network *network, const discriminator_config *config);

/* pair: n, input_channels, h, w. The result: n, 1, patches down, patches across. */
p2p_value discriminator_apply(p2p_graph *graph, const nn_pass *pass, const discriminator *d, p2p_value pair);

/* Patches along a side of `extent` pixels; 0 if the side is too short for the layers. */
int64_t discriminator_patches(discriminator_net net, int layers, int64_t extent);

#endif
