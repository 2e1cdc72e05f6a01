/* Pairs in two folders, bad pairs, names of any bytes, 16-bit pictures, and loading with several threads: the
 * contracts of dataset.h, loader.h and text.h beyond the plain case, which test_dataset.c tests. */
#include "data/dataset.h"
#include "data/loader.h"
#include "host/sys.h"
#include "host/text.h"
#include "image/image_limits.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "data_refused.h"
#include "support/test_expect.h"

static const dataset_options STOP = {.direction = DATASET_A_TO_B},
                             SKIP = {.direction = DATASET_A_TO_B, .skip_bad = true, .replace_bad = true};
static const pair_format GREY = {.input = {1, 8}, .target = {1, 8}},
                         DEEP = {.input = {1, 16}, .target = {1, 16}};

/* Saves a grey picture of one value, with 16 bits if the value exceeds 255. */
static void save(const char *path, int width, int height, int value) {
    image picture;
    OK(image_create(&picture, width, height, (image_format){1, value > 255 ? 16 : 8}));
    for (int i = 0; i < width * height; i++) {
        if (value > 255)
            ((uint16_t *)picture.pixels)[i] = (uint16_t)value;
        else
            ((uint8_t *)picture.pixels)[i] = (uint8_t)value;
    }
    OK(image_save(path, &picture));
    image_free(&picture);
}

static void break_file(const char *path) {
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    test_file_write(path, bytes, size - 20); /* the header remains valid */
    free(bytes);
}

static dataset *open_as(const char *dir, const dataset_options *options) {
    dataset *data;
    OK(dataset_open(&data, dir, "train", options));
    return data;
}

static void refuse(const char *dir, const char *part, const char *other_part) {
    assert_data_refused(dir, "train", &STOP, P2P_INPUT, part, "");
    MESSAGE_HAS(other_part);
}

/* ---- Layouts ------------------------------------------------------------------------------------------ */

static const char *const layouts[][2] = {
    {"trainA", "trainB"}, {"train_A", "train_B"}, {"A/train", "B/train"}};

/* Makes both folders of a layout, empty. */
static char *make_folders(int layout) {
    char *dir = test_folder_make();
    if (layout == 2) {
        test_folder_add(test_path(dir, "A"));
        test_folder_add(test_path(dir, "B"));
    }
    for (int side = 0; side < 2; side++) test_folder_add(test_path(dir, layouts[layout][side]));
    return dir;
}

static const char *in_side(const char *dir, int layout, int side, const char *name) {
    return test_path(test_path(dir, layouts[layout][side]), name);
}

/* Names in subfolders, suffixes that differ and whose order differs, in every layout and both directions. */
static void test_two_folders(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"a.png", "a.PNG"}, {"a-b.png", "a-b.png"}, {"sub/x.png", "sub/x.png"}};
    static const char *const sorted[] = {"a.png", "a-b.png", "sub/x.png"}; /* "a" is before "a-b" */
    for (int layout = 0; layout < 3; layout++) {
        char *dir = make_folders(layout);
        for (int side = 0; side < 2; side++) {
            test_folder_add(in_side(dir, layout, side, "sub"));
            for (int i = 0; i < 3; i++) save(in_side(dir, layout, side, names[i][side]), 6, 4, 10 * i + side);
        }
        bool has;
        OK(dataset_has_split(dir, "train", &has));
        assert_true(has);
        OK(dataset_has_split(dir, "val", &has));
        assert_false(has);
        for (int b_to_a = 0; b_to_a < 2; b_to_a++) {
            const dataset_options options = {.direction = b_to_a ? DATASET_B_TO_A : DATASET_A_TO_B};
            dataset *data = open_as(dir, &options);
            assert_int_equal(dataset_count(data), 3);
            for (int i = 0; i < 3; i++) {
                image_pair pair;
                assert_string_equal(dataset_name(data, i), sorted[i]);
                OK(dataset_load(data, i, GREY, &pair));
                assert_int_equal(pair.input.width, 6);
                assert_int_equal(((const uint8_t *)pair.input.pixels)[5], 10 * i + b_to_a);
                assert_int_equal(((const uint8_t *)pair.target.pixels)[5], 10 * i + !b_to_a);
                image_pair_free(&pair);
            }
            dataset_close(data);
        }
        test_folder_remove(dir);
    }
}

