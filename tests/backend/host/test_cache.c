/* The cache between runs: its folder, values read back unchanged, detection of damage of any kind, a single
 * warning if entries cannot be written, and several processes at once.
 */
#include "device/device.h"
#include "host/cache.h"
#include "p2p.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PART(text) ((p2p_key_part){text, sizeof text - 1})

static const p2p_key_part key[] = {{"source", 6}, {"driver 1.0", 10}};
enum { PARTS = 2, HEADER = 56 };

static int in_fresh_folder(void **state) {
    if (test_own_folder_make(state) != 0) return 1;
    return p2p_cache_folder_set(test_own_path("cache")) != P2P_OK;
}

static void put(const char *value) {
    p2p_cache_put("test", key, PARTS, value, strlen(value));
}

static void expect_none(void) {
    void *value = &test_own_folder;
    size_t size = 1;
    assert_false(p2p_cache_get("test", key, PARTS, &value, &size));
    assert_null(value);
    assert_int_equal(size, 0);
}

static void expect(const char *wanted) {
    void *value = NULL;
    size_t size = 0;
    assert_true(p2p_cache_get("test", key, PARTS, &value, &size));
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(value, wanted, size);
    free(value);
}

/* ---- Values and keys ----------------------------------------------------------------------------------- */

static void gives_back_what_was_kept(void **state) {
    (void)state;
    expect_none();
    put("first");
    expect("first");
    put("second, in its place");
    expect("second, in its place");
    put("");
    expect("");
    assert_int_equal(test_folder_entries(test_own_path("cache")), 1); /* no temporary file remains */
}

static void tells_keys_apart(void **state) {
    (void)state;
    put("value");
    const p2p_key_part others[][PARTS] = {{PART("source"), PART("driver 1.1")},
                                          {PART("sourc"), PART("edriver 1.0")},
                                          {PART("sourcedriver 1.0"), PART("")},
                                          {PART("driver 1.0"), PART("source")}};
    void *value = NULL;
    size_t size = 0;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(p2p_cache_get("test", others[i], PARTS, &value, &size));
    assert_false(p2p_cache_get("test", key, 1, &value, &size));
    assert_false(p2p_cache_get("other", key, PARTS, &value, &size));
    expect("value");
}

static void keeps_nothing_enormous(void **state) {
    (void)state;
    static const char byte = 1; /* not read: the size alone decides */
    p2p_cache_put("test", key, PARTS, &byte, (size_t)P2P_CACHE_LARGEST + 1);
    expect_none();
}

/* ---- The folder --------------------------------------------------------------------------------------- */

/* Reads the environment again and checks the cache's folder. */
static void expect_below(const char *wanted) {
    assert_int_equal(p2p_cache_folder_set(NULL), P2P_OK);
    char *path = NULL;
    assert_int_equal(p2p_cache_path("test", key, PARTS, &path), P2P_OK);
    assert_int_equal(strncmp(path, wanted, strlen(wanted)), 0);
    const char *name = path + strlen(wanted);
    assert_int_equal(strncmp(name, "/test-", 6), 0);
    assert_int_equal(strspn(name + 6, "0123456789abcdef"), 32);
    assert_int_equal(strlen(name), 6 + 32);
    free(path);
}

static void lies_where_the_environment_says(void **state) {
    (void)state;
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    setenv("P2P_CACHE_DIR", "own", 1);
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    setenv("HOME", "/home/someone", 1);
    expect_below("own");
    setenv("P2P_CACHE_DIR", "", 1);
    expect_below("/xdg/p2p");
    unsetenv("P2P_CACHE_DIR");
    expect_below("/xdg/p2p");
    setenv("XDG_CACHE_HOME", "relative", 1);
    expect_below("/home/someone/.cache/p2p");
    unsetenv("XDG_CACHE_HOME");
    expect_below("/home/someone/.cache/p2p");
    unsetenv("HOME");
    assert_int_equal(p2p_cache_folder_set(NULL), P2P_OK);
    char *path = NULL;
    assert_int_equal(p2p_cache_path("test", key, PARTS, &path), P2P_IO);
    assert_null(path);
    expect_none();
    put("nowhere");
    if (home) setenv("HOME", home, 1);
    free(home);
}

/* Only the first use reads the environment, or a device that is opened before it. */
static void stays_where_it_was(void **state) {
    (void)state;
    p2p_device *device = NULL;
    setenv("P2P_CACHE_DIR", test_own_path("first"), 1);
    assert_int_equal(p2p_cache_folder_set(NULL), P2P_OK);
    assert_int_equal(p2p_device_open("reference:0", &device), P2P_OK);
    setenv("P2P_CACHE_DIR", test_own_path("second"), 1);
    put("value");
    p2p_device_close(device);
    assert_int_equal(test_folder_entries(test_own_path("first")), 1);
    assert_int_equal(test_folder_entries(test_own_folder), 1);
    unsetenv("P2P_CACHE_DIR");
}

