/* L1, PSNR and SSIM against scikit-image's numbers (golden/quality.txt), a thousand times closer than the
 * 1e-4 that users of quality.h rely on; means; and pictures that cannot be compared or written. */
#include "support/test_files.h"
#include "support/test_formulas.h"
#include "use/quality.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double TOLERANCE = 1e-7;

/* The caller frees the samples. */
static quality_picture draw(const char *name, int w, int h, int channels, int bits) {
    const test_formula value = test_formula_named(name), low = test_formula_named("noise");
    const size_t samples = (size_t)w * (size_t)h * (size_t)channels;
    uint8_t *bytes = malloc(samples);
    uint16_t *words = malloc(samples * sizeof *words);
    assert_true(bytes && words);
    for (size_t i = 0; i < samples; i++) {
        const int c = (int)(i % (size_t)channels), x = (int)(i / (size_t)channels % (size_t)w),
                  y = (int)(i / (size_t)channels / (size_t)w);
        bytes[i] = (uint8_t)value(x, y, c, w, h);
        words[i] = (uint16_t)(bytes[i] * 256 + low(x + 11, y + 7, c, w, h));
    }
    free(bits == 8 ? (void *)words : (void *)bytes);
    return (quality_picture){.width = w,
                             .height = h,
                             .channels = channels,
                             .bits = bits,
                             .samples = bits == 8 ? (void *)bytes : (void *)words};
}

static void drop(quality_picture *picture) {
    free((void *)picture->samples);
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static void expect_number(const char *line, const char *what, double value, double expected) {
    if (isinf(expected) ? value != expected : !(fabs(value - expected) <= TOLERANCE))
        fail_msg("%s: %s is %.9f: %s", what, what, value, line);
}

static void check_case(const char *line) {
    char first[16], second[16];
    int w, h, channels, bits;
    double l1, psnr, ssim;
    assert_int_equal(sscanf(line, "%15s %15s %d %d %d %d %lf %lf %lf", first, second, &w, &h, &channels,
                            &bits, &l1, &psnr, &ssim),
                     9);
    quality_picture a = draw(first, w, h, channels, bits), b = draw(second, w, h, channels, bits);
    quality forth, back;
    assert_int_equal(quality_measure(&a, &b, &forth), P2P_OK);
    assert_int_equal(quality_measure(&b, &a, &back), P2P_OK);
    expect_number(line, "L1", forth.l1, l1);
    expect_number(line, "PSNR", forth.psnr, psnr);
    expect_number(line, "SSIM", forth.ssim, ssim);
    assert_true(memcmp(&forth.l1, &back.l1, sizeof back.l1) == 0 && forth.psnr == back.psnr);
    expect_number(line, "SSIM back", back.ssim, ssim);
    drop(&a);
    drop(&b);
}

static void test_numbers_are_scikit_images(void **state) {
    (void)state;
    FILE *cases = fopen(test_golden("quality.txt"), "r");
    assert_non_null(cases);
    char line[256];
    int count = 0;
    for (; fgets(line, sizeof line, cases) != NULL; count++) check_case(line);
    fclose(cases);
    assert_int_equal(count, 16);
}

static void test_small_pictures_have_no_ssim(void **state) {
    (void)state;
    const int sides[][2] = {{6, 40}, {40, 6}, {1, 1}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        quality_picture a = draw("photo", sides[i][0], sides[i][1], 3, 8),
                        b = draw("flat", sides[i][0], sides[i][1], 3, 8);
        quality result;
        assert_int_equal(quality_measure(&a, &b, &result), P2P_OK);
        assert_true(isnan(result.ssim) && result.l1 > 0 && isfinite(result.psnr));
        drop(&a);
        drop(&b);
    }
}

static void test_unlike_pictures_are_refused(void **state) {
    (void)state;
    const uint16_t samples[64 * 3] = {0};
    const quality_picture good = {.width = 8, .height = 8, .channels = 3, .bits = 8, .samples = samples};
    quality_picture wide = good, high = good, grey = good, deep = good, odd = good, none = good;
    quality result;
    wide.width = 7;
    high.height = 7;
    grey.channels = 1;
    deep.bits = 16;
    assert_int_equal(quality_measure(&good, &good, &result), P2P_OK);
    assert_int_equal(quality_measure(&good, &wide, &result), P2P_INVALID);
    assert_int_equal(quality_measure(&good, &high, &result), P2P_INVALID);
    assert_int_equal(quality_measure(&good, &grey, &result), P2P_INVALID);
    assert_int_equal(quality_measure(&good, &deep, &result), P2P_INVALID);
    odd.bits = 12;
    none.channels = 0;
    assert_int_equal(quality_measure(&odd, &odd, &result), P2P_INVALID);
    assert_int_equal(quality_measure(&none, &none, &result), P2P_INVALID);
}

static void test_means(void **state) {
    (void)state;
    quality_total total = {0};
    assert_true(isnan(quality_mean(&total).l1));
    quality_add(&total, &(quality){.l1 = 0.5, .psnr = 20, .ssim = 0.25});
    quality_add(&total, &(quality){.l1 = 0.25, .psnr = 10, .ssim = 0.75});
    quality mean = quality_mean(&total);
    assert_true(mean.l1 == 0.375 && mean.psnr == 15 && mean.ssim == 0.5);
    quality_add(&total, &(quality){.l1 = 0, .psnr = INFINITY, .ssim = 1});
    mean = quality_mean(&total);
    assert_true(mean.l1 == 0.25 && isinf(mean.psnr));
}

static void test_json_stays_valid(void **state) {
    (void)state;
    json_t *object = json_pack("{s:o, s:o, s:o}", "a", quality_to_json(INFINITY), "b", quality_to_json(NAN),
                               "c", quality_to_json(0.5));
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"a\":null,\"b\":null,\"c\":0.5}");
    free(text);
    json_decref(object);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_scikit_images),
        cmocka_unit_test(test_small_pictures_have_no_ssim),
        cmocka_unit_test(test_unlike_pictures_are_refused),
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_json_stays_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
