/* See test_files.h. Calls the system directly and so does not depend on train/host/sys.c. */
#include "test_files.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFERS = 8, PATH_BYTES = 1024 };

static void require(bool holds, const char *what, const char *path) {
    if (holds) return;
    fprintf(stderr, "the test can't %s %s\n", what, path);
    abort();
}

char *test_folder_make(void) {
    const char *base = getenv("TMPDIR");
    char name[PATH_BYTES];
    snprintf(name, sizeof name, "%s/p2p-test-XXXXXX", base == NULL || base[0] == '\0' ? "/tmp" : base);
    require(mkdtemp(name) != NULL, "make", name);
    return strdup(name);
}

static bool is_itself_or_parent(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void remove_tree(const char *path) {
    DIR *folder = opendir(path);
    require(folder != NULL, "open", path);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (is_itself_or_parent(entry->d_name)) continue;
        char below[PATH_BYTES];
        require(snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < PATH_BYTES, "name", path);
        struct stat about;
        require(lstat(below, &about) == 0, "see", below);
        if (S_ISDIR(about.st_mode))
            remove_tree(below);
        else
            require(unlink(below) == 0, "remove", below);
    }
    closedir(folder);
    require(rmdir(path) == 0, "remove", path);
}

void test_folder_remove(char *folder) {
    remove_tree(folder);
    free(folder);
}

char *test_own_folder;

int test_own_folder_make(void **state) {
    (void)state;
    test_own_folder = test_folder_make();
    return 0;
}

int test_own_folder_remove(void **state) {
    (void)state;
    test_folder_remove(test_own_folder);
    return 0;
}

const char *test_path(const char *folder, const char *name) {
    static char buffers[BUFFERS][PATH_BYTES];
    static unsigned next;
    char *buffer = buffers[next++ % BUFFERS];
    require(snprintf(buffer, PATH_BYTES, "%s/%s", folder, name) < PATH_BYTES, "name", name);
    return buffer;
}

const char *test_own_path(const char *name) {
    return test_path(test_own_folder, name);
}

const char *test_golden(const char *name) {
    const char *moved = getenv("P2P_TEST_GOLDEN");
    return test_path(moved && moved[0] ? moved : P2P_TEST_DIR "/golden", name);
}

void test_file_write(const char *path, const void *bytes, size_t size) {
    FILE *stream = fopen(path, "wb");
    require(stream != NULL, "write", path);
    require(size == 0 || fwrite(bytes, 1, size, stream) == size, "write", path);
    require(fclose(stream) == 0, "write", path);
}

uint8_t *test_file_read(const char *path, size_t *size) {
    FILE *stream = fopen(path, "rb");
    require(stream != NULL && fseek(stream, 0, SEEK_END) == 0, "read", path);
    long length = ftell(stream);
    require(length >= 0 && fseek(stream, 0, SEEK_SET) == 0, "read", path);
    uint8_t *bytes = malloc((size_t)length + 1);
    require(bytes != NULL && fread(bytes, 1, (size_t)length, stream) == (size_t)length, "read", path);
    bytes[length] = 0; /* texts end as strings */
    fclose(stream);
    *size = (size_t)length;
    return bytes;
}

bool test_is_there(const char *path) {
    struct stat about;
    return lstat(path, &about) == 0;
}

void test_folder_add(const char *path) {
    require(mkdir(path, 0777) == 0, "make", path);
}

void test_link_add(const char *path, const char *target) {
    require(symlink(target, path) == 0, "link", path);
}

size_t test_folder_entries(const char *path) {
    DIR *folder = opendir(path);
    require(folder != NULL, "open", path);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (!is_itself_or_parent(entry->d_name)) count++;
    closedir(folder);
    return count;
}

static uint32_t get_u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~crc;
}

void test_png_seal(uint8_t *bytes, size_t size) {
    enum { SIGNATURE = 8, AROUND = 12 }; /* a chunk: length, name, content, checksum of name and content */
    if (size < SIGNATURE || bytes[0] != 0x89) return;
    for (size_t at = SIGNATURE; size - at >= AROUND;) {
        size_t length = get_u32(bytes + at);
        if (length > size - at - AROUND) return;
        uint32_t crc = crc32_of(bytes + at + 4, length + 4);
        for (size_t i = 0; i < 4; i++) bytes[at + 8 + length + i] = (uint8_t)(crc >> (24 - 8 * i));
        at += length + AROUND;
    }
}

uint64_t test_fnv(const void *bytes, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}
