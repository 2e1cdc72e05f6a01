/* Reading safetensors files, including malicious ones: the whole header is parsed and checked before any
 * tensor is read, and every size is bounded by that of the file. The data's checksums are computed while
 * tensors are read; safetensors_verify compares them. */
#include "safetensors_internal.h"

#include "json_text.h"
#include "p2p_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The format allows 100 MB. A U-Net's header has about 10 kB. Parsed JSON can take fifty times the memory of
 * its text, so a file could cause allocations of 5 GB; hence a lower limit. */
enum { MAX_HEADER_BYTES = 16 << 20, LENGTH_BYTES = 8, CHUNK_BYTES = 1 << 16 };

struct safetensors_file {
    FILE *stream;
    char *path;
    json_t *metadata; /* NULL if there is none */
    safetensors_entry *entries;
    int count;
    uint64_t data_start, data_bytes;
    bool own_layout;       /* the header has the layout in which p2p writes */
    bool sealed;           /* the header matches its seal, and the contents are compared with it */
    bool written_by_other; /* has p2p's seal, but another program wrote other contents */
    bool warned;           /* of this */
    safetensors_seal seal; /* if sealed */
};

/* What a file is that can't be parsed: p2p's own files were whole once. */
static const char *unusable_kind(const safetensors_file *file) {
    return file->own_layout ? "damaged" : "not a usable safetensors file";
}

static p2p_status unusable(const safetensors_file *file, const char *reason) {
    return p2p_fail(P2P_INPUT, "%s is %s: %s", file->path, unusable_kind(file), reason);
}

static p2p_status unusable_tensor(const safetensors_file *file, const char *name, const char *reason) {
    return p2p_fail(P2P_INPUT, "%s is %s: tensor %s: %s", file->path, unusable_kind(file), name, reason);
}

/* After a read of the header or of a tensor that was not complete: a failure of the system does not show
 * damage. */
static p2p_status incomplete(const safetensors_file *file, const safetensors_entry *entry) {
    static const char shorter[] = "the file has become shorter while it was read";
    if (ferror(file->stream))
        return p2p_fail(P2P_UNREADABLE, "can't read %s: %s", file->path, strerror(errno));
    return entry ? unusable_tensor(file, entry->name, shorter) : unusable(file, shorter);
}

/* ---- Header ------------------------------------------------------------------------------------------- */

static bool parse_dtype(const json_t *node, safetensors_dtype *dtype) {
    const char *text = json_string_value(node);
    for (int i = 0; text && i < SAFETENSORS_DTYPE_COUNT; i++) {
        *dtype = (safetensors_dtype)i;
        if (strcmp(text, safetensors_dtype_name(*dtype)) == 0) return true;
    }
    return false;
}

static bool parse_shape(const json_t *node, safetensors_entry *entry) {
    if (!json_is_array(node) || json_array_size(node) > SAFETENSORS_MAX_RANK) return false;
    entry->rank = (int)json_array_size(node);
    for (int i = 0; i < entry->rank; i++) {
        const json_t *extent = json_array_get(node, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0) return false;
        entry->shape[i] = json_integer_value(extent);
    }
    return true;
}

static bool parse_offsets(const json_t *node, safetensors_entry *entry) {
    if (!json_is_array(node) || json_array_size(node) != 2) return false;
    const json_t *begin = json_array_get(node, 0), *end = json_array_get(node, 1);
    if (!json_is_integer(begin) || !json_is_integer(end)) return false;
    if (json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin)) return false;
    entry->begin = (uint64_t)json_integer_value(begin);
    entry->end = (uint64_t)json_integer_value(end);
    return true;
}

