/* Engines and their names. See cuda_engine.h. */
#include "cuda_engine.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KNOBS = CUDNN_KNOB_TYPE_COUNTS, MOST_ENGINES = 4096 };

const cudnnBackendHeurMode_t cuda_engine_lists[CUDA_ENGINE_LISTS] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B,
                                                                     CUDNN_HEUR_MODE_FALLBACK};

typedef struct {
    int64_t type, value;
} knob;

/* A parsed name. */
typedef struct {
    int64_t engine;
    int knob_count;
    knob knobs[MOST_KNOBS];
} settings;

/* ---- Names --------------------------------------------------------------------------------------------- */

static p2p_status print_name(const settings *s, char name[P2P_CHOICE_NAME]) {
    int length = snprintf(name, P2P_CHOICE_NAME, "e%" PRId64, s->engine);
    for (int i = 0; i < s->knob_count && length < P2P_CHOICE_NAME; i++)
        length += snprintf(name + length, (size_t)(P2P_CHOICE_NAME - length), "%c%" PRId64 "-%" PRId64,
                           i == 0 ? ':' : '_', s->knobs[i].type, s->knobs[i].value);
    if (length < P2P_CHOICE_NAME) return P2P_OK;
    return cuda_host->fail(P2P_UNSUPPORTED, "cuda: the name of engine %" PRId64 " with %d knobs is too long",
                           s->engine, s->knob_count);
}

/* Reads a number of at most 9 digits without a sign or leading zeros. */
static bool parse_number(const char **text, int64_t *number) {
    const char *at = *text;
    *number = 0;
    while (isdigit((unsigned char)*at) && at - *text < 9) *number = 10 * *number + (*at++ - '0');
    const bool plain = at != *text && !(**text == '0' && at - *text > 1);
    *text = at;
    return plain;
}

static bool parse_name(const char *name, settings *s) {
    *s = (settings){0};
    if (*name++ != 'e' || !parse_number(&name, &s->engine)) return false;
    while (*name) {
        if (*name++ != (s->knob_count == 0 ? ':' : '_') || s->knob_count == MOST_KNOBS) return false;
        knob *k = &s->knobs[s->knob_count++];
        if (!parse_number(&name, &k->type) || *name++ != '-') return false;
        const bool negative = *name == '-';
        name += negative;
        if (!parse_number(&name, &k->value) || (negative && k->value == 0)) return false;
        if (negative) k->value = -k->value;
    }
    return true;
}

/* ---- From cuDNN's descriptors -------------------------------------------------------------------------- */

static p2p_status read_int(cuda_queue *queue, cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name,
                           cudnnBackendAttributeType_t type, int64_t *value) {
    int64_t count;
    int32_t word = 0; /* of enumerations */
    *value = 0;
    if (type == CUDNN_TYPE_INT64) return cuda_dnn_get(queue, from, name, type, 1, &count, value);
    P2P_TRY(cuda_dnn_get(queue, from, name, type, 1, &count, &word));
    *value = word;
    return P2P_OK;
}

/* The engine that a configuration belongs to. The caller destroys it. */
static p2p_status get_engine(cuda_queue *queue, cudnnBackendDescriptor_t config,
                             cudnnBackendDescriptor_t *engine) {
    int64_t count;
    P2P_TRY(cuda_dnn_create(queue, CUDNN_BACKEND_ENGINE_DESCRIPTOR, engine));
    const p2p_status status = cuda_dnn_get(queue, config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, engine);
    if (status != P2P_OK) cuda_dnn_destroy(engine);
    return status;
}

static p2p_status read_engine(cuda_queue *queue, cudnnBackendDescriptor_t config, int64_t *index) {
    cudnnBackendDescriptor_t engine;
    P2P_TRY(get_engine(queue, config, &engine));
    const p2p_status status =
        read_int(queue, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, index);
    cuda_dnn_destroy(&engine);
    return status;
}

static p2p_status create_all(cuda_queue *queue, cudnnBackendDescriptorType_t type, int64_t count,
                             cudnnBackendDescriptor_t *descriptors) {
    for (int64_t i = 0; i < count; i++) P2P_TRY(cuda_dnn_create(queue, type, &descriptors[i]));
    return P2P_OK;
}

