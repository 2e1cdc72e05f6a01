/* Writing safetensors files tensor by tensor. The header depends on the declarations only, so it is written
 * before the first element, but for the seal, which is known after the last. */
#include "safetensors_internal.h"

#include "json_text.h"
#include "p2p_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Data begin at a multiple of DATA_ALIGNMENT bytes of the file. */
enum {
    LENGTH_BYTES = 8,
    DATA_ALIGNMENT = 64,
    MOST_SPACES = SAFETENSORS_SEAL_SPACES + DATA_ALIGNMENT,
    CHUNK_BYTES = 1 << 16
};

/* Where the seal is in the file. */
static const long SEAL_AT = LENGTH_BYTES + sizeof SAFETENSORS_SEAL_START - 1;

struct safetensors_writer {
    p2p_atomic_file file;
    json_t *header;
    safetensors_entry *entries;
    int count, capacity;
    int written;   /* tensors that are completely in the file */
    uint64_t part; /* bytes of the next tensor that are in the file */
    bool started;  /* the header is in the file */
    safetensors_seal seal;
};

static p2p_status no_memory(void) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a header of safetensors");
}

/* The metadata are first in the header, and the seal is first in the metadata. */
static json_t *header_with_room_for_seal(void) {
    char room[SAFETENSORS_SEAL_BYTES];
    snprintf(room, sizeof room, "%0*d", SAFETENSORS_SEAL_LENGTH, 0);
    return json_pack("{s:{s:s}}", SAFETENSORS_METADATA_KEY, SAFETENSORS_SEAL_KEY, room);
}

p2p_status safetensors_create(const char *path, safetensors_writer **writer) {
    *writer = NULL;
    safetensors_writer *created = calloc(1, sizeof *created);
    if (!created) return no_memory();
    created->header = header_with_room_for_seal();
    p2p_status status = created->header ? p2p_atomic_open(&created->file, path) : no_memory();
    if (status != P2P_OK) {
        safetensors_abandon(created);
        return status;
    }
    *writer = created;
    return P2P_OK;
}

p2p_status safetensors_add_metadata(safetensors_writer *writer, const char *key, const char *value) {
    if (writer->started) return p2p_fail(P2P_INVALID, "metadata %s comes after the first tensor", key);
    if (strcmp(key, SAFETENSORS_SEAL_KEY) == 0)
        return p2p_fail(P2P_INVALID, "metadata %s are written by safetensors_commit", key);
    json_t *metadata = json_object_get(writer->header, SAFETENSORS_METADATA_KEY);
    if (json_object_set_new(metadata, key, json_string(value)) != 0)
        return p2p_fail(P2P_INVALID, "metadata %s can't be written: no memory, or its value is not UTF-8",
                        key);
    return P2P_OK;
}

/* ---- Declaring ---------------------------------------------------------------------------------------- */

static p2p_status grow(safetensors_writer *writer) {
    if (writer->count < writer->capacity) return P2P_OK;
    const int capacity = writer->capacity ? 2 * writer->capacity : 64;
    safetensors_entry *entries = realloc(writer->entries, (size_t)capacity * sizeof *entries);
    if (!entries) return no_memory();
    writer->entries = entries;
    writer->capacity = capacity;
    return P2P_OK;
}

static json_t *describe(const safetensors_entry *entry) {
    json_t *shape = json_array();
    for (int i = 0; shape && i < entry->rank; i++) {
        if (json_array_append_new(shape, json_integer(entry->shape[i])) == 0) continue;
        json_decref(shape);
        shape = NULL;
    }
    if (!shape) return NULL;
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", safetensors_dtype_name(entry->dtype), "shape", shape,
                     "data_offsets", (json_int_t)entry->begin, (json_int_t)entry->end);
}

