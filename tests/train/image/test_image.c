/* Decoding and saving pictures: Pillow's bytes for files of every kind (golden/images.txt), refusals of
 * damaged files and absurd sizes, conversions and the grid. */
#include "image/font.h"
#include "image/image.h"
#include "image/image_limits.h"
#include "image/picture_grid.h"
#include "support/test_bytes.h"
#include "support/test_files.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Decoding ----------------------------------------------------------------------------------------- */

static uint8_t *bytes_of(const image *picture) {
    return picture->pixels;
}

/* The hash of the samples, those of 16 bits with the low byte first on every machine. */
static uint64_t hash_of(const image *picture) {
    size_t bytes = image_bytes(picture);
    uint8_t *ordered = malloc(bytes);
    assert_non_null(ordered);
    memcpy(ordered, picture->pixels, bytes);
    if (picture->bits == 16)
        for (size_t i = 0; i < bytes / 2; i++) {
            uint16_t sample = ((const uint16_t *)picture->pixels)[i];
            ordered[2 * i] = (uint8_t)sample;
            ordered[2 * i + 1] = (uint8_t)(sample >> 8);
        }
    uint64_t hash = test_fnv(ordered, bytes);
    free(ordered);
    return hash;
}

static p2p_status probe(const char *path, image_header *header) {
    image_facts facts;
    P2P_TRY(image_inspect(path, &facts));
    *header = facts.header;
    return P2P_OK;
}

static void check_golden_image(const char *line) {
    char name[64], path[80];
    image_header expected, probed;
    uint64_t own, forms[IMAGE_MAX_CHANNELS];
    assert_int_equal(sscanf(line, "%63s %d %d %d %d %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64,
                            name, &expected.width, &expected.height, &expected.channels, &expected.bits, &own,
                            &forms[0], &forms[1], &forms[2], &forms[3]),
                     10);
    snprintf(path, sizeof path, "images/%s", name);
    image picture, converted;
    if (image_load(test_golden(path), &picture) != P2P_OK) fail_msg("%s", p2p_message());
    assert_int_equal(probe(test_golden(path), &probed), P2P_OK);
    const image_header loaded = {picture.width, picture.height, picture.channels, picture.bits};
    assert_memory_equal(&loaded, &expected, sizeof expected);
    assert_memory_equal(&probed, &expected, sizeof expected);
    if (hash_of(&picture) != own) fail_msg("%s is decoded to other bytes than Pillow's", name);
    for (int channels = 1; channels <= IMAGE_MAX_CHANNELS; channels++) {
        image_format format = {channels, picture.bits};
        assert_int_equal(image_convert(image_view_of(&picture), format, &converted), P2P_OK);
        if (hash_of(&converted) != forms[channels - 1])
            fail_msg("%s in %d channels has other bytes than Pillow's", name, channels);
        image_free(&converted);
    }
    image_free(&picture);
}

static void test_bytes_are_pillows(void **state) {
    (void)state;
    FILE *list = fopen(test_golden("images.txt"), "r");
    assert_non_null(list);
    char line[512];
    int count = 0;
    for (; fgets(line, sizeof line, list) != NULL; count++) check_golden_image(line);
    fclose(list);
    assert_int_equal(count, 41);
}

static void assert_refused(const uint8_t *bytes, size_t size, const char *part) {
    image picture;
    assert_int_equal(image_decode(bytes, size, "somewhere/file.jpg", &picture), P2P_INPUT);
    MESSAGE_HAS("somewhere/file.jpg");
    MESSAGE_HAS(part);
    assert_null(picture.pixels);
    assert_int_equal(picture.width, 0);
}

