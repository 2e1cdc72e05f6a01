/* Descriptors and their attributes. See dnn_descriptor.h. */
#include "machine_link.h"

#include "dnn_descriptor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rules --------------------------------------------------------------------------------------------- */

enum { SET = 1, GET = 2, MUST = 4 | SET };

/* An attribute of a type of descriptors: how many values of what type it has. `part` is the type of
 * descriptors that it refers to; -1: a convolution operation of any kind, or the like. */
typedef struct {
    cudnnBackendDescriptorType_t descriptor;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t least, most;
    int use;
    int part;
} rule;

#define TENSOR(name, type, least, most, use)                                                                 \
    { CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_##name, CUDNN_TYPE_##type, least, most, use, 0 }
#define CONVOLUTION(name, type, least, most)                                                                 \
    {                                                                                                        \
        CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_##name, CUDNN_TYPE_##type, least, most, \
            MUST | GET, 0                                                                                    \
    }
#define OPERATION(kind, prefix, name, type, part)                                                            \
    {                                                                                                        \
        CUDNN_BACKEND_OPERATION_CONVOLUTION_##kind##_DESCRIPTOR,                                             \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##_##name, CUDNN_TYPE_##type, 1, 1, MUST, part          \
    }
#define OPERATION_KIND(kind, prefix, x, w, y)                                                                \
    OPERATION(kind, prefix, CONV_DESC, BACKEND_DESCRIPTOR, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),            \
        OPERATION(kind, prefix, x, BACKEND_DESCRIPTOR, CUDNN_BACKEND_TENSOR_DESCRIPTOR),                     \
        OPERATION(kind, prefix, w, BACKEND_DESCRIPTOR, CUDNN_BACKEND_TENSOR_DESCRIPTOR),                     \
        OPERATION(kind, prefix, y, BACKEND_DESCRIPTOR, CUDNN_BACKEND_TENSOR_DESCRIPTOR),                     \
        OPERATION(kind, prefix, ALPHA, FLOAT, 0), OPERATION(kind, prefix, BETA, FLOAT, 0)
#define REFERENCE(descriptor, name, least, most, use, part)                                                  \
    {                                                                                                        \
        CUDNN_BACKEND_##descriptor##_DESCRIPTOR, CUDNN_ATTR_##name, CUDNN_TYPE_BACKEND_DESCRIPTOR, least,    \
            most, use, CUDNN_BACKEND_##part##_DESCRIPTOR                                                     \
    }
#define VALUE(descriptor, name, type, least, most, use)                                                      \
    { CUDNN_BACKEND_##descriptor##_DESCRIPTOR, CUDNN_ATTR_##name, CUDNN_TYPE_##type, least, most, use, 0 }

enum { ANY_OPERATION = -1, MANY = 1 << 20 };

static const rule rules[] = {
    TENSOR(DATA_TYPE, DATA_TYPE, 1, 1, MUST | GET),
    TENSOR(DIMENSIONS, INT64, 1, CUDNN_DIM_MAX, MUST | GET),
    TENSOR(STRIDES, INT64, 1, CUDNN_DIM_MAX, MUST | GET),
    TENSOR(UNIQUE_ID, INT64, 1, 1, MUST | GET),
    TENSOR(BYTE_ALIGNMENT, INT64, 1, 1, MUST | GET),
    TENSOR(IS_VIRTUAL, BOOLEAN, 1, 1, SET | GET),
    TENSOR(IS_BY_VALUE, BOOLEAN, 1, 1, SET | GET),
    CONVOLUTION(COMP_TYPE, DATA_TYPE, 1, 1),
    CONVOLUTION(CONV_MODE, CONVOLUTION_MODE, 1, 1),
    CONVOLUTION(SPATIAL_DIMS, INT64, 1, 1),
    CONVOLUTION(DILATIONS, INT64, 1, 6),
    CONVOLUTION(FILTER_STRIDES, INT64, 1, 6),
    CONVOLUTION(PRE_PADDINGS, INT64, 1, 6),
    CONVOLUTION(POST_PADDINGS, INT64, 1, 6),
    OPERATION_KIND(FORWARD, FORWARD, X, W, Y),
    OPERATION_KIND(BACKWARD_DATA, BWD_DATA, DX, W, DY),
    OPERATION_KIND(BACKWARD_FILTER, BWD_FILTER, X, DW, DY),
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
     MANY, MUST, ANY_OPERATION},
    VALUE(OPERATIONGRAPH, OPERATIONGRAPH_HANDLE, HANDLE, 1, 1, SET | GET),
    VALUE(OPERATIONGRAPH, OPERATIONGRAPH_ENGINE_GLOBAL_COUNT, INT64, 1, 1, GET),
    REFERENCE(ENGINEHEUR, ENGINEHEUR_OPERATION_GRAPH, 1, 1, MUST, OPERATIONGRAPH),
    VALUE(ENGINEHEUR, ENGINEHEUR_MODE, HEUR_MODE, 1, 1, MUST),
    REFERENCE(ENGINEHEUR, ENGINEHEUR_DEVICEPROP, 1, 1, SET, DEVICEPROP),
    REFERENCE(ENGINEHEUR, ENGINEHEUR_RESULTS, 0, MANY, GET, ENGINECFG),
    REFERENCE(ENGINE, ENGINE_OPERATION_GRAPH, 1, 1, MUST, OPERATIONGRAPH),
    VALUE(ENGINE, ENGINE_GLOBAL_INDEX, INT64, 1, 1, MUST | GET),
    REFERENCE(ENGINE, ENGINE_DEVICEPROP, 1, 1, SET, DEVICEPROP),
    REFERENCE(ENGINE, ENGINE_KNOB_INFO, 0, MANY, GET, KNOB_INFO),
    VALUE(ENGINE, ENGINE_NUMERICAL_NOTE, NUMERICAL_NOTE, 0, MANY, GET),
    VALUE(ENGINE, ENGINE_BEHAVIOR_NOTE, BEHAVIOR_NOTE, 0, MANY, GET),
    VALUE(KNOB_INFO, KNOB_INFO_TYPE, KNOB_TYPE, 1, 1, GET),
    VALUE(KNOB_INFO, KNOB_INFO_MINIMUM_VALUE, INT64, 1, 1, GET),
    VALUE(KNOB_INFO, KNOB_INFO_MAXIMUM_VALUE, INT64, 1, 1, GET),
    VALUE(KNOB_INFO, KNOB_INFO_STRIDE, INT64, 1, 1, GET),
    VALUE(KNOB_CHOICE, KNOB_CHOICE_KNOB_TYPE, KNOB_TYPE, 1, 1, MUST | GET),
    VALUE(KNOB_CHOICE, KNOB_CHOICE_KNOB_VALUE, INT64, 1, 1, MUST | GET),
    REFERENCE(ENGINECFG, ENGINECFG_ENGINE, 1, 1, MUST | GET, ENGINE),
    REFERENCE(ENGINECFG, ENGINECFG_KNOB_CHOICES, 0, MANY, SET | GET, KNOB_CHOICE),
    REFERENCE(ENGINECFG, ENGINECFG_INTERMEDIATE_INFO, 0, MANY, GET, INTERMEDIATE_INFO),
    REFERENCE(EXECUTION_PLAN, EXECUTION_PLAN_ENGINE_CONFIG, 1, 1, MUST, ENGINECFG),
    VALUE(EXECUTION_PLAN, EXECUTION_PLAN_HANDLE, HANDLE, 1, 1, SET | GET),
    REFERENCE(EXECUTION_PLAN, EXECUTION_PLAN_DEVICEPROP, 1, 1, SET, DEVICEPROP),
    VALUE(EXECUTION_PLAN, EXECUTION_PLAN_WORKSPACE_SIZE, INT64, 1, 1, GET),
    VALUE(EXECUTION_PLAN, EXECUTION_PLAN_JSON_REPRESENTATION, CHAR, 0, MANY, GET),
    VALUE(VARIANT_PACK, VARIANT_PACK_UNIQUE_IDS, INT64, 1, MANY, MUST | GET),
    VALUE(VARIANT_PACK, VARIANT_PACK_DATA_POINTERS, VOID_PTR, 1, MANY, MUST | GET),
    VALUE(VARIANT_PACK, VARIANT_PACK_WORKSPACE, VOID_PTR, 1, 1, SET | GET),
    VALUE(DEVICEPROP, DEVICEPROP_JSON_REPRESENTATION, CHAR, 2, MANY, MUST | GET),
};

static const rule *find_rule(cudnnBackendDescriptorType_t descriptor, cudnnBackendAttributeName_t name) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].descriptor == descriptor && rules[i].name == name) return &rules[i];
    return NULL;
}

