/* Finalizing of descriptors, and computed attributes. See dnn_check.h. */
#include "dnn_check.h"

#include "dnn_handle.h"
#include "machine_link.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cudnnStatus_t bad(const char *text) {
    return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "%s", text);
}

/* ---- Tensors and convolutions -------------------------------------------------------------------------- */

static int64_t bytes_of(cudnnDataType_t type) {
    switch (type) {
    case CUDNN_DATA_FLOAT:
        return 4;
    case CUDNN_DATA_DOUBLE:
        return 8;
    case CUDNN_DATA_HALF:
    case CUDNN_DATA_BFLOAT16:
        return 2;
    default:
        return 0;
    }
}

/* In some order of the dimensions each stride must be at least what the inner dimensions span. */
static bool overlaps(const dnn_descriptor *tensor, bool packed) {
    int64_t span = 1;
    bool done[4] = {false};
    for (int round = 0; round < 4; round++) {
        int inner = -1;
        for (int i = 0; i < 4; i++) {
            if (done[i]) continue;
            const int64_t stride = dnn_int(tensor, CUDNN_ATTR_TENSOR_STRIDES, i);
            const int64_t least = inner < 0 ? 0 : dnn_int(tensor, CUDNN_ATTR_TENSOR_STRIDES, inner);
            if (inner < 0 || stride < least ||
                (stride == least && dnn_int(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, i) == 1))
                inner = i;
        }
        const int64_t stride = dnn_int(tensor, CUDNN_ATTR_TENSOR_STRIDES, inner),
                      extent = dnn_int(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, inner);
        done[inner] = true;
        if (extent == 1) continue;
        if (stride < span || (packed && stride != span)) return true;
        span = stride * extent;
    }
    return false;
}

