/* JSON files with a checksum: read back, and every damaged bit and length is found or without effect; a file
 * without a checksum is accepted, an edited one is not.
 */
#include "host/json_file.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/test_expect.h"

static json_t *example(void) {
    json_t *object =
        json_pack("{s:s, s:I, s:f, s:n, s:b, s:[i, i], s:{s:s}}", "data",
                  "a \"folder\"\n\xc3\xa9\xe2\x80\xae\x7f", "epochs", (json_int_t)200, "lr", 0.1,
                  "init_generator", "no_flip", 1, "list", 1, 2, "nested", "seed", "18446744073709551615");
    assert_non_null(object);
    return object;
}

static const char *write_example(void) {
    const char *path = test_own_path("config.json");
    OK(json_file_write_sealed(path, example(), JSON_INDENT(2)));
    return path;
}

static void assert_holds_example(json_t *read) {
    json_t *wanted = example();
    assert_true(json_equal(read, wanted));
    json_decref(wanted);
    json_decref(read);
}

static void test_read_back(void **state) {
    (void)state;
    json_t *read;
    const char *path = write_example();
    OK(json_file_read_sealed(path, &read));
    assert_holds_example(read);
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    assert_non_null(strstr((char *)bytes, "{\n  \"checksum\": \"xxh128:"));
    free(bytes);
    /* Spaces and the order of fields do not matter: other programs format a file as they like. */
    json_t *whole = json_load_file(path, 0, NULL);
    OK(json_file_write(path, whole, JSON_COMPACT | JSON_SORT_KEYS));
    OK(json_file_read_sealed(path, &read));
    assert_holds_example(read);
    bytes = test_file_read(path, &size);
    for (size_t i = 0; i < size; i++) assert_in_range(bytes[i], ' ', '~');
    free(bytes);
    char *text = json_dumps(whole = example(), JSON_COMPACT); /* as older versions wrote it */
    test_file_write(path, text, strlen(text));
    json_decref(whole);
    free(text);
    OK(json_file_read_sealed(path, &read));
    assert_holds_example(read);
}

static void test_every_bit(void **state) {
    (void)state;
    const char *path = write_example();
    size_t size;
    int refused = 0;
    uint8_t *bytes = test_file_read(path, &size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        json_t *read;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        test_file_write(path, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const p2p_status status = json_file_read_sealed(path, &read);
        refused += status == P2P_INPUT;
        if (status == P2P_OK)
            assert_holds_example(read);
        else
            assert_int_equal(status, P2P_INPUT);
    }
    for (size_t length = 0; length < size; length++) {
        json_t *read;
        test_file_write(path, bytes, length);
        REFUSED(json_file_read_sealed(path, &read), P2P_INPUT, path);
        assert_null(read);
    }
    print_message("%d of %zu bits refused, the others without effect\n", refused, 8 * size);
    assert_true(refused > 0);
    free(bytes);
}

/* Replaces a text of the file, which may be followed by others, and reads the file. */
static p2p_status read_edited(const char *from, const char *to) {
    const char *path = write_example();
    size_t size;
    char *text = (char *)test_file_read(path, &size), edited[2048], *at = strstr(text, from);
    assert_non_null(at);
    snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    free(text);
    test_file_write(path, edited, strlen(edited));
    json_t *read;
    p2p_status status = json_file_read_sealed(path, &read);
    json_decref(read);
    return status;
}

static void test_edits(void **state) {
    (void)state;
    REFUSED(read_edited("200", "400"), P2P_INPUT, "was changed");
    HINT_HAS("remove the line with \"checksum\"");
    REFUSED(read_edited("\"checksum\"", "\"checksun\""), P2P_INPUT, "was changed");
    REFUSED(read_edited("xxh128:", "xxh129:"), P2P_INPUT, "was changed");
    REFUSED(read_edited("\"nested\"", "\"data\""), P2P_INPUT, "duplicate");
    REFUSED(read_edited("{\n", "[{\n"), P2P_INPUT, "config.json");
}

static void test_other_files(void **state) {
    (void)state;
    json_t *read;
    REFUSED(json_file_read_sealed(test_own_path("missing"), &read), P2P_UNREADABLE, "missing");
    REFUSED(json_file_read_sealed(test_own_folder, &read), P2P_UNREADABLE, "folder");
    assert_int_equal(mkfifo(test_own_path("pipe"), 0600), 0);
    REFUSED(json_file_read_sealed(test_own_path("pipe"), &read), P2P_UNREADABLE, "pipe");
    test_file_write(test_own_path("list"), "[1]", 3);
    REFUSED(json_file_read_sealed(test_own_path("list"), &read), P2P_INPUT, "no JSON object");
    char *large = malloc(JSON_FILE_LARGEST + 1);
    assert_non_null(large);
    memset(large, ' ', JSON_FILE_LARGEST + 1);
    test_file_write(test_own_path("large"), large, JSON_FILE_LARGEST + 1);
    free(large);
    REFUSED(json_file_read_sealed(test_own_path("large"), &read), P2P_INPUT, "longer than 1 MiB");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_read_back),
        TEST_IN_FOLDER(test_every_bit),
        TEST_IN_FOLDER(test_edits),
        TEST_IN_FOLDER(test_other_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
