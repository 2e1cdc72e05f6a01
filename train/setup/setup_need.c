/* The memory that trainings and translations of settings need, from plans that are never run. See
 * setup_memory.h. */
#include "setup_memory.h"

#include "data/loader.h"
#include "image/image_limits.h"

const setup_tuning setup_tuning_stored = {.automatic = P2P_TUNE_STORED, .on = P2P_TUNE_STORED};

/* The program itself: its code, the names of files, pieces of checkpoints on their way to a file. */
static const size_t PROGRAM_BYTES = (size_t)16 << 20;

/* Pictures and results of a batch that is evaluated: inputs, targets, generated pictures, and the network's
 * floats. */
static size_t evaluation_bytes(pair_format format, const memory_shape *shape, size_t replicas) {
    const size_t pixels = replicas * (size_t)shape->batch * (size_t)shape->width * (size_t)shape->height;
    return pixels * (image_pixel_bytes(format.input) + 2 * image_pixel_bytes(format.target) +
                     (size_t)format.target.channels * sizeof(float));
}

void setup_memory_evaluation(const p2p_session *session, pair_format format, const memory_shape *shape,
                             memory_need *need) {
    p2p_session_memory memory;
    p2p_session_memory_use(session, &memory);
    *need = (memory_need){.device = memory.total,
                          .host = memory.host +
                                  evaluation_bytes(format, shape, (size_t)p2p_session_replicas(session)) +
                                  PROGRAM_BYTES};
}

void setup_memory_pictures(uint64_t bytes, int threads, memory_need *need) {
    const uint64_t limit = image_memory_limit(); /* no single one exceeds it */
    const uint64_t all = bytes > limit / (uint64_t)threads ? limit : bytes * (uint64_t)threads;
    need->pictures = (size_t)all;
    need->picture = (size_t)bytes;
}

static p2p_status plan_training(const memory_subject *subject, const pix2pix *model, p2p_session *session,
                                const memory_shape *shape, memory_need *need) {
    const settings *all = subject->all;
    setup_shape training = {.model = model,
                            .format = subject->format,
                            .replicas = subject->devices->count,
                            .batch = shape->batch,
                            .accumulate = all->grad_accumulate > 0 ? all->grad_accumulate : 1,
                            .pairs = subject->pairs};
    const int64_t whole = setup_global_batch(&training);
    if (training.pairs == 0) training.pairs = whole;
    setup_plans plans;
    p2p_status status = setup_plans_make(session, &training, &plans);
    setup_memory_evaluation(session, subject->format, shape, need);
    need->host += loader_memory(subject->format, (int)shape->width, (int)whole, (int)all->workers);
    /* The threads continue while the pictures of a validation are read. */
    setup_memory_pictures(subject->pair_bytes, loader_threads((int)all->workers) + 1, need);
    setup_plans_free(&plans);
    return status;
}

static p2p_status plan_translation(const memory_subject *subject, const pix2pix *model, p2p_session *session,
                                   const memory_shape *shape, memory_need *need) {
    pix2pix_graph_options options = pix2pix_graph_options_for(model, shape->batch);
    const int replicas = subject->devices->count;
    const setup_planning planning = {
        .session = session, .model = model, .options = &options, .replicas = replicas};
    setup_plan made;
    options.input_type = setup_picture_type(subject->format.input);
    const p2p_status status = setup_plan_make(&planning, "translation", replicas * shape->batch, &made);
    setup_memory_evaluation(session, subject->format, shape, need);
    setup_plan_free(&made);
    return status;
}

/* A measure() of square pictures; the context is a memory_subject. Counts every plan of a training: a step,
 * an epoch's last step and validation. */
static p2p_status measure(void *context, const memory_shape *shape, memory_need *need) {
    const memory_subject *subject = context;
    settings at = *subject->all; /* the strings still belong to the original */
    at.batch = shape->batch;
    at.size = shape->width;
    setup_tuning tuning = setup_tuning_stored;
    tuning.imposed = subject->choices;
    pix2pix_config config;
    pix2pix *model = NULL;
    p2p_session *session = NULL;
    *need = (memory_need){0};
    P2P_TRY(setup_model_config(&at, &config));
    p2p_status status = pix2pix_create(&model, &config);
    if (status == P2P_OK) status = setup_session_create(&at, subject->devices, &tuning, &session);
    if (status == P2P_OK)
        status = subject->training ? plan_training(subject, model, session, shape, need)
                                   : plan_translation(subject, model, session, shape, need);
    p2p_session_destroy(session);
    pix2pix_destroy(model);
    return status;
}

memory_question setup_memory_question(memory_subject *subject) {
    const settings *all = subject->all;
    return (memory_question){.what = subject->training ? "this training" : "this translation",
                             .devices = subject->devices,
                             .shape = {all->batch, all->size, all->size},
                             .change = all->resume ? MEMORY_FIXED : MEMORY_OPTIONS,
                             .joined = subject->training && setup_replicas_asked(all) > 1,
                             .measure = measure,
                             .context = subject};
}
