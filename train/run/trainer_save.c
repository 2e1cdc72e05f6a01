/* Writing of checkpoints with both models, of a generator per epoch, and of the best one. See trainer_save.h.
 * Every file appears complete or not at all. The formats are in checkpoint.c and model_file.c. */
#include "trainer_save.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "model_file.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <stdlib.h>

static p2p_status save_model(const trainer *t, p2p_network *network, int64_t epoch, const char *path) {
    model_file_info info = {.step = t->at.step,
                            .epoch = epoch,
                            .input_bits = t->format.input.bits,
                            .output_bits = t->format.target.bits};
    snprintf(info.direction, sizeof info.direction, "%s", t->all->direction);
    snprintf(info.resize, sizeof info.resize, "%s", t->all->resize);
    return model_file_save(t->session, t->model, network, &info, path);
}

static p2p_status save_below(const trainer *t, p2p_network *network, int64_t epoch, const char *folder,
                             const char *name) {
    char *path;
    P2P_TRY(sys_folder_make(folder));
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = save_model(t, network, epoch, path);
    free(path);
    return status;
}

p2p_status trainer_save(const trainer *t) {
    checkpoint_info info = {.position = t->at, .data = t->identity, .settings = settings_to_json(t->all)};
    if (!info.settings) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the settings");
    p2p_status status = p2p_session_choices_text(t->session, &info.choices);
    if (status == P2P_OK) status = checkpoint_save(t->paths.checkpoints, &info, t->session, t->model);
    checkpoint_info_free(&info);
    return status == P2P_OK ? trainer_save_models(t) : status;
}

p2p_status trainer_save_models(const trainer *t) {
    P2P_TRY(save_model(t, t->model->generator.network, t->at.epoch, t->paths.generator));
    return save_model(t, t->model->discriminator.network, t->at.epoch, t->paths.discriminator);
}

/* ---- A generator per epoch ---------------------------------------------------------------------------- */

/* Compares the numbers, because the names have no fixed width. */
static int64_t newer_than(const sys_names *names, int64_t epoch) {
    int64_t newer = 0;
    for (size_t i = 0; i < names->count; i++) newer += run_epoch_of_name(names->names[i]) > epoch;
    return newer;
}

static p2p_status remove_old_epochs(const trainer *t) {
    sys_names names;
    p2p_status status = sys_folder_walk(&names, t->paths.epochs, run_is_epoch_name);
    for (size_t i = 0; status == P2P_OK && i < names.count; i++) {
        char *path;
        if (newer_than(&names, run_epoch_of_name(names.names[i])) < t->all->keep_epochs) continue;
        status = sys_path_join(&path, t->paths.epochs, names.names[i]);
        if (status == P2P_OK) status = sys_file_remove(path);
        free(path);
    }
    sys_names_free(&names);
    return status;
}

p2p_status trainer_save_epoch(const trainer *t, int64_t epoch) {
    char name[RUN_EPOCH_NAME_BYTES];
    if (epoch % t->all->save_every != 0) return P2P_OK;
    run_epoch_name(name, epoch);
    P2P_TRY(save_below(t, t->model->generator.network, epoch, t->paths.epochs, name));
    return t->all->keep_epochs > 0 ? remove_old_epochs(t) : P2P_OK;
}

/* ---- The best ----------------------------------------------------------------------------------------- */

static p2p_status write_numbers(const trainer *t, const epoch_record *record) {
    char *path;
    P2P_TRY(sys_path_join(&path, t->paths.best, "best.json"));
    json_t *object = json_pack("{s:I, s:I, s:o, s:o, s:o}", "epoch", (json_int_t)record->epoch, "step",
                               (json_int_t)record->step, "val_l1", quality_to_json(record->validation.l1),
                               "val_psnr", quality_to_json(record->validation.psnr), "val_ssim",
                               quality_to_json(record->validation.ssim));
    p2p_status status = json_file_write_sealed(path, object, JSON_INDENT(2));
    free(path);
    return status;
}

p2p_status trainer_save_best(const trainer *t, const epoch_record *record) {
    const char *folder = t->paths.best;
    P2P_TRY(save_below(t, t->model->generator.network, record->epoch, folder, "generator.safetensors"));
    P2P_TRY(
        save_below(t, t->model->discriminator.network, record->epoch, folder, "discriminator.safetensors"));
    return write_numbers(t, record);
}