/* Every proper prefix of a file is an error; the whole file is not. */
static void check_truncations(const char *name) {
    size_t size;
    uint8_t *bytes = test_file_read(test_golden(name), &size);
    for (size_t length = 0; length < size; length++) {
        uint8_t *beginning = malloc(length + 1); /* its own block: sanitizers detect a read past it */
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
    static const char *const names[] = {
        "images/ycc420.jpg",     "images/progressive.jpg", "images/grey.jpg",    "images/rgb_interlaced.png",
        "images/palette.png",    "images/grey16.png",      "images/palette.bmp", "images/rgba_v5.bmp",
        "images/interlaced.gif", "images/transparent.gif"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) check_truncations(names[i]);
}

static void test_what_is_no_picture(void **state) {
    (void)state;
    const char *text = "this is no picture";
    assert_refused((const uint8_t *)text, strlen(text), "neither a JPEG, PNG, BMP nor GIF");
    assert_true(strlen(p2p_message_hint()) > 0);
    assert_refused((const uint8_t *)"", 0, "is empty");
}

static void test_cmyk_is_named(void **state) {
    (void)state;
    size_t size;
    static const char *const names[] = {"images/cmyk.jpg", "images/ycck.jpg"};
    for (int i = 0; i < 2; i++) {
        uint8_t *bytes = test_file_read(test_golden(names[i]), &size);
        assert_refused(bytes, size, "CMYK");
        HINT_HAS("RGB");
        free(bytes);
    }
}

/* A file with one byte set to another value. */
static void refuse_edited(const char *name, size_t at, uint8_t value, const char *part) {
    size_t size;
    uint8_t *bytes = test_file_read(test_golden(name), &size);
    bytes[at] = value;
    assert_refused(bytes, size, part);
    free(bytes);
}

static void test_unusual_bmp(void **state) {
    (void)state;
    refuse_edited("images/palette.bmp", 30, 1, "run-length"); /* BI_RLE8 */
    HINT_HAS("PNG");
    refuse_edited("images/palette4.bmp", 30, 2, "run-length");
    refuse_edited("images/rgb.bmp", 30, 5, "compressed"); /* BI_PNG */
    refuse_edited("images/rgb.bmp", 30, 3, "24 bits");    /* masks */
    refuse_edited("images/rgb.bmp", 28, 13, "13 bits");
    refuse_edited("images/rgb.bmp", 14, 16, "kind of header");
    refuse_edited("images/rgb.bmp", 21, 0x80, "negative width");
    refuse_edited("images/palette4.bmp", 46, 3, "isn't in the palette");
    refuse_edited("images/rgb.bmp", 12, 1, "truncated"); /* pixels begin 65536 further on */
}

static void test_unusual_gif(void **state) {
    (void)state;
    refuse_edited("images/palette.gif", 6, 20, "outside"); /* a screen narrower than the frame */
    refuse_edited("images/palette.gif", 8, 20, "outside");
    refuse_edited("images/palette.gif", 10, 0,
                  "can't be decoded"); /* the palette, not announced, is not a valid record */
}

/* ---- Absurd sizes ------------------------------------------------------------------------------------- */

/* A PNG file that is valid except that its header states another size. */
static uint8_t *png_claiming(uint32_t width, uint32_t height, size_t *size) {
    uint8_t *bytes = test_file_read(test_golden("images/rgb.png"), size);
    put_high_first(bytes + 16, width, 4); /* the signature, IHDR's length and name come first */
    put_high_first(bytes + 20, height, 4);
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

static uint8_t *bmp_claiming(uint32_t width, uint32_t height, size_t *size) {
    uint8_t *bytes = test_file_read(test_golden("images/rgb.bmp"), size);
    for (int i = 0; i < 4; i++) {
        bytes[18 + i] = (uint8_t)(width >> 8 * i);
        bytes[22 + i] = (uint8_t)(height >> 8 * i);
    }
    return bytes;
}

static uint8_t *gif_claiming(unsigned width, unsigned height, size_t *size) {
    uint8_t *bytes = test_file_read(test_golden("images/palette.gif"), size);
    for (int i = 0; i < 2; i++) {
        bytes[6 + i] = (uint8_t)(width >> 8 * i);
        bytes[8 + i] = (uint8_t)(height >> 8 * i);
    }
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
        MESSAGE_HAS("32768");
        MESSAGE_HAS("268435456 in all");
        free(bytes);
        bytes = jpeg_claiming(width, height, &size);
        assert_refused(bytes, size, both);
        MESSAGE_HAS("32768");
        free(bytes);
        bytes = bmp_claiming(width, height, &size);
        assert_refused(bytes, size, both);
        free(bytes);
        bytes = gif_claiming(width, height, &size);
        assert_refused(bytes, size, both);
        free(bytes);
    }
    static const uint32_t unfit[][2] = {{0, 5}, {5, 0}, {1, 0x80000000u}, {0x7fffffff, 0x7fffffff}};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        size_t bmp_size;
        uint8_t *bmp = bmp_claiming(unfit[i][0], unfit[i][1], &bmp_size);
        assert_refused(bmp, bmp_size, "");
        free(bmp);
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

/* The largest sides that are allowed, followed by far too little data. */
static void test_promised_pixels_are_missing(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = png_claiming(16384, 16384, &size);
    assert_refused(bytes, size, "");
    free(bytes);
    bytes = jpeg_claiming(37, 32768, &size);
    assert_refused(bytes, size, "");
    free(bytes);
    bytes = bmp_claiming(16384, 16384, &size);
    assert_refused(bytes, size, "truncated");
    free(bytes);
}

/* Hundreds of empty scans: a small file that would take much time. They are inserted before
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

/* A profile or preview may place the size after the bytes that are read first. */
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
    image_header header;
    assert_int_equal(probe(test_path(folder, "long.jpg"), &header), P2P_OK);
    assert_int_equal(header.width, 37);
    assert_int_equal(header.height, 29);
    test_file_write(test_path(folder, "cut.jpg"), longer, 30000);
    assert_int_equal(probe(test_path(folder, "cut.jpg"), &header), P2P_INPUT);
    MESSAGE_HAS("cut.jpg");
    free(longer);
    free(bytes);
    test_folder_remove(folder);
}

/* A file of 900 MB that begins with these bytes, which are freed, is refused with this message. */
static void refused_large(const char *name, uint8_t *bytes, size_t size, const char *part) {
    const char *path = test_own_path(name);
    image_header header;
    test_file_write(path, bytes, size);
    free(bytes);
    assert_int_equal(truncate(path, 900 << 20), 0);
    REFUSED(probe(path, &header), P2P_INPUT, part);
}

/* What the first bytes show is decided by them, under a limit of memory that permits no more to be read. A
 * header may be long, but not without end. */
static void test_no_more_is_read_than_decides(void **state) {
    (void)state;
    static const char size_of[] = "40000 x 40000 pixels", long_text[] = "\x30\0\0\0tEXt"; /* 768 MB */
    size_t size;
    OK(image_limits_set(&(image_limits){(uint64_t)1 << 28, 100000}));
    refused_large("text.jpg", (uint8_t *)strdup("hello, this is no picture"), 25, "neither a JPEG, PNG, BMP");
    refused_large("a.png", png_claiming(40000, 40000, &size), 33, size_of); /* up to IHDR */
    uint8_t *bytes = png_claiming(40000, 40000, &size);
    memcpy(bytes + 33, long_text, 8);
    refused_large("b.png", bytes, 41, size_of);
    bytes = bmp_claiming(40000, 40000, &size);
    memcpy(bytes + 14, "\0\0\0\x30", 4); /* a header of 768 MB */
    refused_large("a.bmp", bytes, size, "an unknown kind of header");
    bytes = gif_claiming(40000, 40000, &size);
    refused_large("a.gif", bytes, size, size_of);
    bytes = jpeg_claiming(40000, 40000, &size);
    refused_large("a.jpg", bytes, size, size_of);
    OK(image_limits_set(&(image_limits){IMAGE_MAX_PIXELS, UINT64_MAX}));
    bytes = png_claiming(5, 5, &size);
    memcpy(bytes + 33, long_text, 8);
    refused_large("c.png", bytes, 41, "its header does not end within 64 MiB");
}

/* ---- Paths -------------------------------------------------------------------------------------------- */

static void assert_unloadable(const char *path, p2p_status code, const char *part) {
    image picture;
    image_header header;
    assert_int_equal(image_load(path, &picture), code);
    assert_null(picture.pixels);
    MESSAGE_HAS(path);
    MESSAGE_HAS(part);
    assert_int_equal(probe(path, &header), code);
    MESSAGE_HAS(path);
    MESSAGE_HAS(part);
}

static void test_paths_that_hold_no_file(void **state) {
    (void)state;
    char *folder = test_folder_make();
    test_folder_add(test_path(folder, "x.png"));
    test_link_add(test_path(folder, "dangling.jpg"), "nowhere.jpg");
    test_link_add(test_path(folder, "circle.jpg"), "circle.jpg");
    assert_int_equal(mkfifo(test_path(folder, "pipe.png"), 0666), 0);
    test_file_write(test_path(folder, "zero.png"), "", 0);
    assert_unloadable(test_path(folder, "x.png"), P2P_UNREADABLE, "folder");
    assert_unloadable(test_path(folder, "dangling.jpg"), P2P_UNREADABLE, "No such file");
    assert_unloadable(test_path(folder, "circle.jpg"), P2P_UNREADABLE, "");
    assert_unloadable(test_path(folder, "pipe.png"), P2P_UNREADABLE, "not a file");
    assert_unloadable(test_path(folder, "zero.png"), P2P_INPUT, "is empty");
    assert_unloadable(test_path(folder, "missing.png"), P2P_UNREADABLE, "No such file");
    test_folder_remove(folder);
}

/* ---- Saving ------------------------------------------------------------------------------------------- */

/* Smooth in 8 bits; in 16 bits the low byte has most of the information. */
static image gradient(int width, int height, image_format format) {
    image picture;
    assert_int_equal(image_create(&picture, width, height, format), P2P_OK);
    size_t i = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < format.channels; c++, i++) {
                int value = c == 0   ? 255 * x / width
                            : c == 1 ? 255 * y / height
                                     : 128 + 100 * x / width - 100 * y / height;
                if (format.bits == 8)
                    bytes_of(&picture)[i] = (uint8_t)value;
                else
                    ((uint16_t *)picture.pixels)[i] = (uint16_t)(0x4000 + value + 17 * c);
            }
    return picture;
}

