/* Pictures in memory and in files: 1 to 4 channels of 8 or 16 bits.
 *
 * A decoded picture keeps what its file holds: grey stays one channel, alpha is a channel, 16 bits stay 16;
 * a palette is looked up, and fewer than 8 bits are widened to 8. image_convert gives another form of it.
 * Files are hostile: sizes are checked before memory is taken, and damaged or truncated files are refused. No
 * colour management and no EXIF rotation happens here; resizing is in resize.h.
 */
#ifndef P2P_IMAGE_H
#define P2P_IMAGE_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IMAGE_MAX_CHANNELS = 4,
    IMAGE_MAX_SIDE = 32768,
    IMAGE_MAX_MEGAPIXELS = 256 /* of 2^20 pixels */
};

/* What a pixel is. */
typedef struct {
    int channels; /* 1 grey, 2 grey and alpha, 3 red green blue, 4 with alpha */
    int bits;     /* of a sample: 8 (uint8_t) or 16 (uint16_t of this machine) */
} image_format;

#define IMAGE_RGB8 ((image_format){.channels = 3, .bits = 8})

/* Rows from the top, pixels from the left, their channels side by side; no padding between rows. `pixels` is
 * owned (malloc). */
typedef struct {
    int width, height;
    int channels, bits; /* as in image_format */
    void *pixels;
} image;

/* A rectangle of somebody's pixels; `stride` is the bytes from one row to the next. */
typedef struct {
    int width, height;
    int channels, bits;
    size_t stride;
    const void *pixels;
} image_view;

/* What a file's header says, in the form that image_load would give. */
typedef struct {
    int width, height;
    int channels, bits;
} image_header;

/* 1 to 4 channels of 8 or 16 bits. */
bool image_format_is_valid(image_format format);
bool image_format_equal(image_format a, image_format b);
size_t image_pixel_bytes(image_format format);

/* An image with unset pixels. Sides below 1 or above the limits, or another format, are P2P_INVALID. */
p2p_status image_create(image *result, int width, int height, image_format format);
void image_free(image *picture); /* also leaves it empty; an empty one ({0}) is ignored */

image_format image_format_of(const image *picture);
size_t image_bytes(const image *picture); /* of all its pixels */
image_view image_view_of(const image *picture);
image_format image_view_format(image_view view);

/* The rectangle at (left, top), which must lie inside the view. */
image_view image_view_crop(image_view view, int left, int top, int width, int height);

/* ---- Conversions -------------------------------------------------------------------------------------- */

/* A copy of the view in another format; with 8 bits on both sides, what Pillow's convert gives. Grey is
 * repeated into colours; colours become grey by ITU-R 601: (19595 R + 38470 G + 7471 B + 32768) >> 16, at the
 * source's bits; alpha is dropped, or added as opaque, never composited. 8 bits v become 16 as 257 v; 16 bits
 * become the nearest 8, (v + 128) / 257 in integers, which gives back every v that was 8 bits. */
p2p_status image_convert(image_view view, image_format format, image *result);

/* The same in place: `picture` itself where it has the format already. On failure it stays as it is. */
p2p_status image_reformat(image *picture, image_format format);

/* An image from format.channels planes (c h w) of width * height floats in [-1, 1]: the nearest of (x + 1) *
 * 127.5, or * 32767.5 for 16 bits; values outside are clamped, NaN is 0. */
p2p_status image_from_planes(const float *planes, int width, int height, image_format format, image *result);

/* ---- Files -------------------------------------------------------------------------------------------- */

/* Decode a JPEG, PNG, BMP or GIF file (of which the first frame counts), told apart by content. `name` stands
 * for the bytes in messages. P2P_INPUT for everything that is wrong with the bytes. On failure *result is
 * empty. */
p2p_status image_decode(const uint8_t *bytes, size_t size, const char *name, image *result);
p2p_status image_load(const char *path, image *result);

/* A file's header alone, sizes checked against the limits: cheap enough for every file of a data set. */
p2p_status image_probe(const char *path, image_header *header);
p2p_status image_probe_bytes(const uint8_t *bytes, size_t size, const char *name, image_header *header);

/* The suffixes, in any case, of files that are taken for pictures. */
#define IMAGE_SUFFIXES ".png, .jpg, .jpeg, .bmp or .gif"
bool image_suffix_readable(const char *path);

/* Whether a path's suffix, in any case, is .png, .jpg or .jpeg: what image_save writes. */
bool image_suffix_known(const char *path);

/* Whether a picture of this format can be written under this name: PNG takes every format, JPEG grey or RGB
 * of 8 bits. P2P_USAGE otherwise, and for an unknown suffix. */
p2p_status image_save_check(const char *path, image_format format);

/* Write a PNG, or a JPEG of quality 95 without chroma subsampling, as the suffix says; atomically. Fails as
 * image_save_check does before anything is written. */
p2p_status image_save(const char *path, const image *picture);

#endif
