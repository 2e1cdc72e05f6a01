/* Writing of checkpoints with both models, of a generator per epoch, and of the best one. See trainer_save.h.
 * Every file appears complete or not at all. The formats are in checkpoint.c and model_file.c. */
#include "trainer_save.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "json_text.h"
#include "model_file.h"
#include "trainer_folder.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <stdlib.h>

static p2p_status save_model(const trainer *t, p2p_network *network, int64_t epoch, const char *path) {
    model_file_info info = {.step = t->at.step,
                            .epoch = epoch,
                            .input_bits = t->format.input.bits,
                            .output_bits = t->format.target.bits,
                            .source = t->source.size.width > 0 ? MODEL_SOURCE_ONE : MODEL_SOURCE_MIXED,
                            .source_width = t->source.size.width,
                            .source_height = t->source.size.height,
                            .load_size = (int)t->all->load_size};
    snprintf(info.direction, sizeof info.direction, "%s", t->all->direction);
    snprintf(info.resize, sizeof info.resize, "%s", t->all->resize);
    snprintf(info.run, sizeof info.run, "%s", t->run);
    return model_file_save(t->session, t->model, network, &info, path);
}

static p2p_status save_below(const trainer *t, p2p_network *network, int64_t epoch, const char *folder,
                             const char *name) {
    char *path;
    P2P_TRY(sys_folder_make_one(folder));
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = save_model(t, network, epoch, path);
    free(path);
    return status;
}

p2p_status trainer_save(trainer *t) {
    checkpoint_info info = {
        .position = t->at, .origin = t->origin, .source = t->source, .settings = settings_to_json(t->all)};
    snprintf(info.run, sizeof info.run, "%s", t->run);
    if (!info.settings) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the settings");
    p2p_status status = metrics_sync(t->metrics);
    if (status == P2P_OK) status = p2p_session_choices_text(t->session, &info.choices);
    if (status == P2P_OK) status = checkpoint_save(t->paths.checkpoints, &info, t->session, t->model);
    checkpoint_info_free(&info);
    P2P_TRY(status);
    t->checkpoint_epoch = t->at.epoch;
    ranks_set_kept(t->ranks);
    P2P_TRY(trainer_settle_best(t));
    P2P_TRY(trainer_save_models(t));
    P2P_TRY(trainer_remove_old_epochs(t));
    return trainer_remove_old_samples(t);
}

p2p_status trainer_save_models(const trainer *t) {
    P2P_TRY(save_model(t, t->model->generator.network, t->at.epoch, t->paths.generator));
    return save_model(t, t->model->discriminator.network, t->at.epoch, t->paths.discriminator);
}

/* ---- A generator per epoch ---------------------------------------------------------------------------- */

/* Whether an epoch's generator is kept: if it is one of the newest --keep-epochs, or was when the last
 * checkpoint was written, because a training that is resumed from there has its state again. Compares the
 * numbers, because the names have no fixed width. */
static bool epoch_is_kept(const trainer *t, const sys_names *names, int64_t epoch) {
    const int64_t keep = t->all->keep_epochs;
    int64_t newer = 0, newer_then = 0;
    for (size_t i = 0; i < names->count; i++) {
        const int64_t other = run_epoch_of_name(names->names[i]);
        newer += other > epoch;
        newer_then += other > epoch && other <= t->checkpoint_epoch;
    }
    return keep == 0 || newer < keep || (epoch <= t->checkpoint_epoch && newer_then < keep);
}

static p2p_status remove_own(const trainer *t, const char *name) {
    model_file_identity identity;
    char *path;
    P2P_TRY(sys_path_join(&path, t->paths.epochs, name));
    ownership owner;
    p2p_status status = trainer_owner_of_model(t, path, &identity, &owner);
    if (status == P2P_OK && owner != OWNED_BY_OTHERS) status = sys_file_remove(path);
    free(path);
    return status;
}

p2p_status trainer_remove_old_epochs(const trainer *t) {
    sys_names names;
    bool exists;
    P2P_TRY(sys_path_is_folder(t->paths.epochs, &exists));
    if (!exists) return P2P_OK;
    p2p_status status = sys_folder_walk(&names, t->paths.epochs, run_is_epoch_name);
    for (size_t i = 0; status == P2P_OK && i < names.count; i++)
        if (!epoch_is_kept(t, &names, run_epoch_of_name(names.names[i])))
            status = remove_own(t, names.names[i]);
    sys_names_free(&names);
    return status;
}

