/* Checksums over libxxhash. See p2p_checksum.h. */
#include "p2p_checksum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct p2p_checksum_state {
    XXH3_state_t *xxh3;
};

p2p_status p2p_checksum_create(p2p_checksum_state **state) {
    *state = calloc(1, sizeof **state);
    if (*state && ((*state)->xxh3 = XXH3_createState())) {
        p2p_checksum_reset(*state);
        return P2P_OK;
    }
    free(*state);
    *state = NULL;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a checksum");
}

void p2p_checksum_destroy(p2p_checksum_state *state) {
    if (!state) return;
    XXH3_freeState(state->xxh3);
    free(state);
}

void p2p_checksum_reset(p2p_checksum_state *state) {
    XXH3_128bits_reset(state->xxh3);
}

void p2p_checksum_add(p2p_checksum_state *state, const void *bytes, size_t size) {
    if (size > 0) XXH3_128bits_update(state->xxh3, bytes, size);
}

void p2p_checksum_add_part(p2p_checksum_state *state, const void *bytes, size_t size) {
    unsigned char count[8];
    for (int i = 0; i < 8; i++) count[i] = (unsigned char)((uint64_t)size >> 8 * i);
    p2p_checksum_add(state, count, sizeof count);
    p2p_checksum_add(state, bytes, size);
}

static p2p_checksum canonical(XXH128_hash_t hash) {
    XXH128_canonical_t digest;
    p2p_checksum value;
    XXH128_canonicalFromHash(&digest, hash);
    memcpy(value.bytes, digest.digest, sizeof value.bytes);
    return value;
}

p2p_checksum p2p_checksum_value(const p2p_checksum_state *state) {
    return canonical(XXH3_128bits_digest(state->xxh3));
}

p2p_checksum p2p_checksum_of(const void *bytes, size_t size) {
    return canonical(XXH3_128bits(size > 0 ? bytes : "", size));
}

bool p2p_checksum_same(const p2p_checksum *a, const p2p_checksum *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void p2p_checksum_text(const p2p_checksum *value, char text[P2P_CHECKSUM_DIGITS + 1]) {
    for (int i = 0; i < P2P_CHECKSUM_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", value->bytes[i]);
}

uint64_t p2p_fnv1a(uint64_t hash, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(1099511628211);
    return hash;
}
