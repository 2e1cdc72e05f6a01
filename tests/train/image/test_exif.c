/* EXIF's orientation: pictures, and the sizes in their headers, are turned by it; damaged data turn nothing
 * and are not read beyond their end; the identity of a data set depends on the turns. */
#include "data/dataset_identity.h"
#include "image/exif.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { WIDTH = 48, HEIGHT = 32, CORNERS = 4, EXIF_BYTES = 36 };

/* Top left, top right, bottom left, bottom right, in grey. */
static const int greys[CORNERS] = {10, 80, 160, 240};

/* A segment APP1 with one entry, the orientation, in either order of bytes. */
static void make_exif(int orientation, bool low_first, uint8_t exif[EXIF_BYTES]) {
    static const uint8_t high[EXIF_BYTES] =
        "\xff\xe1\0\x22"
        "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0";
    static const uint8_t low[EXIF_BYTES] =
        "\xff\xe1\0\x22"
        "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0";
    memcpy(exif, low_first ? low : high, EXIF_BYTES);
    exif[low_first ? 28 : 29] = (uint8_t)orientation;
}

/* The bytes of a JPEG whose corners have the greys. The caller frees them. */
static uint8_t *make_jpeg(size_t *size) {
    image picture;
    OK(image_create(&picture, WIDTH, HEIGHT, (image_format){.channels = 1, .bits = 8}));
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        ((uint8_t *)picture.pixels)[i] =
            (uint8_t)greys[2 * (i / WIDTH >= HEIGHT / 2) + (i % WIDTH >= WIDTH / 2)];
    OK(image_save(test_own_path("plain.jpg"), &picture));
    image_free(&picture);
    return test_file_read(test_own_path("plain.jpg"), size);
}

/* Write the JPEG with `count` bytes in front of its first segment. */
static void write_with(const char *name, const void *segments, size_t count) {
    size_t size;
    uint8_t *plain = make_jpeg(&size), *longer = malloc(size + count);
    assert_non_null(longer);
    memcpy(longer, plain, 2);
    memcpy(longer + 2, segments, count);
    memcpy(longer + 2 + count, plain + 2, size - 2);
    test_file_write(test_own_path(name), longer, size + count);
    free(longer);
    free(plain);
}

static void write_turned(const char *name, int orientation, bool low_first) {
    uint8_t exif[EXIF_BYTES];
    make_exif(orientation, low_first, exif);
    write_with(name, exif, sizeof exif);
}

/* The number of the corner in the file that is seen near (x, y). */
static int corner_at(const image *picture, int x, int y) {
    const int grey = ((const uint8_t *)picture->pixels)[y * picture->width + x];
    for (int corner = 0; corner < CORNERS; corner++)
        if (abs(grey - greys[corner]) < 12) return corner;
    return -1;
}

static void check_corners(const char *name, const int wanted[CORNERS]) {
    image picture;
    image_facts facts;
    OK(image_inspect(test_own_path(name), &facts));
    OK(image_load_inspected(test_own_path(name), &facts, &picture));
    assert_int_equal(facts.header.width, picture.width);
    assert_int_equal(facts.header.height, picture.height);
    assert_int_equal(picture.width * picture.height, WIDTH * HEIGHT);
    for (int corner = 0; corner < CORNERS; corner++)
        assert_int_equal(
            corner_at(&picture, corner % 2 ? picture.width - 2 : 1, corner / 2 ? picture.height - 2 : 1),
            wanted[corner]);
    image_free(&picture);
}

/* Where the corners are seen, by the definition of each orientation: EXIF 2.32, tag 0x0112. */
static void test_turns(void **state) {
    (void)state;
    static const int corners[8][CORNERS] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {3, 2, 1, 0}, {2, 3, 0, 1},
                                            {0, 2, 1, 3}, {2, 0, 3, 1}, {3, 1, 2, 0}, {1, 3, 0, 2}};
    for (int orientation = 1; orientation <= 8; orientation++)
        for (int low_first = 0; low_first < 2; low_first++) {
            image_facts facts;
            write_turned("a.jpg", orientation, low_first);
            check_corners("a.jpg", corners[orientation - 1]);
            OK(image_inspect(test_own_path("a.jpg"), &facts));
            assert_int_equal(facts.orientation, orientation);
            assert_int_equal(facts.header.width, orientation >= 5 ? HEIGHT : WIDTH);
        }
}

