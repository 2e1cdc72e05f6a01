/* Resizing against Pillow's and TensorFlow's values (golden/resize.txt, nearest.txt), and the contract of
 * resize.h about windows, strides and invalid arguments. */
#include "image/resize.h"
#include "support/test_files.h"
#include "support/test_formulas.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RGB = 3 };

static uint8_t *bytes_of(const image *picture) {
    return picture->pixels;
}

/* In 16 bits, the first channel is that of golden/make_resize.py. */
static image draw_as(test_formula value, int w, int h, image_format format) {
    image picture;
    assert_int_equal(image_create(&picture, w, h, format), P2P_OK);
    test_formula noise = test_formula_named("noise");
    size_t i = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < format.channels; c++, i++) {
                int drawn = value(x, y, c, w, h);
                if (format.bits == 8)
                    bytes_of(&picture)[i] = (uint8_t)drawn;
                else
                    ((uint16_t *)picture.pixels)[i] =
                        (uint16_t)(8192 + 160 * drawn + noise(x, y, c + 1, w, h));
            }
    return picture;
}

static image draw(test_formula value, int w, int h) {
    return draw_as(value, w, h, IMAGE_RGB8);
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

/* Byte `index` with the low byte first, the order of the hashes. */
static uint8_t byte_of(const image *picture, size_t index) {
    if (picture->bits == 8) return bytes_of(picture)[index];
    return (uint8_t)(((const uint16_t *)picture->pixels)[index / 2] >> (index % 2 * 8));
}

static uint64_t hash_of(const image *picture) {
    size_t bytes = image_bytes(picture);
    uint8_t *ordered = malloc(bytes);
    assert_non_null(ordered);
    for (size_t i = 0; i < bytes; i++) ordered[i] = byte_of(picture, i);
    uint64_t hash = test_fnv(ordered, bytes);
    free(ordered);
    return hash;
}

static void compare_shown(const char *hex, const image *resized) {
    size_t bytes = image_bytes(resized);
    assert_int_equal(strlen(hex), 2 * bytes);
    for (size_t i = 0; i < bytes; i++) {
        unsigned expected;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &expected), 1);
        if (byte_of(resized, i) != expected)
            fail_msg("byte %zu is %u, expected %u", i, byte_of(resized, i), expected);
    }
}

static resize_filter filter_named(const char *name) {
    if (strcmp(name, "nearest") == 0) return RESIZE_NEAREST;
    assert_string_equal(name, "bicubic");
    return RESIZE_BICUBIC;
}

static void check_case(const char *line) {
    char filter[16], name[16], hex[1024];
    image_format format;
    int w, h, target_w, target_h;
    uint64_t hash;
    assert_int_equal(sscanf(line, "%15s %d %d %15s %d %d %d %d %" SCNx64 " %1023s", filter, &format.channels,
                            &format.bits, name, &w, &h, &target_w, &target_h, &hash, hex),
                     10);
    image source = draw_as(test_formula_named(name), w, h, format), resized;
    assert_int_equal(resize_image(image_view_of(&source), target_w, target_h, filter_named(filter), &resized),
                     P2P_OK);
    if (hex[0] != '-') compare_shown(hex, &resized);
    if (hash_of(&resized) != hash) fail_msg("not what is expected: %.60s", line);
    image_free(&source);
    image_free(&resized);
}

static int check_file(const char *name) {
    FILE *cases = fopen(test_golden(name), "r");
    assert_non_null(cases);
    char line[2048];
    int count = 0;
    for (; fgets(line, sizeof line, cases) != NULL; count++) check_case(line);
    fclose(cases);
    return count;
}

static void test_bytes_are_pillows(void **state) {
    (void)state;
    assert_int_equal(check_file("resize.txt"), 25 + 2 * 7);
}

static void test_nearest_is_tensorflows(void **state) {
    (void)state;
    assert_int_equal(check_file("nearest.txt"), 10 + 16);
}

