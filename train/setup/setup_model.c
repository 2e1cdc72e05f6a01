/* The networks of settings. See setup.h. */
#include "setup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Parse --generator: auto, unet_256, unet_128, or a number of levels. */
static p2p_status parse_depth(const settings *all, int *depth) {
    const char *name = all->generator;
    char *end;
    if (strcmp(name, "auto") == 0) {
        *depth = pix2pix_depth_for(all->size, all->size);
        if (*depth > 0) return P2P_OK;
        p2p_fail(P2P_USAGE,
                 "--size %" PRId64 " is too small or odd: the generator halves it at least %d times",
                 all->size, GENERATOR_MIN_DEPTH);
        return p2p_hint(P2P_USAGE, "sizes such as 64, 128, 256 or 512 work best");
    }
    if (strcmp(name, "unet_256") == 0) {
        *depth = 8;
        return P2P_OK;
    }
    if (strcmp(name, "unet_128") == 0) {
        *depth = 7;
        return P2P_OK;
    }
    long levels = strtol(name, &end, 10);
    if (end == name || *end != '\0' || levels < GENERATOR_MIN_DEPTH || levels > GENERATOR_MAX_DEPTH)
        return p2p_fail(P2P_USAGE,
                        "--generator '%s' is neither auto, unet_256, unet_128 nor a number from %d to %d",
                        name, GENERATOR_MIN_DEPTH, GENERATOR_MAX_DEPTH);
    *depth = (int)levels;
    return P2P_OK;
}

/* Set the fields that are enums. The options' choices are the names of the enums' values. */
static void choose(const settings *all, pix2pix_config *config) {
    config->norm = (nn_norm_kind)pix2pix_name_index(nn_norm_names, all->norm);
    config->bottleneck_norm = strcmp(all->bottleneck_norm, "on") == 0;
    config->init_resizing = strcmp(all->init_upsampling, "resize") == 0;
    config->dropout_blocks =
        (generator_dropout)pix2pix_name_index(generator_dropout_names, all->dropout_blocks);
    config->discriminator_net = (discriminator_net)pix2pix_name_index(discriminator_net_names, all->d_net);
    config->gan_mode = (pix2pix_gan_mode)pix2pix_name_index(pix2pix_gan_mode_names, all->gan_mode);
    config->d_order = (pix2pix_d_order)pix2pix_name_index(pix2pix_d_order_names, all->d_order);
}

p2p_status setup_model_config(const settings *all, pix2pix_config *config) {
    *config = pix2pix_config_default();
    config->height = config->width = all->size;
    config->ngf = all->ngf;
    config->ndf = all->ndf;
    config->input_channels = all->channels_in;
    config->output_channels = all->channels_out;
    config->norm_eps = all->norm_eps;
    config->norm_momentum = all->norm_momentum;
    config->leaky_slope = all->slope;
    config->dropout = all->dropout;
    config->discriminator_layers = (int)all->d_layers;
    config->lambda_l1 = all->lambda_l1;
    config->sync_norm = all->sync_norm;
    config->beta1 = all->beta1;
    config->beta2 = all->beta2;
    config->adam_eps = all->adam_eps;
    config->init_stddev = all->init_stddev;
    config->init_scale_stddev = all->init_scale;
    choose(all, config);
    P2P_TRY(parse_depth(all, &config->depth));
    if (config->sync_norm && config->norm != NN_NORM_batch)
        return p2p_fail(P2P_USAGE, "--sync-norm contradicts --norm %s, which has no statistics of a batch",
                        all->norm);
    if (config->sync_norm && all->grad_accumulate > 1) {
        p2p_fail(P2P_USAGE,
                 "--sync-norm contradicts --grad-accumulate %" PRId64
                 ": statistics over batches that are not in memory at once are not known",
                 all->grad_accumulate);
        return p2p_hint(P2P_USAGE, "use more devices, or --norm instance");
    }
    if (config->norm == NN_NORM_none && config->bottleneck_norm && settings_given(all, "bottleneck-norm"))
        return p2p_fail(P2P_USAGE, "--bottleneck-norm on contradicts --norm none");
    if (config->discriminator_net == DISCRIMINATOR_pixel && settings_given(all, "d-layers"))
        return p2p_fail(P2P_USAGE,
                        "--d-layers contradicts --d-net pixel, which has no convolutions of stride 2");
    p2p_status status = pix2pix_config_check(config);
    return status == P2P_INPUT ? p2p_fail(P2P_USAGE, "%s", p2p_message()) : status;
}

/* Print a line if the automatic number of the generator's levels is small because --size is divisible by few
 * powers of 2. The line names the nearest sizes that give more. */
static void note_levels(const settings *all, const pix2pix_config *config, FILE *stream) {
    enum { ENOUGH = 5, UNIT = 1 << ENOUGH };
    if (strcmp(all->generator, "auto") != 0 || config->depth >= ENOUGH) return;
    const int64_t below = all->size / UNIT * UNIT, above = below + UNIT;
    fprintf(stream, "note: --size %" PRId64 " can be halved only %d times, so the generator has few levels; ",
            all->size, config->depth);
    if (below > 0) fprintf(stream, "%" PRId64 " gives %d, ", below, pix2pix_depth_for(below, below));
    fprintf(stream, "%" PRId64 " gives %d\n", above, pix2pix_depth_for(above, above));
}

/* "2765568" as "2.8 million". */
static void count_text(int64_t count, char *text, size_t size) {
    if (count < 1000000)
        snprintf(text, size, "%" PRId64, count);
    else
        snprintf(text, size, "%.1f million", (double)count / 1e6);
}

void setup_print_networks(const settings *all, const pix2pix *model, FILE *stream) {
    char of_g[32], of_d[32];
    count_text(pix2pix_parameters(model->generator.network), of_g, sizeof of_g);
    count_text(pix2pix_parameters(model->discriminator.network), of_d, sizeof of_d);
    fprintf(stream,
            "networks: %" PRId64 " x %" PRId64 " pixels; generator of %d levels with %s parameters, "
            "discriminator with %s\n",
            model->config.width, model->config.height, model->config.depth, of_g, of_d);
    note_levels(all, &model->config, stream);
}

bool setup_mode_is_train(const settings *all) {
    return strcmp(all->mode, "train") == 0;
}

p2p_status setup_with_model(settings *all, const char *name, setup_model_body *body) {
    P2P_TRY(settings_no_arguments(all, name));
    pix2pix_config config;
    pix2pix *model = NULL;
    setup_devices devices = {0};
    P2P_TRY(setup_model_config(all, &config));
    p2p_status status = pix2pix_create(&model, &config);
    if (status == P2P_OK) note_levels(all, &config, stderr);
    if (status == P2P_OK) status = setup_devices_open(all, &devices);
    if (status == P2P_OK) status = body(all, model, &devices);
    setup_devices_close(&devices);
    pix2pix_destroy(model);
    return status;
}
