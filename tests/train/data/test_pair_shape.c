/* What is taken for a pair and what is refused, by folders, names and the shapes of pictures: pair_shape.h
 * and the layouts of dataset.h. Contents are never read here. */
#include "data/dataset.h"
#include "data/pair_seam.h"
#include "host/sys.h"
#include "image/image_limits.h"
#include "image/picture_list.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data_refused.h"
#include "support/test_expect.h"

static const dataset_options AUTO = {.pairing = DATASET_PAIRS_AUTO},
                             SIDE_BY_SIDE = {.pairing = DATASET_PAIRS_SIDE_BY_SIDE},
                             TWO_FOLDERS = {.pairing = DATASET_PAIRS_TWO_FOLDERS};

static void save(const char *name, int width, int height) {
    image picture;
    OK(image_create(&picture, width, height, (image_format){1, 8}));
    memset(picture.pixels, 7, image_bytes(&picture));
    OK(image_save(test_own_path(name), &picture));
    image_free(&picture);
}

static void add_folder(const char *name) {
    test_folder_add(test_own_path(name));
}

static dataset *open_with(const char *split, dataset_options options) {
    dataset *data;
    if (dataset_open(&data, test_own_folder, split, &options) != P2P_OK) fail_msg("%s", p2p_message());
    return data;
}

static void refuse(const char *split, dataset_options options, const char *part, const char *hint) {
    assert_data_refused(test_own_folder, split, &options, P2P_INPUT, part, hint);
}

/* ---- Shapes ------------------------------------------------------------------------------------------- */

static void test_shapes_of_single_pictures(void **state) {
    (void)state;
    static const int single[][2] = {{256, 256},   {640, 480},  {480, 640}, {6000, 4000},
                                    {1920, 1080}, {1366, 768}, {160, 100}};
    static const int pairs[][2] = {{512, 256},  {1200, 600},  {600, 256}, {514, 256},
                                   {1022, 600}, {3000, 1000}, {2, 1},     {8, 4}};
    pair_size size;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        const int width = single[i][0], height = single[i][1];
        assert_int_equal(pair_shape_of_halves("x.png", width, height, true, &size), P2P_INPUT);
        MESSAGE_HAS("x.png");
        MESSAGE_HAS("single picture");
        OK(pair_shape_of_halves("x.png", width, height, false, &size));
        assert_int_equal(size.width, width / 2);
    }
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        OK(pair_shape_of_halves("x.png", pairs[i][0], pairs[i][1], true, &size));
        assert_int_equal(size.width, pairs[i][0] / 2);
        assert_int_equal(size.height, pairs[i][1]);
    }
    assert_int_equal(pair_shape_of_halves("x.png", 513, 256, false, &size), P2P_INPUT);
    MESSAGE_HAS("513 pixels wide");
}

static void test_sizes_are_summarised(void **state) {
    (void)state;
    pair_size sizes[] = {{30, 20}, {10, 10}, {30, 20}, {20, 30}, {40, 30}};
    const pair_sizes all = pair_sizes_of(sizes, 5);
    assert_int_equal(all.different, 4);
    assert_int_equal(all.smallest.width, 10);
    assert_int_equal(all.largest.width, 40);
    assert_true(all.narrowest > 0.66 && all.narrowest < 0.67);
    assert_true(all.widest == 1.5);
}

/* Unlike pairs are refused if the training has one shape, and not if its shapes are mixed. */
static void test_likeness(void **state) {
    (void)state;
    pair_size one[] = {{256, 256}, {128, 128}, {100, 105}}, mixed[] = {{256, 256}, {320, 256}};
    const pair_sizes uniform = pair_sizes_of(one, 3), various = pair_sizes_of(mixed, 2);
    OK(pair_shape_like("x.png", (pair_size){512, 512}, &uniform));
    OK(pair_shape_like("x.png", (pair_size){109, 100}, &uniform));
    OK(pair_shape_like("x.png", (pair_size){640, 100}, &various));
    static const pair_size unlike[] = {{128, 256}, {320, 256}, {256, 300}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pair_shape_like("x.png", unlike[i], &uniform), P2P_INPUT);
        MESSAGE_HAS("all training pairs have another shape: 256 x 256");
    }
}

/* ---- Sets --------------------------------------------------------------------------------------------- */

