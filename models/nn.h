/* Layers shared by the generator and the discriminator: declaring their parameters under the names of
 * PyTorch's state dictionaries, and applying them in a graph.
 *
 * The order of layers is not here but in generator.c and discriminator.c.
 */
#ifndef NN_H
#define NN_H

#include "p2p.h"

/* The name of a layer is its path in PyTorch's tree of modules, e.g. "model.model.1.model.3". Names of
 * parameters append ".weight" or another part. */
enum { NN_NAME_BYTES = 128 };

/* X(name): normalisation between layers. batch has scales, shifts and running statistics. instance uses each
 * image's own statistics and, as published, has no parameters. none normalises nothing. */
#define NN_NORM_LIST(X) X(batch) X(instance) X(none)

typedef enum {
#define X(name) NN_NORM_##name,
    NN_NORM_LIST(X)
#undef X
} nn_norm_kind;

extern const char *const nn_norm_names[]; /* in that order, terminated by NULL */

/* What all layers of a network have in common. */
typedef struct {
    nn_norm_kind norm;
    double init_stddev;       /* filters start as N(0, init_stddev) */
    bool init_resizing;       /* those of NN_DOUBLE start as p2p_network_filter_resizing */
    double init_scale_stddev; /* scales of batch normalisation start as N(1, init_scale_stddev) */
} nn_style;

/* Convolutions by their effect on the sides of a feature map. All but the last have 4x4 filters and zero
 * padding 1. */
typedef enum {
    NN_HALVE,  /* stride 2 */
    NN_DOUBLE, /* transposed, stride 2 */
    NN_SLIDE,  /* stride 1: sides shrink by one pixel */
    NN_PIXEL   /* 1x1, no padding */
} nn_conv_kind;

typedef struct {
    char name[NN_NAME_BYTES];
    nn_conv_kind kind;
    p2p_param weight, bias; /* bias is {-1} if there is none */
} nn_conv;

typedef struct {
    char name[NN_NAME_BYTES];
    nn_norm_kind kind;
    p2p_param scale, shift, running; /* {-1} except in batch normalisation */
} nn_norm;

/* The parameters of one forward pass of a network. */
typedef struct {
    p2p_norm_options norm;
    double slope;            /* of LeakyReLU */
    double dropout;          /* probability of dropping; 0 is off */
    const char *layer_names; /* if not NULL, each layer's result is the output "<layer_names>.<layer>" */
    p2p_type output_type;    /* of these outputs */
} nn_pass;

/* Whether a convolution that is followed by a normalisation needs a bias. The shift of batch normalisation
 * replaces it; the other kinds have no shift. */
bool nn_needs_bias(const nn_style *style);

/* Declare "<name>.weight" and, if `bias`, "<name>.bias", which starts at 0. `from` and `to` are the channels
 * of the layer's input and output. */
nn_conv nn_conv_declare(p2p_network *network, const nn_style *style, const char *name, nn_conv_kind kind,
                        int64_t from, int64_t to, bool bias);
/* Declare the style's normalisation over c channels. Batch normalisation has "<name>.weight", "<name>.bias",
 * which starts at 0, and "<name>.running". */
nn_norm nn_norm_declare(p2p_network *network, const nn_style *style, const char *name, int64_t c);

p2p_value nn_conv_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_conv *conv,
                        p2p_value x);
p2p_value nn_norm_apply(p2p_graph *graph, const nn_pass *pass, p2p_network *network, const nn_norm *norm,
                        p2p_value x);
p2p_value nn_relu(p2p_graph *graph, p2p_value x);
p2p_value nn_leaky_relu(p2p_graph *graph, const nn_pass *pass, p2p_value x);

/* The output extent of an nn_conv of any kind but NN_DOUBLE along a side of `extent`; 0 if the padded side is
 * shorter than the filter. */
int64_t nn_conv_extent(nn_conv_kind kind, int64_t extent);

#endif
