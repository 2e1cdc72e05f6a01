/* 8-bit RGB images in memory and in PNG and JPEG files.
 *
 * Every picture becomes three interleaved 8-bit channels, with the values that Pillow's convert("RGB") gives:
 * grey is repeated, a palette looked up, alpha dropped, and of 16 bits the upper 8 are kept. Files are
 * hostile: sizes are checked before memory is taken, and damaged or truncated files are refused. No colour
 * management and no EXIF rotation happens here; resizing is in resize.h.
 */
#ifndef P2P_IMAGE_H
#define P2P_IMAGE_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IMAGE_CHANNELS = 3,
    IMAGE_MAX_SIDE = 32768,
    IMAGE_MAX_MEGAPIXELS = 256 /* of 2^20 pixels */
};

/* Rows from the top, pixels from the left, R G B; no padding between rows. `pixels` is owned (malloc). */
typedef struct {
    int width, height;
    uint8_t *pixels;
} image;

/* A rectangle of somebody's pixels; `stride` is the bytes from one row to the next. */
typedef struct {
    int width, height;
    size_t stride;
    const uint8_t *pixels;
} image_view;

/* An image with unset pixels. Sides below 1 or above the limits are P2P_INVALID. */
p2p_status image_create(image *result, int width, int height);
void image_free(image *picture); /* also leaves it empty; an empty one ({0}) is ignored */

image_view image_view_of(const image *picture);

/* The rectangle at (left, top), which must lie inside the view. */
image_view image_view_crop(image_view view, int left, int top, int width, int height);

/* Decode a JPEG or PNG file, told apart by content. `name` stands for the bytes in messages. P2P_INPUT for
 * everything that is wrong with the bytes. On failure *result is empty. */
p2p_status image_decode(const uint8_t *bytes, size_t size, const char *name, image *result);
p2p_status image_load(const char *path, image *result);

/* Width and height from a file's header, checked against the limits, without decoding pixels: cheap enough
 * for every file of a data set. */
p2p_status image_probe(const char *path, int *width, int *height);
p2p_status image_probe_bytes(const uint8_t *bytes, size_t size, const char *name, int *width, int *height);

/* Whether a path's suffix, in any case, is .png, .jpg or .jpeg. */
bool image_suffix_known(const char *path);

/* Write a PNG, or a JPEG of quality 95 without chroma subsampling, as the suffix says; atomically. An unknown
 * suffix is P2P_USAGE. */
p2p_status image_save(const char *path, const image *picture);

/* An image from three planes (c h w) of width * height floats in [-1, 1]: the nearest byte to (x + 1) *
 * 127.5, values outside clamped, NaN black. */
p2p_status image_from_planes(const float *planes, int width, int height, image *result);

/* One picture of `rows` rows and `columns` columns of equally large cells, a thin light line between and
 * around them. Cells are row-major; a different size among them is P2P_INVALID. */
p2p_status image_grid(const image *cells, int rows, int columns, image *result);

#endif
