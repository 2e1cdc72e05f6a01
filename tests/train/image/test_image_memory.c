/* The memory of pictures: what a header shows bounds what decoding takes, threads share one budget, and files
 * that claim more than they hold are refused by their header. Memory is measured as the peak of a child
 * process; sanitizers have memory of their own, so there only the results are checked. */
#define _DEFAULT_SOURCE /* fork, setrlimit */
#include "data/loader.h"
#include "host/sys.h"
#include "image/image_limits.h"
#include "image/resize.h"
#include "support/test_bytes.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gif_lib.h>
#include <jpeglib.h>
#include <png.h>

#include <cmocka.h>

#include "support/test_expect.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEASURABLE = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { MEASURABLE = 0 };
#else
enum { MEASURABLE = 1 };
#endif
#else
enum { MEASURABLE = 1 };
#endif

enum { MIB = 1 << 20, SIDE = 1024 };

static const image_limits NONE = {.max_pixels = 1 << 28, .memory = UINT64_MAX};

/* ---- Files -------------------------------------------------------------------------------------------- */

/* A row of a picture that does not compress to nothing. */
static void fill_row(uint8_t *row, size_t bytes, int y) {
    for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)((i * i / 64 + (size_t)y * i / 16) & 63);
}

static void write_png(const char *path, int bits, int type, int interlaced) {
    uint8_t *row = malloc(SIDE * 8);
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_true(row != NULL && file != NULL);
    png_init_io(png, file);
    png_set_compression_level(png, 1);
    png_set_IHDR(png, info, SIDE, SIDE, bits, type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int pass = png_set_interlace_handling(png); pass > 0; pass--)
        for (int y = 0; y < SIDE; y++) {
            fill_row(row, SIDE * 8, y);
            png_write_row(png, row);
        }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(file);
    free(row);
}

static void write_jpeg(const char *path, bool progressive, bool subsampled) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    uint8_t *row = malloc(SIDE * 3);
    FILE *file = fopen(path, "wb");
    assert_true(row != NULL && file != NULL);
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_stdio_dest(&info, file);
    info.image_width = info.image_height = SIDE;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    if (!subsampled) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
    if (progressive) jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < SIDE) {
        fill_row(row, SIDE * 3, (int)info.next_scanline);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    fclose(file);
    free(row);
}

static void write_gif(const char *path) {
    int error;
    GifColorType colors[64];
    uint8_t *row = malloc(SIDE);
    GifFileType *gif = EGifOpenFileName(path, false, &error);
    assert_true(row != NULL && gif != NULL);
    for (int i = 0; i < 64; i++) colors[i] = (GifColorType){(uint8_t)i, (uint8_t)(4 * i), 9};
    ColorMapObject *map = GifMakeMapObject(64, colors);
    assert_int_equal(EGifPutScreenDesc(gif, SIDE, SIDE, 6, 0, map), GIF_OK);
    assert_int_equal(EGifPutImageDesc(gif, 0, 0, SIDE, SIDE, false, NULL), GIF_OK);
    for (int y = 0; y < SIDE; y++) {
        fill_row(row, SIDE, y);
        assert_int_equal(EGifPutLine(gif, row, SIDE), GIF_OK);
    }
    EGifCloseFile(gif, &error);
    GifFreeMapObject(map);
    free(row);
}

static void write_bmp(const char *path) {
    static const size_t size = 54 + (size_t)SIDE * SIDE * 3;
    uint8_t *bytes = calloc(1, size);
    assert_non_null(bytes);
    memcpy(bytes, "BM", 2);
    bytes[10] = 54, bytes[14] = 40, bytes[26] = 1, bytes[28] = 24;
    bytes[19] = bytes[23] = SIDE >> 8;
    for (int y = 0; y < SIDE; y++) fill_row(bytes + 54 + (size_t)y * SIDE * 3, SIDE * 3, y);
    test_file_write(path, bytes, size);
    free(bytes);
}