static void check_size(const char *dir, int width, int height) {
    dataset *data = open_as(dir, &SKIP);
    const pair_size size = dataset_one_size(data);
    assert_int_equal(size.width, width);
    assert_int_equal(size.height, height);
    dataset_close(data);
}

/* The size of all pictures of the pairs in use, one half of a picture with A and B side by side. */
static void test_one_size(void **state) {
    (void)state;
    char *dir = make_folders(0);
    for (int i = 0; i < 4; i++) save(in_side(dir, 0, i % 2, i < 2 ? "1.png" : "2.png"), 6, 4, i);
    check_size(dir, 6, 4);
    for (int side = 0; side < 2; side++) save(in_side(dir, 0, side, "3.png"), 6, 8, side);
    check_size(dir, 0, 0);
    test_file_write(in_side(dir, 0, 1, "3.png"), "no picture", 10); /* left out, so its size does not count */
    check_size(dir, 6, 4);
    for (int side = 0; side < 2; side++) save(in_side(dir, 0, side, "3.png"), 4, 6, side);
    for (int side = 0; side < 2; side++) save(in_side(dir, 0, side, "4.png"), 6, 4, side);
    check_size(dir, 0, 0);
    test_folder_remove(dir);

    dir = test_folder_make();
    test_folder_add(test_path(dir, "train"));
    save(test_path(dir, "train/1.png"), 12, 4, 1);
    save(test_path(dir, "train/2.png"), 12, 4, 2);
    check_size(dir, 6, 4);
    save(test_path(dir, "train/3.png"), 14, 4, 3);
    check_size(dir, 0, 0);
    test_folder_remove(dir);
}

static void test_confused_layouts(void **state) {
    (void)state;
    char *dir = make_folders(0);
    test_folder_add(test_path(dir, "train_B")); /* half of a layout counts as one */
    refuse(dir, "trainA", "train_A");
    test_folder_remove(dir);

    dir = make_folders(2);
    test_folder_add(test_path(dir, "train"));
    refuse(dir, test_path(dir, "train"), "A/train");
    test_folder_remove(dir);

    dir = test_folder_make();
    test_folder_add(test_path(dir, "train_B"));
    refuse(dir, "there is no folder", "train_A");
    test_folder_remove(dir);
}

static void test_single_names(void **state) {
    (void)state;
    char *dir = make_folders(0);
    for (int i = 0; i < 2; i++) save(in_side(dir, 0, i, "both.png"), 4, 4, i);
    save(in_side(dir, 0, 1, "alone.png"), 4, 4, 1);
    refuse(dir, "trainB/alone.png has no partner", "trainA (1 such");
    save(in_side(dir, 0, 0, "Alone.png"), 4, 4, 1); /* another name */
    refuse(dir, "trainA/Alone.png has no partner", "2 such files");
    dataset *data = open_as(dir, &SKIP);
    assert_int_equal(dataset_count(data), 1);
    assert_int_equal(dataset_skipped(data), 2);
    assert_non_null(strstr(dataset_skipped_reason(data, 1), "alone.png"));
    dataset_close(data);
    save(in_side(dir, 0, 1, "both.jpg"), 4, 4, 1);
    refuse(dir, "both.jpg and both.png", "trainB");
    test_folder_remove(dir);
}

/* ---- Bad pairs ---------------------------------------------------------------------------------------- */

static void test_unequal_sizes(void **state) {
    (void)state;
    char *dir = make_folders(1);
    save(in_side(dir, 1, 0, "x.png"), 6, 4, 1);
    save(in_side(dir, 1, 1, "x.png"), 6, 5, 1);
    refuse(dir, "train_A/x.png is 6 x 4", "train_B/x.png is 6 x 5");
    dataset *data;
    assert_int_equal(dataset_open(&data, dir, "train", &SKIP), P2P_INPUT);
    MESSAGE_HAS("no usable pair");
    MESSAGE_HAS("6 x 5");
    test_folder_remove(dir);
}

