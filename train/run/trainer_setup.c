/* Creation and destruction of a trainer. See trainer_setup.h. Checks that need no device are first, so that a
 * wrong option is reported at once. */
#include "trainer_setup.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "p2p_file.h"
#include "setup/setup.h"
#include "setup/setup_progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Settings ----------------------------------------------------------------------------------------- */

static p2p_status resolve_augmentation(settings *all, augment_options *options) {
    if (all->no_jitter && settings_given(all, "load-size"))
        return p2p_fail(P2P_USAGE, "--load-size contradicts --no-jitter, which resizes to --size directly");
    if (all->no_jitter) all->load_size = all->size;
    /* 286 for 256, in proportion for other sizes. */
    if (all->load_size == 0) all->load_size = (all->size * 286 + 128) / 256;
    *options =
        (augment_options){.size = (int)all->size,
                          .load_size = (int)all->load_size,
                          .jitter = !all->no_jitter,
                          .filter = strcmp(all->resize, "nearest") == 0 ? RESIZE_NEAREST : RESIZE_BICUBIC,
                          .flip = !all->no_flip};
    return augment_check(options);
}

static p2p_status check_data(const settings *all) {
    if (all->data) return P2P_OK;
    p2p_fail(P2P_USAGE, "--data is missing: the folder that holds train/");
    return p2p_hint(P2P_USAGE, "p2p sample-data toys draws one to try: p2p train --data toys --out run");
}

