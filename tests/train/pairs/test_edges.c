/* The lines of edges.h: where they are, that they are thin and connected, what the options change, and how
 * well they match the outlines of generated pairs. */
#include "edge_score.h"
#include "pairs/edges.h"
#include "sample/sample_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { SIDE = 64 };

static const edges_options usual = {.smoothing = 2, .detail = 0.2, .shortest = 10};

static image picture_of(int value) {
    image picture;
    OK(image_create(&picture, SIDE, SIDE, IMAGE_RGB8));
    memset(picture.pixels, value, image_bytes(&picture));
    return picture;
}

static void paint(image *picture, int left, int top, int width, int height, int value) {
    for (int y = top; y < top + height; y++)
        memset((uint8_t *)picture->pixels + (y * SIDE + left) * 3, value, (size_t)width * 3);
}

static bool is_line(const image *lines, int x, int y) {
    return ((const uint8_t *)lines->pixels)[y * lines->width + x] == 0;
}

static int count_lines(const image *lines) {
    int count = 0;
    for (int y = 0; y < lines->height; y++)
        for (int x = 0; x < lines->width; x++) count += is_line(lines, x, y);
    return count;
}

static int lines_of(const image *picture, edges_options options) {
    image lines;
    OK(edges_draw(image_view_of(picture), &options, &lines));
    const int count = count_lines(&lines);
    image_free(&lines);
    return count;
}

static void test_a_plain_picture_has_no_lines(void **state) {
    (void)state;
    image picture = picture_of(130);
    assert_int_equal(lines_of(&picture, usual), 0);
    image_free(&picture);
}

/* A square from 16 to 47: its line lies within a pixel of its border, goes around it, and is one pixel wide.
 */
static void test_a_square_has_one_thin_outline(void **state) {
    (void)state;
    image picture = picture_of(255), lines;
    paint(&picture, 16, 16, 32, 32, 0);
    OK(edges_draw(image_view_of(&picture), &usual, &lines));
    assert_true(lines.channels == 1 && lines.bits == 8 && lines.width == SIDE && lines.height == SIDE);
    for (int i = 20; i < 44; i++) {
        assert_int_equal(is_line(&lines, 15, i) + is_line(&lines, 16, i), 1);
        assert_int_equal(is_line(&lines, 47, i) + is_line(&lines, 48, i), 1);
        assert_int_equal(is_line(&lines, i, 15) + is_line(&lines, i, 16), 1);
        assert_int_equal(is_line(&lines, i, 47) + is_line(&lines, i, 48), 1);
    }
    for (int y = 0; y < SIDE - 1; y++)
        for (int x = 0; x < SIDE - 1; x++)
            assert_true(is_line(&lines, x, y) + is_line(&lines, x + 1, y) + is_line(&lines, x, y + 1) +
                            is_line(&lines, x + 1, y + 1) <
                        4);
    const int count = count_lines(&lines);
    assert_true(count >= 4 * 28 && count <= 4 * 34);
    /* All of it is one piece: with pieces of that length the same is drawn, and nothing beyond it. */
    edges_options whole = usual, more = usual;
    whole.shortest = count;
    more.shortest = count + 1;
    assert_int_equal(lines_of(&picture, whole), count);
    assert_int_equal(lines_of(&picture, more), 0);
    image_free(&lines);
    image_free(&picture);
}

/* Colours of equal brightness are distinguished. */
static void test_colours_have_edges(void **state) {
    (void)state;
    image picture = picture_of(0);
    uint8_t *pixels = picture.pixels;
    for (int i = 0; i < SIDE * SIDE; i++) {
        pixels[3 * i] = i % SIDE < SIDE / 2 ? 200 : 0;
        pixels[3 * i + 1] = i % SIDE < SIDE / 2 ? 0 : 102;
    }
    image grey;
    OK(image_convert(image_view_of(&picture), (image_format){.channels = 1, .bits = 8}, &grey));
    assert_int_equal(((uint8_t *)grey.pixels)[0], ((uint8_t *)grey.pixels)[SIDE - 1]);
    image_free(&grey);
    assert_true(lines_of(&picture, usual) >= SIDE - 4);
    image_free(&picture);
}