static image save_and_load(const char *path, const image *picture) {
    image again;
    if (image_save(path, picture) != P2P_OK || image_load(path, &again) != P2P_OK)
        fail_msg("%s", p2p_message());
    assert_int_equal(again.width, picture->width);
    assert_int_equal(again.height, picture->height);
    assert_int_equal(again.channels, picture->channels);
    assert_int_equal(again.bits, picture->bits);
    return again;
}

static void test_saving_png(void **state) {
    (void)state;
    char *folder = test_folder_make();
    for (int channels = 1; channels <= 4; channels++)
        for (int bits = 8; bits <= 16; bits += 8) {
            image picture = gradient(61, 35, (image_format){channels, bits});
            image again = save_and_load(test_path(folder, "a.PNG"), &picture);
            assert_memory_equal(again.pixels, picture.pixels, image_bytes(&picture));
            image_free(&again);
            image_free(&picture);
        }
    assert_int_equal(test_folder_entries(folder), 1); /* and no temporary file */
    test_folder_remove(folder);
}

static void test_saving_jpeg(void **state) {
    (void)state;
    char *folder = test_folder_make();
    static const char *const names[] = {"b.jpg", "b.JPEG"};
    for (int n = 0; n < 2; n++)
        for (int channels = 1; channels <= 3; channels += 2) {
            image picture = gradient(61, 35, (image_format){channels, 8});
            image again = save_and_load(test_path(folder, names[n]), &picture);
            for (size_t i = 0; i < image_bytes(&picture); i++)
                assert_true(abs(bytes_of(&again)[i] - bytes_of(&picture)[i]) <= 6);
            image_free(&again);
            image_free(&picture);
        }
    assert_int_equal(test_folder_entries(folder), 2);
    test_folder_remove(folder);
}