/* Six pairs, 0 to 5, of which skipping excludes 1 (not a picture), 2 (an odd width) and 4 (an empty file). */
static void test_skipped_when_opened(void **state) {
    (void)state;
    char *dir = test_folder_make(), name[32];
    test_folder_add(test_path(dir, "train"));
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "train/%d.png", i);
        save(test_path(dir, name), i == 2 ? 9 : 8, 4, 10 * i);
    }
    test_file_write(test_path(dir, "train/1.png"), "no picture", 10);
    test_file_write(test_path(dir, "train/4.png"), "", 0);
    refuse(dir, "1.png", "neither");
    dataset *data = open_as(dir, &SKIP);
    static const char *const left[] = {"0.png", "3.png", "5.png"}, *const reasons[] = {"1.png", "9 pixels",
                                                                                       "empty"};
    assert_int_equal(dataset_count(data), 3);
    assert_int_equal(dataset_skipped(data), 3);
    for (int i = 0; i < 3; i++) {
        image_pair pair;
        assert_string_equal(dataset_name(data, i), left[i]);
        assert_non_null(strstr(dataset_skipped_reason(data, i), reasons[i]));
        OK(dataset_load(data, i, GREY, &pair));
        assert_int_equal(*(const uint8_t *)pair.input.pixels, 10 * (left[i][0] - '0'));
        image_pair_free(&pair);
    }
    dataset_close(data);
    test_folder_remove(dir);
}

/* Makes DIR/train of `count` grey pairs whose value is 10 times their number. */
static char *make_pairs(int count) {
    char *dir = test_folder_make(), name[32];
    test_folder_add(test_path(dir, "train"));
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "train/%02d.png", i);
        save(test_path(dir, name), 32, 16, 10 * i);
    }
    return dir;
}

/* A pair that is damaged while the data set is open is replaced by the next good one, cyclically. */
static void test_replaced_while_open(void **state) {
    (void)state;
    char *dir = make_pairs(5);
    dataset *stopping = open_as(dir, &STOP), *skipping = open_as(dir, &SKIP);
    static const char *const victims[] = {"train/01.png", "train/02.png", "train/04.png"};
    for (int i = 0; i < 3; i++) break_file(test_path(dir, victims[i]));
    static const int expected[] = {0, 3, 3, 3, 0};
    for (int i = 0; i < 5; i++) {
        image_pair pair;
        OK(dataset_load(skipping, i, GREY, &pair));
        assert_int_equal(pair.sample, expected[i]);
        assert_int_equal(*(const uint8_t *)pair.target.pixels, 10 * expected[i]);
        image_pair_free(&pair);
        p2p_status status = dataset_load(stopping, i, GREY, &pair);
        assert_int_equal(status, expected[i] == i ? P2P_OK : P2P_INPUT);
        image_pair_free(&pair);
    }
    break_file(test_path(dir, "train/00.png"));
    break_file(test_path(dir, "train/03.png"));
    image_pair pair;
    assert_int_equal(dataset_load(skipping, 2, GREY, &pair), P2P_INPUT); /* no good pair remains */
    dataset_close(stopping);
    dataset_close(skipping);
    test_folder_remove(dir);
}

/* ---- Names -------------------------------------------------------------------------------------------- */

/* Latin-1, a lone continuation byte, an escape sequence, a backslash: files with such names are found. */
static const char *const odd_names[] = {"caf\xe9",        "\x80",         "\x1b[2J",
                                        "back\\x41slash", "\xed\xa0\x80", "tab\t"};

