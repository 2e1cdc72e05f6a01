/* Decoding and saving pictures: Pillow's bytes for files of every kind (golden/images.txt), a clear refusal
 * for everything damaged or absurd, conversions and the grid. */
#include "image.h"
#include "test_files.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void assert_message(const char *part) {
    if (strstr(p2p_message(), part) == NULL)
        fail_msg("the message is '%s' and lacks '%s'", p2p_message(), part);
}

/* ---- Decoding ----------------------------------------------------------------------------------------- */

static void check_golden_image(const char *line) {
    char name[64], path[80];
    int width, height, probed_width, probed_height;
    uint64_t hash;
    assert_int_equal(sscanf(line, "%63s %d %d %" SCNx64, name, &width, &height, &hash), 4);
    snprintf(path, sizeof path, "images/%s", name);
    image picture;
    if (image_load(test_golden(path), &picture) != P2P_OK) fail_msg("%s", p2p_message());
    assert_int_equal(picture.width, width);
    assert_int_equal(picture.height, height);
    if (test_fnv(picture.pixels, (size_t)width * (size_t)height * IMAGE_CHANNELS) != hash)
        fail_msg("%s is decoded to other bytes than Pillow's", name);
    assert_int_equal(image_probe(test_golden(path), &probed_width, &probed_height), P2P_OK);
    assert_int_equal(probed_width, width);
    assert_int_equal(probed_height, height);
    image_free(&picture);
}

static void test_bytes_are_pillows(void **state) {
    (void)state;
    FILE *list = fopen(test_golden("images.txt"), "r");
    assert_non_null(list);
    char line[256];
    int count = 0;
    for (; fgets(line, sizeof line, list) != NULL; count++) check_golden_image(line);
    fclose(list);
    assert_int_equal(count, 19);
}

static void assert_refused(const uint8_t *bytes, size_t size, const char *part) {
    image picture;
    assert_int_equal(image_decode(bytes, size, "somewhere/file.jpg", &picture), P2P_INPUT);
    assert_message("somewhere/file.jpg");
    assert_message(part);
    assert_null(picture.pixels);
    assert_int_equal(picture.width, 0);
}

/* Every proper beginning of a file is an error; the whole file is none. */
static void check_truncations(const char *name) {
    size_t size;
    uint8_t *bytes = test_file_read(test_golden(name), &size);
    for (size_t length = 0; length < size; length++) {
        uint8_t *beginning = malloc(length + 1); /* its own block, so that a sanitizer sees a read past it */
        assert_non_null(beginning);
        memcpy(beginning, bytes, length);
        assert_refused(beginning, length, "");
        free(beginning);
    }
    image picture;
    assert_int_equal(image_decode(bytes, size, name, &picture), P2P_OK);
    image_free(&picture);
    free(bytes);
}

static void test_truncated_files(void **state) {
    (void)state;
    static const char *const names[] = {"images/ycc420.jpg",  "images/progressive.jpg",
                                        "images/grey.jpg",    "images/rgb_interlaced.png",
                                        "images/palette.png", "images/grey16.png"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) check_truncations(names[i]);
}

static void test_what_is_no_picture(void **state) {
    (void)state;
    const char *text = "this is no picture";
    assert_refused((const uint8_t *)text, strlen(text), "neither a JPEG nor a PNG");
    assert_true(strlen(p2p_message_hint()) > 0);
    assert_refused((const uint8_t *)"", 0, "is empty");
}

static void test_cmyk_is_named(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = test_file_read(test_golden("images/cmyk.jpg"), &size);
    assert_refused(bytes, size, "CMYK");
    free(bytes);
}

/* ---- Absurd sizes ------------------------------------------------------------------------------------- */

static void put_u32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* A valid PNG file but for its header, which claims another size. */
static uint8_t *png_claiming(uint32_t width, uint32_t height, size_t *size) {
    uint8_t *bytes = test_file_read(test_golden("images/rgb.png"), size);
    put_u32(bytes + 16, width); /* the signature, IHDR's length and name come first */
    put_u32(bytes + 20, height);
    test_png_seal(bytes, *size);
    return bytes;
}

