/* The figures of validation: the baseline of the mean training target, against a computation of this test;
 * and the measures of a generator's pictures, against the grid that shows them. */
#include "pix2pix.h"
#include "run/validation.h"
#include "support/test_files.h"
#include "use/quality.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { SIZE = 32, PIXELS = SIZE * SIZE, CHANNELS = 3 };

/* ---- A data set of pictures by formula ---------------------------------------------------------------- */

/* A value of pair `number` of a split, at a column and row of one half. Halves differ and pairs differ, so
 * that a wrong half and a missing pair are detected. */
static int value_at(const char *split, int number, bool target, int x, int y, int c) {
    const int scale = strcmp(split, "train") == 0 ? 3 : 5;
    return (number * (target ? 40 : 11) + x * scale + y * (c + 1) + (target ? 17 : 90) * c) % 256;
}

static void save_pair(const char *dir, const char *split, int number, int bits) {
    image pair;
    char name[64];
    OK(image_create(&pair, 2 * SIZE, SIZE, (image_format){.channels = CHANNELS, .bits = bits}));
    for (size_t i = 0; i < (size_t)2 * PIXELS * CHANNELS; i++) {
        const int c = (int)(i % CHANNELS), x = (int)(i / CHANNELS % (2 * SIZE)),
                  y = (int)(i / CHANNELS / (2 * SIZE));
        const int value = value_at(split, number, x >= SIZE, x % SIZE, y, c);
        if (bits == 8)
            ((uint8_t *)pair.pixels)[i] = (uint8_t)value;
        else
            ((uint16_t *)pair.pixels)[i] = (uint16_t)(value * 257); /* the same fraction of the range */
    }
    snprintf(name, sizeof name, "%s/%03d.png", split, number);
    OK(image_save(test_path(dir, name), &pair));
    image_free(&pair);
}

typedef struct {
    char *dir;
    dataset *training, *validation;
} pair_folder;

static void open_pairs(pair_folder *pairs, int training, int validation, int bits) {
    *pairs = (pair_folder){.dir = test_folder_make()};
    test_folder_add(test_path(pairs->dir, "train"));
    test_folder_add(test_path(pairs->dir, "val"));
    for (int i = 0; i < training; i++) save_pair(pairs->dir, "train", i, bits);
    for (int i = 0; i < validation; i++) save_pair(pairs->dir, "val", i, bits);
    OK(dataset_open(&pairs->training, pairs->dir, "train", &(dataset_options){0}));
    if (validation > 0) OK(dataset_open(&pairs->validation, pairs->dir, "val", &(dataset_options){0}));
}

static void close_pairs(pair_folder *pairs) {
    dataset_close(pairs->training);
    dataset_close(pairs->validation);
    test_folder_remove(pairs->dir);
}

static pair_form form_of(int bits) {
    const image_format format = {.channels = CHANNELS, .bits = bits};
    return (pair_form){.format = {.input = format, .target = format}, .size = SIZE};
}

/* ---- The baseline ------------------------------------------------------------------------------------- */

static double mean_target(int training, int x, int y, int c) {
    double sum = 0;
    for (int i = 0; i < training; i++) sum += value_at("train", i, true, x, y, c);
    return sum / training;
}

/* Mean |mean training target - target| over the validation pairs, in units where 255 is 2. */
static double expected_baseline(int training, int validation) {
    double sum = 0;
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++)
            for (int c = 0; c < CHANNELS; c++)
                for (int i = 0; i < validation; i++)
                    sum += fabs(mean_target(training, x, y, c) - value_at("val", i, true, x, y, c));
    return 2.0 / 255 * sum / (PIXELS * CHANNELS) / validation;
}

static void check_baseline(int training, int counted, int validation, int bits) {
    pair_folder pairs;
    validator *shown;
    open_pairs(&pairs, training, validation, bits);
    const pair_form form = form_of(bits);
    OK(validation_create(&shown, pairs.training, pairs.validation, &form, NULL));
    const double expected = expected_baseline(counted, validation), found = validation_baseline_l1(shown);
    if (!(fabs(found - expected) < 1e-12)) fail_msg("%d pairs: %.15g, not %.15g", training, found, expected);
    validation_destroy(shown);
    close_pairs(&pairs);
}

static void test_baseline(void **state) {
    (void)state;
    check_baseline(1, 1, 1, 8);
    check_baseline(5, 5, 3, 8);
    check_baseline(5, 5, 3, 16);
    check_baseline(VALIDATION_BASELINE_PAIRS + 3, VALIDATION_BASELINE_PAIRS, 2,
                   8); /* only the first pairs are used */
}

static void test_no_validation(void **state) {
    (void)state;
    pair_folder pairs;
    validator *shown;
    open_pairs(&pairs, 2, 0, 8);
    const pair_form form = form_of(8);
    OK(validation_create(&shown, pairs.training, NULL, &form, NULL));
    assert_true(validation_baseline_l1(shown) == 0);
    validation_destroy(shown);
    close_pairs(&pairs);
}

