/* See pair_look.h. */
#include "pair_look.h"

#include "data/pair_seam.h"
#include "image/image_limits.h"
#include "image/resize.h"
#include "pairs_work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COPY = 96,  /* pixels of a side of the copies */
    REACH = 12, /* the largest shift that is looked for, in their pixels */
    NEAR = 2,   /* smaller shifts are none */
    PIXELS = COPY * COPY,
    COLOURS = 3,
    WHITE = 250
};

/* Correlations of outlines. A shift must fit at least this well, and so much better than none. */
static const double LEAST_FIT = 0.25, GAIN = 0.12;
/* Outlines of a true pair fit better than this; those of two halves of a photograph do not. */
static const double UNRELATED = 0.15;

/* A copy of a side, and the steepness of each of its pixels. */
typedef struct {
    image rgb, grey;
    double steepness[PIXELS];
} side_copy;

void pair_look_free(pair_look *look) {
    free(look->reason);
    *look = (pair_look){0};
}

/* ---- Copies ------------------------------------------------------------------------------------------- */

static void copy_free(side_copy *copy) {
    image_free(&copy->rgb);
    image_free(&copy->grey);
}

static int grey_at(const side_copy *copy, int x, int y) {
    return ((const uint8_t *)copy->grey.pixels)[y * COPY + x];
}

static double steepness_at(const side_copy *copy, int x, int y) {
    if (x == 0 || y == 0 || x == COPY - 1 || y == COPY - 1) return 0;
    return abs(grey_at(copy, x + 1, y) - grey_at(copy, x - 1, y)) +
           abs(grey_at(copy, x, y + 1) - grey_at(copy, x, y - 1));
}

static p2p_status copy_make(image_view side, side_copy *copy) {
    P2P_TRY(resize_image(side, COPY, COPY, RESIZE_BICUBIC, &copy->rgb));
    P2P_TRY(image_convert(image_view_of(&copy->rgb), (image_format){.channels = 1, .bits = 8}, &copy->grey));
    for (int i = 0; i < PIXELS; i++) copy->steepness[i] = steepness_at(copy, i % COPY, i / COPY);
    return P2P_OK;
}

static void measure_features(const side_copy *copy, double features[PAIR_FEATURES]) {
    const uint8_t *rgb = copy->rgb.pixels, *grey = copy->grey.pixels;
    double sums[COLOURS] = {0}, sum = 0, squares = 0, white = 0, steepness = 0;
    for (int i = 0; i < PIXELS; i++) {
        for (int c = 0; c < COLOURS; c++) sums[c] += rgb[i * COLOURS + c];
        sum += grey[i];
        squares += grey[i] * grey[i];
        white += grey[i] >= WHITE;
        steepness += copy->steepness[i];
    }
    const double mean = sum / PIXELS;
    for (int c = 0; c < COLOURS; c++) features[c] = sums[c] / PIXELS / UINT8_MAX;
    features[3] = sqrt(fmax(0, squares / PIXELS - mean * mean)) / UINT8_MAX;
    features[4] = white / PIXELS;
    features[5] = steepness / PIXELS / (2 * UINT8_MAX);
}

/* ---- Shifts ------------------------------------------------------------------------------------------- */

/* The correlation of the steepness of A and B where they overlap, B moved by (dx, dy); 0 if one is uniform.
 */
static double fit_of(const side_copy *a, const side_copy *b, int dx, int dy) {
    double sum_a = 0, sum_b = 0, aa = 0, bb = 0, ab = 0, count = 0;
    for (int y = dy > 0 ? dy : 0; y < COPY && y - dy < COPY; y++)
        for (int x = dx > 0 ? dx : 0; x < COPY && x - dx < COPY; x++) {
            const double va = a->steepness[y * COPY + x], vb = b->steepness[(y - dy) * COPY + x - dx];
            sum_a += va, sum_b += vb;
            aa += va * va, bb += vb * vb, ab += va * vb;
            count++;
        }
    const double spread = (aa - sum_a * sum_a / count) * (bb - sum_b * sum_b / count);
    return spread > 0 ? (ab - sum_a * sum_b / count) / sqrt(spread) : 0;
}

static void find_shift(const side_copy *a, const side_copy *b, double at_rest, pair_look *look) {
    double best = fmax(LEAST_FIT, at_rest + GAIN);
    for (int dy = -REACH; dy <= REACH; dy++)
        for (int dx = -REACH; dx <= REACH; dx++) {
            if (abs(dx) < NEAR && abs(dy) < NEAR) continue;
            const double fit = fit_of(a, b, dx, dy);
            if (fit <= best) continue;
            best = fit;
            look->shift_x = -(double)dx / COPY;
            look->shift_y = -(double)dy / COPY;
        }
}

/* ---- Contents ----------------------------------------------------------------------------------------- */

static bool same_pixels(image_view a, image_view b) {
    const size_t bytes = (size_t)a.width * COLOURS;
    for (int y = 0; y < a.height; y++)
        if (memcmp((const uint8_t *)a.pixels + (size_t)y * a.stride,
                   (const uint8_t *)b.pixels + (size_t)y * b.stride, bytes) != 0)
            return false;
    return true;
}

