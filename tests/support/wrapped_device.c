/* See wrapped_device.h. */
#include "wrapped_device.h"

static const p2p_device_table *table;

static p2p_be_device *inner(p2p_be_device *device) {
    return *(p2p_be_device **)(void *)device;
}

static p2p_status buffer_create(p2p_be_device *device, size_t bytes, p2p_be_buffer **buffer) {
    return table->buffer_create(inner(device), bytes, buffer);
}

static void buffer_destroy(p2p_be_device *device, p2p_be_buffer *buffer) {
    table->buffer_destroy(inner(device), buffer);
}

static p2p_status buffer_write(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes) {
    return table->buffer_write(inner(device), to, from, bytes);
}

static p2p_status buffer_read(p2p_be_device *device, p2p_binding from, void *to, size_t bytes) {
    return table->buffer_read(inner(device), from, to, bytes);
}

static p2p_status buffer_copy(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes) {
    return table->buffer_copy(inner(device), from, to, bytes);
}

static p2p_status submit(p2p_be_device *device, p2p_ticket *ticket) {
    return table->submit(inner(device), ticket);
}

static p2p_status wait(p2p_be_device *device, p2p_ticket ticket) {
    return table->wait(inner(device), ticket);
}

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    return table->op_query(inner(device), op, answer);
}

p2p_device_table wrapped_device_table(const p2p_module *reference) {
    table = &reference->device;
    return (p2p_device_table){.buffer_create = buffer_create,
                              .buffer_destroy = buffer_destroy,
                              .buffer_write = buffer_write,
                              .buffer_read = buffer_read,
                              .buffer_copy = buffer_copy,
                              .op_query = op_query,
                              .submit = submit,
                              .wait = wait};
}