/* Parse a tensor's description and check it, also against the file's size. */
static p2p_status parse_entry(const safetensors_file *file, const char *name, const json_t *node,
                              safetensors_entry *entry) {
    if (!safetensors_name_valid(name))
        return unusable(file, "a tensor's name is empty, too long or holds control characters");
    snprintf(entry->name, sizeof entry->name, "%s", name);
    if (!json_is_object(node)) return unusable_tensor(file, name, "its description is not a JSON object");
    if (!parse_dtype(json_object_get(node, "dtype"), &entry->dtype))
        return unusable_tensor(file, name, "dtype is missing or unknown");
    if (!parse_shape(json_object_get(node, "shape"), entry))
        return unusable_tensor(file, name, "shape is missing or not at most 8 extents");
    if (!parse_offsets(json_object_get(node, "data_offsets"), entry))
        return unusable_tensor(file, name, "data_offsets are missing or not two growing offsets");
    if (entry->end > file->data_bytes)
        return unusable_tensor(file, name, "its data lie beyond the end of the file");
    uint64_t bytes;
    if (!safetensors_size(entry, &bytes) || bytes != entry->end - entry->begin)
        return unusable_tensor(file, name, "its data don't have the size of its shape");
    return P2P_OK;
}

static p2p_status parse_metadata(safetensors_file *file, json_t *node) {
    if (!json_is_object(node)) return unusable(file, "its metadata are not a JSON object");
    const char *key;
    json_t *value;
    json_object_foreach(node, key, value) {
        if (!json_is_string(value)) return unusable(file, "a value in its metadata is not a string");
    }
    file->metadata = json_incref(node);
    return P2P_OK;
}

static p2p_status parse_header(safetensors_file *file, json_t *root) {
    if (!json_is_object(root)) return unusable(file, "its header is not a JSON object");
    file->entries = calloc(json_object_size(root) + 1, sizeof *file->entries);
    if (!file->entries) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the tensors of %s", file->path);
    const char *name;
    json_t *node;
    json_object_foreach(root, name, node) {
        if (strcmp(name, SAFETENSORS_METADATA_KEY) == 0) {
            P2P_TRY(parse_metadata(file, node));
        } else {
            P2P_TRY(parse_entry(file, name, node, &file->entries[file->count]));
            file->count++;
        }
    }
    return P2P_OK;
}

static int compare_offsets(const void *left, const void *right) {
    const safetensors_entry *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1; /* an empty tensor before one that it touches */
    return strcmp(a->name, b->name);
}

/* Check that the tensors cover the data exactly once, as the format requires. */
static p2p_status check_cover(safetensors_file *file) {
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, compare_offsets);
    uint64_t covered = 0;
    for (int i = 0; i < file->count; i++) {
        const safetensors_entry *entry = &file->entries[i];
        if (entry->begin < covered)
            return unusable_tensor(file, entry->name, "its data overlap another tensor's");
        if (entry->begin > covered)
            return unusable_tensor(file, entry->name, "bytes before its data belong to no tensor");
        covered = entry->end;
    }
    if (covered != file->data_bytes) return unusable(file, "bytes at its end belong to no tensor");
    return P2P_OK;
}

/* ---- The seal ----------------------------------------------------------------------------------------- */

static p2p_status damaged(const safetensors_file *file, const char *what) {
    p2p_fail(P2P_INPUT, "%s is damaged: its checksum is not that of its %s", file->path, what);
    return p2p_hint(
        P2P_INPUT,
        "restore the file from a copy; of a training, p2p train --out RUN --resume writes "
        "generator.safetensors and discriminator.safetensors in RUN again, and moves damaged models "
        "of epochs aside");
}

/* Whether a seal is among the metadata under another key: its key is damaged. */
static bool has_stray_seal(const safetensors_file *file) {
    const char *key;
    json_t *value;
    json_object_foreach(file->metadata, key, value) {
        if (safetensors_seal_is_text(json_string_value(value))) return true;
    }
    return false;
}

/* Compare the header with its seal. Files without a seal are those of other programs and of older versions.
 * See safetensors_internal.h. */
