/* Makes the same sequences of cuDNN's calls, right and wrong, to the library that it is given, and prints the
 * answers. cudnn_compare.sh compares those of the real library and of its double: the double must refuse all
 * that the real one refuses. No device is needed: the sequences plan for one that is described as JSON.
 *
 *     cudnn_calls LIBRARY calls      every call of a right sequence, altered in every way
 *     cudnn_calls LIBRARY requests   convolutions that are right, wrong, or that no engine supports
 *
 * A line is "NAME: CALL STATUS", the first call of the sequence that was refused, or "all 0"; or "NAME: plans
 * A B F": the kinds of engines with a plan in each list of the heuristics (kinds_of_plans).
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "convolution_kinds.h"
#include "cudnn_requests.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static __typeof__(&cudnnBackendCreateDescriptor) create;
static __typeof__(&cudnnBackendDestroyDescriptor) destroy;
static __typeof__(&cudnnBackendSetAttribute) set_attribute;
static __typeof__(&cudnnBackendGetAttribute) get_attribute;
static __typeof__(&cudnnBackendFinalize) finalize;
static __typeof__(&cudnnGetVersion) version;

typedef cudnnBackendDescriptor_t descriptor;
enum { MOST_DESCRIPTORS = 800 };

/* How one call of a sequence is altered. */
typedef enum {
    AS_IT_IS,
    LEFT_OUT,
    TWICE,
    OTHER_TYPE,
    OTHER_TYPE_INT32,
    ONE_MORE,
    ONE_FEWER,
    NONE,
    NEGATIVE_COUNT,
    NO_ARRAY,
    NO_DESCRIPTOR,
    OTHER_ATTRIBUTE,
    UNKNOWN_ATTRIBUTE,
    AFTER_FINALIZE,
    ALTERATIONS
} alteration;
static const char *alteration_name[] = {
    "as it is",          "left out",      "twice",          "other type", "type int32",    "one more",
    "one fewer",         "none",          "negative count", "no array",   "no descriptor", "other attribute",
    "unknown attribute", "after finalize"};

/* A sequence being made. */
typedef struct {
    int next, target; /* calls are counted; the target is altered */
    alteration how;
    char refused[120]; /* the first refused call */
    int status;
    char name[100]; /* the target's */
    descriptor all[MOST_DESCRIPTORS];
    int count;
} sequence;

static void note(sequence *s, const char *call, int status) {
    if (status != 0 && s->status == 0) {
        s->status = status;
        snprintf(s->refused, sizeof s->refused, "%s", call);
    }
}

static descriptor make(sequence *s, cudnnBackendDescriptorType_t type) {
    descriptor d = NULL;
    note(s, "create", create(type, &d));
    if (s->count < MOST_DESCRIPTORS) s->all[s->count++] = d;
    return d;
}

static cudnnBackendAttributeName_t other_attribute(cudnnBackendAttributeName_t name) {
    return name == CUDNN_ATTR_TENSOR_DATA_TYPE ? CUDNN_ATTR_CONVOLUTION_COMP_TYPE
                                               : CUDNN_ATTR_TENSOR_DATA_TYPE;
}

/* What a child does, for the line of its crash. */
static void note_progress(const char *call, const char *how);

static bool is_target(sequence *s, const char *call) {
    if (s->next++ != s->target) return false;
    snprintf(s->name, sizeof s->name, "%s", call);
    note_progress(call, alteration_name[s->how]);
    return true;
}

/* Of an attribute. The other types are enumerations. */
static size_t element_bytes(cudnnBackendAttributeType_t type) {
    switch ((int)type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    default:
        return 4;
    }
}

/* Zeros are readable after the array, except after text. */
static void set(sequence *s, const char *call, descriptor d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *array) {
    if (s->status != 0) return;
    unsigned char copy[512] = {0};
    const size_t bytes = (size_t)count * element_bytes(type);
    const bool copied = type != CUDNN_TYPE_CHAR && bytes + 64 <= sizeof copy;
    if (copied) memcpy(copy, array, bytes);
    const void *value = copied ? copy : array;
    int times = 1;
    if (is_target(s, call)) {
        switch (s->how) {
        case LEFT_OUT:
            return;
        case TWICE:
            times = 2;
            break;
        case OTHER_TYPE:
            type = type == CUDNN_TYPE_INT64 ? CUDNN_TYPE_DOUBLE : CUDNN_TYPE_INT64;
            break;
        case OTHER_TYPE_INT32:
            type = type == CUDNN_TYPE_INT32 ? CUDNN_TYPE_FLOAT : CUDNN_TYPE_INT32;
            break;
        case ONE_MORE:
            count++;
            break;
        case ONE_FEWER:
            count--;
            break;
        case NONE:
            count = 0;
            break;
        case NEGATIVE_COUNT:
            count = -1;
            break;
        case NO_ARRAY:
            value = NULL;
            break;
        case NO_DESCRIPTOR:
            d = NULL;
            break;
        case OTHER_ATTRIBUTE:
            name = other_attribute(name);
            break;
        case UNKNOWN_ATTRIBUTE:
            name = (cudnnBackendAttributeName_t)9999;
            break;
        default:
            break;
        }
    }
    while (times-- > 0) note(s, call, set_attribute(d, name, type, count, value));
}