static uint8_t *jpeg_claiming(unsigned width, unsigned height, size_t *size) {
    uint8_t *bytes = test_file_read(test_golden("images/ycc444.jpg"), size);
    size_t frame = 0;
    while (bytes[frame] != 0xff || bytes[frame + 1] != 0xc0) frame++; /* SOF0: length, precision, sizes */
    bytes[frame + 5] = (uint8_t)(height >> 8);
    bytes[frame + 6] = (uint8_t)height;
    bytes[frame + 7] = (uint8_t)(width >> 8);
    bytes[frame + 8] = (uint8_t)width;
    return bytes;
}

static void test_absurd_sizes(void **state) {
    (void)state;
    static const unsigned sizes[][2] = {
        {60000, 60000}, {32769, 1}, {1, 40000}, {20000, 20000}, {65535, 65535}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned width = sizes[i][0], height = sizes[i][1];
        char both[32];
        snprintf(both, sizeof both, "%u x %u", width, height);
        size_t size;
        uint8_t *bytes = png_claiming(width, height, &size);
        assert_refused(bytes, size, both);
        assert_message("32768");
        assert_message("256 megapixels");
        free(bytes);
        bytes = jpeg_claiming(width, height, &size);
        assert_refused(bytes, size, both);
        assert_message("32768");
        free(bytes);
    }
    size_t size;
    uint8_t *bytes = png_claiming(UINT32_C(0x7fffffff), UINT32_C(0x7fffffff), &size);
    assert_refused(bytes, size, "");
    free(bytes);
    bytes = png_claiming(0, 5, &size);
    assert_refused(bytes, size, "");
    free(bytes);
    bytes = jpeg_claiming(0, 5, &size);
    assert_refused(bytes, size, "");
    free(bytes);
}

/* Largest sides that are allowed, with far too little data behind them. */
static void test_promised_pixels_are_missing(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = png_claiming(16384, 16384, &size);
    assert_refused(bytes, size, "");
    free(bytes);
    bytes = jpeg_claiming(37, 32768, &size);
    assert_refused(bytes, size, "");
    free(bytes);
}

/* Hundreds of scans that each say nothing: a small file that would cost much time. They are inserted before
 * the end of a progressive file: a Huffman table of one code, then scans whose only block is an "end of band"
 * for each of the picture's blocks. */
static void test_endless_scans(void **state) {
    (void)state;
    static const uint8_t table[] = {0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0,
                                    0,    0,    0, 0,  0,    0, 0, 0, 0, 0, 0};
    static const uint8_t scan[] = {0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0};
    enum { SCANS = 600, BLOCKS = 5 * 4, DATA = (BLOCKS + 7) / 8 };
    size_t size;
    uint8_t *bytes = test_file_read(test_golden("images/progressive.jpg"), &size);
    uint8_t *longer = malloc(size + sizeof table + SCANS * (sizeof scan + DATA));
    assert_non_null(longer);
    size_t length = size - 2;
    memcpy(longer, bytes, length);
    memcpy(longer + length, table, sizeof table);
    length += sizeof table;
    for (int i = 0; i < SCANS; i++) {
        memcpy(longer + length, scan, sizeof scan);
        length += sizeof scan;
        memset(longer + length, 0, DATA); /* the code is one 0 per block; what fills the last byte is 1 */
        longer[length + DATA - 1] = (uint8_t)(0xff >> (BLOCKS % 8));
        length += DATA;
    }
    memcpy(longer + length, bytes + size - 2, 2);
    assert_refused(longer, length + 2, "scans");
    free(longer);
    free(bytes);
}

/* A profile or preview may push the size beyond what is read first. */
static void test_probe_beyond_long_headers(void **state) {
    (void)state;
    char *folder = test_folder_make();
    size_t size;
    uint8_t *bytes = test_file_read(test_golden("images/grey.jpg"), &size);
    enum { COMMENT = 60000 };
    uint8_t *longer = calloc(1, size + COMMENT + 2);
    assert_non_null(longer);
    memcpy(longer, bytes, 2);
    static const uint8_t comment[] = {0xff, 0xfe, COMMENT >> 8, COMMENT & 255};
    memcpy(longer + 2, comment, sizeof comment);
    memcpy(longer + 2 + 2 + COMMENT, bytes + 2, size - 2);
    test_file_write(test_path(folder, "long.jpg"), longer, size + COMMENT + 2);
    int width = 0, height = 0;
    assert_int_equal(image_probe(test_path(folder, "long.jpg"), &width, &height), P2P_OK);
    assert_int_equal(width, 37);
    assert_int_equal(height, 29);
    test_file_write(test_path(folder, "cut.jpg"), longer, 30000);
    assert_int_equal(image_probe(test_path(folder, "cut.jpg"), &width, &height), P2P_INPUT);
    assert_message("cut.jpg");
    free(longer);
    free(bytes);
    test_folder_remove(folder);
}

