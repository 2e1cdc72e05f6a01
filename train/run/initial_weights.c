/* See initial_weights.h. */
#include "initial_weights.h"

#include "host/sys.h"
#include "host/text.h"
#include "model_file.h"
#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

/* `given` is a file, or a folder with the file `name`. */
static p2p_status find(const char *option, const char *given, const char *name, char **path) {
    if (!given) return P2P_OK;
    bool is_folder;
    P2P_TRY(sys_path_is_folder(given, &is_folder));
    if (!is_folder) return sys_path_join(path, "", given);
    P2P_TRY(sys_path_join(path, given, name));
    sys_path_kind kind;
    P2P_TRY(sys_path_kind_of(*path, &kind));
    if (kind == SYS_PATH_ABSENT) {
        p2p_fail(P2P_INPUT, "--%s %s: the folder has no %s", option, given, name);
        return p2p_hint(P2P_INPUT, "give a model's file, or the folder of a training");
    }
    text_line(stderr, "--%s: %s", option, *path);
    return P2P_OK;
}

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

/* Check weights that were found. */
static p2p_status check(const char *option, const char *path, p2p_network *network, const char *direction) {
    if (!path) return P2P_OK;
    P2P_TRY(model_file_check(network, path));
    return note_direction(option, path, direction);
}

p2p_status initial_weights_find(initial_weights *files, const settings *all, const pix2pix *model) {
    P2P_TRY(find("init-generator", all->init_generator, "generator.safetensors", &files->generator));
    P2P_TRY(find("init-discriminator", all->init_discriminator, "discriminator.safetensors",
                 &files->discriminator));
    P2P_TRY(check("init-generator", files->generator, model->generator.network, all->direction));
    return check("init-discriminator", files->discriminator, model->discriminator.network, all->direction);
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
