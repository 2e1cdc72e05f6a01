/* Devices, buffers, operations and recordings: calls of a backend's device table.
 *
 * Arguments are checked before each call: places are within a buffer of the device and aligned, descriptors
 * are valid, operands fit their places. Then the call is counted, so that tests can make any call fail.
 * device_list.c lists and opens devices, comm.c runs collectives.
 */
#include "device_internal.h"
#include "host/log.h"

#include <stdlib.h>
#include <string.h>

struct p2p_operation {
    p2p_device *device;
    p2p_be_op *be;
    const char *name; /* of its kind */
    bool traced;      /* the first run is logged */
};

struct p2p_recorded {
    p2p_device *device;
    p2p_be_recording *be;
};

/* ---- Devices ------------------------------------------------------------------------------------------ */

const p2p_device_info *p2p_device_describe(const p2p_device *device) {
    return &device->info;
}

const char *p2p_device_address(const p2p_device *device) {
    return device->address;
}

void p2p_device_memory_of(p2p_device *device, bool joined, p2p_device_memory *memory) {
    const p2p_device_table *table = &device->module->device;
    const p2p_device_info *info = &device->info;
    *memory = (p2p_device_memory){
        .bytes = info->memory_bytes, .in_host = info->in_host_memory, .driver_bytes = info->driver_bytes};
    const bool asked = table->memory_left && !info->in_host_memory;
    if (asked && table->memory_left(device->be, joined, &memory->free_bytes, &memory->reserve) == P2P_OK)
        return;
    memory->free_bytes = info->memory_bytes;
    memory->reserve = 0;
}

const char *p2p_device_name(const p2p_device *device) {
    return device->info.name;
}

const char *p2p_device_driver(const p2p_device *device) {
    return device->info.driver;
}

const char *p2p_device_details(const p2p_device *device) {
    return device->info.details;
}

bool p2p_device_fast_tf32(const p2p_device *device) {
    return device->info.fast_tf32;
}

bool p2p_device_measures_on_request(const p2p_device *device) {
    return device->info.measures_on_request && p2p_device_has_choices(device);
}

void p2p_device_close(p2p_device *device) {
    if (!device) return;
    p2p_log("%s: close", device->address);
    device->module->device.close(device->be);
    free(device);
}

/* Submit and wait are called even if the loss of the device is injected: the real device must not access
 * memory that the caller is about to free. */
p2p_status p2p_device_submit(p2p_device *device, p2p_ticket *ticket) {
    const p2p_status counted = p2p_call_count("submit");
    if (counted != P2P_OK && counted != P2P_DEVICE_LOST) return counted;
    const p2p_status submitted = device->module->device.submit(device->be, ticket);
    return counted == P2P_OK ? submitted : counted;
}

p2p_status p2p_device_wait(p2p_device *device, p2p_ticket ticket) {
    const p2p_status counted = p2p_call_count("wait");
    if (counted != P2P_OK && counted != P2P_DEVICE_LOST) return counted;
    const p2p_status waited = device->module->device.wait(device->be, ticket);
    return counted == P2P_OK ? waited : counted;
}

p2p_status p2p_device_time_begin(p2p_device *device, double (*clock)(void), double *begin) {
    const p2p_device_table *table = &device->module->device;
    *begin = clock();
    return table->time_begin ? P2P_CALL("time_begin", table->time_begin(device->be)) : P2P_OK;
}

p2p_status p2p_device_time_end(p2p_device *device, double (*clock)(void), double begin, double *seconds) {
    const p2p_device_table *table = &device->module->device;
    if (table->time_end) return P2P_CALL("time_end", table->time_end(device->be, seconds));
    P2P_TRY(p2p_device_finish(device));
    *seconds = clock() - begin;
    return P2P_OK;
}

p2p_status p2p_device_order(p2p_device *device, p2p_ticket after) {
    if (after == 0) return P2P_OK;
    const p2p_device_table *table = &device->module->device;
    if (!table->order) return p2p_device_wait(device, after);
    return P2P_CALL("order", table->order(device->be, after));
}

p2p_status p2p_device_finish(p2p_device *device) {
    p2p_ticket ticket = 0;
    P2P_TRY(p2p_device_submit(device, &ticket));
    return p2p_device_wait(device, ticket);
}

void p2p_device_warn_slower(p2p_device *device, p2p_slower path) {
    static const char *const texts[] = {
#define X(name, text) text,
        P2P_SLOWER_LIST(X)
#undef X
    };
    if (device->warned[path]) return;
    device->warned[path] = true;
    p2p_warn("%s: %s: %s", device->address, texts[path], p2p_message());
}