static void test_names_of_any_bytes(void **state) {
    (void)state;
    char *dir = make_folders(0), name[32];
    for (int i = 0; i < 6; i++)
        for (int side = 0; side < 2; side++) {
            snprintf(name, sizeof name, "%s.png", odd_names[i]);
            save(in_side(dir, 0, side, name), 4, 4, i);
        }
    dataset *data = open_as(dir, &STOP);
    assert_int_equal(dataset_count(data), 6);
    for (int i = 0; i < 6; i++) {
        image_pair pair;
        OK(dataset_load(data, i, GREY, &pair));
        image_pair_free(&pair);
    }
    dataset_close(data);
    test_folder_remove(dir);
}

/* Any bytes are written as JSON to a text file and read back unchanged. */
static void test_json_of_any_bytes(void **state) {
    (void)state;
    static const char *const plain[] = {"", "plain/name.png", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "a\\b"};
    char back[64], short_back[4];
    for (int i = 0; i < 10; i++) {
        const char *bytes = i < 6 ? odd_names[i] : plain[i - 6];
        json_t *string = text_to_json(bytes), *array = json_pack("[o]", string);
        assert_non_null(array);
        char *text = json_dumps(array, 0);
        json_decref(array);
        array = json_loads(text, 0, NULL);
        if (array == NULL) fail_msg("no JSON: %s", text);
        text_from_json(json_array_get(array, 0), back, sizeof back);
        assert_string_equal(back, bytes);
        if (i >= 6) assert_string_equal(json_string_value(json_array_get(array, 0)), bytes); /* unchanged */
        text_from_json(json_array_get(array, 0), short_back, sizeof short_back);
        assert_int_equal(strlen(short_back), strlen(bytes) < 3 ? strlen(bytes) : 3);
        json_decref(array);
        free(text);
    }
}

static void assert_printed(const char *bytes, const char *expected) {
    char text[256];
    FILE *stream = tmpfile();
    assert_non_null(stream);
    text_line(stream, "%s", bytes);
    rewind(stream);
    const size_t length = fread(text, 1, sizeof text - 1, stream);
    fclose(stream);
    assert_true(length > 0 && text[length - 1] == '\n');
    text[length - 1] = '\0';
    assert_string_equal(text, expected);
}

static void test_printing_of_any_bytes(void **state) {
    (void)state;
    assert_printed("caf\xe9", "caf\\xe9");
    assert_printed("\x1b[2J\r", "\\x1b[2J\\x0d");
    assert_printed("\xc2\x9b", "\\xc2\\x9b"); /* the escape sequence of C1 */
    assert_printed("\xc3\xa4\n\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\\x0a\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_printed("\xc0\xaf\xe0\x9f\xbf\xed\xa0\x80\xf0\x8f\xbf\xbf\xf4\x90\x80\x80\xf5",
                   "\\xc0\\xaf\\xe0\\x9f\\xbf\\xed\\xa0\\x80\\xf0\\x8f\\xbf\\xbf\\xf4\\x90\\x80\\x80\\xf5");
    assert_printed("\xe2\x82", "\\xe2\\x82");
}

/* ---- 16 bits ------------------------------------------------------------------------------------------ */

/* Pairs that differ in the low byte only, through listing, loading, resizing, cropping and mirroring. */
static void test_low_bytes_arrive(void **state) {
    (void)state;
    char *dir = make_folders(0);
    save(in_side(dir, 0, 0, "x.png"), 20, 20, 0x4001);
    save(in_side(dir, 0, 1, "x.png"), 20, 20, 0x4002);
    save(in_side(dir, 0, 0, "y.png"), 20, 20, 77); /* 8 bits, among pictures of 16 */
    save(in_side(dir, 0, 1, "y.png"), 20, 20, 78);
    dataset *data = open_as(dir, &STOP);
    pair_format format = dataset_format(data, 1, 1);
    assert_memory_equal(&format, &DEEP, sizeof format);
    for (int nearest = 0; nearest < 2; nearest++) {
        loader_options options = {.data = data,
                                  .format = format,
                                  .augment = {.size = 12, .load_size = 14, .jitter = true, .flip = true},
                                  .batch = 2,
                                  .epoch_end = 1};
        options.augment.filter = nearest ? RESIZE_NEAREST : RESIZE_BICUBIC;
        loader *loading;
        const loader_batch *batch;
        OK(loader_create(&loading, &options));
        OK(loader_next(loading, &batch));
        assert_int_equal(batch->input_bytes, 2 * 12 * 12 * 2);
        const uint16_t *input = batch->input, *target = batch->target;
        for (int i = 0; i < 12 * 12; i++) {
            assert_int_equal(input[i], 0x4001);
            assert_int_equal(target[i], 0x4002);
            assert_int_equal(input[12 * 12 + i], 77 * 257);
            assert_int_equal(target[12 * 12 + i], 78 * 257);
        }
        loader_destroy(loading);
    }
    dataset_close(data);
    test_folder_remove(dir);
}