static void write_rgb_png(const char *path) {
    write_png(path, 8, PNG_COLOR_TYPE_RGB, 0);
}
static void write_deep_png(const char *path) {
    write_png(path, 16, PNG_COLOR_TYPE_RGB_ALPHA, 0);
}
static void write_interlaced_png(const char *path) {
    write_png(path, 16, PNG_COLOR_TYPE_RGB_ALPHA, 1);
}
static void write_baseline_jpeg(const char *path) {
    write_jpeg(path, false, true);
}
static void write_progressive_jpeg(const char *path) {
    write_jpeg(path, true, true);
}
static void write_large_progressive_jpeg(const char *path) {
    write_jpeg(path, true, false);
}
/* The baseline JPEG, and EXIF data by which it lies on its side. */
static void write_turned_jpeg(const char *path) {
    static const uint8_t exif[36] = "\xff\xe1\0\x22"
                                    "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0";
    size_t size;
    write_baseline_jpeg(path);
    uint8_t *bytes = test_file_read(path, &size), *longer = malloc(size + sizeof exif);
    assert_non_null(longer);
    memcpy(longer, bytes, 2);
    memcpy(longer + 2, exif, sizeof exif);
    memcpy(longer + 2 + sizeof exif, bytes + 2, size - 2);
    test_file_write(path, longer, size + sizeof exif);
    free(longer);
    free(bytes);
}

/* ---- Peaks -------------------------------------------------------------------------------------------- */

/* Runs `body` in a child process and returns the growth of its peak memory. A failed assertion there is one
 * here. */
static size_t peak_of(void (*body)(const void *argument), const void *argument) {
    int ends[2], status;
    size_t grown = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const size_t before = sys_peak_memory();
        body(argument);
        grown = sys_peak_memory() - before;
        _exit(write(ends[1], &grown, sizeof grown) == sizeof grown ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &grown, sizeof grown), sizeof grown);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return grown;
}

static void child_requires(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, p2p_message());
    _exit(2);
}

static void load_inspected(const void *path) {
    image_facts facts;
    image picture;
    child_requires(image_inspect(path, &facts) == P2P_OK, "inspecting");
    child_requires(image_load_inspected(path, &facts, &picture) == P2P_OK, "loading");
    image_free(&picture);
}

/* Converted to as many bytes or fewer in place: to RGB of the file's bits. */
static void load_as_rgb(const void *path) {
    image_facts facts;
    image picture;
    child_requires(image_inspect(path, &facts) == P2P_OK, "inspecting");
    child_requires(image_load_inspected(path, &facts, &picture) == P2P_OK, "loading");
    child_requires(image_reformat(&picture, (image_format){3, picture.bits}) == P2P_OK, "converting");
    image_free(&picture);
}

static void check_peak(const char *path, size_t peak, uint64_t bound) {
    if (!MEASURABLE) return;
    printf("%-24s peak %5.1f MB, bound %5.1f MB\n", strrchr(path, '/') + 1, (double)peak / 1e6,
           (double)bound / 1e6);
    /* Pages are counted in batches per processor, so a peak may be read a little too large. */
    if (peak > bound + MIB)
        fail_msg("%s takes %zu bytes; %llu were expected", path, peak, (unsigned long long)bound);
    if (peak < bound / 2)
        fail_msg("%s takes %zu bytes; %llu would be reserved", path, peak, (unsigned long long)bound);
}

static void test_headers_bound_peaks(void **state) {
    (void)state;
    static const struct {
        const char *name;
        void (*write)(const char *path);
    } kinds[] = {{"rgb.png", write_rgb_png},
                 {"deep.png", write_deep_png},
                 {"interlaced.png", write_interlaced_png},
                 {"baseline.jpg", write_baseline_jpeg},
                 {"turned.jpg", write_turned_jpeg},
                 {"progressive.jpg", write_progressive_jpeg},
                 {"progressive444.jpg", write_large_progressive_jpeg},
                 {"palette.gif", write_gif},
                 {"rgb.bmp", write_bmp}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *path = test_own_path(kinds[i].name);
        image_facts facts;
        kinds[i].write(path);
        OK(image_inspect(path, &facts));
        assert_int_equal(facts.header.width, SIDE);
        check_peak(path, peak_of(load_inspected, path), facts.file_bytes + facts.decode_bytes);
        check_peak(path, peak_of(load_as_rgb, path),
                   image_load_bytes(&facts, (image_format){3, facts.header.bits}));
    }
}

static void resize_large(const void *side) {
    image source, result;
    child_requires(image_create(&source, SIDE, SIDE, IMAGE_RGB8) == P2P_OK, "creating");
    memset(source.pixels, 9, image_bytes(&source));
    child_requires(resize_image(image_view_of(&source), *(const int *)side, *(const int *)side,
                                RESIZE_BICUBIC, &result) == P2P_OK,
                   "resizing");
    image_free(&source);
    image_free(&result);
}

static void test_resizing_is_bounded(void **state) {
    (void)state;
    static const int sides[] = {512, 3000};
    for (int i = 0; i < 2; i++) {
        const uint64_t pictures = 3 * ((uint64_t)SIDE * SIDE + (uint64_t)sides[i] * (uint64_t)sides[i]);
        check_peak("/resizing", peak_of(resize_large, &sides[i]),
                   pictures + resize_bytes(SIDE, SIDE, IMAGE_RGB8, sides[i]));
    }
}