size_t dnn_size_of(cudnnBackendAttributeType_t type) {
    switch (type) {
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_CHAR:
        return 1;
    default:
        return sizeof(int);
    }
}

const char *dnn_type_name(cudnnBackendDescriptorType_t type) {
    switch ((int)type) { /* one is not in the enum of older headers */
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        return "tensor";
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        return "convolution";
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        return "operation";
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        return "operation graph";
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        return "heuristics";
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
        return "engine";
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        return "engine configuration";
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        return "execution plan";
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        return "variant pack";
    case CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR:
        return "knob choice";
    case CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR:
        return "knob info";
    case CUDNN_BACKEND_INTERMEDIATE_INFO_DESCRIPTOR:
        return "intermediate info";
    case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
        return "device properties";
    default:
        return NULL;
    }
}

/* ---- Refusals ------------------------------------------------------------------------------------------ */

void dnn_begin(const char *call) {
    machine_call_begin(call);
    machine_note_clear();
}

/* ---- Life ---------------------------------------------------------------------------------------------- */

enum { BUCKETS = 4096 };
static dnn_descriptor *registry[BUCKETS];

static dnn_descriptor **bucket(const void *descriptor) {
    return &registry[(uintptr_t)descriptor / 64 % BUCKETS];
}

dnn_descriptor *dnn_new(cudnnBackendDescriptorType_t type) {
    dnn_descriptor *descriptor = calloc(1, sizeof *descriptor);
    if (!descriptor) return NULL;
    descriptor->type = type;
    descriptor->references = 1;
    return descriptor;
}

