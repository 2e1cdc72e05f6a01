/* See initial_weights.h. */
#include "initial_weights.h"

#include "host/text.h"
#include "model_file.h"
#include "safetensors.h"
#include "use/run_models.h"

#include <stdlib.h>
#include <string.h>

/* Report weights of a training in the other direction. */
static p2p_status note_direction(const char *option, const char *path, const char *direction) {
    safetensors_file *file;
    P2P_TRY(safetensors_open(path, &file));
    const char *trained = safetensors_metadata(file, "direction"); /* NULL: not recorded */
    if (trained && strcmp(trained, direction) != 0)
        text_line(stderr, "--%s: %s was trained %s, and this training is --direction %s", option, path,
                  trained, direction);
    safetensors_close(file);
    return P2P_OK;
}

/* Check weights that were found, and name the file in a folder. */
static p2p_status check(const char *option, const char *given, const char *path, p2p_network *network,
                        const char *direction) {
    if (!given || !path) return P2P_OK;
    if (strcmp(path, given) != 0) text_line(stderr, "--%s: %s", option, path);
    P2P_TRY(model_file_check(network, path));
    return note_direction(option, path, direction);
}

p2p_status initial_weights_find(initial_weights *files, const settings *all, const pix2pix *model) {
    const char *first = all->init_generator, *second = all->init_discriminator;
    if (first) P2P_TRY(run_find_generator("init-generator", first, 0, &files->generator));
    if (second) P2P_TRY(run_find_discriminator("init-discriminator", second, &files->discriminator));
    P2P_TRY(check("init-generator", first, files->generator, model->generator.network, all->direction));
    return check("init-discriminator", second, files->discriminator, model->discriminator.network,
                 all->direction);
}

void initial_weights_free(initial_weights *files) {
    free(files->generator);
    free(files->discriminator);
    *files = (initial_weights){0};
}

p2p_status initial_weights_load(const initial_weights *files, p2p_session *session, const pix2pix *model) {
    if (files->generator) P2P_TRY(model_file_load(session, model->generator.network, files->generator));
    if (!files->discriminator) return P2P_OK;
    return model_file_load(session, model->discriminator.network, files->discriminator);
}