/* ---- Claims ------------------------------------------------------------------------------------------- */

enum { HUGE_SIDE = 16384 };

/* Each of these small files claims 2^28 pixels. The end of a header is where the data of a picture begin. */
static void claim_png(uint8_t *bytes) {
    put_high_first(bytes + 16, HUGE_SIDE, 4);
    put_high_first(bytes + 20, HUGE_SIDE, 4);
}
static void claim_bmp(uint8_t *bytes) {
    put_low_first(bytes + 18, HUGE_SIDE, 4);
    put_low_first(bytes + 22, HUGE_SIDE, 4);
}
/* The screen is huge, and so is the frame after the palette of 2^(n + 1) colours and the extensions. */
static void claim_gif(uint8_t *bytes) {
    size_t at = 13 + (size_t)3 * (2u << (bytes[10] & 7));
    put_low_first(bytes + 6, HUGE_SIDE, 2);
    put_low_first(bytes + 8, HUGE_SIDE, 2);
    while (bytes[at] == 0x21)
        for (at += 2; bytes[at++] != 0;) at += bytes[at - 1];
    put_low_first(bytes + at + 5, HUGE_SIDE, 2);
    put_low_first(bytes + at + 7, HUGE_SIDE, 2);
}
static void claim_jpeg(uint8_t *bytes) {
    size_t frame = 0;
    while (bytes[frame] != 0xff || (bytes[frame + 1] != 0xc0 && bytes[frame + 1] != 0xc2)) frame++;
    put_high_first(bytes + frame + 5, HUGE_SIDE, 2);
    put_high_first(bytes + frame + 7, HUGE_SIDE, 2);
}

static const struct {
    const char *name;
    void (*claim)(uint8_t *bytes);
    bool is_bounded; /* whether the file's size bounds its pixels */
    double bytes_per_pixel;
} claims[] = {{"images/rgb.png", claim_png, true, 3},
              {"images/rgb_interlaced.png", claim_png, true, 3},
              {"images/rgb.bmp", claim_bmp, true, 3},
              {"images/palette.gif", claim_gif, true, 3},
              {"images/ycc420.jpg", claim_jpeg, false, 3},
              {"images/progressive.jpg", claim_jpeg, false, 6}}; /* of 4:2:0: half of the 6 of 4:4:4 */
enum { CLAIMS = sizeof claims / sizeof *claims };

static void make_claim(int i, const char *path) {
    size_t size;
    uint8_t *bytes = test_file_read(test_golden(claims[i].name), &size);
    claims[i].claim(bytes);
    test_png_seal(bytes, size);
    test_file_write(path, bytes, size);
    free(bytes);
}

static void load_refused(const void *path) {
    image picture;
    child_requires(image_load(path, &picture) == P2P_INPUT, "loading a claim");
    child_requires(strstr(p2p_message(), path) != NULL, "the message lacks the name");
}

static void test_claims_take_no_memory(void **state) {
    (void)state;
    const char *path = test_own_path("claim");
    image_facts facts;
    for (int i = 0; i < CLAIMS; i++) {
        make_claim(i, path);
        OK(image_limits_set(&NONE));
        const p2p_status status = image_inspect(path, &facts);
        assert_int_equal(status, claims[i].is_bounded ? P2P_INPUT : P2P_OK);
        if (claims[i].is_bounded) MESSAGE_HAS("truncated");
        const double pixels = (double)HUGE_SIDE * HUGE_SIDE;
        if ((double)facts.decode_bytes < claims[i].bytes_per_pixel * pixels)
            fail_msg("%s: %llu bytes are expected", claims[i].name, (unsigned long long)facts.decode_bytes);
        const size_t peak = peak_of(load_refused, path);
        if (MEASURABLE && peak > 64 * (size_t)MIB) fail_msg("%s takes %zu bytes", claims[i].name, peak);
    }
}

static void limit_address_space(const void *path) {
    image_facts facts;
    const rlim_t most = 600 * (rlim_t)MIB;
    child_requires(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}) == 0, "limiting the address space");
    sys_memory available;
    child_requires(sys_memory_available(&available) && available.bytes < most, "the memory within a limit");
    child_requires(image_limits_set(&(image_limits){1 << 28, available.bytes / 2}) == P2P_OK,
                   "limiting pictures");
    child_requires(image_inspect(path, &facts) == P2P_OK, "inspecting");
    child_requires(image_memory_take(facts.decode_bytes, path) == P2P_INPUT, "taking more than there is");
    child_requires(strstr(p2p_message(), path) != NULL, "the message lacks the name");
}