static void test_what_jpeg_cannot_hold(void **state) {
    (void)state;
    char *folder = test_folder_make();
    static const image_format formats[] = {{2, 8}, {4, 8}, {1, 16}, {3, 16}, {4, 16}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        image picture = gradient(4, 4, formats[i]);
        assert_int_equal(image_save(test_path(folder, "c.jpg"), &picture), P2P_USAGE);
        MESSAGE_HAS("c.jpg");
        MESSAGE_HAS(formats[i].channels % 2 == 0 ? "alpha" : "16 bits");
        HINT_HAS(".png");
        assert_int_equal(image_save_check("c.png", formats[i]), P2P_OK);
        image_free(&picture);
    }
    assert_int_equal(test_folder_entries(folder), 0);
    test_folder_remove(folder);
}

static void test_saving_fails(void **state) {
    (void)state;
    char *folder = test_folder_make();
    image picture = gradient(4, 4, IMAGE_RGB8);
    static const char *const unknown[] = {"a.gif", "a", "png", "a.png.bak", "folder.png/a"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert_int_equal(image_save(unknown[i], &picture), P2P_USAGE);
        MESSAGE_HAS(unknown[i]);
        assert_false(image_suffix_known(unknown[i]));
    }
    test_folder_add(test_path(folder, "taken.png"));
    assert_int_equal(image_save(test_path(folder, "missing/a.png"), &picture), P2P_IO);
    MESSAGE_HAS("missing/");
    assert_int_equal(image_save(test_path(folder, "taken.png"), &picture), P2P_IO);
    MESSAGE_HAS("taken.png");
    assert_int_equal(test_folder_entries(folder), 1);
    image_free(&picture);
    test_folder_remove(folder);
}