static void test_detail_and_smoothing(void **state) {
    (void)state;
    image pair;
    OK(sample_data_pair(128, 1, 5, &pair));
    image photo;
    OK(image_convert(image_view_crop(image_view_of(&pair), 128, 0, 128, 128), IMAGE_RGB8, &photo));
    edges_options more = usual, coarse = usual, fewest = usual;
    more.detail = 0.6;
    coarse.smoothing = 6;
    fewest.detail = 0;
    const int count = lines_of(&photo, usual);
    assert_true(count > 100);
    assert_true(lines_of(&photo, more) > count);
    assert_true(lines_of(&photo, coarse) < count);
    assert_true(lines_of(&photo, fewest) < count);
    image_free(&photo);
    image_free(&pair);
}

/* A picture of other formats has the lines of its conversion to RGB of 8 bits. */
static void test_formats(void **state) {
    (void)state;
    image pair, wide, lines, same;
    OK(sample_data_pair(64, 1, 3, &pair));
    OK(image_convert(image_view_of(&pair), (image_format){.channels = 4, .bits = 16}, &wide));
    OK(edges_draw(image_view_of(&pair), &usual, &lines));
    OK(edges_draw(image_view_of(&wide), &usual, &same));
    assert_memory_equal(lines.pixels, same.pixels, image_bytes(&lines));
    image_free(&pair);
    image_free(&wide);
    image_free(&lines);
    image_free(&same);
}

/* A line or column of pixels, and a single one. */
static void test_tiny_pictures(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 40}, {40, 1}, {2, 2}, {3, 5}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        image picture, lines;
        OK(image_create(&picture, sizes[i][0], sizes[i][1], IMAGE_RGB8));
        for (size_t k = 0; k < image_bytes(&picture); k++) ((uint8_t *)picture.pixels)[k] = (uint8_t)(k * 85);
        edges_options options = usual;
        options.smoothing = 16;
        OK(edges_draw(image_view_of(&picture), &options, &lines));
        assert_true(lines.width == sizes[i][0] && lines.height == sizes[i][1]);
        image_free(&picture);
        image_free(&lines);
    }
}

static void test_options_out_of_range(void **state) {
    (void)state;
    image picture = picture_of(0), lines;
    const edges_options bad[] = {{0.4, 0.2, 1}, {17, 0.2, 1}, {2, -0.1, 1}, {2, 1.1, 1}, {2, 0.2, -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(edges_draw(image_view_of(&picture), &bad[i], &lines), P2P_INVALID);
        assert_null(lines.pixels);
    }
    image_free(&picture);
}

/* The outlines of generated pairs are their truth: of objects, not of shadows and texture. */
static void test_outlines_of_generated_pairs(void **state) {
    (void)state;
    enum { PAIRS = 8, SIZE = 128, TOLERANCE = 2 };
    double sum = 0;
    for (uint64_t i = 0; i < PAIRS; i++) {
        image pair, lines;
        OK(sample_data_pair(SIZE, 1, i, &pair));
        const image_view both = image_view_of(&pair);
        OK(edges_draw(image_view_crop(both, SIZE, 0, SIZE, SIZE), &usual, &lines));
        sum += edge_score_of(image_view_of(&lines), image_view_crop(both, 0, 0, SIZE, SIZE), TOLERANCE).f1;
        image_free(&lines);
        image_free(&pair);
    }
    print_message("F1 of %d generated pairs: %.3f\n", PAIRS, sum / PAIRS);
    assert_true(sum / PAIRS > 0.6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_picture_has_no_lines),
        cmocka_unit_test(test_a_square_has_one_thin_outline),
        cmocka_unit_test(test_colours_have_edges),
        cmocka_unit_test(test_detail_and_smoothing),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_tiny_pictures),
        cmocka_unit_test(test_options_out_of_range),
        cmocka_unit_test(test_outlines_of_generated_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
