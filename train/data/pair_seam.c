/* The seam between A and B. See pair_seam.h. */
#include "pair_seam.h"

#include <stdlib.h>

enum { CHANNELS = 3, NEAR = 8 /* columns beside the seam */ };

static const uint8_t *pixel_at(image_view view, int x, int y) {
    return (const uint8_t *)view.pixels + (size_t)y * view.stride + (size_t)x * CHANNELS;
}

/* The sum of the differences between column `x` of one view and column `other_x` of another. */
static double column_difference(image_view view, int x, image_view other, int other_x) {
    double sum = 0;
    for (int y = 0; y < view.height; y++) {
        const uint8_t *a = pixel_at(view, x, y), *b = pixel_at(other, other_x, y);
        for (int c = 0; c < CHANNELS; c++) sum += abs(a[c] - b[c]);
    }
    return sum;
}

bool pair_seam_goes_on(image_view left, image_view right) {
    const int last = left.width - 1;
    double near = 0;
    if (left.width <= NEAR || right.width <= NEAR) return false;
    for (int i = 0; i < NEAR; i++) {
        near += column_difference(left, last - i - 1, left, last - i);
        near += column_difference(right, i, right, i + 1);
    }
    near /= 2 * NEAR;
    const bool uniform = near < 1.0 * left.height * CHANNELS; /* less than 1 of 255 per sample */
    return !uniform && column_difference(left, last, right, 0) <= 2 * near;
}

bool pair_seam_all_go_on(const dataset *data) {
    const pair_format format = {IMAGE_RGB8, IMAGE_RGB8};
    const int64_t count = dataset_count(data),
                  samples = count < PAIR_SEAM_SAMPLES ? count : PAIR_SEAM_SAMPLES;
    int going_on = 0, loaded = 0;
    if (dataset_summarise(data).b != NULL) return false;
    for (int64_t i = 0; i < samples && going_on == loaded; i++) {
        image_pair pair;
        if (dataset_load(data, i * count / samples, format, &pair) != P2P_OK) continue;
        const bool swapped = dataset_is_b_to_a(data);
        loaded++;
        going_on += pair_seam_goes_on(swapped ? pair.target : pair.input, swapped ? pair.input : pair.target);
        image_pair_free(&pair);
    }
    return loaded > 1 && going_on == loaded;
}
