/* Checkpoints. See checkpoint.h. This file has the names, the metadata and the removal of old files; tensors
 * are written by weights.c. */
#include "checkpoint.h"

#include "host/sys.h"
#include "json_text.h"
#include "setup/setup_devices.h"
#include "use/run_files.h"
#include "weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char FORMAT[] = "p2p-checkpoint-1";

enum { STATE_GROUPS = 6, PREFIX_BYTES = 48 };

/* The groups of a checkpoint: the values and both moments of both networks; then, for each of the replicas
 * that have running statistics of their own, those of both networks. */
typedef struct {
    int count;
    weights_group groups[STATE_GROUPS + 2 * SETUP_MOST_REPLICAS];
    char prefixes[2 * SETUP_MOST_REPLICAS][PREFIX_BYTES];
} checkpoint_parts;

static void add_state_groups(checkpoint_parts *of, const pix2pix *model, int64_t step) {
    static const struct {
        p2p_state_part part;
        const char *generator, *discriminator;
    } parts[] = {
        {P2P_STATE_VALUE, "generator.", "discriminator."},
        {P2P_STATE_MOMENT1, "generator/moment1.", "discriminator/moment1."},
        {P2P_STATE_MOMENT2, "generator/moment2.", "discriminator/moment2."},
    };
    for (int i = 0; i < STATE_GROUPS; i++) {
        bool first = i % 2 == 0;
        p2p_network *network = first ? model->generator.network : model->discriminator.network;
        of->groups[of->count++] =
            (weights_group){.network = network,
                            .part = parts[i / 2].part,
                            .prefix = first ? parts[i / 2].generator : parts[i / 2].discriminator,
                            .passes = pix2pix_passes(model, network, step)};
    }
}

/* `replicas` of the file. They are used if the session has as many; otherwise the mean is enough. */
static void add_statistics(checkpoint_parts *of, const pix2pix *model, int replicas, bool used) {
    for (int i = 0; i < 2 * replicas; i++) {
        const bool first = i % 2 == 0;
        snprintf(of->prefixes[i], PREFIX_BYTES, "%s/replica%d.", first ? "generator" : "discriminator",
                 i / 2);
        of->groups[of->count++] =
            (weights_group){.network = first ? model->generator.network : model->discriminator.network,
                            .part = P2P_STATE_VALUE,
                            .prefix = of->prefixes[i],
                            .replica = i / 2 + 1,
                            .ignored = !used};
    }
}

/* How many replicas of the session have running statistics of their own; 0: all have the same, or none. */
static int replicas_apart(const p2p_session *session, const pix2pix *model) {
    const bool apart = model->config.norm == NN_NORM_batch && !model->config.sync_norm;
    const int replicas = p2p_session_replicas(session);
    return apart && replicas > 1 ? replicas : 0;
}

void checkpoint_info_free(checkpoint_info *info) {
    json_decref(info->settings);
    free(info->choices);
    *info = (checkpoint_info){0};
}

/* ---- Metadata ----------------------------------------------------------------------------------------- */

/* The metadata are one JSON text, in which numbers keep every digit. */

static json_t *info_to_json(const checkpoint_info *info) {
    const training_position *at = &info->position;
    const dataset_identity *data = &info->origin.training;
    const bool recorded = origin_is_recorded(&info->origin);
    char hash[32];
    snprintf(hash, sizeof hash, "%016" PRIx64, data->names);
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:f, s:I, s:s, s:I, s:I, s:O}", "step",
                  (json_int_t)at->step, "epoch", (json_int_t)at->epoch, "batch", (json_int_t)at->batch,
                  "images", (json_int_t)at->images, "sum_d_real", at->sums.d_real, "sum_d_fake",
                  at->sums.d_fake, "sum_g_gan", at->sums.g_gan, "sum_g_l1", at->sums.g_l1, "best_epoch",
                  (json_int_t)at->best_epoch, "best_l1", at->best_l1, "pairs", (json_int_t)data->pairs,
                  "names_hash", hash, "source_width", (json_int_t)info->source.size.width, "source_height",
                  (json_int_t)info->source.size.height, "settings", info->settings);
    object = json_text_add(object, "replicas", info->replicas > 0, json_integer(info->replicas));
    object = json_text_add(object, "choices", info->choices != NULL, json_string(info->choices));
    object = json_text_add(object, "run", info->run[0] != '\0', json_string(info->run));
    return json_text_add(object, "origin", recorded, recorded ? origin_to_json(&info->origin) : NULL);
}

/* The parts that older files lack. */
static p2p_status identity_from_json(const json_t *object, checkpoint_info *info, const char *path) {
    const json_t *run = json_object_get(object, "run"), *origin = json_object_get(object, "origin");
    if (run) {
        const char *text = json_string_value(run);
        if (!text || !model_file_is_run(text))
            return p2p_fail(P2P_INPUT, "%s: the identity of its training is damaged", path);
        snprintf(info->run, sizeof info->run, "%s", text);
    }
    return origin ? origin_from_json(origin, &info->origin, path) : P2P_OK;
}

