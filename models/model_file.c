/* Metadata of model files. One pair of lists defines how fields of pix2pix_config are written and read. */
#include "model_file.h"

#include "state_dict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Fields that format 1 lacks have the values of pix2pix_config_default(), the only training of its time. */
enum { OLDEST_FORMAT = 1, FORMAT = 2 };

static const char generator_name[] = "pix2pix U-Net generator";
static const char discriminator_name[] = "pix2pix PatchGAN discriminator";

/* X(field, type, format): numeric fields of pix2pix_config, and the first format that has each. */
#define CONFIG_NUMBERS(X)                                                                                    \
    X(height, integer, 1)                                                                                    \
    X(width, integer, 1)                                                                                     \
    X(input_channels, integer, 1)                                                                            \
    X(output_channels, integer, 1)                                                                           \
    X(depth, integer, 1)                                                                                     \
    X(ngf, integer, 1)                                                                                       \
    X(ndf, integer, 1)                                                                                       \
    X(bottleneck_norm, integer, 2)                                                                           \
    X(norm_eps, real, 1)                                                                                     \
    X(norm_momentum, real, 1)                                                                                \
    X(sync_norm, integer, 1)                                                                                 \
    X(leaky_slope, real, 2)                                                                                  \
    X(dropout, real, 1)                                                                                      \
    X(discriminator_layers, integer, 1)                                                                      \
    X(lambda_l1, real, 1)                                                                                    \
    X(beta1, real, 1)                                                                                        \
    X(beta2, real, 1)                                                                                        \
    X(adam_eps, real, 1)                                                                                     \
    X(init_stddev, real, 1)                                                                                  \
    X(init_scale_stddev, real, 2)

/* X(field, type, format, names): fields that are written as one of some names. */
#define CONFIG_CHOICES(X)                                                                                    \
    X(norm, nn_norm_kind, 1, nn_norm_names)                                                                  \
    X(dropout_blocks, generator_dropout, 2, generator_dropout_names)                                         \
    X(discriminator_net, discriminator_net, 2, discriminator_net_names)                                      \
    X(d_order, pix2pix_d_order, 2, pix2pix_d_order_names)                                                    \
    X(gan_mode, pix2pix_gan_mode, 2, pix2pix_gan_mode_names)

/* ---- Writing ------------------------------------------------------------------------------------------ */

static p2p_status add_integer(safetensors_writer *writer, const char *key, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return safetensors_add_metadata(writer, key, text);
}

/* 17 digits represent every double exactly; 15 are used where they do. */
static p2p_status add_real(safetensors_writer *writer, const char *key, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    return safetensors_add_metadata(writer, key, text);
}

/* Sizes of 0 x 0 stand for several sizes. A file without the three fields records nothing. */
static p2p_status add_source(safetensors_writer *writer, const model_file_info *info) {
    if (info->source == MODEL_SOURCE_UNKNOWN) return P2P_OK;
    const bool one = info->source == MODEL_SOURCE_ONE;
    P2P_TRY(add_integer(writer, "source_width", one ? info->source_width : 0));
    P2P_TRY(add_integer(writer, "source_height", one ? info->source_height : 0));
    return add_integer(writer, "load_size", info->load_size);
}

static p2p_status add_metadata(safetensors_writer *writer, const pix2pix_config *config,
                               const char *architecture, const model_file_info *info) {
    P2P_TRY(safetensors_add_metadata(writer, "format", "pt")); /* the layout of PyTorch's tensors */
    P2P_TRY(add_integer(writer, "p2p_format", FORMAT));
    P2P_TRY(safetensors_add_metadata(writer, "p2p_version", P2P_VERSION));
    P2P_TRY(safetensors_add_metadata(writer, "architecture", architecture));
    P2P_TRY(safetensors_add_metadata(writer, "direction", info->direction));
    P2P_TRY(add_integer(writer, "step", info->step));
    P2P_TRY(add_integer(writer, "epoch", info->epoch));
    P2P_TRY(add_integer(writer, "input_bits", info->input_bits));
    P2P_TRY(add_integer(writer, "output_bits", info->output_bits));
    P2P_TRY(safetensors_add_metadata(writer, "resize", info->resize));
    P2P_TRY(add_source(writer, info));
    if (info->run[0]) P2P_TRY(safetensors_add_metadata(writer, "run", info->run));
#define X(field, type, format) P2P_TRY(add_##type(writer, #field, config->field));
    CONFIG_NUMBERS(X)
#undef X
#define X(field, type, format, names) P2P_TRY(safetensors_add_metadata(writer, #field, names[config->field]));
    CONFIG_CHOICES(X)
#undef X
    return P2P_OK;
}