/* ---- A generator's pictures --------------------------------------------------------------------------- */

/* A tiny generator with its initial weights, planned for `batch` pictures. */
typedef struct {
    pix2pix *model;
    p2p_device *device;
    p2p_session *session;
    p2p_graph *graph;
    evaluator evaluator;
} tiny_generator;

static void open_generator(tiny_generator *g, int batch) {
    pix2pix_config config = pix2pix_config_default();
    config.height = config.width = SIZE;
    config.depth = 5;
    config.ngf = config.ndf = 4;
    *g = (tiny_generator){
        .evaluator = {.batch = batch, .width = SIZE, .height = SIZE, .format = form_of(8).format}};
    OK(pix2pix_create_translator(&g->model, &config));
    OK(p2p_device_open("reference:0", &g->device));
    OK(p2p_session_create(&g->device, 1, &(p2p_session_options){0}, &g->session));
    const pix2pix_graph_options options = pix2pix_graph_options_for(g->model, batch);
    OK(pix2pix_graph_evaluate(g->model, &options, false, &g->graph));
    OK(p2p_session_plan(g->session, "validation", &g->graph, &g->evaluator.plan));
    OK(p2p_session_allocate(g->session, NULL, NULL));
    OK(p2p_session_initialise(g->session, g->model->generator.network, 1));
}

static void close_generator(tiny_generator *g) {
    p2p_session_destroy(g->session);
    p2p_device_close(g->device);
    p2p_graph_destroy(g->graph);
    pix2pix_destroy(g->model);
}

/* A cell of the grid. Cells lie in the lower right corner, with lines of LINE pixels. */
static image cell_of(const image *grid, int columns, int row, int column) {
    enum { LINE = 2, ROWS = 3 };
    const int left = grid->width - (columns - column) * (SIZE + LINE);
    const int top = grid->height - (ROWS - row) * (SIZE + LINE);
    image cell;
    OK(image_create(&cell, SIZE, SIZE, IMAGE_RGB8));
    const image_view view = image_view_crop(image_view_of(grid), left, top, SIZE, SIZE);
    const size_t row_bytes = (size_t)SIZE * CHANNELS;
    for (size_t y = 0; y < SIZE; y++)
        memcpy((uint8_t *)cell.pixels + y * row_bytes, (const uint8_t *)view.pixels + y * view.stride,
               row_bytes);
    return cell;
}

static void expect_target(const image *cell, int number) {
    for (int i = 0; i < PIXELS * CHANNELS; i++) {
        const int c = i % CHANNELS, x = i / CHANNELS % SIZE, y = i / CHANNELS / SIZE;
        assert_int_equal(((const uint8_t *)cell->pixels)[i], value_at("val", number, true, x, y, c));
    }
}

/* The measures of the pictures in the grid. */
static quality quality_of_grid(const char *path, int columns) {
    image grid;
    quality_total total = {0};
    OK(image_load(path, &grid));
    for (int column = 0; column < columns; column++) {
        quality one;
        image generated = cell_of(&grid, columns, 1, column), target = cell_of(&grid, columns, 2, column);
        expect_target(&target, column);
        OK(quality_of_images(&generated, &target, &one));
        quality_add(&total, &one);
        image_free(&generated);
        image_free(&target);
    }
    image_free(&grid);
    return quality_mean(&total);
}

static void check_report(int batch, quality *measured) {
    enum { VALIDATION = 5 };
    pair_folder pairs;
    tiny_generator tiny;
    validator *shown;
    open_pairs(&pairs, 1, VALIDATION, 8);
    const pair_form form = form_of(8);
    open_generator(&tiny, batch);
    OK(validation_create(&shown, pairs.training, pairs.validation, &form, NULL));
    OK(validation_run(shown, &tiny.evaluator, "epoch 1", measured));
    OK(validation_save_grid(shown, test_path(pairs.dir, "grid.png"), NULL));
    const quality expected = quality_of_grid(test_path(pairs.dir, "grid.png"), VALIDATION);
    assert_true(measured->l1 == expected.l1 && measured->psnr == expected.psnr &&
                measured->ssim == expected.ssim);
    assert_true(measured->l1 > 0.1 && measured->psnr < 30 && measured->ssim < 0.9);
    validation_destroy(shown);
    close_generator(&tiny);
    close_pairs(&pairs);
}

static void test_numbers_are_those_of_the_pictures(void **state) {
    (void)state;
    quality single, batched;
    check_report(1, &single);
    check_report(3, &batched); /* 3 + 2 pictures */
    assert_true(single.l1 == batched.l1 && single.psnr == batched.psnr && single.ssim == batched.ssim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_baseline),
        cmocka_unit_test(test_no_validation),
        cmocka_unit_test(test_numbers_are_those_of_the_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