static p2p_status check_declaration(const safetensors_writer *writer, const char *name,
                                    safetensors_dtype dtype, int rank, const int64_t *shape) {
    if (writer->started)
        return p2p_fail(P2P_INVALID, "tensor %s is declared after the first was written", name);
    if (!safetensors_name_valid(name) || strcmp(name, SAFETENSORS_METADATA_KEY) == 0)
        return p2p_fail(P2P_INVALID, "a tensor can't be named '%s'", name);
    if (json_object_get(writer->header, name))
        return p2p_fail(P2P_INVALID, "tensor %s is declared twice", name);
    if (dtype != SAFETENSORS_F64 && dtype != SAFETENSORS_F32 && dtype != SAFETENSORS_I64)
        return p2p_fail(P2P_INVALID, "tensor %s: only F64, F32 and I64 are written", name);
    bool valid = rank >= 0 && rank <= SAFETENSORS_MAX_RANK;
    for (int i = 0; valid && i < rank; i++) valid = shape[i] >= 0;
    return valid ? P2P_OK : p2p_fail(P2P_INVALID, "tensor %s has no valid shape", name);
}

p2p_status safetensors_declare(safetensors_writer *writer, const char *name, safetensors_dtype dtype,
                               int rank, const int64_t *shape) {
    P2P_TRY(check_declaration(writer, name, dtype, rank, shape));
    P2P_TRY(grow(writer));
    safetensors_entry *entry = &writer->entries[writer->count];
    *entry = (safetensors_entry){.dtype = dtype, .rank = rank};
    snprintf(entry->name, sizeof entry->name, "%s", name);
    for (int i = 0; i < rank; i++) entry->shape[i] = shape[i];
    entry->begin = writer->count > 0 ? entry[-1].end : 0;
    uint64_t bytes;
    if (!safetensors_size(entry, &bytes) || bytes > (uint64_t)INT64_MAX - entry->begin)
        return p2p_fail(P2P_INVALID, "tensor %s is too large", name);
    entry->end = entry->begin + bytes;
    if (json_object_set_new(writer->header, name, describe(entry)) != 0)
        return p2p_fail(P2P_INVALID, "tensor %s can't be declared: no memory, or its name is not UTF-8",
                        name);
    writer->count++;
    return P2P_OK;
}

/* ---- Elements ----------------------------------------------------------------------------------------- */

static void store(unsigned char *bytes, uint64_t value, int count) {
    for (int i = 0; i < count; i++) bytes[i] = (unsigned char)(value >> (8 * i));
}

static p2p_status put(safetensors_writer *writer, const void *bytes, size_t count) {
    if (fwrite(bytes, 1, count, writer->file.stream) == count) return P2P_OK;
    return p2p_fail(P2P_IO, "can't write %s: %s", writer->file.path, strerror(errno));
}

/* The spaces after a header of `length` bytes: the mark of p2p's layout, and the alignment of the data. */
static size_t padding_of(size_t length) {
    const size_t least = LENGTH_BYTES + length + SAFETENSORS_SEAL_SPACES;
    return SAFETENSORS_SEAL_SPACES + (DATA_ALIGNMENT - least % DATA_ALIGNMENT) % DATA_ALIGNMENT;
}

static p2p_status put_header(safetensors_writer *writer, const char *text) {
    char spaces[MOST_SPACES];
    unsigned char prefix[LENGTH_BYTES];
    const size_t length = strlen(text), padding = padding_of(length);
    memset(spaces, ' ', sizeof spaces);
    store(prefix, length + padding, LENGTH_BYTES);
    P2P_TRY(put(writer, prefix, sizeof prefix));
    P2P_TRY(put(writer, text, length));
    return put(writer, spaces, padding);
}

static p2p_status start(safetensors_writer *writer) {
    const json_t *metadata = json_object_get(writer->header, SAFETENSORS_METADATA_KEY);
    P2P_TRY(safetensors_seal_begin(&writer->seal, metadata, writer->entries, writer->count));
    char *text;
    P2P_TRY(json_text_make(writer->file.path, writer->header, JSON_COMPACT | JSON_ENSURE_ASCII, &text));
    p2p_status status = put_header(writer, text);
    free(text);
    writer->started = true;
    return status;
}