static p2p_status check_seal(safetensors_file *file) {
    const char *seal = safetensors_metadata(file, SAFETENSORS_SEAL_KEY);
    if (!seal) return has_stray_seal(file) ? damaged(file, "header") : P2P_OK;
    P2P_TRY(safetensors_seal_begin(&file->seal, file->metadata, file->entries, file->count));
    file->sealed = safetensors_seal_has_header(seal, &file->seal.header);
    if (!file->sealed && file->own_layout) return damaged(file, "header");
    file->written_by_other = !file->sealed;
    return P2P_OK;
}

/* Check the header's length and read its bytes. The caller frees them, also after a failure. */
static p2p_status load_header(safetensors_file *file, uint64_t size, char **text, size_t *length) {
    unsigned char prefix[LENGTH_BYTES];
    if (size < LENGTH_BYTES) return unusable(file, "it is too short");
    if (fread(prefix, 1, LENGTH_BYTES, file->stream) != LENGTH_BYTES) return incomplete(file, NULL);
    const uint64_t claimed = safetensors_load(prefix, LENGTH_BYTES);
    if (claimed > size - LENGTH_BYTES) return unusable(file, "its header is longer than the file");
    if (claimed > MAX_HEADER_BYTES) return unusable(file, "its header is longer than 16 MB");
    *length = (size_t)claimed;
    *text = malloc(*length + 1);
    if (!*text) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the header of %s", file->path);
    if (fread(*text, 1, *length, file->stream) != *length) return incomplete(file, NULL);
    file->data_start = LENGTH_BYTES + claimed;
    file->data_bytes = size - file->data_start;
    return P2P_OK;
}

static p2p_status read_header(safetensors_file *file, uint64_t size) {
    char *text = NULL;
    size_t length = 0;
    p2p_status status = load_header(file, size, &text, &length);
    if (status != P2P_OK) {
        free(text);
        return status;
    }
    json_error_t error;
    json_t *root;
    status = json_text_parse(file->path, text, length, JSON_REJECT_DUPLICATES, &root, &error);
    file->own_layout = safetensors_seal_is_own_layout(text, length);
    free(text);
    P2P_TRY(status);
    status = root ? parse_header(file, root)
                  : p2p_fail(P2P_INPUT, "%s is %s: its header is not valid JSON (byte %d)", file->path,
                             unusable_kind(file), error.position);
    json_decref(root);
    if (status == P2P_OK) status = check_cover(file);
    return status == P2P_OK ? check_seal(file) : status;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

p2p_status safetensors_open_stream(FILE *stream, uint64_t size, const char *name, safetensors_file **file) {
    *file = NULL;
    safetensors_file *opened = calloc(1, sizeof *opened);
    if (opened) opened->path = malloc(strlen(name) + 1);
    if (!opened || !opened->path) {
        free(opened);
        fclose(stream);
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to read %s", name);
    }
    memcpy(opened->path, name, strlen(name) + 1);
    opened->stream = stream;
    p2p_status status = read_header(opened, size);
    if (status != P2P_OK) {
        safetensors_close(opened);
        return status;
    }
    *file = opened;
    return P2P_OK;
}

p2p_status safetensors_open(const char *path, safetensors_file **file) {
    *file = NULL;
    FILE *stream;
    uint64_t size;
    P2P_TRY(p2p_file_open(path, &stream, &size));
    return safetensors_open_stream(stream, size, path, file);
}

void safetensors_close(safetensors_file *file) {
    if (!file) return;
    fclose(file->stream);
    json_decref(file->metadata);
    safetensors_seal_free(&file->seal);
    free(file->entries);
    free(file->path);
    free(file);
}

const char *safetensors_path(const safetensors_file *file) {
    return file->path;
}

int safetensors_count(const safetensors_file *file) {
    return file->count;
}

const safetensors_entry *safetensors_at(const safetensors_file *file, int index) {
    return &file->entries[index];
}

const safetensors_entry *safetensors_find(const safetensors_file *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->entries[i].name, name) == 0) return &file->entries[i];
    return NULL;
}

const char *safetensors_metadata(const safetensors_file *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}

