/* What a training is resumed from. See trainer_folder.h. Nothing is changed here but partially written files
 * of a process that was killed. */
#include "trainer_folder.h"

#include "host/json_file.h"
#include "host/sys.h"

#include <stdlib.h>
#include <string.h>

static p2p_status nothing_to_resume(const trainer *t) {
    p2p_fail(P2P_INPUT, "%s: no training to resume: neither a checkpoint nor a config.json", t->paths.folder);
    return p2p_hint(P2P_INPUT, "--out is the folder of a training; leave --resume out to start a new one");
}

/* The identity in config.json; "" if it has none. */
static void config_run(const json_t *config, char run[MODEL_FILE_RUN_BYTES]) {
    const char *text = json_string_value(json_object_get(config, "run"));
    snprintf(run, MODEL_FILE_RUN_BYTES, "%s", text && model_file_is_run(text) ? text : "");
}

static p2p_status take_config(trainer *t, const json_t *config) {
    const json_t *origin = json_object_get(config, "origin");
    config_run(config, t->kept_run);
    if (origin) P2P_TRY(origin_from_json(origin, &t->kept, t->paths.config));
    return settings_resume(t->all, config, t->paths.config);
}

/* Models are written after a checkpoint only, so one of them without any shows that the checkpoints were
 * removed. A start at step 1 would overwrite the models. */
static p2p_status refuse_finished(const trainer *t) {
    const trainer_paths *paths = &t->paths;
    bool first, second;
    P2P_TRY(sys_path_exists(paths->generator, &first));
    P2P_TRY(sys_path_exists(paths->discriminator, &second));
    if (!first && !second) return P2P_OK;
    p2p_fail(P2P_INPUT,
             "%s: there is no checkpoint to continue from, but there is %s, which a start at step 1 would "
             "overwrite",
             paths->folder, first ? paths->generator : paths->discriminator);
    return p2p_hint(P2P_INPUT,
                    "train into another --out; --init-generator %s and --init-discriminator %s start from "
                    "these weights",
                    paths->generator, paths->discriminator);
}

/* A training without a checkpoint starts again with the settings of its config.json. */
static p2p_status resume_from_config(trainer *t) {
    json_t *config;
    bool exists;
    P2P_TRY(refuse_finished(t));
    P2P_TRY(sys_path_exists(t->paths.config, &exists));
    if (!exists) return nothing_to_resume(t);
    P2P_TRY(json_file_read_sealed(t->paths.config, &config));
    p2p_status status = take_config(t, config);
    json_decref(config);
    if (status == P2P_OK)
        fprintf(stderr, "there is no checkpoint yet: the training starts again at step 1\n");
    return status;
}

/* P2P_INPUT if config.json, where it is intact, is of another training than the newest checkpoint. */
static p2p_status check_config(const trainer *t) {
    char run[MODEL_FILE_RUN_BYTES];
    json_t *config;
    bool exists;
    P2P_TRY(sys_path_exists(t->paths.config, &exists));
    const p2p_status status = exists ? json_file_read_sealed(t->paths.config, &config) : P2P_INPUT;
    if (status == P2P_INPUT) return P2P_OK; /* it is written again */
    P2P_TRY(status);
    config_run(config, run);
    const bool equal = strcmp(run, t->kept_run) == 0;
    json_decref(config);
    if (equal) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s belongs to another training than %s", t->resumed_from, t->paths.config);
    return p2p_hint(P2P_INPUT, "move the file that does not belong there to another folder");
}

const char *trainer_origin_file(const trainer *t) {
    return t->resumed_from ? t->resumed_from : t->paths.config;
}

p2p_status trainer_hint_older(const trainer *t, p2p_status status) {
    char *older;
    if (status != P2P_INPUT || checkpoint_find(t->paths.checkpoints, 1, &older) != P2P_OK) return status;
    if (older)
        p2p_hint(status, "remove it to continue from %s", older);
    else
        p2p_hint(status, "there is no other checkpoint");
    free(older);
    return status;
}

/* Take settings, position and choices of a checkpoint. */
static p2p_status resume_from_checkpoint(trainer *t) {
    checkpoint_info info;
    const p2p_status read = checkpoint_read_info(t->resumed_from, &info);
    if (read != P2P_OK) {
        checkpoint_info_free(&info);
        return trainer_hint_older(t, read);
    }
    p2p_status status = settings_resume(t->all, info.settings, t->resumed_from);
    if (status == P2P_OK) status = trainer_complete_length(t->all);
    if (status == P2P_OK)
        status = trainer_check_schedule(t->all, info.settings, &info.position, t->resumed_from);
    t->at = info.position;
    t->kept = info.origin;
    t->source = info.source;
    snprintf(t->kept_run, sizeof t->kept_run, "%s", info.run);
    t->choices = info.choices;
    info.choices = NULL;
    checkpoint_info_free(&info);
    return status == P2P_OK ? check_config(t) : status;
}

p2p_status trainer_find_resume(trainer *t) {
    bool exists;
    P2P_TRY(sys_path_is_folder(t->paths.folder, &exists));
    if (!exists) return nothing_to_resume(t);
    P2P_TRY(trainer_lock(t));
    P2P_TRY(trainer_check_links(&t->paths));
    P2P_TRY(trainer_sweep(&t->paths));
    P2P_TRY(checkpoint_find_intact(t->paths.checkpoints, &t->resumed_from));
    P2P_TRY(t->resumed_from ? resume_from_checkpoint(t) : resume_from_config(t));
    P2P_TRY(trainer_check_owner(t));
    return origin_check_version(&t->kept, t->all, trainer_origin_file(t));
}