/* The budget follows a limit of the address space, so that a huge picture is bad input, not a lack of memory.
 */
static void test_limited_address_space(void **state) {
    (void)state;
    const char *path = test_own_path("claim.jpg");
    make_claim(CLAIMS - 1, path);
    (void)peak_of(limit_address_space, path);
}

/* ---- The budget --------------------------------------------------------------------------------------- */

enum { BUDGET = 1000, THREADS = 6, TURNS = 3000 };
static atomic_uint taken, too_much;

static void take_and_give(void *argument) {
    unsigned random = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < TURNS; i++) {
        random = random * 1103515245u + 12345u;
        const unsigned bytes = 1 + (random >> 16) % BUDGET;
        if (image_memory_take(bytes, "x.png") != P2P_OK) atomic_fetch_add(&too_much, 1);
        if (atomic_fetch_add(&taken, bytes) + bytes > BUDGET) atomic_fetch_add(&too_much, 1);
        atomic_fetch_sub(&taken, bytes);
        image_memory_give(bytes);
    }
}

static void test_threads_share_the_budget(void **state) {
    (void)state;
    sys_thread *threads[THREADS];
    OK(image_limits_set(&(image_limits){1 << 28, BUDGET}));
    assert_int_equal(image_memory_take(BUDGET + 1, "x.png"), P2P_INPUT);
    MESSAGE_HAS("x.png");
    for (int i = 0; i < THREADS; i++)
        OK(sys_thread_start(&threads[i], take_and_give, (void *)(uintptr_t)(i + 1)));
    for (int i = 0; i < THREADS; i++) sys_thread_join(threads[i]);
    assert_int_equal(atomic_load(&too_much), 0);
    OK(image_memory_take(BUDGET, "x.png")); /* all was given back */
    image_memory_give(BUDGET);
    OK(image_limits_set(&NONE));
}

typedef struct {
    const char *dir;
    uint64_t memory;
} load_case;

static void load_all(const void *argument) {
    const load_case *wanted = argument;
    dataset *data;
    loader *loading;
    const loader_batch *batch;
    child_requires(image_limits_set(&(image_limits){1 << 28, wanted->memory}) == P2P_OK, "limiting pictures");
    child_requires(dataset_open(&data, wanted->dir, "train",
                                &(dataset_options){.pairing = DATASET_PAIRS_SIDE_BY_SIDE, .side = 32}) ==
                       P2P_OK,
                   "opening");
    const loader_options options = {.data = data,
                                    .format = {{3, 16}, {3, 16}},
                                    .augment = {.size = 32, .load_size = 32},
                                    .workers = 6,
                                    .batch = 6,
                                    .epoch_end = 2};
    child_requires(loader_create(&loading, &options) == P2P_OK, "starting threads");
    for (batch = NULL;;) {
        child_requires(loader_next(loading, &batch) == P2P_OK, "a batch");
        if (batch == NULL) break;
        child_requires(batch->count == 6, "a whole batch");
        loader_release(loading);
    }
    loader_destroy(loading);
    dataset_close(data);
}

/* Six threads load pairs of 9 MB. Within a budget for two of them they take no more, and finish. */
static void test_loader_within_the_budget(void **state) {
    (void)state;
    char name[32];
    test_folder_add(test_own_path("train"));
    write_deep_png(test_own_path("train/0.png"));
    for (int i = 1; i < 6; i++) {
        snprintf(name, sizeof name, "train/%d.png", i);
        test_link_add(test_own_path(name), "0.png");
    }
    const load_case wanted = {test_own_folder, 24 * (uint64_t)MIB};
    const size_t peak = peak_of(load_all, &wanted);
    if (!MEASURABLE) return;
    printf("peak of six threads: %.1f MB within %.1f MB\n", (double)peak / 1e6, (double)wanted.memory / 1e6);
    assert_true(peak <= wanted.memory + 8 * (size_t)MIB); /* stacks and allocators of the threads */
}

int main(void) {
    sys_memory_return_freed();
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_headers_bound_peaks),        cmocka_unit_test(test_resizing_is_bounded),
        TEST_IN_FOLDER(test_claims_take_no_memory),      TEST_IN_FOLDER(test_loader_within_the_budget),
        cmocka_unit_test(test_threads_share_the_budget),
    };
    const struct CMUnitTest measured[] = {TEST_IN_FOLDER(test_limited_address_space)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + (MEASURABLE ? cmocka_run_group_tests(measured, NULL, NULL) : 0);
}
