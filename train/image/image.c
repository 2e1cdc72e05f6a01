/* Pictures in memory: sizes, views, formats. See image.h. Files are in image_file.c, conversions in
 * image_convert.c. */
#include "image.h"
#include "image_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool image_sides_fit(int64_t width, int64_t height) {
    return width <= IMAGE_MAX_SIDE && height <= IMAGE_MAX_SIDE && width * height <= IMAGE_MAX_PIXELS;
}

p2p_status image_damaged(const char *name, const char *reason) {
    p2p_fail(P2P_INPUT, "%s can't be decoded: %s", name, reason);
    return p2p_hint(P2P_INPUT, "the file is damaged or incomplete: replace it, or leave it out with "
                               "--on-bad-image skip");
}

p2p_status image_allocate(const image_facts *facts, size_t size, const char *name, image *result) {
    const image_header *header = &facts->header;
    P2P_TRY(image_check_complete(facts, size, name));
    return image_create(result, header->width, header->height,
                        (image_format){header->channels, header->bits});
}

p2p_status image_check_complete(const image_facts *facts, uint64_t size, const char *name) {
    char reason[128];
    if (size >= facts->least_bytes) return P2P_OK;
    snprintf(reason, sizeof reason, "the file is truncated: %llu bytes can't hold its %d x %d pixels",
             (unsigned long long)size, facts->header.width, facts->header.height);
    return image_damaged(name, reason);
}

uint64_t image_pixels_bytes(const image_header *header, image_format format) {
    return (uint64_t)header->width * (uint64_t)header->height * image_pixel_bytes(format);
}

uint64_t image_load_bytes(const image_facts *facts, image_format format) {
    const image_format own = {facts->header.channels, facts->header.bits};
    const uint64_t decoding = facts->file_bytes + facts->decode_bytes;
    if (image_pixel_bytes(format) <= image_pixel_bytes(own)) return decoding; /* converted in place */
    const uint64_t converting =
        image_pixels_bytes(&facts->header, own) + image_pixels_bytes(&facts->header, format);
    return decoding > converting ? decoding : converting;
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
    if (width < 1 || height < 1 || !image_sides_fit(width, height) || !image_format_is_valid(format))
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

int image_sample(const image *picture, size_t index) {
    return picture->bits == 8 ? ((const uint8_t *)picture->pixels)[index]
                              : ((const uint16_t *)picture->pixels)[index];
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

bool image_is_transparent(image_view view) {
    const size_t pixel = image_pixel_bytes(image_view_format(view)), sample = (size_t)view.bits / 8;
    static const uint8_t opaque[sizeof(uint16_t)] = {UINT8_MAX, UINT8_MAX};
    if (view.channels % 2 != 0) return false;
    for (int y = 0; y < view.height; y++) {
        const uint8_t *row = (const uint8_t *)view.pixels + (size_t)y * view.stride;
        for (size_t x = 1; x <= (size_t)view.width; x++)
            if (memcmp(row + x * pixel - sample, opaque, sample) != 0) return true;
    }
    return false;
}

bool image_palette_is_grey(const image_palette *palette) {
    for (int i = 0; i < palette->count; i++) {
        const uint8_t *color = palette->colors[i];
        if (color[0] != color[1] || color[1] != color[2]) return false;
    }
    return true;
}