/* Channels are independent: each is the same as alone, for any number of channels, bits and filter. */
static void test_channels_alone(void **state) {
    (void)state;
    for (int bits = 8; bits <= 16; bits += 8)
        for (int channels = 2; channels <= 4; channels++)
            for (int filter = 0; filter < 2; filter++) {
                image all = draw_as(test_formula_named("noise"), 13, 11, (image_format){channels, bits}),
                      alone;
                image resized, expected;
                assert_int_equal(resize_image(image_view_of(&all), 9, 17, (resize_filter)filter, &resized),
                                 P2P_OK);
                assert_int_equal(image_create(&alone, 13, 11, (image_format){1, bits}), P2P_OK);
                for (int c = 0; c < channels; c++) {
                    size_t step = (size_t)bits / 8, stride = step * (size_t)channels, at = step * (size_t)c;
                    for (size_t i = 0; i < 13 * 11; i++)
                        memcpy(bytes_of(&alone) + i * step, bytes_of(&all) + i * stride + at, step);
                    assert_int_equal(
                        resize_image(image_view_of(&alone), 9, 17, (resize_filter)filter, &expected), P2P_OK);
                    for (size_t i = 0; i < 9 * 17; i++)
                        assert_memory_equal(bytes_of(&resized) + i * stride + at,
                                            bytes_of(&expected) + i * step, step);
                    image_free(&expected);
                }
                image_free(&alone);
                image_free(&resized);
                image_free(&all);
            }
}

/* Overshoot beside an edge stays within 16 bits. */
static void test_deep_overshoot(void **state) {
    (void)state;
    image source, resized;
    assert_int_equal(image_create(&source, 8, 1, (image_format){1, 16}), P2P_OK);
    for (int x = 0; x < 8; x++) ((uint16_t *)source.pixels)[x] = x < 4 ? 0 : 65535;
    assert_int_equal(resize_image(image_view_of(&source), 32, 1, RESIZE_BICUBIC, &resized), P2P_OK);
    const uint16_t *values = resized.pixels;
    for (int x = 0; x < 12; x++) assert_int_equal(values[x], 0);
    for (int x = 20; x < 32; x++) assert_int_equal(values[x], 65535);
    for (int x = 13; x < 20; x++) assert_true(values[x] >= values[x - 1]);
    image_free(&source);
    image_free(&resized);
}

/* The bytes of a window are those of the whole picture, cropped. */
static void check_window(image_view source, resize_target target) {
    image whole;
    assert_int_equal(resize_image(source, target.width, target.height, target.filter, &whole), P2P_OK);
    size_t length = (size_t)target.crop_width * RGB;
    uint8_t *pixels = malloc((size_t)target.crop_height * length);
    assert_non_null(pixels);
    assert_int_equal(resize_window(source, &target, pixels), P2P_OK);
    image_view expected = image_view_crop(image_view_of(&whole), target.left, target.top, target.crop_width,
                                          target.crop_height);
    for (int y = 0; y < target.crop_height; y++)
        assert_memory_equal(pixels + (size_t)y * length,
                            (const uint8_t *)expected.pixels + (size_t)y * expected.stride, length);
    free(pixels);
    image_free(&whole);
}

static void test_windows(void **state) {
    (void)state;
    image source = draw(test_formula_named("photo"), 61, 47);
    static const int sides[][2] = {{61, 47}, {61, 30}, {90, 47}, {90, 70}, {17, 13}, {70, 20}, {61, 46}};
    for (size_t i = 0; i < 2 * sizeof sides / sizeof sides[0]; i++) {
        int w = sides[i / 2][0], h = sides[i / 2][1], filter = i % 2;
        check_window(image_view_of(&source), (resize_target){w, h, 0, 0, w, h, (resize_filter)filter});
        check_window(image_view_of(&source),
                     (resize_target){w, h, 3, 5, w - 4, h - 6, (resize_filter)filter});
        check_window(image_view_of(&source),
                     (resize_target){w, h, w - 1, h - 1, 1, 1, (resize_filter)filter});
        check_window(image_view_of(&source), (resize_target){w, h, 0, h / 2, w, 1, (resize_filter)filter});
    }
    image_free(&source);
}

