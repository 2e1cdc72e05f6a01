/* Hashes of a data set's files (XXH3, 128 bits). See dataset_identity.h. A set's hash is that of its files'
 * hashes in order, so the number of threads changes nothing. */
#define _FILE_OFFSET_BITS 64
#include "dataset_identity.h"

#include "host/sys.h"
#include "p2p_checksum.h"
#include "p2p_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

typedef XXH128_canonical_t file_hash;

static void hash_text(XXH128_hash_t hash, char text[DATASET_HASH_BYTES]) {
    file_hash bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    for (int i = 0; i < 16; i++) snprintf(text + 2 * i, 3, "%02x", bytes.digest[i]);
}

/* ---- One file ----------------------------------------------------------------------------------------- */

/* Add `size` bytes from `offset` on. A file that has become shorter in the meantime adds less. */
static bool add_part(XXH3_state_t *state, FILE *stream, uint64_t offset, uint64_t size) {
    uint8_t buffer[DATASET_SAMPLE_BYTES];
    if (fseeko(stream, (off_t)offset, SEEK_SET) != 0) return false;
    while (size > 0) {
        const size_t wanted = size < sizeof buffer ? (size_t)size : sizeof buffer;
        const size_t got = fread(buffer, 1, wanted, stream);
        XXH3_128bits_update(state, buffer, got);
        if (got < wanted) return !ferror(stream);
        size -= got;
    }
    return true;
}

static bool add_sample(XXH3_state_t *state, FILE *stream, uint64_t size) {
    const uint64_t part = DATASET_SAMPLE_BYTES;
    if (size <= 3 * part) return add_part(state, stream, 0, size);
    return add_part(state, stream, 0, part) && add_part(state, stream, (size - part) / 2, part) &&
           add_part(state, stream, size - part, part);
}

static void add_size(XXH3_state_t *state, uint64_t size) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(size >> (8 * i));
    XXH3_128bits_update(state, bytes, sizeof bytes);
}

static p2p_status hash_file(const char *path, bool all_bytes, XXH128_hash_t *hash) {
    FILE *stream;
    uint64_t size;
    P2P_TRY(p2p_file_open(path, &stream, &size));
    XXH3_state_t *state = XXH3_createState();
    bool read = false;
    if (state) {
        if (!all_bytes) setvbuf(stream, NULL, _IONBF, 0); /* no bytes but those of the sample */
        XXH3_128bits_reset(state);
        add_size(state, size);
        read = all_bytes ? add_part(state, stream, 0, size) : add_sample(state, stream, size);
        *hash = XXH3_128bits_digest(state);
    }
    const int reason = errno;
    XXH3_freeState(state);
    fclose(stream);
    if (!state) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to read %s", path);
    return read ? P2P_OK : p2p_fail(P2P_UNREADABLE, "can't read %s: %s", path, strerror(reason));
}

p2p_status dataset_hash_file(const char *path, char hash[DATASET_HASH_BYTES]) {
    XXH128_hash_t found;
    P2P_TRY(hash_file(path, true, &found));
    hash_text(found, hash);
    return P2P_OK;
}

/* ---- A set -------------------------------------------------------------------------------------------- */

/* The hashes of a set's files: two per pair, the second of which is zero for pairs in one file. */
typedef struct {
    const dataset *data;
    bool all_bytes;
    file_hash *hashes;
    p2p_status *statuses; /* per block */
} hashing;

enum { BLOCK_PAIRS = 64 };

static p2p_status hash_side(hashing *work, const char *path, int64_t index) {
    XXH128_hash_t hash;
    if (!path) return P2P_OK;
    P2P_TRY(hash_file(path, work->all_bytes, &hash));
    XXH128_canonicalFromHash(&work->hashes[index], hash);
    return P2P_OK;
}

static p2p_status hash_pair(hashing *work, int64_t pair) {
    char *a, *b;
    P2P_TRY(dataset_pair_paths(work->data, pair, &a, &b));
    p2p_status status = hash_side(work, a, 2 * pair);
    if (status == P2P_OK) status = hash_side(work, b, 2 * pair + 1);
    free(a);
    free(b);
    return status;
}

static p2p_status hash_pairs(hashing *work, int block) {
    const int64_t count = dataset_count(work->data), first = (int64_t)block * BLOCK_PAIRS;
    for (int64_t pair = first; pair < count && pair < first + BLOCK_PAIRS; pair++)
        P2P_TRY(hash_pair(work, pair));
    return P2P_OK;
}

static void hash_block(void *context, int block) {
    hashing *work = context;
    work->statuses[block] = hash_pairs(work, block);
}

/* A message belongs to the thread that failed, so the first block that failed is read again by this one. */
static p2p_status hash_all(hashing *work, int blocks) {
    sys_parallel(hash_block, work, blocks);
    for (int block = 0; block < blocks; block++)
        if (work->statuses[block] != P2P_OK) P2P_TRY(hash_pairs(work, block));
    return P2P_OK;
}

static p2p_status hash_set(const dataset *data, bool all_bytes, char text[DATASET_HASH_BYTES]) {
    const size_t pairs = (size_t)dataset_count(data), blocks = (pairs + BLOCK_PAIRS - 1) / BLOCK_PAIRS;
    hashing work = {.data = data,
                    .all_bytes = all_bytes,
                    .hashes = calloc(2 * pairs, sizeof *work.hashes),
                    .statuses = calloc(blocks, sizeof *work.statuses)};
    p2p_status status = work.hashes && work.statuses
                            ? hash_all(&work, (int)blocks)
                            : p2p_fail(P2P_OUT_OF_MEMORY, "no memory to compare %zu pairs", pairs);
    /* A picture that is turned has other pixels than older versions, which did not turn it, read from it. */
    const uint64_t seed = dataset_turned(data).hash;
    if (status == P2P_OK)
        hash_text(XXH3_128bits_withSeed(work.hashes, 2 * pairs * sizeof *work.hashes, seed), text);
    free(work.hashes);
    free(work.statuses);
    return status;
}

/* Of all names, including their terminators. */
static uint64_t hash_names(const dataset *data) {
    uint64_t hash = P2P_FNV1A_START;
    for (int64_t i = 0; i < dataset_count(data); i++) {
        const char *name = dataset_name(data, i);
        hash = p2p_fnv1a(hash, name, strlen(name) + 1);
    }
    return hash;
}

p2p_status dataset_identify(const dataset *data, bool all_bytes, dataset_identity *identity) {
    *identity = (dataset_identity){.pairs = dataset_count(data), .names = hash_names(data)};
    P2P_TRY(hash_set(data, false, identity->content));
    return all_bytes ? hash_set(data, true, identity->all_bytes) : P2P_OK;
}