/* Bits belong to a side, independently of the direction. */
static void test_bits_of_a_side(void **state) {
    (void)state;
    char *dir = make_folders(0);
    save(in_side(dir, 0, 0, "x.png"), 4, 4, 5);
    save(in_side(dir, 0, 1, "x.png"), 4, 4, 0x4002);
    for (int b_to_a = 0; b_to_a < 2; b_to_a++) {
        const dataset_options options = {.direction = b_to_a ? DATASET_B_TO_A : DATASET_A_TO_B};
        dataset *data = open_as(dir, &options);
        pair_format format = dataset_format(data, 3, 2);
        assert_int_equal(format.input.bits, b_to_a ? 16 : 8);
        assert_int_equal(format.target.bits, b_to_a ? 8 : 16);
        assert_int_equal(format.input.channels, 3);
        assert_int_equal(format.target.channels, 2);
        dataset_close(data);
    }
    test_folder_remove(dir);
}

/* ---- Threads ------------------------------------------------------------------------------------------ */

static loader_options with_workers(const dataset *data, int workers, int batch) {
    return (loader_options){.data = data,
                            .format = GREY,
                            .augment = {.size = 12, .load_size = 14, .jitter = true, .flip = true},
                            .workers = workers,
                            .batch = batch,
                            .shuffle = true,
                            .seed = 3,
                            .epoch_end = 4};
}

static uint64_t hash_batch(const loader_batch *batch) {
    const uint64_t parts[] = {(uint64_t)batch->epoch,
                              (uint64_t)batch->first,
                              (uint64_t)batch->replaced,
                              test_fnv(batch->input, batch->input_bytes),
                              test_fnv(batch->target, batch->target_bytes),
                              test_fnv(batch->samples, (size_t)batch->count * sizeof *batch->samples),
                              test_fnv(batch->reason, strlen(batch->reason))};
    return test_fnv(parts, sizeof parts);
}

/* A hash of everything that a loader delivers. As in a training, two batches are held: each is released after
 * the next one has come, and is unchanged then. */
static uint64_t hash_all(const loader_options *options, int *replaced) {
    loader *loading;
    const loader_batch *held = NULL, *batch;
    uint64_t hash = 0, held_hash = 0;
    OK(loader_create(&loading, options));
    *replaced = 0;
    do {
        OK(loader_next(loading, &batch));
        if (held) {
            assert_true(hash_batch(held) == held_hash);
            memset((void *)held->input, 0x55, held->input_bytes); /* nothing is read after this */
            memset((void *)held->target, 0x55, held->target_bytes);
            loader_release(loading);
        }
        held = batch;
        if (!batch) break;
        held_hash = hash_batch(batch);
        const uint64_t both[] = {hash, held_hash};
        hash = test_fnv(both, sizeof both);
        *replaced += batch->replaced;
    } while (batch);
    loader_destroy(loading);
    return hash;
}

static void check_workers(const dataset *data, int expect_replaced) {
    static const int workers[] = {2, 5, 0, 64};
    for (int batch = 1; batch <= 4; batch += 3)
        for (int first = 0; first < 2; first++) { /* from the beginning, and as a resumed training */
            int replaced;
            loader_options options = with_workers(data, 1, batch);
            options.epoch = first;
            options.first = first * batch;
            uint64_t expected = hash_all(&options, &replaced);
            if (first == 0) assert_int_equal(replaced, expect_replaced);
            for (int i = 0; i < 4; i++) {
                options.workers = workers[i];
                assert_true(hash_all(&options, &replaced) == expected);
            }
        }
}

