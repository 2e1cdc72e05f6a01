/* Layers shared by the generator and the discriminator: declaring their parameters under the names of
 * PyTorch's state dictionaries, and applying them in a graph.
 *
 * Every convolution is 4x4 with zero padding 1, as everywhere in pix2pix. Architecture is not here: which
 * layers follow each other is said in generator.c and discriminator.c.
 */
#ifndef NN_H
#define NN_H

#include "p2p.h"

/* A layer's place in PyTorch's tree of modules, as in "model.model.1.model.3"; parameters append ".weight".
 */
enum { NN_NAME_BYTES = 128 };

typedef enum { NN_CONV, NN_CONV_TRANSPOSED } nn_conv_kind;

typedef struct {
    nn_conv_kind kind;
    int stride;
    p2p_param weight, bias; /* bias {-1} where there is none */
} nn_conv;

typedef struct {
    p2p_param scale, shift, running;
} nn_norm;

/* How a network is applied in one forward pass. */
typedef struct {
    p2p_norm_options norm;
    double dropout;          /* probability of dropping; 0 is off */
    const char *layer_names; /* not NULL: each layer's result becomes the output "<layer_names>.<layer>" */
    p2p_type output_type;    /* of those */
} nn_pass;

/* Declare "<name>.weight", drawn from N(0, stddev), and with `bias` "<name>.bias", which starts at 0. `from`
 * and `to` are the channels of the layer's input and output. */
nn_conv nn_conv_declare(p2p_network *network, const char *name, nn_conv_kind kind, int stride, int64_t from,
                        int64_t to, bool bias, double stddev);
/* Declare batch normalisation over c channels: "<name>.weight" from N(1, stddev), "<name>.bias" 0, and
 * "<name>.running". */
nn_norm nn_norm_declare(p2p_network *network, const char *name, int64_t c, double stddev);

p2p_value nn_conv_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_conv *conv,
                        p2p_value x);
p2p_value nn_norm_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_norm *norm,
                        p2p_value x);
p2p_value nn_relu(p2p_graph *graph, p2p_value x);
p2p_value nn_leaky_relu(p2p_graph *graph, p2p_value x); /* slope 0.2 */

/* The output extent of one nn_conv along a side of `extent`; 0 or less where there is none. */
int64_t nn_conv_extent(int64_t extent, int stride);

#endif