static p2p_status info_from_json(const json_t *object, checkpoint_info *info, const char *path) {
    training_position *at = &info->position;
    json_int_t step, epoch, batch, images, best_epoch = 0, pairs;
    json_int_t width = -1, height = -1, replicas = 0;
    const char *hash, *choices = NULL;
    json_t *recorded;
    if (json_unpack((json_t *)object,
                    "{s:I, s:I, s:I, s:I, s:F, s:F, s:F, s:F, s?I, s?F, s:I, s:s, s?I, s?I, s:o, s?s, s?I}",
                    "step", &step, "epoch", &epoch, "batch", &batch, "images", &images, "sum_d_real",
                    &at->sums.d_real, "sum_d_fake", &at->sums.d_fake, "sum_g_gan", &at->sums.g_gan,
                    "sum_g_l1", &at->sums.g_l1, "best_epoch", &best_epoch, "best_l1", &at->best_l1, "pairs",
                    &pairs, "names_hash", &hash, "source_width", &width, "source_height", &height, "settings",
                    &recorded, "choices", &choices, "replicas", &replicas) != 0 ||
        step < 0 || step > INT32_MAX || epoch < 0 || epoch > INT32_MAX || batch < 0 || batch > INT32_MAX ||
        images < 0 || images > pairs || replicas < 0 || replicas > SETUP_MOST_REPLICAS || best_epoch < 0 ||
        best_epoch > epoch || pairs < 1 || width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE ||
        (width < 1) != (height < 1) || !json_is_object(recorded))
        return p2p_fail(P2P_INPUT, "%s: the checkpoint's position or settings are damaged", path);
    at->step = step;
    at->epoch = epoch;
    at->batch = batch;
    at->images = images;
    at->best_epoch = best_epoch;
    info->replicas = (int)replicas;
    info->origin.training = (dataset_identity){.pairs = pairs, .names = strtoull(hash, NULL, 16)};
    info->source.known = width >= 0;
    if (width > 0) info->source.size = (pair_size){(int)width, (int)height};
    info->settings = json_incref(recorded);
    P2P_TRY(identity_from_json(object, info, path));
    if (!choices) return P2P_OK;
    info->choices = strdup(choices);
    return info->choices ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory for its choices", path);
}

p2p_status checkpoint_read_info(const char *path, checkpoint_info *info) {
    *info = (checkpoint_info){0};
    safetensors_file *file = NULL;
    P2P_TRY(safetensors_open(path, &file));
    const char *format = safetensors_metadata(file, "format"), *text = safetensors_metadata(file, "training");
    p2p_status status;
    if (!format || strcmp(format, FORMAT) != 0 || !text) {
        status = p2p_fail(P2P_INPUT, "%s: not a checkpoint of this version of p2p (%s)", path, FORMAT);
    } else {
        json_t *object;
        status = json_text_parse(path, text, strlen(text), JSON_REJECT_DUPLICATES, &object, NULL);
        if (status == P2P_OK) status = info_from_json(object, info, path);
        json_decref(object);
    }
    safetensors_close(file);
    if (status != P2P_OK) checkpoint_info_free(info);
    return status;
}

/* The identity of the training that wrote a file; "" if it has none. P2P_INPUT as checkpoint_read_info. */
static p2p_status read_run(const char *path, char run[MODEL_FILE_RUN_BYTES]) {
    checkpoint_info info;
    p2p_status status = checkpoint_read_info(path, &info);
    snprintf(run, MODEL_FILE_RUN_BYTES, "%s", info.run);
    checkpoint_info_free(&info);
    return status;
}

/* ---- Tensors ------------------------------------------------------------------------------------------ */

static p2p_status write_tensors(safetensors_writer *writer, const char *training, const checkpoint_info *info,
                                p2p_session *session, const pix2pix *model) {
    checkpoint_parts parts = {0};
    add_state_groups(&parts, model, info->position.step);
    add_statistics(&parts, model, info->replicas, true);
    P2P_TRY(safetensors_add_metadata(writer, "format", FORMAT));
    P2P_TRY(safetensors_add_metadata(writer, "training", training));
    return weights_write(session, writer, parts.groups, parts.count, p2p_session_state_type(session));
}

static p2p_status write_file(const char *path, const checkpoint_info *given, p2p_session *session,
                             const pix2pix *model) {
    checkpoint_info with_replicas = *given, *info = &with_replicas;
    info->replicas = replicas_apart(session, model);
    json_t *object = info_to_json(info);
    char *training;
    p2p_status status = json_text_make(path, object, JSON_COMPACT | JSON_ENSURE_ASCII, &training);
    json_decref(object);
    P2P_TRY(status);
    safetensors_writer *writer = NULL;
    status = safetensors_create(path, &writer);
    if (status == P2P_OK) status = write_tensors(writer, training, info, session, model);
    free(training);
    if (status == P2P_OK) return safetensors_commit(writer);
    safetensors_abandon(writer);
    return status;
}

