/* Engines and heuristics of cuDNN's double. See dnn_engine.h. */
#include "dnn_engine.h"

#include "dnn_handle.h"

#include <stdio.h>
#include <string.h>

/* ---- Convolutions -------------------------------------------------------------------------------------- */

static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution, operand[3], alpha, beta;
    const char *name;
} kinds[3] = {{CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
               {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
               "conv_fwd"},
              {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
               {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
               "conv_bwd_data"},
              {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
               {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
               "conv_bwd_filter"}};

static bool is_packed(const dnn_descriptor *tensor) {
    const int64_t c = dnn_int(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, 1),
                  h = dnn_int(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, 2),
                  w = dnn_int(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, 3);
    const int64_t wanted[4] = {c * h * w, 1, c * w, c};
    for (int i = 0; i < 4; i++)
        if (dnn_int(tensor, CUDNN_ATTR_TENSOR_STRIDES, i) != wanted[i]) return false;
    return true;
}

/* The extents of the three tensors, in the shape's names. */
static void read_extents(dnn_descriptor *const tensor[3], dnn_shape *shape) {
    int64_t dim[3][4];
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 4; i++) dim[t][i] = dnn_int(tensor[t], CUDNN_ATTR_TENSOR_DIMENSIONS, i);
    shape->n = dim[0][0];
    shape->c = dim[0][1];
    shape->h = dim[0][2];
    shape->w = dim[0][3];
    shape->k = dim[1][0];
    shape->r = dim[1][2];
    shape->s = dim[1][3];
    shape->p = dim[2][2];
    shape->q = dim[2][3];
}

dnn_convolution dnn_read_convolution(const dnn_descriptor *operation) {
    dnn_convolution found = {.packed = true, .plain = true};
    int kind = 0;
    while (kinds[kind].type != operation->type) kind++;
    const dnn_descriptor *convolution = dnn_part(operation, kinds[kind].convolution, 0);
    dnn_descriptor *tensor[3];
    found.shape.kind = (dnn_kind)kind;
    for (int t = 0; t < 3; t++) {
        tensor[t] = dnn_part(operation, kinds[kind].operand[t], 0);
        found.type[t] = (cudnnDataType_t)dnn_enum(tensor[t], CUDNN_ATTR_TENSOR_DATA_TYPE);
        found.id[t] = dnn_int(tensor[t], CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
        found.alignment[t] = dnn_int(tensor[t], CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
        found.packed = found.packed && is_packed(tensor[t]);
        found.plain = found.plain && !dnn_bool(tensor[t], CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    }
    read_extents(tensor, &found.shape);
    for (int i = 0; i < 2; i++) {
        found.shape.stride[i] = dnn_int(convolution, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
        found.shape.before[i] = dnn_int(convolution, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
        found.shape.after[i] = dnn_int(convolution, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i);
        found.shape.dilation[i] = dnn_int(convolution, CUDNN_ATTR_CONVOLUTION_DILATIONS, i);
    }
    found.shape.bf16 = found.type[0] == CUDNN_DATA_BFLOAT16;
    found.shape.alpha = *(const float *)dnn_find(operation, kinds[kind].alpha)->values;
    found.shape.beta = *(const float *)dnn_find(operation, kinds[kind].beta)->values;
    found.plain = found.plain &&
                  dnn_enum(convolution, CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CROSS_CORRELATION &&
                  dnn_enum(convolution, CUDNN_ATTR_CONVOLUTION_COMP_TYPE) == CUDNN_DATA_FLOAT &&
                  dnn_int(tensor[1], CUDNN_ATTR_TENSOR_DIMENSIONS, 1) == found.shape.c &&
                  (found.type[0] == CUDNN_DATA_FLOAT || found.type[0] == CUDNN_DATA_BFLOAT16) &&
                  found.type[1] == found.type[0] && found.type[2] == found.type[0];
    return found;
}

void dnn_print_convolution(const dnn_convolution *convolution, char *text, size_t size) {
    const dnn_shape *s = &convolution->shape;
    snprintf(text, size, "%s %s n=%lld x=%lldx%lldx%lld w=%lldx%lldx%lld y=%lldx%lld stride=%lld beta=%g",
             kinds[s->kind].name, s->bf16 ? "bf16" : "f32", (long long)s->n, (long long)s->c, (long long)s->h,
             (long long)s->w, (long long)s->k, (long long)s->r, (long long)s->s, (long long)s->p,
             (long long)s->q, (long long)s->stride[0], (double)s->beta);
}

bool dnn_read_device(const dnn_descriptor *graph, const dnn_descriptor *properties, dnn_device *device) {
    if (properties) {
        device->capability = (int)dnn_int(properties, DNN_DEVICE_CAPABILITY, 0);
        device->multiprocessors = (int)dnn_int(properties, DNN_DEVICE_MULTIPROCESSORS, 0);
        return true;
    }
    const dnn_attribute *handle = dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
    return handle && dnn_handle_device(*(void **)handle->values, device);
}

/* ---- Engines ------------------------------------------------------------------------------------------- */

enum {
    FORWARD = 1 << DNN_FORWARD,
    DATA = 1 << DNN_DATA_GRADIENT,
    FILTER = 1 << DNN_FILTER_GRADIENT,
    EVERY = FORWARD | DATA | FILTER
};
enum { F32 = 1, BF16 = 2 };

/* Lists, by the mode of the heuristics. */
enum { IN_A = 1, IN_B = 2, IN_FALLBACK = 4 };

typedef enum { NO_WORKSPACE, SUMS, HUGE } workspace_use;

/* A row for each purpose; an engine may have several rows with equal index. In lists rows come in this order,
 * each of them with `extra` further configurations (values of the last knob). */
struct dnn_engine {
    int64_t index;
    int kinds;
    int f32_lists, bf16_lists;
    int oldest; /* capability */
    bool tensor, nondeterministic, compiled, wide;
    dnn_rounding rounding;
    bool last_tap_first, last_first;
    int64_t chunk;
    workspace_use workspace;
    dnn_knob knob[DNN_KNOBS];
};

/* Tiles of 4, 8, 16 .. terms are summed by themselves. */
#define TILE(usual)                                                                                          \
    { CUDNN_KNOB_TYPE_TILE_SIZE, 0, 3, usual }
#define SPLIT(usual)                                                                                         \
    { CUDNN_KNOB_TYPE_SPLIT_K_SLC, 1, 4, usual }
#define STAGES                                                                                               \
    { CUDNN_KNOB_TYPE_STAGES, 1, 6, 3 }

static const dnn_engine engines[] = {
    /* It needs more workspace than any caller provides. */
    {.index = 66,
     .kinds = FORWARD | FILTER,
     .f32_lists = IN_A,
     .bf16_lists = IN_A,
     .oldest = 80,
     .tensor = true,
     .rounding = DNN_TF32_NEAREST,
     .workspace = HUGE,
     .knob = {STAGES}},
    /* Atomic additions. */
    {.index = 25,
     .kinds = DATA,
     .f32_lists = IN_A | IN_B | IN_FALLBACK,
     .bf16_lists = IN_B | IN_FALLBACK,
     .oldest = 50,
     .nondeterministic = true,
     .knob = {TILE(1)}},
    {.index = 20,
     .kinds = FILTER,
     .f32_lists = IN_A | IN_B | IN_FALLBACK,
     .bf16_lists = IN_FALLBACK,
     .oldest = 50,
     .nondeterministic = true,
     .knob = {TILE(1)}},
    /* Compiled at run time, which fails here. */
    {.index = 7,
     .kinds = FORWARD,
     .f32_lists = IN_A,
     .bf16_lists = IN_A,
     .oldest = 80,
     .tensor = true,
     .compiled = true,
     .rounding = DNN_TF32_NEAREST},
    /* It is listed for narrow tensors, too, of which it makes no plan. */
    {.index = 12,
     .kinds = EVERY,
     .f32_lists = IN_A,
     .oldest = 50,
     .wide = true,
     .chunk = 16,
     .knob = {TILE(2)}},
    {.index = 62,
     .kinds = FORWARD,
     .f32_lists = IN_A | IN_B,
     .bf16_lists = IN_A | IN_B,
     .oldest = 80,
     .tensor = true,
     .rounding = DNN_TF32_NEAREST,
     .chunk = 8,
     .knob = {TILE(1), STAGES}},
    {.index = 65,
     .kinds = FORWARD,
     .f32_lists = IN_A | IN_B,
     .bf16_lists = IN_B,
     .oldest = 80,
     .tensor = true,
     .rounding = DNN_TF32_TOWARD_ZERO,
     .last_tap_first = true,
     .chunk = 8,
     .workspace = SUMS,
     .knob = {TILE(1)}},
    {.index = 73,
     .kinds = DATA,
     .f32_lists = IN_A | IN_B,
     .bf16_lists = IN_A | IN_B,
     .oldest = 80,
     .tensor = true,
     .rounding = DNN_TF32_TOWARD_ZERO,
     .chunk = 8,
     .workspace = SUMS,
     .knob = {TILE(1), SPLIT(2)}},
    {.index = 67,
     .kinds = DATA,
     .f32_lists = IN_A | IN_B,
     .bf16_lists = IN_B,
     .oldest = 80,
     .tensor = true,
     .rounding = DNN_TF32_NEAREST,
     .last_first = true,
     .chunk = 8,
     .knob = {TILE(1), STAGES}},
    {.index = 64,
     .kinds = FILTER,
     .f32_lists = IN_A | IN_B,
     .bf16_lists = IN_A | IN_B,
     .oldest = 80,
     .tensor = true,
     .rounding = DNN_TF32_NEAREST,
     .chunk = 8,
     .workspace = SUMS,
     .knob = {TILE(1), SPLIT(3)}},
    {.index = 68,
     .kinds = FILTER,
     .f32_lists = IN_A | IN_B,
     .bf16_lists = IN_B,
     .oldest = 80,
     .tensor = true,
     .rounding = DNN_TF32_TOWARD_ZERO,
     .last_first = true,
     .chunk = 4,
     .knob = {TILE(0), STAGES}},
    /* Without tensor cores. For strided data gradients the second is in list B alone (below). */
    {.index = 28,
     .kinds = FORWARD,
     .f32_lists = IN_A | IN_B | IN_FALLBACK,
     .bf16_lists = IN_B | IN_FALLBACK,
     .oldest = 50,
     .knob = {TILE(3)}},
    {.index = 70,
     .kinds = FORWARD,
     .f32_lists = IN_A | IN_B,
     .bf16_lists = IN_B,
     .oldest = 50,
     .last_tap_first = true,
     .last_first = true,
     .workspace = SUMS,
     .knob = {TILE(2), SPLIT(2)}},
    {.index = 2,
     .kinds = DATA,
     .f32_lists = IN_A | IN_B | IN_FALLBACK,
     .bf16_lists = IN_B | IN_FALLBACK,
     .oldest = 50,
     .workspace = SUMS,
     .knob = {TILE(3), SPLIT(2)}},
    {.index = 31,
     .kinds = DATA,
     .f32_lists = IN_B,
     .bf16_lists = IN_B,
     .oldest = 50,
     .last_tap_first = true,
     .last_first = true,
     .knob = {TILE(2)}},
    {.index = 1,
     .kinds = FILTER,
     .f32_lists = IN_A | IN_B | IN_FALLBACK,
     .bf16_lists = IN_B | IN_FALLBACK,
     .oldest = 50,
     .workspace = SUMS,
     .knob = {TILE(2), SPLIT(3)}},
    {.index = 34,
     .kinds = FILTER,
     .f32_lists = IN_B,
     .bf16_lists = IN_B,
     .oldest = 50,
     .last_first = true,
     .knob = {TILE(3)}},
};
enum { ROWS = sizeof engines / sizeof *engines };
static const int64_t huge_bytes = INT64_C(300) << 20;

const dnn_engine *dnn_engine_at(int64_t index) {
    for (int i = 0; i < ROWS; i++)
        if (engines[i].index == index) return &engines[i];
    return NULL;
}

const dnn_knob *dnn_engine_knobs(const dnn_engine *engine, int *count) {
    *count = 0;
    while (*count < DNN_KNOBS && engine->knob[*count].most > 0) ++*count;
    return engine->knob;
}

int dnn_engine_numerical_notes(const dnn_engine *engine, cudnnBackendNumericalNote_t notes[4]) {
    int count = 0;
    if (engine->tensor) notes[count++] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    if (engine->nondeterministic) notes[count++] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    return count;
}

int dnn_engine_behavior_notes(const dnn_engine *engine, cudnnBackendBehaviorNote_t notes[4]) {
    if (!engine->compiled) return 0;
    notes[0] = CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    return 1;
}

/* What the heuristics look at. */
static const char *unlisted(const dnn_engine *engine, const dnn_convolution *convolution,
                            const dnn_device *device) {
    const dnn_shape *shape = &convolution->shape;
    const int64_t multiple = shape->bf16 ? 8 : 4;
    if (!(engine->kinds >> shape->kind & 1)) return "the engine computes another kind of convolution";
    if (!convolution->plain) return "no engine supports these types, this mode, or virtual tensors";
    if (!convolution->packed) return "the engine wants packed tensors in NHWC";
    if (device->capability < engine->oldest) return "the engine wants a newer device";
    if (shape->bf16 && device->capability < 80) return "no engine computes in bf16 on this device";
    for (int t = 0; t < 3; t++)
        if (convolution->alignment[t] < 16) return "the engine wants an alignment of 16 bytes";
    if (engine->tensor && (shape->c % multiple != 0 || shape->k % multiple != 0))
        return "the engine wants multiples of 16 bytes of channels";
    if (engine->nondeterministic &&
        (shape->before[0] != shape->after[0] || shape->before[1] != shape->after[1]))
        return "the engine wants equal paddings on both sides";
    return NULL;
}

const char *dnn_engine_refusal(const dnn_engine *engine, const dnn_convolution *convolution,
                               const dnn_device *device) {
    if (engine->compiled) return "the engine can't be compiled here";
    const char *why = unlisted(engine, convolution, device);
    if (!why && engine->wide && (convolution->shape.c < 64 || convolution->shape.k < 64))
        why = "the engine wants at least 64 channels";
    return why;
}

dnn_plan dnn_engine_plan(const dnn_engine *engine, const dnn_convolution *convolution,
                         const int64_t knobs[DNN_KNOBS]) {
    dnn_plan plan = {.engine = engine, .index = engine->index, .random = engine->nondeterministic};
    plan.arithmetic = (dnn_arithmetic){.rounding = engine->tensor ? engine->rounding : DNN_EXACT,
                                       .last_tap_first = engine->last_tap_first,
                                       .last_first = engine->last_first,
                                       .chunk = engine->chunk,
                                       .parts = 1};
    for (int i = 0; i < DNN_KNOBS; i++) {
        if (engine->knob[i].most == 0) continue;
        if (engine->knob[i].type == CUDNN_KNOB_TYPE_TILE_SIZE) plan.arithmetic.chunk = 4 << knobs[i];
        if (engine->knob[i].type == CUDNN_KNOB_TYPE_SPLIT_K_SLC) plan.arithmetic.parts = knobs[i];
    }
    if (engine->workspace == SUMS)
        plan.workspace =
            plan.arithmetic.parts * dnn_output_elements(&convolution->shape) * (int64_t)sizeof(float);
    if (engine->workspace == HUGE) plan.workspace = huge_bytes;
    return plan;
}

int dnn_heuristics(const dnn_convolution *convolution, const dnn_device *device, cudnnBackendHeurMode_t mode,
                   dnn_choice *choices, int room) {
    const int list = mode == CUDNN_HEUR_MODE_B ? IN_B : mode == CUDNN_HEUR_MODE_FALLBACK ? IN_FALLBACK : IN_A;
    int count = 0;
    for (int i = 0; i < ROWS; i++) {
        const dnn_engine *engine = &engines[i];
        const int lists = convolution->shape.bf16 ? engine->bf16_lists : engine->f32_lists;
        if (!(lists & list) || unlisted(engine, convolution, device)) continue;
        /* List A of an A100 has no engine without tensor cores for strided data gradients. */
        if (list == IN_A && engine->index == 2 && device->capability == 80 &&
            convolution->shape.stride[0] > 1)
            continue;
        int knobs;
        dnn_engine_knobs(engine, &knobs);
        for (int variant = 0; variant < (knobs > 0 ? 2 : 1) && count < room; variant++) {
            dnn_choice *choice = &choices[count++];
            *choice = (dnn_choice){.engine = engine, .index = engine->index};
            for (int k = 0; k < knobs; k++) choice->knobs[k] = engine->knob[k].usual;
            if (variant == 1) choice->knobs[0] = engine->knob[0].least;
        }
    }
    return count;
}