/* A limit on file sizes simulates a full disk. */
static void test_full_disk(void **state) {
    (void)state;
    char *folder = test_folder_make();
    image picture = gradient(300, 300, IMAGE_RGB8);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const p2p_status saved = image_save(test_path(folder, "a.jpg"), &picture);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(saved, P2P_IO);
    MESSAGE_HAS("a.jpg");
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
    assert_int_equal(image_from_planes(planes, 16, 16, IMAGE_RGB8, &picture), P2P_OK);
    for (int i = 0; i < 256; i++)
        for (int c = 0; c < 3; c++)
            assert_int_equal(bytes_of(&picture)[i * 3 + c], i == 7 && c == 1 ? 255 : i);
    image_free(&picture);

    const float odd[3 * 3] = {NAN, INFINITY, -INFINITY, 1.5f, -1.5f, 0.0f, 0.0059f, -0.99f, 0.99f};
    const uint8_t expected[] = {0, 255, 128, 255, 0, 1, 0, 128, 254}; /* 127.5 rounds to even */
    assert_int_equal(image_from_planes(odd, 3, 1, IMAGE_RGB8, &picture), P2P_OK);
    assert_memory_equal(picture.pixels, expected, sizeof expected);
    image_free(&picture);
}

/* Every 16-bit value is recovered from the network's real number for it. */
static void test_deep_planes(void **state) {
    (void)state;
    enum { SIDE = 256 };
    float *planes = malloc(SIDE * SIDE * sizeof *planes);
    assert_non_null(planes);
    for (int i = 0; i < SIDE * SIDE; i++) planes[i] = (float)i / 32767.5f - 1.0f;
    image picture;
    assert_int_equal(image_from_planes(planes, SIDE, SIDE, (image_format){1, 16}, &picture), P2P_OK);
    for (int i = 0; i < SIDE * SIDE; i++) assert_int_equal(((uint16_t *)picture.pixels)[i], i);
    image_free(&picture);
    planes[0] = NAN;
    planes[1] = -1.1f;
    planes[2] = 1.1f;
    assert_int_equal(image_from_planes(planes, 3, 1, (image_format){1, 16}, &picture), P2P_OK);
    assert_int_equal(((uint16_t *)picture.pixels)[0], 0);
    assert_int_equal(((uint16_t *)picture.pixels)[1], 0);
    assert_int_equal(((uint16_t *)picture.pixels)[2], 65535);
    image_free(&picture);
    free(planes);
}