static p2p_status write_model(p2p_session *session, const pix2pix *model, p2p_network *network,
                              const model_file_info *info, safetensors_writer *writer) {
    const bool is_generator = network == model->generator.network;
    P2P_TRY(add_metadata(writer, &model->config, is_generator ? generator_name : discriminator_name, info));
    const weights_group group = {.network = network,
                                 .part = P2P_STATE_VALUE,
                                 .prefix = "",
                                 .passes = pix2pix_passes(model, network, info->step)};
    return weights_write(session, writer, &group, 1, P2P_TYPE_f32);
}

p2p_status model_file_save(p2p_session *session, const pix2pix *model, p2p_network *network,
                           const model_file_info *info, const char *path) {
    safetensors_writer *writer;
    P2P_TRY(safetensors_create(path, &writer));
    p2p_status status = write_model(session, model, network, info, writer);
    if (status == P2P_OK) return safetensors_commit(writer);
    safetensors_abandon(writer);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

static p2p_status bad_value(const safetensors_file *file, const char *key) {
    return p2p_fail(P2P_INPUT, "%s: its metadata's %s is missing or out of range", safetensors_path(file),
                    key);
}

/* A decimal integer from 0 to INT32_MAX, enough for every field. */
static p2p_status get_integer(const safetensors_file *file, const char *key, int64_t *value) {
    const char *text = safetensors_metadata(file, key);
    if (!text || *text == '\0') return bad_value(file, key);
    char *end;
    errno = 0;
    const long long parsed = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || parsed < 0 || parsed > INT32_MAX) return bad_value(file, key);
    *value = parsed;
    return P2P_OK;
}

static p2p_status get_real(const safetensors_file *file, const char *key, double *value) {
    const char *text = safetensors_metadata(file, key);
    if (!text || *text == '\0') return bad_value(file, key);
    char *end;
    *value = strtod(text, &end);
    return *end == '\0' ? P2P_OK : bad_value(file, key);
}

static p2p_status get_choice(const safetensors_file *file, const char *key, const char *const *names,
                             int *index) {
    const char *text = safetensors_metadata(file, key);
    *index = text ? pix2pix_name_index(names, text) : -1;
    if (*index >= 0) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s: its metadata's %s is %s%s", safetensors_path(file), key,
                    text ? "not supported by this version of p2p: " : "missing", text ? text : "");
}

