/* From a folder to batches: listing, order, halves, augmentation, the prefetching loader, and the drawn data
 * set. Every error in a folder must be reported with its name. */
#include "data/dataset.h"
#include "data/loader.h"
#include "host/sys.h"
#include "image/resize.h"
#include "sample/sample_data.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data_refused.h"
#include "support/test_expect.h"
#include "support/test_text.h"

enum { RGB = 3 };

static const pair_format RGB_PAIR = {.input = {3, 8}, .target = {3, 8}};

static const dataset_options A_TO_B = {.direction = DATASET_A_TO_B};

/* Sample `index` of 8 bits. */
static int value_at(const void *pixels, size_t index) {
    return ((const uint8_t *)pixels)[index];
}

/* ---- A small data set on disk ------------------------------------------------------------------------- */

/* A pair whose halves differ by an offset, and whose pixel values encode its number. */
static image numbered_pair(int width, int height, int number, int offset) {
    image pair;
    OK(image_create(&pair, width, height, IMAGE_RGB8));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int inside = x % (width / 2), right = x >= width / 2;
            uint8_t *pixel = (uint8_t *)pair.pixels + ((size_t)y * (size_t)width + (size_t)x) * RGB;
            pixel[0] = (uint8_t)(number * 10 + right * offset);
            pixel[1] = (uint8_t)(inside * 200 / (width / 2));
            pixel[2] = (uint8_t)(y * 200 / height);
        }
    return pair;
}

static void save_pair(const char *path, int width, int height, int number, int offset) {
    image pair = numbered_pair(width, height, number, offset);
    OK(image_save(path, &pair));
    image_free(&pair);
}

/* Makes DIR/train with `count` PNG pairs of 32 x 16 pixels whose second half is 5 brighter. */
static char *make_data_set(int count) {
    char *dir = test_folder_make(), name[32];
    test_folder_add(test_path(dir, "train"));
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "train/%03d.png", i);
        save_pair(test_path(dir, name), 32, 16, i, 5);
    }
    return dir;
}

static dataset *open_train(const char *dir) {
    dataset *data;
    OK(dataset_open(&data, dir, "train", &A_TO_B));
    return data;
}

/* ---- Listing ------------------------------------------------------------------------------------------ */

