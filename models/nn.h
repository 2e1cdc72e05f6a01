/* Layers shared by the generator and the discriminator: declaring their parameters under the names of
 * PyTorch's state dictionaries, and applying them in a graph.
 *
 * Architecture is not here: which layers follow each other is said in generator.c and discriminator.c.
 */
#ifndef NN_H
#define NN_H

#include "p2p.h"

/* A layer's place in PyTorch's tree of modules, as in "model.model.1.model.3"; parameters append ".weight".
 */
enum { NN_NAME_BYTES = 128 };

/* X(name): what normalises between layers. Batch normalisation has scales, shifts and running statistics.
 * Instance normalisation takes each image's own statistics and, as published, has no parameters; neither has
 * none. */
#define NN_NORM_LIST(X) X(batch) X(instance) X(none)

typedef enum {
#define X(name) NN_NORM_##name,
    NN_NORM_LIST(X)
#undef X
} nn_norm_kind;

extern const char *const nn_norm_names[]; /* in that order; NULL ends them */

/* How the layers of a network are made. */
typedef struct {
    nn_norm_kind norm;
    double init_stddev;       /* filters are drawn from N(0, init_stddev) */
    double init_scale_stddev; /* scales of batch normalisation from N(1, init_scale_stddev) */
} nn_style;

/* Convolutions by what they do to a map's sides. All but the last have 4x4 filters and zero padding 1. */
typedef enum {
    NN_HALVE,  /* stride 2 */
    NN_DOUBLE, /* transposed, stride 2 */
    NN_SLIDE,  /* stride 1: sides lose a pixel */
    NN_PIXEL   /* 1x1, no padding */
} nn_conv_kind;

typedef struct {
    char name[NN_NAME_BYTES];
    nn_conv_kind kind;
    p2p_param weight, bias; /* bias {-1} where there is none */
} nn_conv;

typedef struct {
    char name[NN_NAME_BYTES];
    nn_norm_kind kind;
    p2p_param scale, shift, running; /* {-1} in all but batch normalisation */
} nn_norm;

/* How a network is applied in one forward pass. */
typedef struct {
    p2p_norm_options norm;
    double slope;            /* of LeakyReLU */
    double dropout;          /* probability of dropping; 0 is off */
    const char *layer_names; /* not NULL: each layer's result becomes the output "<layer_names>.<layer>" */
    p2p_type output_type;    /* of those */
} nn_pass;

/* Whether a convolution that a normalisation follows needs a bias: the shift of batch normalisation stands
 * for it; the other kinds have none. */
bool nn_needs_bias(const nn_style *style);

/* Declare "<name>.weight" and with `bias` "<name>.bias", which starts at 0. `from` and `to` are the channels
 * of the layer's input and output. */
nn_conv nn_conv_declare(p2p_network *network, const nn_style *style, const char *name, nn_conv_kind kind,
                        int64_t from, int64_t to, bool bias);
/* Declare the style's normalisation over c channels; of batch normalisation "<name>.weight", "<name>.bias",
 * which starts at 0, and "<name>.running". */
nn_norm nn_norm_declare(p2p_network *network, const nn_style *style, const char *name, int64_t c);

p2p_value nn_conv_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_conv *conv,
                        p2p_value x);
p2p_value nn_norm_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_norm *norm,
                        p2p_value x);
p2p_value nn_relu(p2p_graph *graph, p2p_value x);
p2p_value nn_leaky_relu(p2p_graph *graph, const nn_pass *pass, p2p_value x);

/* The output extent of one nn_conv along a side of `extent`, but of NN_DOUBLE; 0 or less where there is
 * none. */
int64_t nn_conv_extent(nn_conv_kind kind, int64_t extent);

#endif
