/* Judging pairs by the sizes of pictures. See pair_shape.h. */
#include "pair_shape.h"

#include <stdlib.h>

/* Two shapes are equal if their ratios differ by at most this factor. */
static const double ALIKE = 1.1;

static double ratio_of(pair_size size) {
    return (double)size.width / size.height;
}

static bool is_single(int width, int height) {
    const int64_t w = width, h = height;
    const bool narrow = 5 * w <= 8 * h;
    const bool screen = 100 * 9 * w >= 99 * 16 * h && 100 * 9 * w <= 101 * 16 * h;
    return narrow || screen;
}

p2p_status pair_shape_of_halves(const char *path, int width, int height, bool judge, pair_size *size) {
    *size = (pair_size){width / 2, height};
    if (width % 2 != 0) {
        p2p_fail(P2P_INPUT, "%s is %d pixels wide: an odd width can't be split into two halves", path, width);
        return p2p_hint(P2P_INPUT, "a pair is one picture with A on the left and B, equally large, on the "
                                   "right; --on-bad-image skip leaves others out");
    }
    if (!judge || !is_single(width, height)) return P2P_OK;
    p2p_fail(P2P_INPUT,
             "%s is %d x %d pixels, the shape of a single picture: its halves of %d x %d would be "
             "the pair",
             path, width, height, width / 2, height);
    return p2p_hint(P2P_INPUT,
                    "a pair side by side is usually twice as wide as high, A on the left and B on the right; "
                    "--pairs side-by-side takes any picture for a pair, --on-bad-image skip leaves such "
                    "pictures out");
}

p2p_status pair_shape_of_two(const char *a, const pair_size *a_size, const char *b, const pair_size *b_size) {
    if (a_size->width == b_size->width && a_size->height == b_size->height) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is %d x %d pixels, but %s is %d x %d: a pair's pictures must be equally large", a,
             a_size->width, a_size->height, b, b_size->width, b_size->height);
    return p2p_hint(P2P_INPUT, "--on-bad-image skip leaves such pairs out");
}

/* By area, then by width. */
static int compare_sizes(const void *left, const void *right) {
    const pair_size *a = left, *b = right;
    const int64_t a_area = (int64_t)a->width * a->height, b_area = (int64_t)b->width * b->height;
    if (a_area != b_area) return a_area < b_area ? -1 : 1;
    return a->width < b->width ? -1 : a->width > b->width;
}

pair_sizes pair_sizes_of(pair_size *sizes, size_t count) {
    qsort(sizes, count, sizeof *sizes, compare_sizes);
    pair_sizes all = {.smallest = sizes[0], .median = sizes[count / 2], .largest = sizes[count - 1]};
    all.narrowest = all.widest = ratio_of(sizes[0]);
    for (size_t i = 0; i < count; i++) {
        const double ratio = ratio_of(sizes[i]);
        if (ratio < all.narrowest) all.narrowest = ratio;
        if (ratio > all.widest) all.widest = ratio;
        all.different += i == 0 || compare_sizes(&sizes[i - 1], &sizes[i]) != 0;
    }
    return all;
}

bool pair_size_is_tiny(pair_size size, const pair_sizes *all) {
    return size.width <= all->median.width / 4 && size.height <= all->median.height / 4;
}

p2p_status pair_shape_like(const char *path, pair_size size, const pair_sizes *training) {
    const double ratio = ratio_of(size);
    const bool mixed = training->widest > ALIKE * training->narrowest;
    if (mixed || (ratio <= ALIKE * training->widest && ALIKE * ratio >= training->narrowest)) return P2P_OK;
    p2p_fail(P2P_INPUT,
             "%s would be a pair of %d x %d pixels, but all training pairs have another shape: "
             "%d x %d",
             path, size.width, size.height, training->largest.width, training->largest.height);
    return p2p_hint(P2P_INPUT,
                    "the best model is chosen by these pairs, so they should resemble those of the training; "
                    "--on-bad-image skip leaves others out, --pairs side-by-side or two-folders takes any");
}