/* ---- Places and buffers ------------------------------------------------------------------------------- */

p2p_binding p2p_place_binding(p2p_place place) {
    return place.buffer ? (p2p_binding){place.buffer->be, place.offset} : (p2p_binding){0};
}

p2p_status p2p_place_check(const p2p_device *device, const char *what, p2p_place place, size_t bytes) {
    const char *address = device->address;
    if (!place.buffer) return p2p_fail(P2P_INVALID, "%s: %s has no buffer", address, what);
    if (place.buffer->device != device) {
        return p2p_fail(P2P_INVALID, "%s: the buffer of %s belongs to %s", address, what,
                        place.buffer->device->address);
    }
    if (place.offset % device->info.alignment != 0) {
        return p2p_fail(P2P_INVALID, "%s: offset %zu of %s is not a multiple of %zu bytes", address,
                        place.offset, what, device->info.alignment);
    }
    size_t size = place.buffer->bytes;
    if (place.offset > size || bytes > size - place.offset) {
        return p2p_fail(P2P_INVALID, "%s: %s needs %zu bytes from offset %zu, the buffer has %zu", address,
                        what, bytes, place.offset, size);
    }
    return P2P_OK;
}

p2p_status p2p_buffer_create(p2p_device *device, size_t bytes, p2p_buffer **buffer) {
    *buffer = NULL;
    if (bytes == 0) return p2p_fail(P2P_INVALID, "%s: a buffer of no bytes", device->address);
    if (bytes > device->info.max_alloc_bytes) {
        return p2p_fail(P2P_OUT_OF_MEMORY, "%s: a buffer of %zu bytes is more than the device allows (%zu)",
                        device->address, bytes, device->info.max_alloc_bytes);
    }
    p2p_buffer *created = malloc(sizeof *created);
    if (!created) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a buffer's record");
    *created = (p2p_buffer){.device = device, .bytes = bytes};
    p2p_status status =
        P2P_CALL("buffer_create", device->module->device.buffer_create(device->be, bytes, &created->be));
    p2p_log("%s: buffer of %zu bytes: %s", device->address, bytes, p2p_status_name(status));
    if (status != P2P_OK) {
        free(created);
        return status;
    }
    *buffer = created;
    return P2P_OK;
}

void p2p_buffer_destroy(p2p_buffer *buffer) {
    if (!buffer) return;
    buffer->device->module->device.buffer_destroy(buffer->device->be, buffer->be);
    free(buffer);
}

size_t p2p_buffer_bytes(const p2p_buffer *buffer) {
    return buffer->bytes;
}

p2p_status p2p_buffer_write(p2p_device *device, p2p_place to, const void *from, size_t bytes) {
    P2P_TRY(p2p_place_check(device, "buffer_write", to, bytes));
    if (bytes == 0) return P2P_OK;
    return P2P_CALL("buffer_write",
                    device->module->device.buffer_write(device->be, p2p_place_binding(to), from, bytes));
}

p2p_status p2p_buffer_read(p2p_device *device, p2p_place from, void *to, size_t bytes) {
    P2P_TRY(p2p_place_check(device, "buffer_read", from, bytes));
    if (bytes == 0) return P2P_OK;
    return P2P_CALL("buffer_read",
                    device->module->device.buffer_read(device->be, p2p_place_binding(from), to, bytes));
}

p2p_status p2p_buffer_copy(p2p_device *device, p2p_place from, p2p_place to, size_t bytes) {
    P2P_TRY(p2p_place_check(device, "the source of buffer_copy", from, bytes));
    P2P_TRY(p2p_place_check(device, "the destination of buffer_copy", to, bytes));
    if (bytes == 0) return P2P_OK;
    if (from.buffer == to.buffer && from.offset < to.offset + bytes && to.offset < from.offset + bytes) {
        return p2p_fail(P2P_INVALID, "%s: buffer_copy of %zu bytes from offset %zu to %zu overlaps itself",
                        device->address, bytes, from.offset, to.offset);
    }
    return P2P_CALL("buffer_copy", device->module->device.buffer_copy(device->be, p2p_place_binding(from),
                                                                      p2p_place_binding(to), bytes));
}

/* ---- Operations --------------------------------------------------------------------------------------- */