/* A single picture among pairs is named, left out, or taken with the option for it. */
static void test_single_among_pairs(void **state) {
    (void)state;
    add_folder("train");
    save("train/a.png", 64, 32);
    save("train/b.png", 40, 30);
    save("train/c.png", 128, 64);
    refuse("train", AUTO, "train/b.png is 40 x 30 pixels, the shape of a single picture",
           "--pairs side-by-side");
    dataset *data = open_with("train", (dataset_options){.skip_bad = true});
    assert_int_equal(dataset_count(data), 2);
    assert_int_equal(dataset_skipped(data), 1);
    const dataset_summary found = dataset_summarise(data);
    assert_string_equal(found.a, test_own_path("train"));
    assert_null(found.b);
    assert_int_equal(found.sizes.different, 2);
    assert_int_equal(found.sizes.smallest.width, 32);
    assert_int_equal(found.sizes.largest.height, 64);
    dataset_close(data);
    data = open_with("train", SIDE_BY_SIDE);
    assert_int_equal(dataset_count(data), 3);
    dataset_close(data);
}

static void test_validation_unlike_training(void **state) {
    (void)state;
    static const char *const folders[] = {"trainA", "trainB", "valA", "valB"};
    for (int i = 0; i < 4; i++) {
        char name[32];
        add_folder(folders[i]);
        snprintf(name, sizeof name, "%s/x.png", folders[i]);
        save(name, i < 2 ? 32 : 64, 32);
    }
    dataset *training = open_with("train", AUTO);
    refuse("val", (dataset_options){.training = training}, "valA/x.png would be a pair of 64 x 32",
           "two-folders");
    dataset_close(
        open_with("val", (dataset_options){.training = training, .pairing = DATASET_PAIRS_TWO_FOLDERS}));
    dataset_close(open_with("val", AUTO));
    dataset_close(training);
}

/* ---- Seams -------------------------------------------------------------------------------------------- */

/* Saves a picture of 2:1: one scene, or with `paired` a left half and the same scene darkened on the right.
 */
static void save_scene(const char *name, int number, bool paired) {
    image picture;
    OK(image_create(&picture, 128, 64, IMAGE_RGB8));
    for (int y = 0; y < 64; y++)
        for (int x = 0; x < 128; x++) {
            uint8_t *pixel = (uint8_t *)picture.pixels + ((size_t)y * 128 + (size_t)x) * 3;
            const int at = paired ? x % 64 : x;
            for (int c = 0; c < 3; c++)
                pixel[c] = (uint8_t)((at * (number % 3 + 3) / 2 + y * c) / (paired && x >= 64 ? 2 : 1));
        }
    OK(image_save(test_own_path(name), &picture));
    image_free(&picture);
}

static void test_seams(void **state) {
    (void)state;
    char name[32];
    static const char *const splits[] = {"single", "pairs", "flat", "mixed", "few", "two", "one"};
    static const int counts[] = {10, 10, 10, 10, 3, 2, 1};
    for (int set = 0; set < 7; set++) {
        add_folder(splits[set]);
        for (int i = 0; i < counts[set]; i++) {
            snprintf(name, sizeof name, "%s/%d.png", splits[set], i);
            if (set == 2)
                save(name, 128, 64); /* of one value */
            else
                save_scene(name, i, set == 1 || (set == 3 && i == 5));
        }
        for (int b_to_a = 0; b_to_a < 2; b_to_a++) {
            const dataset_options options = {.direction = b_to_a ? DATASET_B_TO_A : DATASET_A_TO_B};
            dataset *data = open_with(splits[set], options);
            assert_int_equal(pair_seam_all_go_on(data), set == 0 || set == 4 || set == 5);
            dataset_close(data);
        }
    }
}

/* ---- Folders and names -------------------------------------------------------------------------------- */

static void test_folders_inside_the_split(void **state) {
    (void)state;
    add_folder("train");
    add_folder("train/A");
    save("train/A/x.png", 40, 20); /* one of the two folders alone is a subfolder */
    dataset_close(open_with("train", AUTO));
    refuse("train", TWO_FOLDERS, "there is no folder", "A/train");
    add_folder("train/B");
    save("train/B/x.png", 40, 20);
    bool has;
    OK(dataset_has_split(test_own_folder, "train", &has));
    assert_true(has);
    dataset *data = open_with("train", AUTO);
    assert_int_equal(dataset_count(data), 1);
    assert_string_equal(dataset_summarise(data).b, test_own_path("train/B"));
    dataset_close(data);
    data = open_with("train", SIDE_BY_SIDE);
    assert_int_equal(dataset_count(data), 2);
    dataset_close(data);

    save("train/y.png", 40, 20);
    refuse("train", AUTO, "pictures beside them, such as y.png", "--pairs two-folders");
    data = open_with("train", TWO_FOLDERS);
    assert_int_equal(dataset_count(data), 1);
    dataset_close(data);
    add_folder("trainA");
    refuse("train", AUTO, "ambiguous", "--pairs");
    data = open_with("train", SIDE_BY_SIDE);
    assert_int_equal(dataset_count(data), 3);
    dataset_close(data);
}