/* The attribute's references end. */
static void clear(dnn_attribute *attribute) {
    dnn_descriptor **parts = attribute->values;
    if (attribute->type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        for (int64_t i = 0; i < attribute->count; i++) dnn_release(parts[i]);
    free(attribute->values);
    attribute->values = NULL;
}

void dnn_release(dnn_descriptor *descriptor) {
    if (--descriptor->references > 0) return;
    for (int i = 0; i < descriptor->attribute_count; i++) clear(&descriptor->attributes[i]);
    free(descriptor->attributes);
    free(descriptor);
}

void dnn_register(dnn_descriptor *descriptor) {
    dnn_descriptor **first = bucket(descriptor);
    descriptor->next = *first;
    *first = descriptor;
}

void dnn_unregister(dnn_descriptor *descriptor) {
    dnn_descriptor **at = bucket(descriptor);
    while (*at != descriptor) at = &(*at)->next;
    *at = descriptor->next;
    dnn_release(descriptor);
}

dnn_descriptor *dnn_live(const void *descriptor) {
    for (dnn_descriptor *d = descriptor ? *bucket(descriptor) : NULL; d; d = d->next)
        if (d == descriptor) return d;
    machine_note_misuse("%s", descriptor ? "a descriptor that was destroyed, or never was one"
                                         : "the descriptor is NULL");
    return NULL;
}

/* ---- Attributes ---------------------------------------------------------------------------------------- */

const dnn_attribute *dnn_find(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name) {
    for (int i = 0; i < descriptor->attribute_count; i++)
        if (descriptor->attributes[i].name == name) return &descriptor->attributes[i];
    return NULL;
}

int64_t dnn_int(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, int64_t index) {
    const dnn_attribute *found = dnn_find(descriptor, name);
    return found && index < found->count ? ((const int64_t *)found->values)[index] : 0;
}

int dnn_enum(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name) {
    const dnn_attribute *found = dnn_find(descriptor, name);
    return found ? *(const int *)found->values : -1;
}

bool dnn_bool(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name) {
    const dnn_attribute *found = dnn_find(descriptor, name);
    return found && *(const bool *)found->values;
}

dnn_descriptor *dnn_part(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, int64_t index) {
    const dnn_attribute *found = dnn_find(descriptor, name);
    return found && index < found->count ? ((dnn_descriptor **)found->values)[index] : NULL;
}

void dnn_put(dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
             int64_t count, const void *values) {
    const size_t bytes = (size_t)count * dnn_size_of(type);
    void *copy = malloc(bytes + 8);
    dnn_attribute *to = (dnn_attribute *)dnn_find(descriptor, name);
    if (!to) {
        dnn_attribute *more =
            realloc(descriptor->attributes, (size_t)(descriptor->attribute_count + 1) * sizeof *more);
        if (!more || !copy) abort();
        descriptor->attributes = more;
        to = &more[descriptor->attribute_count++];
        *to = (dnn_attribute){.name = name};
    }
    if (!copy) abort();
    if (bytes > 0) memcpy(copy, values, bytes);
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        for (int64_t i = 0; i < count; i++) ((dnn_descriptor **)copy)[i]->references++;
    clear(to);
    *to = (dnn_attribute){.name = name, .type = type, .count = count, .values = copy};
}

static bool is_operation(cudnnBackendDescriptorType_t type) {
    return type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ||
           type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ||
           type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
}

/* The descriptors that an attribute shall refer to: alive, finalized and of the right type. */
static cudnnStatus_t check_parts(const rule *known, int64_t count, void *const *parts) {
    for (int64_t i = 0; i < count; i++) {
        const dnn_descriptor *part = dnn_live(parts[i]);
        if (!part) return CUDNN_STATUS_BAD_PARAM;
        const bool right =
            known->part == ANY_OPERATION ? is_operation(part->type) : (int)part->type == known->part;
        if (!right)
            return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "attribute %d refers to a descriptor of %s",
                                  (int)known->name, dnn_type_name(part->type));
        if (!part->final)
            return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED,
                                  "attribute %d refers to a descriptor of %s that is not finalized",
                                  (int)known->name, dnn_type_name(part->type));
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_set(dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    const char *of = dnn_type_name(descriptor->type);
    const rule *known = find_rule(descriptor->type, name);
    if (descriptor->final)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the descriptor of %s is finalized", of);
    if (!known || !(known->use & SET))
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "a descriptor of %s has no attribute %d to set", of,
                              (int)name);
    if (type != known->type)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE,
                              "attribute %d of %s has the type %d, not %d", (int)name, of, (int)known->type,
                              (int)type);
    if (count < known->least || count > known->most)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "attribute %d of %s with %lld values", (int)name, of,
                              (long long)count);
    if (!values && count > 0)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "attribute %d of %s: no values", (int)name, of);
    if (name == CUDNN_ATTR_OPERATIONGRAPH_OPS && dnn_find(descriptor, name))
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the operations of a graph are set twice");
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        const cudnnStatus_t status = check_parts(known, count, values);
        if (status != CUDNN_STATUS_SUCCESS) return status;
    }
    dnn_put(descriptor, name, type, count, values);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_get(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
                            cudnnBackendAttributeType_t type, int64_t room, const void *values) {
    const char *of = dnn_type_name(descriptor->type);
    const rule *known = find_rule(descriptor->type, name);
    if (!descriptor->final)
        return MACHINE_MISUSE(CUDNN_STATUS_NOT_INITIALIZED, "the descriptor of %s is not finalized", of);
    if (!known || !(known->use & GET))
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "a descriptor of %s has no attribute %d to get", of,
                              (int)name);
    if (type != known->type)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE,
                              "attribute %d of %s has the type %d, not %d", (int)name, of, (int)known->type,
                              (int)type);
    if (room < 0 || (room < 1 && known->least == 1 && known->most == 1))
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "attribute %d of %s: room for %lld values", (int)name,
                              of, (long long)room);
    if (!values && room > 0)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "attribute %d of %s: no array", (int)name, of);
    return CUDNN_STATUS_SUCCESS;
}

void dnn_give(cudnnBackendAttributeType_t type, int64_t room, int64_t *counted, void *values, int64_t count,
              const void *from) {
    const int64_t given = count < room ? count : room;
    if (given > 0) memcpy(values, from, (size_t)given * dnn_size_of(type));
    if (counted) *counted = count;
}

cudnnStatus_t dnn_check_required(const dnn_descriptor *descriptor) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].descriptor == descriptor->type && (rules[i].use & 4) &&
            !dnn_find(descriptor, rules[i].name))
            return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "a descriptor of %s lacks attribute %d",
                                  dnn_type_name(descriptor->type), (int)rules[i].name);
    return CUDNN_STATUS_SUCCESS;
}
