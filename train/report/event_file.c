/* See event_file.h. The messages are those of TensorFlow's event.proto and summary.proto, and of
 * TensorBoard's plug-in for hyper-parameters. */
#include "event_file.h"

#include "host/memory_stream.h"
#include "host/sys.h"
#include "p2p_file.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event_file {
    FILE *stream;
    char *path;
};

/* ---- Messages ------------------------------------------------------------------------------------------ */

typedef memory_stream message;

typedef enum { WIRE_NUMBER = 0, WIRE_8_BYTES = 1, WIRE_BYTES = 2, WIRE_4_BYTES = 5 } wire_type;

/* The lowest `count` bytes, the lowest first. */
static void put_low_first(message *to, uint64_t value, int count) {
    for (int i = 0; i < count; i++) memory_stream_put(to, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static void put_varint(message *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7) memory_stream_put(to, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
    memory_stream_put(to, &(uint8_t){(uint8_t)value}, 1);
}

static void put_key(message *to, int field, wire_type type) {
    put_varint(to, (uint64_t)field << 3 | (uint64_t)type);
}

static void put_integer(message *to, int field, int64_t value) {
    put_key(to, field, WIRE_NUMBER);
    put_varint(to, (uint64_t)value);
}

static void put_double(message *to, int field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(to, field, WIRE_8_BYTES);
    put_low_first(to, bits, 8);
}

static void put_float(message *to, int field, double value) {
    const float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    put_key(to, field, WIRE_4_BYTES);
    put_low_first(to, bits, 4);
}

static void put_block(message *to, int field, const void *bytes, size_t size) {
    put_key(to, field, WIRE_BYTES);
    put_varint(to, size);
    memory_stream_put(to, bytes, size);
}

static void put_text(message *to, int field, const char *text) {
    put_block(to, field, text, strlen(text));
}

/* Put a message into another one, and free it. One that is not whole makes the other one not whole. */
static void put_message(message *to, int field, message *made) {
    if (memory_stream_finish(made))
        put_block(to, field, made->bytes, made->size);
    else
        to->failed = true;
    free(made->bytes);
}

/* ---- Records ------------------------------------------------------------------------------------------- */

uint32_t event_file_crc(const uint8_t *bytes, size_t size) {
    const uint32_t polynomial = 0x82f63b78; /* with the lowest bit first */
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    }
    return ~crc;
}

/* A checksum of bytes that contain checksums is weaker, so it is stored rotated and shifted. */
static uint32_t masked_crc(const uint8_t *bytes, size_t size) {
    const uint32_t crc = event_file_crc(bytes, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static void low_first(uint64_t value, int count, uint8_t *bytes) {
    for (int i = 0; i < count; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static p2p_status write_record(event_file *file, const uint8_t *bytes, size_t size) {
    uint8_t head[12], tail[4];
    low_first(size, 8, head);
    low_first(masked_crc(head, 8), 4, head + 8);
    low_first(masked_crc(bytes, size), 4, tail);
    if (fwrite(head, 1, sizeof head, file->stream) == sizeof head &&
        fwrite(bytes, 1, size, file->stream) == size &&
        fwrite(tail, 1, sizeof tail, file->stream) == sizeof tail)
        return P2P_OK;
    return p2p_fail(P2P_IO, "%s: %s", file->path, strerror(errno));
}

/* ---- Events -------------------------------------------------------------------------------------------- */

enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SCALAR = 2, VALUE_PICTURE = 4, VALUE_TENSOR = 8, VALUE_METADATA = 9 };

static void begin_event(message *event, int64_t step) {
    memory_stream_open(event);
    put_double(event, EVENT_TIME, sys_time());
    put_integer(event, EVENT_STEP, step);
}

static p2p_status write_event(event_file *file, message *event) {
    const p2p_status status = memory_stream_finish(event)
                                  ? write_record(file, (const uint8_t *)event->bytes, event->size)
                                  : p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory for an event", file->path);
    free(event->bytes);
    return status;
}

/* An event with a summary, whose ownership it takes. */
static p2p_status write_summary(event_file *file, int64_t step, message *summary) {
    message event;
    begin_event(&event, step);
    put_message(&event, EVENT_SUMMARY, summary);
    return write_event(file, &event);
}

p2p_status event_file_scalars(event_file *file, int64_t step, const event_scalar *scalars, int count) {
    message summary, value;
    memory_stream_open(&summary);
    for (int i = 0; i < count; i++) {
        if (!isfinite(scalars[i].value)) continue;
        memory_stream_open(&value);
        put_text(&value, VALUE_TAG, scalars[i].tag);
        put_float(&value, VALUE_SCALAR, scalars[i].value);
        put_message(&summary, SUMMARY_VALUE, &value);
    }
    return write_summary(file, step, &summary);
}

p2p_status event_file_picture(event_file *file, int64_t step, const char *tag, int width, int height,
                              const uint8_t *png, size_t size) {
    enum { HEIGHT = 1, WIDTH = 2, COLOURS = 3, ENCODED = 4, RGB = 3 };
    message summary, value, picture;
    memory_stream_open(&picture);
    put_integer(&picture, HEIGHT, height);
    put_integer(&picture, WIDTH, width);
    put_integer(&picture, COLOURS, RGB);
    put_block(&picture, ENCODED, png, size);
    memory_stream_open(&value);
    put_text(&value, VALUE_TAG, tag);
    put_message(&value, VALUE_PICTURE, &picture);
    memory_stream_open(&summary);
    put_message(&summary, SUMMARY_VALUE, &value);
    return write_summary(file, step, &summary);
}

/* ---- Hyper-parameters ---------------------------------------------------------------------------------- */

/* The value of a setting; false if it has none. Texts and numbers of JSON. */
static bool put_setting(message *to, const json_t *setting) {
    enum { NUMBER = 2, TEXT = 3, TRUTH = 4 };
    if (json_is_number(setting)) put_double(to, NUMBER, json_number_value(setting));
    if (json_is_string(setting)) put_text(to, TEXT, json_string_value(setting));
    if (json_is_boolean(setting)) put_integer(to, TRUTH, json_is_true(setting));
    return json_is_number(setting) || json_is_string(setting) || json_is_boolean(setting);
}

/* An entry of the map from names to values. */
static void put_entry(message *start, const char *name, const json_t *setting) {
    enum { ENTRIES = 1, KEY = 1, VALUE = 2 };
    message entry, value;
    memory_stream_open(&value);
    if (!put_setting(&value, setting)) {
        (void)memory_stream_finish(&value);
        free(value.bytes);
        return;
    }
    memory_stream_open(&entry);
    put_text(&entry, KEY, name);
    put_message(&entry, VALUE, &value);
    put_message(start, ENTRIES, &entry);
}

/* Values of plug-ins have a tensor: here one zero. */
static void put_zero(message *value) {
    enum { TYPE = 1, SHAPE = 2, FLOATS = 5, FLOAT_TYPE = 1, DIMENSION = 2, EXTENT = 1 };
    message tensor, shape, dimension;
    memory_stream_open(&dimension);
    put_integer(&dimension, EXTENT, 1);
    memory_stream_open(&shape);
    put_message(&shape, DIMENSION, &dimension);
    memory_stream_open(&tensor);
    put_integer(&tensor, TYPE, FLOAT_TYPE);
    put_message(&tensor, SHAPE, &shape);
    put_float(&tensor, FLOATS, 0);
    put_message(value, VALUE_TENSOR, &tensor);
}

/* The metadata of a value of the plug-in. Takes its contents. */
static void put_plugin(message *value, message *contents) {
    enum { PLUGIN = 1, NAME = 1, CONTENT = 2 };
    message metadata, plugin;
    memory_stream_open(&plugin);
    put_text(&plugin, NAME, "hparams");
    put_message(&plugin, CONTENT, contents);
    memory_stream_open(&metadata);
    put_message(&metadata, PLUGIN, &plugin);
    put_message(value, VALUE_METADATA, &metadata);
}

p2p_status event_file_settings(event_file *file, const json_t *settings, const char *group) {
    enum { GROUP = 4, START_TIME = 5, START = 3 };
    message summary, value, contents, start;
    const char *name;
    json_t *setting;
    memory_stream_open(&start);
    json_object_foreach((json_t *)(uintptr_t)settings, name, setting) {
        put_entry(&start, name, setting);
    }
    put_text(&start, GROUP, group);
    put_double(&start, START_TIME, sys_time());
    memory_stream_open(&contents);
    put_message(&contents, START, &start);
    memory_stream_open(&value);
    put_text(&value, VALUE_TAG, "_hparams_/session_start_info");
    put_zero(&value);
    put_plugin(&value, &contents);
    memory_stream_open(&summary);
    put_message(&summary, SUMMARY_VALUE, &value);
    return write_summary(file, 0, &summary);
}

/* ---- The file ------------------------------------------------------------------------------------------ */

static p2p_status write_start(event_file *file, int64_t first_step) {
    enum { STATUS = 1, STARTED = 1 };
    message event, session;
    begin_event(&event, 0);
    put_text(&event, EVENT_VERSION, "brain.Event:2");
    P2P_TRY(write_event(file, &event));
    if (first_step <= 1) return event_file_flush(file);
    memory_stream_open(&session);
    put_integer(&session, STATUS, STARTED);
    begin_event(&event, first_step);
    put_message(&event, EVENT_SESSION, &session);
    P2P_TRY(write_event(file, &event));
    return event_file_flush(file);
}

/* TensorBoard takes files whose names contain "tfevents", in the order of their names. */
static p2p_status open_new(event_file *file, const char *folder, const char *run) {
    char name[128];
    bool exists = true;
    for (int i = 0; exists; i++) {
        free(file->path);
        file->path = NULL;
        snprintf(name, sizeof name, "events.out.tfevents.%010.0f.%d%s%s.p2p", floor(sys_time()), i,
                 run[0] ? "." : "", run);
        P2P_TRY(sys_path_join(&file->path, folder, name));
        P2P_TRY(sys_path_exists(file->path, &exists));
    }
    return p2p_file_append(file->path, &file->stream);
}

bool event_file_run(const char *name, const char **run) {
    long long time;
    int number, start = 0, end = 0;
    *run = NULL;
    if (sscanf(name, "events.out.tfevents.%lld.%d.%n%*32[0-9a-f].p2p%n", &time, &number, &start, &end) != 2)
        return false;
    *run = name + start;
    return end == start + (int)strlen(".p2p") + 32 && name[end] == '\0';
}

p2p_status event_file_create(event_file **file, const char *folder, const char *run, int64_t first_step) {
    *file = calloc(1, sizeof **file);
    if (!*file) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for an event file");
    p2p_status status = open_new(*file, folder, run);
    if (status == P2P_OK) status = write_start(*file, first_step);
    if (status == P2P_OK) return P2P_OK;
    event_file_close(*file);
    *file = NULL;
    return status;
}

void event_file_close(event_file *file) {
    if (!file) return;
    if (file->stream) fclose(file->stream);
    free(file->path);
    free(file);
}

p2p_status event_file_flush(event_file *file) {
    return fflush(file->stream) == 0 ? P2P_OK : p2p_fail(P2P_IO, "%s: %s", file->path, strerror(errno));
}