static p2p_status read_knob(cuda_queue *queue, cudnnBackendDescriptor_t choice, knob *k) {
    P2P_TRY(read_int(queue, choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, &k->type));
    return read_int(queue, choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, &k->value);
}

/* cuDNN returns the number of knobs only with an array for them. */
static p2p_status fill_knobs(cuda_queue *queue, cudnnBackendDescriptor_t config,
                             cudnnBackendDescriptor_t *choices, settings *s) {
    int64_t count;
    P2P_TRY(create_all(queue, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, MOST_KNOBS, choices));
    P2P_TRY(cuda_dnn_get(queue, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                         MOST_KNOBS, &count, choices));
    if (count > MOST_KNOBS)
        return cuda_host->fail(P2P_UNSUPPORTED, "cuda: engine with %" PRId64 " knobs", count);
    for (int64_t i = 0; i < count; i++) P2P_TRY(read_knob(queue, choices[i], &s->knobs[i]));
    s->knob_count = (int)count;
    return P2P_OK;
}

static int compare_knobs(const void *a, const void *b) {
    const knob *one = a, *other = b;
    return (one->type > other->type) - (one->type < other->type);
}

static p2p_status read_settings(cuda_queue *queue, cudnnBackendDescriptor_t config, settings *s) {
    cudnnBackendDescriptor_t choices[MOST_KNOBS] = {NULL};
    *s = (settings){0};
    P2P_TRY(read_engine(queue, config, &s->engine));
    const p2p_status status = fill_knobs(queue, config, choices, s);
    for (int i = 0; i < MOST_KNOBS; i++) cuda_dnn_destroy(&choices[i]);
    qsort(s->knobs, (size_t)s->knob_count, sizeof s->knobs[0], compare_knobs);
    return status;
}

/* ---- Heuristics ---------------------------------------------------------------------------------------- */

static p2p_status set_card(const cuda_dnn_card *card, cudnnBackendDescriptor_t to,
                           cudnnBackendAttributeName_t name) {
    if (!card->properties) return P2P_OK;
    return cuda_dnn_set(card->queue, to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &card->properties);
}

static p2p_status set_heuristic(const cuda_dnn_card *card, const cuda_dnn_graph *graph,
                                cudnnBackendHeurMode_t heuristic, cudnnBackendDescriptor_t to) {
    P2P_TRY(cuda_dnn_set(card->queue, to, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->graph));
    P2P_TRY(cuda_dnn_set(card->queue, to, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &heuristic));
    P2P_TRY(set_card(card, to, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP));
    return cuda_dnn_finalize(card->queue, to);
}

/* Engines whose settings have no name are left out. */
static p2p_status name_engines(cuda_queue *queue, int64_t count, cuda_engine_list *list) {
    for (int64_t i = 0; i < count; i++) {
        cuda_engine one = list->engine[i];
        settings s;
        list->engine[i].config = NULL;
        p2p_status status = read_settings(queue, one.config, &s);
        if (status == P2P_OK) status = print_name(&s, one.name);
        if (status == P2P_OK)
            list->engine[list->count++] = one;
        else
            cuda_engine_release(&one);
        if (status != P2P_OK && status != P2P_UNSUPPORTED) {
            while (++i < count) cuda_engine_release(&list->engine[i]);
            return status;
        }
    }
    return P2P_OK;
}

static p2p_status get_configs(cuda_queue *queue, cudnnBackendDescriptor_t heuristic, cuda_engine_list *list) {
    int64_t count, got;
    P2P_TRY(cuda_dnn_get(queue, heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0,
                         &count, NULL));
    if (count <= 0) return P2P_OK;
    if (count > MOST_ENGINES) count = MOST_ENGINES;
    cudnnBackendDescriptor_t *configs = calloc((size_t)count, sizeof *configs);
    list->engine = calloc((size_t)count, sizeof *list->engine);
    if (!configs || !list->engine) {
        free(configs);
        return cuda_host->fail(P2P_OUT_OF_MEMORY, "cuda: no host memory for a list of engines");
    }
    p2p_status status = create_all(queue, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, count, configs);
    if (status == P2P_OK)
        status = cuda_dnn_get(queue, heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                              count, &got, configs);
    for (int64_t i = 0; i < count; i++) {
        if (status == P2P_OK && i < got)
            list->engine[i].config = configs[i];
        else
            cuda_dnn_destroy(&configs[i]);
    }
    free(configs);
    return status == P2P_OK ? name_engines(queue, got < count ? got : count, list) : status;
}