static void log_op(const p2p_device *device, const char *what, const p2p_op *op, const char *outcome) {
    if (!p2p_logging()) return;
    char text[P2P_OP_TEXT];
    p2p_op_print(op, text, sizeof text);
    p2p_log("%s: %s %s: %s", device->address, what, text, outcome);
}

p2p_status p2p_operation_query(p2p_device *device, const p2p_op *op, p2p_query *answer) {
    memset(answer, 0, sizeof *answer);
    P2P_TRY(p2p_op_validate(op));
    p2p_status status = P2P_CALL("op_query", device->module->device.op_query(device->be, op, answer));
    log_op(device, "query", op, status == P2P_OK ? answer->kernel : p2p_message());
    if (status != P2P_OK || answer->filter_need == P2P_FILTER_AS_QUERIED) return status;
    if (device->info.derives_filters && p2p_kind_filter(op->kind) >= 0) return P2P_OK;
    return p2p_fail(P2P_FAILED, "%s requests another storage of a filter, which it must announce",
                    device->address);
}

bool p2p_device_has_choices(const p2p_device *device) {
    return device->module->device.op_choose != NULL;
}

static p2p_status check_choice(const p2p_device *device, const p2p_op *op) {
    P2P_TRY(p2p_op_validate(op));
    if (!p2p_op_is_convolution(op))
        return p2p_fail(P2P_INVALID, "%s: no choice for a %s", device->address, p2p_kind_name(op->kind));
    if (p2p_device_has_choices(device)) return P2P_OK;
    return p2p_fail(P2P_UNSUPPORTED, "%s has one algorithm for every convolution", device->address);
}

p2p_status p2p_operation_choose(p2p_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                                p2p_choice *choice) {
    *choice = (p2p_choice){0};
    P2P_TRY(check_choice(device, op));
    const p2p_op plain = p2p_op_plain_convolution(op);
    p2p_status status =
        P2P_CALL("op_choose", device->module->device.op_choose(device->be, &plain, mode, clock, choice));
    log_op(device, "choose", &plain,
           status != P2P_OK  ? p2p_message()
           : choice->name[0] ? choice->name
                             : "by heuristic");
    return status;
}

p2p_status p2p_operation_impose(p2p_device *device, const p2p_op *op, const char *name) {
    P2P_TRY(check_choice(device, op));
    const p2p_op plain = p2p_op_plain_convolution(op);
    p2p_status status = P2P_CALL("op_impose", device->module->device.op_impose(device->be, &plain, name));
    log_op(device, "impose", &plain, status != P2P_OK ? p2p_message() : name[0] ? name : "by heuristic");
    return status;
}

p2p_status p2p_operation_list(p2p_device *device, const p2p_op *op,
                              char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME], int *count) {
    *count = 0;
    memset(names, 0, P2P_MOST_CHOICES * sizeof names[0]);
    if (!device->module->device.op_list) return P2P_OK;
    P2P_TRY(check_choice(device, op));
    const p2p_op plain = p2p_op_plain_convolution(op);
    P2P_TRY(P2P_CALL("op_list", device->module->device.op_list(device->be, &plain, names, count)));
    if (*count >= 0 && *count <= P2P_MOST_CHOICES) return P2P_OK;
    return p2p_fail(P2P_FAILED, "%s lists %d algorithms; at most %d are possible", device->address, *count,
                    (int)P2P_MOST_CHOICES);
}

static p2p_status check_places(const p2p_device *device, const p2p_op *op, const p2p_place *places) {
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        char what[64];
        snprintf(what, sizeof what, "operand %s of %s", p2p_kind_operand_name(op->kind, i),
                 p2p_kind_name(op->kind));
        if (p2p_tensor_present(&op->t[i])) {
            P2P_TRY(p2p_place_check(device, what, places[i], p2p_tensor_bytes(&op->t[i])));
        } else if (places[i].buffer) {
            return p2p_fail(P2P_INVALID, "%s: absent %s has a buffer", device->address, what);
        }
    }
    return P2P_OK;
}