static void test_workers_change_nothing(void **state) {
    (void)state;
    char *dir = make_pairs(11);
    dataset *data = open_as(dir, &SKIP);
    check_workers(data, 0);
    break_file(test_path(dir, "train/03.png"));
    break_file(test_path(dir, "train/04.png"));
    check_workers(data, 4 * 2); /* twice in each of four epochs */
    dataset_close(data);
    test_folder_remove(dir);
}

/* Three loaders with a share each deliver, joined, what one delivers; a batch of 4 of 11 pairs, and the last
 * of 3, leave a fourth share with 1 pair and with none. */
static void compare_shares(loader *whole, loader *const *parts, int count) {
    const loader_batch *all, *part;
    for (int b = 0; b < 12; b++) {
        OK(loader_next(whole, &all));
        assert_true(all->offset == 0 && all->loaded == all->count);
        const size_t input = all->input_bytes / (size_t)all->count,
                     target = all->target_bytes / (size_t)all->count;
        int next = 0;
        for (int p = 0; p < count; p++) {
            OK(loader_next(parts[p], &part));
            assert_true(part->epoch == all->epoch && part->first == all->first && part->count == all->count);
            assert_true(part->offset == next && part->input_bytes == (size_t)part->loaded * input);
            assert_memory_equal(part->input, (const char *)all->input + (size_t)next * input,
                                part->input_bytes);
            assert_memory_equal(part->target, (const char *)all->target + (size_t)next * target,
                                part->target_bytes);
            next += part->loaded;
            loader_release(parts[p]);
        }
        assert_int_equal(next, all->count);
        loader_release(whole);
    }
}

static void test_shares_join(void **state) {
    (void)state;
    static const int own[3] = {1, 2, 1};
    char *dir = make_pairs(11);
    dataset *data = open_as(dir, &SKIP);
    loader *whole, *parts[3];
    loader_options options = with_workers(data, 2, 4);
    OK(loader_create(&whole, &options));
    for (int p = 0, share = 0; p < 3; share += own[p++]) {
        options.shares = 4;
        options.share = share;
        options.own = own[p];
        OK(loader_create(&parts[p], &options));
    }
    compare_shares(whole, parts, 3);
    loader_destroy(whole);
    for (int p = 0; p < 3; p++) loader_destroy(parts[p]);
    dataset_close(data);
    test_folder_remove(dir);
}

/* Threads that wait for memory deliver the same batches in the same order, replacements included. */
static void test_memory_changes_nothing(void **state) {
    (void)state;
    char *dir = make_pairs(11);
    dataset *data = open_as(dir, &SKIP);
    break_file(test_path(dir, "train/03.png"));
    int replaced;
    loader_options options = with_workers(data, 1, 4);
    const uint64_t expected = hash_all(&options, &replaced);
    options.workers = 5;
    static const uint64_t budgets[] = {700 << 10, 1500 << 10}; /* for one pair, and for two */
    for (int i = 0; i < 2; i++) {
        OK(image_limits_set(&(image_limits){.max_pixels = 1 << 20, .memory = budgets[i]}));
        assert_true(hash_all(&options, &replaced) == expected);
        assert_int_equal(replaced, 4);
    }
    OK(image_limits_set(&(image_limits){.max_pixels = 1 << 20, .memory = 100 << 10}));
    image_pair pair;
    assert_int_equal(dataset_load(data, 0, GREY, &pair), P2P_INPUT);
    MESSAGE_HAS("0.1 MB are allowed for pictures");
    OK(image_limits_set(&(image_limits){.max_pixels = 1 << 28, .memory = UINT64_MAX}));
    dataset_close(data);
    test_folder_remove(dir);
}