static void lies_where_the_program_says(void **state) {
    (void)state;
    setenv("P2P_CACHE_DIR", test_own_path("environment"), 1);
    assert_int_equal(p2p_cache_folder_set(test_own_path("program")), P2P_OK);
    put("value");
    expect("value");
    assert_int_equal(test_folder_entries(test_own_path("program")), 1);
    assert_int_equal(test_folder_entries(test_own_folder), 1);
    assert_int_equal(p2p_cache_folder_set(""), P2P_INVALID);
    expect("value");
    unsetenv("P2P_CACHE_DIR");
}

static void expect_off(void) {
    char *path = NULL;
    put("value");
    expect_none();
    assert_int_equal(p2p_cache_path("test", key, PARTS, &path), P2P_IO);
    assert_null(path);
    assert_int_equal(test_folder_entries(test_own_folder), 0);
}

static void can_be_off(void **state) {
    (void)state;
    assert_int_equal(p2p_cache_folder_set("off"), P2P_OK);
    expect_off();
    setenv("P2P_CACHE_DIR", "off", 1);
    assert_int_equal(p2p_cache_folder_set(NULL), P2P_OK);
    expect_off();
    unsetenv("P2P_CACHE_DIR");
}

static void belongs_to_the_user_alone(void **state) {
    (void)state;
    assert_int_equal(p2p_cache_folder_set(test_own_path("deep/er/cache")), P2P_OK);
    put("value");
    expect("value");
    struct stat about;
    assert_int_equal(stat(test_own_path("deep/er/cache"), &about), 0);
    assert_int_equal(about.st_mode & 077, 0);
}

/* ---- Damage -------------------------------------------------------------------------------------------- */

static char *entry_path(void) {
    char *path = NULL;
    assert_int_equal(p2p_cache_path("test", key, PARTS, &path), P2P_OK);
    return path;
}

/* The entry with other bytes is not found, and can be written again. */
static void expect_damage(const void *bytes, size_t size) {
    char *path = entry_path();
    test_file_write(path, bytes, size);
    free(path);
    expect_none();
}

static void notices_damage(void **state) {
    (void)state;
    put("a value of some length");
    char *path = entry_path();
    size_t size = 0;
    uint8_t *entry = test_file_read(path, &size);
    assert_int_equal(size, HEADER + strlen("a value of some length"));
    for (size_t length = 0; length < size; length++) expect_damage(entry, length);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        entry[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_damage(entry, size);
        entry[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    uint8_t *longer = calloc(size + 1, 1);
    assert_non_null(longer);
    memcpy(longer, entry, size);
    expect_damage(longer, size + 1);
    memset(longer + 32, 0xFF, 8); /* 2^64 - 1 bytes */
    expect_damage(longer, size);
    free(longer);
    test_file_write(path, entry, size);
    expect("a value of some length"); /* the undamaged entry is found */
    put("made again");
    expect("made again");
    free(entry);
    free(path);
}

static void notices_another_keys_entry(void **state) {
    (void)state;
    const p2p_key_part other[] = {PART("another")};
    char *other_path = NULL;
    size_t size = 0;
    p2p_cache_put("test", other, 1, "value", 5);
    assert_int_equal(p2p_cache_path("test", other, 1, &other_path), P2P_OK);
    uint8_t *entry = test_file_read(other_path, &size);
    expect_damage(entry, size);
    free(entry);
    free(other_path);
}

static void refuses_what_is_no_entry(void **state) {
    (void)state;
    char *path = entry_path();
    put("value");
    unlink(path);
    test_folder_add(path);
    expect_none();
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* opening it must not wait for a writer */
    expect_none();
    unlink(path);
    test_link_add(path, "/dev/zero");
    expect_none();
    unlink(path);
    /* A sparse file whose header states more bytes than an entry may have; no such length is allocated or
     * read. */
    FILE *huge = fopen(path, "wb");
    assert_non_null(huge);
    assert_int_equal(ftruncate(fileno(huge), (off_t)1 << 40), 0);
    fclose(huge);
    expect_none();
    put("value");
    expect("value");
    free(path);
}

/* ---- What can't be written ----------------------------------------------------------------------------- */

/* In a process of its own, because a warning comes once per process. */
static void warn_and_exit(FILE *stream) {
    p2p_warnings_to(stream);
    p2p_cache_folder_set("off");
    put("a value"); /* with the cache off nothing is written and nothing is wrong */
    p2p_cache_folder_set(test_own_path("file/cache"));
    put("a value");
    put("another");
    exit(fflush(stream) == 0 ? 0 : 1);
}

static void warns_once(void **state) {
    (void)state;
    test_file_write(test_own_path("file"), "in the way", 10);
    FILE *stream = tmpfile();
    assert_non_null(stream);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) warn_and_exit(stream);
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    rewind(stream);
    char text[1024] = "";
    size_t length = fread(text, 1, sizeof text - 1, stream);
    fclose(stream);
    assert_true(length > 0);
    assert_int_equal(strncmp(text, "warning: can't make the folder ", 31), 0);
    assert_non_null(strstr(text, "/file: "));
    assert_ptr_equal(strchr(text, '\n'), text + length - 1); /* one line */
}

/* ---- Others ------------------------------------------------------------------------------------------- */

/* In a process of its own. The folder can be written by its group. */
static void use_shared_folder(FILE *stream) {
    p2p_warnings_to(stream);
    expect_none();
    put("a forged value");
    expect_none();
    exit(fflush(stream) == 0 ? 0 : 1);
}

/* The single warning of that process. */
static void expect_warning_of_shared_folder(void) {
    char text[1024] = "";
    FILE *stream = tmpfile();
    assert_non_null(stream);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) use_shared_folder(stream);
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    rewind(stream);
    const size_t length = fread(text, 1, sizeof text - 1, stream);
    fclose(stream);
    assert_int_equal(strncmp(text, "warning: cache: the folder ", 27), 0);
    assert_non_null(strstr(text, test_own_path("cache")));
    assert_ptr_equal(strchr(text, '\n'), text + length - 1); /* one line */
}