p2p_status p2p_operation_create(p2p_device *device, const p2p_op *op, const p2p_place *places,
                                p2p_place scratch, p2p_operation **operation) {
    *operation = NULL;
    p2p_query answer; /* also validates `op` */
    P2P_TRY(p2p_operation_query(device, op, &answer));
    if (answer.filter_need == P2P_FILTER_REQUIRED)
        return p2p_fail(P2P_INVALID, "%s: %s needs its filter in another storage", device->address,
                        p2p_kind_name(op->kind));
    P2P_TRY(check_places(device, op, places));
    if (answer.scratch_bytes > 0) {
        P2P_TRY(p2p_place_check(device, "the scratch memory", scratch, answer.scratch_bytes));
    }
    p2p_operation *created = malloc(sizeof *created);
    if (!created) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for an operation's record");
    *created = (p2p_operation){.device = device, .name = p2p_kind_name(op->kind)};
    p2p_binding bindings[P2P_MAX_OPERANDS] = {{0}};
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) bindings[i] = p2p_place_binding(places[i]);
    p2p_status status =
        P2P_CALL("op_create", device->module->device.op_create(device->be, op, bindings,
                                                               p2p_place_binding(scratch), &created->be));
    log_op(device, "create", op, status == P2P_OK ? "OK" : p2p_message());
    if (status != P2P_OK) {
        free(created);
        return status;
    }
    *operation = created;
    return P2P_OK;
}

p2p_status p2p_operation_create_peak(p2p_device *device, p2p_math math, int steps, p2p_place counts,
                                     int capacity, p2p_operation **operation, double *multiply_adds) {
    *operation = NULL;
    const p2p_device_table *table = &device->module->device;
    if (!table->peak_create) {
        return p2p_fail(P2P_UNSUPPORTED, "%s has no kernel that measures its peak", device->address);
    }
    if (steps < 1 || steps > P2P_PEAK_STEPS || capacity < 1) {
        return p2p_fail(P2P_INVALID, "%s: a peak of %d steps by at most %d work-items", device->address,
                        steps, capacity);
    }
    P2P_TRY(p2p_place_check(device, "the counts of a peak", counts, (size_t)capacity * sizeof(float)));
    p2p_operation *created = malloc(sizeof *created);
    if (!created) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for an operation's record");
    *created = (p2p_operation){.device = device, .name = "peak"};
    p2p_status status =
        P2P_CALL("peak_create", table->peak_create(device->be, math, steps, p2p_place_binding(counts),
                                                   capacity, &created->be, multiply_adds));
    p2p_log("%s: create peak of %d steps, math=%s: %s", device->address, steps, p2p_math_name(math),
            status == P2P_OK ? "OK" : p2p_message());
    if (status != P2P_OK) {
        free(created);
        return status;
    }
    *operation = created;
    return P2P_OK;
}

p2p_status p2p_operation_run(p2p_operation *operation) {
    p2p_device *device = operation->device;
    if (!operation->traced) { /* one line per operation suffices to locate a crash of a driver */
        p2p_log("%s: first run of a %s", device->address, operation->name);
        operation->traced = true;
    }
    return P2P_CALL("op_run", device->module->device.op_run(device->be, operation->be));
}

void p2p_operation_destroy(p2p_operation *operation) {
    if (!operation) return;
    operation->device->module->device.op_destroy(operation->device->be, operation->be);
    free(operation);
}

/* ---- Recordings --------------------------------------------------------------------------------------- */

bool p2p_device_can_record(const p2p_device *device) {
    return device->module->device.record_begin != NULL;
}

static p2p_status check_can_record(const p2p_device *device) {
    if (p2p_device_can_record(device)) return P2P_OK;
    return p2p_fail(P2P_UNSUPPORTED, "%s can't record commands", device->address);
}

p2p_status p2p_record_begin(p2p_device *device) {
    P2P_TRY(check_can_record(device));
    return P2P_CALL("record_begin", device->module->device.record_begin(device->be));
}

p2p_status p2p_record_end(p2p_device *device, p2p_recorded **recorded) {
    *recorded = NULL;
    P2P_TRY(check_can_record(device));
    p2p_recorded *created = malloc(sizeof *created);
    if (!created) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a recording's record");
    *created = (p2p_recorded){.device = device};
    p2p_status status = P2P_CALL("record_end", device->module->device.record_end(device->be, &created->be));
    if (status != P2P_OK) {
        free(created);
        return status;
    }
    *recorded = created;
    return P2P_OK;
}

p2p_status p2p_recorded_run(p2p_recorded *recorded) {
    p2p_device *device = recorded->device;
    return P2P_CALL("recording_run", device->module->device.recording_run(device->be, recorded->be));
}

void p2p_recorded_destroy(p2p_recorded *recorded) {
    if (!recorded) return;
    recorded->device->module->device.recording_destroy(recorded->device->be, recorded->be);
    free(recorded);
}
