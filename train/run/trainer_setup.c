/* Creation and destruction of a trainer. See trainer_setup.h. Checks that need no device are first, so that a
 * wrong option is reported at once. */
#include "trainer_setup.h"

#include "host/json_file.h"
#include "host/sys.h"
#include "image/picture_list.h"
#include "json_text.h"
#include "setup/setup.h"
#include "setup/setup_memory.h"
#include "setup/setup_progress.h"
#include "trainer_folder.h"
#include "trainer_tensorboard.h"
#include "use/run_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Settings ----------------------------------------------------------------------------------------- */

static p2p_status resolve_augmentation(settings *all, augment_options *options) {
    if (all->no_jitter && settings_given(all, "load-size") && all->load_size != all->size)
        return p2p_fail(P2P_USAGE, "--load-size contradicts --no-jitter, which resizes to --size directly");
    if (all->no_jitter) all->load_size = all->size;
    /* 286 for 256, in proportion for other sizes. */
    if (all->load_size == 0) all->load_size = (all->size * 286 + 128) / 256;
    *options = (augment_options){.size = (int)all->size,
                                 .load_size = (int)all->load_size,
                                 .jitter = !all->no_jitter,
                                 .filter = resize_filter_named(all->resize),
                                 .flip = !all->no_flip};
    return augment_check(options);
}

static p2p_status check_data(const settings *all) {
    if (all->data) return P2P_OK;
    p2p_fail(P2P_USAGE, "--data is missing: the folder that holds the pairs");
    return p2p_hint(P2P_USAGE, "p2p sample-data toys draws one to try: p2p train --data toys --out run");
}

/* Options that have an effect with --resume alone. */
static p2p_status check_allowed(const settings *all) {
    static const char *const names[] = {"allow-other-device", "allow-other-data", "allow-other-version"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!all->resume && settings_given(all, names[i]))
            return p2p_fail(P2P_USAGE, "--%s requires --resume", names[i]);
    return P2P_OK;
}

