/* See pairs_operation.h. */
#include "pairs_operation.h"

#include "edges.h"
#include "image/resize.h"
#include "p2p_philox.h"

#include <string.h>

static image_header header_of(int width, int height, image_format format) {
    return (image_header){width, height, format.channels, format.bits};
}

static uint64_t picture_bytes(int width, int height, image_format format) {
    const image_header header = header_of(width, height, format);
    return image_pixels_bytes(&header, format);
}

/* ---- edges -------------------------------------------------------------------------------------------- */

static p2p_status draw_edges(const settings *all, image_view photo, uint32_t item, image *input) {
    (void)item;
    const edges_options options = {
        .smoothing = all->smoothing, .detail = all->detail, .shortest = (int)all->shortest};
    return edges_draw(photo, &options, input);
}

static uint64_t edges_draw_bytes(const settings *all, int width, int height, image_format format) {
    (void)all, (void)format;
    return edges_bytes(width, height);
}

/* ---- grey --------------------------------------------------------------------------------------------- */

static p2p_status draw_grey(const settings *all, image_view photo, uint32_t item, image *input) {
    (void)all, (void)item;
    return image_convert(photo, (image_format){.channels = 1, .bits = photo.bits}, input);
}

/* Also of `blank`. */
static uint64_t copy_bytes(const settings *all, int width, int height, image_format format) {
    (void)all;
    return picture_bytes(width, height, format);
}

/* ---- lowres ------------------------------------------------------------------------------------------- */

static resize_filter filter_of(const settings *all) {
    return resize_filter_named(all->resize);
}

static int reduced(const settings *all, int side) {
    const int64_t small = side / all->factor;
    return small > 0 ? (int)small : 1;
}

static p2p_status draw_lowres(const settings *all, image_view photo, uint32_t item, image *input) {
    (void)item;
    image small;
    *input = (image){0};
    P2P_TRY(
        resize_image(photo, reduced(all, photo.width), reduced(all, photo.height), filter_of(all), &small));
    p2p_status status = resize_image(image_view_of(&small), photo.width, photo.height, filter_of(all), input);
    image_free(&small);
    return status;
}

static uint64_t lowres_bytes(const settings *all, int width, int height, image_format format) {
    (void)all;
    const int side = width > height ? width : height;
    return 2 * picture_bytes(width, height, format) + resize_bytes(width, height, format, side);
}

/* ---- blank -------------------------------------------------------------------------------------------- */

/* A hole's extent along a side: a quarter to a half of it, at a place where it lies inside. */
static void draw_extent(const p2p_draw *draw, uint64_t index, int side, int *start, int *length) {
    const int least = side / 4 > 0 ? side / 4 : 1, most = side / 2 > least ? side / 2 : least;
    *length = least + (int)p2p_draw_below(draw, index, (uint32_t)(most - least + 1));
    *start = (int)p2p_draw_below(draw, index + 1, (uint32_t)(side - *length + 1));
}

/* Middle grey, which is seen in white surroundings too; opaque. Returns the bytes of the pixel. */
static size_t hole_pixel(const image *picture, uint8_t pixel[IMAGE_MAX_CHANNELS * sizeof(uint16_t)]) {
    const size_t bytes = image_pixel_bytes(image_format_of(picture)), sample = (size_t)picture->bits / 8;
    memset(pixel, 128, bytes);
    if (picture->channels % 2 == 0) memset(pixel + bytes - sample, UINT8_MAX, sample);
    return bytes;
}

static void make_hole(const p2p_draw *draw, uint64_t index, image *picture) {
    int left, top, width, height;
    uint8_t pixel[IMAGE_MAX_CHANNELS * sizeof(uint16_t)];
    const size_t bytes = hole_pixel(picture, pixel);
    draw_extent(draw, index, picture->width, &left, &width);
    draw_extent(draw, index + 2, picture->height, &top, &height);
    for (int y = top; y < top + height; y++)
        for (int x = left; x < left + width; x++)
            memcpy((uint8_t *)picture->pixels + ((size_t)y * (size_t)picture->width + (size_t)x) * bytes,
                   pixel, bytes);
}

static p2p_status draw_blank(const settings *all, image_view photo, uint32_t item, image *input) {
    enum { DRAWS_PER_HOLE = 4 };
    const p2p_draw draw = {.seed = all->seed, .stream = p2p_name_hash("holes"), .item = item};
    P2P_TRY(image_convert(photo, image_view_format(photo), input));
    for (int64_t hole = 0; hole < all->holes; hole++)
        make_hole(&draw, (uint64_t)hole * DRAWS_PER_HOLE, input);
    return P2P_OK;
}

/* ---- The table ---------------------------------------------------------------------------------------- */

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define FITTED       "size", "fit", "resize", "format"

static const pairs_operation operations[] = {
    {"combine", PAIRS_JOIN, OPTIONS(FITTED), NULL, NULL},
    {"resize", PAIRS_FIT, OPTIONS(FITTED, "pairs"), NULL, NULL},
    {"edges", PAIRS_DERIVE, OPTIONS(FITTED, "input-only", "smoothing", "detail", "shortest"), draw_edges,
     edges_draw_bytes},
    {"grey", PAIRS_DERIVE, OPTIONS(FITTED, "input-only"), draw_grey, copy_bytes},
    {"lowres", PAIRS_DERIVE, OPTIONS(FITTED, "input-only", "factor"), draw_lowres, lowres_bytes},
    {"blank", PAIRS_DERIVE, OPTIONS(FITTED, "input-only", "holes", "seed"), draw_blank, copy_bytes},
};

const pairs_operation *pairs_operation_named(const char *name) {
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, name) == 0) return &operations[i];
    return NULL;
}