p2p_status checkpoint_load(const char *path, p2p_session *session, const pix2pix *model) {
    checkpoint_info info;
    checkpoint_parts parts = {0};
    safetensors_file *file = NULL;
    const p2p_status known = checkpoint_read_info(path, &info);
    const int replicas = info.replicas;
    checkpoint_info_free(&info);
    P2P_TRY(known);
    add_state_groups(&parts, model, 0);
    add_statistics(&parts, model, replicas, replicas == p2p_session_replicas(session));
    P2P_TRY(safetensors_open(path, &file));
    p2p_status status = weights_read(session, file, parts.groups, parts.count);
    safetensors_close(file);
    return status;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

/* In byte order, which is the order of steps, because the number has a fixed width. */
static p2p_status list_checkpoints(sys_names *names, const char *folder) {
    *names = (sys_names){0};
    sys_path_kind kind;
    P2P_TRY(sys_path_kind_of(folder, &kind));
    if (kind == SYS_PATH_ABSENT) return P2P_OK;
    return sys_folder_walk(names, folder, run_is_checkpoint_name);
}

p2p_status checkpoint_find(const char *folder, int newer, char **path) {
    *path = NULL;
    sys_names names;
    p2p_status status = list_checkpoints(&names, folder);
    if (status == P2P_OK && newer >= 0 && (size_t)newer < names.count)
        status = sys_path_join(path, folder, names.names[names.count - 1 - (size_t)newer]);
    sys_names_free(&names);
    return status;
}

/* Read the whole file and compare its checksums. */
static p2p_status verify(const char *path) {
    safetensors_file *file;
    P2P_TRY(safetensors_open(path, &file));
    const p2p_status verified = safetensors_verify(file);
    safetensors_close(file);
    return verified;
}

static p2p_status set_aside(const char *path, const char *intact) {
    char *aside;
    P2P_TRY(sys_file_set_aside(&aside, path));
    p2p_warn("%s is now %s; the training continues from %s", path, aside, intact);
    free(aside);
    return P2P_OK;
}

static p2p_status set_newer_aside(const char *folder, const sys_names *names, size_t intact,
                                  const char *intact_path) {
    for (size_t i = names->count; i-- > intact + 1;) {
        char *path;
        P2P_TRY(sys_path_join(&path, folder, names->names[i]));
        p2p_status status = set_aside(path, intact_path);
        free(path);
        P2P_TRY(status);
    }
    return P2P_OK;
}

static p2p_status none_is_intact(const p2p_failure *newest) {
    p2p_failure_give(newest);
    return p2p_hint(newest->status,
                    "no checkpoint of the training is intact; its models can start a new one: "
                    "--init-generator and --init-discriminator");
}

/* A file that can't be read now need not be damaged. */
static p2p_status is_unreadable(void) {
    return p2p_hint(P2P_UNREADABLE, "try again; if it stays unreadable, move it out of the folder, and the "
                                    "training continues from the checkpoint before it");
}

static p2p_status find_intact(const char *folder, const sys_names *names, char **path) {
    p2p_failure newest = {.status = P2P_OK};
    for (size_t i = names->count; i-- > 0;) {
        P2P_TRY(sys_path_join(path, folder, names->names[i]));
        p2p_status status = verify(*path);
        if (status == P2P_OK) return set_newer_aside(folder, names, i, *path);
        free(*path);
        *path = NULL;
        if (status == P2P_UNREADABLE) return is_unreadable();
        if (status != P2P_INPUT) return status;
        p2p_warn("%s", p2p_message());
        if (newest.status == P2P_OK) p2p_failure_take(&newest, status);
    }
    return newest.status == P2P_OK ? P2P_OK : none_is_intact(&newest);
}

p2p_status checkpoint_find_intact(const char *folder, char **path) {
    *path = NULL;
    sys_names names;
    p2p_status status = list_checkpoints(&names, folder);
    if (status == P2P_OK) status = find_intact(folder, &names, path);
    sys_names_free(&names);
    return status;
}

/* A damaged file is left alone, because its training is not known. */
static p2p_status remove_own(const char *folder, const char *name, const char *run) {
    char *path, found[MODEL_FILE_RUN_BYTES];
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = read_run(path, found);
    if (status == P2P_INPUT)
        status = P2P_OK;
    else if (status == P2P_OK && strcmp(found, run) == 0)
        status = sys_file_remove(path);
    free(path);
    return status;
}

p2p_status checkpoint_prune(const char *folder, const char *run) {
    sys_names names;
    p2p_status status = list_checkpoints(&names, folder);
    for (size_t i = 0; status == P2P_OK && i + CHECKPOINT_KEEP < names.count; i++)
        status = remove_own(folder, names.names[i], run);
    sys_names_free(&names);
    return status;
}

p2p_status checkpoint_save(const char *folder, const checkpoint_info *info, p2p_session *session,
                           const pix2pix *model) {
    char name[RUN_EPOCH_NAME_BYTES], *path = NULL;
    run_checkpoint_name(name, info->position.step);
    P2P_TRY(sys_folder_make_one(folder));
    P2P_TRY(sys_path_join(&path, folder, name));
    p2p_status status = write_file(path, info, session, model);
    free(path);
    P2P_TRY(status);
    return checkpoint_prune(folder, info->run);
}