/* The failure of the first sample in order is reported, whichever thread fails first. */
static void test_failures_in_order(void **state) {
    (void)state;
    char *dir = make_pairs(12);
    dataset *data = open_as(dir, &STOP);
    static const char *const victims[] = {"train/05.png", "train/06.png", "train/07.png", "train/09.png"};
    for (int i = 0; i < 4; i++) break_file(test_path(dir, victims[i]));
    for (int workers = 1; workers <= 8; workers++)
        for (int batch = 1; batch <= 4; batch++) {
            loader_options options = with_workers(data, workers, batch);
            options.shuffle = false;
            loader *loading;
            const loader_batch *given;
            OK(loader_create(&loading, &options));
            for (int i = 0; i < 5 / batch; i++) {
                OK(loader_next(loading, &given));
                assert_int_equal(given->samples[0], i * batch);
                loader_release(loading);
            }
            for (int again = 0; again < 2; again++) {
                assert_int_equal(loader_next(loading, &given), P2P_INPUT);
                assert_null(given);
                MESSAGE_HAS("05.png");
            }
            loader_destroy(loading);
        }
    dataset_close(data);
    test_folder_remove(dir);
}

static void test_workers_are_stopped(void **state) {
    (void)state;
    char *dir = make_pairs(5);
    dataset *data = open_as(dir, &STOP);
    for (int taken = 0; taken < 6; taken++) {
        loader_options options = with_workers(data, 5, 2);
        options.epoch_end = INT64_MAX;
        loader *loading;
        const loader_batch *batch;
        OK(loader_create(&loading, &options));
        for (int i = 0; i < taken; i++) {
            OK(loader_next(loading, &batch));
            if (i > 0) loader_release(loading);
        }
        loader_destroy(loading);
    }
    loader *loading;
    loader_options options = with_workers(data, LOADER_MAX_WORKERS + 1, 1);
    assert_int_equal(loader_create(&loading, &options), P2P_USAGE);
    MESSAGE_HAS("--workers 65");
    assert_true(sys_processors() >= 1);
    dataset_close(data);
    test_folder_remove(dir);
}

/* ---- Memory of batches -------------------------------------------------------------------------------- */

enum { MOST_PIECES = 64 };

/* Memory that a test gives to a loader, and counts. */
typedef struct {
    unsigned char *pieces[MOST_PIECES];
    size_t sizes[MOST_PIECES], bytes;
    int count, freed, most; /* no more than `most` pieces */
    bool other_thread;
    pthread_t thread;
} counted_memory;

static p2p_status counted_alloc(void *context, size_t bytes, void **memory) {
    counted_memory *counted = context;
    *memory = NULL;
    if (counted->count == counted->most) return p2p_fail(P2P_OUT_OF_MEMORY, "no more pieces");
    unsigned char *piece = malloc(bytes);
    assert_non_null(piece);
    counted->pieces[counted->count] = piece;
    counted->sizes[counted->count++] = bytes;
    counted->bytes += bytes;
    counted->other_thread |= !pthread_equal(pthread_self(), counted->thread);
    *memory = piece;
    return P2P_OK;
}

static void counted_free(void *context, void *memory) {
    counted_memory *counted = context;
    counted->freed += memory != NULL;
    counted->other_thread |= !pthread_equal(pthread_self(), counted->thread);
    free(memory);
}

static loader_options with_counted(const dataset *data, int workers, int batch, counted_memory *counted) {
    loader_options options = with_workers(data, workers, batch);
    *counted = (counted_memory){.most = MOST_PIECES, .thread = pthread_self()};
    options.memory = (loader_memory_source){counted_alloc, counted_free, counted};
    return options;
}

static bool is_within(const counted_memory *counted, const void *start, size_t bytes) {
    for (int i = 0; i < counted->count; i++)
        if (start == (const void *)counted->pieces[i]) return bytes <= counted->sizes[i];
    return false;
}

