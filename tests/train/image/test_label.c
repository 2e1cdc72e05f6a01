/* A label in a PNG: written and read, and absent from files that have none. */
#include "image/image.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

static void test_label(void **state) {
    (void)state;
    image picture;
    char label[IMAGE_LABEL_BYTES];
    OK(image_create(&picture, 3, 2, (image_format){.channels = 3, .bits = 8}));
    memset(picture.pixels, 77, image_bytes(&picture));
    OK(image_save_labelled(test_own_path("a.png"), &picture, "0123456789abcdef"));
    OK(image_label(test_own_path("a.png"), label));
    assert_string_equal(label, "0123456789abcdef");
    OK(image_save_labelled(test_own_path("b.png"), &picture, NULL));
    OK(image_label(test_own_path("b.png"), label));
    assert_string_equal(label, "");
    OK(image_save(test_own_path("c.png"), &picture));
    size_t sizes[2];
    uint8_t *bytes = test_file_read(test_own_path("b.png"), &sizes[0]);
    uint8_t *same = test_file_read(test_own_path("c.png"), &sizes[1]);
    assert_true(sizes[0] == sizes[1] && memcmp(bytes, same, sizes[0]) == 0);
    free(bytes);
    free(same);
    image again;
    OK(image_load(test_own_path("a.png"), &again)); /* the label changes no pixel */
    assert_memory_equal(again.pixels, picture.pixels, image_bytes(&picture));
    image_free(&again);
    assert_int_equal(image_save_labelled(test_own_path("a.jpg"), &picture, "x"), P2P_USAGE);
    image_free(&picture);
}

static void test_no_label(void **state) {
    (void)state;
    char label[IMAGE_LABEL_BYTES];
    test_file_write(test_own_path("x.png"), "no picture", 10);
    assert_int_equal(image_label(test_own_path("x.png"), label), P2P_INPUT);
    assert_string_equal(label, "");
    assert_int_equal(image_label(test_own_path("absent.png"), label), P2P_UNREADABLE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_label),
        TEST_IN_FOLDER(test_no_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