/* Write the seal over the room that the header has for it. */
static p2p_status put_seal(safetensors_writer *writer) {
    char text[SAFETENSORS_SEAL_BYTES];
    safetensors_seal_text(&writer->seal, text);
    if (fseek(writer->file.stream, SEAL_AT, SEEK_SET) != 0)
        return p2p_fail(P2P_IO, "can't write %s: %s", writer->file.path, strerror(errno));
    return put(writer, text, SAFETENSORS_SEAL_LENGTH);
}

/* Constant shifts, which compilers turn into one store on little-endian machines. */
static void store_4(unsigned char *to, const unsigned char *from) {
    uint32_t bits;
    memcpy(&bits, from, sizeof bits);
    to[0] = (unsigned char)bits;
    to[1] = (unsigned char)(bits >> 8);
    to[2] = (unsigned char)(bits >> 16);
    to[3] = (unsigned char)(bits >> 24);
}

static void store_8(unsigned char *to, const unsigned char *from) {
    uint64_t bits;
    memcpy(&bits, from, sizeof bits);
    store(to, bits, sizeof bits);
}

/* Bytes in the file's order; the bits of elements do not change. */
static void store_elements(unsigned char *to, const unsigned char *from, size_t bytes, int element) {
    if (element == 4)
        for (size_t at = 0; at < bytes; at += 4) store_4(to + at, from + at);
    else
        for (size_t at = 0; at < bytes; at += 8) store_8(to + at, from + at);
}

/* The next bytes of the tensor that is being written. */
static p2p_status put_elements(safetensors_writer *writer, const unsigned char *elements, uint64_t bytes,
                               int element) {
    unsigned char chunk[CHUNK_BYTES];
    for (uint64_t done = 0; done < bytes;) {
        const size_t some = bytes - done < sizeof chunk ? (size_t)(bytes - done) : sizeof chunk;
        store_elements(chunk, elements + done, some, element);
        P2P_TRY(put(writer, chunk, some));
        safetensors_seal_add(&writer->seal, writer->written, writer->part + done, chunk, some);
        done += some;
    }
    return P2P_OK;
}

p2p_status safetensors_write_part(safetensors_writer *writer, const void *elements, int64_t count) {
    if (!writer->started) P2P_TRY(start(writer));
    const unsigned char *next = elements;
    do {
        if (writer->written == writer->count)
            return p2p_fail(P2P_INVALID, "more tensors written than declared");
        const safetensors_entry *entry = &writer->entries[writer->written];
        const int element = safetensors_dtype_bytes(entry->dtype);
        const uint64_t room = entry->end - entry->begin - writer->part,
                       wanted = (uint64_t)count * (uint64_t)element;
        const uint64_t bytes = wanted < room ? wanted : room;
        P2P_TRY(put_elements(writer, next, bytes, element));
        next += bytes;
        count -= (int64_t)bytes / element;
        writer->part = bytes < room ? writer->part + bytes : 0;
        if (bytes == room) writer->written++;
    } while (count > 0);
    return P2P_OK;
}

p2p_status safetensors_write(safetensors_writer *writer, const void *elements) {
    if (writer->written == writer->count) return safetensors_write_part(writer, elements, 1); /* fails */
    const safetensors_entry *entry = &writer->entries[writer->written];
    if (writer->part > 0) return p2p_fail(P2P_INVALID, "tensor %s is half written", entry->name);
    return safetensors_write_part(writer, elements, safetensors_elements(entry));
}

p2p_status safetensors_commit(safetensors_writer *writer) {
    p2p_status status = writer->started ? P2P_OK : start(writer);
    if (status == P2P_OK && writer->written < writer->count)
        status = p2p_fail(P2P_INVALID, "tensor %s was declared but not written",
                          writer->entries[writer->written].name);
    if (status == P2P_OK) status = put_seal(writer);
    if (status == P2P_OK) status = p2p_atomic_commit(&writer->file);
    safetensors_abandon(writer);
    return status;
}

void safetensors_abandon(safetensors_writer *writer) {
    if (!writer) return;
    p2p_atomic_abandon(&writer->file);
    json_decref(writer->header);
    safetensors_seal_free(&writer->seal);
    free(writer->entries);
    free(writer);
}
