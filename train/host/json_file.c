/* See json_file.h. */
#include "json_file.h"

#include "json_text.h"
#include "p2p_checksum.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

static const char seal_key[] = "checksum", algorithm[] = "xxh128:";

enum { SEAL_LENGTH = sizeof algorithm - 1 + P2P_CHECKSUM_DIGITS };

static p2p_status no_memory(const char *path) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory for the file", path);
}

typedef p2p_status file_writer(const char *path, const void *bytes, size_t size);

static p2p_status write_text(const char *path, json_t *value, size_t flags, file_writer *write_file) {
    char *text;
    p2p_status status = json_text_make(path, value, flags | JSON_ENSURE_ASCII, &text);
    json_decref(value);
    P2P_TRY(status);
    status = write_file(path, text, strlen(text));
    free(text);
    return status;
}

p2p_status json_file_write(const char *path, json_t *value, size_t flags) {
    return write_text(path, value, flags, sys_file_write);
}

p2p_status json_file_write_new(const char *path, json_t *value, size_t flags) {
    return write_text(path, value, flags, sys_file_write_new);
}

/* ---- The checksum ------------------------------------------------------------------------------------- */

/* The seal of an object without one: of its text with sorted fields and without spaces. */
static p2p_status seal_of(const json_t *object, const char *path, char seal[SEAL_LENGTH + 1]) {
    char *text, digits[P2P_CHECKSUM_DIGITS + 1];
    P2P_TRY(json_text_make(path, object, JSON_COMPACT | JSON_SORT_KEYS, &text));
    const p2p_checksum value = p2p_checksum_of(text, strlen(text));
    free(text);
    p2p_checksum_text(&value, digits);
    snprintf(seal, SEAL_LENGTH + 1, "%s%s", algorithm, digits);
    return P2P_OK;
}

p2p_status json_file_write_sealed(const char *path, json_t *object, size_t flags) {
    char seal[SEAL_LENGTH + 1];
    p2p_status status = object ? seal_of(object, path, seal) : no_memory(path);
    json_t *sealed = status == P2P_OK ? json_pack("{s:s}", seal_key, seal) : NULL;
    const bool complete = sealed && json_object_update(sealed, object) == 0;
    json_decref(object);
    if (complete) return json_file_write(path, sealed, flags);
    json_decref(sealed);
    return status == P2P_OK ? no_memory(path) : status;
}

static bool is_seal(const char *text) {
    return text && strlen(text) == SEAL_LENGTH && memcmp(text, algorithm, sizeof algorithm - 1) == 0;
}

/* Whether a seal is the value of another field: then the name of its own field is damaged. */
static bool has_stray_seal(const json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        if (is_seal(json_string_value(value))) return true;
    }
    return false;
}

static p2p_status check_seal(json_t *object, const char *path) {
    char seal[SEAL_LENGTH + 1], recorded[SEAL_LENGTH + 1] = "";
    const json_t *field = json_object_get(object, seal_key);
    if (!field && !has_stray_seal(object)) return P2P_OK;
    if (is_seal(json_string_value(field)))
        snprintf(recorded, sizeof recorded, "%s", json_string_value(field));
    json_object_del(object, seal_key);
    P2P_TRY(seal_of(object, path, seal));
    if (strcmp(seal, recorded) == 0) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is damaged or was changed: its checksum is not that of its other fields", path);
    return p2p_hint(P2P_INPUT, "if you changed it on purpose, remove the line with \"%s\"", seal_key);
}

static p2p_status parse(const char *path, const uint8_t *bytes, size_t size, json_t **object) {
    json_error_t error;
    P2P_TRY(json_text_parse(path, (const char *)bytes, size, JSON_REJECT_DUPLICATES, object, &error));
    if (!*object) return p2p_fail(P2P_INPUT, "%s is damaged: line %d: %s", path, error.line, error.text);
    p2p_status status = json_is_object(*object)
                            ? check_seal(*object, path)
                            : p2p_fail(P2P_INPUT, "%s is damaged: it has no JSON object", path);
    if (status == P2P_OK) return P2P_OK;
    json_decref(*object);
    *object = NULL;
    return status;
}

p2p_status json_file_read_sealed(const char *path, json_t **object) {
    uint8_t *bytes;
    size_t size;
    uint64_t total;
    *object = NULL;
    P2P_TRY(sys_file_read(path, JSON_FILE_LARGEST, &bytes, &size, &total));
    p2p_status status = total > JSON_FILE_LARGEST
                            ? p2p_fail(P2P_INPUT, "%s is damaged: it is longer than 1 MiB", path)
                            : parse(path, bytes, size, object);
    free(bytes);
    return status;
}
