/* How hard the generated pairs are, and which of them ci/quickstart shows. That they are drawn, and the same
 * again, is tested in test_dataset.c. */
#include "sample/sample_data.h"
#include "sample/sample_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

enum { SIZE = 64, PAIRS = 40, SAMPLES = SIZE * SIZE * 3 };

/* The right half of a pair, as samples. */
static void draw_target(uint64_t number, double target[SAMPLES]) {
    image pair;
    OK(sample_data_pair(SIZE, 1, number, &pair));
    const uint8_t *pixels = pair.pixels;
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE * 3; x++) target[y * SIZE * 3 + x] = pixels[(y * 2 * SIZE + SIZE) * 3 + x];
    image_free(&pair);
}

/* A model that draws the mean target whatever the outlines are has this L1. Pairs that are more alike, darker
 * or without texture have a smaller one, and figures of trainings on them compare with no earlier ones. */
static void test_pairs_are_as_different_as_they_were(void **state) {
    (void)state;
    static double targets[PAIRS][SAMPLES];
    double sum = 0;
    for (uint64_t i = 0; i < PAIRS; i++) draw_target(i, targets[i]);
    for (int k = 0; k < SAMPLES; k++) {
        double mean = 0;
        for (int i = 0; i < PAIRS; i++) mean += targets[i][k] / PAIRS;
        for (int i = 0; i < PAIRS; i++) sum += fabs(targets[i][k] - mean);
    }
    const double l1 = sum / PAIRS / SAMPLES / 127.5;
    print_message("L1 of the mean target: %.4f\n", l1);
    assert_true(fabs(l1 - 0.1159) < 0.002);
}

/* The options of sample-data in ci/quickstart, whose path is in QUICKSTART. */
static void read_quickstart(unsigned *count, unsigned *seed) {
    char line[256];
    int found = 0;
    FILE *file = fopen(QUICKSTART, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        found += sscanf(line, "\"$p2p\" sample-data \"$folder/toys\" --count %u --size 128 --seed %u", count,
                        seed) == 2;
    fclose(file);
    assert_int_equal(found, 1);
}

/* The grid of its pictures has ten validation pairs, whose numbers follow those of the training pairs. */
static void test_the_quick_start_shows_every_kind(void **state) {
    (void)state;
    enum { COLUMNS = 10 };
    unsigned count, seed, shown = 0;
    read_quickstart(&count, &seed);
    for (unsigned i = 0; i < COLUMNS; i++) {
        sample_random random = {
            .draw = {.seed = seed, .stream = p2p_name_hash("sample-data"), .item = count + i}};
        sample_scene scene;
        sample_scene_compose(&scene, &random);
        shown |= 1u << scene.objects[0].kind; /* the large one */
    }
    assert_int_equal(shown, (1u << SAMPLE_KINDS) - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_are_as_different_as_they_were),
        cmocka_unit_test(test_the_quick_start_shows_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
