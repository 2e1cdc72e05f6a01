/* Pictures in memory and in files: 1 to 4 channels of 8 or 16 bits.
 *
 * A decoded picture has the format of its file: grey is one channel, alpha is a channel, 16 bits stay 16.
 * Palettes are expanded, and samples of fewer than 8 bits are widened to 8. image_convert changes the format.
 * Files are not trusted: sizes are checked before memory is allocated, and damaged or truncated files are
 * refused. How large a picture may be, and how much memory all of them may take, is in image_limits.h. A JPEG
 * is turned upright by its EXIF orientation. Colour profiles are ignored. Resizing is in resize.h. */
#ifndef P2P_IMAGE_H
#define P2P_IMAGE_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IMAGE_MAX_CHANNELS = 4,
    IMAGE_MAX_SIDE = 32768,
    IMAGE_MAX_MEGAPIXELS = 256, /* of 2^20 pixels */
    IMAGE_MAX_PIXELS = IMAGE_MAX_MEGAPIXELS << 20
};

/* Whether a picture has at most IMAGE_MAX_SIDE pixels on a side and IMAGE_MAX_PIXELS in all. */
bool image_sides_fit(int64_t width, int64_t height);

/* The format of a pixel. */
typedef struct {
    int channels; /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha */
    int bits;     /* per sample: 8 (uint8_t) or 16 (uint16_t in host byte order) */
} image_format;

#define IMAGE_RGB8 ((image_format){.channels = 3, .bits = 8})

/* Rows from the top, pixels from the left, channels interleaved, no padding between rows. Owns `pixels`
 * (malloc). */
typedef struct {
    int width, height;
    int channels, bits; /* as in image_format */
    void *pixels;
} image;

/* A rectangle of pixels that another object owns. `stride` is the distance of two rows in bytes. */
typedef struct {
    int width, height;
    int channels, bits;
    size_t stride;
    const void *pixels;
} image_view;

/* The size of a file's picture, and the format that image_load would return. */
typedef struct {
    int width, height;
    int channels, bits;
} image_header;

/* EXIF's orientation of a picture that is upright in its file. */
enum { IMAGE_UPRIGHT = 1 };

/* What a file's header shows before anything is decoded. */
typedef struct {
    image_header header;   /* upright */
    int orientation;       /* in the file, as EXIF counts: IMAGE_UPRIGHT to 8 */
    const char *kind;      /* of the file: "JPEG", "PNG", "BMP" or "GIF" */
    uint64_t file_bytes;   /* of the whole file */
    uint64_t least_bytes;  /* a smaller file can't hold the pixels, however well it is compressed */
    uint64_t decode_bytes; /* the most memory that image_decode has at once, its result included */
    bool goes_on;          /* after a failure: the header continues beyond the bytes that were given */
} image_facts;

/* Whether it has 1 to 4 channels of 8 or 16 bits. */
bool image_format_is_valid(image_format format);
bool image_format_equal(image_format a, image_format b);
size_t image_pixel_bytes(image_format format);

/* Create an image with uninitialised pixels. P2P_INVALID if a side is below 1 or above the limits, or if the
 * format is not valid. */
p2p_status image_create(image *result, int width, int height, image_format format);
void image_free(image *picture); /* sets it to {0}; no effect on {0} */

image_format image_format_of(const image *picture);
size_t image_bytes(const image *picture); /* of all its pixels */
/* The value of sample `index`, in the order in which they are stored. */
int image_sample(const image *picture, size_t index);
image_view image_view_of(const image *picture);
image_format image_view_format(image_view view);

/* The rectangle at (left, top), which must lie inside the view. */
image_view image_view_crop(image_view view, int left, int top, int width, int height);

/* Whether a pixel of a picture with alpha is not opaque. */
bool image_is_transparent(image_view view);

/* ---- Conversions -------------------------------------------------------------------------------------- */

/* Copy the view into another format. Between formats of 8 bits the result equals that of Pillow's convert.
 * Grey is repeated in each colour. Colours become grey by ITU-R 601, at the source's bits:
 * (19595 R + 38470 G + 7471 B + 32768) >> 16. Alpha is dropped, or added as opaque; it is never composited. A
 * sample v of 8 bits becomes 257 v. A sample of 16 bits becomes the nearest of 8, (v + 128) / 257 in
 * integers, which inverts the widening exactly. */