/* Batches lie in the given memory, as much as loader_memory states, and are the same as in any other. */
static void test_given_memory(void **state) {
    (void)state;
    char *dir = make_pairs(7);
    dataset *data = open_as(dir, &STOP);
    for (int workers = 1; workers <= 5; workers += 2)
        for (int batch = 1; batch <= 4; batch += 3) {
            int replaced;
            counted_memory counted;
            loader_options options = with_workers(data, workers, batch);
            const uint64_t expected = hash_all(&options, &replaced);
            options = with_counted(data, workers, batch, &counted);
            assert_true(hash_all(&options, &replaced) == expected);
            assert_int_equal(counted.bytes, loader_memory(GREY, 12, batch, workers));
            assert_int_equal(counted.freed, counted.count);
            options = with_counted(data, workers, batch, &counted);
            loader *loading;
            const loader_batch *given;
            OK(loader_create(&loading, &options));
            OK(loader_next(loading, &given));
            assert_true(is_within(&counted, given->input, given->input_bytes));
            assert_true(is_within(&counted, given->target, given->target_bytes));
            loader_destroy(loading);
            assert_false(counted.other_thread);
        }
    dataset_close(data);
    test_folder_remove(dir);
}

/* Whichever piece can't be had, the source's failure is returned and everything is freed. */
static void test_given_memory_ends(void **state) {
    (void)state;
    char *dir = make_pairs(3);
    dataset *data = open_as(dir, &STOP);
    counted_memory counted;
    loader *loading;
    int pieces = 0;
    for (;; pieces++) {
        const loader_options options = with_counted(data, 2, 1, &counted);
        counted.most = pieces;
        const p2p_status status = loader_create(&loading, &options);
        if (status == P2P_OK) break;
        assert_int_equal(status, P2P_OUT_OF_MEMORY);
        assert_string_equal(p2p_message(), "no more pieces");
        assert_null(loading);
        assert_int_equal(counted.freed, pieces);
    }
    assert_int_equal(counted.count, pieces);
    assert_true(pieces > 2);
    loader_destroy(loading);
    dataset_close(data);
    test_folder_remove(dir);
}

/* No batch is filled again while it is held, and no more are held than agreed. */
static void test_held_batches(void **state) {
    (void)state;
    char *dir = make_pairs(5);
    dataset *data = open_as(dir, &STOP);
    loader_options options = with_workers(data, 5, 1);
    loader *loading;
    const loader_batch *held[LOADER_MAX_HELD], *more;
    OK(loader_create(&loading, &options));
    loader_release(loading); /* nothing is held */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LOADER_MAX_HELD; i++) OK(loader_next(loading, &held[i]));
        assert_true(held[0]->input != held[1]->input && held[0]->target != held[1]->target);
        for (int again = 0; again < 2; again++) {
            REFUSED(loader_next(loading, &more), P2P_INVALID, "2 batches are held");
            assert_null(more);
        }
        assert_int_equal(held[1]->epoch * 5 + held[1]->first, 2 * round + 1);
        for (int i = 0; i < LOADER_MAX_HELD; i++) loader_release(loading);
    }
    loader_destroy(loading);
    dataset_close(data);
    test_folder_remove(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_folders),
        cmocka_unit_test(test_one_size),
        cmocka_unit_test(test_confused_layouts),
        cmocka_unit_test(test_single_names),
        cmocka_unit_test(test_unequal_sizes),
        cmocka_unit_test(test_skipped_when_opened),
        cmocka_unit_test(test_replaced_while_open),
        cmocka_unit_test(test_names_of_any_bytes),
        cmocka_unit_test(test_json_of_any_bytes),
        cmocka_unit_test(test_printing_of_any_bytes),
        cmocka_unit_test(test_low_bytes_arrive),
        cmocka_unit_test(test_bits_of_a_side),
        cmocka_unit_test(test_workers_change_nothing),
        cmocka_unit_test(test_shares_join),
        cmocka_unit_test(test_memory_changes_nothing),
        cmocka_unit_test(test_failures_in_order),
        cmocka_unit_test(test_workers_are_stopped),
        cmocka_unit_test(test_given_memory),
        cmocka_unit_test(test_given_memory_ends),
        cmocka_unit_test(test_held_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
