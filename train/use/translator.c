/* See translator.h. */
#include "translator.h"

#include "host/sys.h"
#include "run_models.h"
#include "setup/setup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool uses_running(const translator *t) {
    return strcmp(t->all->norm_stats, "running") == 0;
}

const char *translator_norm_stats(const translator *t) {
    return t->all->norm_stats;
}

const char *translator_dropout(const translator *t) {
    return t->all->test_dropout;
}

resize_filter translator_filter(const translator *t) {
    const char *resize = settings_given(t->all, "resize") ? t->all->resize : t->info.resize;
    return resize_filter_named(resize);
}

static p2p_status check_mode(const translator *t) {
    if (!uses_running(t) || t->model->config.norm == NN_NORM_batch) return P2P_OK;
    return p2p_fail(P2P_USAGE, "--norm-stats running: %s has no running statistics, its norm is %s", t->path,
                    nn_norm_names[t->model->config.norm]);
}

p2p_status translator_open(translator *t, const settings *all) {
    *t = (translator){.all = all};
    if (!all->model)
        return p2p_fail(P2P_USAGE,
                        "--model is missing: a trained generator.safetensors, or a training's folder");
    P2P_TRY(run_find_generator("model", all->model, all->epoch, &t->path));
    P2P_TRY(model_file_open(t->path, &t->file, &t->model, &t->info));
    t->format = evaluate_format(&t->model->config, &t->info);
    return check_mode(t);
}

p2p_status translator_open_device(translator *t) {
    return setup_devices_open(t->all, &t->devices);
}

int64_t translator_batch(const translator *t, int64_t count) {
    const int64_t share = (count + t->devices.count - 1) / t->devices.count;
    return share < t->all->batch ? share : t->all->batch;
}

p2p_status translator_check_stop(const translator *t, int64_t done, int64_t count) {
    const p2p_status status = sys_stop_check();
    if (status != P2P_OK)
        p2p_fail(status, "stopped by %s after %" PRId64 " of %" PRId64 " pictures; those in %s are complete",
                 sys_stop_name(), done, count, t->all->out);
    else
        sys_stop_listen("batch"); /* again, because drivers that compile may have replaced the handlers */
    return status;
}

static void close_session(translator *t) {
    p2p_session_destroy(t->session);
    setup_plan_free(&t->planned);
    t->session = NULL;
    t->evaluator = (evaluator){0};
}

void translator_close(translator *t) {
    close_session(t);
    setup_devices_close(&t->devices);
    pix2pix_destroy(t->model);
    safetensors_close(t->file);
    free(t->path);
    *t = (translator){0};
}

int translator_unit(const translator *t) {
    return 1 << t->model->config.depth;
}

static pix2pix_graph_options graph_options(const translator *t, const memory_shape *shape) {
    pix2pix_graph_options options = pix2pix_graph_options_for(t->model, shape->batch);
    options.width = shape->width;
    options.height = shape->height;
    options.input_type = setup_picture_type(t->format.input);
    options.statistics = uses_running(t) ? P2P_STATS_RUNNING : P2P_STATS_IMAGE;
    options.no_dropout = strcmp(t->all->test_dropout, "off") == 0;
    return options;
}

/* A session with the plan for a shape; nothing is allocated. */
static p2p_status make_plan(const translator *t, const memory_shape *shape, const setup_tuning *tuning,
                            p2p_session **session, setup_plan *made) {
    const pix2pix_graph_options options = graph_options(t, shape);
    P2P_TRY(setup_session_create(t->all, &t->devices, tuning, session));
    const setup_planning planning = {
        .session = *session, .model = t->model, .options = &options, .replicas = t->devices.count};
    return setup_plan_make(&planning, "translation", t->devices.count * shape->batch, made);
}

static p2p_status measure_memory(void *context, const memory_shape *shape, memory_need *need) {
    const translator *t = context;
    p2p_session *session = NULL;
    setup_plan made = {0};
    p2p_status status = make_plan(t, shape, &setup_tuning_stored, &session, &made);
    if (status == P2P_OK) setup_memory_evaluation(session, t->format, shape, need);
    if (status == P2P_OK) setup_memory_pictures(t->picture_bytes, 1, need);
    p2p_session_destroy(session);
    setup_plan_free(&made);
    return status;
}

static memory_question question_of(translator *t, const char *what, const memory_shape *shape) {
    return (memory_question){.what = what,
                             .devices = &t->devices,
                             .shape = *shape,
                             .change = t->change,
                             .unit = translator_unit(t),
                             .measure = measure_memory,
                             .context = t};
}

p2p_status translator_check_memory(translator *t, int width, int height, int batch) {
    const memory_shape shape = {batch, width, height};
    const memory_question question = question_of(t, "this translation", &shape);
    return setup_memory_check(&question);
}

p2p_status translator_fit_picture(translator *t, int width, int height, memory_fit *fit) {
    const memory_shape shape = {1, width, height};
    const memory_question question = question_of(t, "translating it", &shape);
    return setup_memory_fit(&question, fit);
}

p2p_status translator_prepare(translator *t, int width, int height, int batch) {
    const evaluator *now = &t->evaluator;
    if (now->batch == batch && now->width == width && now->height == height) return P2P_OK;
    close_session(t);
    evaluator next = {
        .batch = batch, .replicas = t->devices.count, .width = width, .height = height, .format = t->format};
    const memory_shape shape = {batch, width, height};
    P2P_TRY(translator_check_memory(t, width, height, batch));
    P2P_TRY(make_plan(t, &shape, &setup_tuning_use, &t->session, &t->planned));
    next.plan = t->planned.plan;
    P2P_TRY(p2p_session_allocate(t->session, NULL, NULL));
    P2P_TRY(model_file_read(t->session, t->file, t->model->generator.network));
    t->evaluator = next;
    return P2P_OK;
}