static void test_listing(void **state) {
    (void)state;
    static const char *const sorted[] = {"B.JPG",       "Z/deep/er/1.png", "a-b.png",     "a.jpeg",
                                         "a/again.png", "a/b.Png",         "\xc3\xa4.png"};
    char *dir = test_folder_make();
    test_folder_add(test_path(dir, "train"));
    static const char *const folders[] = {"train/a",         "train/Z",      "train/Z/deep",
                                          "train/Z/deep/er", "train/.cache", "train/empty.png"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        test_folder_add(test_path(dir, folders[i]));
    static const char *const files[] = {"train/a/b.Png",   "train/a.jpeg",       "train/Z/deep/er/1.png",
                                        "train/B.JPG",     "train/\xc3\xa4.png", "train/a-b.png",
                                        "train/.hide.png", "train/.cache/2.png"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        save_pair(test_path(dir, files[i]), 8, 4, 1, 0);
    test_file_write(test_path(dir, "train/notes.txt"), "x", 1);
    test_file_write(test_path(dir, "train/png"), "x", 1);
    test_link_add(test_path(dir, "train/a/loop"), "..");
    test_link_add(test_path(dir, "train/Z/deep/self"), ".");
    test_link_add(test_path(dir, "train/a/again.png"), "b.Png");

    dataset *data = open_train(dir);
    assert_int_equal(dataset_count(data), sizeof sorted / sizeof sorted[0]);
    for (int64_t i = 0; i < dataset_count(data); i++) assert_string_equal(dataset_name(data, i), sorted[i]);
    dataset_close(data);
    bool has;
    OK(dataset_has_split(dir, "train", &has));
    assert_true(has);
    OK(dataset_has_split(dir, "val", &has));
    assert_false(has);
    test_folder_remove(dir);
}

static void assert_refused(const char *dir, p2p_status code, const char *part, const char *hint) {
    assert_data_refused(dir, "train", &A_TO_B, code, part, hint);
}

static void assert_unusable(const char *dir, const char *part, const char *hint) {
    assert_refused(dir, P2P_INPUT, part, hint);
}

static void test_unusable_folders(void **state) {
    (void)state;
    char *dir = test_folder_make();
    assert_unusable(test_path(dir, "nowhere"), "nowhere", "");
    assert_unusable(dir, test_path(dir, "train"), "A on the left");
    test_file_write(test_path(dir, "train"), "x", 1);
    assert_unusable(dir, "train is not a folder", "another name");
    test_folder_remove(dir);

    dir = make_data_set(0);
    assert_unusable(dir, "train holds no pictures", ".jpg");
    test_file_write(test_path(dir, "train/.hidden.png"), "x", 1);
    assert_unusable(dir, "train holds no pictures", ".jpg");
    test_folder_remove(dir);
}

static void test_unusable_files(void **state) {
    (void)state;
    char *dir = make_data_set(2);
    const char *odd = test_path(dir, "train/odd.png");
    save_pair(odd, 33, 16, 1, 0);
    assert_unusable(dir, "odd.png is 33 pixels wide", "A on the left");
    test_file_write(odd, "no picture", 10);
    assert_unusable(dir, "odd.png is neither", "convert");
    test_file_write(odd, "", 0);
    assert_unusable(dir, "odd.png is empty", "");
    test_folder_remove(dir);

    dir = make_data_set(2);
    test_link_add(test_path(dir, "train/x.jpg"), "gone.jpg");
    assert_refused(dir, P2P_UNREADABLE, "train/x.jpg", "");
    test_folder_remove(dir);
}

static void test_depth_is_limited(void **state) {
    (void)state;
    char *dir = make_data_set(1), path[1024];
    snprintf(path, sizeof path, "%s/train", dir);
    for (int depth = 2; depth <= SYS_WALK_DEPTH; depth++) { /* train itself is the first */
        strcat(path, "/d");
        test_folder_add(path);
    }
    dataset_close(open_train(dir));
    strcat(path, "/d");
    test_folder_add(path);
    assert_unusable(dir, "deep", "");
    test_folder_remove(dir);
}

static void test_halves_and_direction(void **state) {
    (void)state;
    char *dir = make_data_set(3);
    for (int b_to_a = 0; b_to_a < 2; b_to_a++) {
        dataset *data;
        OK(dataset_open(&data, dir, "train",
                        &(dataset_options){.direction = b_to_a ? DATASET_B_TO_A : DATASET_A_TO_B}));
        image_pair pair;
        OK(dataset_load(data, 2, RGB_PAIR, &pair));
        image_view input = pair.input, target = pair.target;
        assert_int_equal(input.width, 16);
        assert_int_equal(target.width, 16);
        assert_int_equal(input.height, 16);
        assert_int_equal(value_at(input.pixels, 0), b_to_a ? 25 : 20); /* B is 5 brighter */
        assert_int_equal(value_at(target.pixels, 0), b_to_a ? 20 : 25);
        assert_int_equal(value_at(input.pixels, 1), value_at(target.pixels, 1));
        image_pair_free(&pair);
        dataset_close(data);
    }
    test_folder_remove(dir);
}

/* ---- Order -------------------------------------------------------------------------------------------- */

static void assert_permutation(const int64_t *order, int count) {
    bool seen[64] = {false};
    for (int i = 0; i < count; i++) {
        assert_true(order[i] >= 0 && order[i] < count && !seen[order[i]]);
        seen[order[i]] = true;
    }
}

static void test_order(void **state) {
    (void)state;
    enum { COUNT = 50 };
    int64_t order[COUNT], again[COUNT];
    dataset_order(order, COUNT, false, 1, 3);
    for (int i = 0; i < COUNT; i++) assert_int_equal(order[i], i);
    dataset_order(order, COUNT, true, 1, 3);
    assert_permutation(order, COUNT);
    dataset_order(again, COUNT, true, 1, 3);
    assert_memory_equal(order, again, sizeof order);
    dataset_order(again, COUNT, true, 1, 4);
    assert_memory_not_equal(order, again, sizeof order);
    dataset_order(again, COUNT, true, 2, 3);
    assert_memory_not_equal(order, again, sizeof order);
    dataset_order(order, 1, true, 1, 1);
    assert_int_equal(order[0], 0);
}

/* Every sample is at every position about equally often. */
static void test_order_is_fair(void **state) {
    (void)state;
    enum { COUNT = 5, EPOCHS = 5000 };
    int64_t order[COUNT];
    int landed[COUNT][COUNT] = {{0}};
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        dataset_order(order, COUNT, true, 9, epoch);
        for (int i = 0; i < COUNT; i++) landed[order[i]][i]++;
    }
    for (int i = 0; i < COUNT * COUNT; i++) /* expected 1000, standard deviation 28 */
        assert_in_range(landed[i / COUNT][i % COUNT], 860, 1140);
}

/* ---- Augmentation ------------------------------------------------------------------------------------- */

static void test_draws(void **state) {
    (void)state;
    augment_options options = {.size = 10, .load_size = 13, .jitter = true, .flip = true};
    enum { DRAWS = 4000 };
    int lefts[4] = {0}, tops[4] = {0}, mirrored = 0, together[4][4] = {{0}};
    for (int i = 0; i < DRAWS; i++) {
        augment_choice choice = augment_draw(&options, 7, i % 40, i / 40);
        assert_in_range(choice.left, 0, 3); /* both ends included */
        assert_in_range(choice.top, 0, 3);
        lefts[choice.left]++;
        tops[choice.top]++;
        together[choice.left][choice.top]++;
        mirrored += choice.mirror;
    }
    for (int i = 0; i < 4; i++) { /* expected 1000, standard deviation 27; 250 and 15 below */
        assert_in_range(lefts[i], 860, 1140);
        assert_in_range(tops[i], 860, 1140);
        for (int k = 0; k < 4; k++) assert_in_range(together[i][k], 170, 330);
    }
    assert_in_range(mirrored, 1840, 2160); /* 2000, 32 */

    augment_choice choice = augment_draw(&options, 7, 3, 5), again = augment_draw(&options, 7, 3, 5);
    assert_true(choice.left == again.left && choice.top == again.top && choice.mirror == again.mirror);
    options.jitter = options.flip = false;
    choice = augment_draw(&options, 7, 3, 5);
    assert_true(choice.left == 0 && choice.top == 0 && !choice.mirror);
}

/* Resize, crop and mirror, compared with a plain implementation here. */
static void test_augmentation(void **state) {
    (void)state;
    image pair = numbered_pair(50, 30, 3, 0), large;
    image_view half = image_view_crop(image_view_of(&pair), 0, 0, 25, 30);
    augment_options options = {.size = 20, .load_size = 24, .jitter = true, .flip = true};
    uint8_t pixels[20 * 20 * RGB];
    OK(resize_image(half, 24, 24, RESIZE_BICUBIC, &large));
    for (int mirror = 0; mirror < 2; mirror++) {
        augment_choice choice = {.left = 3, .top = 1, .mirror = mirror};
        OK(augment_apply(&options, choice, half, pixels));
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 20; x++) {
                int from = 3 + (mirror ? 19 - x : x);
                assert_memory_equal(pixels + (y * 20 + x) * RGB,
                                    (uint8_t *)large.pixels + ((y + 1) * 24 + from) * RGB, RGB);
            }
    }
    image_free(&large);
    options.jitter = false;
    OK(resize_image(half, 20, 20, RESIZE_BICUBIC, &large));
    OK(augment_apply(&options, (augment_choice){0}, half, pixels));
    assert_memory_equal(pixels, large.pixels, sizeof pixels);
    image_free(&large);
    image_free(&pair);
}

