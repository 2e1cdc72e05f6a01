/* Memory, views and files of image.h. The file formats themselves are in image_jpeg.c,
 * image_png.c, image_bmp.c and image_gif.c, conversions in image_convert.c. */
#include "image.h"
#include "file.h"
#include "image_codec.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MAX_FILE_BYTES = 1 << 30,
    PROBE_BYTES = 16384 /* reaches the size in all but files with large embedded profiles or previews */
};

static bool sides_fit(uint64_t width, uint64_t height) {
    return width <= IMAGE_MAX_SIDE && height <= IMAGE_MAX_SIDE &&
           width * height <= (uint64_t)IMAGE_MAX_MEGAPIXELS << 20;
}

p2p_status image_check_size(uint64_t width, uint64_t height, const char *name) {
    if (width == 0 || height == 0) return p2p_fail(P2P_INPUT, "%s has no pixels", name);
    if (sides_fit(width, height)) return P2P_OK;
    return p2p_fail(
        P2P_INPUT, "%s is %llu x %llu pixels; at most %d on a side and %d megapixels in all are accepted",
        name, (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_SIDE, IMAGE_MAX_MEGAPIXELS);
}

bool image_format_is_valid(image_format format) {
    return format.channels >= 1 && format.channels <= IMAGE_MAX_CHANNELS &&
           (format.bits == 8 || format.bits == 16);
}

bool image_format_equal(image_format a, image_format b) {
    return a.channels == b.channels && a.bits == b.bits;
}

size_t image_pixel_bytes(image_format format) {
    return (size_t)format.channels * (size_t)format.bits / 8;
}

p2p_status image_create(image *result, int width, int height, image_format format) {
    *result = (image){0};
    if (width < 1 || height < 1 || !sides_fit((uint64_t)width, (uint64_t)height) ||
        !image_format_is_valid(format))
        return p2p_fail(P2P_INVALID, "an image of %d x %d pixels of %d channels of %d bits can't be made",
                        width, height, format.channels, format.bits);
    void *pixels = malloc((size_t)width * (size_t)height * image_pixel_bytes(format));
    if (pixels == NULL)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for an image of %d x %d pixels", width, height);
    *result = (image){
        .width = width, .height = height, .channels = format.channels, .bits = format.bits, .pixels = pixels};
    return P2P_OK;
}

void image_free(image *picture) {
    free(picture->pixels);
    *picture = (image){0};
}

image_format image_format_of(const image *picture) {
    return (image_format){picture->channels, picture->bits};
}

image_format image_view_format(image_view view) {
    return (image_format){view.channels, view.bits};
}

size_t image_bytes(const image *picture) {
    return (size_t)picture->width * (size_t)picture->height * image_pixel_bytes(image_format_of(picture));
}

image_view image_view_of(const image *picture) {
    return (image_view){.width = picture->width,
                        .height = picture->height,
                        .channels = picture->channels,
                        .bits = picture->bits,
                        .stride = (size_t)picture->width * image_pixel_bytes(image_format_of(picture)),
                        .pixels = picture->pixels};
}

image_view image_view_crop(image_view view, int left, int top, int width, int height) {
    image_view part = view;
    part.width = width;
    part.height = height;
    part.pixels = (const uint8_t *)view.pixels + (size_t)top * view.stride +
                  (size_t)left * image_pixel_bytes(image_view_format(view));
    return part;
}

/* ---- Files -------------------------------------------------------------------------------------------- */

static p2p_status decode_any(const uint8_t *bytes, size_t size, const char *name, bool header_only,
                             image *result) {
    static const uint8_t png_start[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t jpeg_start[3] = {0xff, 0xd8, 0xff};
    *result = (image){0};
    if (size == 0) return p2p_fail(P2P_INPUT, "%s is empty", name);
    if (size >= sizeof png_start && memcmp(bytes, png_start, sizeof png_start) == 0)
        return image_png_decode(bytes, size, name, header_only, result);
    if (size >= sizeof jpeg_start && memcmp(bytes, jpeg_start, sizeof jpeg_start) == 0)
        return image_jpeg_decode(bytes, size, name, header_only, result);
    if (size >= 2 && memcmp(bytes, "BM", 2) == 0)
        return image_bmp_decode(bytes, size, name, header_only, result);
    if (size >= 4 && memcmp(bytes, "GIF8", 4) == 0)
        return image_gif_decode(bytes, size, name, header_only, result);
    p2p_fail(P2P_INPUT, "%s is neither a JPEG, PNG, BMP nor GIF picture", name);
    return p2p_hint(P2P_INPUT, "its content counts, not its suffix: convert it to PNG, or remove it");
}

bool image_palette_is_grey(const image_palette *palette) {
    for (int i = 0; i < palette->count; i++) {
        const uint8_t *color = palette->colors[i];
        if (color[0] != color[1] || color[1] != color[2]) return false;
    }
    return true;
}

p2p_status image_decode(const uint8_t *bytes, size_t size, const char *name, image *result) {
    return decode_any(bytes, size, name, false, result);
}

p2p_status image_probe_bytes(const uint8_t *bytes, size_t size, const char *name, image_header *header) {
    image empty;
    P2P_TRY(decode_any(bytes, size, name, true, &empty));
    *header = (image_header){empty.width, empty.height, empty.channels, empty.bits};
    return P2P_OK;
}

static p2p_status read_whole(const char *path, uint8_t **bytes, size_t *size) {
    uint64_t total;
    P2P_TRY(sys_file_read(path, MAX_FILE_BYTES, bytes, size, &total));
    if (total <= MAX_FILE_BYTES) return P2P_OK;
    free(*bytes);
    return p2p_fail(P2P_INPUT, "%s has %llu bytes; at most %d are accepted", path, (unsigned long long)total,
                    MAX_FILE_BYTES);
}

p2p_status image_load(const char *path, image *result) {
    *result = (image){0};
    uint8_t *bytes;
    size_t size;
    P2P_TRY(read_whole(path, &bytes, &size));
    p2p_status status = image_decode(bytes, size, path, result);
    free(bytes);
    return status;
}

p2p_status image_probe(const char *path, image_header *header) {
    uint8_t *bytes;
    size_t size;
    uint64_t total;
    P2P_TRY(sys_file_read(path, PROBE_BYTES, &bytes, &size, &total));
    p2p_status status = image_probe_bytes(bytes, size, path, header);
    free(bytes);
    if (status == P2P_OK || total <= PROBE_BYTES) return status;
    P2P_TRY(read_whole(path, &bytes, &size)); /* the header may only be longer than what was read */
    status = image_probe_bytes(bytes, size, path, header);
    free(bytes);
    return status;
}

typedef p2p_status (*image_encoder)(const image *picture, FILE *stream, const char *name);

/* From the dot on, in the name alone; "" for none. */
static const char *suffix_of(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    return dot == NULL ? "" : dot;
}

static image_encoder encoder_for(const char *path) {
    const char *dot = suffix_of(path);
    if (strcasecmp(dot, ".png") == 0) return image_png_encode;
    return strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ? image_jpeg_encode : NULL;
}

bool image_suffix_readable(const char *path) {
    const char *dot = suffix_of(path);
    return encoder_for(path) != NULL || strcasecmp(dot, ".bmp") == 0 || strcasecmp(dot, ".gif") == 0;
}

bool image_suffix_known(const char *path) {
    return encoder_for(path) != NULL;
}

p2p_status image_save_check(const char *path, image_format format) {
    image_encoder encode = encoder_for(path);
    if (encode == NULL)
        return p2p_fail(P2P_USAGE, "a picture's name must end in .png, .jpg or .jpeg: %s does not", path);
    bool plain = format.channels == 1 || format.channels == 3;
    if (encode == image_png_encode || (plain && format.bits == 8)) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s: a JPEG can't hold %s", path, plain ? "16 bits per channel" : "an alpha channel");
    return p2p_hint(P2P_USAGE, "end the name in .png");
}

p2p_status image_save(const char *path, const image *picture) {
    P2P_TRY(image_save_check(path, image_format_of(picture)));
    p2p_atomic_file file;
    P2P_TRY(p2p_atomic_open(&file, path));
    p2p_status status = encoder_for(path)(picture, file.stream, path);
    if (status == P2P_OK) return p2p_atomic_commit(&file);
    p2p_atomic_abandon(&file);
    return status;
}
