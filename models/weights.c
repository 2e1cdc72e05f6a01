/* Parameters to tensors and back. Writing, checking and reading share one enumeration of tensors, tensors_of,
 * and with it names and shapes. */
#include "weights.h"

#include "weights_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One tensor of a file, as part of a parameter. */
typedef struct {
    char name[SAFETENSORS_NAME_BYTES];
    int rank;
    int64_t shape[4];
    int64_t first, elements; /* range of the parameter's elements, in plain order */
    bool is_variance;
} tensor_part;

enum { MAX_PARTS = 2 };

static int param_rank(const p2p_param_info *info) {
    return info->kind == P2P_PARAM_FILTER ? 4 : 1;
}

/* The tensors for a parameter in the group's part: one, the two of running statistics, or none for moments of
 * running statistics. Returns their number. */
static int tensors_of(const weights_group *group, const p2p_param_info *info, tensor_part parts[MAX_PARTS]) {
    static const char *const suffixes[MAX_PARTS] = {"_mean", "_var"};
    const bool running = info->kind == P2P_PARAM_RUNNING;
    if (running ? group->part != P2P_STATE_VALUE : group->replica > 0) return 0;
    const int count = running ? MAX_PARTS : 1;
    const int64_t elements = p2p_param_elements(info) / count;
    for (int i = 0; i < count; i++) {
        tensor_part *part = &parts[i];
        *part = (tensor_part){.rank = param_rank(info),
                              .first = i * elements,
                              .elements = elements,
                              .is_variance = running && i == 1};
        snprintf(part->name, sizeof part->name, "%s%s%s", group->prefix, info->name,
                 running ? suffixes[i] : "");
        if (part->rank == 1)
            part->shape[0] = elements;
        else
            memcpy(part->shape, info->shape, sizeof info->shape);
    }
    return count;
}

/* "<prefix>x.num_batches_tracked" for the parameter "x.running". Returns false for other parameters and
 * parts. */