/* Fields that the file's format lacks keep their values. */
static p2p_status get_config(const safetensors_file *file, int64_t file_format, pix2pix_config *config) {
    int64_t integer;
    double real;
    int index;
#define X(field, type, format)                                                                               \
    if (file_format >= format) {                                                                             \
        P2P_TRY(get_##type(file, #field, &type));                                                            \
        config->field = type;                                                                                \
    }
    CONFIG_NUMBERS(X)
#undef X
#define X(field, type, format, names)                                                                        \
    if (file_format >= format) {                                                                             \
        P2P_TRY(get_choice(file, #field, names, &index));                                                    \
        config->field = (type)index;                                                                         \
    }
    CONFIG_CHOICES(X)
#undef X
    return P2P_OK;
}

static bool metadata_is(const safetensors_file *file, const char *key, const char *value) {
    const char *text = safetensors_metadata(file, key);
    return text && strcmp(text, value) == 0;
}

static p2p_status get_bits(const safetensors_file *file, const char *key, int *bits) {
    int64_t value = 8;
    if (safetensors_metadata(file, key)) P2P_TRY(get_integer(file, key, &value));
    if (value != 8 && value != 16)
        return p2p_fail(P2P_INPUT, "%s: its metadata's %s is neither 8 nor 16", safetensors_path(file), key);
    *bits = (int)value;
    return P2P_OK;
}

/* Files of earlier versions lack the field; those versions resized bicubically only. */
static p2p_status get_resize(const safetensors_file *file, model_file_info *info) {
    const bool nearest = metadata_is(file, "resize", "nearest");
    if (!nearest && safetensors_metadata(file, "resize") && !metadata_is(file, "resize", "bicubic"))
        return p2p_fail(P2P_INPUT, "%s: its metadata's resize is neither bicubic nor nearest",
                        safetensors_path(file));
    snprintf(info->resize, sizeof info->resize, "%s", nearest ? "nearest" : "bicubic");
    return P2P_OK;
}

static p2p_status get_source(const safetensors_file *file, model_file_info *info) {
    static const char *const keys[] = {"source_width", "source_height", "load_size"};
    int64_t values[] = {0, 0, 0};
    bool any = false;
    for (int i = 0; i < 3; i++) any = any || safetensors_metadata(file, keys[i]);
    info->source = MODEL_SOURCE_UNKNOWN;
    for (int i = 0; any && i < 3; i++) P2P_TRY(get_integer(file, keys[i], &values[i]));
    if (!any) return P2P_OK;
    if ((values[0] == 0) != (values[1] == 0)) return bad_value(file, keys[values[0] == 0 ? 0 : 1]);
    if (values[2] == 0) return bad_value(file, keys[2]);
    info->source = values[0] > 0 ? MODEL_SOURCE_ONE : MODEL_SOURCE_MIXED;
    info->source_width = (int)values[0];
    info->source_height = (int)values[1];
    info->load_size = (int)values[2];
    return P2P_OK;
}

bool model_file_is_run(const char *text) {
    const size_t length = MODEL_FILE_RUN_BYTES - 1;
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

bool model_file_run_is_damaged(const char *found, const char *run) {
    enum { MOST_DAMAGED = 4 };
    int different = 0;
    if (!model_file_is_run(run) || strcmp(found, run) == 0) return false;
    if (!model_file_is_run(found)) return true;
    for (int i = 0; i < MODEL_FILE_RUN_BYTES - 1; i++) different += found[i] != run[i];
    return different <= MOST_DAMAGED;
}

/* Files of earlier versions lack the field. */
static p2p_status get_run(const safetensors_file *file, char run[MODEL_FILE_RUN_BYTES]) {
    const char *text = safetensors_metadata(file, "run");
    run[0] = '\0';
    if (!text) return P2P_OK;
    if (!model_file_is_run(text)) return bad_value(file, "run");
    snprintf(run, MODEL_FILE_RUN_BYTES, "%s", text);
    return P2P_OK;
}

static p2p_status get_info(const safetensors_file *file, model_file_info *info) {
    P2P_TRY(get_run(file, info->run));
    P2P_TRY(get_bits(file, "input_bits", &info->input_bits));
    P2P_TRY(get_bits(file, "output_bits", &info->output_bits));
    P2P_TRY(get_integer(file, "step", &info->step));
    P2P_TRY(get_integer(file, "epoch", &info->epoch));
    const bool a_to_b = metadata_is(file, "direction", "AtoB");
    if (!a_to_b && !metadata_is(file, "direction", "BtoA"))
        return p2p_fail(P2P_INPUT, "%s: its metadata's direction is neither AtoB nor BtoA",
                        safetensors_path(file));
    snprintf(info->direction, sizeof info->direction, "%s", a_to_b ? "AtoB" : "BtoA");
    P2P_TRY(get_source(file, info));
    return get_resize(file, info);
}

/* Checkpoints (train/run/checkpoint.h) are safetensors files too. */
static p2p_status refuse_checkpoint(const safetensors_file *file) {
    static const char start[] = "p2p-checkpoint-";
    const char *format = safetensors_metadata(file, "format"), *path = safetensors_path(file);
    if (!format || strncmp(format, start, sizeof start - 1) != 0) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is a checkpoint, from which a training is resumed, and not a model", path);
    return p2p_hint(P2P_INPUT, "give the training's folder, in which checkpoints/ is, or "
                               "generator.safetensors in that folder");
}

static p2p_status check_format(const safetensors_file *file, int64_t *format) {
    if (get_integer(file, "p2p_format", format) == P2P_OK && *format >= OLDEST_FORMAT && *format <= FORMAT)
        return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s was written by another version of p2p: this one reads formats %d to %d",
                    safetensors_path(file), OLDEST_FORMAT, FORMAT);
}

static p2p_status check_kind(const safetensors_file *file, int64_t *format) {
    const char *path = safetensors_path(file);
    P2P_TRY(check_format(file, format));
    if (metadata_is(file, "architecture", discriminator_name)) {
        p2p_fail(P2P_INPUT, "%s is a discriminator: only a generator translates images", path);
        return p2p_hint(P2P_INPUT, "the generator of the same training is generator.safetensors beside it");
    }
    if (!metadata_is(file, "architecture", generator_name))
        return p2p_fail(P2P_INPUT, "%s holds a network that this version of p2p does not support", path);
    return P2P_OK;
}

static bool is_bare(const safetensors_file *file) {
    return !safetensors_metadata(file, "p2p_format");
}

static weights_group values_of(const safetensors_file *file, p2p_network *network) {
    return (weights_group){.network = network,
                           .part = P2P_STATE_VALUE,
                           .prefix = "",
                           .biases_may_lack = is_bare(file) && state_dict_lacks_biases(file)};
}

/* The configuration and info from the metadata, or from the tensors of a bare file. */
static p2p_status describe(const safetensors_file *file, pix2pix_config *config, model_file_info *info) {
    *info = (model_file_info){
        .bare = is_bare(file), .direction = "AtoB", .input_bits = 8, .output_bits = 8, .resize = "bicubic"};
    P2P_TRY(refuse_checkpoint(file));
    if (info->bare) return state_dict_infer(file, config);
    int64_t format;
    P2P_TRY(check_kind(file, &format));
    P2P_TRY(get_info(file, info));
    *config = pix2pix_config_default();
    return get_config(file, format, config);
}

p2p_status model_file_describe(const safetensors_file *file, pix2pix **model, model_file_info *info) {
    *model = NULL;
    pix2pix_config config;
    P2P_TRY(describe(file, &config, info));
    p2p_status status = pix2pix_create_translator(model, &config);
    if (status != P2P_OK)
        return p2p_fail(status, "%s: its %s: %s", safetensors_path(file), info->bare ? "tensors" : "metadata",
                        p2p_message());
    const weights_group group = values_of(file, (*model)->generator.network);
    status = weights_check(file, &group, 1);
    if (status == P2P_OK) return P2P_OK;
    pix2pix_destroy(*model);
    *model = NULL;
    return status;
}

/* PyTorch's own files are pickles, which cannot be read; the hint names the way to convert them. */
static p2p_status open_file(const char *path, safetensors_file **file) {
    const p2p_status status = safetensors_open(path, file);
    const char *dot = strrchr(path, '.');
    if (status != P2P_INPUT || !dot || (strcmp(dot, ".pth") != 0 && strcmp(dot, ".pt") != 0)) return status;
    return p2p_hint(status, "PyTorch saves it in the format that is read: "
                            "safetensors.torch.save_file(torch.load(\"x.pth\", map_location=\"cpu\"), "
                            "\"x.safetensors\")");
}

p2p_status model_file_open(const char *path, safetensors_file **file, pix2pix **model,
                           model_file_info *info) {
    *model = NULL;
    P2P_TRY(open_file(path, file));
    p2p_status status = model_file_describe(*file, model, info);
    if (status == P2P_OK) return P2P_OK;
    safetensors_close(*file);
    *file = NULL;
    return status;
}

static p2p_status get_identity(const safetensors_file *file, model_file_identity *identity) {
    int64_t format;
    identity->is_generator = metadata_is(file, "architecture", generator_name);
    identity->foreign = !identity->is_generator && !metadata_is(file, "architecture", discriminator_name);
    if (identity->foreign) return P2P_OK;
    P2P_TRY(check_format(file, &format));
    P2P_TRY(get_integer(file, "step", &identity->step));
    P2P_TRY(get_integer(file, "epoch", &identity->epoch));
    return get_run(file, identity->run);
}

static p2p_status identify(const char *path, bool verified, model_file_identity *identity) {
    safetensors_file *file;
    *identity = (model_file_identity){0};
    P2P_TRY(safetensors_open(path, &file));
    p2p_status status = get_identity(file, identity);
    if (status == P2P_OK && verified) status = safetensors_verify(file);
    safetensors_close(file);
    return status;
}

p2p_status model_file_identify(const char *path, model_file_identity *identity) {
    return identify(path, false, identity);
}

p2p_status model_file_verify(const char *path, model_file_identity *identity) {
    return identify(path, true, identity);
}

p2p_status model_file_read(p2p_session *session, safetensors_file *file, p2p_network *network) {
    const weights_group group = values_of(file, network);
    return weights_read(session, file, &group, 1);
}

/* The file's tensors are compared with the network in any case; for files that describe themselves the
 * message names what they are. */
static p2p_status check_for(const safetensors_file *file, p2p_network *network) {
    const char *wanted = p2p_network_name(network);
    const bool is_generator = metadata_is(file, "architecture", generator_name),
               is_discriminator = metadata_is(file, "architecture", discriminator_name);
    P2P_TRY(refuse_checkpoint(file));
    if (is_generator != is_discriminator && is_discriminator != (strcmp(wanted, "discriminator") == 0))
        return p2p_fail(P2P_INPUT, "%s is a %s, and a %s is needed", safetensors_path(file),
                        is_generator ? "generator" : "discriminator", wanted);
    const weights_group group = values_of(file, network);
    return weights_check(file, &group, 1);
}

p2p_status model_file_check(p2p_network *network, const char *path) {
    safetensors_file *file;
    P2P_TRY(open_file(path, &file));
    p2p_status status = check_for(file, network);
    safetensors_close(file);
    return status;
}

p2p_status model_file_load(p2p_session *session, p2p_network *network, const char *path) {
    safetensors_file *file;
    P2P_TRY(open_file(path, &file));
    p2p_status status = check_for(file, network);
    if (status == P2P_OK) status = model_file_read(session, file, network);
    safetensors_close(file);
    return status;
}