p2p_status cuda_engine_list_make(const cuda_dnn_card *card, const cuda_dnn_graph *graph,
                                 cudnnBackendHeurMode_t heuristic, cuda_engine_list *list) {
    cudnnBackendDescriptor_t descriptor;
    *list = (cuda_engine_list){0};
    P2P_TRY(cuda_dnn_create(card->queue, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &descriptor));
    p2p_status status = set_heuristic(card, graph, heuristic, descriptor);
    if (status == P2P_OK) status = get_configs(card->queue, descriptor, list);
    cuda_dnn_destroy(&descriptor);
    if (status != P2P_OK) cuda_engine_list_release(list);
    return status;
}

void cuda_engine_list_release(cuda_engine_list *list) {
    for (int i = 0; i < list->count; i++) cuda_engine_release(&list->engine[i]);
    free(list->engine);
    *list = (cuda_engine_list){0};
}

/* ---- From names ---------------------------------------------------------------------------------------- */

static p2p_status make_knob(cuda_queue *queue, const knob *k, cudnnBackendDescriptor_t *choice) {
    const cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)k->type;
    P2P_TRY(cuda_dnn_create(queue, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, choice));
    P2P_TRY(cuda_dnn_set(queue, *choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type));
    P2P_TRY(cuda_dnn_set(queue, *choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &k->value));
    return cuda_dnn_finalize(queue, *choice);
}

static p2p_status make_engine(const cuda_dnn_card *card, const cuda_dnn_graph *graph, int64_t index,
                              cudnnBackendDescriptor_t *engine) {
    P2P_TRY(cuda_dnn_create(card->queue, CUDNN_BACKEND_ENGINE_DESCRIPTOR, engine));
    P2P_TRY(cuda_dnn_set(card->queue, *engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH,
                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->graph));
    P2P_TRY(cuda_dnn_set(card->queue, *engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index));
    P2P_TRY(set_card(card, *engine, CUDNN_ATTR_ENGINE_DEVICEPROP));
    return cuda_dnn_finalize(card->queue, *engine);
}

static p2p_status make_config(const cuda_dnn_card *card, const cuda_dnn_graph *graph, const settings *s,
                              cudnnBackendDescriptor_t *engine, cudnnBackendDescriptor_t *choices,
                              cudnnBackendDescriptor_t *config) {
    P2P_TRY(make_engine(card, graph, s->engine, engine));
    for (int i = 0; i < s->knob_count; i++) P2P_TRY(make_knob(card->queue, &s->knobs[i], &choices[i]));
    P2P_TRY(cuda_dnn_create(card->queue, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, config));
    P2P_TRY(cuda_dnn_set(card->queue, *config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                         engine));
    if (s->knob_count > 0)
        P2P_TRY(cuda_dnn_set(card->queue, *config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                             CUDNN_TYPE_BACKEND_DESCRIPTOR, s->knob_count, choices));
    return cuda_dnn_finalize(card->queue, *config);
}

p2p_status cuda_engine_make(const cuda_dnn_card *card, const cuda_dnn_graph *graph, const char *name,
                            cuda_engine *engine) {
    cudnnBackendDescriptor_t index = NULL, choices[MOST_KNOBS] = {NULL};
    settings s;
    *engine = (cuda_engine){0};
    if (strlen(name) >= sizeof engine->name || !parse_name(name, &s))
        return cuda_host->fail(P2P_UNSUPPORTED, "cuda: '%s' is not the name of an engine of cuDNN", name);
    memcpy(engine->name, name, strlen(name) + 1);
    const p2p_status status = make_config(card, graph, &s, &index, choices, &engine->config);
    cuda_dnn_destroy(&index);
    for (int i = 0; i < MOST_KNOBS; i++) cuda_dnn_destroy(&choices[i]);
    if (status != P2P_OK) cuda_engine_release(engine);
    return status;
}

void cuda_engine_release(cuda_engine *engine) {
    cuda_dnn_destroy(&engine->config);
}