static void test_augmentation_sizes(void **state) {
    (void)state;
    static const struct {
        augment_options options;
        p2p_status status;
    } cases[] = {
        {{.size = 256, .load_size = 286, .jitter = true}, P2P_OK},
        {{.size = 256, .load_size = 256, .jitter = true}, P2P_OK},
        {{.size = 256, .load_size = 255, .jitter = true}, P2P_USAGE},
        {{.size = 256, .load_size = 0, .jitter = false}, P2P_OK},
        {{.size = 0, .load_size = 10, .jitter = true}, P2P_USAGE},
        {{.size = 10, .load_size = IMAGE_MAX_SIDE + 1, .jitter = true}, P2P_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(augment_check(&cases[i].options), cases[i].status);
    augment_check(&cases[2].options);
    MESSAGE_HAS("--load-size 255");
}

/* ---- The loader --------------------------------------------------------------------------------------- */

static loader_options usual_options(const dataset *data) {
    return (loader_options){.data = data,
                            .format = RGB_PAIR,
                            .augment = {.size = 12, .load_size = 14, .jitter = true, .flip = true},
                            .batch = 3,
                            .shuffle = true,
                            .seed = 11,
                            .epoch_end = 3};
}

static loader *create(const loader_options *options) {
    loader *loading;
    OK(loader_create(&loading, options));
    return loading;
}

/* The next batch; the one before is not read any more. */
static const loader_batch *next(loader *loading) {
    const loader_batch *batch;
    loader_release(loading);
    OK(loader_next(loading, &batch));
    return batch;
}

/* Seven samples in batches of three: 3, 3, 1. Each epoch visits each sample once, in its order. */
static void test_batches(void **state) {
    (void)state;
    char *dir = make_data_set(7);
    dataset *data = open_train(dir);
    loader_options options = usual_options(data);
    assert_int_equal(loader_batches(data, 3), 3);
    assert_int_equal(loader_batches(data, 7), 1);
    assert_int_equal(loader_batches(data, 8), 1);
    loader *loading = create(&options);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        int64_t order[7];
        dataset_order(order, 7, true, 11, epoch);
        for (int64_t index = 0; index < 3; index++) {
            const loader_batch *batch = next(loading);
            assert_non_null(batch);
            assert_int_equal(batch->epoch, epoch);
            assert_int_equal(batch->first, 3 * index);
            assert_int_equal(batch->count, index < 2 ? 3 : 1);
            for (int i = 0; i < batch->count; i++) {
                assert_int_equal(batch->samples[i], order[3 * index + i]);
                size_t at = (size_t)i * 12 * 12 * RGB;
                assert_int_equal(value_at(batch->input, at), 10 * batch->samples[i]);
                assert_int_equal(value_at(batch->target, at), 10 * batch->samples[i] + 5);
            }
        }
    }
    assert_null(next(loading));
    assert_null(next(loading));
    loader_destroy(loading);
    dataset_close(data);
    test_folder_remove(dir);
}

/* The halves of these pairs are equal in green and blue, so both pictures must be equal there after
 * augmentation, and equal to the augmentation of the same sample by itself. */
static void test_pairs_stay_aligned(void **state) {
    (void)state;
    char *dir = make_data_set(5);
    dataset *data = open_train(dir);
    loader_options options = usual_options(data);
    loader *loading = create(&options);
    int mirrored = 0;
    for (const loader_batch *batch; (batch = next(loading)) != NULL;)
        for (int i = 0; i < batch->count; i++) {
            const uint8_t *input = (const uint8_t *)batch->input + (size_t)i * 12 * 12 * RGB;
            const uint8_t *target = (const uint8_t *)batch->target + (size_t)i * 12 * 12 * RGB;
            for (int p = 0; p < 12 * 12; p++)
                assert_memory_equal(input + p * RGB + 1, target + p * RGB + 1, 2);
            augment_choice choice = augment_draw(&options.augment, 11, batch->epoch, batch->samples[i]);
            uint8_t expected[12 * 12 * RGB];
            image_pair pair;
            OK(dataset_load(data, batch->samples[i], RGB_PAIR, &pair));
            OK(augment_apply(&options.augment, choice, pair.input, expected));
            image_pair_free(&pair);
            assert_memory_equal(input, expected, sizeof expected);
            mirrored += choice.mirror;
        }
    assert_in_range(mirrored, 1, 14);
    loader_destroy(loading);
    dataset_close(data);
    test_folder_remove(dir);
}

/* A loader started at any batch delivers the same as an uninterrupted one from there on. */
static void test_positions(void **state) {
    (void)state;
    char *dir = make_data_set(7);
    dataset *data = open_train(dir);
    for (int64_t start = 0; start < 9; start++) {
        loader_options options = usual_options(data);
        loader *whole = create(&options);
        for (int64_t skipped = 0; skipped < start; skipped++) assert_non_null(next(whole));
        options.epoch = start / 3;
        options.first = start % 3 * 3;
        loader *resumed = create(&options);
        for (int64_t position = start; position <= 9; position++) {
            const loader_batch *expected = next(whole), *batch = next(resumed);
            if (position == 9) {
                assert_null(expected);
                assert_null(batch);
                break;
            }
            assert_int_equal(batch->epoch, expected->epoch);
            assert_int_equal(batch->first, expected->first);
            assert_int_equal(batch->count, expected->count);
            size_t bytes = (size_t)batch->count * 12 * 12 * RGB;
            assert_int_equal(batch->input_bytes, bytes);
            assert_int_equal(batch->target_bytes, bytes);
            assert_memory_equal(batch->input, expected->input, bytes);
            assert_memory_equal(batch->target, expected->target, bytes);
        }
        loader_destroy(whole);
        loader_destroy(resumed);
    }
    dataset_close(data);
    test_folder_remove(dir);
}

/* A validation pass: byte order, resized only. */
static void test_without_randomness(void **state) {
    (void)state;
    char *dir = make_data_set(4);
    dataset *data = open_train(dir);
    loader_options options = {
        .data = data, .format = RGB_PAIR, .augment = {.size = 12}, .batch = 4, .epoch_end = 1};
    loader *loading = create(&options);
    const loader_batch *batch = next(loading);
    assert_int_equal(batch->count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(batch->samples[i], i);
        image_pair pair;
        image expected;
        OK(dataset_load(data, i, RGB_PAIR, &pair));
        OK(resize_image(pair.target, 12, 12, RESIZE_BICUBIC, &expected));
        assert_memory_equal((const uint8_t *)batch->target + (size_t)i * 12 * 12 * RGB, expected.pixels,
                            12 * 12 * RGB);
        image_pair_free(&pair);
        image_free(&expected);
    }
    assert_null(next(loading));
    loader_destroy(loading);
    dataset_close(data);
    test_folder_remove(dir);
}

/* A file that is damaged after listing: the batches before it are delivered, then every call fails with its
 * name. */
static void test_failure_comes_in_order(void **state) {
    (void)state;
    char *dir = make_data_set(8);
    dataset *data = open_train(dir);
    size_t size;
    const char *victim = test_path(dir, "train/005.png");
    uint8_t *bytes = test_file_read(victim, &size);
    test_file_write(victim, bytes, size - 20);
    free(bytes);
    loader_options options = usual_options(data);
    options.shuffle = false;
    options.batch = 2;
    loader *loading = create(&options);
    assert_int_equal(next(loading)->samples[0], 0);
    assert_int_equal(next(loading)->samples[0], 2);
    for (int i = 0; i < 3; i++) {
        const loader_batch *batch;
        p2p_fail(P2P_FAILED, "an older message of this thread");
        assert_int_equal(loader_next(loading, &batch), P2P_INPUT);
        assert_null(batch);
        MESSAGE_HAS("005.png");
        MESSAGE_HAS("truncated");
    }
    loader_destroy(loading);

    save_pair(victim, 33, 16, 1, 0); /* the hint is returned too */
    options.first = 4;
    loading = create(&options);
    const loader_batch *batch;
    assert_int_equal(loader_next(loading, &batch), P2P_INPUT);
    MESSAGE_HAS("33 pixels wide");
    HINT_HAS("A on the left");
    loader_destroy(loading);
    dataset_close(data);
    test_folder_remove(dir);
}

/* A loader that begins within what was a batch continues in the same order, and the epochs after it are
 * whole. */
static void test_begun_epoch(void **state) {
    (void)state;
    char *dir = make_data_set(7);
    dataset *data = open_train(dir);
    loader_options options = usual_options(data);
    int64_t order[7];
    static const int counts[] = {3, 2, 3, 3, 1}; /* pairs 2 to 6 of epoch 0, then epoch 1 */
    options.first = 2;
    options.epoch_end = 2;
    loader *loading = create(&options);
    for (int64_t b = 0, first = 2; b < 5; b++) {
        const loader_batch *batch = next(loading);
        assert_int_equal(batch->epoch, b < 2 ? 0 : 1);
        assert_int_equal(batch->first, b == 2 ? 0 : first);
        assert_int_equal(batch->count, counts[b]);
        dataset_order(order, 7, options.shuffle, options.seed, batch->epoch);
        for (int i = 0; i < batch->count; i++) assert_int_equal(batch->samples[i], order[batch->first + i]);
        first = batch->first + batch->count;
    }
    assert_null(next(loading));
    loader_destroy(loading);
    dataset_close(data);
    test_folder_remove(dir);
}

/* Ended at any moment, used or not, without leaks or waiting for the rest. */
static void test_early_end(void **state) {
    (void)state;
    char *dir = make_data_set(5);
    dataset *data = open_train(dir);
    loader_options options = usual_options(data);
    options.epoch_end = INT64_MAX;
    for (int taken = 0; taken < 12; taken++) {
        loader *loading = create(&options);
        for (int i = 0; i < taken; i++) assert_non_null(next(loading));
        loader_destroy(loading);
    }
    loader_destroy(NULL);
    dataset_close(data);
    test_folder_remove(dir);
}

static void test_loader_refuses(void **state) {
    (void)state;
    char *dir = make_data_set(5);
    dataset *data = open_train(dir);
    loader *loading;
    loader_options options = usual_options(data);
    options.batch = 0;
    assert_int_equal(loader_create(&loading, &options), P2P_USAGE);
    assert_null(loading);
    options.batch = 3;
    options.format.target.bits = 0;
    assert_int_equal(loader_create(&loading, &options), P2P_INVALID);
    options.format = RGB_PAIR;
    options.first = 5; /* pairs 0 to 4 exist */
    assert_int_equal(loader_create(&loading, &options), P2P_INVALID);
    options.first = 0;
    options.augment.load_size = 5;
    assert_int_equal(loader_create(&loading, &options), P2P_USAGE);
    dataset_close(data);
    test_folder_remove(dir);
}

/* ---- The drawn data set ------------------------------------------------------------------------------- */

/* Outlines are grey values on a mostly white ground; the picture beside them has colour. */
static void check_drawn_pair(const image *pair, int size) {
    int64_t white = 0, dark = 0, colored = 0;
    for (int y = 0; y < size; y++)
        for (int x = 0; x < 2 * size; x++) {
            const uint8_t *pixel =
                (const uint8_t *)pair->pixels + ((size_t)y * 2 * (size_t)size + (size_t)x) * RGB;
            bool grey = pixel[0] == pixel[1] && pixel[1] == pixel[2];
            if (x < size) assert_true(grey);
            if (x < size && pixel[0] == 255) white++;
            if (x < size && pixel[0] < 64) dark++;
            if (x >= size && !grey) colored++;
        }
    int64_t pixels = (int64_t)size * size;
    assert_true(white > pixels / 2 && dark > pixels / 200 && colored > pixels / 2);
}

static void test_drawn_pairs(void **state) {
    (void)state;
    enum { SIZE = 48 };
    size_t bytes = SIZE * 2 * SIZE * RGB;
    image first = {0};
    for (uint64_t number = 0; number < 12; number++) {
        image pair, again;
        OK(sample_data_pair(SIZE, 5, number, &pair));
        assert_int_equal(pair.width, 2 * SIZE);
        assert_int_equal(pair.height, SIZE);
        check_drawn_pair(&pair, SIZE);
        OK(sample_data_pair(SIZE, 5, number, &again));
        assert_memory_equal(pair.pixels, again.pixels, bytes);
        image_free(&again);
        if (number > 0) assert_memory_not_equal(pair.pixels, first.pixels, bytes);
        if (number == 0)
            first = pair;
        else
            image_free(&pair);
    }
    image other;
    OK(sample_data_pair(SIZE, 6, 0, &other));
    assert_memory_not_equal(other.pixels, first.pixels, bytes);
    image_free(&other);
    image_free(&first);
}

static void assert_split(const char *dir, const char *split, int64_t count) {
    dataset *data;
    OK(dataset_open(&data, dir, split, &A_TO_B));
    assert_int_equal(dataset_count(data), count);
    image_pair pair;
    OK(dataset_load(data, count - 1, RGB_PAIR, &pair));
    assert_int_equal(pair.input.width, 16);
    assert_int_equal(pair.target.height, 16);
    image_pair_free(&pair);
    dataset_close(data);
}

static void test_drawn_data_set(void **state) {
    (void)state;
    char *folder = test_folder_make();
    const char *dir = test_path(folder, "new/toys");
    OK(sample_data_draw(dir, 9, 16, 1));
    assert_split(dir, "train", 9);
    assert_split(dir, "val", 2);
    assert_split(dir, "test", 2);
    assert_int_equal(sample_data_draw(dir, 9, 16, 1), P2P_USAGE);
    MESSAGE_HAS("train exists already");
    REFUSED(sample_data_draw(dir, 9, 16, 2), P2P_USAGE, "exists already");
    const char *other = test_path(folder, "other");
    assert_int_equal(sample_data_draw(other, 0, 16, 1), P2P_USAGE);
    assert_int_equal(sample_data_draw(other, 1, 15, 1), P2P_USAGE);
    assert_int_equal(sample_data_draw(other, 1, 5000, 1), P2P_USAGE);
    assert_int_equal(test_folder_entries(folder), 1); /* the refused calls have made nothing */
    test_file_write(test_path(folder, "file"), "x", 1);
    assert_int_equal(sample_data_draw(test_path(folder, "file/toys"), 1, 16, 1), P2P_IO);
    test_folder_remove(folder);
}

/* A person's pictures in any of the splits are neither overwritten nor mixed with drawn ones. */
static void test_drawn_over_pictures(void **state) {
    (void)state;
    static const char *const taken[] = {"val/00001.jpg", "test/00001.jpg", "train/00009.jpg",
                                        "val/mine.png",  "test/00003.jpg", "train/a/00001.jpg"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        char *folder = test_folder_make();
        char *name = strdup(taken[i]);
        for (char *slash = name; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = '\0';
            test_folder_add(test_path(folder, name));
        }
        test_file_write(test_path(folder, name), "mine", 4);
        REFUSED(sample_data_draw(folder, 9, 16, 1), P2P_USAGE, "exists already");
        MESSAGE_HAS(name);
        assert_file_is(test_path(folder, name), "mine");
        assert_int_equal(test_folder_entries(folder), 1); /* nothing is drawn beside it */
        free(name);
        test_folder_remove(folder);
    }
}

/* A set that was interrupted, as its missing pictures show, is completed. */
static void test_drawn_again(void **state) {
    (void)state;
    static const char *const missing[] = {"train/00009.jpg", "train/00004.jpg", "test/00002.jpg"};
    char *folder = test_folder_make();
    OK(sample_data_draw(folder, 9, 16, 1));
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        assert_int_equal(remove(test_path(folder, missing[i])), 0);
    test_file_write(test_path(folder, "train/.p2p-2147483647-0123456789abcdef.tmp"), "part", 4);
    OK(sample_data_draw(folder, 9, 16, 1));
    assert_split(folder, "train", 9);
    assert_split(folder, "val", 2);
    assert_split(folder, "test", 2);
    assert_int_equal(test_folder_entries(test_path(folder, "train")), 9);
    test_folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_unusable_folders),
        cmocka_unit_test(test_unusable_files),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_halves_and_direction),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_is_fair),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_augmentation),
        cmocka_unit_test(test_augmentation_sizes),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_pairs_stay_aligned),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_without_randomness),
        cmocka_unit_test(test_failure_comes_in_order),
        cmocka_unit_test(test_begun_epoch),
        cmocka_unit_test(test_early_end),
        cmocka_unit_test(test_loader_refuses),
        cmocka_unit_test(test_drawn_pairs),
        cmocka_unit_test(test_drawn_data_set),
        cmocka_unit_test(test_drawn_over_pictures),
        cmocka_unit_test(test_drawn_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