/* ---- Paths -------------------------------------------------------------------------------------------- */

static void assert_unloadable(const char *path, const char *part) {
    image picture;
    int width, height;
    assert_int_equal(image_load(path, &picture), P2P_INPUT);
    assert_null(picture.pixels);
    assert_message(path);
    assert_message(part);
    assert_int_equal(image_probe(path, &width, &height), P2P_INPUT);
    assert_message(path);
    assert_message(part);
}

static void test_paths_that_hold_no_file(void **state) {
    (void)state;
    char *folder = test_folder_make();
    test_folder_add(test_path(folder, "x.png"));
    test_link_add(test_path(folder, "dangling.jpg"), "nowhere.jpg");
    test_link_add(test_path(folder, "circle.jpg"), "circle.jpg");
    assert_int_equal(mkfifo(test_path(folder, "pipe.png"), 0666), 0);
    test_file_write(test_path(folder, "zero.png"), "", 0);
    assert_unloadable(test_path(folder, "x.png"), "folder");
    assert_unloadable(test_path(folder, "dangling.jpg"), "No such file");
    assert_unloadable(test_path(folder, "circle.jpg"), "");
    assert_unloadable(test_path(folder, "pipe.png"), "not a file");
    assert_unloadable(test_path(folder, "zero.png"), "is empty");
    assert_unloadable(test_path(folder, "missing.png"), "No such file");
    test_folder_remove(folder);
}

/* ---- Saving ------------------------------------------------------------------------------------------- */

static image gradient(int width, int height) {
    image picture;
    assert_int_equal(image_create(&picture, width, height), P2P_OK);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *pixel = picture.pixels + ((size_t)y * (size_t)width + (size_t)x) * IMAGE_CHANNELS;
            pixel[0] = (uint8_t)(255 * x / width);
            pixel[1] = (uint8_t)(255 * y / height);
            pixel[2] = (uint8_t)(128 + 100 * x / width - 100 * y / height);
        }
    return picture;
}

static image save_and_load(const char *path, const image *picture) {
    image again;
    if (image_save(path, picture) != P2P_OK || image_load(path, &again) != P2P_OK)
        fail_msg("%s", p2p_message());
    assert_int_equal(again.width, picture->width);
    assert_int_equal(again.height, picture->height);
    return again;
}

static void test_saving(void **state) {
    (void)state;
    char *folder = test_folder_make();
    image picture = gradient(61, 35);
    size_t bytes = 61 * 35 * IMAGE_CHANNELS;
    image again = save_and_load(test_path(folder, "a.PNG"), &picture);
    assert_memory_equal(again.pixels, picture.pixels, bytes);
    image_free(&again);
    static const char *const names[] = {"b.jpg", "b.JPEG"};
    for (int n = 0; n < 2; n++) {
        again = save_and_load(test_path(folder, names[n]), &picture);
        for (size_t i = 0; i < bytes; i++) assert_true(abs(again.pixels[i] - picture.pixels[i]) <= 6);
        image_free(&again);
    }
    assert_int_equal(test_folder_entries(folder), 3); /* and no temporary file */
    image_free(&picture);
    test_folder_remove(folder);
}

static void test_saving_fails(void **state) {
    (void)state;
    char *folder = test_folder_make();
    image picture = gradient(4, 4);
    static const char *const unknown[] = {"a.gif", "a", "png", "a.png.bak", "folder.png/a"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert_int_equal(image_save(unknown[i], &picture), P2P_USAGE);
        assert_message(unknown[i]);
        assert_false(image_suffix_known(unknown[i]));
    }
    test_folder_add(test_path(folder, "taken.png"));
    assert_int_equal(image_save(test_path(folder, "missing/a.png"), &picture), P2P_IO);
    assert_message("missing/");
    assert_int_equal(image_save(test_path(folder, "taken.png"), &picture), P2P_IO);
    assert_message("taken.png");
    assert_int_equal(test_folder_entries(folder), 1);
    image_free(&picture);
    test_folder_remove(folder);
}

