/* The checksum that p2p writes into its safetensors files; see safetensors_internal.h. It is computed here
 * from contents that others read or write. What follows from a wrong one is decided in safetensors_read.c. */
#include "safetensors_internal.h"

#include <stdlib.h>
#include <string.h>

static const char algorithm[] = "xxh128:";

static int compare_text(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static p2p_status no_memory(void) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the checksum of a safetensors file");
}

/* ---- Of the header ------------------------------------------------------------------------------------ */

static void add_number(p2p_checksum_state *state, uint64_t number) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(number >> 8 * i);
    p2p_checksum_add(state, bytes, sizeof bytes);
}

static void add_text(p2p_checksum_state *state, const char *text) {
    p2p_checksum_add_part(state, text, strlen(text));
}

/* All metadata but the seal itself. */
static p2p_status add_metadata(p2p_checksum_state *state, const json_t *metadata) {
    const char **keys = malloc((json_object_size(metadata) + 1) * sizeof *keys);
    if (!keys) return no_memory();
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)metadata, key, value) {
        if (strcmp(key, SAFETENSORS_SEAL_KEY) != 0) keys[count++] = key;
    }
    qsort(keys, count, sizeof *keys, compare_text);
    add_number(state, count);
    for (size_t i = 0; i < count; i++) {
        add_text(state, keys[i]);
        add_text(state, json_string_value(json_object_get(metadata, keys[i])));
    }
    free(keys);
    return P2P_OK;
}

static void add_entry(p2p_checksum_state *state, const safetensors_entry *entry) {
    add_text(state, entry->name);
    add_text(state, safetensors_dtype_name(entry->dtype));
    add_number(state, (uint64_t)entry->rank);
    for (int i = 0; i < entry->rank; i++) add_number(state, (uint64_t)entry->shape[i]);
}

/* The entries' names are the first fields of the entries, so that a pointer to a name is one to its entry. */
static p2p_status sort_entries(safetensors_seal *seal) {
    const char **names = malloc(((size_t)seal->count + 1) * sizeof *names);
    if (!names) return no_memory();
    for (int i = 0; i < seal->count; i++) names[i] = seal->entries[i].name;
    qsort(names, (size_t)seal->count, sizeof *names, compare_text);
    for (int i = 0; i < seal->count; i++)
        seal->order[i] = (int)((const safetensors_entry *)(const void *)names[i] - seal->entries);
    free(names);
    return P2P_OK;
}

_Static_assert(offsetof(safetensors_entry, name) == 0, "a pointer to a name is one to its entry");

static p2p_status compute_header(safetensors_seal *seal, const json_t *metadata) {
    P2P_TRY(sort_entries(seal));
    P2P_TRY(add_metadata(seal->state, metadata));
    add_number(seal->state, (uint64_t)seal->count);
    for (int i = 0; i < seal->count; i++) add_entry(seal->state, &seal->entries[seal->order[i]]);
    seal->header = p2p_checksum_value(seal->state);
    return P2P_OK;
}

p2p_status safetensors_seal_begin(safetensors_seal *seal, const json_t *metadata,
                                  const safetensors_entry *entries, int count) {
    const size_t room = (size_t)count + 1;
    *seal = (safetensors_seal){.entries = entries,
                               .count = count,
                               .order = calloc(room, sizeof *seal->order),
                               .tensors = calloc(room, sizeof *seal->tensors),
                               .known = calloc(room, sizeof *seal->known),
                               .current = -1};
    if (!seal->order || !seal->tensors || !seal->known) return no_memory();
    P2P_TRY(p2p_checksum_create(&seal->state));
    P2P_TRY(compute_header(seal, metadata));
    for (int i = 0; i < count; i++)
        if (entries[i].begin == entries[i].end) safetensors_seal_add(seal, i, 0, "", 0);
    return P2P_OK;
}

void safetensors_seal_free(safetensors_seal *seal) {
    p2p_checksum_destroy(seal->state);
    free(seal->order);
    free(seal->tensors);
    free(seal->known);
    *seal = (safetensors_seal){0};
}

/* ---- Of the contents ---------------------------------------------------------------------------------- */

void safetensors_seal_add(safetensors_seal *seal, int entry, uint64_t offset, const void *bytes,
                          size_t size) {
    if (offset == 0) {
        seal->current = entry;
        seal->added = 0;
        p2p_checksum_reset(seal->state);
    }
    if (seal->current != entry || seal->added != offset) return;
    p2p_checksum_add(seal->state, bytes, size);
    seal->added += size;
    if (seal->added < seal->entries[entry].end - seal->entries[entry].begin) return;
    seal->tensors[entry] = p2p_checksum_value(seal->state);
    seal->known[entry] = true;
    seal->current = -1;
}

void safetensors_seal_text(safetensors_seal *seal, char text[SAFETENSORS_SEAL_BYTES]) {
    char header[P2P_CHECKSUM_DIGITS + 1], contents[P2P_CHECKSUM_DIGITS + 1];
    p2p_checksum_reset(seal->state);
    seal->current = -1;
    p2p_checksum_add(seal->state, seal->header.bytes, sizeof seal->header.bytes);
    for (int i = 0; i < seal->count; i++) {
        const p2p_checksum *tensor = &seal->tensors[seal->order[i]];
        p2p_checksum_add(seal->state, tensor->bytes, sizeof tensor->bytes);
    }
    const p2p_checksum value = p2p_checksum_value(seal->state);
    p2p_checksum_text(&seal->header, header);
    p2p_checksum_text(&value, contents);
    snprintf(text, SAFETENSORS_SEAL_BYTES, "%s%s:%s", algorithm, header, contents);
}

/* ---- Texts -------------------------------------------------------------------------------------------- */

bool safetensors_seal_has_header(const char *text, const p2p_checksum *header) {
    char digits[P2P_CHECKSUM_DIGITS + 1];
    p2p_checksum_text(header, digits);
    return safetensors_seal_is_text(text) &&
           memcmp(text + sizeof algorithm - 1, digits, P2P_CHECKSUM_DIGITS) == 0;
}

static bool is_digits(const char *text) {
    return strspn(text, "0123456789abcdef") >= P2P_CHECKSUM_DIGITS;
}

bool safetensors_seal_is_text(const char *text) {
    const size_t start = sizeof algorithm - 1;
    return strlen(text) == SAFETENSORS_SEAL_LENGTH && memcmp(text, algorithm, start) == 0 &&
           is_digits(text + start) && text[start + P2P_CHECKSUM_DIGITS] == ':' &&
           is_digits(text + start + P2P_CHECKSUM_DIGITS + 1);
}

bool safetensors_seal_is_own_layout(const char *header, size_t length) {
    static const char start[] = SAFETENSORS_SEAL_START;
    size_t spaces = 0;
    while (spaces < length && header[length - 1 - spaces] == ' ') spaces++;
    return length >= sizeof start - 1 && memcmp(header, start, sizeof start - 1) == 0 &&
           spaces >= SAFETENSORS_SEAL_SPACES;
}