static void finish(sequence *s, const char *call, descriptor d) {
    if (s->status != 0) return;
    int times = 1;
    if (is_target(s, call)) {
        if (s->how == LEFT_OUT) return;
        if (s->how == TWICE) times = 2;
        if (s->how == NO_DESCRIPTOR) d = NULL;
        if (s->how == AFTER_FINALIZE) {
            note(s, call, finalize(d));
            int64_t one = 1;
            note(s, call, set_attribute(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &one));
            return;
        }
    }
    while (times-- > 0) note(s, call, finalize(d));
}

/* `room` elements fit into the array. Returns the count that the library stores. */
static int64_t get(sequence *s, const char *call, descriptor d, cudnnBackendAttributeName_t name,
                   cudnnBackendAttributeType_t type, int64_t room, void *array) {
    int64_t count = 0;
    int64_t *counted = &count;
    if (s->status != 0) return 0;
    if (is_target(s, call)) {
        switch (s->how) {
        case OTHER_TYPE:
            type = type == CUDNN_TYPE_INT64 ? CUDNN_TYPE_DOUBLE : CUDNN_TYPE_INT64;
            break;
        case OTHER_TYPE_INT32:
            type = CUDNN_TYPE_INT32;
            break;
        case ONE_FEWER:
            room--;
            break;
        case NONE:
            room = 0;
            break;
        case NEGATIVE_COUNT:
            room = -1;
            break;
        case NO_ARRAY:
            array = NULL;
            break;
        case NO_DESCRIPTOR:
            d = NULL;
            break;
        case OTHER_ATTRIBUTE:
            name = other_attribute(name);
            break;
        case UNKNOWN_ATTRIBUTE:
            name = (cudnnBackendAttributeName_t)9999;
            break;
        case TWICE:
            counted = NULL;
            break; /* for getting: no count is requested */
        default:
            break;
        }
    }
    note(s, call, get_attribute(d, name, type, room, counted, array));
    return count;
}

