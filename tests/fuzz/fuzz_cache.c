/* Entries of the cache. If the first byte is odd, the rest is an entry's file; else it becomes one by the
 * right key and checksum, which random bytes don't have. */
#include "fuzz.h"

#include "host/cache.h"
#include "p2p.h"
#include "p2p_checksum.h"
#include "support/test_files.h"

#include <stdlib.h>
#include <string.h>

enum { AT_KEY = 16, AT_SIZE = 32, AT_CHECK = 40, HEADER_BYTES = 56 }; /* cache.c */

static const p2p_key_part key[] = {{"fuzz", 4}};
static const char kind[] = "fuzz";

/* A file that has the key. */
static uint8_t *model;
static char *entry;

static void open_cache(void) {
    size_t size;
    if (model) return;
    fuzz_require(p2p_cache_folder_set(fuzz_path("cache")) == P2P_OK, "the cache has a folder");
    p2p_cache_put(kind, key, 1, "value", 5);
    fuzz_require(p2p_cache_path(kind, key, 1, &entry) == P2P_OK, "an entry has a path");
    model = test_file_read(entry, &size);
    fuzz_require(size == HEADER_BYTES + 5, "an entry is a header and the value");
}

static void seal(uint8_t *file, size_t size) {
    p2p_checksum_state *state;
    if (size < HEADER_BYTES) return;
    memcpy(file + AT_KEY, model + AT_KEY, AT_SIZE - AT_KEY);
    fuzz_require(p2p_checksum_create(&state) == P2P_OK, "memory for a checksum");
    p2p_checksum_add_part(state, file, AT_CHECK);
    p2p_checksum_add_part(state, file + HEADER_BYTES, size - HEADER_BYTES);
    const p2p_checksum check = p2p_checksum_value(state);
    p2p_checksum_destroy(state);
    memcpy(file + AT_CHECK, check.bytes, sizeof check.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    void *value;
    size_t value_size;
    if (size < 1) return 0;
    open_cache();
    uint8_t *file = malloc(size);
    if (!file) abort();
    memcpy(file, bytes + 1, size - 1);
    if (bytes[0] % 2 == 0) seal(file, size - 1);
    test_file_write(entry, file, size - 1);
    if (p2p_cache_get(kind, key, 1, &value, &value_size)) {
        fuzz_require(value_size == size - 1 - HEADER_BYTES, "the value is what follows the header");
        fuzz_require(memcmp(value, file + HEADER_BYTES, value_size) == 0, "and has its bytes");
        fuzz_require(memcmp(file, model, AT_SIZE) == 0, "an entry has the format's version and its key");
        free(value);
    } else {
        fuzz_require(value == NULL && value_size == 0, "what is not found has no value");
    }
    free(file);
    return 0;
}