/* Widening is exact and inverted by narrowing, which rounds to the nearest; opaque is opaque at any depth. */
static void test_bits(void **state) {
    (void)state;
    image picture, other;
    assert_int_equal(image_create(&picture, 256, 256, (image_format){1, 16}), P2P_OK);
    for (int i = 0; i < 65536; i++) ((uint16_t *)picture.pixels)[i] = (uint16_t)i;
    assert_int_equal(image_convert(image_view_of(&picture), (image_format){2, 8}, &other), P2P_OK);
    for (int i = 0; i < 65536; i++) {
        assert_int_equal(bytes_of(&other)[2 * i], (int)floor(i / 257.0 + 0.5));
        assert_int_equal(bytes_of(&other)[2 * i + 1], 255);
    }
    image_view strip = image_view_crop(image_view_of(&picture), 0, 1, 256, 1); /* 256 .. 511 */
    image_free(&other);
    assert_int_equal(image_reformat(&picture, (image_format){1, 16}), P2P_OK);
    assert_ptr_equal(strip.pixels, (uint16_t *)picture.pixels + 256); /* nothing was copied */
    image_free(&picture);

    assert_int_equal(image_create(&picture, 256, 1, (image_format){1, 8}), P2P_OK);
    for (int i = 0; i < 256; i++) bytes_of(&picture)[i] = (uint8_t)i;
    assert_int_equal(image_convert(image_view_of(&picture), (image_format){4, 16}, &other), P2P_OK);
    for (int i = 0; i < 4 * 256; i++)
        assert_int_equal(((uint16_t *)other.pixels)[i], i % 4 == 3 ? 65535 : i / 4 * 257);
    assert_int_equal(image_reformat(&other, (image_format){1, 8}), P2P_OK);
    assert_memory_equal(other.pixels, picture.pixels, 256);
    image_free(&picture);
    image_free(&other);
}

static image flat_picture(int width, image_format format, int value) {
    image picture;
    assert_int_equal(image_create(&picture, width, 4, format), P2P_OK);
    memset(picture.pixels, value, image_bytes(&picture));
    return picture;
}

enum { GRID_LINE = 2, CELL_WIDTH = 12, CELL_HEIGHT = 4 };

/* Fills a column with three flat pictures, one of them grey. */
static void fill_column(picture_grid *grid, int column, const char *name) {
    image cells[PICTURE_GRID_ROWS];
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) {
        const int number = row * 2 + column;
        cells[row] =
            flat_picture(CELL_WIDTH, number == 3 ? (image_format){1, 8} : IMAGE_RGB8, 10 * (number + 1));
    }
    const picture_grid_column pair = {name, &cells[0], &cells[1], &cells[2]};
    assert_int_equal(picture_grid_put(grid, column, &pair), P2P_OK);
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) assert_null(cells[row].pixels);
}

/* The number of the cell of two columns that has a pixel; 0: none. */
static int cell_at(const image *picture, int x, int y) {
    x -= picture->width - 2 * (CELL_WIDTH + GRID_LINE);
    y -= picture->height - PICTURE_GRID_ROWS * (CELL_HEIGHT + GRID_LINE);
    const bool inside = x >= 0 && y >= 0 && x % (CELL_WIDTH + GRID_LINE) < CELL_WIDTH &&
                        y % (CELL_HEIGHT + GRID_LINE) < CELL_HEIGHT;
    return inside ? y / (CELL_HEIGHT + GRID_LINE) * 2 + x / (CELL_WIDTH + GRID_LINE) + 1 : 0;
}

