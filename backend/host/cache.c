/* Files of the cache. A file has a header of 56 bytes, followed by the value:
 *
 *   bytes  0 to  7   "p2pcache"
 *          8 to 15   version of this format, little-endian
 *         16 to 31   the key's hash (XXH128)
 *         32 to 39   the value's size in bytes, little-endian
 *         40 to 55   hash of the rest of the file (XXH128)
 *
 * The file's name consists of the kind and the key's hash. Accidental collisions of 128-bit hashes are
 * negligible, so keys are not stored. Readers verify everything: the size limit before memory is allocated,
 * then version, key, length and checksum.
 */
#include "cache.h"
#include "log.h"
#include "p2p_checksum.h"
#include "p2p_file.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    AT_VERSION = 8,
    AT_KEY = 16,
    AT_SIZE = 32,
    AT_CHECK = 40,
    HEADER_BYTES = 56,
    HASH_BYTES = P2P_CHECKSUM_BYTES,
    FORMAT_VERSION = 1
};

static const char magic[] = "p2pcache";

static void put_number(unsigned char *bytes, uint64_t number) {
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(number >> 8 * i);
}

static uint64_t get_number(const unsigned char *bytes) {
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

/* ---- Hashes ------------------------------------------------------------------------------------------- */

/* Hashes each part after its size, so that moving a byte from one part to the next changes the hash. */
static p2p_status hash_parts(const p2p_key_part *parts, int count, unsigned char hash[HASH_BYTES]) {
    p2p_checksum_state *state;
    P2P_TRY(p2p_checksum_create(&state));
    for (int i = 0; i < count; i++) p2p_checksum_add_part(state, parts[i].bytes, parts[i].size);
    const p2p_checksum value = p2p_checksum_value(state);
    p2p_checksum_destroy(state);
    memcpy(hash, value.bytes, HASH_BYTES);
    return P2P_OK;
}

static p2p_status hash_file(const unsigned char *file, size_t size, unsigned char hash[HASH_BYTES]) {
    const p2p_key_part parts[] = {{file, AT_CHECK}, {file + HEADER_BYTES, size - HEADER_BYTES}};
    return hash_parts(parts, 2, hash);
}

/* ---- Paths -------------------------------------------------------------------------------------------- */

static p2p_status path_of_hash(const char *folder, const char *kind, const unsigned char hash[HASH_BYTES],
                               char **path) {
    char hex[P2P_CHECKSUM_DIGITS + 1];
    p2p_checksum value;
    memcpy(value.bytes, hash, HASH_BYTES);
    p2p_checksum_text(&value, hex);
    const size_t room = strlen(folder) + strlen(kind) + sizeof hex + sizeof "/-";
    *path = malloc(room);
    if (!*path) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    snprintf(*path, room, "%s/%s-%s", folder, kind, hex);
    return P2P_OK;
}

/* Computes the hash and the path of an entry. P2P_OK with *path NULL if the cache is off. */
static p2p_status locate(const char *kind, const p2p_key_part *key, int parts, unsigned char hash[HASH_BYTES],
                         char **path) {
    const char *folder = NULL;
    *path = NULL;
    P2P_TRY(p2p_cache_folder(&folder));
    if (!folder) return P2P_OK;
    P2P_TRY(hash_parts(key, parts, hash));
    return path_of_hash(folder, kind, hash, path);
}

p2p_status p2p_cache_path(const char *kind, const p2p_key_part *key, int parts, char **path) {
    unsigned char hash[HASH_BYTES];
    P2P_TRY(locate(kind, key, parts, hash, path));
    return *path ? P2P_OK : p2p_fail(P2P_IO, "the cache is off");
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

/* The reason why an entry is invalid; NULL if it is valid. */
static const char *find_damage(const unsigned char *file, size_t size, const unsigned char key[HASH_BYTES]) {
    unsigned char check[HASH_BYTES];
    if (memcmp(file, magic, sizeof magic - 1) != 0) return "it is not a file of the cache";
    if (get_number(file + AT_VERSION) != FORMAT_VERSION) return "it has another version";
    if (memcmp(file + AT_KEY, key, HASH_BYTES) != 0) return "it has another key";
    if (get_number(file + AT_SIZE) != size - HEADER_BYTES) return "its size is not that of its header";
    if (hash_file(file, size, check) != P2P_OK) return "there is no memory to check it";
    return memcmp(file + AT_CHECK, check, HASH_BYTES) == 0 ? NULL : "its checksum is wrong";
}

static p2p_status read_entry(const char *path, FILE *stream, uint64_t size,
                             const unsigned char key[HASH_BYTES], void **value, size_t *value_size) {
    if (size < HEADER_BYTES || size > HEADER_BYTES + (uint64_t)P2P_CACHE_LARGEST)
        return p2p_fail(P2P_INPUT, "%s: no entry is %llu bytes long", path, (unsigned long long)size);
    unsigned char *file = malloc((size_t)size);
    if (!file) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %s", path);
    const char *damage = "it can't be read";
    if (fread(file, 1, (size_t)size, stream) == size) damage = find_damage(file, (size_t)size, key);
    if (damage) {
        free(file);
        return p2p_fail(P2P_INPUT, "%s: %s", path, damage);
    }
    *value_size = (size_t)size - HEADER_BYTES;
    memmove(file, file + HEADER_BYTES, *value_size);
    *value = file;
    return P2P_OK;
}

static p2p_status find_entry(const char *path, const unsigned char key[HASH_BYTES], void **value,
                             size_t *size) {
    FILE *stream = NULL;
    uint64_t file_size = 0;
    P2P_TRY(p2p_file_open_private(path, &stream, &file_size));
    p2p_status status = read_entry(path, stream, file_size, key, value, size);
    fclose(stream);
    return status;
}

bool p2p_cache_get(const char *kind, const p2p_key_part *key, int parts, void **value, size_t *size) {
    unsigned char hash[HASH_BYTES];
    char *path = NULL;
    *value = NULL;
    *size = 0;
    p2p_status status = locate(kind, key, parts, hash, &path);
    if (status == P2P_OK && !path) return false;
    if (status == P2P_OK) status = find_entry(path, hash, value, size);
    if (status != P2P_OK) p2p_log("cache: %s", p2p_message());
    free(path);
    return status == P2P_OK;
}

/* The place of the 32 digits of the key at the end of a name; NULL if there are none. */
static const char *digits_of(const char *name) {
    const char *dash = strrchr(name, '-');
    const bool matches = dash && dash > name && strlen(dash + 1) == P2P_CHECKSUM_DIGITS &&
                         strspn(dash + 1, "0123456789abcdef") == P2P_CHECKSUM_DIGITS;
    return matches ? dash + 1 : NULL;
}

bool p2p_cache_is_entry_name(const char *name) {
    return digits_of(name) != NULL;
}

static void parse_digits(const char *digits, unsigned char hash[HASH_BYTES]) {
    for (int i = 0; i < HASH_BYTES; i++) {
        unsigned byte = 0;
        sscanf(digits + (size_t)2 * (size_t)i, "%2x", &byte);
        hash[i] = (unsigned char)byte;
    }
}

p2p_status p2p_cache_check_entry(const char *path, bool *foreign, size_t *size) {
    unsigned char hash[HASH_BYTES];
    FILE *stream = NULL;
    uint64_t file_size = 0;
    void *value = NULL;
    const char *digits = digits_of(path);
    *foreign = false;
    *size = 0;
    if (!digits) return p2p_fail(P2P_INVALID, "%s: it is not the name of an entry", path);
    parse_digits(digits, hash);
    p2p_status status = p2p_file_open_private(path, &stream, &file_size);
    *foreign = status != P2P_OK;
    P2P_TRY(status);
    status = read_entry(path, stream, file_size, hash, &value, size);
    fclose(stream);
    free(value);
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

/* Access for the user only, because drivers execute the contents. */
enum { FOLDER_PERMISSIONS = 0700 };

/* Before the first entry is written, files that killed processes left are removed. */
static p2p_status make_folder_of(const char *path) {
    static atomic_flag swept = ATOMIC_FLAG_INIT;
    char *folder = strdup(path);
    if (!folder) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a path");
    *strrchr(folder, '/') = '\0';
    p2p_status status = p2p_folder_make(folder, FOLDER_PERMISSIONS);
    if (status == P2P_OK && !atomic_flag_test_and_set(&swept)) status = p2p_atomic_sweep(folder);
    free(folder);
    return status;
}

static p2p_status write_entry(const char *path, const unsigned char key[HASH_BYTES], const void *value,
                              size_t size) {
    if (size > P2P_CACHE_LARGEST)
        return p2p_fail(P2P_INVALID, "%zu bytes are more than an entry may have", size);
    P2P_TRY(make_folder_of(path));
    unsigned char *file = malloc(HEADER_BYTES + size);
    if (!file) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %s", path);
    memcpy(file, magic, sizeof magic - 1);
    put_number(file + AT_VERSION, FORMAT_VERSION);
    memcpy(file + AT_KEY, key, HASH_BYTES);
    put_number(file + AT_SIZE, size);
    if (size > 0) memcpy(file + HEADER_BYTES, value, size);
    p2p_status status = hash_file(file, HEADER_BYTES + size, file + AT_CHECK);
    if (status == P2P_OK) status = p2p_file_publish(path, file, HEADER_BYTES + size);
    free(file);
    return status;
}

void p2p_cache_put(const char *kind, const p2p_key_part *key, int parts, const void *value, size_t size) {
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    unsigned char hash[HASH_BYTES];
    char *path = NULL;
    p2p_status status = locate(kind, key, parts, hash, &path);
    if (status == P2P_OK && !path) return;
    if (status == P2P_OK) status = write_entry(path, hash, value, size);
    free(path);
    if (status == P2P_OK) return;
    p2p_log("cache: %s", p2p_message());
    if (!atomic_flag_test_and_set(&warned))
        p2p_warn("%s; later starts will take as long as this one", p2p_message());
}