static cudnnStatus_t check_tensor(const dnn_descriptor *tensor) {
    const int64_t size = bytes_of((cudnnDataType_t)dnn_enum(tensor, CUDNN_ATTR_TENSOR_DATA_TYPE)),
                  alignment = dnn_int(tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
    if (size == 0) return bad("a tensor of this type");
    if (dnn_find(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS)->count != 4 ||
        dnn_find(tensor, CUDNN_ATTR_TENSOR_STRIDES)->count != 4)
        return bad("a tensor has 4 dimensions and 4 strides");
    for (int i = 0; i < 4; i++) {
        if (dnn_int(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, i) < 1) return bad("a dimension below 1");
        if (dnn_int(tensor, CUDNN_ATTR_TENSOR_STRIDES, i) < 1) return bad("a stride below 1");
    }
    if (alignment < size || (alignment & (alignment - 1)) != 0)
        return bad("the alignment is no power of two, or less than an element");
    if (dnn_bool(tensor, CUDNN_ATTR_TENSOR_IS_BY_VALUE)) return bad("a tensor by value");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_convolution(const dnn_descriptor *convolution) {
    static const cudnnBackendAttributeName_t names[4] = {
        CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
        CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS};
    if (dnn_int(convolution, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) != 2)
        return bad("a convolution has two spatial dimensions");
    for (int i = 0; i < 4; i++) {
        if (dnn_find(convolution, names[i])->count != 2)
            return bad("dilations, strides and paddings have a value for each spatial dimension");
        for (int j = 0; j < 2; j++)
            if (dnn_int(convolution, names[i], j) < (i < 2 ? 1 : 0))
                return bad("a dilation or stride below 1, or a padding below 0");
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_operation(const dnn_descriptor *operation) {
    const dnn_convolution found = dnn_read_convolution(operation);
    const dnn_shape *s = &found.shape;
    static const cudnnBackendAttributeName_t operands[3][3] = {
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY}};
    const dnn_descriptor *tensor[3];
    for (int t = 0; t < 3; t++) {
        tensor[t] = dnn_part(operation, operands[s->kind][t], 0);
        if (overlaps(tensor[t], t == 1)) return bad("a tensor's elements overlap, or a filter is not packed");
    }
    const int64_t filter_c = dnn_int(tensor[1], CUDNN_ATTR_TENSOR_DIMENSIONS, 1);
    if (s->c % filter_c != 0 || s->k % (s->c / filter_c) != 0) return bad("x and w have other channels");
    if (dnn_int(tensor[2], CUDNN_ATTR_TENSOR_DIMENSIONS, 1) != s->k)
        return bad("w and y have other channels");
    if (dnn_int(tensor[2], CUDNN_ATTR_TENSOR_DIMENSIONS, 0) != s->n)
        return bad("x and y have other numbers of images");
    const int64_t in[2] = {s->h, s->w}, taps[2] = {s->r, s->s}, out[2] = {s->p, s->q};
    for (int i = 0; i < 2; i++) {
        const int64_t room = in[i] + s->before[i] + s->after[i] - (taps[i] - 1) * s->dilation[i] - 1;
        if (room < 0 || room / s->stride[i] + 1 != out[i])
            return bad("y's extents are not those of the convolution");
    }
    return CUDNN_STATUS_SUCCESS;
}

/* ---- Devices ------------------------------------------------------------------------------------------- */

static cudnnStatus_t check_device(dnn_descriptor *device) {
    static const char *const numbers[] = {"cudnn_version",
                                          "regsPerBlock",
                                          "multiProcessorCount",
                                          "warpSize",
                                          "maxSharedMemoryPerBlock",
                                          "maxSharedMemoryPerBlockOptin",
                                          "reservedSharedMemoryPerBlock",
                                          "maxRegistersPerSM",
                                          "maxCtasPerSM",
                                          "maxThreadsPerBlock",
                                          "maxThreadsPerSM",
                                          "pciDeviceId",
                                          "isTccDriver",
                                          "supportCoopLaunch",
                                          "totalGlobalMem",
                                          "smClockRateKHz",
                                          "memClockRateKHz",
                                          "l2CacheSize",
                                          "cudaDeviceId",
                                          "deviceVer",
                                          "driverVer"};
    const dnn_attribute *text = dnn_find(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
    size_t length = (size_t)text->count;
    while (length > 0 && ((const char *)text->values)[length - 1] == '\0') length--;
    json_t *json = json_loadb(text->values, length, 0, NULL);
    cudnnStatus_t status = json ? CUDNN_STATUS_SUCCESS : bad("the device's description is no JSON");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == CUDNN_STATUS_SUCCESS; i++)
        if (!json_is_integer(json_object_get(json, numbers[i])))
            status = MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the device's description lacks %s", numbers[i]);
    if (status == CUDNN_STATUS_SUCCESS && (json_array_size(json_object_get(json, "maxGridSize")) != 3 ||
                                           json_array_size(json_object_get(json, "maxBlockSize")) != 3 ||
                                           !json_is_string(json_object_get(json, "deviceName"))))
        status = bad("the device's description lacks maxGridSize, maxBlockSize or deviceName");
    const int64_t capability = json ? json_integer_value(json_object_get(json, "deviceVer")) / 10 : 0,
                  multiprocessors =
                      json ? json_integer_value(json_object_get(json, "multiProcessorCount")) : 0;
    json_decref(json);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    dnn_put(device, DNN_DEVICE_CAPABILITY, CUDNN_TYPE_INT64, 1, &capability);
    dnn_put(device, DNN_DEVICE_MULTIPROCESSORS, CUDNN_TYPE_INT64, 1, &multiprocessors);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- Graphs, engines, plans ---------------------------------------------------------------------------- */

static cudnnStatus_t check_graph(const dnn_descriptor *graph) {
    const dnn_attribute *operations = dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS),
                        *handle = dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
    dnn_device device;
    if (operations->count != 1)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM,
                              "a graph of %lld operations, but only single ones are computed",
                              (long long)operations->count);
    if (handle && !dnn_handle_device(*(void **)handle->values, &device)) return CUDNN_STATUS_BAD_PARAM;
    const dnn_convolution found = dnn_read_convolution(*(dnn_descriptor **)operations->values);
    if (found.id[0] == found.id[1] || found.id[0] == found.id[2] || found.id[1] == found.id[2])
        return bad("two tensors of a graph have one id");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_heuristics(const dnn_descriptor *heuristics) {
    const int mode = dnn_enum(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE);
    dnn_device device;
    if (mode < 0 || mode >= CUDNN_HEUR_MODES_COUNT) return bad("no such mode of heuristics");
    if (!dnn_read_device(dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 0),
                         dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, 0), &device))
        return bad("heuristics without a device: neither properties nor a handle in the graph");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_engine(const dnn_descriptor *engine) {
    const int64_t index = dnn_int(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0);
    dnn_device device;
    if (index < 0 || index >= DNN_ENGINE_COUNT || !dnn_engine_at(index))
        return MACHINE_NOTED(CUDNN_STATUS_NOT_SUPPORTED, "there is no engine %lld", (long long)index);
    if (!dnn_read_device(dnn_part(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, 0),
                         dnn_part(engine, CUDNN_ATTR_ENGINE_DEVICEPROP, 0), &device))
        return bad("an engine without a device: neither properties nor a handle in the graph");
    return CUDNN_STATUS_SUCCESS;
}

static const dnn_engine *engine_of(const dnn_descriptor *configuration) {
    return dnn_engine_at(
        dnn_int(dnn_part(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, 0), CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0));
}

/* The values of an engine's knobs: what the configuration chooses, else what is usual. False: a choice that
 * the engine doesn't have. */
static bool read_knobs(const dnn_descriptor *configuration, int64_t values[DNN_KNOBS]) {
    int count;
    const dnn_knob *knobs = dnn_engine_knobs(engine_of(configuration), &count);
    bool chosen[DNN_KNOBS] = {false}, good = true;
    for (int k = 0; k < count; k++) values[k] = knobs[k].usual;
    const dnn_descriptor *choice;
    for (int64_t i = 0; (choice = dnn_part(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, i)); i++) {
        const int type = dnn_enum(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE);
        const int64_t value = dnn_int(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0);
        int k = 0;
        while (k < count && (int)knobs[k].type != type) k++;
        if (k == count || chosen[k] || value < knobs[k].least || value > knobs[k].most) {
            good = false;
            continue;
        }
        chosen[k] = true;
        values[k] = value;
    }
    return good;
}

static cudnnStatus_t check_configuration(const dnn_descriptor *configuration) {
    int64_t values[DNN_KNOBS];
    if (!read_knobs(configuration, values))
        return MACHINE_NOTED(CUDNN_STATUS_NOT_SUPPORTED,
                             "a knob is out of range, twice there, or none of the engine");
    return CUDNN_STATUS_SUCCESS;
}

dnn_plan dnn_read_plan(const dnn_descriptor *descriptor, dnn_convolution *convolution, dnn_device *device) {
    const dnn_descriptor *configuration = dnn_part(descriptor, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0),
                         *engine = dnn_part(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, 0),
                         *graph = dnn_part(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, 0);
    int64_t values[DNN_KNOBS] = {0};
    read_knobs(configuration, values);
    *convolution = dnn_read_convolution(dnn_part(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, 0));
    dnn_read_device(graph, dnn_part(engine, CUDNN_ATTR_ENGINE_DEVICEPROP, 0), device);
    return dnn_engine_plan(engine_of(configuration), convolution, values);
}

static cudnnStatus_t check_plan(const dnn_descriptor *descriptor) {
    dnn_convolution convolution;
    dnn_device device, wanted;
    const dnn_plan plan = dnn_read_plan(descriptor, &convolution, &device);
    const dnn_attribute *handle = dnn_find(descriptor, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
    const dnn_descriptor *properties = dnn_part(descriptor, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, 0);
    if (handle && !dnn_handle_device(*(void **)handle->values, &wanted)) return CUDNN_STATUS_BAD_PARAM;
    if (!handle && properties) dnn_read_device(NULL, properties, &wanted);
    if (!handle && !properties) wanted = device;
    if (wanted.capability != device.capability || wanted.multiprocessors != device.multiprocessors)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the plan is for another device than its engine");
    const char *refusal = dnn_engine_refusal(plan.engine, &convolution, &device);
    if (refusal)
        return MACHINE_NOTED(CUDNN_STATUS_NOT_SUPPORTED, "engine %lld: %s", (long long)plan.index, refusal);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_pack(const dnn_descriptor *pack) {
    const dnn_attribute *ids = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS),
                        *pointers = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    const int64_t *id = ids->values;
    if (ids->count != pointers->count) return bad("a variant pack has as many pointers as ids");
    for (int64_t i = 0; i < ids->count; i++) {
        if (!((void *const *)pointers->values)[i]) return bad("a pointer of the variant pack is NULL");
        for (int64_t j = 0; j < i; j++)
            if (id[i] == id[j])
                return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES,
                                      "an id is twice in the variant pack");
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_finalize(dnn_descriptor *descriptor) {
    if (descriptor->final)
        return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM, "the descriptor of %s is finalized",
                              dnn_type_name(descriptor->type));
    cudnnStatus_t status = dnn_check_required(descriptor);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    switch ((int)descriptor->type) { /* one is not in the enum of older headers */
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        status = check_tensor(descriptor);
        break;
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        status = check_convolution(descriptor);
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        status = check_operation(descriptor);
        break;
    case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
        status = check_device(descriptor);
        break;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        status = check_graph(descriptor);
        break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        status = check_heuristics(descriptor);
        break;
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
        status = check_engine(descriptor);
        break;
    case CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR:
        break;
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        status = check_configuration(descriptor);
        break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        status = check_plan(descriptor);
        break;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        status = check_pack(descriptor);
        break;
    default:
        return bad("a descriptor that only the library fills");
    }
    descriptor->final = status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* ---- Computed attributes ------------------------------------------------------------------------------- */

/* The caller's descriptors that are to be filled: alive, of the type, not finalized. */
static cudnnStatus_t check_targets(int64_t count, void *const *targets, cudnnBackendDescriptorType_t type) {
    for (int64_t i = 0; i < count; i++) {
        const dnn_descriptor *target = dnn_live(targets[i]);
        if (!target) return CUDNN_STATUS_BAD_PARAM;
        if (target->type != type || target->final)
            return MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM,
                                  "a descriptor of %s to be filled is of another type, or finalized",
                                  dnn_type_name(type));
    }
    return CUDNN_STATUS_SUCCESS;
}

static void fill_engine(dnn_descriptor *engine, dnn_descriptor *graph, dnn_descriptor *properties,
                        int64_t index) {
    dnn_put(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    dnn_put(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
    if (properties)
        dnn_put(engine, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &properties);
    engine->final = true;
}

static void fill_choice(dnn_descriptor *choice, cudnnBackendKnobType_t type, int64_t value) {
    dnn_put(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
    dnn_put(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &value);
    choice->final = true;
}

static void fill_configuration(dnn_descriptor *configuration, dnn_descriptor *graph,
                               dnn_descriptor *properties, const dnn_choice *from) {
    int knobs;
    const dnn_knob *knob = dnn_engine_knobs(from->engine, &knobs);
    dnn_descriptor *engine = dnn_new(CUDNN_BACKEND_ENGINE_DESCRIPTOR), *choice[DNN_KNOBS];
    fill_engine(engine, graph, properties, from->index);
    dnn_put(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
    for (int k = 0; k < knobs; k++) {
        choice[k] = dnn_new(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        fill_choice(choice[k], knob[k].type, from->knobs[k]);
    }
    dnn_put(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, knobs, choice);
    for (int k = 0; k < knobs; k++) dnn_release(choice[k]);
    dnn_release(engine);
    configuration->final = true;
}

/* Without room the number of all; else the number of those that are filled. */
static cudnnStatus_t get_results(const dnn_descriptor *heuristics, int64_t room, int64_t *counted,
                                 void *values) {
    enum { MOST = 64 };
    dnn_choice choices[MOST];
    dnn_descriptor *graph = dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 0),
                   *properties = dnn_part(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, 0);
    const dnn_convolution convolution =
        dnn_read_convolution(dnn_part(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, 0));
    dnn_device device;
    if (!dnn_read_device(graph, properties, &device)) return CUDNN_STATUS_BAD_PARAM;
    const int64_t count = dnn_heuristics(
        &convolution, &device, (cudnnBackendHeurMode_t)dnn_enum(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE),
        choices, MOST);
    const int64_t given = count < room ? count : room;
    const cudnnStatus_t status = check_targets(given, values, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    for (int64_t i = 0; i < given; i++)
        fill_configuration(((dnn_descriptor **)values)[i], graph, properties, &choices[i]);
    *counted = room == 0 ? count : given;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t get_engine(const dnn_descriptor *configuration, int64_t *counted, void *values) {
    const dnn_descriptor *engine = dnn_part(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, 0);
    const cudnnStatus_t status = check_targets(1, values, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    fill_engine(*(dnn_descriptor **)values, dnn_part(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, 0),
                dnn_part(engine, CUDNN_ATTR_ENGINE_DEVICEPROP, 0),
                dnn_int(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0));
    *counted = 1;
    return CUDNN_STATUS_SUCCESS;
}

/* The number of those that there was room for: the real library does not say how many there are. */
static cudnnStatus_t get_choices(const dnn_descriptor *configuration, int64_t room, int64_t *counted,
                                 void *values) {
    int64_t given = 0;
    while (given < room && dnn_part(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, given)) given++;
    const cudnnStatus_t status = check_targets(given, values, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    for (int64_t i = 0; i < given; i++) {
        const dnn_descriptor *from = dnn_part(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, i);
        fill_choice(((dnn_descriptor **)values)[i],
                    (cudnnBackendKnobType_t)dnn_enum(from, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                    dnn_int(from, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0));
    }
    *counted = given;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t get_knob_info(const dnn_descriptor *engine, int64_t room, int64_t *counted,
                                   void *values) {
    const int64_t stride = 1;
    int count;
    const dnn_knob *knobs =
        dnn_engine_knobs(dnn_engine_at(dnn_int(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0)), &count);
    const int64_t given = count < room ? count : room;
    const cudnnStatus_t status = check_targets(given, values, CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    for (int64_t i = 0; i < given; i++) {
        dnn_descriptor *info = ((dnn_descriptor **)values)[i];
        dnn_put(info, CUDNN_ATTR_KNOB_INFO_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &knobs[i].type);
        dnn_put(info, CUDNN_ATTR_KNOB_INFO_MINIMUM_VALUE, CUDNN_TYPE_INT64, 1, &knobs[i].least);
        dnn_put(info, CUDNN_ATTR_KNOB_INFO_MAXIMUM_VALUE, CUDNN_TYPE_INT64, 1, &knobs[i].most);
        dnn_put(info, CUDNN_ATTR_KNOB_INFO_STRIDE, CUDNN_TYPE_INT64, 1, &stride);
        info->final = true;
    }
    *counted = room == 0 ? count : given;
    return CUDNN_STATUS_SUCCESS;
}

static void print_plan(const dnn_descriptor *descriptor, char *text, size_t size) {
    dnn_convolution convolution;
    dnn_device device;
    char name[200];
    const dnn_plan plan = dnn_read_plan(descriptor, &convolution, &device);
    dnn_print_convolution(&convolution, name, sizeof name);
    snprintf(text, size, "{\"engine\":%lld,\"operation\":\"%s\",\"deviceVer\":%d,\"workspace\":%lld}",
             (long long)plan.index, name, device.capability * 10, (long long)plan.workspace);
}

static void get_notes(const dnn_descriptor *engine, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t room, int64_t *counted, void *values) {
    const dnn_engine *found = dnn_engine_at(dnn_int(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0));
    cudnnBackendNumericalNote_t numerical[4];
    cudnnBackendBehaviorNote_t behavior[4];
    if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE)
        dnn_give(type, room, counted, values, dnn_engine_numerical_notes(found, numerical), numerical);
    else
        dnn_give(type, room, counted, values, dnn_engine_behavior_notes(found, behavior), behavior);
}

cudnnStatus_t dnn_get(dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t room, int64_t *counted, void *values) {
    if (name == CUDNN_ATTR_ENGINECFG_INTERMEDIATE_INFO)
        return MACHINE_NOTED(CUDNN_STATUS_NOT_SUPPORTED, "convolutions have no intermediate results");
    const cudnnStatus_t status = dnn_check_get(descriptor, name, type, room, values);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (!counted) return bad("no place for the number of values");
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) return get_results(descriptor, room, counted, values);
    if (name == CUDNN_ATTR_ENGINECFG_ENGINE) return get_engine(descriptor, counted, values);
    if (name == CUDNN_ATTR_ENGINECFG_KNOB_CHOICES) return get_choices(descriptor, room, counted, values);
    if (name == CUDNN_ATTR_ENGINE_KNOB_INFO) return get_knob_info(descriptor, room, counted, values);
    if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE || name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE) {
        get_notes(descriptor, name, type, room, counted, values);
        return CUDNN_STATUS_SUCCESS;
    }
    if (name == CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT) {
        const int64_t count = DNN_ENGINE_COUNT;
        dnn_give(type, room, counted, values, 1, &count);
        return CUDNN_STATUS_SUCCESS;
    }
    if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        dnn_convolution convolution;
        dnn_device device;
        const int64_t workspace = dnn_read_plan(descriptor, &convolution, &device).workspace;
        dnn_give(type, room, counted, values, 1, &workspace);
        return CUDNN_STATUS_SUCCESS;
    }
    if (name == CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION) {
        char text[400];
        print_plan(descriptor, text, sizeof text);
        dnn_give(type, room, counted, values, (int64_t)strlen(text) + 1, text);
        return CUDNN_STATUS_SUCCESS;
    }
    const dnn_attribute *stored = dnn_find(descriptor, name);
    if (!stored) return bad("the attribute has not been set");
    dnn_give(type, room, counted, values, stored->count, stored->values);
    return CUDNN_STATUS_SUCCESS;
}