/* Inputs, generated pictures and targets from the top; around them light lines and dark names. */
static void test_grid(void **state) {
    (void)state;
    picture_grid grid = {.columns = 2};
    fill_column(&grid, 0, "a");
    fill_column(&grid, 1, "b");
    const image *picture = &grid.picture;
    size_t seen = 0, ink = 0;
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++) {
            const int number = cell_at(picture, x, y);
            const int value = bytes_of(picture)[((size_t)y * (size_t)picture->width + (size_t)x) * 3];
            if (number) assert_int_equal(value, 10 * number);
            if (!number) assert_true(value > 180 || value == 48);
            seen += number > 0;
            ink += !number && value == 48;
        }
    assert_int_equal(seen, 6 * CELL_WIDTH * CELL_HEIGHT);
    assert_true(ink > 100);
    picture_grid_free(&grid);
}

static uint64_t hash_of_grid(const char *title, const char *name) {
    picture_grid grid = {.columns = 1};
    snprintf(grid.title, sizeof grid.title, "%s", title);
    fill_column(&grid, 0, name);
    const uint64_t hash = test_fnv(grid.picture.pixels, image_bytes(&grid.picture));
    picture_grid_free(&grid);
    return hash;
}

/* Title and names are in the picture, and no name is drawn over a cell or beyond the picture. */
static void test_grid_names(void **state) {
    (void)state;
    assert_true(hash_of_grid("epoch 1", "a") != hash_of_grid("epoch 2", "a"));
    assert_true(hash_of_grid("", "a") != hash_of_grid("", "b"));
    assert_true(hash_of_grid("", "a") == hash_of_grid("", "a"));
    picture_grid grid = {.columns = 1};
    image cells[PICTURE_GRID_ROWS];
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) cells[row] = flat_picture(200, IMAGE_RGB8, 7);
    const picture_grid_column pair = {"a name much wider than its cell, \xff\xf0\x9f\x98\x80 and so on.png",
                                      &cells[0], &cells[1], &cells[2]};
    assert_int_equal(picture_grid_put(&grid, 0, &pair), P2P_OK);
    for (int y = 0; y < grid.picture.height; y++)
        for (int x = grid.picture.width - GRID_LINE; x < grid.picture.width; x++)
            assert_true(bytes_of(&grid.picture)[((size_t)y * (size_t)grid.picture.width + (size_t)x) * 3] >
                        180);
    picture_grid_free(&grid);
}

/* As many columns as fit into a picture. */
static void test_grid_columns(void **state) {
    (void)state;
    assert_int_equal(picture_grid_columns(3, 256), 3);
    assert_int_equal(picture_grid_columns(1000, 256), PICTURE_GRID_MAX_COLUMNS);
    for (int side = 1; side <= 8192; side = side * 2 - side / 3) {
        const int columns = picture_grid_columns(1000, side);
        assert_true(columns >= 1 && (columns == PICTURE_GRID_MAX_COLUMNS || side > 1500));
        assert_true((int64_t)columns * side * PICTURE_GRID_ROWS * side < IMAGE_MAX_PIXELS);
        assert_true(columns * side < IMAGE_MAX_SIDE);
    }
}

static void test_grid_of_unequal_pictures(void **state) {
    (void)state;
    picture_grid grid = {.columns = 1};
    assert_int_equal(picture_grid_save(&grid, "never.png", NULL), P2P_INVALID);
    image cells[PICTURE_GRID_ROWS];
    for (int row = 0; row < PICTURE_GRID_ROWS; row++)
        cells[row] = flat_picture(row == 1 ? 4 : 5, IMAGE_RGB8, 1);
    const picture_grid_column pair = {"name", &cells[0], &cells[1], &cells[2]};
    assert_int_equal(picture_grid_put(&grid, 0, &pair), P2P_INVALID);
    for (int row = 0; row < PICTURE_GRID_ROWS; row++) image_free(&cells[row]);
    picture_grid_free(&grid);
}