/* Bytes 0xff may fill the space before a segment. */
static void test_filled_space(void **state) {
    (void)state;
    static const int turned[CORNERS] = {2, 0, 3, 1};
    uint8_t exif[3 + EXIF_BYTES] = {0xff, 0xff, 0xff};
    make_exif(6, true, exif + 3);
    write_with("filled.jpg", exif, sizeof exif);
    check_corners("filled.jpg", turned);
}

/* A byte of valid data, changed: the picture stays as it is in the file. */
static void test_damaged_data_turns_nothing(void **state) {
    (void)state;
    static const struct {
        int at, value;
    } damages[] = {{4, 'e'},   {10, 'N'}, {17, 0xff}, {14, 0xff}, {19, 0}, {21, 0x13},
                   {23, 0x04}, {27, 2},   {29, 0},    {29, 9},    {28, 1}};
    static const int upright[CORNERS] = {0, 1, 2, 3};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        uint8_t exif[EXIF_BYTES];
        make_exif(6, false, exif);
        exif[damages[i].at] = (uint8_t)damages[i].value;
        write_with("a.jpg", exif, sizeof exif);
        check_corners("a.jpg", upright);
    }
}

/* Every beginning of the data in a block of its own, so that sanitizers detect a read past it, and with every
 * byte set to its largest value. */
static void test_no_byte_beyond_the_end(void **state) {
    (void)state;
    uint8_t file[2 + EXIF_BYTES] = {0xff, 0xd8};
    make_exif(6, false, file + 2);
    assert_int_equal(exif_orientation(file, sizeof file), 6);
    for (size_t length = 1; length <= sizeof file; length++)
        for (size_t damaged = 0; damaged < length; damaged++) {
            uint8_t *beginning = malloc(length);
            assert_non_null(beginning);
            memcpy(beginning, file, length);
            beginning[damaged] = 0xff;
            const int found = exif_orientation(beginning, length);
            assert_true(found == IMAGE_UPRIGHT || found == 6);
            free(beginning);
        }
}

/* Behind the frame's header nothing is looked for: a header that is read alone shows the same. */
static void test_only_before_the_frame(void **state) {
    (void)state;
    uint8_t file[2 + 4 + EXIF_BYTES] = {0xff, 0xd8, 0xff, 0xc4, 0, 2}; /* tables, then EXIF */
    make_exif(8, false, file + 6);
    assert_int_equal(exif_orientation(file, sizeof file), 8);
    file[3] = 0xc0;
    assert_int_equal(exif_orientation(file, sizeof file), IMAGE_UPRIGHT);
}

/* The JPEG with its EXIF data where the sample of dataset_identify reads nothing. */
static void identify_turned(int orientation, dataset_identity *identity) {
    enum { BEFORE = 6000, BEHIND = 30000 };
    static uint8_t segments[BEFORE + EXIF_BYTES + BEHIND];
    const dataset_options options = {.pairing = DATASET_PAIRS_SIDE_BY_SIDE};
    const uint8_t before[] = {0xff, 0xfe, (BEFORE - 2) >> 8, (BEFORE - 2) & 255};
    const uint8_t behind[] = {0xff, 0xfe, (BEHIND - 2) >> 8, (BEHIND - 2) & 255};
    dataset *data;
    memcpy(segments, before, sizeof before);
    make_exif(orientation, false, segments + BEFORE);
    memcpy(segments + BEFORE + EXIF_BYTES, behind, sizeof behind);
    write_with("train/a.jpg", segments, sizeof segments);
    OK(dataset_open(&data, test_own_folder, "train", &options));
    assert_int_equal(dataset_turned(data).pictures, orientation != IMAGE_UPRIGHT);
    OK(dataset_identify(data, false, identity));
    dataset_close(data);
}

/* So a training that an older version began with pictures on their side is not continued with upright ones
 * unasked, and others are continued. */
static void test_identity_shows_turns(void **state) {
    (void)state;
    dataset_identity upright, half, quarter, again;
    test_folder_add(test_own_path("train"));
    identify_turned(1, &upright);
    identify_turned(3, &half);
    identify_turned(8, &quarter);
    identify_turned(3, &again);
    assert_string_not_equal(upright.content, half.content);
    assert_string_not_equal(half.content, quarter.content);
    assert_string_equal(half.content, again.content);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_turns),
        TEST_IN_FOLDER(test_filled_space),
        TEST_IN_FOLDER(test_damaged_data_turns_nothing),
        cmocka_unit_test(test_no_byte_beyond_the_end),
        cmocka_unit_test(test_only_before_the_frame),
        TEST_IN_FOLDER(test_identity_shows_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
