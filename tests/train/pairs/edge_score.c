/* See edge_score.h. */
#include "edge_score.h"

#include <stdlib.h>

static image grey_of(image_view picture) {
    image grey;
    if (image_convert(picture, (image_format){.channels = 1, .bits = 8}, &grey) != P2P_OK) abort();
    return grey;
}

static bool is_line(const image *grey, int x, int y) {
    const bool inside = x >= 0 && y >= 0 && x < grey->width && y < grey->height;
    return inside && ((const uint8_t *)grey->pixels)[y * grey->width + x] < 128;
}

static bool is_near(const image *grey, int x, int y, int tolerance) {
    for (int dy = -tolerance; dy <= tolerance; dy++)
        for (int dx = -tolerance; dx <= tolerance; dx++)
            if (dx * dx + dy * dy <= tolerance * tolerance && is_line(grey, x + dx, y + dy)) return true;
    return false;
}

/* The share of the lines of `a` that are near one of `b`. */
static double matched(const image *a, const image *b, int tolerance) {
    int lines = 0, near = 0;
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < a->width; x++) {
            if (!is_line(a, x, y)) continue;
            lines++;
            near += is_near(b, x, y, tolerance);
        }
    return lines > 0 ? (double)near / lines : 0;
}

edge_score edge_score_of(image_view drawn, image_view truth, int tolerance) {
    image a = grey_of(drawn), b = grey_of(truth);
    edge_score score = {.precision = matched(&a, &b, tolerance), .recall = matched(&b, &a, tolerance)};
    const double sum = score.precision + score.recall;
    score.f1 = sum > 0 ? 2 * score.precision * score.recall / sum : 0;
    image_free(&a);
    image_free(&b);
    return score;
}