static p2p_status check_required(const settings *all) {
    P2P_TRY(check_allowed(all));
    if (!all->resume) P2P_TRY(check_data(all));
    if (!all->out) return p2p_fail(P2P_USAGE, "--out is missing: the folder for the results");
    sys_path_kind out;
    P2P_TRY(sys_path_kind_of(all->out, &out));
    if (out == SYS_PATH_FILE)
        return p2p_fail(P2P_USAGE, "--out %s is a file: results go into a folder", all->out);
    if (all->resume && (all->init_generator || all->init_discriminator))
        return p2p_fail(P2P_USAGE,
                        "--init-generator and --init-discriminator contradict --resume, which takes the "
                        "weights of the checkpoint");
    return P2P_OK;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

/* Write config.json: the settings, the identity of the run, and its origin. */
static p2p_status write_config(trainer *t) {
    json_t *object = settings_to_json(t->all);
    object = json_text_add(object, "run", t->run[0] != '\0', json_string(t->run));
    const bool recorded = origin_is_recorded(&t->origin);
    object = json_text_add(object, "origin", recorded, recorded ? origin_to_json(&t->origin) : NULL);
    t->config = json_deep_copy(object);
    return json_file_write_sealed(t->paths.config, object, JSON_INDENT(2));
}

/* Refuses an --out so long that a file of the training would have no name, before anything is computed. */
static p2p_status check_lengths(const trainer_paths *paths, bool resume) {
    char name[RUN_EPOCH_NAME_BYTES], *longest;
    sys_path_kind kind;
    run_checkpoint_name(name, 0);
    P2P_TRY(sys_path_join(&longest, paths->checkpoints, name));
    p2p_status status = sys_path_kind_of(longest, &kind);
    free(longest);
    return status == P2P_OK || resume ? status : p2p_hint(status, "choose another --out");
}

/* Make the folder of a new training and take its lock. */
static p2p_status begin_folder(trainer *t) {
    sys_path_kind kind;
    if (t->all->resume || !trainer_writes(t)) return P2P_OK;
    P2P_TRY(sys_path_kind_of(t->paths.folder, &kind));
    t->made_folder = kind == SYS_PATH_ABSENT;
    P2P_TRY(sys_folder_make(t->paths.folder));
    P2P_TRY(trainer_lock(t));
    P2P_TRY(trainer_sweep(&t->paths));
    return trainer_refuse_existing(t); /* again, now that no other process can begin */
}

/* ---- Data --------------------------------------------------------------------------------------------- */

/* Identify the data and compare it with that of a resumed training. A hash of all bytes is kept where it is
 * not computed again. */
static p2p_status identify_data(trainer *t) {
    const settings *all = t->all;
    dataset_identity *training = &t->origin.training, *validation = &t->origin.validation;
    P2P_TRY(dataset_identify(t->training, all->verify_data, training));
    if (t->validation) P2P_TRY(dataset_identify(t->validation, all->verify_data, validation));
    if (t->kept.training.pairs == 0) return P2P_OK;
    P2P_TRY(origin_check_data(&t->kept, &t->origin, all, trainer_origin_file(t)));
    if (strcmp(training->content, t->kept.training.content) == 0 && !training->all_bytes[0])
        memcpy(training->all_bytes, t->kept.training.all_bytes, DATASET_HASH_BYTES);
    if (strcmp(validation->content, t->kept.validation.content) == 0 && !validation->all_bytes[0])
        memcpy(validation->all_bytes, t->kept.validation.all_bytes, DATASET_HASH_BYTES);
    return P2P_OK;
}

/* Pictures that had another size before the training was resumed count as several sizes. */
static void set_source(trainer *t) {
    const pair_size now = dataset_one_size(t->training), before = t->source.size;
    const bool same = now.width == before.width && now.height == before.height;
    const bool changed = t->source.known && !same;
    t->source = (training_source){.known = true, .size = changed ? (pair_size){0} : now};
    if (changed && before.width > 0)
        fprintf(stderr, "data: the pairs have other sizes than before; the model records several sizes\n");
}

/* A training is resumed from anywhere, but its --data may be recorded relative to another folder. */
static p2p_status check_recorded_data(const settings *all) {
    bool exists;
    if (!all->resume || settings_given(all, "data")) return P2P_OK;
    P2P_TRY(sys_path_is_folder(all->data, &exists));
    if (exists) return P2P_OK;
    p2p_fail(P2P_INPUT, "there is no folder %s, which is recorded as --data", all->data);
    return p2p_hint(P2P_INPUT, "name the folder of the pairs with --data");
}

static p2p_status open_data(trainer *t) {
    const settings *all = t->all;
    setup_split wanted = {.split = "train",
                          .direction = all->direction,
                          .replace_bad = true,
                          .channels_in = (int)all->channels_in,
                          .channels_out = (int)all->channels_out,
                          .side = t->augment.load_size};
    bool validated;
    P2P_TRY(check_recorded_data(all));
    if (!all->resume) P2P_TRY(setup_out_check(all));
    P2P_TRY(setup_split_open(all, &wanted, &t->training));
    wanted.split = "val";
    wanted.replace_bad = false;
    wanted.training = t->training;
    P2P_TRY(dataset_has_split(all->data, "val", &validated));
    if (validated) P2P_TRY(setup_split_open(all, &wanted, &t->validation));
    P2P_TRY(identify_data(t));
    P2P_TRY(trainer_compare_data(t));
    set_source(t);
    t->format = dataset_format(t->training, (int)all->channels_in, (int)all->channels_out);
    t->global_batch = setup_replicas_asked(all) * all->batch * all->grad_accumulate;
    t->batches = loader_batches(t->training, (int)t->global_batch);
    const int64_t training = t->origin.training.pairs;
    const int64_t validation = t->validation ? dataset_count(t->validation) : 0;
    fprintf(stderr, "data: %" PRId64 " training pair%s, %" PRId64 " validation pair%s\n", training,
            training == 1 ? "" : "s", validation, validation == 1 ? "" : "s");
    return P2P_OK;
}

/* ---- Device ------------------------------------------------------------------------------------------- */

static p2p_status check_memory(const trainer *t) {
    memory_subject subject = {.all = t->all,
                              .devices = &t->devices,
                              .format = t->format,
                              .pairs = t->origin.training.pairs,
                              .choices = t->choices,
                              .training = true,
                              .pair_bytes = dataset_summarise(t->training).pair_bytes};
    if (t->validation) {
        const uint64_t bytes = dataset_summarise(t->validation).pair_bytes;
        if (bytes > subject.pair_bytes) subject.pair_bytes = bytes;
    }
    memory_question question = setup_memory_question(&subject);
    return setup_memory_check_ranks(&question, t->ranks);
}

static p2p_status plan_all(trainer *t) {
    const setup_shape shape = {.model = t->model,
                               .format = t->format,
                               .replicas = t->devices.count,
                               .world = t->replicas,
                               .first = t->first_replica,
                               .batch = t->all->batch,
                               .accumulate = t->all->grad_accumulate,
                               .pairs = t->origin.training.pairs,
                               .begun = t->at.images};
    t->evaluator = (evaluator){.batch = (int)t->all->batch,
                               .replicas = t->devices.count,
                               .ranks = ranks_size(t->ranks),
                               .rank = ranks_number(t->ranks),
                               .width = (int)t->all->size,
                               .height = (int)t->all->size,
                               .format = t->format,
                               .model = "the generator"};
    P2P_TRY(setup_plans_make(t->session, &shape, &t->plans));
    t->evaluator.plan = t->plans.evaluate.plan;
    t->samples = calloc((size_t)t->global_batch, sizeof *t->samples);
    return t->samples ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a step's pairs");
}

/* A p2p_progress that ignores signals again, because compilers in drivers install handlers
 * when they start. */
static void show_preparing(void *stream, int done, int total) {
    sys_signals_keep_ignored();
    setup_show_preparing(stream, done, total);
}

/* A resumed training uses the choices of its checkpoint. An older checkpoint without choices is resumed
 * without tuning, as it was made. */
static p2p_status create_session(trainer *t) {
    setup_tuning tuning = setup_tuning_train;
    tuning.imposed = t->choices;
    if (t->resumed_from && !t->choices) tuning.automatic = tuning.on = P2P_TUNE_OFF;
    return trainer_hint_older(t, setup_session_create(t->all, &t->devices, &tuning, &t->session));
}

static p2p_status describe_devices(trainer *t) {
    training_origin *origin = &t->origin;
    snprintf(origin->version, sizeof origin->version, "%s", P2P_VERSION);
    P2P_TRY(trainer_number_replicas(t));
    origin->devices = t->replicas;
    P2P_TRY(origin_check_device(&t->kept, origin, t->all, trainer_origin_file(t)));
    if (t->resumed_from) origin_note_devices(&t->kept, origin);
    return P2P_OK;
}

/* The learning rate with the devices of before; that of now if there were none. */
static double rate_before(const trainer *t) {
    const settings *all = t->all;
    if (!t->resumed_from || !origin_is_recorded(&t->kept)) return t->schedule.rate;
    return schedule_scaled(all->lr, all->lr_scale, t->kept.devices * all->grad_accumulate);
}

/* "batch: 64 pairs on each of 4 devices, 256 per step; learning rate 0.0008 (0.0004 before)" */
static void show_batch(const trainer *t) {
    const settings *all = t->all;
    const double before = rate_before(t);
    const bool changes = before != t->schedule.rate;
    if (t->global_batch == all->batch && !changes) return;
    char devices[48] = "", parts[48] = "", earlier[48] = "";
    if (changes) snprintf(earlier, sizeof earlier, " (%g before)", before);
    if (t->replicas > 1) snprintf(devices, sizeof devices, " on each of %d devices", t->replicas);
    if (all->grad_accumulate > 1) snprintf(parts, sizeof parts, ", %" PRId64 " times", all->grad_accumulate);
    fprintf(stderr, "batch: %" PRId64 " pair%s%s%s, %" PRId64 " per step; learning rate %g%s\n", all->batch,
            all->batch == 1 ? "" : "s", devices, parts, t->global_batch, t->schedule.rate, earlier);
}

static int count_measured(const p2p_session *session) {
    int measured = 0;
    for (int i = 0; i < p2p_session_choice_count(session); i++) {
        const p2p_op *op;
        const p2p_choice *choice;
        p2p_session_choice(session, i, &op, &choice);
        measured += choice->seconds > 0;
    }
    return measured;
}

/* Whether a measurement, which only a request makes on this device, could choose other algorithms. */
static bool may_be_measured(const trainer *t) {
    return p2p_device_measures_on_request(t->devices.list[0]) && setup_tune_is_auto(t->all) &&
           !t->resumed_from;
}

/* Record and report whether measurements chose algorithms. A resumed training has the choices of its
 * checkpoint, unless it is on another device. */
static void note_measured(trainer *t) {
    const int count = p2p_session_choice_count(t->session), measured = count_measured(t->session);
    const bool same = t->resumed_from && strcmp(t->kept.device, t->origin.device) == 0;
    t->origin.measured = measured > 0 || (same && t->kept.measured);
    const char *others = may_be_measured(t) && measured < count
                             ? ", the others by heuristics (p2p tune, or --tune on here, measures them)"
                             : "";
    if (measured > 0)
        fprintf(stderr,
                "algorithms: %d of %d convolutions as measured on this device%s; --deterministic ignores "
                "measurements, which may change the last bits of results\n",
                measured, count, others);
    else if (t->origin.measured)
        fprintf(stderr,
                "algorithms: those of the checkpoint, chosen by measurements when the training began\n");
    else if (others[0])
        fprintf(stderr, "algorithms: 0 of %d convolutions as measured on this device%s\n", count, others);
}

/* Hash the files of initial weights. A checkpoint has the weights themselves. */
static p2p_status hash_initial(trainer *t) {
    training_origin *origin = &t->origin;
    if (t->resumed_from) {
        memcpy(origin->initial_generator, t->kept.initial_generator, DATASET_HASH_BYTES);
        memcpy(origin->initial_discriminator, t->kept.initial_discriminator, DATASET_HASH_BYTES);
        return P2P_OK;
    }
    if (t->initial.generator) P2P_TRY(dataset_hash_file(t->initial.generator, origin->initial_generator));
    if (t->initial.discriminator)
        P2P_TRY(dataset_hash_file(t->initial.discriminator, origin->initial_discriminator));
    return t->all->resume ? origin_check_initial(&t->kept, origin, trainer_origin_file(t)) : P2P_OK;
}

static p2p_status open_device(trainer *t) {
    pix2pix_config config;
    P2P_TRY(setup_model_config(t->all, &config));
    P2P_TRY(pix2pix_create(&t->model, &config));
    if (!t->resumed_from && trainer_writes(t)) P2P_TRY(initial_weights_find(&t->initial, t->all, t->model));
    if (trainer_writes(t)) P2P_TRY(hash_initial(t));
    setup_print_networks(t->all, t->model, stderr);
    P2P_TRY(setup_devices_open(t->all, &t->devices));
    P2P_TRY(describe_devices(t));
    show_batch(t);
    P2P_TRY(trainer_hint_older(t, check_memory(t)));
    t->devices.processes = ranks_processes(t->ranks);
    P2P_TRY(create_session(t));
    P2P_TRY(plan_all(t));
    note_measured(t);
    P2P_TRY(p2p_session_allocate(t->session, show_preparing, stderr));
    p2p_session_memory memory;
    p2p_session_memory_use(t->session, &memory);
    fprintf(stderr, "memory: %.0f MB on %s device, %.0f of it for weights, gradients and moments\n",
            (double)memory.total / 1e6, t->replicas > 1 ? "each" : "the",
            (double)(memory.parameters + memory.gradients + memory.moments + memory.derived) / 1e6);
    return P2P_OK;
}

static p2p_status write_weights(trainer *t) {
    if (t->resumed_from) return trainer_hint_older(t, checkpoint_load(t->resumed_from, t->session, t->model));
    p2p_network *networks[] = {t->model->generator.network, t->model->discriminator.network};
    for (int i = 0; i < 2; i++) P2P_TRY(p2p_session_initialise(t->session, networks[i], t->all->seed));
    return initial_weights_load(&t->initial, t->session, t->model);
}

/* Whatever has written the weights in rank 0, all replicas begin from those of the first. The broadcast is
 * the first collective after all have compiled their programs, which takes minutes longer in some ranks, and
 * time that a device waits in a collective counts towards its time limit. */
static p2p_status set_weights(trainer *t) {
    P2P_TRY(ranks_agree(t->ranks, trainer_writes(t) ? write_weights(t) : P2P_OK));
    return p2p_session_broadcast(t->session);
}

/* ---- The folder --------------------------------------------------------------------------------------- */

/* The identity of a training that begins, or begins again. One that continues keeps its own. */
static p2p_status identify_run(trainer *t) {
    char *choices;
    if (t->resumed_from) {
        memcpy(t->run, t->kept_run, sizeof t->run); /* "" for a training of an older version */
        return P2P_OK;
    }
    P2P_TRY(p2p_session_choices_text(t->session, &choices));
    p2p_status status = origin_identify(&t->origin, t->all, choices, t->run);
    free(choices);
    return status;
}

/* Restore the state t->at of the folder, and open the log. config.json is written first in a new folder:
 * with it the training can be resumed. */
static p2p_status open_folder(trainer *t) {
    P2P_TRY(identify_run(t));
    if (t->all->resume) P2P_TRY(trainer_restore(t));
    P2P_TRY(write_config(t));
    t->made_folder = false;
    memcpy(t->kept_run, t->run, sizeof t->kept_run);
    P2P_TRY(sys_folder_make_one(t->paths.samples));
    P2P_TRY(picture_list_mark_inside(t->paths.folder, t->all->data, "train"));
    P2P_TRY(history_create(&t->past));
    return metrics_open(&t->metrics, t->paths.metrics, t->run, t->at.step, t->at.epoch, t->past);
}

/* ---- Creation and destruction ------------------------------------------------------------------------- */

/* The steps of the epoch in which the training is: those that were made, with any number of devices, and
 * those that are left. */
static void set_epoch(trainer *t) {
    const int64_t left = t->origin.training.pairs - t->at.images;
    t->epoch_batches = t->at.batch + (left + t->global_batch - 1) / t->global_batch;
}

/* What rank 0 finds in the folder. */
static p2p_status find_start(trainer *t) {
    if (trainer_writes(t)) P2P_TRY(t->all->resume ? trainer_find_resume(t) : trainer_refuse_existing(t));
    return trainer_share_start(t);
}

/* Print how long the training is, and with what its validation is compared. */
static void show_length(const trainer *t) {
    const int64_t pairs = t->origin.training.pairs;
    fprintf(stderr,
            "length: %" PRId64 " pair%s %" PRId64 " step%s per epoch; %" PRId64 " step%s in %" PRId64
            " epoch%s\n",
            pairs, pairs == 1 ? " is" : "s are", t->batches, t->batches == 1 ? "" : "s", t->total_steps,
            t->total_steps == 1 ? "" : "s", t->total_epochs, t->total_epochs == 1 ? "" : "s");
    if (t->validation)
        fprintf(stderr,
                "validation: always drawing the mean of the training targets would give L1 %.4f;\n"
                "lower is better, and the val L1 of a model should get well below that\n",
                validation_baseline_l1(t->validator));
}

p2p_status trainer_open(trainer *t, settings *all, ranks *r) {
    *t = (trainer){.all = all, .ranks = r};
    all->ranks = ranks_size(r);
    all->local_rank = ranks_local(r);
    P2P_TRY(setup_pictures_of_ranks(all, r));
    P2P_TRY(check_required(all));
    P2P_TRY(trainer_paths_make(&t->paths, all->out));
    P2P_TRY(check_lengths(&t->paths, t->all->resume));
    P2P_TRY(find_start(t));
    P2P_TRY(check_data(all));
    P2P_TRY(trainer_complete_length(all));
    P2P_TRY(resolve_augmentation(all, &t->augment));
    P2P_TRY(open_data(t));
    set_epoch(t);
    trainer_resolve_length(t);
    P2P_TRY(trainer_check_unfinished(t));
    P2P_TRY(begin_folder(t));
    P2P_TRY(open_device(t));
    P2P_TRY(set_weights(t));
    const pair_form form = {.format = t->format, .size = (int)all->size, .filter = t->augment.filter};
    P2P_TRY(validation_create(&t->validator, t->training, t->validation, &form, r));
    if (trainer_writes(t)) P2P_TRY(open_folder(t));
    ranks_set_command(t->ranks, t->command);
    if (!trainer_writes(t)) return P2P_OK;
    show_length(t);
    t->progress = progress_create(stderr, t->total_steps, t->total_epochs, t->at.step);
    trainer_tensorboard_open(t);
    return P2P_OK;
}

void trainer_leave(trainer *t) {
    progress_destroy(t->progress);
    t->progress = NULL;
    (void)metrics_close(t->metrics);
    t->metrics = NULL;
    sys_lock_release(t->lock);
    t->lock = NULL;
    if (t->made_folder) (void)sys_folder_remove(t->paths.folder);
}

void trainer_close(trainer *t) {
    progress_destroy(t->progress);
    (void)metrics_close(t->metrics); /* after success trainer_run has closed it and checked the result */
    event_file_close(t->events);
    history_destroy(t->past);
    json_decref(t->config);
    validation_destroy(t->validator);
    p2p_session_destroy(t->session);
    setup_devices_close(&t->devices);
    free(t->samples);
    free(t->addresses);
    setup_plans_free(&t->plans);
    pix2pix_destroy(t->model);
    dataset_close(t->training);
    dataset_close(t->validation);
    initial_weights_free(&t->initial);
    free(t->resumed_from);
    free(t->command);
    free(t->choices);
    sys_lock_release(t->lock);
    if (t->made_folder) (void)sys_folder_remove(t->paths.folder);
    trainer_paths_free(&t->paths);
    *t = (trainer){0};
}