static bool counter_name(const weights_group *group, const p2p_param_info *info,
                         char name[SAFETENSORS_NAME_BYTES]) {
    if (info->kind != P2P_PARAM_RUNNING || group->part != P2P_STATE_VALUE || group->replica > 0) return false;
    const char *last = strrchr(info->name, '.');
    const int layer = last ? (int)(last - info->name) + 1 : 0;
    snprintf(name, SAFETENSORS_NAME_BYTES, "%s%.*snum_batches_tracked", group->prefix, layer, info->name);
    return true;
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

/* Counters are 8-byte integers. They come before all tensors of floats, which keeps both aligned. */
static p2p_status declare_counters(safetensors_writer *writer, const weights_group *group) {
    for (int p = 0; p < p2p_network_param_count(group->network); p++) {
        char name[SAFETENSORS_NAME_BYTES];
        if (counter_name(group, p2p_network_param(group->network, (p2p_param){p}), name))
            P2P_TRY(safetensors_declare(writer, name, SAFETENSORS_I64, 0, NULL));
    }
    return P2P_OK;
}

static p2p_status declare_tensors(safetensors_writer *writer, const weights_group *group, p2p_type type) {
    const safetensors_dtype dtype = type == P2P_TYPE_f64 ? SAFETENSORS_F64 : SAFETENSORS_F32;
    for (int p = 0; p < p2p_network_param_count(group->network); p++) {
        tensor_part parts[MAX_PARTS];
        const int count = tensors_of(group, p2p_network_param(group->network, (p2p_param){p}), parts);
        for (int i = 0; i < count; i++)
            P2P_TRY(safetensors_declare(writer, parts[i].name, dtype, parts[i].rank, parts[i].shape));
    }
    return P2P_OK;
}

static p2p_status write_counters(safetensors_writer *writer, const weights_group *group) {
    for (int p = 0; p < p2p_network_param_count(group->network); p++) {
        char name[SAFETENSORS_NAME_BYTES];
        if (counter_name(group, p2p_network_param(group->network, (p2p_param){p}), name))
            P2P_TRY(safetensors_write(writer, &group->passes));
    }
    return P2P_OK;
}

/* The state of writing a parameter. */
typedef struct {
    safetensors_writer *writer;
    const p2p_param_info *info;
    p2p_type type;
    int64_t written; /* elements */
} parameter_writing;

/* The index of the first infinity or NaN; `count` if there is none. */
static int64_t first_infinite(const void *values, int64_t count, p2p_type type) {
    int64_t i = 0;
    if (type == P2P_TYPE_f32)
        while (i < count && isfinite(((const float *)values)[i])) i++;
    else
        while (i < count && isfinite(((const double *)values)[i])) i++;
    return i;
}

/* Fails on values that are not finite: a file with such weights would be useless. */
static p2p_status write_elements(void *context, const void *values, int64_t count) {
    parameter_writing *writing = context;
    const int64_t found = first_infinite(values, count, writing->type);
    if (found < count)
        return p2p_fail(P2P_DIVERGED, "element %lld of the parameter %s is not a finite number",
                        (long long)(writing->written + found), writing->info->name);
    writing->written += count;
    return safetensors_write_part(writing->writer, values, count);
}

static p2p_status write_running(p2p_session *session, const weights_group *group, p2p_param param,
                                parameter_writing *writing) {
    const int64_t count = p2p_param_elements(writing->info);
    void *values = malloc((size_t)count * p2p_type_bytes(writing->type));
    if (!values) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the parameter %s", writing->info->name);
    p2p_status status =
        p2p_session_read_running(session, group->network, param, group->replica - 1, writing->type, values);
    if (status == P2P_OK) status = write_elements(writing, values, count);
    free(values);
    return status;
}

static p2p_status write_parameter(p2p_session *session, const weights_group *group, p2p_param param,
                                  parameter_writing *writing) {
    if (group->replica > 0) return write_running(session, group, param, writing);
    return p2p_session_read_pieces(session, group->network, param, group->part, writing->type, write_elements,
                                   writing);
}

/* The elements of a parameter are written in order; tensors_of defines which tensor each belongs to. */
static p2p_status write_tensors(p2p_session *session, safetensors_writer *writer, const weights_group *group,
                                p2p_type type) {
    for (int p = 0; p < p2p_network_param_count(group->network); p++) {
        const p2p_param param = {p};
        parameter_writing writing = {
            .writer = writer, .info = p2p_network_param(group->network, param), .type = type};
        tensor_part parts[MAX_PARTS];
        if (tensors_of(group, writing.info, parts) == 0) continue;
        P2P_TRY(write_parameter(session, group, param, &writing));
    }
    return P2P_OK;
}

p2p_status weights_write(p2p_session *session, safetensors_writer *writer, const weights_group *groups,
                         int count, p2p_type type) {
    for (int g = 0; g < count; g++) P2P_TRY(declare_counters(writer, &groups[g]));
    for (int g = 0; g < count; g++) P2P_TRY(declare_tensors(writer, &groups[g], type));
    for (int g = 0; g < count; g++) P2P_TRY(write_counters(writer, &groups[g]));
    for (int g = 0; g < count; g++) P2P_TRY(write_tensors(session, writer, &groups[g], type));
    return P2P_OK;
}

/* ---- Checking ----------------------------------------------------------------------------------------- */

const safetensors_entry *weights_find(const safetensors_file *file, const char *name) {
    const safetensors_entry *entry = safetensors_find(file, name);
    if (entry) return entry;
    char wrapped[SAFETENSORS_NAME_BYTES + 8];
    snprintf(wrapped, sizeof wrapped, "module.%.*s", SAFETENSORS_NAME_BYTES - 1, name);
    return safetensors_find(file, wrapped);
}

static p2p_status check_shape(const safetensors_file *file, const safetensors_entry *entry,
                              const tensor_part *part) {
    bool same = entry->rank == part->rank;
    for (int i = 0; same && i < part->rank; i++) same = entry->shape[i] == part->shape[i];
    if (same) return P2P_OK;
    safetensors_entry expected = {.rank = part->rank};
    memcpy(expected.shape, part->shape, sizeof part->shape);
    char have[128], want[128];
    safetensors_shape_text(entry, have, sizeof have);
    safetensors_shape_text(&expected, want, sizeof want);
    return p2p_fail(P2P_INPUT, "%s: tensor %s has shape %s, the network needs %s", safetensors_path(file),
                    entry->name, have, want);
}

static bool ends_with(const char *name, const char *end) {
    const size_t length = strlen(name), end_length = strlen(end);
    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

static bool keeps_statistics(const p2p_network *network) {
    for (int p = 0; p < p2p_network_param_count(network); p++)
        if (p2p_network_param(network, (p2p_param){p})->kind == P2P_PARAM_RUNNING) return true;
    return false;
}

/* Whether the parameter may be absent from the file. Only in networks without statistics is every bias that
 * of a convolution. */
static bool may_be_absent(const weights_group *group, const p2p_param_info *info) {
    return group->biases_may_lack && !keeps_statistics(group->network) && ends_with(info->name, ".bias");
}

/* Whether a tensor is a running statistic although no network of the groups has any. */
static bool is_stale_statistic(const weights_group *groups, int count, const char *name) {
    for (int g = 0; g < count; g++)
        if (keeps_statistics(groups[g].network)) return false;
    return ends_with(name, ".running_mean") || ends_with(name, ".running_var") ||
           ends_with(name, ".num_batches_tracked");
}

/* Find the tensors of a parameter, check them, and mark their entries as used. */
static p2p_status check_parameter(const safetensors_file *file, const weights_group *group,
                                  const p2p_param_info *info, bool *used) {
    const safetensors_entry *first = safetensors_count(file) > 0 ? safetensors_at(file, 0) : NULL;
    tensor_part parts[MAX_PARTS];
    const int count = tensors_of(group, info, parts);
    for (int i = 0; i < count; i++) {
        const safetensors_entry *entry = weights_find(file, parts[i].name);
        if (!entry && may_be_absent(group, info)) continue;
        if (!entry)
            return p2p_fail(P2P_INPUT, "%s has no tensor %s, which the network needs", safetensors_path(file),
                            parts[i].name);
        P2P_TRY(check_shape(file, entry, &parts[i]));
        if (!safetensors_dtype_real(entry->dtype))
            return p2p_fail(P2P_INPUT, "%s: tensor %s holds %s, not real numbers", safetensors_path(file),
                            entry->name, safetensors_dtype_name(entry->dtype));
        used[entry - first] = true;
    }
    char name[SAFETENSORS_NAME_BYTES];
    const safetensors_entry *counter = counter_name(group, info, name) ? weights_find(file, name) : NULL;
    if (counter) used[counter - first] = true; /* its value is not needed */
    return P2P_OK;
}

static p2p_status check_groups(const safetensors_file *file, const weights_group *groups, int count,
                               bool *used) {
    for (int g = 0; g < count; g++)
        for (int p = 0; p < p2p_network_param_count(groups[g].network); p++)
            P2P_TRY(check_parameter(file, &groups[g], p2p_network_param(groups[g].network, (p2p_param){p}),
                                    used));
    for (int i = 0; i < safetensors_count(file); i++)
        if (!used[i] && !is_stale_statistic(groups, count, safetensors_at(file, i)->name))
            return p2p_fail(P2P_INPUT, "%s has a tensor %s that the network doesn't have",
                            safetensors_path(file), safetensors_at(file, i)->name);
    return P2P_OK;
}

p2p_status weights_check(const safetensors_file *file, const weights_group *groups, int count) {
    bool *used = calloc((size_t)safetensors_count(file) + 1, sizeof *used);
    if (!used) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to check %s", safetensors_path(file));
    p2p_status status = check_groups(file, groups, count, used);
    free(used);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

/* Variances and means of squares are not negative. Values may be converted to bfloat16, moments are not. */
static weights_bounds bounds_of(const weights_group *group, const tensor_part *part, p2p_type stored) {
    const bool squares = group->part == P2P_STATE_MOMENT2 || part->is_variance;
    const bool narrow = group->any_device || stored != P2P_TYPE_f64;
    const double limit = group->part == P2P_STATE_VALUE ? WEIGHTS_BEYOND_BF16 : WEIGHTS_BEYOND_F32;
    return (weights_bounds){.least = squares ? 0 : -INFINITY, .beyond = narrow ? limit : INFINITY};
}

/* The state of reading a parameter. */
typedef struct {
    safetensors_file *file;
    const weights_group *group;
    p2p_type stored; /* how the device stores it */
    tensor_part parts[MAX_PARTS];
    int count;
    int64_t next; /* index into the parameter's elements */
} parameter_reading;

/* Elements [first, first + count) of a tensor. */
static p2p_status read_elements(const parameter_reading *reading, const tensor_part *part, int64_t first,
                                int64_t count, double *values) {
    const safetensors_entry *entry = weights_find(reading->file, part->name);
    if (!entry) { /* a bias that may be absent, by weights_check */
        for (int64_t i = 0; i < count; i++) values[i] = 0;
        return P2P_OK;
    }
    P2P_TRY(safetensors_read_part(reading->file, entry, first, count, WEIGHTS_READ_TYPE, values));
    const weights_bounds bounds = bounds_of(reading->group, part, reading->stored);
    return weights_check_values(reading->file, entry, values, count, &bounds);
}

/* The next `count` elements of a parameter, from the tensors that contain them. */
static p2p_status load_elements(void *context, void *values, int64_t count) {
    parameter_reading *reading = context;
    const int64_t end = reading->next + count;
    double *to = values;
    for (int i = 0; i < reading->count; i++) {
        const tensor_part *part = &reading->parts[i];
        const int64_t part_end = part->first + part->elements, stop = part_end < end ? part_end : end;
        if (reading->next < part->first || reading->next >= stop) continue;
        P2P_TRY(read_elements(reading, part, reading->next - part->first, stop - reading->next, to));
        to += stop - reading->next;
        reading->next = stop;
    }
    return P2P_OK;
}

static p2p_status read_running(p2p_session *session, const weights_group *group, p2p_param param,
                               parameter_reading *reading) {
    const p2p_param_info *info = p2p_network_param(group->network, param);
    const int64_t count = p2p_param_elements(info);
    double *values = malloc((size_t)count * sizeof *values);
    if (!values) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the parameter %s", info->name);
    p2p_status status = load_elements(reading, values, count);
    if (status == P2P_OK)
        status = p2p_session_write_running(session, group->network, param, group->replica - 1,
                                           WEIGHTS_READ_TYPE, values);
    free(values);
    return status;
}

static p2p_status read_parameter(p2p_session *session, const weights_group *group, p2p_param param,
                                 parameter_reading *reading) {
    if (group->replica > 0) return read_running(session, group, param, reading);
    return p2p_session_write_pieces(session, group->network, param, group->part, WEIGHTS_READ_TYPE,
                                    load_elements, reading);
}

static p2p_status read_tensors(p2p_session *session, safetensors_file *file, const weights_group *group) {
    if (group->ignored) return P2P_OK;
    for (int p = 0; p < p2p_network_param_count(group->network); p++) {
        const p2p_param param = {p};
        parameter_reading reading = {.file = file, .group = group, .stored = p2p_session_state_type(session)};
        reading.count = tensors_of(group, p2p_network_param(group->network, param), reading.parts);
        if (reading.count == 0) continue;
        P2P_TRY(read_parameter(session, group, param, &reading));
    }
    return P2P_OK;
}

p2p_status weights_read(p2p_session *session, safetensors_file *file, const weights_group *groups,
                        int count) {
    P2P_TRY(weights_check(file, groups, count));
    for (int g = 0; g < count; g++) P2P_TRY(read_tensors(session, file, &groups[g]));
    return safetensors_verify(file);
}