#define TENSOR(letter, t)                                                                                    \
    static descriptor tensor_##letter(sequence *s, const request *r) {                                       \
        descriptor d = make(s, CUDNN_BACKEND_TENSOR_DESCRIPTOR);                                             \
        set(s, #letter " type", d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &(t).type);         \
        set(s, #letter " dimensions", d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, (t).dim);        \
        set(s, #letter " strides", d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, (t).stride);           \
        set(s, #letter " id", d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &(t).id);                 \
        set(s, #letter " alignment", d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1,               \
            &(t).alignment);                                                                                 \
        if ((t).is_virtual)                                                                                  \
            set(s, #letter " virtual", d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1,               \
                &(t).is_virtual);                                                                            \
        if ((t).by_value)                                                                                    \
            set(s, #letter " by value", d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1,             \
                &(t).by_value);                                                                              \
        finish(s, #letter " finalize", d);                                                                   \
        return d;                                                                                            \
    }
TENSOR(x, r->x)
TENSOR(w, r->w)
TENSOR(y, r->y)

static descriptor convolution(sequence *s, const request *r) {
    descriptor d = make(s, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(s, "compute type", d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &r->compute);
    set(s, "mode", d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &r->mode);
    set(s, "spatial dims", d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &r->dims);
    set(s, "dilations", d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, r->dilation);
    set(s, "filter strides", d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, r->stride);
    set(s, "pre paddings", d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, r->before);
    set(s, "post paddings", d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, r->after);
    finish(s, "convolution finalize", d);
    return d;
}

/* Destroys a descriptor that others were given. */
static void forget(sequence *s, descriptor d) {
    for (int i = 0; i < s->count; i++)
        if (s->all[i] == d) s->all[i] = NULL;
    destroy(d);
}

static descriptor operation(sequence *s, const request *r) {
    descriptor x = tensor_x(s, r), w = tensor_w(s, r), y = tensor_y(s, r), c = convolution(s, r);
    descriptor d = make(s, kinds[r->kind].type);
    set(s, "operation convolution", d, kinds[r->kind].convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c);
    set(s, "operation x", d, kinds[r->kind].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    set(s, "operation w", d, kinds[r->kind].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
    set(s, "operation y", d, kinds[r->kind].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    const float alpha[16] = {(float)r->alpha}, beta[16] = {(float)r->beta};
    const double alpha64[8] = {r->alpha}, beta64[8] = {r->beta};
    const bool wide = r->scale_type == CUDNN_TYPE_DOUBLE;
    set(s, "operation alpha", d, kinds[r->kind].alpha, r->scale_type, 1,
        wide ? (void *)alpha64 : (void *)alpha);
    set(s, "operation beta", d, kinds[r->kind].beta, r->scale_type, 1, wide ? (void *)beta64 : (void *)beta);
    if (r->destroyed_early) {
        forget(s, x);
        forget(s, c);
    }
    finish(s, "operation finalize", d);
    return d;
}

static descriptor properties(sequence *s, const request *r) {
    char json[1200];
    const int length = snprintf(
        json, sizeof json,
        "{\"cudnn_version\":%zu,\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
        "\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,\"maxSharedMemoryPerBlock\":"
        "49152,"
        "\"maxSharedMemoryPerBlockOptin\":%d,\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":"
        "65536,"
        "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"
        "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":150110011392,\"smClockRateKHz\":"
        "1980000,"
        "\"memClockRateKHz\":3201000,\"l2CacheSize\":62914560,\"cudaDeviceId\":0,\"deviceVer\":%d,"
        "\"driverVer\":13000,\"deviceName\":\"NVIDIA GPU\"}",
        r->version ? r->version : version(), r->capability < 90 ? 101376 : 232448, r->capability * 10);
    descriptor d = make(s, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    set(s, "device json", d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, length, json);
    finish(s, "device finalize", d);
    return d;
}

static descriptor plan_of(sequence *s, descriptor configuration, descriptor device) {
    descriptor d = make(s, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    int64_t workspace[8] = {0};
    set(s, "plan configuration", d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
        &configuration);
    set(s, "plan device", d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
    finish(s, "plan finalize", d);
    get(s, "get workspace", d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, workspace);
    static char json[65536];
    get(s, "get json", d, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, sizeof json, json);
    return d;
}

/* The engine's knobs, set to what the configuration has; then the plan again from the numbers. */
static void plan_again(sequence *s, const request *r, descriptor configuration, descriptor graph,
                       descriptor device, int64_t index) {
    descriptor knob[64], choice[64];
    for (int i = 0; i < 64; i++) knob[i] = make(s, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    int64_t count = get(s, "get knobs", configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 64, knob);
    if (count > 64 || count < 0) count = 0;
    for (int64_t i = 0; i < count && s->status == 0; i++) {
        cudnnBackendKnobType_t type[16] = {0};
        int64_t value[8] = {0};
        get(s, "get knob type", knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, type);
        get(s, "get knob value", knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, value);
        choice[i] = make(s, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        if (i == 0) value[0] += r->knob_added;
        if (i == 0 && r->knob_of_others) type[0] = CUDNN_KNOB_TYPE_WINO_TILE;
        set(s, "knob type", choice[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, type);
        set(s, "knob value", choice[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, value);
        finish(s, "knob finalize", choice[i]);
    }
    if (s->status != 0) return;
    if (count > 0 && r->knob_twice) choice[count++] = choice[0];
    const int64_t index_array[8] = {index};
    descriptor e = make(s, CUDNN_BACKEND_ENGINE_DESCRIPTOR), c = make(s, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    set(s, "engine graph", e, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    set(s, "engine index", e, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, index_array);
    set(s, "engine device", e, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
    finish(s, "engine finalize", e);
    set(s, "configuration engine", c, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &e);
    if (count > 0)
        set(s, "configuration knobs", c, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            count, choice);
    finish(s, "configuration finalize", c);
    if (s->status == 0) plan_of(s, c, device);
}

static void variant_pack(sequence *s, const request *r) {
    descriptor d = make(s, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    int64_t ids[8] = {r->x.id, r->same_ids_in_pack ? r->x.id : r->w.id, r->y.id};
    static char memory[4096];
    void *pointers[8] = {memory, r->null_in_pack ? NULL : memory + 1024, memory + 2048},
         *workspace[8] = {memory + 3072};
    set(s, "pack ids", d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, ids);
    set(s, "pack pointers", d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, pointers);
    set(s, "pack workspace", d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, workspace);
    finish(s, "pack finalize", d);
}

static bool is_plan(descriptor configuration, descriptor device) {
    sequence s = {.target = -1};
    plan_of(&s, configuration, device);
    for (int i = 0; i < s.count; i++) destroy(s.all[i]);
    return s.status == 0;
}

/* The first of the heuristics' configurations that has a plan. */
static descriptor first_configuration(sequence *s, descriptor graph, descriptor device) {
    enum { MOST = 100 };
    const cudnnBackendHeurMode_t mode[16] = {CUDNN_HEUR_MODE_A};
    descriptor d = make(s, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), c[MOST + 1];
    set(s, "heuristics graph", d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
        &graph);
    set(s, "heuristics mode", d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, mode);
    set(s, "heuristics device", d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
        &device);
    finish(s, "heuristics finalize", d);
    if (s->status != 0) return NULL;
    int64_t count =
        get(s, "count results", d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, NULL);
    if (s->status == 0 && count == 0) note(s, "no engine", 1);
    if (s->status != 0) return NULL;
    if (count > MOST) count = MOST;
    for (int64_t i = 0; i <= count; i++) c[i] = make(s, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    get(s, "get results", d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, c);
    for (int64_t i = 0; i < count && s->status == 0; i++)
        if (is_plan(c[i], device)) return c[i];
    note(s, "no plan", 1);
    return NULL;
}

static void make_sequence(sequence *s, const request *r) {
    descriptor device = properties(s, r), op[2] = {operation(s, r), NULL};
    op[1] = op[0];
    descriptor graph = make(s, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(s, "graph operations", graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
        r->graph_of_two ? 2 : 1, op);
    finish(s, "graph finalize", graph);
    if (s->status == 0) variant_pack(s, r);
    if (s->status != 0) return;
    descriptor configuration = first_configuration(s, graph, device);
    if (s->status != 0) return;
    descriptor engine = make(s, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    int64_t index[8] = {0};
    cudnnBackendNumericalNote_t notes[20];
    cudnnBackendBehaviorNote_t behaviour[20];
    get(s, "get engine", configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
        &engine);
    get(s, "get index", engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, index);
    get(s, "get notes", engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, 20, notes);
    get(s, "get behaviour", engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, 20, behaviour);
    if (s->status != 0) return;
    plan_of(s, configuration, device);
    if (s->status == 0)
        plan_again(s, r, configuration, graph, device, r->engine != -1 ? r->engine : index[0]);
}

static void run(sequence *s, const request *r) {
    make_sequence(s, r);
    for (int i = s->count - 1; i >= 0; i--)
        if (s->all[i]) destroy(s->all[i]);
}

static const char *kind_name[3] = {"forward", "data gradient", "filter gradient"};

static const char *library_path;

static void open_library(void) {
    void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "cudnn_calls: %s\n", dlerror());
        _exit(2);
    }
    *(void **)&create = dlsym(library, "cudnnBackendCreateDescriptor");
    *(void **)&destroy = dlsym(library, "cudnnBackendDestroyDescriptor");
    *(void **)&set_attribute = dlsym(library, "cudnnBackendSetAttribute");
    *(void **)&get_attribute = dlsym(library, "cudnnBackendGetAttribute");
    *(void **)&finalize = dlsym(library, "cudnnBackendFinalize");
    *(void **)&version = dlsym(library, "cudnnGetVersion");
}

/* Where the sequences are, in memory that a child shares: what it was doing when it crashed. */
typedef struct {
    int at[3];
    char doing[100];
} progress;
static progress *shared;

/* Runs a sequence in which call `target` is altered; false if it has no such call. */
static bool altered_call(int kind, alteration how, int target) {
    sequence s = {.target = target, .how = how};
    const request r = cudnn_right_request(kind, kind == 1 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT);
    run(&s, &r);
    if (s.name[0])
        printf("%s, %s, %s: %s %d\n", kind_name[kind], s.name, alteration_name[how],
               s.status ? s.refused : "all", s.status);
    fflush(stdout);
    return s.name[0] != 0;
}

static void note_progress(const char *call, const char *how) {
    snprintf(shared->doing, sizeof shared->doing, "%s, %s, %s", kind_name[shared->at[0]], call, how);
}

/* Sequences in children, because the real library crashes on some: the next child then continues after it.
 * The positions are kind, alteration, call. */
static void altered_calls(int at[3]) {
    for (; at[0] < 3; at[0]++, at[1] = 0)
        for (; at[1] < ALTERATIONS; at[1]++, at[2] = 0)
            for (bool more = at[0] == 0 || at[1] == AS_IT_IS || at[1] == LEFT_OUT || at[1] == ONE_MORE; more;
                 at[2]++)
                more = altered_call(at[0], (alteration)at[1], at[2]) && at[1] != AS_IT_IS;
}

/* ---- Requests -------------------------------------------------------------------------------------- */

/* Which kinds of engines have a plan: bit 0 deterministic without tensor cores, bit 1 deterministic with
 * them, bit 2 not deterministic. */
static int kinds_of_plans(sequence *s, descriptor graph, descriptor device, cudnnBackendHeurMode_t mode) {
    enum { MOST = 100 };
    descriptor d = make(s, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), c[MOST];
    set(s, "heuristics graph", d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
        &graph);
    const cudnnBackendHeurMode_t modes[16] = {mode};
    set(s, "heuristics mode", d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, modes);
    set(s, "heuristics device", d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
        &device);
    finish(s, "heuristics finalize", d);
    if (s->status != 0) return 0;
    for (int i = 0; i < MOST; i++) c[i] = make(s, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    const int64_t count =
        get(s, "get results", d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, c);
    int found = 0;
    for (int64_t i = 0; i < count && s->status == 0; i++) {
        descriptor engine = make(s, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
        cudnnBackendNumericalNote_t notes[20];
        get(s, "get engine", c[i], CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
        const int64_t noted = get(s, "get notes", engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                  CUDNN_TYPE_NUMERICAL_NOTE, 20, notes);
        int kind = 1;
        for (int64_t j = 0; j < noted; j++) {
            if (notes[j] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && kind == 1) kind = 2;
            if (notes[j] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) kind = 4;
        }
        if (!(found & kind) && is_plan(c[i], device)) found |= kind;
    }
    return found;
}

static bool answer_request(int kind, int capability, int number) {
    request r = cudnn_right_request(kind, CUDNN_DATA_FLOAT);
    r.capability = capability;
    const char *name = cudnn_change_request(&r, number);
    if (!name) return false;
    snprintf(shared->doing, sizeof shared->doing, "%s, sm_%d, %s", kind_name[kind], capability, name);
    sequence s = {.target = -1};
    descriptor device = properties(&s, &r), op[2] = {operation(&s, &r), NULL};
    op[1] = op[0];
    descriptor graph = make(&s, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(&s, "graph operations", graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
        r.graph_of_two ? 2 : 1, op);
    finish(&s, "graph finalize", graph);
    int found[3] = {0};
    const cudnnBackendHeurMode_t modes[3] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK};
    for (int i = 0; i < 3 && s.status == 0; i++) found[i] = kinds_of_plans(&s, graph, device, modes[i]);
    printf("%s, sm_%d, %s: ", kind_name[kind], capability, name);
    if (s.status != 0)
        printf("%s %d\n", s.refused, s.status);
    else
        printf("plans %d %d %d\n", found[0], found[1], found[2]);
    for (int i = s.count - 1; i >= 0; i--)
        if (s.all[i]) destroy(s.all[i]);
    sequence whole = {.target = -1};
    run(&whole, &r);
    printf("%s, sm_%d, %s, whole: %s %d\n", kind_name[kind], capability, name,
           whole.status ? whole.refused : "all", whole.status);
    fflush(stdout);
    return true;
}

/* Whether the answer to a change (cudnn_change_request) may depend on the device: types, and what engines
 * support. */
static bool is_of_device(int number) {
    return number <= 11 || (number >= 48 && number <= 50) || (number >= 67 && number <= 79);
}

static void requests(int at[3]) {
    static const int capabilities[] = {90, 70, 80, 100};
    for (; at[0] < 3; at[0]++, at[1] = 0)
        for (; at[1] < 4; at[1]++, at[2] = 0)
            for (bool more = true; more; at[2]++)
                if (at[1] == 0 || is_of_device(at[2]) || at[2] > 90)
                    more = answer_request(at[0], capabilities[at[1]], at[2]);
}

static int in_children(void (*job)(int[3])) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    for (;;) {
        fflush(stdout);
        const pid_t child = fork();
        if (child < 0) return 2;
        if (child == 0) {
            open_library();
            job(shared->at);
            fflush(stdout);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
        printf("%s: crash 1\n", shared->doing);
        shared->at[2]++;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: cudnn_calls LIBRARY calls|requests\n");
        return 2;
    }
    library_path = argv[1];
    if (strcmp(argv[2], "calls") == 0) return in_children(altered_calls);
    if (strcmp(argv[2], "requests") == 0) return in_children(requests);
    return 2;
}