p2p_status safetensors_read(safetensors_file *file, const safetensors_entry *entry, p2p_type type,
                            void *host) {
    return safetensors_read_part(file, entry, 0, safetensors_elements(entry), type, host);
}

/* Go to byte `offset` of a tensor. */
static p2p_status seek(safetensors_file *file, const safetensors_entry *entry, uint64_t offset) {
    /* data_start + end is at most the file's size, so it fits in off_t. */
    const off_t at = (off_t)(file->data_start + entry->begin + offset);
    if (fseeko(file->stream, at, SEEK_SET) == 0) return P2P_OK;
    return p2p_fail(P2P_UNREADABLE, "can't read %s: %s", file->path, strerror(errno));
}

/* Read the next bytes of a tensor, from its byte `offset` on, and add them to its checksum. */
static p2p_status read_bytes(safetensors_file *file, const safetensors_entry *entry, uint64_t offset,
                             unsigned char *bytes, size_t size) {
    if (fread(bytes, 1, size, file->stream) != size) return incomplete(file, entry);
    if (file->sealed) safetensors_seal_add(&file->seal, (int)(entry - file->entries), offset, bytes, size);
    return P2P_OK;
}

p2p_status safetensors_read_part(safetensors_file *file, const safetensors_entry *entry, int64_t first,
                                 int64_t count, p2p_type type, void *host) {
    const size_t element = (size_t)safetensors_dtype_bytes(entry->dtype);
    const int64_t all = safetensors_elements(entry);
    if (first < 0 || count < 0 || first > all || count > all - first)
        return p2p_fail(P2P_INVALID, "%s: tensor %s has no elements %lld to %lld", file->path, entry->name,
                        (long long)first, (long long)(first + count));
    const uint64_t end = ((uint64_t)first + (uint64_t)count) * element;
    uint64_t offset = (uint64_t)first * element;
    P2P_TRY(seek(file, entry, offset));
    unsigned char chunk[CHUNK_BYTES];
    char *to = host;
    while (offset < end) {
        const size_t bytes = end - offset < sizeof chunk ? (size_t)(end - offset) : sizeof chunk;
        P2P_TRY(read_bytes(file, entry, offset, chunk, bytes));
        safetensors_decode(entry->dtype, chunk, bytes / element, type, to);
        to += bytes / element * (type == P2P_TYPE_f64 ? sizeof(double) : sizeof(float));
        offset += bytes;
    }
    return P2P_OK;
}

/* ---- Verification ------------------------------------------------------------------------------------- */

/* Read a tensor for its checksum alone. */
static p2p_status pass_over(safetensors_file *file, const safetensors_entry *entry) {
    const uint64_t size = entry->end - entry->begin;
    unsigned char chunk[CHUNK_BYTES];
    P2P_TRY(seek(file, entry, 0));
    for (uint64_t offset = 0; offset < size;) {
        const size_t bytes = size - offset < sizeof chunk ? (size_t)(size - offset) : sizeof chunk;
        P2P_TRY(read_bytes(file, entry, offset, chunk, bytes));
        offset += bytes;
    }
    return P2P_OK;
}

static p2p_status check_contents(safetensors_file *file) {
    char text[SAFETENSORS_SEAL_BYTES];
    for (int i = 0; i < file->count; i++)
        if (!file->seal.known[i]) P2P_TRY(pass_over(file, &file->entries[i]));
    safetensors_seal_text(&file->seal, text);
    if (strcmp(text, safetensors_metadata(file, SAFETENSORS_SEAL_KEY)) == 0) return P2P_OK;
    if (file->own_layout) return damaged(file, "tensors");
    file->sealed = false;
    file->written_by_other = true;
    return P2P_OK;
}

p2p_status safetensors_verify(safetensors_file *file) {
    if (file->sealed) P2P_TRY(check_contents(file));
    if (file->written_by_other && !file->warned)
        p2p_warn(
            "%s was changed and saved by another program: p2p's checksum in it belongs to other contents, so "
            "damage can't be detected",
            file->path);
    file->warned = true;
    return P2P_OK;
}
