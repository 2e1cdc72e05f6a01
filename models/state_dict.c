/* From the names and shapes of a state dictionary to a configuration; see state_dict.h. The position of each
 * layer is documented in generator.c. */
#include "state_dict.h"

#include "weights.h"

/* Sides of a network's images: the published code trains unet_256 on 256x256 and unet_128 on 128x128. */
enum { USUAL_SIDE = 256, LEAST_DEPTH_WITH_OWN_SIDE = 7 };

/* The tensor "<layer>.<part>" of the layer at `position` of `block` if it has this rank, else NULL. */
static const safetensors_entry *part_at(const safetensors_file *file, int block, int position,
                                        const char *part, int rank) {
    char layer[NN_NAME_BYTES], name[NN_NAME_BYTES + 16];
    generator_layer_name(layer, block, position);
    snprintf(name, sizeof name, "%s.%s", layer, part);
    const safetensors_entry *entry = weights_find(file, name);
    return entry && entry->rank == rank ? entry : NULL;
}

static const safetensors_entry *filter_at(const safetensors_file *file, int block, int position) {
    return part_at(file, block, position, "weight", 4);
}

/* The error for a file that is not a U-Net's; names a discriminator as such. */
static p2p_status no_unet(const safetensors_file *file) {
    const char *path = safetensors_path(file);
    if (weights_find(file, "model.0.weight") || weights_find(file, "net.0.weight"))
        return p2p_fail(P2P_INPUT, "%s holds a discriminator's tensors: only a generator translates images",
                        path);
    p2p_fail(P2P_INPUT, "%s does not describe its network, and its tensors are not those of a U-Net", path);
    return p2p_hint(P2P_INPUT, "unet_256 and unet_128 of the published PyTorch code can be read, with their "
                               "names as they are");
}

static int count_blocks(const safetensors_file *file) {
    int depth = 1;
    while (depth < GENERATOR_MAX_DEPTH && filter_at(file, depth, 1)) depth++;
    return depth;
}

/* The innermost block's transposed convolution is at position 3, or 4 if a normalisation precedes it. */
static p2p_status infer_bottleneck(const safetensors_file *file, pix2pix_config *config) {
    const int innermost = config->depth - 1;
    config->bottleneck_norm = !filter_at(file, innermost, 3);
    if (!config->bottleneck_norm || filter_at(file, innermost, 4)) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s ends at level %d of a U-Net: that level has no transposed convolution",
                    safetensors_path(file), config->depth);
}

/* The decoder of the second block is normalised at any depth. */
static nn_norm_kind infer_norm(const safetensors_file *file, const pix2pix_config *config) {
    const int decoder = config->depth > 2 ? 5 : config->bottleneck_norm ? 4 : 3;
    if (part_at(file, 1, decoder + 1, "weight", 1)) return NN_NORM_batch;
    return part_at(file, 1, decoder, "bias", 1) ? NN_NORM_instance : NN_NORM_none;
}

p2p_status state_dict_infer(const safetensors_file *file, pix2pix_config *config) {
    const safetensors_entry *first = filter_at(file, 0, 0), *last = filter_at(file, 0, 3);
    *config = pix2pix_config_default();
    config->depth = count_blocks(file);
    if (!first || !last || !part_at(file, 0, 3, "bias", 1) || config->depth < GENERATOR_MIN_DEPTH)
        return no_unet(file);
    P2P_TRY(infer_bottleneck(file, config));
    config->norm = infer_norm(file, config);
    config->ngf = first->shape[0];
    config->input_channels = first->shape[1];
    config->output_channels = last->shape[1];
    config->height = config->width =
        config->depth < LEAST_DEPTH_WITH_OWN_SIDE ? USUAL_SIDE : (int64_t)1 << config->depth;
    return P2P_OK;
}

bool state_dict_lacks_biases(const safetensors_file *file) {
    return filter_at(file, 0, 0) && part_at(file, 0, 3, "bias", 1) && !part_at(file, 0, 0, "bias", 1);
}