p2p_status image_convert(image_view view, image_format format, image *result);

/* Convert in place, without more memory unless pixels grow. No effect if the picture has the format already;
 * unchanged after a failure. */
p2p_status image_reformat(image *picture, image_format format);

/* Create an image from planes (c h w) of floats in [-1, 1]: the integer nearest to (x + 1) * 127.5, or to
 * (x + 1) * 32767.5 for 16 bits. Values outside the range are clamped; NaN becomes 0. */
p2p_status image_from_planes(const float *planes, int width, int height, image_format format, image *result);

/* ---- Files -------------------------------------------------------------------------------------------- */

/* Decode a JPEG, PNG, BMP or GIF file (its first frame). The format is detected from the content. `name` is
 * used in messages. P2P_INPUT if the bytes are not a usable picture. *result is empty after a failure. */
p2p_status image_decode(const uint8_t *bytes, size_t size, const char *name, image *result);
p2p_status image_load(const char *path, image *result);

/* Read the header only, and check the size against the limits. Cheap enough for every file of a data set:
 * more than 16 KiB are read only while the header, with a profile or a preview in it, goes on, and at most 64
 * MiB. P2P_INPUT also if the file is smaller than its pixels need. */
p2p_status image_inspect(const char *path, image_facts *facts);

/* The most memory that image_load and then image_reformat to `format` have at once. */
uint64_t image_load_bytes(const image_facts *facts, image_format format);

/* The memory of a picture's pixels in `format`. */
uint64_t image_pixels_bytes(const image_header *header, image_format format);

/* Load a file that was inspected. P2P_INPUT if it has another size now, or takes more memory than it did
 * then. */
p2p_status image_load_inspected(const char *path, const image_facts *facts, image *result);

/* The header of a file in memory. For tests, as is image_decode: the program reads files. */
p2p_status image_probe_bytes(const uint8_t *bytes, size_t size, const char *name, image_header *header);

/* The suffixes of files that are treated as pictures, in any case. */
#define IMAGE_SUFFIXES ".png, .jpg, .jpeg, .bmp or .gif"

/* Whether a file, named by its path below a folder, is taken for one of the folder's pictures: it has such a
 * suffix and does not lie in a folder in which a NAS or an archiver keeps thumbnails and deleted files, such
 * as @eaDir and __MACOSX, nor in one of image_is_thumbnail. */
bool image_is_listed(const char *relative);

/* Whether such a file lies in a folder that is named as one of thumbnails: thumbnails, thumbnail, thumbs or
 * thumb, in any case. */
bool image_is_thumbnail(const char *relative);

/* Whether a file is a picture by its suffix, but of a format that is not read, such as HEIC. False in the
 * folders that image_is_listed excludes. */
bool image_is_unread(const char *relative);

/* Whether image_save writes the suffix, in any case. */
#define IMAGE_SUFFIXES_WRITTEN ".png, .jpg or .jpeg"
bool image_suffix_known(const char *path);

/* P2P_USAGE if a picture of the format cannot be written under the name: PNG holds every format, JPEG holds
 * grey and RGB of 8 bits, and other suffixes are unknown. */
p2p_status image_save_check(const char *path, image_format format);

/* Write a PNG, or a JPEG of quality 95 without chroma subsampling, according to the suffix. The file appears
 * complete or not at all. Performs image_save_check first. */
p2p_status image_save(const char *path, const image *picture);
/* The same, but replaces nothing: P2P_USAGE, with the path, if the file exists once the picture is complete.
 */
p2p_status image_save_new(const char *path, const image *picture);

/* Sets *same to whether the file has the bytes that image_save would write. P2P_UNREADABLE if it can't be
 * read. */
p2p_status image_is_saved(const char *path, const image *picture, bool *same);

/* The same for a PNG, with a text that is not shown, such as the identity of the training that drew it.
 * `label` is printable ASCII; NULL: none. P2P_USAGE for other suffixes. */
enum { IMAGE_LABEL_BYTES = 64 };
p2p_status image_save_labelled(const char *path, const image *picture, const char *label);
/* The label of a PNG file; "" if it has none. P2P_INPUT if the file is no PNG or is damaged. */
p2p_status image_label(const char *path, char label[IMAGE_LABEL_BYTES]);

#endif