static p2p_status check_required(const settings *all) {
    if (!all->resume) P2P_TRY(check_data(all));
    if (!all->out) return p2p_fail(P2P_USAGE, "--out is missing: the folder for the results");
    if (sys_path_kind_of(all->out) == SYS_PATH_FILE)
        return p2p_fail(P2P_USAGE, "--out %s is a file: a training is a folder", all->out);
    if (all->resume && (all->init_generator || all->init_discriminator))
        return p2p_fail(P2P_USAGE,
                        "--init-generator and --init-discriminator contradict --resume, which takes the "
                        "weights of the checkpoint");
    return P2P_OK;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

static p2p_status make_paths(trainer_paths *paths, const char *out) {
    P2P_TRY(sys_path_join(&paths->folder, "", out));
    P2P_TRY(sys_path_join(&paths->config, out, "config.json"));
    P2P_TRY(sys_path_join(&paths->metrics, out, "metrics.jsonl"));
    P2P_TRY(sys_path_join(&paths->generator, out, "generator.safetensors"));
    P2P_TRY(sys_path_join(&paths->discriminator, out, "discriminator.safetensors"));
    P2P_TRY(sys_path_join(&paths->checkpoints, out, "checkpoints"));
    P2P_TRY(sys_path_join(&paths->samples, out, "samples"));
    P2P_TRY(sys_path_join(&paths->epochs, out, "epochs"));
    return sys_path_join(&paths->best, out, "best");
}

/* A training without a checkpoint starts again with the settings of its config.json. */
static p2p_status resume_from_config(trainer *t) {
    json_t *kept;
    if (sys_path_kind_of(t->paths.config) == SYS_PATH_ABSENT) {
        p2p_fail(P2P_INPUT, "%s: no training to resume: neither a checkpoint nor a config.json",
                 t->paths.folder);
        return p2p_hint(P2P_INPUT,
                        "--out is the folder of a training; leave --resume out to start a new one");
    }
    P2P_TRY(json_file_read_sealed(t->paths.config, &kept));
    p2p_status status = settings_resume(t->all, kept, t->paths.config);
    json_decref(kept);
    return status;
}

/* An intact checkpoint that can't be used, such as that of another version, has no fallback: the hint names
 * an older one. */
static p2p_status hint_older(const trainer *t, p2p_status status) {
    char *older;
    if (status != P2P_INPUT || checkpoint_find(t->paths.checkpoints, 1, &older) != P2P_OK) return status;
    if (older)
        p2p_hint(status, "remove it to continue from %s", older);
    else
        p2p_hint(status, "there is no other checkpoint");
    free(older);
    return status;
}

/* Remove partially written files of a process that was killed; no later write would replace them. */
static p2p_status sweep(const trainer_paths *paths) {
    P2P_TRY(p2p_atomic_sweep(paths->checkpoints));
    P2P_TRY(p2p_atomic_sweep(paths->epochs));
    P2P_TRY(p2p_atomic_sweep(paths->best));
    return p2p_atomic_sweep(paths->samples);
}

/* Take settings, position and choices of the newest intact checkpoint. */
static p2p_status find_resume(trainer *t) {
    checkpoint_info info;
    P2P_TRY(sweep(&t->paths));
    P2P_TRY(checkpoint_find_intact(t->paths.checkpoints, &t->resumed_from));
    if (!t->resumed_from) return resume_from_config(t);
    P2P_TRY(hint_older(t, checkpoint_read_info(t->resumed_from, &info)));
    p2p_status status = settings_resume(t->all, info.settings, t->resumed_from);
    if (status == P2P_OK) status = trainer_complete_length(t->all);
    if (status == P2P_OK)
        status = trainer_check_schedule(t->all, info.settings, &info.position, t->resumed_from);
    t->at = info.position;
    t->identity = info.data;
    t->choices = info.choices;
    info.choices = NULL;
    checkpoint_info_free(&info);
    return status;
}

/* P2P_USAGE if --out has an earlier training, which is never overwritten. */
static p2p_status refuse_existing(trainer *t) {
    char *newest;
    P2P_TRY(checkpoint_find(t->paths.checkpoints, 0, &newest));
    bool exists = newest || sys_path_kind_of(t->paths.generator) != SYS_PATH_ABSENT;
    free(newest);
    if (!exists) return P2P_OK;
    p2p_fail(P2P_USAGE, "--out %s holds a training already", t->paths.folder);
    return p2p_hint(P2P_USAGE, "add --resume to continue it, or choose another folder");
}

/* ---- Data --------------------------------------------------------------------------------------------- */

/* FNV-1a of all names, including their terminators. */
static uint64_t hash_names(const dataset *data) {
    uint64_t hash = 14695981039346656037u;
    for (int64_t i = 0; i < dataset_count(data); i++) {
        for (const char *c = dataset_name(data, i);; c++) {
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
            if (*c == '\0') break;
        }
    }
    return hash;
}

static p2p_status open_data(trainer *t) {
    const settings *all = t->all;
    P2P_TRY(setup_split_open(all, "train", all->direction, true, &t->training));
    if (dataset_has_split(all->data, "val"))
        P2P_TRY(setup_split_open(all, "val", all->direction, true, &t->validation));
    data_identity found = {.pairs = dataset_count(t->training), .names_hash = hash_names(t->training)};
    if (t->resumed_from && (found.pairs != t->identity.pairs || found.names_hash != t->identity.names_hash)) {
        p2p_fail(P2P_INPUT,
                 "--data %s: %" PRId64 " training pairs, but the checkpoint was made with %" PRId64
                 " of other names",
                 all->data, found.pairs, t->identity.pairs);
        return p2p_hint(P2P_INPUT, "a training can be resumed only with the pairs with which it began");
    }
    t->identity = found;
    t->format = dataset_format(t->training, (int)all->channels_in, (int)all->channels_out);
    t->batches = loader_batches(t->training, (int)all->batch);
    fprintf(stderr, "data: %" PRId64 " training pairs, %" PRId64 " validation pairs\n", found.pairs,
            t->validation ? dataset_count(t->validation) : 0);
    return P2P_OK;
}

/* ---- Device ------------------------------------------------------------------------------------------- */

/* The input types match the bits of the loader's pictures. */
static pix2pix_graph_options graph_options(const trainer *t, int64_t batch) {
    pix2pix_graph_options options = pix2pix_graph_options_for(t->model, batch);
    options.input_type = evaluate_type(t->format.input);
    options.target_type = evaluate_type(t->format.target);
    return options;
}

static p2p_status plan_training(trainer *t, const char *name, int64_t batch, p2p_graph **graph,
                                p2p_plan **plan) {
    pix2pix_graph_options options = graph_options(t, batch);
    P2P_TRY(pix2pix_graph_train(t->model, &options, graph));
    return p2p_session_plan(t->session, name, graph, plan);
}

static p2p_status plan_all(trainer *t) {
    int64_t last = t->identity.pairs % t->all->batch;
    if (t->identity.pairs >= t->all->batch)
        P2P_TRY(plan_training(t, "training step", t->all->batch, &t->step_graph, &t->step_plan));
    if (last > 0) P2P_TRY(plan_training(t, "last step of an epoch", last, &t->last_graph, &t->last_plan));
    /* A batch as large as that of a step fits into the memory of the step. */
    pix2pix_graph_options options = graph_options(t, t->all->batch);
    t->evaluator = (evaluator){.batch = (int)t->all->batch,
                               .width = (int)t->all->size,
                               .height = (int)t->all->size,
                               .format = t->format};
    P2P_TRY(pix2pix_graph_evaluate(t->model, &options, false, &t->report_graph));
    return p2p_session_plan(t->session, "validation", &t->report_graph, &t->evaluator.plan);
}

/* A p2p_progress that ignores signals again, because compilers in drivers install handlers
 * when they start. */
static void show_preparing(void *stream, int done, int total) {
    sys_stop_keep_ignored();
    setup_show_preparing(stream, done, total);
}

/* A resumed training uses the choices of its checkpoint. An older checkpoint without choices is resumed
 * without tuning, as it was made. */
static p2p_status create_session(trainer *t) {
    setup_tuning tuning = setup_tuning_train;
    tuning.imposed = t->choices;
    if (t->resumed_from && !t->choices) tuning.automatic = tuning.on = P2P_TUNE_OFF;
    return hint_older(t, setup_session_create(t->all, t->device, &tuning, &t->session));
}

static p2p_status open_device(trainer *t) {
    pix2pix_config config;
    P2P_TRY(setup_model_config(t->all, &config));
    P2P_TRY(pix2pix_create(&t->model, &config));
    if (!t->resumed_from) P2P_TRY(initial_weights_find(&t->initial, t->all, t->model));
    P2P_TRY(setup_device_open(t->all, &t->device));
    P2P_TRY(create_session(t));
    P2P_TRY(plan_all(t));
    P2P_TRY(p2p_session_allocate(t->session, show_preparing, stderr));
    p2p_session_memory memory;
    p2p_session_memory_use(t->session, &memory);
    fprintf(stderr, "memory: %.0f MB on the device, %.0f of it for weights, gradients and moments\n",
            (double)memory.total / 1e6,
            (double)(memory.parameters + memory.gradients + memory.moments + memory.derived) / 1e6);
    return P2P_OK;
}

static p2p_status set_weights(trainer *t) {
    if (t->resumed_from) return hint_older(t, checkpoint_load(t->resumed_from, t->session, t->model));
    p2p_network *networks[] = {t->model->generator.network, t->model->discriminator.network};
    for (int i = 0; i < 2; i++) P2P_TRY(p2p_session_initialise(t->session, networks[i], t->all->seed));
    return initial_weights_load(&t->initial, t->session, t->model);
}

/* ---- Creation and destruction ------------------------------------------------------------------------- */

p2p_status trainer_open(trainer *t, settings *all) {
    *t = (trainer){.all = all};
    P2P_TRY(check_required(all));
    P2P_TRY(make_paths(&t->paths, all->out));
    P2P_TRY(all->resume ? find_resume(t) : refuse_existing(t));
    P2P_TRY(check_data(all));
    P2P_TRY(trainer_complete_length(all));
    P2P_TRY(resolve_augmentation(all, &t->augment));
    P2P_TRY(open_data(t));
    trainer_resolve_length(t);
    P2P_TRY(trainer_check_unfinished(t));
    P2P_TRY(sys_folder_make(t->paths.samples));
    P2P_TRY(open_device(t));
    P2P_TRY(set_weights(t));
    P2P_TRY(json_file_write_sealed(t->paths.config, settings_to_json(all), JSON_INDENT(2)));
    const pair_form form = {.format = t->format, .size = (int)all->size, .filter = t->augment.filter};
    P2P_TRY(report_create(&t->report, t->training, t->validation, &form));
    P2P_TRY(metrics_open(&t->metrics, t->paths.metrics, t->at.step, t->at.epoch));
    t->progress = progress_create(stderr, t->total_steps, t->total_epochs, t->at.step);
    return P2P_OK;
}

void trainer_close(trainer *t) {
    progress_destroy(t->progress);
    (void)metrics_close(t->metrics); /* after success trainer_run has closed it and checked the result */
    report_destroy(t->report);
    p2p_session_destroy(t->session);
    p2p_device_close(t->device);
    p2p_graph_destroy(t->step_graph);
    p2p_graph_destroy(t->last_graph);
    p2p_graph_destroy(t->report_graph);
    pix2pix_destroy(t->model);
    dataset_close(t->training);
    dataset_close(t->validation);
    initial_weights_free(&t->initial);
    free(t->resumed_from);
    free(t->choices);
    trainer_paths *paths = &t->paths;
    char *owned[] = {paths->folder,    paths->config,        paths->metrics,
                     paths->generator, paths->discriminator, paths->checkpoints,
                     paths->samples,   paths->epochs,        paths->best};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    *t = (trainer){0};
}