/* A view is resized independently of the pixels around it. */
static void test_view_with_stride(void **state) {
    (void)state;
    image around = draw(test_formula_named("noise"), 40, 30), alone, from_view, from_copy;
    image_view view = image_view_crop(image_view_of(&around), 11, 7, 20, 15);
    assert_int_equal(image_create(&alone, 20, 15, IMAGE_RGB8), P2P_OK);
    for (size_t y = 0; y < 15; y++)
        memcpy(bytes_of(&alone) + y * 60, (const uint8_t *)view.pixels + y * view.stride, 60);
    assert_int_equal(resize_image(view, 33, 9, RESIZE_BICUBIC, &from_view), P2P_OK);
    assert_int_equal(resize_image(image_view_of(&alone), 33, 9, RESIZE_BICUBIC, &from_copy), P2P_OK);
    assert_memory_equal(from_view.pixels, from_copy.pixels, 33 * 9 * RGB);
    image_free(&around);
    image_free(&alone);
    image_free(&from_view);
    image_free(&from_copy);
}

static void test_long_sides(void **state) {
    (void)state;
    image wide, narrow;
    assert_int_equal(image_create(&wide, IMAGE_MAX_SIDE, 1, IMAGE_RGB8), P2P_OK);
    memset(wide.pixels, 77, (size_t)IMAGE_MAX_SIDE * RGB);
    assert_int_equal(resize_image(image_view_of(&wide), 1, 1, RESIZE_BICUBIC, &narrow), P2P_OK);
    assert_int_equal(bytes_of(&narrow)[0], 77);
    image_free(&wide);
    assert_int_equal(resize_image(image_view_of(&narrow), 1, IMAGE_MAX_SIDE, RESIZE_BICUBIC, &wide), P2P_OK);
    assert_int_equal(bytes_of(&wide)[(size_t)IMAGE_MAX_SIDE * RGB - 1], 77);
    image_free(&wide);
    image_free(&narrow);
}

static void test_nonsense_is_refused(void **state) {
    (void)state;
    image source = draw(test_formula_named("noise"), 4, 4);
    image_view view = image_view_of(&source);
    uint8_t pixels[4 * 4 * RGB];
    static const resize_target nonsense[] = {
        {0, 4, 0, 0, 1, 1, RESIZE_BICUBIC},         {4, -1, 0, 0, 1, 1, RESIZE_BICUBIC},
        {4, 4, -1, 0, 1, 1, RESIZE_BICUBIC},        {4, 4, 0, 4, 1, 1, RESIZE_BICUBIC},
        {4, 4, 1, 0, 4, 4, RESIZE_BICUBIC},         {4, 4, 0, 0, 0, 4, RESIZE_BICUBIC},
        {4, 4, 0, 0, 4, 0, RESIZE_BICUBIC},         {IMAGE_MAX_SIDE + 1, 4, 0, 0, 4, 4, RESIZE_BICUBIC},
        {4, 4, INT32_MAX, 0, 1, 1, RESIZE_BICUBIC},
    };
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        assert_int_equal(resize_window(view, &nonsense[i], pixels), P2P_INVALID);
    view.width = 0;
    assert_int_equal(resize_window(view, &(resize_target){4, 4, 0, 0, 4, 4, RESIZE_BICUBIC}, pixels),
                     P2P_INVALID);
    image_free(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_pillows), cmocka_unit_test(test_nearest_is_tensorflows),
        cmocka_unit_test(test_channels_alone),    cmocka_unit_test(test_deep_overshoot),
        cmocka_unit_test(test_windows),           cmocka_unit_test(test_view_with_stride),
        cmocka_unit_test(test_long_sides),        cmocka_unit_test(test_nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
