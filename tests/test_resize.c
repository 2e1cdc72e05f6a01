/* Bicubic resizing against Pillow's bytes (golden/resize.txt), and the promises of resize.h about windows,
 * strides and nonsense. */
#include "resize.h"
#include "test_files.h"
#include "test_formulas.h"

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

static image draw(test_formula value, int w, int h) {
    image picture;
    assert_int_equal(image_create(&picture, w, h, IMAGE_RGB8), P2P_OK);
    uint8_t *pixel = picture.pixels;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < RGB; c++) *pixel++ = (uint8_t)value(x, y, c, w, h);
    return picture;
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static void compare_shown(const char *hex, const image *resized) {
    size_t bytes = (size_t)resized->width * (size_t)resized->height * RGB;
    assert_int_equal(strlen(hex), 2 * bytes);
    for (size_t i = 0; i < bytes; i++) {
        unsigned expected;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &expected), 1);
        if (bytes_of(resized)[i] != expected)
            fail_msg("byte %zu is %u, Pillow's is %u", i, bytes_of(resized)[i], expected);
    }
}

static void check_case(const char *line) {
    char name[16], hex[1024];
    int w, h, target_w, target_h;
    uint64_t hash;
    assert_int_equal(
        sscanf(line, "%15s %d %d %d %d %" SCNx64 " %1023s", name, &w, &h, &target_w, &target_h, &hash, hex),
        7);
    image source = draw(test_formula_named(name), w, h), resized;
    assert_int_equal(resize_image(image_view_of(&source), target_w, target_h, RESIZE_BICUBIC, &resized),
                     P2P_OK);
    if (hex[0] != '-') compare_shown(hex, &resized);
    size_t bytes = (size_t)target_w * (size_t)target_h * RGB;
    if (test_fnv(resized.pixels, bytes) != hash)
        fail_msg("%s %d x %d to %d x %d is not what Pillow gives", name, w, h, target_w, target_h);
    image_free(&source);
    image_free(&resized);
}

static void test_bytes_are_pillows(void **state) {
    (void)state;
    FILE *cases = fopen(test_golden("resize.txt"), "r");
    assert_non_null(cases);
    char line[2048];
    int count = 0;
    for (; fgets(line, sizeof line, cases) != NULL; count++) check_case(line);
    fclose(cases);
    assert_int_equal(count, 25);
}

/* A window's bytes are those of the whole, cropped. */
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
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        int w = sides[i][0], h = sides[i][1];
        check_window(image_view_of(&source), (resize_target){w, h, 0, 0, w, h, RESIZE_BICUBIC});
        check_window(image_view_of(&source), (resize_target){w, h, 3, 5, w - 4, h - 6, RESIZE_BICUBIC});
        check_window(image_view_of(&source), (resize_target){w, h, w - 1, h - 1, 1, 1, RESIZE_BICUBIC});
        check_window(image_view_of(&source), (resize_target){w, h, 0, h / 2, w, 1, RESIZE_BICUBIC});
    }
    image_free(&source);
}

/* A view is resized as if nothing lay around it. */
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
        cmocka_unit_test(test_bytes_are_pillows),   cmocka_unit_test(test_windows),
        cmocka_unit_test(test_view_with_stride),    cmocka_unit_test(test_long_sides),
        cmocka_unit_test(test_nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
