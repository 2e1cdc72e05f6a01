/* Padding by reflection and cropping back, for every side from 1 to 9, both depths and several channels. */
#include "image/pad.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Steps one at a time and turns at the borders: the definition of reflection, without its formula. */
static int walk(int from, int steps, int direction, int side) {
    int at = from;
    for (int i = 0; i < steps && side > 1; i++) {
        if (at + direction < 0 || at + direction >= side) direction = -direction;
        at += direction;
    }
    return at;
}

static int expected(int padded_at, int padded, int side) {
    const int before = (padded - side) / 2, at = padded_at - before;
    if (at < 0) return walk(0, -at, 1, side);
    return at < side ? at : walk(side - 1, at - side + 1, -1, side);
}

static void check(int width, int height, int padded_width, int padded_height, image_format format) {
    image source, padded;
    assert_int_equal(image_create(&source, width, height, format), P2P_OK);
    const size_t pixel = image_pixel_bytes(format);
    for (size_t i = 0; i < image_bytes(&source); i++) ((uint8_t *)source.pixels)[i] = (uint8_t)(i * 37 % 251);
    assert_int_equal(pad_reflect(&source, padded_width, padded_height, &padded), P2P_OK);
    assert_int_equal(padded.width, padded_width);
    assert_int_equal(padded.height, padded_height);
    for (int y = 0; y < padded_height; y++)
        for (int x = 0; x < padded_width; x++) {
            const size_t from = (size_t)expected(y, padded_height, height) * (size_t)width +
                                (size_t)expected(x, padded_width, width);
            const size_t at = (size_t)y * (size_t)padded_width + (size_t)x;
            assert_memory_equal((char *)padded.pixels + at * pixel, (char *)source.pixels + from * pixel,
                                pixel);
        }
    assert_int_equal(pad_crop(&padded, width, height), P2P_OK);
    assert_int_equal(padded.width, width);
    assert_memory_equal(padded.pixels, source.pixels, image_bytes(&source));
    image_free(&source);
    image_free(&padded);
}

static void test_all_sides(void **state) {
    (void)state;
    for (int side = 1; side <= 9; side++)
        for (int padded = side; padded <= 32; padded++) {
            check(side, 3, padded, 8, (image_format){.channels = 1 + side % 4, .bits = 8});
            check(2, side, 4, padded, (image_format){.channels = 3, .bits = 16});
        }
}

static void test_multiples(void **state) {
    (void)state;
    assert_int_equal(pad_side(1, 256), 256);
    assert_int_equal(pad_side(256, 256), 256);
    assert_int_equal(pad_side(257, 256), 512);
    assert_int_equal(pad_side(IMAGE_MAX_SIDE, 4096), IMAGE_MAX_SIDE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_sides), cmocka_unit_test(test_multiples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