/* Entries are programs that drivers execute: what others can write, or have linked, is not used. */
static void refuses_what_others_can_write(void **state) {
    (void)state;
    char *path = entry_path();
    const char *cache = test_own_path("cache");
    put("a value");
    assert_int_equal(chmod(path, 0602), 0);
    expect_none();
    assert_int_equal(chmod(path, 0600), 0);
    expect("a value");
    assert_int_equal(rename(path, test_own_path("moved")), 0);
    test_link_add(path, test_own_path("moved"));
    expect_none();
    assert_int_equal(rename(test_own_path("moved"), path), 0);
    assert_int_equal(chmod(cache, 0707), 0);
    expect_warning_of_shared_folder();
    assert_int_equal(chmod(cache, 0700), 0);
    expect("a value");
    assert_int_equal(test_folder_entries(cache), 1);
    free(path);
}

/* ---- Several at once ----------------------------------------------------------------------------------- */

enum { WRITERS = 4, ROUNDS = 200, VALUE_BYTES = 100000 };

/* Write and read the same entry; 0 if every value found is the complete value of one writer. */
static int write_and_read(int writer) {
    unsigned char *mine = malloc(VALUE_BYTES);
    if (!mine) return 2;
    memset(mine, writer + 1, VALUE_BYTES);
    for (int round = 0; round < ROUNDS; round++) {
        p2p_cache_put("test", key, PARTS, mine, VALUE_BYTES);
        void *value = NULL;
        size_t size = 0;
        /* Always found: a writer leaves the old entry in place until the new one is complete. */
        if (!p2p_cache_get("test", key, PARTS, &value, &size) || size != VALUE_BYTES) return 3;
        const unsigned char *found = value;
        if (found[0] < 1 || found[0] > WRITERS) return 4;
        for (size_t i = 1; i < size; i++)
            if (found[i] != found[0]) return 5;
        free(value);
    }
    free(mine);
    return 0;
}

static void bears_several_processes(void **state) {
    (void)state;
    pid_t children[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) exit(write_and_read(i));
    }
    for (int i = 0; i < WRITERS; i++) {
        int result = -1;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_int_equal(result, 0);
    }
    assert_int_equal(test_folder_entries(test_own_path("cache")), 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, in_fresh_folder, test_own_folder_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(refuses_what_others_can_write),
        TEST(warns_once), /* before any test that can't write */
        TEST(gives_back_what_was_kept),
        TEST(tells_keys_apart),
        TEST(keeps_nothing_enormous),
        TEST(lies_where_the_environment_says),
        TEST(lies_where_the_program_says),
        TEST(stays_where_it_was),
        TEST(can_be_off),
        TEST(belongs_to_the_user_alone),
        TEST(notices_damage),
        TEST(notices_another_keys_entry),
        TEST(refuses_what_is_no_entry),
        TEST(bears_several_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