static void test_thumbnails_are_no_pictures(void **state) {
    (void)state;
    static const char *const folders[] = {"train",          "train/@eaDir", "train/@eaDir/x.png",
                                          "train/__MACOSX", "train/sub",    "train/sub/#recycle",
                                          "train/@eaDirs"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) add_folder(folders[i]);
    static const char *const files[] = {"train/@eaDir/x.png/SYNOPHOTO_THUMB_M.jpg",
                                        "train/__MACOSX/._x.png",
                                        "train/__MACOSX/x.png",
                                        "train/sub/#recycle/x.png",
                                        "train/._y.png",
                                        "train/.DS_Store",
                                        "train/Thumbs.db",
                                        "train/desktop.ini"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        test_file_write(test_own_path(files[i]), "x", 1);
    save("train/x.png", 40, 20);
    save("train/@eaDirs/x.png", 40, 20); /* another name */
    dataset *data = open_with("train", AUTO);
    assert_int_equal(dataset_count(data), 2);
    assert_int_equal(dataset_skipped(data), 0);
    dataset_close(data);
}

/* Folders of thumbnails are left out, and a line counts their pictures. */
static void test_folders_of_thumbnails(void **state) {
    (void)state;
    static const char *const folders[] = {"train", "train/thumbnails", "train/sub", "train/sub/Thumbs",
                                          "train/thumbs2"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) add_folder(folders[i]);
    save("train/thumbnails/x.png", 40, 20);
    refuse("train", AUTO,
           "train holds no pictures but those in folders of thumbnails, such as thumbnails/x.png", "rename");
    save("train/x.png", 40, 20);
    save("train/sub/Thumbs/y.png", 40, 20);
    save("train/thumbs2/z.png", 40, 20);
    sys_names names;
    unread_pictures unread;
    OK(picture_list(&names, &unread, test_own_path("train"), NULL));
    assert_int_equal(names.count, 2);
    assert_int_equal(unread.thumbnail_count, 2);
    assert_int_equal(unread.count, 0);
    sys_names_free(&names);
    unread_pictures_free(&unread);
    dataset *data = open_with("train", AUTO);
    assert_int_equal(dataset_count(data), 2);
    dataset_close(data);
}

/* A pair with sides of at most a quarter of the median's is named. */
static void test_tiny_pairs(void **state) {
    (void)state;
    add_folder("train");
    save("train/a.png", 128, 64);
    save("train/b.png", 32, 16);
    save("train/c.png", 128, 64);
    save("train/d.png", 34, 16); /* a little wider */
    dataset *data = open_with("train", AUTO);
    const dataset_tiny tiny = dataset_tiny_pairs(data);
    assert_int_equal(tiny.count, 1);
    assert_string_equal(dataset_name(data, tiny.sample), "b.png");
    assert_int_equal(tiny.size.width, 16);
    dataset_close(data);
    save("train/e.png", 128, 64);
    save("train/thumb.png", 16, 8);
    data = open_with("train", (dataset_options){.skip_bad = true});
    assert_int_equal(dataset_tiny_pairs(data).count, 2);
    dataset_close(data);
}

/* A partner of any readable suffix is found; one that can't be read is named. */
static void test_partners_of_other_suffixes(void **state) {
    (void)state;
    add_folder("trainA");
    add_folder("trainB");
    save("trainA/a.b.jpg", 20, 20);
    save("trainB/a.b.png", 20, 20);
    save("trainA/c.png", 20, 20);
    test_file_write(test_own_path("trainB/c.tif"), "II*", 3);
    test_file_write(test_own_path("trainB/notes"), "x", 1);
    refuse("train", AUTO, "trainA/c.png has the partner", "convert it");
    MESSAGE_HAS("trainB/c.tif");
    dataset *data = open_with("train", (dataset_options){.skip_bad = true});
    assert_int_equal(dataset_count(data), 1);
    assert_non_null(strstr(dataset_skipped_reason(data, 0), "c.tif"));
    dataset_close(data);
    save("trainA/a.b.png", 20, 20);
    refuse("train", AUTO, "a.b.jpg and a.b.png", "");
}

/* The longest names that the file system takes, and a split's name of any length. */
static void test_long_names(void **state) {
    (void)state;
    char name[256], split[200];
    memset(split, 's', sizeof split - 1);
    split[sizeof split - 1] = '\0';
    memset(name, 'n', 251);
    memcpy(name + 251, ".png", 5);
    add_folder(split);
    image picture;
    OK(image_create(&picture, 20, 10, (image_format){1, 8}));
    memset(picture.pixels, 0, image_bytes(&picture));
    OK(image_save(test_own_path("short.png"), &picture));
    image_free(&picture);
    char *from = strdup(test_own_path("short.png"));
    char *to;
    OK(sys_path_join(&to, test_own_path(split), name));
    assert_int_equal(rename(from, to), 0);
    free(from);
    free(to);
    dataset *data = open_with(split, AUTO);
    assert_string_equal(dataset_name(data, 0), name);
    image_pair pair;
    OK(dataset_load(data, 0, (pair_format){{1, 8}, {1, 8}}, &pair));
    image_pair_free(&pair);
    dataset_close(data);
}

/* ---- Results ------------------------------------------------------------------------------------------ */

static void check_outside(const char *path, bool outside) {
    const p2p_status status = dataset_outside(test_own_folder, "val", "--out", path);
    if (status != (outside ? P2P_OK : P2P_USAGE)) fail_msg("%s: %s", path, p2p_message());
    if (!outside) MESSAGE_HAS(path);
}

static void test_results_outside_of_pairs(void **state) {
    (void)state;
    static const char *const inside[] = {
        "val", "val/", "val/run", "valA", "valB/x/y", "A/val", "val_A", "./val//run", "train/../val/run"};
    static const char *const outside[] = {"run", "values", "valC", "A", "", "train/val", "val/../run"};
    add_folder("train");
    for (int exists = 0; exists < 2; exists++) {
        for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
            check_outside(test_own_path(inside[i]), false);
        for (size_t i = 0; i + (exists == 0) < sizeof outside / sizeof *outside; i++)
            check_outside(test_own_path(outside[i]), true);
        if (!exists) add_folder("val");
    }
    test_link_add(test_own_path("link"), "val");
    check_outside(test_own_path("link/run"), false);
    check_outside("elsewhere", true);
}

/* ---- Memory ------------------------------------------------------------------------------------------- */

/* A pair that takes more than all pictures may is refused when the set is opened, and left out by skipping.
 */
static void test_pairs_of_too_much_memory(void **state) {
    (void)state;
    add_folder("train");
    save("train/a.png", 64, 32);
    save("train/b.png", 4096, 2048);
    OK(image_limits_set(&(image_limits){.max_pixels = 1 << 28, .memory = 6 << 20}));
    refuse("train", AUTO, "train/b.png takes", "--memory");
    dataset *data = open_with("train", (dataset_options){.skip_bad = true});
    assert_int_equal(dataset_count(data), 1);
    dataset_close(data);
    OK(image_limits_set(&(image_limits){.max_pixels = 1 << 28, .memory = 12 << 20}));
    dataset_close(open_with("train", AUTO)); /* 8 MB of grey, */
    refuse("train", (dataset_options){.channels_in = 3, .channels_out = 3}, "b.png takes",
           ""); /* 32 as RGB */
    OK(image_limits_set(&(image_limits){.max_pixels = 100000, .memory = UINT64_MAX}));
    refuse("train", AUTO, "100000 in all", "--max-pixels");
    OK(image_limits_set(&(image_limits){.max_pixels = 1 << 28, .memory = UINT64_MAX}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_of_single_pictures),
        cmocka_unit_test(test_sizes_are_summarised),
        cmocka_unit_test(test_likeness),
        TEST_IN_FOLDER(test_single_among_pairs),
        TEST_IN_FOLDER(test_validation_unlike_training),
        TEST_IN_FOLDER(test_seams),
        TEST_IN_FOLDER(test_folders_inside_the_split),
        TEST_IN_FOLDER(test_thumbnails_are_no_pictures),
        TEST_IN_FOLDER(test_folders_of_thumbnails),
        TEST_IN_FOLDER(test_tiny_pairs),
        TEST_IN_FOLDER(test_partners_of_other_suffixes),
        TEST_IN_FOLDER(test_long_names),
        TEST_IN_FOLDER(test_results_outside_of_pairs),
        TEST_IN_FOLDER(test_pairs_of_too_much_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