static bool has_one_colour(image_view side) {
    for (int y = 0; y < side.height; y++)
        for (int x = 0; x < side.width; x++)
            if (memcmp((const uint8_t *)side.pixels + (size_t)y * side.stride + (size_t)x * COLOURS,
                       side.pixels, COLOURS) != 0)
                return false;
    return true;
}

/* `copies` are empty. */
static p2p_status judge_sides(const image_view sides[PAIR_SIDES], side_copy copies[PAIR_SIDES],
                              pair_look *look) {
    for (int i = 0; i < PAIR_SIDES; i++) {
        P2P_TRY(copy_make(sides[i], &copies[i]));
        measure_features(&copies[i], look->features[i]);
        look->one_colour[i] = has_one_colour(sides[i]);
    }
    const double fit = fit_of(&copies[0], &copies[1], 0, 0);
    look->equal = same_pixels(sides[0], sides[1]);
    look->goes_on = look->files == 1 && fit < UNRELATED && pair_seam_goes_on(sides[0], sides[1]);
    if (!look->goes_on) find_shift(&copies[0], &copies[1], fit, look);
    return P2P_OK;
}

static p2p_status judge(const image_view sides[PAIR_SIDES], pair_look *look) {
    side_copy *copies = calloc(PAIR_SIDES, sizeof *copies);
    if (!copies) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to look at a pair");
    p2p_status status = judge_sides(sides, copies, look);
    for (int i = 0; i < PAIR_SIDES; i++) copy_free(&copies[i]);
    free(copies);
    return status;
}

static p2p_status load_and_judge(const dataset_paths *paths, pair_look *look) {
    const char *const names[PAIR_SIDES] = {paths->a, paths->b};
    image pictures[PAIR_SIDES] = {{0}};
    image_view sides[PAIR_SIDES];
    p2p_status status = P2P_OK;
    for (int i = 0; i < PAIR_SIDES && names[i] && status == P2P_OK; i++) {
        status = image_load_inspected(names[i], &look->facts[i], &pictures[i]);
        if (status == P2P_OK) status = image_reformat(&pictures[i], IMAGE_RGB8);
    }
    for (int i = 0; i < PAIR_SIDES && status == P2P_OK; i++) {
        const image_view whole = image_view_of(&pictures[look->files == 1 ? 0 : i]);
        const int left = look->files == 1 ? i * look->size.width : 0;
        sides[i] = image_view_crop(whole, left, 0, look->size.width, look->size.height);
    }
    if (status == P2P_OK) status = judge(sides, look);
    for (int i = 0; i < PAIR_SIDES; i++) image_free(&pictures[i]);
    return status;
}

/* ---- The pair ----------------------------------------------------------------------------------------- */

static p2p_status check_shape(const dataset_paths *paths, bool shape, pair_look *look) {
    const image_header *a = &look->facts[0].header, *b = &look->facts[1].header;
    const pair_size first = {a->width, a->height}, second = {b->width, b->height};
    if (look->files == 1) {
        P2P_TRY(pair_shape_of_halves(paths->a, a->width, a->height, false, &look->size));
        p2p_status status = pair_shape_of_halves(paths->a, a->width, a->height, shape, &look->size);
        look->odd_shape = status != P2P_OK;
        return status;
    }
    look->size = first;
    return pair_shape_of_two(paths->a, &first, paths->b, &second);
}

static uint64_t bytes_of(const pair_look *look) {
    uint64_t bytes = PAIR_SIDES * sizeof(side_copy);
    for (int i = 0; i < look->files; i++) {
        const image_header *header = &look->facts[i].header;
        bytes += image_load_bytes(&look->facts[i], IMAGE_RGB8);
        bytes += resize_bytes(header->width, header->height, IMAGE_RGB8, COPY);
    }
    return bytes;
}

static p2p_status look(const dataset_paths *paths, bool shape, pair_look *seen) {
    const char *const names[PAIR_SIDES] = {paths->a, paths->b};
    seen->files = paths->b ? 2 : 1;
    for (int i = 0; i < PAIR_SIDES && names[i]; i++) {
        P2P_TRY(image_inspect(names[i], &seen->facts[i]));
        P2P_TRY(dataset_hash_file(names[i], seen->hashes[i]));
    }
    P2P_TRY(check_shape(paths, shape, seen));
    const uint64_t bytes = bytes_of(seen);
    P2P_TRY(image_memory_take(bytes, paths->a));
    p2p_status status = load_and_judge(paths, seen);
    image_memory_give(bytes);
    return status;
}

p2p_status pair_look_at(const dataset_paths *paths, bool judge, pair_look *seen) {
    *seen = (pair_look){0};
    p2p_status status = look(paths, judge, seen);
    seen->usable = status == P2P_OK;
    if (seen->usable || !pairs_is_bad_picture(status)) return status;
    seen->reason = strdup(p2p_message());
    return seen->reason ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the name of a pair");
}