p2p_status trainer_save_epoch(const trainer *t, int64_t epoch) {
    char name[RUN_EPOCH_NAME_BYTES];
    if (epoch % t->all->save_every != 0) return P2P_OK;
    run_epoch_name(name, epoch);
    P2P_TRY(save_below(t, t->model->generator.network, epoch, t->paths.epochs, name));
    return trainer_remove_old_epochs(t);
}

/* ---- A picture per epoch ------------------------------------------------------------------------------- */

/* Whether the picture of an epoch is kept when `last` is the newest: the first, the newest, and those whose
 * number is a multiple of the smallest power of two that leaves no more than `keep`. What is not kept is
 * never wanted again, because that power only grows. */
static bool is_spread(int64_t epoch, int64_t last, int64_t keep) {
    int64_t stride = 1;
    while (last / stride > keep) stride *= 2;
    return epoch == 1 || epoch == last || epoch % stride == 0;
}

static int64_t epoch_of_sample(const char *name) {
    int64_t epoch, step;
    run_sample_of_name(name, &epoch, &step);
    return epoch;
}

/* As with generators, what was kept when the last checkpoint was written stays until the next one. */
static bool sample_is_kept(const trainer *t, const char *name, int64_t last) {
    const int64_t epoch = epoch_of_sample(name), keep = t->all->keep_samples;
    return epoch == 0 || is_spread(epoch, last, keep) ||
           (epoch <= t->checkpoint_epoch && is_spread(epoch, t->checkpoint_epoch, keep));
}

static p2p_status remove_own_sample(const trainer *t, const char *name) {
    char *path;
    ownership owner;
    P2P_TRY(sys_path_join(&path, t->paths.samples, name));
    p2p_status status = trainer_owner_of_sample(t, path, &owner);
    if (status == P2P_OK && owner != OWNED_BY_OTHERS) status = sys_file_remove(path);
    free(path);
    return status;
}

/* The list is empty if there is no folder. */
static p2p_status list_samples(const trainer *t, sys_names *names) {
    bool exists;
    *names = (sys_names){0};
    P2P_TRY(sys_path_is_folder(t->paths.samples, &exists));
    return exists ? sys_folder_walk(names, t->paths.samples, run_is_sample_name) : P2P_OK;
}

p2p_status trainer_remove_old_samples(const trainer *t) {
    sys_names names;
    int64_t last = 0;
    if (t->all->keep_samples == 0) return P2P_OK;
    p2p_status status = list_samples(t, &names);
    for (size_t i = 0; i < names.count; i++)
        if (epoch_of_sample(names.names[i]) > last) last = epoch_of_sample(names.names[i]);
    for (size_t i = 0; status == P2P_OK && i < names.count; i++)
        if (!sample_is_kept(t, names.names[i], last)) status = remove_own_sample(t, names.names[i]);
    sys_names_free(&names);
    return status;
}

p2p_status trainer_remove_step_samples(const trainer *t, int64_t kept) {
    const int64_t before = t->at.step - t->at.batch; /* the epoch's first step */
    sys_names names;
    p2p_status status = list_samples(t, &names);
    for (size_t i = 0; status == P2P_OK && i < names.count; i++) {
        int64_t epoch, step;
        run_sample_of_name(names.names[i], &epoch, &step);
        if (step > before && step != kept) status = remove_own_sample(t, names.names[i]);
    }
    sys_names_free(&names);
    return status;
}

/* ---- The best ----------------------------------------------------------------------------------------- */

static p2p_status write_numbers(const trainer *t, const epoch_record *record) {
    char *path;
    P2P_TRY(sys_path_join(&path, t->paths.best, RUN_BEST_NUMBERS));
    json_t *object = json_pack("{s:I, s:I, s:o, s:o, s:o}", "epoch", (json_int_t)record->epoch, "step",
                               (json_int_t)record->step, "val_l1", quality_to_json(record->validation.l1),
                               "val_psnr", quality_to_json(record->validation.psnr), "val_ssim",
                               quality_to_json(record->validation.ssim));
    object = json_text_add(object, "run", t->run[0] != '\0', json_string(t->run));
    p2p_status status = json_file_write_sealed(path, object, JSON_INDENT(2));
    free(path);
    return status;
}

p2p_status trainer_save_best(trainer *t, const epoch_record *record) {
    const char *folder = t->paths.best;
    P2P_TRY(trainer_keep_best(t));
    P2P_TRY(save_below(t, t->model->generator.network, record->epoch, folder, RUN_GENERATOR));
    P2P_TRY(save_below(t, t->model->discriminator.network, record->epoch, folder, RUN_DISCRIMINATOR));
    return write_numbers(t, record);
}
