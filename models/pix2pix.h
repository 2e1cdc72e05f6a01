/* pix2pix: its settings, its two networks, and the graphs of a training step, of validation and of
 * translation.
 *
 * The discriminator is trained on fake and on real pairs, in two passes with batch statistics of their own,
 * each with half the loss. The generator is trained with the GAN loss and the L1 distance. Data, the training
 * loop and files are not here, nor are the presets (train/options/option_rows.c).
 */
#ifndef PIX2PIX_H
#define PIX2PIX_H

#include "discriminator.h"
#include "generator.h"

/* X(name): the order of updates. first, as in the published PyTorch code: the discriminator is updated, then
 * the generator, with gradients through the updated discriminator. simultaneous, as in the published
 * TensorFlow code: both gradients are those of the discriminator before its update, and one pass over the
 * fake serves both. */
#define PIX2PIX_D_ORDER_LIST(X) X(first) X(simultaneous)

/* X(name): the GAN loss: cross-entropy of the logits, or their squared distance from the label. */
#define PIX2PIX_GAN_MODE_LIST(X) X(bce) X(lsgan)

typedef enum {
#define X(name) PIX2PIX_D_##name,
    PIX2PIX_D_ORDER_LIST(X)
#undef X
} pix2pix_d_order;

typedef enum {
#define X(name) PIX2PIX_GAN_##name,
    PIX2PIX_GAN_MODE_LIST(X)
#undef X
} pix2pix_gan_mode;

extern const char *const pix2pix_d_order_names[], *const pix2pix_gan_mode_names[]; /* end with NULL */

/* The index of `text` in a list of names terminated by NULL; -1 if it is not in the list. */
int pix2pix_name_index(const char *const *names, const char *text);

/* What defines a model and its training step. */
typedef struct {
    int64_t height, width; /* of the training images */
    int64_t input_channels, output_channels;
    int depth;        /* of the generator: each level halves the sides */
    int64_t ngf, ndf; /* filters of the generator's and the discriminator's first layers */
    nn_norm_kind norm;
    bool bottleneck_norm; /* normalise the innermost encoder too */
    double norm_eps, norm_momentum;
    bool sync_norm;     /* statistics over all replicas' images instead of each one's own */
    double leaky_slope; /* of LeakyReLU */
    double dropout;     /* 0 is off */
    generator_dropout dropout_blocks;
    discriminator_net discriminator_net;
    int discriminator_layers; /* of patch; 3 is the 70x70 PatchGAN; smaller images need fewer */
    pix2pix_d_order d_order;
    pix2pix_gan_mode gan_mode;
    double lambda_l1; /* weight of the L1 distance relative to the generator's GAN loss */
    double beta1, beta2, adam_eps;
    double init_stddev, init_scale_stddev; /* see nn_style */
    bool init_resizing;                    /* likewise; files of models do not record it */
} pix2pix_config;

/* The settings of the published PyTorch code for 256x256 images. */
pix2pix_config pix2pix_config_default(void);

/* The depth for images of this size: as often as both sides can be halved, at most 8; 0 if that is too little
 * for the smallest U-Net. */
int pix2pix_depth_for(int64_t height, int64_t width);

/* Check that every field is in range and that the sides fit both networks. P2P_INPUT names the field, its
 * value and the limits. */
p2p_status pix2pix_config_check(const pix2pix_config *config);

/* Check that a U-Net of this depth can take an image of this size. P2P_INPUT names the nearest size that
 * fits. */
p2p_status pix2pix_sides_check(int depth, int64_t height, int64_t width);

/* The networks of one model. They must outlive every graph and session that uses them. */
typedef struct {
    pix2pix_config config;
    generator generator;
    discriminator discriminator; /* its network is NULL in a model for translation */
} pix2pix;

/* Check the configuration and declare both networks, named "generator" and "discriminator". */
p2p_status pix2pix_create(pix2pix **model, const pix2pix_config *config);
/* The generator alone, for translation. */
p2p_status pix2pix_create_translator(pix2pix **model, const pix2pix_config *config);
void pix2pix_destroy(pix2pix *model); /* NULL is fine */

/* The images of share `number` of `shares` into which a batch is divided, and those of the shares before it:
 * as even as can be, larger shares first. */
int64_t pix2pix_share(int64_t images, int shares, int number);
int64_t pix2pix_share_first(int64_t images, int shares, int number);

enum { PIX2PIX_MOST_PARTS = 64 };

/* The properties of a graph. */
typedef struct {
    int64_t local_batch, global_batch; /* images on this replica, and on all replicas */
    int world;                         /* replicas */
    /* Training: the local batch is divided into as many shares, at most PIX2PIX_MOST_PARTS, which are
     * computed one after the other with the memory of one, as replicas with such shares compute them: each
     * has batch statistics of its own, and gradients are added. 0 or 1: one. With d_order first, the
     * generator's forward pass is computed again for its own gradients. */
    int parts;
    int64_t height, width;
    /* Of "input" and "target": u8 and u16 are interleaved images, f32 and f64 activations in [-1, 1]. */
    p2p_type input_type, target_type;
    p2p_type output_type; /* of "generated" and of the layers */
    /* The next two are ignored in training. */
    p2p_norm_stats_over statistics; /* P2P_STATS_IMAGE is the paper's test mode, at any batch size */
    bool no_dropout;                /* the paper's test mode has dropout */
    bool layer_outputs;             /* every layer's result is an output, named as in nn_pass; for tests */
} pix2pix_graph_options;

/* One replica, images of the configuration's size as u8, f32 outputs, the paper's test mode. */
pix2pix_graph_options pix2pix_graph_options_for(const pix2pix *model, int64_t batch);

/* One training step. Inputs "input" (the condition) and "target"; losses "d_fake", "d_real", "g_gan", "g_l1",
 * unweighted. Every pass updates running statistics, as in PyTorch: the generator's once; the
 * discriminator's on the fake, on the real pair and, with d_order first, on the fake in the generator's half.
 * The caller owns the graph. */
p2p_status pix2pix_graph_train(const pix2pix *model, const pix2pix_graph_options *options, p2p_graph **graph);

/* Output "generated"; with `target` also the input "target" and the loss "l1". Reads running statistics only
 * with P2P_STATS_RUNNING, and changes no state. With statistics of the image or running ones, an image's
 * result has the same bits in every batch. */
p2p_status pix2pix_graph_evaluate(const pix2pix *model, const pix2pix_graph_options *options, bool target,
                                  p2p_graph **graph);

/* The number of the network's trainable parameters; running statistics do not count. */
int64_t pix2pix_parameters(const p2p_network *network);

/* The number of forward passes that have updated the network's running statistics after `steps` training
 * steps: PyTorch's num_batches_tracked. */
int64_t pix2pix_passes(const pix2pix *model, const p2p_network *network, int64_t steps);

#endif