/* ---- The font ------------------------------------------------------------------------------------------ */

/* The number of dark pixels in a range of columns of a text that is drawn with room for `room` characters. */
static int ink_of(const char *text, int room, int from, int to) {
    enum { WIDTH = 20 * FONT_WIDTH };
    image picture;
    int ink = 0;
    assert_int_equal(image_create(&picture, WIDTH, FONT_HEIGHT, IMAGE_RGB8), P2P_OK);
    memset(picture.pixels, 255, image_bytes(&picture));
    font_draw(&picture, text, 0, 0, 1, room);
    for (int y = 0; y < FONT_HEIGHT; y++)
        for (int x = from * FONT_WIDTH; x < to * FONT_WIDTH; x++)
            ink += bytes_of(&picture)[((size_t)y * WIDTH + (size_t)x) * 3] != 255;
    image_free(&picture);
    return ink;
}

/* Every character has a glyph of its own, and a long text is cut in its middle. */
static void test_font(void **state) {
    (void)state;
    uint64_t hashes['~' + 1];
    for (int code = ' '; code <= '~'; code++) {
        const char text[] = {(char)code, '\0'};
        image picture;
        assert_int_equal(image_create(&picture, FONT_WIDTH, FONT_HEIGHT, IMAGE_RGB8), P2P_OK);
        memset(picture.pixels, 255, image_bytes(&picture));
        font_draw(&picture, text, 0, 0, 1, 1);
        hashes[code] = test_fnv(picture.pixels, image_bytes(&picture));
        for (int other = ' '; other < code; other++) assert_true(hashes[other] != hashes[code]);
        image_free(&picture);
    }
    assert_int_equal(font_characters("a\xc3\xa9\xff"), 3);
    assert_int_equal(ink_of("abcdefghij", 10, 0, 10), ink_of("abcdefghij", 20, 0, 10));
    const int dots = ink_of("..", 2, 0, 2);
    assert_int_equal(ink_of("abcdefghij", 6, 0, 20), ink_of("abij", 4, 0, 4) + dots);
    assert_int_equal(ink_of("abcdefghij", 6, 2, 4), dots);
    assert_int_equal(ink_of("abcdefghij", 1, 0, 20), dots / 2);
    assert_int_equal(ink_of("abcdefghij", 0, 0, 20), 0);
}

static void test_creation_limits(void **state) {
    (void)state;
    static const int sizes[][2] = {{0, 1}, {1, -1}, {IMAGE_MAX_SIDE + 1, 1}, {20000, 20000}};
    image picture;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(image_create(&picture, sizes[i][0], sizes[i][1], IMAGE_RGB8), P2P_INVALID);
        assert_null(picture.pixels);
    }
    static const image_format formats[] = {{0, 8}, {5, 8}, {3, 12}, {3, 0}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        assert_int_equal(image_create(&picture, 1, 1, formats[i]), P2P_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_pillows),
        cmocka_unit_test(test_truncated_files),
        cmocka_unit_test(test_what_is_no_picture),
        cmocka_unit_test(test_cmyk_is_named),
        cmocka_unit_test(test_unusual_bmp),
        cmocka_unit_test(test_unusual_gif),
        cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_promised_pixels_are_missing),
        cmocka_unit_test(test_endless_scans),
        cmocka_unit_test(test_probe_beyond_long_headers),
        TEST_IN_FOLDER(test_no_more_is_read_than_decides),
        cmocka_unit_test(test_paths_that_hold_no_file),
        cmocka_unit_test(test_saving_png),
        cmocka_unit_test(test_saving_jpeg),
        cmocka_unit_test(test_what_jpeg_cannot_hold),
        cmocka_unit_test(test_saving_fails),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_planes),
        cmocka_unit_test(test_deep_planes),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_grid_names),
        cmocka_unit_test(test_grid_columns),
        cmocka_unit_test(test_font),
        cmocka_unit_test(test_grid_of_unequal_pictures),
        cmocka_unit_test(test_creation_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
