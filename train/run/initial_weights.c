/* See initial_weights.h. */
#include "initial_weights.h"

#include "host/sys.h"
#include "model_file.h"

#include <stdio.h>
#include <stdlib.h>

/* `given` is a file, or a folder with the file `name`. */
static p2p_status find(const char *option, const char *given, const char *name, char **path) {
    if (!given) return P2P_OK;
    if (sys_path_kind_of(given) != SYS_PATH_FOLDER) return sys_path_join(path, "", given);
    P2P_TRY(sys_path_join(path, given, name));
    if (sys_path_kind_of(*path) == SYS_PATH_ABSENT) {
        p2p_fail(P2P_INPUT, "--%s %s: the folder has no %s", option, given, name);
        return p2p_hint(P2P_INPUT, "give a model's file, or the folder of a training");
    }
    fprintf(stderr, "--%s: %s\n", option, *path);
    return P2P_OK;
}

p2p_status initial_weights_find(initial_weights *files, const settings *all, const pix2pix *model) {
    P2P_TRY(find("init-generator", all->init_generator, "generator.safetensors", &files->generator));
    P2P_TRY(find("init-discriminator", all->init_discriminator, "discriminator.safetensors",
                 &files->discriminator));
    if (files->generator) P2P_TRY(model_file_check(model->generator.network, files->generator));
    if (files->discriminator) P2P_TRY(model_file_check(model->discriminator.network, files->discriminator));
    return P2P_OK;
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
