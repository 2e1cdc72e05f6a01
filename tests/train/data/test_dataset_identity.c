/* What identifies pairs: contents by sizes and samples, or by all bytes; names and number; not the folder's
 * place. */
#include "data/dataset_identity.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { PAIRS = 150, WIDTH = 256, HEIGHT = 64 }; /* more pairs than one thread takes at once */

/* The path of file `index` of a set in the test's folder. */
static const char *file_of(const char *set, const char *folder, int index) {
    char name[64];
    snprintf(name, sizeof name, "%s/%s/%03d.bmp", set, folder, index);
    return test_own_path(name);
}

/* A BMP of 24 bits, whose size does not depend on its pixels. */
static void save_bmp(const char *path, int seed) {
    enum { HEADER = 54, BYTES = HEADER + WIDTH * HEIGHT * 3 };
    uint8_t bytes[BYTES] = {[0] = 'B',         [1] = 'M',     [10] = HEADER, [14] = 40, [18] = WIDTH & 255,
                            [19] = WIDTH >> 8, [22] = HEIGHT, [26] = 1,      [28] = 24};
    for (int i = HEADER; i < BYTES; i++) bytes[i] = (uint8_t)(i * 7 + seed);
    test_file_write(path, bytes, sizeof bytes);
}

static void make_set(const char *set, const char *a, const char *b, int pairs) {
    test_folder_add(test_own_path(set));
    test_folder_add(test_path(test_own_path(set), a));
    if (b) test_folder_add(test_path(test_own_path(set), b));
    for (int i = 0; i < pairs; i++) {
        save_bmp(file_of(set, a, i), i);
        if (b) save_bmp(file_of(set, b, i), i + 100);
    }
}

static dataset_identity identify(const char *set, bool all_bytes) {
    const dataset_options options = {.direction = DATASET_A_TO_B};
    dataset_identity identity;
    dataset *data;
    OK(dataset_open(&data, test_own_path(set), "train", &options));
    OK(dataset_identify(data, all_bytes, &identity));
    dataset_close(data);
    return identity;
}

static void flip_byte(const char *path, long offset) {
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    bytes[offset < 0 ? (long)size + offset : offset] ^= 1;
    test_file_write(path, bytes, size);
    free(bytes);
}

static void test_equal_sets(void **state) {
    (void)state;
    make_set("one", "train", NULL, PAIRS);
    make_set("two", "train", NULL, PAIRS);
    const dataset_identity one = identify("one", true), two = identify("two", true),
                           sampled = identify("two", false);
    assert_int_equal(one.pairs, PAIRS);
    assert_true(one.names == two.names);
    assert_string_equal(one.content, two.content);
    assert_string_equal(one.all_bytes, two.all_bytes);
    assert_string_equal(one.content, sampled.content);
    assert_string_equal(sampled.all_bytes, "");
    assert_string_not_equal(one.content, one.all_bytes);
    assert_int_equal(strlen(one.content), DATASET_HASH_BYTES - 1);
}

static void test_a_changed_byte(void **state) {
    (void)state;
    make_set("set", "trainA", "trainB", 3);
    const dataset_identity before = identify("set", true);
    static const char *const sides[] = {"trainA", "trainB"};
    static const long sampled[] = {60, WIDTH * HEIGHT * 3 / 2, -1};
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 3; i++) {
            flip_byte(file_of("set", sides[side], 2), sampled[i]);
            const dataset_identity now = identify("set", true);
            assert_string_not_equal(now.content, before.content);
            assert_string_not_equal(now.all_bytes, before.all_bytes);
            flip_byte(file_of("set", sides[side], 2), sampled[i]);
        }
        flip_byte(file_of("set", sides[side], 1), 3 * DATASET_SAMPLE_BYTES); /* between two samples */
        const dataset_identity now = identify("set", true);
        assert_string_equal(now.content, before.content);
        assert_string_not_equal(now.all_bytes, before.all_bytes);
        flip_byte(file_of("set", sides[side], 1), 3 * DATASET_SAMPLE_BYTES);
    }
    assert_string_equal(identify("set", true).all_bytes, before.all_bytes);
}

static void test_names_and_order(void **state) {
    (void)state;
    make_set("set", "train", NULL, 3);
    const dataset_identity before = identify("set", false);
    char from[1024];
    snprintf(from, sizeof from, "%s", file_of("set", "train", 2));
    assert_int_equal(rename(from, file_of("set", "train", 7)), 0);
    const dataset_identity renamed = identify("set", false);
    assert_true(renamed.names != before.names);
    assert_string_equal(renamed.content, before.content); /* in the same order */
    save_bmp(file_of("set", "train", 0), 1);
    save_bmp(file_of("set", "train", 1), 0);
    assert_string_not_equal(identify("set", false).content, before.content); /* two contents exchanged */
}

static void test_a_file_that_vanished(void **state) {
    (void)state;
    const dataset_options options = {.direction = DATASET_A_TO_B};
    dataset_identity identity;
    dataset *data;
    make_set("set", "train", NULL, PAIRS);
    OK(dataset_open(&data, test_own_path("set"), "train", &options));
    assert_int_equal(remove(file_of("set", "train", PAIRS - 1)), 0);
    REFUSED(dataset_identify(data, false, &identity), P2P_UNREADABLE, "149.bmp");
    dataset_close(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_equal_sets),
        TEST_IN_FOLDER(test_a_changed_byte),
        TEST_IN_FOLDER(test_names_and_order),
        TEST_IN_FOLDER(test_a_file_that_vanished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