/* ---- Conditions ---------------------------------------------------------------------------------------- */

typedef struct {
    bool numerical[CUDNN_NUMERICAL_NOTE_TYPE_COUNT], behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
} notes;

static p2p_status read_notes(cuda_queue *queue, cudnnBackendDescriptor_t engine,
                             cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int known,
                             bool *has) {
    int32_t note[32];
    int64_t count;
    P2P_TRY(cuda_dnn_get(queue, engine, name, type, (int64_t)(sizeof note / sizeof *note), &count, note));
    for (int64_t i = 0; i < count && i < (int64_t)(sizeof note / sizeof *note); i++)
        if (note[i] >= 0 && note[i] < known) has[note[i]] = true;
    return P2P_OK;
}

static p2p_status find_notes(cuda_queue *queue, const cuda_engine *one, notes *found) {
    cudnnBackendDescriptor_t engine;
    *found = (notes){{false}, {false}};
    P2P_TRY(get_engine(queue, one->config, &engine));
    p2p_status status = read_notes(queue, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                   CUDNN_NUMERICAL_NOTE_TYPE_COUNT, found->numerical);
    if (status == P2P_OK)
        status = read_notes(queue, engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                            CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, found->behavior);
    cuda_dnn_destroy(&engine);
    return status;
}

/* Why an engine with these notes is not used; NULL if it is. */
static const char *find_objection(const p2p_op *conv, const notes *has) {
    const bool whole = conv->t[0].type == P2P_TYPE_f32 && conv->math == P2P_MATH_stored;
    if (has->numerical[CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC]) return "its bits differ from run to run";
    if (has->numerical[CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION])
        return "its sums are less precise than float32";
    if (has->numerical[CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13]) return "its transforms lose precision";
    if (whole && has->numerical[CUDNN_NUMERICAL_NOTE_TENSOR_CORE])
        return "tensor cores round float32 factors, which fp32 excludes";
    if (whole && has->numerical[CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS])
        return "it rounds float32 factors, which fp32 excludes";
    if (has->behavior[CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION])
        return "it is compiled when a plan is made, which takes seconds";
    return NULL;
}

p2p_status cuda_engine_admit(const cuda_dnn_card *card, const p2p_op *conv, const cuda_engine *engine) {
    notes has;
    P2P_TRY(find_notes(card->queue, engine, &has));
    const char *objection = find_objection(conv, &has);
    if (!objection) return P2P_OK;
    return cuda_host->fail(P2P_UNSUPPORTED, "cuda: %s: engine %s is not used: %s", p2p_kind_name(conv->kind),
                           engine->name, objection);
}

/* ---- Plans --------------------------------------------------------------------------------------------- */

static p2p_status set_plan(const cuda_dnn_card *card, const cuda_engine *engine,
                           cudnnBackendDescriptor_t plan) {
    if (card->handle)
        P2P_TRY(cuda_dnn_set(card->queue, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                             &card->handle));
    P2P_TRY(set_card(card, plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP));
    P2P_TRY(cuda_dnn_set(card->queue, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine->config));
    return cuda_dnn_finalize(card->queue, plan);
}

static p2p_status read_workspace(cuda_queue *queue, const cuda_engine *engine, cudnnBackendDescriptor_t plan,
                                 size_t *bytes) {
    int64_t workspace;
    P2P_TRY(read_int(queue, plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, &workspace));
    if (workspace < 0 || workspace > CUDA_WORKSPACE)
        return cuda_host->fail(P2P_UNSUPPORTED,
                               "cuda: engine %s needs %" PRId64 " bytes of workspace; the limit is %d",
                               engine->name, workspace, (int)CUDA_WORKSPACE);
    *bytes = (size_t)workspace;
    return P2P_OK;
}

p2p_status cuda_engine_plan(const cuda_dnn_card *card, const cuda_engine *engine,
                            cudnnBackendDescriptor_t *plan, size_t *workspace_bytes) {
    P2P_TRY(cuda_dnn_create(card->queue, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, plan));
    p2p_status status = set_plan(card, engine, *plan);
    if (status == P2P_OK) status = read_workspace(card->queue, engine, *plan, workspace_bytes);
    if (status != P2P_OK) cuda_dnn_destroy(plan);
    return status;
}