/* A full disk, where the system offers one. */
static void test_full_disk(void **state) {
    (void)state;
    char *folder = test_folder_make();
    test_link_add(test_path(folder, ".a.jpg.tmp"), "/dev/full"); /* where the temporary file goes */
    image picture = gradient(300, 300);
    assert_int_equal(image_save(test_path(folder, "a.jpg"), &picture), P2P_IO);
    assert_message("a.jpg");
    assert_int_equal(test_folder_entries(folder), 0);
    image_free(&picture);
    test_folder_remove(folder);
}

/* ---- Conversions -------------------------------------------------------------------------------------- */

static void test_planes(void **state) {
    (void)state;
    float planes[3 * 256];
    for (int i = 0; i < 3 * 256; i++) planes[i] = (float)(i % 256) / 127.5f - 1.0f;
    planes[256 + 7] = 1.0f; /* green of pixel 7 */
    image picture;
    assert_int_equal(image_from_planes(planes, 16, 16, &picture), P2P_OK);
    for (int i = 0; i < 256; i++)
        for (int c = 0; c < IMAGE_CHANNELS; c++)
            assert_int_equal(picture.pixels[i * IMAGE_CHANNELS + c], i == 7 && c == 1 ? 255 : i);
    image_free(&picture);

    const float odd[3 * 3] = {NAN, INFINITY, -INFINITY, 1.5f, -1.5f, 0.0f, 0.0059f, -0.99f, 0.99f};
    const uint8_t expected[] = {0, 255, 128, 255, 0, 1, 0, 128, 254}; /* 127.5 rounds to even */
    assert_int_equal(image_from_planes(odd, 3, 1, &picture), P2P_OK);
    assert_memory_equal(picture.pixels, expected, sizeof expected);
    image_free(&picture);
}

static void test_grid(void **state) {
    (void)state;
    image cells[6], grid;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(image_create(&cells[i], 5, 4), P2P_OK);
        memset(cells[i].pixels, 10 * (i + 1), 5 * 4 * IMAGE_CHANNELS);
    }
    assert_int_equal(image_grid(cells, 2, 3, &grid), P2P_OK);
    assert_true(grid.width > 15 && grid.height > 8);
    int line_x = (grid.width - 15) / 4, line_y = (grid.height - 8) / 3;
    size_t seen = 0;
    for (int y = 0; y < grid.height; y++)
        for (int x = 0; x < grid.width; x++) {
            int column = (x - line_x) / (5 + line_x), row = (y - line_y) / (4 + line_y);
            bool in_cell = x >= line_x && y >= line_y && (x - line_x) % (5 + line_x) < 5 &&
                           (y - line_y) % (4 + line_y) < 4;
            int value = grid.pixels[((size_t)y * (size_t)grid.width + (size_t)x) * IMAGE_CHANNELS];
            if (in_cell) assert_int_equal(value, 10 * (row * 3 + column + 1));
            if (!in_cell) assert_true(value > 180);
            seen += in_cell;
        }
    assert_int_equal(seen, 6 * 5 * 4);
    image_free(&grid);
    assert_int_equal(image_grid(cells, 0, 3, &grid), P2P_INVALID);
    cells[4].width = 4;
    assert_int_equal(image_grid(cells, 2, 3, &grid), P2P_INVALID);
    assert_null(grid.pixels);
    cells[4].width = 5;
    for (int i = 0; i < 6; i++) image_free(&cells[i]);
}

static void test_creation_limits(void **state) {
    (void)state;
    static const int sizes[][2] = {{0, 1}, {1, -1}, {IMAGE_MAX_SIDE + 1, 1}, {20000, 20000}};
    image picture;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(image_create(&picture, sizes[i][0], sizes[i][1]), P2P_INVALID);
        assert_null(picture.pixels);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_pillows),
        cmocka_unit_test(test_truncated_files),
        cmocka_unit_test(test_what_is_no_picture),
        cmocka_unit_test(test_cmyk_is_named),
        cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_promised_pixels_are_missing),
        cmocka_unit_test(test_endless_scans),
        cmocka_unit_test(test_probe_beyond_long_headers),
        cmocka_unit_test(test_paths_that_hold_no_file),
        cmocka_unit_test(test_saving),
        cmocka_unit_test(test_saving_fails),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_planes),
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_creation_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
